"""A database that is damaged or gone is made again from the manifests in the store: what was installed is not lost.

The queue is: what waited must be asked for again. The damaged files are kept aside, for whoever wants to look.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hive_runner.frozen import frozen, replace

from hive import installed, manifest
from hive.db import Database, locked
from hive.errors import DamagedDatabase, RequestError, StoreError
from hive.launch import take_supervisor_lock
from hive.model import Artifact, Package
from hive.paths import Home
from hive.recipe import read_recipe
from hive.store import MANIFEST, Store, fsync

COMPANIONS = ("", "-wal", "-shm", "-journal")
PATIENCE_S = 20.0  # with a supervisor: it ends when it meets the damage itself


@frozen
class Rebuilt:
    """What a new database was made of."""

    packages: tuple[Package, ...]
    kept: Path | None  # where the damaged one lies; None if there was none


def refuse_lost(home: Home) -> None:
    """Raises DamagedDatabase if there is no database (or nothing in it), and the store says that there was one."""
    try:
        if home.database.stat().st_size:
            return
    except (FileNotFoundError, NotADirectoryError):
        pass
    if next(home.store.glob(f"*/{MANIFEST}"), None):
        raise DamagedDatabase(f"{home.database} is gone", "the store still holds what was installed", "hive verify")


def is_sound(home: Home) -> bool:
    """Whether the database is there and SQLite finds nothing wrong with it."""
    try:
        refuse_lost(home)
        db = Database(home.database, readonly=True)
        try:
            db.check()
        finally:
            db.close()
    except DamagedDatabase:
        return False
    return True


def rebuild(home: Home, store: Store) -> Rebuilt | None:
    """Put a new database in the place of a damaged one; None if it is sound, as after another's rebuild.

    Killed at any moment it leaves a damaged database, none, or the new one. Raises StoreError.
    """
    try:
        with _no_supervisor(home), locked(home.database):
            return None if is_sound(home) else _replace(home, store)
    except OSError as error:
        raise StoreError(f"cannot rebuild {home.database}", error.strerror or str(error)) from error


@contextmanager
def _no_supervisor(home: Home) -> Iterator[None]:
    """None works on with what is put aside. Raises StoreError."""
    deadline = time.monotonic() + PATIENCE_S
    while (lock := take_supervisor_lock(home)) is None:
        if time.monotonic() > deadline:
            raise StoreError(
                f"cannot rebuild {home.database} now", "a supervisor is at work", "try again when it has left"
            )
        time.sleep(0.1)
    try:
        yield
    finally:
        os.close(lock)


def _replace(home: Home, store: Store) -> Rebuilt:
    with store.stage() as folder:  # swept if this is interrupted
        fresh = Database(folder / home.database.name)
        _fill(fresh, store, _last_job(home))
        packages = installed.packages(fresh)
        fresh.close()
        kept = _put_aside(home)
        os.rename(fresh.path, home.database)
        fsync(home.root)
    return Rebuilt(tuple(packages), kept)


def _fill(db: Database, store: Store, last_job: int) -> None:
    """Of each name the artifact that was stored last is the one installed: as asked for, so that none is removed."""
    found = [artifact for digest in store.digests() if (artifact := _artifact(store, digest))]
    newest = {artifact.name: artifact for artifact in sorted(found, key=lambda each: each.created_at)}
    with db.write():
        for artifact in found:
            installed.record_artifact(db, artifact)
        for name, artifact in sorted(newest.items()):
            installed.install(db, name, artifact.version, artifact.digest, False)
        db.run("jobs.number_from", last=last_job)


def _artifact(store: Store, digest: str) -> Artifact | None:
    """What a stored artifact says of itself, None if its manifest is damaged."""
    facts = store.sound_manifest(digest)
    if facts is None:
        return None
    folder = store.path(digest)
    size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    for metrics in (_metrics(folder), []):  # without figures, if these are damaged
        with suppress(ValueError):
            made = manifest.artifact(digest, size_bytes, facts, metrics, (folder / MANIFEST).stat().st_mtime)
            return replace(made, depends=_depends(folder))
    return None


def _depends(folder: Path) -> tuple[str, ...]:
    """What the recipe in an artifact needs; nothing where that cannot be read any more."""
    try:
        return read_recipe(folder / "recipe", "installed").depends
    except RequestError:
        return ()


def _metrics(folder: Path) -> list[Any]:
    try:
        metrics = json.loads((folder / manifest.METRICS).read_text())
    except (OSError, ValueError):
        return []
    return metrics if isinstance(metrics, list) else []


def _last_job(home: Home) -> int:
    """New jobs are numbered from here on: in the folders of the old ones may be results, and runs at work."""
    return max((int(path.name) for path in (home.root / "jobs").iterdir() if path.name.isdecimal()), default=0)


def _put_aside(home: Home) -> Path | None:
    """The damaged database goes, and all that SQLite would read with the new one."""
    kept = home.root / "damaged" / time.strftime("%Y%m%d-%H%M%S")
    for end in COMPANIONS:
        path = home.database.with_name(home.database.name + end)
        if path.exists():
            kept.mkdir(parents=True, exist_ok=True)
            os.replace(path, kept / path.name)
    return kept if kept.exists() else None
