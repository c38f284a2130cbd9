"""A request by names -> the recipes that meet it, each after what it depends on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from hive.errors import RequestError
from hive.model import Recipe

REQUEST = re.compile(r"([a-z0-9][a-z0-9._-]*)\s*(?:@\s*([0-9][^\s]*)|([<>=!~].*))?")


def resolve(requests: Iterable[str], recipe_of: Callable[[str], Recipe]) -> list[Recipe]:
    """Recipes in build order for requests such as `name`, `name@1.2` or `name>=1.1,<2`.

    Raises RequestError for an unknown name, a version that no source has, or a circle of dependencies.
    """
    pinned: dict[str, Recipe] = {}
    for request in requests:
        _visit(request, recipe_of, pinned, ())
    return list(pinned.values())


def split_request(request: str) -> tuple[str, str]:
    """`name@1.2` -> ("name", "==1.2"); `name` -> ("name", ""). Raises RequestError."""
    match = REQUEST.fullmatch(request.strip())
    if not match:
        raise RequestError(f"{request!r} is not a model's name", "names are lower-case, like gis-lidar", "hive search")
    name, exact, specifier = match.groups()
    return name, f"=={exact}" if exact else specifier or ""


def _visit(request: str, recipe_of: Callable[[str], Recipe], pinned: dict[str, Recipe], path: tuple[str, ...]) -> None:
    name, specifier = split_request(request)
    if name in path:
        raise RequestError(f"{name} depends on itself", " -> ".join((*path[path.index(name) :], name)))
    recipe = pinned.get(name) or recipe_of(name)
    if specifier:
        _check_version(recipe, specifier, path)
    for dependency in recipe.depends:
        _visit(dependency, recipe_of, pinned, (*path, name))
    pinned.setdefault(name, recipe)


def _check_version(recipe: Recipe, specifier: str, path: tuple[str, ...]) -> None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        wanted = SpecifierSet(specifier)
    except InvalidSpecifier as error:
        raise RequestError(f"{specifier!r} is not a version or range", str(error)) from error
    if not wanted.contains(recipe.version, prereleases=True):
        needed = f"{path[-1]} needs" if path else "the request is"
        raise RequestError(
            f"no source has {recipe.name} {specifier}",
            f"{needed} {recipe.name} {specifier}; {recipe.source} has {recipe.version}",
            f"hive info {recipe.name}",
        )
