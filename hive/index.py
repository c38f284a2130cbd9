"""Where recipes come from: sources in order, each a folder of recipe folders; the first that has a name wins."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hive.errors import RequestError
from hive.model import Recipe
from hive.paths import builtin_recipes
from hive.recipe import RecipeError, read_recipe


@dataclass(frozen=True)
class Source:
    name: str
    folder: Path

    def names(self) -> list[str]:
        """Folders that hold a recipe.toml."""
        try:
            entries = sorted(os.scandir(self.folder), key=lambda entry: entry.name)
        except OSError:
            return []
        return [entry.name for entry in entries if Path(entry.path, "recipe.toml").is_file()]


class Index:
    def __init__(self, folders: tuple[str, ...] = ()) -> None:
        self.sources = [Source(folder, Path(folder).expanduser().absolute()) for folder in folders]
        self.sources.append(Source("built-in", builtin_recipes()))

    def names(self) -> list[str]:
        return sorted({name for source in self.sources for name in source.names()})

    def recipe(self, name: str) -> Recipe:
        """The recipe called `name`. Raises RequestError with a guess at what was meant, or RecipeError."""
        for source in self.sources:
            if name in source.names():
                recipe = read_recipe(source.folder / name, source.name)
                if recipe.name != name:
                    raise RecipeError(
                        f"{source.folder / name} calls itself {recipe.name!r}", "folder and recipe have one name"
                    )
                return recipe
        raise RequestError(f"there is no model called {name!r}", *did_you_mean(name, self.names()))

    def recipes(self) -> Iterator[Recipe]:
        """Every readable recipe."""
        for name in self.names():
            try:
                yield self.recipe(name)
            except RecipeError:
                continue


def did_you_mean(name: str, known: list[str], otherwise: str = "hive search lists what there is") -> tuple[str, str]:
    """The why and the hint for a name that nobody knows."""
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    near = near or [candidate for candidate in known if name.lower() in candidate or candidate in name.lower()]
    hint = f"did you mean {' or '.join(near)}?" if near else otherwise
    return (f"known are {', '.join(known)}" if known else "no source has any recipe", hint)
