"""class Projects: hive.toml and hive.lock in a folder: lock what is wanted, name what is stale, find what to do."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from hive_runner.frozen import frozen

from hive import installed, pinning
from hive.db import Database
from hive.errors import LockError, NotReproducible, RequestError
from hive.index import Index
from hive.lockfile import Lock, Locked, keep_built, read_lock, render, stale_fields
from hive.model import UNKNOWN, Recipe
from hive.plan import Choices
from hive.project import PROJECT_FILE, Wanted, read_project


@frozen
class Wish:
    """A model that a sync is to install, exactly as locked."""

    model: Locked
    choices: Choices
    versions: Mapping[str, str]  # of all that it may need


class Projects:
    def __init__(self, index: Index, db: Database | None, image: str) -> None:
        """db: None before anything was ever installed. image: digest of the runner image here, "" without."""
        self.index = index
        self.db = db
        self.image = image

    def wanted(self, folder: Path) -> tuple[Wanted, ...]:
        """What hive.toml names; without one, every built-in recipe. Raises RequestError."""
        path = folder / PROJECT_FILE
        return read_project(path) if path.exists() else tuple(Wanted(name) for name in Index().names())

    def read(self, path: Path, missing_ok: bool = False) -> Lock:
        """The lock as it is; with `missing_ok` an empty one where there is none. Raises LockError."""
        return Lock(()) if missing_ok and not path.exists() else read_lock(path)

    def pin(self, folder: Path, before: Lock, loose: Collection[str] | None = ()) -> Lock:
        """The lock as it would be written now. loose: names whose versions may change, None for all.

        Raises RequestError.
        """
        wanted = self.wanted(folder)
        known = {each.name for each in wanted} | {model.name for model in before.models}
        if unknown := set(loose or ()) - known:
            raise RequestError(f"{', '.join(sorted(unknown))} is not in the lock", f"it has {', '.join(sorted(known))}")
        has_project = (folder / PROJECT_FILE).exists()
        index = self.index if has_project else Index()
        now = pinning.pin(index, wanted, before, lambda name: loose is None or name in loose, self._became)
        return keep_built(Lock(now.models, self.image), before)

    def lock(self, folder: Path, path: Path, loose: Collection[str] | None = ()) -> Lock:
        """Write the lock at `path`. Raises RequestError."""
        now = self.pin(folder, self.read(path, missing_ok=True), loose)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_text(render(now))
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise RequestError(f"cannot write {path}", error.strerror or str(error)) from error
        return now

    def check(self, folder: Path, path: Path) -> Lock:
        """The lock, if nothing of it is stale. Raises LockError naming each field that is, or that there is none."""
        locked = read_lock(path)
        try:
            now = self.pin(folder, locked)
        except RequestError as error:
            raise LockError(f"{path} is stale", f"{error.message}: {error.why}", "hive lock") from error
        if stale := stale_fields(locked, now):
            raise LockError(f"{path} is stale", "; ".join(stale), "hive lock")
        return locked

    def wishes(self, folder: Path, lock: Lock, names: Collection[str], profile: str | None) -> list[Wish]:
        """What a sync is to install: the models that the project asks for, or of them those named.

        profile: in the place of the locked one. Raises RequestError.
        """
        asked = [model for model in lock.models if not model.automatic]
        if unknown := set(names) - {model.name for model in asked}:
            raise RequestError(
                f"{', '.join(sorted(unknown))} is not in the lock", f"it has {', '.join(sorted(m.name for m in asked))}"
            )
        for model in lock.models:
            if all(release.version != model.version for release in self.index.releases(model.name)):
                raise RequestError(f"no source has {model.name} {model.version}", "the lock names it", "hive lock")
        versions = {model.name: model.version for model in lock.models}
        sources = {each.name: each for each in self.wanted(folder)}
        wishes = []
        for model in asked:
            if names and model.name not in names:
                continue
            user = sources.get(model.name)
            choices = pinning.choices_of(user) if user else Choices()
            params = {name: pinning.text_of(value) for name, value in model.params.items()}
            if profile and profile != model.profile:
                params = {}  # they were meant for the other
            wishes.append(Wish(model, Choices(profile or model.profile, params, model.seed, choices.data), versions))
        return wishes

    def strangers(self, lock: Lock) -> list[str]:
        """What is installed and not in the lock."""
        there = installed.packages(self.db) if self.db else []
        return [package.name for package in there if lock.get(package.name) is None]

    def compare(self, lock: Lock, names: Collection[str]) -> list[str]:
        """After a sync: notes on models that were built from other libraries than those in the lock.

        Raises NotReproducible for one that was built from the same, and is not the same.
        """
        notes = []
        for model in lock.models:
            package = installed.find(self.db, model.name) if self.db else None
            if self.db is None or package is None or not model.built or model.name not in names:
                continue
            made = installed.artifact(self.db, package.artifact)
            if made.build_key != model.built.get("build_key"):
                then, now = set(model.built.get("pins", ())), set(made.pins)
                other = ", ".join(sorted(now - then)) or "another profile, runner or recipe"
                notes.append(f"{model.name} was built here with {other}: its bytes may differ from those locked")
            elif made.digest != model.built.get("artifact"):
                why = f"locked {model.built.get('artifact')} ({model.built.get('determinism')}), "
                why += f"built {made.digest} ({made.determinism or UNKNOWN})"
                locked = model.built.get("libraries", {})
                if others := [name for name, held in made.libraries.items() if locked.get(name, held) != held]:
                    why += f"; of the same version but not the same: {', '.join(others)}"
                raise NotReproducible(
                    f"{model.name} is not what the lock says it becomes",
                    why,
                    f"hive rebuild {model.name} --check",
                )
        return notes

    def _became(self, model: Locked, recipe: Recipe, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """What this machine has made of a model, newest first; {} if it has not."""
        for made in reversed(installed.artifacts(self.db) if self.db else []):
            build = made.build
            data = {name: source.digest for name, source in build.data.items()}
            locked_data = {**model.packages, **({"user": model.data} if model.data else {})}
            if (
                (made.name, made.version, build.recipe_digest) == (model.name, model.version, recipe.digest)
                and (build.profile, build.seed, data) == (model.profile, model.seed, locked_data)
                and build.params == dict(params)
            ):
                return {
                    "artifact": made.digest,
                    "build_key": made.build_key,
                    "determinism": made.determinism or UNKNOWN,
                    "environment": build.environment,
                    "pins": list(made.pins),
                    **({"libraries": dict(sorted(made.libraries.items()))} if made.libraries else {}),
                }
        return {}
