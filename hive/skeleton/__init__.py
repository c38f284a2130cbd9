"""`hive new`: a recipe to start from. It trains in seconds, and has whatever a recipe should have."""

from __future__ import annotations

import time
from pathlib import Path

from hive.errors import RequestError
from hive.recipe import NAME

SUFFIX = ".in"  # nothing that reads hive's own code takes the templates for it


def new_recipe(name: str, folder: Path) -> Path:
    """Write the skeleton of a recipe to folder/name. Raises RequestError if that is there, or cannot be written."""
    if not NAME.fullmatch(name):
        raise RequestError(f"a recipe cannot be called {name!r}", "names are lower-case, like gis-lidar")
    target = folder / name
    try:
        target.mkdir(parents=True)
        for template in sorted(Path(__file__).parent.glob(f"*{SUFFIX}")):
            text = template.read_text().replace("{name}", name).replace("{year}", time.strftime("%Y"))
            (target / template.name.removesuffix(SUFFIX)).write_text(text)
    except FileExistsError as error:
        raise RequestError(f"{target} is there already", hint="another name, or another --path") from error
    except OSError as error:
        raise RequestError(f"cannot write {target}", error.strerror or str(error), "--path another folder") from error
    return target
