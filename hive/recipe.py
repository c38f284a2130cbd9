"""recipe.toml -> Recipe. A recipe is data that was written by somebody: every mistake is named with its file."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import tomllib
from pathlib import Path
from typing import Any

from hive.config import parse_flag
from hive.errors import RequestError
from hive.model import Gate, Limits, Param, Profile, Recipe, RunInterface, digest_of
from hive.tables import Table

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?")
GATE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(>=|<=|>|<)\s*([-+0-9.eE]+)\s*")
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Shapes only, so that a search need not import what understands them.
_CLAUSE = r"(~=|===?|!=|<=|>=|<|>)\s*[\w.*+!-]+"
VERSIONS = re.compile(rf"{_CLAUSE}(\s*,\s*{_CLAUSE})*")
REQUIREMENT = re.compile(rf"[A-Za-z0-9][\w.-]*(\[[\w., -]+\])?\s*({VERSIONS.pattern}|@\s*\S+)?\s*(;.*)?")
DEPENDENCY = re.compile(rf"{NAME.pattern}(\s*@\s*\d\S*|\s*{VERSIONS.pattern})?")


class RecipeError(RequestError):
    """The recipe itself is wrong."""


def read_recipe(folder: Path, source: str) -> Recipe:
    """Read and check folder/recipe.toml. Raises RecipeError."""
    file = folder / "recipe.toml"
    try:
        document = tomllib.loads(file.read_text())
    except FileNotFoundError as error:
        raise RecipeError(f"{folder} is not a recipe", "it has no recipe.toml") from error
    except (OSError, ValueError) as error:
        raise RecipeError(f"{file} cannot be read", str(error)) from error
    try:
        return _recipe(Table("", document), folder, source)
    except ValueError as error:
        raise RecipeError(f"{file} is not a valid recipe", str(error)) from error


def _recipe(document: Table, folder: Path, source: str) -> Recipe:
    about, needs = document.table("recipe"), document.table("requirements")
    depends, run, data = document.table("depends"), document.table("run"), document.table("data")
    params = tuple(_param(name, table) for name, table in document.table("params").tables().items())
    user_data = data.table("user")
    recipe = Recipe(
        name=_like(NAME, about.text("name"), "a name: lower-case letters, digits, '.', '_' and '-'"),
        version=_like(VERSION, about.text("version"), "a version such as 1.2.0"),
        summary=about.text("summary"),
        licence=about.text("licence"),
        path=folder,
        source=source,
        digest=digest_recipe(folder),
        task=about.text("task", ""),
        keywords=about.texts("keywords"),
        python=_like(VERSIONS, needs.text("python", ""), "a range of versions such as >=3.11", empty=True),
        requirements=tuple(
            _like(REQUIREMENT, text, "a requirement such as torch>=2.6") for text in needs.texts("packages")
        ),
        depends=tuple(_like(DEPENDENCY, text, "a model such as base>=1") for text in depends.texts("packages")),
        limits=_limits(document.table("limits")),
        params=params,
        profiles=_profiles(document.table("profiles"), params),
        run=RunInterface(
            inputs=tuple(_suffix(text) for text in run.texts("inputs")),
            output=_suffix(run.text("output", "")),
            outputs=tuple(_suffix(text) for text in run.texts("outputs")),
            input_help=run.text("input_help", ""),
            options=tuple(_param(name, table) for name, table in run.table("options").tables().items()),
        ),
        data_help=user_data.text("help", "") if user_data.values else "",
    )
    for table in (document, about, needs, depends, run, data, user_data):
        table.end()
    return recipe


def _limits(table: Table) -> Limits:
    default = Limits()
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
    return limits


def _profiles(table: Table, params: tuple[Param, ...]) -> dict[str, Profile]:
    profiles = {name: _profile(name, each, params) for name, each in table.tables().items()}
    if profiles and "standard" not in profiles:
        raise ValueError("there is no [profiles.standard]")
    return profiles or {"standard": Profile("standard")}


def _profile(name: str, table: Table, params: tuple[Param, ...]) -> Profile:
    known = {param.name: param for param in params}
    chosen = table.table("params")
    if stray := sorted(set(chosen.values) - set(known)):
        raise ValueError(f"{chosen.name} sets {stray[0]!r}, which [params] does not declare")
    profile = Profile(
        name=name,
        real=table.flag("real", True),
        params={each: checked(known[each], value) for each, value in chosen.values.items()},
        gates=tuple(parse_gate(text) for text in table.texts("gates")),
        wall_s=table.optional_seconds("wall"),
        expected_s=table.optional_seconds("expected"),
    )
    table.end()
    return profile


def _param(name: str, table: Table) -> Param:
    if not IDENTIFIER.fullmatch(name):
        raise ValueError(f"{table.name} is not a name in Python, by which the recipe could ask for it")
    default, choices = table.required("default"), table.value("choices", [])
    if not isinstance(default, str | bool | int | float):
        raise ValueError(f"{table.name} default = {default!r}: neither a number nor a text nor a flag")
    if not isinstance(choices, list):
        raise ValueError(f"{table.name} choices = {choices!r}: not a list")
    bounds = {key: table.value(key) for key in ("minimum", "maximum")}
    for key, bound in bounds.items():
        if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int | float)):
            raise ValueError(f"{table.name} {key} = {bound!r}: not a number")
        if bound is not None and isinstance(default, str | bool):
            raise ValueError(f"{table.name} has a {key}, and its default {default!r} is not a number")
    param = Param(name, default, table.text("help", ""), bounds["minimum"], bounds["maximum"], tuple(choices))
    table.end()
    checked(param, default)
    return param


def _like(shape: re.Pattern[str], text: str, wanted: str, empty: bool = False) -> str:
    if not shape.fullmatch(text) and not (empty and not text):
        raise ValueError(f"{text!r} is not {wanted}")
    return text


def _suffix(text: str) -> str:
    if text and not text.startswith("."):
        raise ValueError(f"[run] names {text!r}, which is not a suffix such as .laz")
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


def snapshot(recipe: Recipe, folder: Path) -> Path:
    """A copy of the recipe as it is now, below `folder`, which later edits of the recipe do not reach.

    Named by its content, the card included. Raises RequestError when it cannot be written.
    """
    files = [*weight_files(recipe.path), recipe.path / "recipe.toml", *sorted(recipe.path.glob("*.md"))]
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
