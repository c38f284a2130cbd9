"""hive.toml: which models a project wants, and how they are to be built.

[models]
gis-lidar = ">=1,<2"                # a range of versions, "*" for any

[models.image-to-3d]
version = ">=1"
profile = "standard"
seed = 3
params = { steps = 4000 }
data = "labelled/"                  # from the file's own folder
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hive_runner.frozen import field, frozen

from hive.errors import RequestError
from hive.tables import Table

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
PROJECT_FILE = "hive.toml"
LIKE = 'like: [models] and then: gis-lidar = "*"'


@frozen
class Wanted:
    """A model that a project wants. What is None is left to the recipe."""

    name: str
    versions: str = ""  # a range, "" for any version
    profile: str | None = None
    seed: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None  # a file or folder, absolute

    @property
    def request(self) -> str:
        return f"{self.name}{self.versions}"


def read_project(path: Path) -> tuple[Wanted, ...]:
    """The models that the file names, in its order. Raises RequestError for a file that is missing or wrong."""
    try:
        document = Table("", tomllib.loads(path.read_text()))
        models = document.table("models")
        found = tuple(_wanted(name, value, path.parent) for name, value in models.values.items())
        document.end()
    except OSError as error:
        raise RequestError(f"cannot read {path}", error.strerror or str(error)) from error
    except ValueError as error:
        raise RequestError(
            f"{path} cannot be used", str(error), 'like: [models] and then: gis-lidar = ">=1"'
        ) from error
    if not found:
        raise RequestError(f"{path} wants no model", "it has no [models]", 'like: [models] and then: gis-lidar = "*"')
    return found


def _wanted(name: str, value: Any, folder: Path) -> Wanted:
    if not NAME.fullmatch(name):
        raise ValueError(f"[models] has {name!r}, which is not a model's name")
    if isinstance(value, str):
        return Wanted(name, _range(value))
    table = Table(f"[models.{name}]", value)
    params, seed, data = table.value("params", {}), table.value("seed"), table.text("data", "")
    if not isinstance(params, dict):
        raise ValueError(f"[models.{name}] params is not a table")
    if seed is not None and (type(seed) is not int or not 0 <= seed < 1 << 32):
        raise ValueError(f"[models.{name}] seed = {seed!r}: a whole number from 0 to 2**32 - 1")
    made = Wanted(
        name,
        _range(table.text("version", "*")),
        table.text("profile", "") or None,
        seed,
        params,
        str((folder / Path(data).expanduser()).absolute()) if data else None,
    )
    table.end()
    return made


def _range(text: str) -> str:
    """ "*" -> "", "1.2" -> "==1.2", a range as it is."""
    text = text.strip()
    return "" if text == "*" else f"=={text}" if text[:1].isdigit() else text
