"""An installed model's own build, to be run once more: from the recipe in the artifact, not from today's source."""

from __future__ import annotations

from pathlib import Path

from hive_runner.frozen import replace

from hive import data
from hive.environments import RunnerEnvironment
from hive.errors import RequestError
from hive.model import Artifact, Recipe, Work
from hive.plan import Machine, fit
from hive.recipe import read_recipe


def recipe_of(artifact: Artifact, folders: list[Path]) -> Recipe:
    """The recipe that an artifact was built by, from the first folder that holds it unchanged. Raises RequestError."""
    for folder in folders:
        try:
            recipe = read_recipe(folder, "artifact")
        except (RequestError, OSError):
            continue
        if recipe.digest == artifact.build.recipe_digest:
            return recipe
    raise RequestError(
        f"{artifact.name} {artifact.version} cannot be built again",
        "its recipe is damaged in the store, and no source has it as it was",
        f"hive install {artifact.name} --rebuild builds it by today's recipe",
    )


def work_again(
    artifact: Artifact, recipe: Recipe, environment: RunnerEnvironment, machine: Machine, runner: str, trusted: bool,
    check: bool,
) -> Work:  # fmt: skip
    """What the job of a second build carries. check: to compare, installing nothing.

    Raises RequestError where this machine would build something else: other libraries, other data.
    """
    build = artifact.build
    name = f"{artifact.name} {artifact.version}"
    if environment.digest != build.environment:
        then, now = set(artifact.pins), set(environment.pins)
        gone, new = ", ".join(sorted(then - now)), ", ".join(sorted(now - then))
        why = f"it was built with {gone}; here is {new}" if gone or new else "another Python or runner image"
        raise RequestError(
            f"{name} cannot be built again here: the runner environment is another", why,
            f"install those versions, or hive install {artifact.name} --rebuild",
        )  # fmt: skip
    fetched = {package.name for package in recipe.data}
    for source_name, source in build.data.items():
        if source_name not in fetched and data.pin(source.path).digest != source.digest:
            raise RequestError(
                f"{name} cannot be built again: its training data has changed", source.path, "put the old files back"
            )
    profile = recipe.profiles[build.profile]
    limits, _ = fit(recipe, profile, machine)
    return Work(
        recipe_path=str(recipe.path),
        limits=replace(limits, threads=build.threads),  # they are part of the build
        gates=() if check else profile.gates,
        python=environment.python,
        mounts=tuple(str(path) for path in environment.paths),
        pins=environment.pins,
        runner=runner,
        trusted=trusted,
        real=artifact.real,
        expected_s=artifact.wall_s,
        image=environment.image,
        check=artifact.digest if check else "",
        depends=recipe.depends,
    )
