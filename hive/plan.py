"""Pinned recipes -> Plan: what is kept, what the store already has, what must be built. Pure: it reads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hive_runner.frozen import field, frozen, replace

from hive.datasets import sources
from hive.errors import GateRefused, NoCapacity, RequestError
from hive.gates import judge
from hive.model import Artifact, Build, DataSource, Limits, Package, Profile, Recipe, Step
from hive.recipe import parse_value
from hive.suggest import did_you_mean


@frozen
class Choices:
    """What the user said about the models that were named, beyond their names."""

    profile: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    data: DataSource | None = None
    rebuild: bool = False

    @property
    def are_default(self) -> bool:
        return self.profile is None and not self.params and self.seed is None and self.data is None


@frozen
class Machine:
    """What one runner may have here."""

    cpus: int
    memory_bytes: int
    free_disk_bytes: int


def pick_profile(recipe: Recipe, choices: Choices) -> Profile:
    """The profile asked for, else standard. Raises RequestError."""
    wanted = choices.profile or "standard"
    if wanted not in recipe.profiles:
        raise RequestError(f"{recipe.name} has no profile {wanted!r}", *did_you_mean(wanted, list(recipe.profiles)))
    return recipe.profiles[wanted]


def profile_along(recipe: Recipe, wanted: str | None, there: Package | None) -> str | None:
    """The profile of a recipe that another needs, which was asked for with the profile `wanted`; None: its usual.

    there: what is installed of it, which will do if it is a real model.
    """
    return wanted if wanted in recipe.profiles and not (there and there.real) else None


def profile_upon(recipe: Recipe, bases: Iterable[str]) -> str | None:
    """The profile of a recipe for which none was asked, by those of what it needs: trained on less, as they are."""
    usable = (name for name in bases if name != "standard" and name in recipe.profiles)
    return next((name for name in usable if recipe.profiles[name].real), None)


def pick_params(recipe: Recipe, profile: Profile, choices: Choices) -> dict[str, Any]:
    """Defaults, then the profile's, then the user's. Raises RequestError for an unknown name or a bad value."""
    known = {param.name: param for param in recipe.params}
    params = {name: param.default for name, param in known.items()} | profile.params
    for name, text in choices.params.items():
        if name not in known:
            raise RequestError(f"{recipe.name} has no parameter {name!r}", *did_you_mean(name, list(known)))
        params[name] = parse_value(known[name], text)
    return params


def make_build(
    recipe: Recipe, choices: Choices, environment: str, dependencies: Mapping[str, str], device: str = "cpu",
    data_folder: Path = Path(),
) -> Build:  # fmt: skip
    """The build that `choices` ask of `recipe`. data_folder: where data packages lie. Raises RequestError."""
    if choices.data and not recipe.data_help:
        raise RequestError(f"{recipe.name} does not train on data of your own", "it makes all its training data itself")
    profile = pick_profile(recipe, choices)
    return Build(
        name=recipe.name,
        version=recipe.version,
        recipe_digest=recipe.digest,
        profile=profile.name,
        params=pick_params(recipe, profile, choices),
        seed=choices.seed or 0,
        threads=recipe.limits.threads,
        device=device,
        environment=environment,
        data=sources(data_folder, recipe, profile.data) | ({"user": choices.data} if choices.data else {}),
        dependencies=dict(dependencies),
    )


def keeps(recipe: Recipe, choices: Choices, package: Package | None, artifact: Artifact | None) -> str | None:
    """A note if what is installed already meets the request, else None.

    A change of the runner environment does not make a model stale, nor does an edited recipe of the same version.
    """
    if package is None or artifact is None or choices.rebuild or package.version != recipe.version:
        return None
    made = artifact.build
    if choices.are_default:
        if not package.real:
            return None
    else:
        wanted = make_build(recipe, choices, made.environment, made.dependencies, made.device)
        if replace(wanted, recipe_digest=made.recipe_digest, threads=made.threads).key != made.key:
            return None
    if made.recipe_digest != recipe.digest:
        return "its recipe has changed since; --rebuild builds it anew"
    return ""


def choices_again(made: Build, then: Recipe, now: Recipe, data: DataSource | None) -> Choices:
    """What was said when `made` was built from the recipe `then`, as far as the recipe `now` knows it.

    A parameter that had the value of its profile was not said. data: the user's, as it is today.
    """
    usual = pick_params(then, then.profiles.get(made.profile) or then.profiles["standard"], Choices())
    known, params = {param.name: param for param in now.params}, {}
    for name, value in made.params.items():
        if name in known and value != usual.get(name):
            with suppress(RequestError):  # out of the range that it has by now
                parse_value(known[name], str(value))
                params[name] = str(value)
    return Choices(made.profile if made.profile in now.profiles else None, params, made.seed, data)


def fit(recipe: Recipe, profile: Profile, machine: Machine) -> tuple[Limits, str]:
    """The limits of a build on this machine, and a note on what was cut down. Raises NoCapacity."""
    limits = recipe.limits if profile.wall_s is None else replace(recipe.limits, wall_s=profile.wall_s)
    notes = []
    if limits.cpus > machine.cpus:
        notes.append(f"{limits.cpus} CPUs asked for, {machine.cpus} given")
    if limits.memory_bytes > machine.memory_bytes:
        notes.append(
            f"{limits.memory_bytes / 2**30:.1f} GiB memory asked for, {machine.memory_bytes / 2**30:.1f} given"
        )
    if limits.disk_bytes > machine.free_disk_bytes:
        raise NoCapacity(
            f"not enough disk to build {recipe.name}",
            f"it may need {limits.disk_bytes / 2**30:.1f} GiB, {machine.free_disk_bytes / 2**30:.1f} GiB are free",
            "make room, or set HIVE_HOME to a folder on another disk",
        )
    return (
        replace(
            limits,
            cpus=min(limits.cpus, machine.cpus),
            memory_bytes=min(limits.memory_bytes, machine.memory_bytes),
        ),
        "; ".join(notes),
    )


def step_of(recipe: Recipe, build: Build, choices: Choices, machine: Machine, stored: Artifact | None) -> Step:
    """Reuse what the store has under this key, else build. Raises NoCapacity, and GateRefused if gates have risen."""
    profile = recipe.profiles[build.profile]
    if stored is not None and not choices.rebuild:
        if missed := [result for result in judge(profile.gates, stored.metrics) if not result.passed]:
            raise GateRefused(
                f"{recipe.name} was built before, and misses {len(missed)} of its {len(profile.gates)} quality gates",
                "; ".join(map(str, missed)),
                "another --seed, more data or a longer --profile may help",
            )
        return Step("reuse", recipe, build, profile.gates, recipe.limits, artifact=stored.digest)
    limits, note = fit(recipe, profile, machine)
    return Step("build", recipe, build, profile.gates, limits, expected_s=profile.expected_s, note=note)


def longest_first(builds: Sequence[Step]) -> list[Step]:
    """The builds of one request in the order in which to queue them, so that on several runners all are done soonest.

    First what has the longest way ahead: itself and the longest chain of builds that need it. Nothing comes before what
    it needs. The order asked for stands where it is not known how long one of them takes.
    """
    if any(step.expected_s is None for step in builds):
        return list(builds)
    ahead_s: dict[str, float] = {}
    for step in reversed(builds):
        after_s = (ahead_s[later.build.name] for later in builds if step.build.name in later.build.dependencies)
        ahead_s[step.build.name] = (step.expected_s or 0) + max(after_s, default=0)
    return sorted(builds, key=lambda step: -ahead_s[step.build.name])
