"""hive.lock: models pinned by version, recipe and choices, and what they became. Deterministic, friendly to diff.

Of a model two kinds of facts are told apart. What it is to be (version, recipe, parameters, data) is compared with what
the sources have now, and can be stale. What it became where it was built (libraries, build key, artifact) is the record
of one machine: kept while the first kind stays the same, and compared after a sync.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hive_runner.frozen import field, frozen, replace

from hive.errors import LockError

FORMAT = 1


@frozen
class Locked:
    """One model of a lock."""

    name: str
    version: str
    source: str
    recipe: str  # digest
    requirements: tuple[str, ...]  # of libraries
    profile: str = "standard"
    seed: int = 0
    params: Mapping[str, Any] = field(default_factory=dict)  # that differ from the profile's
    data: str = ""  # digest of the user's own
    packages: Mapping[str, str] = field(default_factory=dict)  # data package -> its digest
    depends: Mapping[str, str] = field(default_factory=dict)  # name -> version of the models that it is built on
    automatic: bool = False  # locked because another needs it
    built: Mapping[str, Any] = field(default_factory=dict)  # artifact, build_key, environment, pins, determinism, ...

    @property
    def wanted(self) -> dict[str, Any]:
        """What it is to be, as far as that is not the default."""
        facts: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "source": self.source,
            "recipe": self.recipe,
            "requirements": sorted(self.requirements),
        }
        usual: dict[str, Any] = {"profile": "standard", "seed": 0, "params": {}, "data": "", "packages": {}}
        usual |= {"depends": {}, "automatic": False}
        return facts | {key: getattr(self, key) for key, value in usual.items() if getattr(self, key) != value}


@frozen
class Lock:
    models: tuple[Locked, ...]  # by name
    image: str = ""  # digest of the runner image, "" where there was none

    def get(self, name: str) -> Locked | None:
        return next((model for model in self.models if model.name == name), None)


def render(lock: Lock) -> str:
    """The text of the file."""
    lines = ["# Written by `hive lock`; do not edit.", f"format = {FORMAT}"]
    if lock.image:
        lines += ["", "[runner]", f"image = {_value(lock.image)}"]
    for model in sorted(lock.models, key=lambda each: each.name):
        lines += ["", "[[model]]", *_lines(model.wanted)]
        if model.built:
            libraries = model.built.get("libraries", {})
            lines += ["[model.built]", *_lines({k: v for k, v in model.built.items() if k != "libraries"})]
            lines += ["[model.built.libraries]", *_lines(libraries)] if libraries else []
    return "\n".join(lines) + "\n"


def read_lock(path: Path) -> Lock:
    """Raises LockError for a file that is missing, broken or of a newer hive."""
    try:
        document = tomllib.loads(path.read_text())
        if document["format"] > FORMAT:
            raise LockError(
                f"{path} was written by a newer hive", f"its format is {document['format']}", "upgrade hive"
            )
        models = [
            Locked(**{**model, "requirements": tuple(model["requirements"]), "built": _built(model.get("built", {}))})
            for model in document.get("model", [])
        ]
        return Lock(tuple(models), str(document.get("runner", {}).get("image", "")))
    except FileNotFoundError as error:
        raise LockError(f"there is no {path}", hint="hive lock") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LockError(f"{path} cannot be read", str(error), "hive lock writes it anew") from error


def _built(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: dict(value) if key == "libraries" else value for key, value in facts.items()}


def keep_built(new: Lock, old: Lock) -> Lock:
    """What models became stays on record while what they are to be is the same; so does the image of elsewhere."""
    kept = []
    for model in new.models:
        before = old.get(model.name)
        same = before is not None and before.wanted == model.wanted
        kept.append(replace(model, built=before.built) if same and before and not model.built else model)
    return Lock(tuple(kept), new.image or old.image)


def stale_fields(locked: Lock, now: Lock) -> list[str]:
    """Each field in which a lock and what the sources and the project have now differ, in words.

    An image is compared where both sides have one: a lock made elsewhere says nothing of it.
    """
    old, new = ({model.name: model.wanted for model in lock.models} for lock in (locked, now))
    stale = [f"{name}: not in the lock" for name in sorted(set(new) - set(old))]
    stale += [f"{name}: not wanted any more, or no source has it" for name in sorted(set(old) - set(new))]
    for name in sorted(set(new) & set(old)):
        for key in sorted(set(new[name]) | set(old[name])):
            if new[name].get(key) != old[name].get(key):
                stale.append(f"{name}.{key}: locked {old[name].get(key)!r}, now {new[name].get(key)!r}")
    if now.image and locked.image and now.image != locked.image:
        stale.append(f"runner.image: locked {locked.image!r}, now {now.image!r}")
    return stale


def _lines(facts: Mapping[str, Any]) -> Iterable[str]:
    return (f"{key} = {_value(value)}" for key, value in facts.items())


def _value(value: Any) -> str:
    """A TOML value on one line. What JSON writes of texts, numbers, truths and lists is TOML too."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_value(each)}" for key, each in sorted(value.items())) + " }"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
