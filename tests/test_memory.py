"""The memory of a tree of processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hive.runners.isolation.memory import TreeMemory, exact_bytes, quick_bytes
from hive.runners.isolation.tree import descendants

MIB = 1 << 20
BLOCK = "import os, sys, time\nblock = bytearray(os.urandom(1 << 16) * 1024)\n"  # 64 MiB
FORKED = BLOCK + "write = os.fork() == 0\n"
WAIT = "print(flush=True)\ntime.sleep(60)\n"


@contextmanager
def tree(program: str, processes: int) -> Iterator[list[int]]:
    """A program and what it has forked, once each of them has printed a line."""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout
        for _ in range(processes):
            process.stdout.readline()
        pids = [process.pid, *descendants(process.pid)]
        yield pids
        for pid in pids:
            os.kill(pid, 9)


def test_of_one_process_both_figures_say_alike() -> None:
    with tree(BLOCK + WAIT, 1) as pids:
        assert 64 * MIB < quick_bytes(pids) < 512 * MIB
        assert 64 * MIB < exact_bytes(pids) <= quick_bytes(pids)
        assert TreeMemory().bytes_of(pids, 0) == quick_bytes(pids)


def test_what_a_fork_has_in_common_with_its_parent_does_not_count_twice_against_a_bound() -> None:
    with tree(FORKED + WAIT, 2) as pids:
        assert quick_bytes(pids) > 128 * MIB, "told quickly it counts twice"
        assert exact_bytes(pids) < 120 * MIB
        memory = TreeMemory()
        assert memory.bytes_of(pids, 256 * MIB) > 128 * MIB, "below the bound nobody minds"
        assert memory.bytes_of(pids, 120 * MIB) < 120 * MIB


def test_what_a_fork_has_written_to_is_its_own() -> None:
    with tree(FORKED + "if write:\n    block[::4096] = b'x' * (len(block) // 4096)\n" + WAIT, 2) as pids:
        assert TreeMemory().bytes_of(pids, 120 * MIB) > 128 * MIB


def test_a_process_that_is_gone_has_none() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    assert quick_bytes([process.pid]) == exact_bytes([process.pid]) == 0
