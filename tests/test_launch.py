"""A supervisor that is launched loads at once, and looks at the queue when its launcher has begun what it could."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hive_cli import until

from hive import locks
from hive.db import Database
from hive.launch import launch, supervisor_runs, take_supervisor_lock
from hive.paths import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """With a database: a supervisor takes its absence for a loss."""
    home = Home(tmp_path / "home")
    home.create()
    Database(home.database).close()
    return home


def opened(pid: int, path: Path) -> bool:
    return any(os.readlink(entry.path) == str(path) for entry in os.scandir(f"/proc/{pid}/fd"))


def test_a_supervisor_touches_nothing_before_it_may(home: Home) -> None:
    lock = take_supervisor_lock(home)
    assert lock is not None
    may_go, begun = os.pipe()
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "hive.supervise", str(home.root), str(lock), str(may_go)], pass_fds=(lock, may_go)
    )
    os.close(lock)
    os.close(may_go)
    waits_in = Path(f"/proc/{supervisor.pid}/wchan")
    until(lambda: "pipe" in waits_in.read_text(), "it waits for its launcher", 60)
    assert not opened(supervisor.pid, home.database)
    assert supervisor.poll() is None and supervisor_runs(home)
    os.close(begun)
    assert supervisor.wait(60) == 0
    assert not supervisor_runs(home)


def test_the_launcher_begins_while_it_holds_the_lock_and_lets_go_of_it(home: Home) -> None:
    held = []
    assert launch(home, lambda: held.append(locks.is_held(home.supervisor_lock)))
    assert held == [True]
    until(lambda: not supervisor_runs(home), "the supervisor has found nothing to do", 60)


def test_a_failed_beginning_is_the_supervisors_to_meet(home: Home) -> None:
    def fail() -> None:
        raise OSError("no room")

    assert launch(home, fail)
    until(lambda: not supervisor_runs(home), "the supervisor has looked for itself", 60)
    assert "gave up" not in home.supervisor_log.read_text()


def test_who_finds_the_lock_held_begins_nothing(home: Home) -> None:
    lock = take_supervisor_lock(home)
    assert lock is not None
    begun: list[bool] = []
    assert not launch(home, lambda: begun.append(True))
    assert not begun
    os.close(lock)
