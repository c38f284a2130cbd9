"""Where recipes come from: sources in order, and of each name the versions that the first source with it has.

A source is a folder. In it lies a recipe of one version as NAME/recipe.toml, one of several as
NAME/VERSION/recipe.toml. Nothing is read before it is asked for: to know the versions of a name takes one look at one
folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from hive_runner.frozen import frozen

from hive.errors import RequestError
from hive.model import Recipe
from hive.paths import builtin_recipes
from hive.recipe import NAME, VERSION, RecipeError, glance, read_recipe
from hive.suggest import did_you_mean
from hive.versions import newest, newest_first

BUILT_IN = "built-in"


class Release(NamedTuple):
    """One version of a recipe, and where it lies. A tuple, since resolvers make and compare them by the thousand."""

    name: str
    version: str
    source: str
    place: str

    @property
    def folder(self) -> Path:
        return Path(self.place)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@frozen
class Source:
    name: str
    folder: Path

    def names(self) -> list[str]:
        """Of the recipes in it, sorted."""
        return [name for name in _folders(self.folder) if NAME.fullmatch(name) and self._places(name)]

    def releases(self, name: str) -> list[Release]:
        """The versions of `name` here, the newest first. Raises RecipeError where a version cannot be read."""
        if not NAME.fullmatch(name):
            return []
        found = {self._version(name, place): place for place in self._places(name)}
        return [Release(name, version, self.name, found[version]) for version in newest_first(found)]

    def _places(self, name: str) -> list[str]:
        """The folders of `name`'s versions."""
        top = os.path.join(self.folder, name)
        try:
            entries = list(os.scandir(top))
        except OSError:
            return []
        if any(entry.name == "recipe.toml" for entry in entries):
            return [top]
        return [entry.path for entry in entries if VERSION.fullmatch(entry.name) and entry.is_dir()]

    def _version(self, name: str, place: str) -> str:
        folder = os.path.basename(place)
        if folder != name or os.path.dirname(place) != str(self.folder):
            return folder
        version = glance(os.path.join(place, "recipe.toml"), "recipe").get("version")
        if not isinstance(version, str) or not VERSION.fullmatch(version):
            return read_recipe(Path(place), self.name).version  # which says what is wrong
        return version


@frozen
class Hit:
    """A name in a source, with its versions there, the newest first."""

    recipe: Recipe  # the newest
    versions: tuple[str, ...]
    shadowed_by: str  # the source before it that has the name too, and so serves it; "" for none


class Index:
    """All sources as one: a name is served by the first source that has it."""

    def __init__(
        self, folders: Iterable[str] = (), before: Iterable[Source] = (), after: Iterable[Source] = ()
    ) -> None:
        """folders, before: searched before the built-in recipes; after: when those have no such name."""
        self.sources = [Source(folder, Path(folder).expanduser().absolute()) for folder in folders]
        self.sources += [*before, Source(BUILT_IN, builtin_recipes()), *after]
        self._releases: dict[str, list[Release]] = {}
        self._depends: dict[str, tuple[str, ...]] = {}

    def names(self) -> list[str]:
        return sorted({name for source in self.sources for name in source.names()})

    def releases(self, name: str) -> list[Release]:
        """The versions to choose from, the newest first; none for a name that nobody knows. Raises RecipeError."""
        if name not in self._releases:
            self._releases[name] = next(filter(None, (source.releases(name) for source in self.sources)), [])
        return self._releases[name]

    def depends(self, release: Release) -> tuple[str, ...]:
        """What a release needs, such as ("base>=1",). Raises RecipeError."""
        if release.place not in self._depends:
            packages = glance(os.path.join(release.place, "recipe.toml"), "depends").get("packages", [])
            if not isinstance(packages, list) or not all(isinstance(each, str) for each in packages):
                packages = read_recipe(release.folder, release.source).depends  # which says what is wrong
            self._depends[release.place] = tuple(packages)
        return self._depends[release.place]

    def read(self, release: Release) -> Recipe:
        """The whole recipe. Raises RecipeError."""
        recipe = read_recipe(release.folder, release.source)
        if recipe.name != release.name:
            raise RecipeError(f"{release.folder} calls itself {recipe.name!r}", "folder and recipe have one name")
        if recipe.version != release.version:
            raise RecipeError(
                f"{release.folder} says it is version {recipe.version}", "folder and recipe have one version"
            )
        return recipe

    def recipe(self, name: str, version: str = "") -> Recipe:
        """The newest version of `name`, or the one given. Raises RequestError with a guess, or RecipeError."""
        releases = self.releases(name)
        if not releases:
            raise self.unknown(name)
        wanted = version or newest(release.version for release in releases)
        for release in releases:
            if release.version == wanted:
                return self.read(release)
        have = ", ".join(release.version for release in releases)
        raise RequestError(f"no source has {name} {version}", f"{releases[0].source} has {have}", f"hive info {name}")

    def unknown(self, name: str) -> RequestError:
        return RequestError(f"there is no model called {name!r}", *did_you_mean(name, self.names()))

    def recipes(self) -> Iterator[Recipe]:
        """The newest version of each name, where it is readable."""
        for name in self.names():
            try:
                yield self.recipe(name)
            except RecipeError:
                continue

    def hits(self) -> Iterator[Hit]:
        """Every readable name of every source, by name and then in the order of the sources."""
        found = sorted((name, place) for place, source in enumerate(self.sources) for name in source.names())
        first = {name: self.sources[place].name for name, place in reversed(found)}
        for name, place in found:
            source = self.sources[place]
            try:
                releases = source.releases(name)
                wanted = newest(release.version for release in releases)
                recipe = self.read(next(release for release in releases if release.version == wanted))
            except RecipeError:
                continue
            versions = tuple(release.version for release in releases)
            yield Hit(recipe, versions, first[name] if first[name] != source.name else "")


def _folders(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []
