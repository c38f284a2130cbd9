"""Start a supervisor, detached, if none holds the lock."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

from hive.paths import Home


def take_supervisor_lock(home: Home) -> int | None:
    """The descriptor that holds the supervisor's lock, or None if another process holds it. The kernel frees it."""
    descriptor = os.open(home.supervisor_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    except BlockingIOError:
        os.close(descriptor)
        return None


def supervisor_runs(home: Home) -> bool:
    """Whether somebody holds the lock."""
    try:
        descriptor = os.open(home.supervisor_lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def launch(home: Home) -> bool:
    """Make sure that a supervisor runs; True if this call started it.

    The lock is taken here and handed over by inheritance: at no moment is it free while a supervisor is on its way.
    """
    lock = take_supervisor_lock(home)
    if lock is None:
        return False
    try:
        with open(home.supervisor_log, "ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", "hive.supervise", str(home.root), str(lock)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(lock,), start_new_session=True, cwd="/",
            )  # fmt: skip
    finally:
        os.close(lock)
    return True
