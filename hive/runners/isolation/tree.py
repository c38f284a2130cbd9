"""The processes below this one: to find them, and to end them all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

from hive.runners.identity import read


def descendants(pid: int) -> Iterator[int]:
    """Every process below `pid`, parents first, from the kernel's own lists of children."""
    pending = [pid]
    while pending:
        parent = pending.pop()
        with suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                children = [int(child) for child in read(f"/proc/{parent}/task/{task}/children").split()]
                yield from children
                pending += children


def stop_forking() -> None:
    """Stop every process below, and those that they started meanwhile, until there is none left to start more."""
    stopped: set[int] = set()
    while fresh := set(descendants(os.getpid())) - stopped:
        for pid in fresh:
            with suppress(OSError):
                os.kill(pid, signal.SIGSTOP)
        stopped |= fresh


def end_all_below() -> None:
    """Kill and collect everything below. It must have been adopted: what the kernel gave to another parent is not."""
    while True:
        stop_forking()
        for pid in descendants(os.getpid()):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
