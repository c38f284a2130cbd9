"""The keeper of an attempt: a process forked under the attempt's lock, which it holds until the attempt is over."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from hive import locks
from hive.errors import HiveError
from hive.runners import identity
from hive.runners.base import HANDLE_FILE, LOCK_FILE

Keep = Callable[[int], NoReturn]  # what a keeper does, given the descriptor of the lock


def begin(folder: Path, prepare: Callable[[], Keep]) -> str:
    """Fork the keeper of an attempt that nobody keeps yet; its handle.

    The lock is taken before all else, so a second start fails. prepare: called under it, when the attempt's files are
    there. Raises HiveError.
    """
    lock = locks.take(folder / LOCK_FILE)
    if lock is None:
        raise HiveError(f"{folder} is being run already")
    try:
        (folder / "scratch").mkdir(exist_ok=True)
        (folder / HANDLE_FILE).touch()
        return fork(folder, lock, prepare())
    finally:
        os.close(lock)


def fork(folder: Path, lock: int, keep: Keep) -> str:
    """Fork a keeper, which inherits the lock; its handle. SIGTERM arrives blocked: it must not come too early."""
    sys.stdout.flush()
    sys.stderr.flush()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        pid = os.fork()
        if pid == 0:
            identity.write(folder / HANDLE_FILE, os.getpid())
            keep(lock)
        return identity.write(folder / HANDLE_FILE, pid)  # both do: the parent may die first, or the child be slow
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def wake(folder: Path, handle: str) -> None:
    """Let an attempt's keeper go on if somebody has stopped it; it then sees to its limits itself."""
    if pid := identity.pid_of(handle) or identity.pid_of(identity.read(folder / HANDLE_FILE)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def detach(name: str, *keep: int) -> None:
    """Leave the session of the process that this was forked from, its name, and every descriptor of it but `keep`."""
    os.setsid()
    with suppress(OSError):  # it may be a fork of `hive install`, which somebody may want to kill
        Path("/proc/self/comm").write_text(name)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2 and descriptor not in keep:
            with suppress(OSError):
                os.close(descriptor)
