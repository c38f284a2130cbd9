"""Start a supervisor, detached, if none holds the lock."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from hive import locks
from hive.errors import HiveError
from hive.paths import Home
from hive.runners.identity import read

_started: set[int] = set()  # pids of the supervisors that this process launched


def take_supervisor_lock(home: Home) -> int | None:
    """The descriptor that holds the supervisor's lock, or None if another process holds it. The kernel frees it."""
    return locks.take(home.supervisor_lock)


def supervisor_runs(home: Home) -> bool:
    """Whether somebody holds the lock."""
    return locks.is_held(home.supervisor_lock)


def supervisor_pid(home: Home) -> int:
    """The process that supervises; 0 if none is found. (The lock names whoever took it, not who inherited it.)"""
    for name in filter(str.isdecimal, os.listdir("/proc")):
        arguments = read(f"/proc/{name}/cmdline").split("\0")
        if str(home.root) in arguments[1:] and any("hive.supervise" in each for each in arguments):
            return int(name)
    return 0


def launch(home: Home, begin: Callable[[], None] = lambda: None) -> bool:
    """Make sure that a supervisor runs; True if this call started it.

    The lock is taken here and handed over by inheritance: at no moment is it free while a supervisor is on its way.
    begin: what to do while it loads, before it looks around. Its errors are the supervisor's to meet again and to tell.
    """
    lock = take_supervisor_lock(home)
    if lock is None:
        return False
    may_go, begun = os.pipe()
    try:
        _spawn(home, lock, may_go)
        with suppress(HiveError, OSError):
            begin()
    finally:
        for descriptor in (begun, may_go, lock):
            os.close(descriptor)
    return True


def _spawn(home: Home, lock: int, may_go: int) -> None:
    """Start a supervisor that inherits the lock, and does nothing before the other end of `may_go` is closed."""
    _collect_ended()
    program = "import gc, os; gc.disable(); from hive.supervise import main; main(); os._exit(0)"
    log_flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    for inherited in (lock, may_go):
        os.set_inheritable(inherited, True)
    # Not subprocess and not -m: their imports take longer than the start itself.
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-c", program, str(home.root), str(lock), str(may_go)],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(home.supervisor_log), log_flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
    )
    _started.add(pid)
    for inherited in (lock, may_go):
        os.set_inheritable(inherited, False)


def _collect_ended() -> None:
    """Let no supervisor that has ended stay a zombie of a process that goes on, such as the web server."""
    for pid in list(_started):
        with suppress(ChildProcessError):
            if not os.waitpid(pid, os.WNOHANG)[0]:
                continue
        _started.discard(pid)
