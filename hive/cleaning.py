"""What of HIVE_HOME may go. `survey` looks, `may_go` decides, `remove` removes; `clean` does so while others work.

Three kinds of things can be made again or are of no more use: what jobs that are over have left behind, what killed
commands have left half done, and old logs. Installed artifacts and recipe snapshots are none of them.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from hive_runner.frozen import frozen, replace

from hive import locks, queue
from hive.db import Database
from hive.errors import RequestError, StoreError
from hive.launch import take_supervisor_lock
from hive.model import Job
from hive.paths import Home
from hive.runners.base import LOCK_FILE

# Of what is named in no database: so young it may just be in the making.
SETTLED_S = 600.0
SUPERVISORS = ("staging", "log")  # kinds of leftovers that a supervisor may be writing
KEY = re.compile(r"[a-f0-9]{64}")
UNIQUE = re.compile(r"[a-f0-9]{32}")


@frozen
class Leftover:
    """Something in HIVE_HOME that may be of no more use."""

    kind: str  # "job" | "checkpoints" | "lost job" | "lost checkpoints" | "half removed" | "run" | "snapshot stage"
    # | "staging" | "damaged" | "log"
    path: Path
    size_bytes: int  # on disk
    changed_at: float  # seconds since the epoch
    job: Job | None = None
    held: bool = False  # a lock says that somebody works with it

    @property
    def label(self) -> str:
        if self.job:
            return f"{'checkpoints of ' * (self.kind == 'checkpoints')}job {self.job.id} ({self.job.name})"
        return f"{self.kind} {self.path.name[:16]}"

    @property
    def why(self) -> str:
        if self.job:
            saved = "another try would go on from there" if self.kind == "checkpoints" else "its logs"
            return f"{self.job.state}: {saved}"
        return {
            "lost job": "in no database",
            "lost checkpoints": "in no database",
            "half removed": "the command was killed",
            "run": "the command was killed",
            "snapshot stage": "the command was killed",
            "staging": "the supervisor or an import was killed",
            "damaged": "replaced by a whole one",
            "log": "of a supervisor that has left",
        }[self.kind]


def may_go(found: Leftover, older_than_s: float, now: float) -> bool:
    """Whether nobody needs it. older_than_s: how long a person may want to look at it. now: seconds since the epoch."""
    if found.held:
        return False
    if found.kind in ("job", "checkpoints"):
        job = found.job
        return job is not None and job.state.is_over and now - (job.finished_at or now) >= older_than_s
    if found.kind in ("log", "damaged"):
        return now - found.changed_at >= older_than_s
    return now - found.changed_at >= SETTLED_S


def clean(
    home: Home, db: Database | None, older_than_s: float, dry_run: bool, launch: Callable[[], None]
) -> list[Leftover]:
    """Remove what nobody needs; what was removed, or with dry_run would be.

    db: None if there is none yet. launch: see to it that a supervisor works. Raises StoreError.
    """
    now = time.time()
    found = [each for each in survey(home, db) if may_go(each, older_than_s, now)]
    if dry_run or not found:
        return found
    ours = [each for each in found if each.kind not in SUPERVISORS]
    gone = [each for each in ours if _clear_away(db, each, older_than_s, now)]
    theirs = [each for each in found if each.kind in SUPERVISORS]
    lock = take_supervisor_lock(home) if theirs else None
    if lock is None:  # a supervisor may be writing them
        return gone
    try:
        for each in theirs:
            _clear_away(db, each, 0, 0)
    finally:
        os.close(lock)
    if db and (queue.running(db) or queue.anything_waits(db)):
        launch()  # who queued something meanwhile found the lock held, and started no supervisor
    return gone + theirs


def _clear_away(db: Database | None, found: Leftover, older_than_s: float, now: float) -> bool:
    """Remove one thing; False if it is needed by now."""
    path: Path | None = found.path
    try:
        if found.job and db:
            with db.undisturbed():  # between look and rename nobody can ask for another try of it
                of_build = found.kind == "checkpoints"
                job = queue.newest_build(db, found.job.build_key) if of_build else queue.get(db, found.job.id)
                path = set_aside(found.path) if may_go(replace(found, job=job), older_than_s, now) else None
        if path is None:
            return False
        remove(path)
    except OSError as error:
        raise StoreError(f"cannot remove {path}", error.strerror or str(error), "check its permissions") from error
    return True


def survey(home: Home, db: Database | None) -> Iterator[Leftover]:
    """Everything that may be of no more use, with what `may_go` wants to know. db: None if there is none yet."""
    supervised = locks.is_held(home.supervisor_lock)
    for folder in _entries(home.root / "jobs"):
        if folder.name.isdecimal():
            job = _job_if_known(db, int(folder.name))  # in this order: it is recorded first
            yield _leftover("job" if job else "lost job", folder, _is_at_work(folder), job)
        elif UNIQUE.fullmatch(folder.name[1:]):
            yield _leftover("half removed", folder)
    for folder in _entries(home.root / "checkpoints"):
        if KEY.fullmatch(folder.name):
            job = queue.newest_build(db, folder.name) if db else None
            held = job is not None and _is_at_work(home.job(job.id))
            yield _leftover("checkpoints" if job else "lost checkpoints", folder, held, job)
        elif UNIQUE.fullmatch(folder.name[1:]):
            yield _leftover("half removed", folder)
    for folder in _entries(home.root / "runs"):
        yield _leftover("run", folder, locks.is_held(folder / LOCK_FILE))
    for folder in _entries(home.snapshots):
        if folder.name.startswith(".") and UNIQUE.fullmatch(folder.name[1:]):
            yield _leftover("snapshot stage", folder)
    for folder in _entries(home.staging):
        if UNIQUE.fullmatch(folder.name):
            yield _leftover("staging", folder, supervised or locks.is_held(folder))
        elif folder.name.startswith("damaged-"):
            yield _leftover("damaged", folder)
    if home.supervisor_log.is_file() and home.supervisor_log.stat().st_size:
        yield _leftover("log", home.supervisor_log, supervised)


def _job_if_known(db: Database | None, job_id: int) -> Job | None:
    if db:
        with suppress(RequestError):
            return queue.get(db, job_id)
    return None


def _is_at_work(folder: Path) -> bool:
    """Whether an attempt of the job with this folder is."""
    return any(locks.is_held(lock) for lock in folder.glob(f"*/{LOCK_FILE}"))


def set_aside(path: Path) -> Path | None:
    """Rename a folder to where nobody looks for it and `survey` finds it; None if there is none. Raises OSError."""
    aside = path.with_name(f".{os.urandom(16).hex()}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return None
    return aside


def remove(path: Path) -> None:
    """Remove a file or a folder, of which a run may have made parts unwritable. Links are not followed.

    Raises OSError for what cannot be removed; what another has removed meanwhile is no error.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    for parent, folders, _ in os.walk(path):
        for name in folders:
            place = os.path.join(parent, name)
            if not os.path.islink(place):
                with suppress(OSError):
                    os.chmod(place, 0o700)
    shutil.rmtree(path, onerror=_refuse_all_but_absence)


def _refuse_all_but_absence(function: object, path: str, reason: tuple[object, BaseException, object]) -> None:
    if not isinstance(reason[1], FileNotFoundError):
        raise reason[1]


def disk_bytes(path: Path) -> int:
    """What `path` and all below it take on disk, links not followed."""
    total = 0
    with suppress(OSError):
        total = path.lstat().st_blocks * 512
    for parent, folders, files in os.walk(path):
        for name in (*folders, *files):
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
    return total


def _leftover(kind: str, path: Path, held: bool = False, job: Job | None = None) -> Leftover:
    changed_at = 0.0
    with suppress(OSError):
        changed_at = path.lstat().st_mtime
    return Leftover(kind, path, disk_bytes(path), changed_at, job, held)


def _entries(folder: Path) -> list[Path]:
    """The folders in a folder, job 2 before job 10."""
    try:
        found = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
        return sorted(found, key=lambda path: (len(path.name), path.name))
    except OSError:
        return []
