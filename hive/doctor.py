"""What hive finds on this machine, and what would be better."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from hive import db, machine
from hive.model import Backend
from hive.paths import Home


@dataclass(frozen=True)
class Check:
    name: str
    status: str  # "ok" | "note" | "problem"
    found: str
    hint: str = ""


def examine(home: Home, backends: Sequence[Backend], supervisor: bool, recipes: int) -> list[Check]:
    """Every check, each independent of the others."""
    return [
        Check("python", "ok", f"{sys.version.split()[0]} in {sys.prefix}"),
        _home(home),
        _disk(home),
        _sqlite(home),
        _machine(),
        *map(_backend, backends),
        _isolation(backends),
        Check("supervisor", "ok", "running" if supervisor else "not running (it starts when there is work)"),
        Check("recipes", "ok" if recipes else "problem", f"{recipes} found"),
        _training(),
    ]


def _home(home: Home) -> Check:
    above = next(path for path in (home.root, *home.root.parents) if path.exists())
    try:
        with tempfile.TemporaryDirectory(prefix=".hive-", dir=above):
            return Check("home", "ok", f"{home.root}{'' if home.root.exists() else ' (not made yet)'}")
    except OSError:
        return Check("home", "problem", f"{home.root} cannot be written to", "set HIVE_HOME to another folder")


def _disk(home: Home) -> Check:
    above = next(path for path in (home.root, *home.root.parents) if path.exists())
    free = shutil.disk_usage(above).free
    return Check("disk", "ok" if free > 5 << 30 else "problem", f"{free / 2**30:.1f} GiB free", "builds need some GiB")


def _sqlite(home: Home) -> Check:
    mode = db.journal_mode(home.database)
    why = "safe here" if mode == "wal" else (
        "no WAL: the file system is remote" if db.wal_is_safe() else "no WAL: this SQLite has the WAL-reset race"
    )  # fmt: skip
    return Check("sqlite", "ok" if mode == "wal" else "note", f"{db.LIBRARY}, journal {mode}, {why}")


def _machine() -> Check:
    cards = ", ".join(gpu.model or "NVIDIA" for gpu in machine.nvidia_gpus())
    gpu = f"{cards} (not used by the process runner)" if cards else "no GPU"
    return Check("machine", "ok", f"{machine.cores()} cores, {machine.memory_bytes() / 2**30:.0f} GiB memory, {gpu}")


def _backend(backend: Backend) -> Check:
    if backend.isolation is None:
        return Check(f"runner {backend.name}", "note", backend.unavailable)
    note = f"; {backend.isolation.note}" if backend.isolation.note else ""
    return Check(f"runner {backend.name}", "ok", f"level {backend.isolation.level}{note}")


def _isolation(backends: Sequence[Backend]) -> Check:
    usable = [backend for backend in backends if backend.isolation]
    for backend in usable:
        if backend.isolation and backend.isolation.isolates:
            return Check("isolation", "ok", f"{backend.name}: {backend.isolation}")
    notes = "; ".join(backend.isolation.note for backend in usable if backend.isolation)
    return Check("isolation", "problem", "nothing isolates a run here", notes or "install bubblewrap or Docker")


def _training() -> Check:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Check("training", "ok", f"torch {version('torch')}")
    except PackageNotFoundError:
        return Check("training", "note", "no torch here: recipes that need it get an environment of their own",
                     "pip install 'hive-models[train]'")  # fmt: skip
