"""class Upkeep: use cases that look back and make room: history, rollback, collection, disk use, repair."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hive_runner.frozen import frozen

from hive import datasets, garbage, generations, installed, manifest, queue
from hive.cleaning import disk_bytes, remove
from hive.db import Database
from hive.errors import StoreError
from hive.garbage import Garbage
from hive.mending import mend
from hive.model import Artifact, Build, Generation, Package
from hive.paths import Home
from hive.store import Damage, Store


@frozen
class Collected:
    garbage: Garbage
    data: tuple[str, ...]  # data packages that nothing was trained on, by file name
    freed_bytes: int  # on disk


@frozen
class Holding:
    """An artifact in the store, and who holds it there."""

    artifact: Artifact
    disk_bytes: int
    is_installed: bool
    generations: tuple[int, ...]


@frozen
class DiskUse:
    """What HIVE_HOME takes on disk."""

    holdings: tuple[Holding, ...]
    parts: dict[str, int]  # what -> bytes, the store left out
    free_bytes: int
    collectable_bytes: int  # hive gc would free


@frozen
class Repaired:
    package: Package
    damage: tuple[Damage, ...]  # found before
    lacking: tuple[str, ...]  # files of which no copy was found: only building anew helps


class Upkeep:
    def __init__(self, home: Home, db: Database, store: Store) -> None:
        self.home = home
        self.db = db
        self.store = store

    # -- generations

    def history(self) -> list[Generation]:
        """Oldest first."""
        return generations.generations(self.db)

    def preview(self, to: int | None) -> tuple[int, list[str]]:
        """What `roll_back` would do: the generation gone back to, and what that changes, in words.

        Raises RequestError where there is nothing to go back to.
        """
        target = generations.target(self.db, to)
        there = installed.packages(self.db)
        return target, list(generations.changes(there, generations.contents(self.db, target)))

    def roll_back(self, to: int | None) -> int:
        """Go back to generation `to`, else to the one before; the number of the new generation, which equals it.

        Raises RequestError where there is none, StoreError if the store has lost part of it.
        """
        target = generations.target(self.db, to)
        with self.db.write():
            lost = [p for p in generations.contents(self.db, target) if not self.store.has(p.artifact)]
            if lost:
                names = ", ".join(f"{p.name} {p.version}" for p in lost)
                raise StoreError(
                    f"cannot go back to generation {target}", f"the store has lost {names}", "hive verify; hive repair"
                )
            return generations.roll_back(self.db, target)

    # -- room

    def collect(self, older_than_s: float | None, dry_run: bool) -> Collected:
        """Remove from the store what no generation and no build needs.

        older_than_s: first forget the generations that were replaced longer ago. Raises StoreError.
        """
        before = None if older_than_s is None else time.time() - older_than_s
        if dry_run:
            found = garbage.find(self.db, self.store, before)
            data = self._data(gone=found.artifacts)
            return Collected(found, _names(data), self._bytes_of(found) + sum(map(disk_bytes, data)))
        found, moved = garbage.collect(self.db, self.store, before)
        data = self._data()
        names, freed = _names(data), sum(map(disk_bytes, [*moved, *data]))
        for place in [*moved, *data]:
            _remove(place)
        return Collected(found, names, freed)

    def _data(self, gone: Sequence[Artifact] = ()) -> list[Path]:
        """The data packages that nothing in the store was trained on, what is `gone` left out, and nothing queued."""

        def builds() -> Iterator[Build]:
            left_out = {artifact.digest for artifact in gone}
            yield from (each.build for each in installed.artifacts(self.db) if each.digest not in left_out)
            yield from (job.build for job in (*queue.running(self.db), *queue.waiting(self.db, limit=1 << 30)))

        return datasets.strays(self.home.data, builds)

    def disk_use(self) -> DiskUse:
        """What each artifact and each part of HIVE_HOME takes."""
        active = {package.artifact for package in installed.packages(self.db)}
        held: dict[str, list[int]] = {}
        for row in self.db.all("packages.holders"):
            held.setdefault(row["artifact"], []).append(row["generation"])
        holdings = [
            Holding(
                artifact, disk_bytes(self.store.path(artifact.digest)), artifact.digest in active,
                tuple(held.get(artifact.digest, ())),
            )
            for artifact in installed.artifacts(self.db)
        ]  # fmt: skip
        root = self.home.root
        parts = {
            "logs of builds": disk_bytes(root / "jobs"),
            "checkpoints": disk_bytes(root / "checkpoints"),
            "runner environments": disk_bytes(root / "environments"),
            "data packages": disk_bytes(self.home.data),
            "recipe snapshots": disk_bytes(self.home.snapshots),
            "staging": disk_bytes(self.home.staging),
            "database": sum(disk_bytes(path) for path in root.glob("hive.*")),
        }
        found = garbage.find(self.db, self.store, None)
        collectable = self._bytes_of(found) + sum(map(disk_bytes, self._data(gone=found.artifacts)))
        return DiskUse(tuple(holdings), parts, shutil.disk_usage(root).free, collectable)

    def _bytes_of(self, found: Garbage) -> int:
        return sum(disk_bytes(self.store.path(digest)) for digest in found.digests)

    # -- repair

    def repair(self, packages: list[Package]) -> Iterator[Repaired]:
        """Make the damaged among `packages` whole from copies of their files; those found damaged."""
        for package in packages:
            damage = self.store.verify(package.artifact)
            if damage:
                artifact = installed.artifact(self.db, package.artifact)
                facts = manifest.facts(artifact.build, artifact.pins, artifact.real)
                lacking = mend(self.store, artifact.digest, facts, self._copies(artifact))
                yield Repaired(package, tuple(damage), tuple(lacking))

    def _copies(self, artifact: Artifact) -> Iterator[Path]:
        """Folders that may hold copies of an artifact's files, the likeliest first."""
        for other in installed.artifacts(self.db):
            if other.digest != artifact.digest:
                yield self.store.path(other.digest)
        yield self.home.staging
        yield self.home.snapshots


def _names(data: list[Path]) -> tuple[str, ...]:
    return tuple(file.name for folder in data for file in sorted(folder.iterdir()) if file.name != datasets.LOCK)


def _remove(place: Path) -> None:
    try:
        remove(place)
    except OSError as error:
        raise StoreError(f"cannot remove {place}", error.strerror or str(error), "check its permissions") from error
