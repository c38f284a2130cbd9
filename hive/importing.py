"""`hive import`: the models of a bundle, installed.

What comes in is proven (bundle.py) in staging; only then is there one rename an artifact and one transaction.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from hive_runner.frozen import frozen, replace

from hive import installed
from hive.bundle import BadBundle, Bundle, Meter, Progress, opened
from hive.db import Database
from hive.errors import NoCapacity, StoreError
from hive.model import Artifact, Package
from hive.store import Store


@frozen
class Arrival:
    """What becomes, or would become, of a model in a bundle."""

    action: str  # "install" | "replace": another build is installed | "keep": installed already | "store": kept beside
    artifact: Artifact
    automatic: bool  # there because another model of the bundle needs it
    before: Package | None  # what is installed under the name
    why: str = ""  # a model that was asked for is only stored: who would have needs that nothing meets


def receive(db: Database, store: Store, path: Path, on_progress: Progress, free_bytes: int) -> list[Arrival]:
    """Prove a bundle, store its artifacts and install them in one generation.

    Raises BadBundle, DamagedBundle, GateRefused, NoCapacity, StoreError; then nothing has changed.
    """
    try:
        with opened(path) as bundle, ExitStack() as stages:
            if bundle.total_bytes > free_bytes:
                raise NoCapacity(
                    f"there is no room for {path.name}", f"it takes {bundle.total_bytes:,} bytes of {free_bytes:,}",
                    "make room, or set HIVE_HOME to a folder on another disk",
                )  # fmt: skip
            check_complete(db, store, bundle)  # what cannot be installed need not be copied
            store.sweep()  # of what killed imports have left
            staged, meter = [], Meter(bundle.total_bytes, on_progress)
            for packed in bundle.models:
                stage = stages.enter_context(store.stage())
                bundle.unpack(packed, stage, meter)
                staged.append((stage, packed.artifact))
            for stage, artifact in staged:
                store.keep(stage, artifact.digest)
            return record(db, store, bundle)
    except OSError as error:
        raise StoreError(
            f"{path.name} was not imported", f"{error.filename or path}: {error.strerror or error}",
            "check permissions and disks",
        ) from error  # fmt: skip


def inspect(db: Database | None, store: Store, path: Path, on_progress: Progress) -> list[Arrival]:
    """What `receive` would do, with every digest proven and nothing written to the store. Raises as it would."""
    try:
        with opened(path) as bundle:
            check_complete(db, store, bundle)
            meter = Meter(bundle.total_bytes, on_progress)
            for packed in bundle.models:
                with tempfile.TemporaryDirectory(prefix="hive-") as stage:
                    bundle.unpack(packed, Path(stage), meter, only="recipe/")
            return plan(db, bundle)
    except OSError as error:
        raise StoreError(f"{path.name} cannot be read", error.strerror or str(error)) from error


def check_complete(db: Database | None, store: Store, bundle: Bundle) -> None:
    """Raises BadBundle if a model lacks what it was built on."""
    keys = {packed.artifact.build_key for packed in bundle.models}
    for packed in bundle.models:
        for name, key in packed.artifact.build.dependencies.items():
            here = installed.artifact_by_key(db, key) if db and key not in keys else None
            if key not in keys and (here is None or not store.has(here.digest)):
                why = "it was built on it, and the bundle does not hold it"
                raise BadBundle(f"{packed.artifact.name} lacks {name}", why)


def plan(db: Database | None, bundle: Bundle) -> list[Arrival]:
    """What is to become of each model of a bundle that is unpacked, and of what is here and has to make way.

    Where what is active meets the needs of what arrives, it stays.
    """
    arriving = [replace(each.artifact, depends=bundle.depends[each.artifact.digest]) for each in bundle.models]
    needed = {key for each in arriving for key in each.build.dependencies.values()}
    asked_for = [each for each in arriving if each.build_key not in needed]
    if db is None:
        return [Arrival("install", each, each not in asked_for, None) for each in arriving]
    chosen: dict[str, Artifact] = {}
    refusals: dict[str, str] = {}
    for each in asked_for:
        chosen, refusals[each.name] = installed.active_with(db, each, chosen, arriving)
    arrivals = []
    for each in (*arriving, *(heir for heir in chosen.values() if heir not in arriving)):
        before = installed.find(db, each.name)
        if before and before.artifact == each.digest:
            action = "keep"
        elif chosen.get(each.name) is not each:
            action = "store"
        else:
            action = "replace" if before else "install"
        arrivals.append(Arrival(action, each, each not in asked_for, before, refusals.get(each.name, "")))
    return arrivals


def record(db: Database, store: Store, bundle: Bundle) -> list[Arrival]:
    """Artifacts, packages and their generation, in one transaction: planned in it, so that nothing changes between."""
    with db.write():
        arrivals, chosen = plan(db, bundle), []
        for arrival in arrivals:
            artifact, before = arrival.artifact, arrival.before
            if not store.has(artifact.digest):  # gc takes what is on no record
                raise StoreError(f"{artifact.name} was not imported", "hive gc ran at the same moment", "import again")
            installed.record_artifact(db, artifact)
            asked_for_now = before is not None and before.automatic and not arrival.automatic
            if arrival.action in ("install", "replace") or (arrival.action == "keep" and asked_for_now):
                chosen.append((artifact.name, artifact.version, artifact.digest, arrival.automatic))
        if chosen:
            installed.put(db, "import " + " ".join(f"{name} {version}" for name, version, *_ in chosen), chosen)
    return arrivals
