"""Stands between the shim and a program that no namespace holds together, and ends all of it should the shim be killed.

A killed process can end nothing any more, and the kernel would end for it only its own child, not that child's. The
reaper adopts them all. It has the attempt's lock from the shim, so that the attempt is over when nothing of it is left.
"""

from __future__ import annotations

import os
import select
import signal
from typing import NoReturn

from hive.runners.isolation import kernel
from hive.runners.isolation.tree import end_all_below


def keep(shim: int, close: tuple[int, ...]) -> int:
    """Become the reaper and fork. Returns in the new process alone, with the reaper's pid; that of a fork of `shim`.

    close: descriptors that are the program's and not the reaper's. Raises OSError.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # that is for the program
    kernel.adopt_orphans()
    own, alive = os.getpid(), os.pidfd_open(shim)
    program = os.fork()
    if program == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return own
    try:
        for descriptor in close:
            os.close(descriptor)
        _end_like(_wait(shim, alive, program))
    finally:
        os._exit(1)


def _wait(shim: int, alive: int, program: int) -> int:
    """Until the program ends or the shim does; then end the rest. The program's exit code, 0 if it did not end."""
    status = 0
    at_work = os.pidfd_open(program)
    if os.getppid() == shim and at_work in select.select([alive, at_work], [], [])[0]:
        _, status = os.waitpid(program, 0)
    end_all_below()
    return os.waitstatus_to_exitcode(status)


def _end_like(code: int) -> NoReturn:
    """As the program did, by the same signal if it was one."""
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)
