"""What of the store nobody needs any more: artifacts that no generation holds, and folders that are on no record.

An artifact leaves in two steps. First its record, in one transaction that looks again at who needs it; then its folder,
while nobody writes to the database. Whoever is about to record an artifact looks inside that transaction whether its
folder is there (publish.py, service.py), so that none is recorded that has just gone. A crash between the steps leaves
a folder on no record, which the next collection takes.
"""

from __future__ import annotations

import os
from pathlib import Path

from hive_runner.frozen import frozen

from hive import generations
from hive.db import Database
from hive.installed import artifact_of
from hive.model import Artifact
from hive.store import DIGEST, Store


@frozen
class Garbage:
    """What a collection takes."""

    generations: tuple[int, ...]  # forgotten
    artifacts: tuple[Artifact, ...]
    strays: tuple[str, ...]  # digests of folders on no record

    @property
    def digests(self) -> tuple[str, ...]:
        """Of all that leaves the store."""
        return (*(artifact.digest for artifact in self.artifacts), *self.strays)


class _OnlyLooking(Exception):
    pass


def find(db: Database, store: Store, forget_before: float | None) -> Garbage:
    """What `collect` would take. Changes nothing."""
    found = Garbage((), (), ())
    try:
        with db.write():
            found = _drop_records(db, store, forget_before)
            raise _OnlyLooking
    except _OnlyLooking:
        return found


def collect(db: Database, store: Store, forget_before: float | None) -> tuple[Garbage, list[Path]]:
    """Take what nobody needs out of the store.

    forget_before: generations that were replaced before this moment (s since the epoch) are forgotten first.
    Returns what it took, and where the folders now lie, to be removed at leisure; a supervisor sweeps them too.
    """
    with db.write():
        found = _drop_records(db, store, forget_before)
    moved = []
    with db.undisturbed():
        for digest in _strays(db, store):
            place = store.staging / os.urandom(16).hex()
            folder = store.path(digest)
            folder.chmod(0o700)
            os.rename(folder, place)
            moved.append(place)
    return found, moved


def _drop_records(db: Database, store: Store, forget_before: float | None) -> Garbage:
    strays = tuple(_strays(db, store))
    old = generations.forget(db, forget_before) if forget_before is not None else []
    unneeded = [artifact_of(row) for row in db.all("packages.unneeded")]
    for artifact in unneeded:
        db.run("packages.drop_artifact", digest=artifact.digest)
    return Garbage(tuple(old), tuple(unneeded), strays)


def _strays(db: Database, store: Store) -> list[str]:
    known = {row["digest"] for row in db.all("packages.artifacts")}
    try:
        names = sorted(os.listdir(store.folder))
    except FileNotFoundError:
        return []
    return [digest for name in names if DIGEST.fullmatch(digest := f"sha256:{name}") and digest not in known]
