"""From what a project wants to a lock: versions resolved, recipes and choices pinned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hive_runner.frozen import replace

from hive import data, datasets
from hive.index import Index, Release
from hive.lockfile import Lock, Locked
from hive.model import Recipe
from hive.plan import Choices, pick_params, pick_profile
from hive.project import Wanted
from hive.resolve import Held, resolve
from hive.versions import split_request

Became = Callable[[Locked, Recipe, Mapping[str, Any]], Mapping[str, Any]]


def pin(index: Index, wanted: Sequence[Wanted], before: Lock, loose: Callable[[str], bool], became: Became) -> Lock:
    """The lock of what is wanted and of all that it needs. Raises RequestError.

    before: the lock so far; a version it names stays while it meets the request, but of the names that are `loose`.
    became: what this machine made of a model with these parameters; {} if it has not built it.
    """
    held = {
        model.name: Held(model.version, Path("/"))
        for model in before.models
        if not loose(model.name) and any(each.version == model.version for each in index.releases(model.name))
    }
    by_name = {each.name: each for each in wanted}
    chosen = resolve([each.request for each in wanted], index, held)
    versions = {release.name: release.version for release in chosen}
    return Lock(tuple(_pinned(index, release, by_name.get(release.name), versions, became) for release in chosen))


def _pinned(
    index: Index, release: Release, wanted: Wanted | None, versions: Mapping[str, str], became: Became
) -> Locked:
    recipe = index.read(release)
    choices = choices_of(wanted) if wanted else Choices()
    profile = pick_profile(recipe, choices)
    usual, params = pick_params(recipe, profile, Choices()), pick_params(recipe, profile, choices)
    made = Locked(
        name=release.name,
        version=release.version,
        source=release.source,
        recipe=recipe.digest,
        requirements=tuple(sorted(recipe.requirements)),
        profile=profile.name,
        seed=choices.seed or 0,
        params={name: value for name, value in params.items() if value != usual[name]},
        data=choices.data.digest if choices.data else "",
        packages={package.name: package.digest for package in datasets.named(recipe, profile.data)},
        depends={name: versions[name] for name in (split_request(text)[0] for text in recipe.depends)},
        automatic=wanted is None,
    )
    return replace(made, built=became(made, recipe, params))


def choices_of(wanted: Wanted) -> Choices:
    """What a project says of a model, as if it were said on the command line."""
    params = {name: text_of(value) for name, value in wanted.params.items()}
    return Choices(wanted.profile, params, wanted.seed, data.pin(wanted.data) if wanted.data else None)


def text_of(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
