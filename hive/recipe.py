"""recipe.toml -> Recipe. A recipe is data that was written by somebody: every mistake is named with its file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tomllib
from pathlib import Path
from typing import Any

from hive_runner.frozen import replace

from hive.config import parse_bytes, parse_duration_s
from hive.errors import RequestError
from hive.model import Gate, Limits, Param, Profile, Recipe, RunInterface, digest_of

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?")
GATE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(>=|<=|>|<)\s*([-+0-9.eE]+)\s*")
TABLES = {"recipe", "requirements", "limits", "params", "profiles", "run", "data", "depends"}


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
        return _recipe(document, folder, source)
    except RecipeError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise RecipeError(f"{file} is not a valid recipe", why) from error


def _recipe(document: dict[str, Any], folder: Path, source: str) -> Recipe:
    if unknown := sorted(set(document) - TABLES):
        raise ValueError(f"unknown table [{unknown[0]}]")
    about = document["recipe"]
    if not NAME.fullmatch(about["name"]):
        raise ValueError(f"name {about['name']!r} must be lower-case letters, digits, '.', '_' and '-'")
    if not VERSION.fullmatch(about["version"]):
        raise ValueError(f"version {about['version']!r} is not like 1.2.0")
    limits = _limits(document.get("limits", {}))
    params = tuple(_param(name, table) for name, table in document.get("params", {}).items())
    profiles = {
        name: Profile(
            name=name,
            real=bool(table.get("real", True)),
            params=dict(table.get("params", {})),
            gates=tuple(parse_gate(text) for text in table.get("gates", [])),
            wall_s=parse_duration_s(table["wall"]) if "wall" in table else None,
            expected_s=parse_duration_s(table["expected"]) if "expected" in table else None,
        )
        for name, table in document.get("profiles", {"standard": {}}).items()
    }
    if "standard" not in profiles:
        raise ValueError("there is no [profiles.standard]")
    for profile in profiles.values():
        if stray := sorted(set(profile.params) - {param.name for param in params}):
            raise ValueError(f"profile {profile.name} sets {stray[0]!r}, which [params] does not declare")
    run = document.get("run", {})
    requirements = document.get("requirements", {})
    return Recipe(
        name=about["name"],
        version=about["version"],
        summary=about["summary"],
        licence=about["licence"],
        path=folder,
        source=source,
        digest=digest_recipe(folder),
        task=about.get("task", ""),
        keywords=tuple(about.get("keywords", ())),
        python=requirements.get("python", ""),
        requirements=tuple(requirements.get("packages", ())),
        depends=tuple(document.get("depends", {}).get("packages", ())),
        limits=limits,
        params=params,
        profiles=profiles,
        run=RunInterface(
            inputs=tuple(run.get("inputs", ())),
            output=run.get("output", ""),
            outputs=tuple(run.get("outputs", ())),
            input_help=run.get("input_help", ""),
            options=tuple(_param(name, table) for name, table in run.get("options", {}).items()),
        ),
        data_help=document.get("data", {}).get("user", {}).get("help", ""),
    )


def _limits(table: dict[str, Any]) -> Limits:
    default = Limits()
    return replace(
        default,
        cpus=int(table.get("cpus", default.cpus)),
        threads=int(table.get("threads", default.threads)),
        memory_bytes=parse_bytes(table.get("memory", default.memory_bytes)),
        disk_bytes=parse_bytes(table.get("disk", default.disk_bytes)),
        wall_s=parse_duration_s(table.get("wall", default.wall_s)),
        heartbeat_s=parse_duration_s(table.get("heartbeat", default.heartbeat_s)),
        pids=int(table.get("pids", default.pids)),
        network=bool(table.get("network", False)),
    )


def _param(name: str, table: dict[str, Any]) -> Param:
    return Param(
        name=name,
        default=table["default"],
        help=table.get("help", ""),
        minimum=table.get("minimum"),
        maximum=table.get("maximum"),
        choices=tuple(table.get("choices", ())),
    )


def parse_gate(text: str) -> Gate:
    """'miou >= 0.65' -> Gate. Raises ValueError."""
    match = GATE.fullmatch(text)
    if not match:
        raise ValueError(f"gate {text!r} is not like 'metric >= 0.5'")
    return Gate(match[1], match[2], float(match[3]))


def parse_value(param: Param, text: str) -> Any:
    """A command line's text as the parameter's own type, checked against its range. Raises RequestError."""
    value: Any = text
    try:
        if isinstance(param.default, bool):
            if text.lower() not in ("true", "false", "yes", "no", "1", "0"):
                raise ValueError("expected true or false")
            value = text.lower() in ("true", "yes", "1")
        elif isinstance(param.default, int):
            value = int(text)
        elif isinstance(param.default, float):
            value = float(text)
        if param.choices and value not in param.choices:
            raise ValueError(f"choose from {', '.join(map(str, param.choices))}")
        if param.minimum is not None and not value >= param.minimum:
            raise ValueError(f"at least {param.minimum:g}")
        if param.maximum is not None and not value <= param.maximum:
            raise ValueError(f"at most {param.maximum:g}")
    except ValueError as error:
        raise RequestError(
            f"{param.name} cannot be {text!r}", str(error), f"default {param.default}: {param.help}"
        ) from error
    return value


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
