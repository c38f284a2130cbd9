"""Runs as a process of this machine, at the best level of isolation that a probe shows to work."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hive_runner.frozen import replace

from hive import locks
from hive.errors import HiveError
from hive.model import Isolation
from hive.runners import attempt, identity, shim
from hive.runners.base import HANDLE_FILE, LOCK_FILE, Ending, Mount, Order, work_mount
from hive.runners.isolation import levels
from hive.runners.isolation.level import Level, Payload
from hive.runners.isolation.spawn import Launch

if TYPE_CHECKING:
    from hive.environments import RunnerEnvironment, Say


# Nothing of what is imported is garbage: `command` lets the collector begin after it.
PROGRAM = "import gc; gc.disable(); from hive_runner.__main__ import command; command()"


class ProcessRunner:
    name = "process"

    def __init__(self, state: Path, level: str | None = None) -> None:
        """state: a folder to remember the outcome of probes in. level: the only one to use; None for the best."""
        self.state = state
        self.wanted = level

    @cached_property
    def _found(self) -> tuple[Level | None, dict[str, str]]:
        return levels.choose(self.state, self.wanted)

    @property
    def _level(self) -> Level:
        level, _ = self._found
        if level is None:
            raise HiveError(f"isolation level {self.wanted} cannot be used here", self.available())
        return level

    @property
    def refusals(self) -> dict[str, str]:
        """Why each better level is not used: name -> reason."""
        return self._found[1]

    def available(self) -> str:
        if self.wanted and self.wanted not in levels.NAMES:
            return f"there is no isolation level {self.wanted!r}; there are {', '.join(levels.NAMES)}"
        level, refusals = self._found
        return "" if level else refusals[self.wanted or ""]

    def isolation(self) -> Isolation:
        found = self._level.isolation()
        if found.isolates or not self.refusals:
            return found
        reasons = "; ".join(f"{name}: {why}" for name, why in self.refusals.items())
        return replace(found, note=f"{found.note} ({reasons})")

    def prepare(self, offline: bool, say: Say) -> str:
        return ""

    def environment(self, requirements: tuple[str, ...], offline: bool, say: Say) -> RunnerEnvironment:
        from hive.environments import ensure

        return ensure(requirements, self.state, offline, say)

    def has_gpu(self) -> bool:
        return False  # a sandbox shows it no device

    def place(self, mount: Mount) -> str:
        return self._level.place(mount)

    def start(self, order: Order) -> str:
        """Fork the shim, which starts the program."""
        caller = os.getpid() if order.dies_with_caller else None
        writable = [mount.source for mount in order.mounts if mount.writable]

        def prepare() -> attempt.Keep:
            launch = self._launch(order)
            return lambda lock: shim.run(launch, writable, order.limits, lock, caller, order.cores)

        return attempt.begin(order.folder, prepare)

    def _launch(self, order: Order) -> Launch:
        """How the order's program is started at this level."""
        runner_package = runner_package_mount()
        work = work_mount(order.folder)
        scratch = os.path.join(self.place(work), "scratch")
        environment = {
            **order.environment,
            "PYTHONPATH": os.path.dirname(self.place(runner_package)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": scratch,
            "USER": "hive",
            "LOGNAME": "hive",
            "TMPDIR": scratch,
        }
        spec = os.path.join(self.place(work), "spec.json")
        argv = (order.python, "-P", "-c", PROGRAM, spec)
        mounts = (*python_mounts(order.python), runner_package, *order.mounts)
        kept = (LOCK_FILE, HANDLE_FILE)  # the proof of its life is not the run's to remove
        return levels.launch(self._level, Payload(argv, environment, work, mounts, kept, order.limits))

    def alive(self, folder: Path, handle: str) -> bool:
        """Whether somebody holds the attempt's lock. (A run that may have removed it is known by its handle too.)"""
        return locks.is_held(folder / LOCK_FILE) or bool(identity.pid_of(handle))

    def wait_descriptor(self, handle: str) -> int | None:
        return identity.descriptor_of(handle)

    def stop(self, folder: Path, handle: str, grace_s: float) -> None:
        """SIGTERM to the shim, which passes it on; with grace_s = 0, SIGKILL, which ends the sandbox with it."""
        pid = identity.pid_of(handle or identity.read(folder / HANDLE_FILE))
        if pid and self.alive(folder, handle):
            os.kill(pid, signal.SIGTERM if grace_s else signal.SIGKILL)

    def ending(self, folder: Path, handle: str) -> Ending | None:
        return Ending.read(folder)


@cache
def python_mounts(python: str) -> tuple[Mount, ...]:
    """What an interpreter needs to be seen: its own prefix and the one it was made from, unless below /usr."""
    prefixes = [Path(python).parent.parent, Path(sys.prefix), Path(sys.base_prefix)]
    seen: list[Path] = []
    for prefix in prefixes:
        if prefix not in seen and Path("/usr") not in (prefix, *prefix.parents):
            seen.append(prefix)
    return tuple(Mount(prefix, str(prefix)) for prefix in seen)


@cache
def runner_package_mount() -> Mount:
    """The folder of hive_runner, on a path of its own."""
    import hive_runner

    folder = Path(hive_runner.__path__[0])
    _compile(folder)
    return Mount(folder, "/runner/hive_runner")


def _compile(folder: Path) -> None:
    """Give each module its bytecode, which not every installer does and no run can: to it the folder is read-only."""
    for source in folder.glob("*.py"):
        compiled = folder / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        with suppress(OSError):
            if compiled.exists() and compiled.stat().st_mtime >= source.stat().st_mtime:
                continue
            if os.access(folder, os.W_OK):
                import py_compile

                py_compile.compile(str(source), str(compiled), quiet=2)
