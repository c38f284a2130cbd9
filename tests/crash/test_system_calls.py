"""A system call that makes something durable is the last one, or fails: at each of them in turn nothing is lost.

strace meddles with the N-th such call of each process of a supervised build: the supervisor, the shim, the sandbox and
the run in it.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from itertools import count

import pytest
from crashing import Figure, check, kill_and_wait, lacking, queued
from hive_cli import HiveCli

CALLS = ("fsync", "fdatasync", "rename,renameat,renameat2", "link,linkat", "ftruncate", "pwrite64")
FAULTS = ("signal=SIGKILL", "error=ENOSPC", "error=EIO")
FAST = 3  # of all the points, drawn at random
FAST_CALLS, FAST_NUMBERS = ("fsync", "rename,renameat,renameat2", "pwrite64"), 5
STEPS = ("--param", "steps=3")
LONGEST_S = 10  # each run may meet the fault again, and the pauses between them grow


@pytest.fixture(scope="module")
def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        lacking("strace")
    tried = subprocess.run([found, "-f", "-o", "/dev/null", "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"strace cannot trace here: {tried.stderr.strip()}")
    return found


def test_some_of_them(hive: HiveCli, strace: str, whole: bool, chance: random.Random, figure: Figure) -> None:
    if whole:
        pytest.skip("all of them are tried")
    points = [(chance.choice(FAST_CALLS), chance.choice(FAULTS), chance.randint(1, FAST_NUMBERS)) for _ in range(FAST)]
    met = [meddled(hive, strace, *point, seed) for seed, point in enumerate(points)]
    figure(f"{FAST} points in system calls", f"{sum(met)} reached, 0 violations")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("calls", CALLS)
def test_every_one(hive: HiveCli, strace: str, whole: bool, calls: str, fault: str, figure: Figure) -> None:
    if not whole:
        pytest.skip("takes minutes: just crash")
    for number in count(1):
        if not meddled(hive, strace, calls, fault, number, number):
            break
    figure(f"{fault} at each {calls.partition(',')[0]}", f"{number - 1} points, 0 violations")


def meddled(hive: HiveCli, strace: str, calls: str, fault: str, number: int, seed: int) -> bool:
    """Build one model with the N-th call of each process made to fail, and see that the next command mends it.

    False if there was no such call.
    """
    arguments = ("counter", "--seed", str(seed), *STEPS)
    queued(hive, *arguments)
    trace = hive.cwd / "trace"
    inject = f"inject={calls}:{fault}:when={number}"
    supervise = [sys.executable, "-m", "hive.supervise", str(hive.home)]
    supervised = subprocess.Popen(
        [strace, "-f", "-qq", "-o", str(trace), "-e", f"trace={calls}", "-e", inject, *supervise],
        env=hive.variables(), cwd=hive.cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        said, _ = supervised.communicate(timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        kill_and_wait(*hive.supervisors(), *hive.shims())
        said, _ = supervised.communicate(timeout=60)
    point = f"{inject}\n{said}\n{trace.read_text()[-3000:]}"
    assert supervised.returncode in (0, 1, -9), point
    assert "Traceback" not in said, point
    first = hive("install", *arguments)  # it may join a run that met the fault too
    if first.code != 0:
        assert "error: counter 1.0.0 was not installed" in first.err, f"{first}\n{point}"
        again = hive("install", *arguments)
        assert again.code == 0, f"{again}\n{point}"
    check(hive, point)
    return "INJECTED" in trace.read_text() or supervised.returncode == -9
