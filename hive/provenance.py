"""How an artifact came about: an in-toto Statement with SLSA v1 provenance. Of what the build key covers, no times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from hive.model import Build, Recipe

PROVENANCE = "provenance.json"
BUILD_TYPE = "urn:hive:build:v1"  # `hive install`: train(run) of the recipe, once, sandboxed, without a network
BUILDER = "urn:hive:builder:v1"


def statement(
    build: Build, recipe: Recipe, pins: Iterable[str], image: str, files: Iterable[dict[str, Any]]
) -> dict[str, Any]:
    """files: path and sha256 of what the artifact holds; those of the recipe are inputs, the others are the subject.
    image: the id of the container image it was built in, "" for none.
    """
    entries = list(files)
    made = [entry for entry in entries if not entry["path"].startswith("recipe/")]
    given = [entry for entry in entries if entry["path"].startswith("recipe/")]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": entry["path"], "digest": {"sha256": entry["sha256"]}} for entry in made],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "recipe": build.name,
                    "version": build.version,
                    "profile": build.profile,
                    "params": build.params,
                    "seed": build.seed,
                    "data": sorted(build.data),
                },
                "internalParameters": {"threads": build.threads, "device": build.device, "buildKey": build.key},
                "resolvedDependencies": [
                    *_inputs(build, recipe, image),
                    *({"name": entry["path"], "digest": {"sha256": entry["sha256"]}} for entry in given),
                    *({"uri": purl(pin)} for pin in pins),
                ],
            },
            "runDetails": {"builder": {"id": BUILDER}},
        },
    }


def _inputs(build: Build, recipe: Recipe, image: str) -> Iterator[dict[str, Any]]:
    def pinned(name: str, digest: str, covers: str) -> dict[str, Any]:
        return {
            "name": name,
            "digest": {"sha256": digest.removeprefix("sha256:")},
            "annotations": {"digestCovers": covers},
        }

    yield pinned("recipe", build.recipe_digest, "names and sha256 of the recipe's files that can change the weights")
    yield pinned("environment", build.environment, "the image" if image else "Python, platform and requirement pins")
    if image:
        yield pinned("image", image, "the configuration of the container image")
    fetched = {package.name: package for package in recipe.data}
    for name, source in sorted(build.data.items()):
        package = fetched.get(name)
        covers = "the file" if package else "names and sha256 of the files"
        yield {**pinned(f"data/{name}", source.digest, covers), **({"uri": package.urls[0]} if package else {})}
    for name, key in sorted(build.dependencies.items()):
        yield pinned(f"packages/{name}", key, "everything that can change its weights: its build key")


def purl(pin: str) -> str:
    """torch==2.6.0+cpu -> pkg:pypi/torch@2.6.0%2Bcpu."""
    name, _, version = pin.partition("==")
    return f"pkg:pypi/{name.lower().replace('_', '-')}@{version.replace('+', '%2B').replace('!', '%21')}"
