"""How much memory a tree of processes has."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from pathlib import Path

PAGE_BYTES = resource.getpagesize()
LOOKING_SHARE = 0.02  # of the time goes into telling shared pages apart, at most


class TreeMemory:
    """The memory of one tree, looked at again and again.

    What is quick to tell counts a page that a fork has in common with its parent for both of them. Only where that is
    over the bound are they told apart: it takes some 20 ms a GiB, for the kernel walks through all pages.
    """

    def __init__(self) -> None:
        self.counted_twice_bytes = 0
        self.next_look = 0.0  # when they are told apart again: what is written to is shared no more

    def bytes_of(self, pids: Sequence[int], bound_bytes: int) -> int:
        """bound_bytes: up to which nobody minds; 0: none."""
        quick = quick_bytes(pids)
        if not bound_bytes or quick <= bound_bytes:
            return quick
        began = time.monotonic()
        if quick - self.counted_twice_bytes > bound_bytes or began >= self.next_look:
            self.counted_twice_bytes = max(0, quick - exact_bytes(pids))
            ended = time.monotonic()
            self.next_look = ended + (ended - began) / LOOKING_SHARE
        return quick - self.counted_twice_bytes


def quick_bytes(pids: Sequence[int]) -> int:
    """Pages that belong to no file and no shared memory summed, those that do counted once."""
    private, shared = 0, 0
    for each in pids:
        resident_pages, shared_pages = _pages(each)
        private += resident_pages - shared_pages
        shared = max(shared, shared_pages)
    return (private + shared) * PAGE_BYTES


def exact_bytes(pids: Sequence[int]) -> int:
    """Every page counted once, if only these processes have it (the kernel's proportional set size)."""
    return sum(_proportional_bytes(each) for each in pids)


def _proportional_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):  # it may not be read, or has ended and has no pages
        return _pages(pid)[0] * PAGE_BYTES


def _pages(pid: int) -> tuple[int, int]:
    """(resident, those of them that are of files or shared memory) of a process, 0 if it is gone."""
    try:
        _, resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[:3]
    except (OSError, ValueError):
        return 0, 0
    return int(resident), int(shared)
