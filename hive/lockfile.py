"""hive.lock: the recipes of a source, pinned. Written deterministically, friendly to diff."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path

from hive.errors import LockError
from hive.model import Recipe

FORMAT = 1


def render(recipes: Iterable[Recipe]) -> str:
    """The lock's text: per model its name, version, source, recipe digest and requirements."""
    lines = ["# Written by `hive lock`; do not edit.", f"format = {FORMAT}"]
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


def stale_fields(path: Path, recipes: Iterable[Recipe]) -> list[str]:
    """Each field in which the lock and the recipes differ, in words. Raises LockError for a missing or broken lock."""
    try:
        locked = {model["name"]: model for model in tomllib.loads(path.read_text())["model"]}
    except FileNotFoundError as error:
        raise LockError(f"there is no {path}", hint="hive lock") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LockError(f"{path} cannot be read", str(error), "hive lock writes it anew") from error
    current = {model["name"]: model for model in tomllib.loads(render(recipes)).get("model", [])}
    stale = [f"{name}: not in the lock" for name in sorted(set(current) - set(locked))]
    stale += [f"{name}: no source has it" for name in sorted(set(locked) - set(current))]
    for name in sorted(set(current) & set(locked)):
        for key in sorted(set(current[name]) | set(locked[name])):
            if current[name].get(key) != locked[name].get(key):
                stale.append(f"{name}.{key}: locked {locked[name].get(key)!r}, now {current[name].get(key)!r}")
    return stale
