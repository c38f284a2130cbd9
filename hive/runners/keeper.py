"""Stands between the shim and a program that no namespace holds together, and ends all of it should the shim be killed.

A killed process can end nothing any more, and the kernel would end for it only its own child, not that child's. The
keeper adopts them all. It has the attempt's lock from the shim, so that the attempt is over when nothing of it is left.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from typing import NoReturn

from hive.runners import kernel
from hive.runners.tree import end_all_below


def keep(shim: int, become: Callable[[int], NoReturn], close: tuple[int, ...]) -> NoReturn:
    """Fork the program, wait for it or for the end of the shim, end the rest, and end as the program did.

    become: makes a process the program, given its parent. close: descriptors that are the program's alone.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # that is for the program
    kernel.adopt_orphans()
    alive = os.pidfd_open(shim)
    own = os.getpid()
    program = os.fork()
    if program == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        become(own)
    for descriptor in close:
        os.close(descriptor)
    status = 0
    at_work = os.pidfd_open(program)
    if os.getppid() == shim and at_work in select.select([alive, at_work], [], [])[0]:
        _, status = os.waitpid(program, 0)
    end_all_below()
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(own, -code)
    os._exit(code)
