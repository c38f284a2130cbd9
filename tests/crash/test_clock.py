"""The machine's clock jumps by days while hive works: no limit comes early, and nobody waits for days."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from crashing import SLOW, Figure, check_whole, kill_and_wait, lacking, run_pids, until_checkpoint
from hive_cli import HiveCli

SetClock = Callable[[str], None]
JUMPS = [("+2d", "-2d", "+0"), ("+2d",), ("-2d",)]


@pytest.fixture
def clock(hive: HiveCli) -> SetClock:
    """Sets the clock that hive's own processes see, from now on, so much off the true one."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        lacking("faketime")
    told = hive.cwd / "clock"
    told.write_text("+0\n")
    hive.environment |= {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_TIMESTAMP_FILE": str(told),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }

    def set_clock(offset: str) -> None:
        fresh = told.with_suffix(".new")
        fresh.write_text(f"{offset}\n")
        fresh.replace(told)

    return set_clock


@pytest.mark.parametrize("jumps", JUMPS, ids=" ".join)
def test_no_limit_comes_early(
    hive: HiveCli, clock: SetClock, jumps: tuple[str, ...], whole: bool, figure: Figure
) -> None:
    if not whole and jumps != JUMPS[0]:
        pytest.skip("one sequence of jumps at a time: just crash")
    hive.ok("install", "--no-wait", "counter", *SLOW)
    hive.until_running()
    for offset in jumps:
        clock(offset)
        time.sleep(0.5)
    assert hive.until_over().state == "succeeded"
    check_whole(hive)
    assert hive.job().attempt == 1
    figure(f"the clock jumps {' '.join(jumps)}", "0 false timeouts")


def test_the_next_try_does_not_wait_for_a_time_that_the_clock_has_left(hive: HiveCli, clock: SetClock) -> None:
    clock("+2d")
    hive.ok("install", "--no-wait", "counter", *SLOW)
    until_checkpoint(hive, 1)
    kill_and_wait(*run_pids(hive))
    clock("-2d")
    hive.ok("install", "counter", *SLOW)
    check_whole(hive)
    assert hive.job().attempt == 2
