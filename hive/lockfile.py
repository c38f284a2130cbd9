"""hive.lock: the recipes of a source, and the image that runs them, pinned. Deterministic, friendly to diff."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path

from hive.errors import LockError
from hive.model import Recipe

FORMAT = 1


def render(recipes: Iterable[Recipe], image: str = "") -> str:
    """The lock's text: per model its name, version, source, recipe digest and requirements.

    image: the digest of the runner image, where this machine has one.
    """
    lines = ["# Written by `hive lock`; do not edit.", f"format = {FORMAT}"]
    if image:
        lines += ["", "[runner]", f"image = {json.dumps(image)}"]
    for recipe in sorted(recipes, key=lambda each: each.name):
        facts = {
            "name": recipe.name,
            "version": recipe.version,
            "source": recipe.source,
            "recipe": recipe.digest,
            "requirements": sorted(recipe.requirements),
        }
        lines += ["", "[[model]]", *(f"{key} = {json.dumps(value)}" for key, value in facts.items())]
    return "\n".join(lines) + "\n"


def stale_fields(path: Path, recipes: Iterable[Recipe], image: str = "") -> list[str]:
    """Each field in which the lock and the recipes differ, in words. Raises LockError for a missing or broken lock.

    An image is compared where both the lock and this machine have one: a lock made elsewhere says nothing of it.
    """
    try:
        document = tomllib.loads(path.read_text())
        locked = {model["name"]: model for model in document["model"]}
        locked_image = document.get("runner", {}).get("image", "")
    except FileNotFoundError as error:
        raise LockError(f"there is no {path}", hint="hive lock") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LockError(f"{path} cannot be read", str(error), "hive lock writes it anew") from error
    current = {model["name"]: model for model in tomllib.loads(render(recipes)).get("model", [])}
    stale = [f"{name}: not in the lock" for name in sorted(set(current) - set(locked))]
    stale += [f"{name}: no source has it" for name in sorted(set(locked) - set(current))]
    for name in sorted(set(current) & set(locked)):
        for key in sorted(set(current[name]) | set(locked[name])):
            if current[name].get(key) != locked[name].get(key):
                stale.append(f"{name}.{key}: locked {locked[name].get(key)!r}, now {current[name].get(key)!r}")
    if image and locked_image and image != locked_image:
        stale.append(f"runner.image: locked {locked_image!r}, now {image!r}")
    return stale
