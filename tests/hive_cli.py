"""The real command line in a process of its own, and what a test may do to the processes of one HIVE_HOME."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hive.config import load_settings
from hive.model import Job
from hive.paths import Home
from hive.service import Hive

REPOSITORY = Path(__file__).parent.parent
RECIPES = Path(__file__).parent / "recipes"
DEADLINE_S = 120.0
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """stdout as the one JSON document that it must be."""
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


@dataclass
class HiveCli:
    """`hive` for one HIVE_HOME, called with arguments: `hive("install", "trivial")`."""

    home: Path
    cwd: Path
    environment: dict[str, str] = field(default_factory=dict)
    deadline_s: float = DEADLINE_S  # of one command

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "hive"]

    def variables(self, **more: str) -> dict[str, str]:
        return {**os.environ, "HIVE_HOME": str(self.home), **self.environment, **more}

    def __call__(self, *arguments: str, **environment: str) -> Result:
        done = subprocess.run(
            [*self.command, *arguments],
            cwd=self.cwd,
            env=self.variables(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=self.deadline_s,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, **environment: str) -> Result:
        """The same, for a command that must succeed."""
        result = self(*arguments, **environment)
        assert result.code == 0, result
        return result

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """A command that goes on while the test does something else."""
        return subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.cwd,
            env=self.variables(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    # The same home, without the command line

    @property
    def paths(self) -> Home:
        return Home(self.home)

    def service(self) -> Hive:
        """A fresh service: what another process would see."""
        return Hive(self.paths, load_settings(self.home, self.variables()))

    def job(self, job_id: int = 1) -> Job:
        return self.service().job(job_id)

    def until_running(self, job_id: int = 1) -> Job:
        """The job, once its runner has written its first event."""

        def begun() -> Job | None:
            job = self.job(job_id)
            assert not job.state.is_over, job
            log = self.paths.attempt(job.id, job.attempt) / "events.jsonl"
            return job if job.state == "running" and log.exists() and log.stat().st_size else None

        return until(begun, "the run begins")

    def until_over(self, job_id: int = 1) -> Job:
        def over() -> Job | None:
            job = self.job(job_id)
            return job if job.state.is_over else None

        return until(over, "the job is over")

    # Its processes

    def supervisors(self) -> set[int]:
        """The processes that hold the supervisor's lock."""
        return holders(self.paths.supervisor_lock)

    def shims(self) -> set[int]:
        """The processes that hold an attempt's lock."""
        below = tuple(f"{self.home / part}{os.sep}" for part in ("jobs", "runs"))
        return having_open(lambda path: path.startswith(below) and path.endswith("/attempt.lock"))

    def end_processes(self) -> None:
        """SIGKILL whatever works for this home, and see it gone."""
        for pid in (*self.supervisors(), *self.shims(), *processes_naming(self.home)):
            kill(pid)
        until(
            lambda: not (processes_naming(self.home) or self.supervisors() or self.shims()), "every process is gone", 20
        )


def until(look: Callable[[], T | None], what: str, deadline_s: float = DEADLINE_S) -> T:
    """The first true answer of `look`."""
    end = time.monotonic() + deadline_s
    while True:
        if answer := look():
            return answer
        assert time.monotonic() < end, f"waited {deadline_s:.0f} s until {what}"
        time.sleep(0.01)


def holders(lock: Path) -> set[int]:
    """The pids that have `lock` open."""
    return having_open(str(lock).__eq__)


def having_open(wanted: Callable[[str], bool]) -> set[int]:
    """The pids that have a file open whose path is wanted."""
    found = set()
    for pid in pids():
        try:
            if any(wanted(os.readlink(entry.path)) for entry in os.scandir(f"/proc/{pid}/fd")):
                found.add(pid)
        except OSError:
            continue
    return found - {os.getpid()}


def pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def processes_marked(mark: str) -> set[int]:
    """The live processes with `mark` in their command line, wherever they hide."""
    found = set()
    for pid in pids():
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if mark.encode() in line and pid != os.getpid():
            found.add(pid)
    return found


def processes_naming(folder: Path) -> set[int]:
    """Those whose command line names `folder`: supervisors, sandboxes and the runs in them."""
    return processes_marked(str(folder))


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def is_gone(pid: int) -> bool:
    """Whether `pid` is no live process (a zombie that waits for its parent is none)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_gone(pid: int, deadline_s: float = 20) -> None:
    until(lambda: is_gone(pid), f"process {pid} is gone", deadline_s)
