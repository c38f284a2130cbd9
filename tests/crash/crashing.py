"""What crash tests do to a home, and what must hold of it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from engine import IN_CI
from hive_cli import RECIPES, HiveCli, kill, until, wait_gone

from hive import installed, queue
from hive.launch import take_supervisor_lock
from hive.runners.isolation.tree import descendants
from hive.states import JobState

HERE = Path(__file__).parent
SURROUNDINGS = {
    "HIVE_SOURCES": f"{HERE / 'recipes'}{os.pathsep}{RECIPES}",
    "HIVE_CHECKPOINT_S": "0",  # at every step
}
Figure = Callable[[str, str], None]  # of the closing table: what, measured
MANY = 1_000_000
SLOW = ("--param", "steps=40", "--param", "pause_ms=50")


def lacking(package: str) -> NoReturn:
    """Skip a test that needs a tool of the system. In CI it fails instead."""
    if IN_CI:
        pytest.fail(f"no {package} here")
    pytest.skip(f"no {package}: apt-get install {package}")


@contextmanager
def no_supervisor(hive: HiveCli) -> Iterator[None]:
    """While this lasts, no supervisor can start."""
    hive.paths.create()
    lock: int = until(lambda: take_supervisor_lock(hive.paths) or 0, "the last supervisor has left", 20)
    try:
        yield
    finally:
        os.close(lock)


def queued(hive: HiveCli, *arguments: str) -> None:
    """`hive install` of it, without anybody who works on it yet."""
    with no_supervisor(hive):
        hive.ok("install", "--no-wait", *arguments)


def dying(hive: HiveCli, point: str, *program: str, mark: Path | None = None) -> int:
    """Run a program that is killed at a point; its exit code: -9, or its own if the point was never reached."""
    mark = mark or hive.cwd / "died"
    mark.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / "dying.py"), point, str(mark), *program]
    return subprocess.run(command, cwd=hive.cwd, env=hive.variables(), capture_output=True, timeout=60).returncode


def dying_supervisor(hive: HiveCli, point: str) -> int:
    return dying(hive, point, "supervise", str(hive.home))


def run_pids(hive: HiveCli) -> list[int]:
    """The processes of runs, the shims and the sandbox's own left out."""
    below = [pid for shim in hive.shims() for pid in descendants(shim)]
    return [pid for pid in below if b"hive_runner" in cmdline(pid) and b"bwrap" not in cmdline(pid)]


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def until_checkpoint(hive: HiveCli, attempt: int) -> None:
    """The attempt has written a checkpoint of its own."""
    events = hive.paths.attempt(1, attempt) / "events.jsonl"
    until(lambda: events.exists() and '"checkpoint"' in events.read_text(), f"attempt {attempt} checkpoints", 60)


def kill_and_wait(*pids: int) -> None:
    for pid in pids:
        kill(pid, signal.SIGKILL)
    for pid in pids:
        wait_gone(pid)


def digest(hive: HiveCli, name: str = "counter") -> str:
    package = installed.find(hive.service().db, name)
    assert package is not None, f"{name} is not installed"
    return package.artifact


def check_whole(hive: HiveCli, jobs: int = 1, failed: int = 0) -> None:
    """Nothing lost, nothing doubled, nothing damaged, nothing half-done left over, nobody at work."""
    service = hive.service()
    db, all_jobs = service.db, queue.newest(service.db, MANY)
    ended = [job.state for job in all_jobs]
    assert (ended.count(JobState.SUCCEEDED), ended.count(JobState.FAILED), len(ended)) == (jobs, failed, jobs + failed)
    packages = installed.packages(db)
    assert len({package.name for package in packages}) == len(packages)
    verified = hive("verify")
    assert verified.code == 0, verified
    for artifact in installed.artifacts(db):
        assert not service.store.verify(artifact.digest)
    stored = {path.name for path in hive.paths.store.iterdir()}
    assert stored == {artifact.digest.removeprefix("sha256:") for artifact in installed.artifacts(db)}
    assert db.connection.execute("PRAGMA integrity_check").fetchone() == {"integrity_check": "ok"}
    for job in all_jobs:
        successes = [event for event in queue.events(db, job.id) if event.event == "succeed"]
        assert len(successes) == (job.state is JobState.SUCCEEDED), f"job {job.id} succeeded {len(successes)} times"
        open_ended = [attempt for attempt in queue.attempts(db, job.id) if not attempt.ended_at]
        assert not open_ended
    until(lambda: not hive.supervisors(), "the supervisor has left", 20)
    assert not hive.shims()
    assert list(hive.paths.staging.iterdir()) == []


def check(hive: HiveCli, where: str = "") -> None:
    """Whole, but for builds that failed for want of room or of a disk that works."""
    jobs = hive.service().jobs(MANY)
    failed = [job for job in jobs if job.state is JobState.FAILED]
    for job in failed:
        assert job.failure and job.failure.kind in ("disk_full", "infrastructure", "recipe_error"), f"{job}\n{where}"
    check_whole(hive, len(jobs) - len(failed), len(failed))


def generations(hive: HiveCli) -> int:
    return int(hive.service().db.connection.execute("SELECT count(*) AS n FROM generations").fetchone()["n"])
