"""Where recipes come from: sources in order, each a folder of recipe folders; the first that has a name wins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hive_runner.frozen import frozen

from hive.errors import RequestError
from hive.model import Recipe
from hive.paths import builtin_recipes
from hive.recipe import RecipeError, read_recipe
from hive.suggest import did_you_mean


@frozen
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
