"""recipe.toml -> Recipe. A recipe is data that was written by somebody: every mistake is named with its file."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

from hive.config import parse_flag
from hive.errors import RequestError
from hive.model import DataPackage, Gate, Limits, Param, Profile, Recipe, RunInterface, digest_of
from hive.suggest import did_you_mean
from hive.tables import Mistake, Table, line_of

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
# PEP 440 in its one canonical spelling, without local versions: equal text where the version is the same.
_NUMBER = r"(0|[1-9]\d*)"
VERSION = re.compile(
    rf"({_NUMBER}!)?{_NUMBER}(\.{_NUMBER})*((a|b|rc){_NUMBER})?(\.post{_NUMBER})?(\.dev{_NUMBER})?", re.ASCII
)
GATE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(>=|<=|>|<)\s*([-+0-9.eE]+)\s*")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Shapes only, so that a search need not import what understands them.
_CLAUSE = r"(~=|===?|!=|<=|>=|<|>)\s*[\w.*+!-]+"
VERSIONS = re.compile(rf"{_CLAUSE}(\s*,\s*{_CLAUSE})*")
REQUIREMENT = re.compile(rf"[A-Za-z0-9][\w.-]*(\[[\w., -]+\])?\s*({VERSIONS.pattern}|@\s*\S+)?\s*(;.*)?")
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+~-]*")
URL = re.compile(r"https?://\S+")
SHA256 = re.compile(r"[0-9a-f]{64}")
BESIDE = re.compile(r"(-[A-Za-z0-9_.*-]*)?\.[A-Za-z0-9]+")
DEPENDENCY = re.compile(rf"{NAME.pattern}(\s*@\s*\d\S*|\s*{VERSIONS.pattern})?")


MODULES = "hive_recipe_"


class RecipeError(RequestError):
    """The recipe itself is wrong."""


def module_of(name: str) -> str:
    """As what the code of a recipe is imported by those that depend on it: image-to-3d -> hive_recipe_image_to_3d."""
    return MODULES + re.sub(r"[-.]", "_", name)


def read_recipe(folder: Path, source: str) -> Recipe:
    """Read and check folder/recipe.toml. Raises RecipeError."""
    file = folder / "recipe.toml"
    document, text = read_document(file)
    try:
        facts: dict[str, Any] = {}
        for part in PARTS:
            facts |= part(document)
        document.end()
        return Recipe(path=folder, source=source, digest=digest_recipe(folder), **facts)
    except Mistake as error:
        raise RecipeError(f"{file}:{line_of(text, error)} is not valid", str(error)) from error


def mistakes(folder: Path) -> list[tuple[int, str]]:
    """What is wrong in folder/recipe.toml: (line, message), the first mistake of each part. Raises RecipeError."""
    document, text = read_document(folder / "recipe.toml")
    found: list[tuple[int, str]] = []
    for part in (*PARTS, Table.end):
        try:
            part(document)
        except Mistake as error:
            found.append((line_of(text, error), str(error)))
    return sorted(found)


def read_document(file: Path) -> tuple[Table, str]:
    """A recipe.toml as a table, not checked, and its text. Raises RecipeError."""
    try:
        text = file.read_text()
        return Table("", tomllib.loads(text)), text
    except FileNotFoundError as error:
        raise RecipeError(f"{file.parent} is not a recipe", "it has no recipe.toml") from error
    except (OSError, ValueError) as error:
        raise RecipeError(f"{file} cannot be read", str(error)) from error


def glance(file: str, table: str) -> dict[str, Any]:
    """One table of a recipe.toml, not checked, without parsing the others: a resolver looks at many. {} without it.

    Raises RecipeError.
    """
    try:
        with open(file, "rb", buffering=0) as opened:
            text = opened.read().decode()
    except (OSError, ValueError) as error:
        raise RecipeError(f"{file} cannot be read", str(error)) from error
    if table not in text:
        return {}
    begin = text.find(f"\n[{table}]\n") + 1
    is_plain = '"""' not in text and "'''" not in text  # else what looks like a table may be part of a text
    if is_plain and (begin or text.startswith(f"[{table}]\n")):
        end = text.find("\n[", begin + 1)
        with contextlib.suppress(ValueError):  # not so simple after all
            found: dict[str, Any] = tomllib.loads(text[begin : end if end > 0 else len(text)])[table]
            return found
    whole = read_document(Path(file))[0].value(table, {})
    return whole if isinstance(whole, dict) else {}


def _about(document: Table) -> dict[str, Any]:
    table = document.table("recipe")
    facts = {
        "name": table.like("name", NAME, "a name: lower-case letters, digits, '.', '_' and '-'"),
        "version": table.like("version", VERSION, "a version such as 1.2.0, 1.2.0rc1 or 2024.1 (PEP 440)"),
        "summary": table.text("summary"),
        "licence": table.text("licence"),
        "task": table.text("task", ""),
        "keywords": table.texts("keywords"),
    }
    table.end()
    return facts


def _requirements(document: Table) -> dict[str, Any]:
    table = document.table("requirements")
    facts = {
        "python": table.like("python", VERSIONS, "a range of versions such as >=3.11", ""),
        "requirements": table.each("packages", partial(_like, REQUIREMENT, "a requirement such as torch>=2.6")),
    }
    table.end()
    return facts


def _depends(document: Table) -> dict[str, Any]:
    table = document.table("depends")
    facts = {"depends": table.each("packages", partial(_like, DEPENDENCY, "a model such as base>=1"))}
    table.end()
    return facts


def _settings(document: Table) -> dict[str, Any]:
    params = tuple(_param(name, table) for name, table in document.table("params").tables().items())
    user_help, packages = _data(document.table("data"))
    return {
        "params": params,
        "data_help": user_help,
        "data": packages,
        "profiles": _profiles(document.table("profiles"), params, packages),
    }


def _run(document: Table) -> dict[str, Any]:
    run = document.table("run")
    interface = RunInterface(
        inputs=run.each("inputs", _suffix),
        output=_suffix(run.text("output", "")),
        outputs=run.each("outputs", _suffix),
        beside=run.each("beside", partial(_like, BESIDE, "the end of a file name such as .json or -views.png")),
        text=run.flag("text", False),
        input_help=run.text("input_help", ""),
        options=tuple(_param(name, table) for name, table in run.table("options").tables().items()),
    )
    run.end()
    return {"run": interface}


def _data(table: Table) -> tuple[str, tuple[DataPackage, ...]]:
    """What --data expects, and the data packages."""
    user = table.table("user")
    user_help = user.text("help", "")
    user.end()
    return user_help, tuple(_data_package(name, each) for name, each in table.tables().items())


def _data_package(name: str, table: Table) -> DataPackage:
    if not IDENTIFIER.fullmatch(name):
        raise table.mistake(f"{table.name} is not a name in Python, by which the recipe could ask for it")
    if "size" not in table.values:
        raise table.mistake(f"{table.name} has no size, in bytes")
    package = DataPackage(
        name=name,
        file=table.like("file", FILE_NAME, "the name of a file"),
        urls=table.each("urls", partial(_like, URL, "an address such as https://example.org/shapes.zip")),
        digest="sha256:" + table.like("sha256", SHA256, "64 hexadecimal digits"),
        size_bytes=table.size_bytes("size", 0),
        licence=table.text("licence"),
        help=table.text("help", ""),
    )
    table.end()
    if not package.urls:
        raise table.mistake(f"{table.name} has no urls to fetch it from")
    return package


def _limits(document: Table) -> dict[str, Any]:
    table, default = document.table("limits"), Limits()
    limits = Limits(
        cpus=table.count("cpus", default.cpus),
        threads=table.count("threads", default.threads),
        memory_bytes=table.size_bytes("memory", default.memory_bytes),
        disk_bytes=table.size_bytes("disk", default.disk_bytes),
        wall_s=table.seconds("wall", default.wall_s),
        heartbeat_s=table.seconds("heartbeat", default.heartbeat_s),
        pids=table.count("pids", default.pids),
        network=table.flag("network", default.network),
    )
    table.end()
    return {"limits": limits}


PARTS = (_about, _requirements, _depends, _limits, _settings, _run)


def _profiles(table: Table, params: tuple[Param, ...], packages: tuple[DataPackage, ...]) -> dict[str, Profile]:
    tables = table.tables()
    profiles = {name: _profile(name, each, params, packages) for name, each in tables.items()}
    if profiles and "standard" not in profiles:
        raise table.mistake("there is no [profiles.standard]")
    for name, profile in profiles.items():
        other = profiles.get(profile.otherwise) if profile.otherwise else None
        if profile.otherwise and (other is None or other.data):
            known = ", ".join(each.name for each in profiles.values() if not each.data) or "none"
            raise tables[name].mistake(f"otherwise = {profile.otherwise!r}: name a profile without data ({known})")
    return profiles or {"standard": Profile("standard")}


def _profile(name: str, table: Table, params: tuple[Param, ...], packages: tuple[DataPackage, ...]) -> Profile:
    known = {param.name: param for param in params}
    chosen = table.table("params")
    if stray := sorted(set(chosen.values) - set(known)):
        _, guess = did_you_mean(stray[0], list(known), "declare it there, or leave it out")
        raise chosen.mistake(f"{chosen.name} sets {stray[0]!r}, which [params] does not declare; {guess}", stray[0])
    data = table.texts("data")
    if strangers := sorted(set(data) - {package.name for package in packages}):
        raise table.mistake(
            f"{table.name} wants the data {strangers[0]!r}, and there is no [data.{strangers[0]}]", "data"
        )
    profile = Profile(
        name=name,
        real=table.flag("real", True),
        data=data,
        otherwise=table.text("otherwise", ""),
        params={each: _checked(known[each], value, chosen, each) for each, value in chosen.values.items()},
        gates=table.each("gates", parse_gate),
        wall_s=table.optional_seconds("wall"),
        expected_s=table.optional_seconds("expected"),
    )
    table.end()
    return profile


def _param(name: str, table: Table) -> Param:
    if not IDENTIFIER.fullmatch(name):
        raise table.mistake(f"{table.name} is not a name in Python, by which the recipe could ask for it")
    default, choices = table.required("default"), table.value("choices", [])
    if not isinstance(default, str | bool | int | float):
        raise table.mistake(f"{table.name} default = {default!r}: neither a number nor a text nor a flag", "default")
    if not isinstance(choices, list):
        raise table.mistake(f"{table.name} choices = {choices!r}: not a list", "choices")
    bounds = {key: table.value(key) for key in ("minimum", "maximum")}
    for key, bound in bounds.items():
        if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int | float)):
            raise table.mistake(f"{table.name} {key} = {bound!r}: not a number", key)
        if bound is not None and isinstance(default, str | bool):
            raise table.mistake(f"{table.name} has a {key}, and its default {default!r} is not a number", key)
    param = Param(name, default, table.text("help", ""), bounds["minimum"], bounds["maximum"], tuple(choices))
    table.end()
    _checked(param, default, table, "default")
    return param


def _checked(param: Param, value: Any, table: Table, key: str) -> Any:
    try:
        return checked(param, value)
    except ValueError as error:
        raise table.mistake(str(error), key) from error


def _like(shape: re.Pattern[str], wanted: str, text: str) -> str:
    if not shape.fullmatch(text):
        raise ValueError(f"{text!r} is not {wanted}")
    return text


def _suffix(text: str) -> str:
    if text and not text.startswith("."):
        raise Mistake(f"[run] names {text!r}, which is not a suffix such as .laz", "run")
    return text


def parse_gate(text: str) -> Gate:
    """'miou >= 0.65' -> Gate. Raises ValueError."""
    match = GATE.fullmatch(text)
    if not match:
        raise ValueError(f"gate {text!r} is not like 'metric >= 0.5'")
    return Gate(match[1], match[2], float(match[3]))


def checked(param: Param, value: Any) -> Any:
    """`value` in the parameter's own type, if the parameter may have it. Raises ValueError saying why not."""
    if isinstance(param.default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(param.default) or (isinstance(value, float) and not math.isfinite(value)):
        words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        raise ValueError(f"{param.name} = {value!r}: expected {words[type(param.default)]}")
    if param.choices and value not in param.choices:
        raise ValueError(f"{param.name} = {value!r}: choose from {', '.join(map(str, param.choices))}")
    if param.minimum is not None and not value >= param.minimum:
        raise ValueError(f"{param.name} = {value!r}: at least {param.minimum:g}")
    if param.maximum is not None and not value <= param.maximum:
        raise ValueError(f"{param.name} = {value!r}: at most {param.maximum:g}")
    return value


def parse_value(param: Param, text: str) -> Any:
    """A command line's text as the parameter's own type, checked against its range. Raises RequestError."""
    value: Any = text
    with contextlib.suppress(ValueError):  # what cannot be read stays a text, which `checked` refuses
        if isinstance(param.default, bool):
            value = parse_flag(text or "?")
        elif isinstance(param.default, int | float):
            value = type(param.default)(text)
    try:
        return checked(param, value)
    except ValueError as error:
        why = str(error).partition(": ")[2]
        hint = f"default {param.default}" + (f": {param.help}" if param.help else "")
        raise RequestError(f"{param.name} cannot be {text!r}", why, hint) from error


def weight_files(folder: Path) -> list[Path]:
    """The files of a recipe that can change the weights: all but its card, its tests and what Python leaves behind.

    recipe.toml is not among them: what of it reaches the weights (parameters, threads, requirements) stands in the
    build itself, and a gate or a summary may be mended without training anew.
    """
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix not in (".pyc", ".md")
        and path.name != "recipe.toml"
        and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(folder).parts)
        and not path.name.startswith("test_")
    )


def digest_recipe(folder: Path) -> str:
    """sha256 over names and contents of `weight_files`."""
    total = hashlib.sha256()
    for path in weight_files(folder):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return "sha256:" + total.hexdigest()


def snapshot_files(folder: Path) -> list[Path]:
    """The files of a recipe that an artifact keeps: what can change the weights, recipe.toml and the card."""
    return [*weight_files(folder), folder / "recipe.toml", *sorted(folder.glob("*.md"))]


def snapshot(recipe: Recipe, folder: Path) -> Path:
    """A copy of the recipe as it is now, below `folder`, which later edits of the recipe do not reach.

    Named by its content, the card included. Raises RequestError when it cannot be written.
    """
    files = snapshot_files(recipe.path)
    contents = {path.relative_to(recipe.path).as_posix(): path.read_bytes() for path in files}
    name = digest_of({place: hashlib.sha256(content).hexdigest() for place, content in contents.items()})
    target = folder / name.removeprefix("sha256:")[:32]
    if target.is_dir():
        return target
    import shutil

    stage = folder / f".{os.urandom(16).hex()}"
    try:
        for place, content in contents.items():
            path = stage / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        with contextlib.suppress(FileExistsError):
            os.rename(stage, target)
    except OSError as error:
        if not target.is_dir():  # another install made it meanwhile
            raise RequestError(f"the recipe {recipe.name} cannot be copied", str(error), "make room") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return target
