"""The machine's clock jumps by days while hive works: no limit comes early, and nobody waits for days."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from crashing import SLOW, Figure, check_whole, kill_and_wait, lacking, queued, run_pids, until_checkpoint
from hive_cli import HiveCli, until

JUMPS = [("+2d", "-2d", "+0"), ("+2d",), ("-2d",)]


@dataclass
class Clock:
    """The clock of a supervisor and of the shims that it forks. (libfaketime breaks time.sleep: no command gets it.)"""

    hive: HiveCli
    library: Path

    @property
    def told(self) -> Path:
        return self.hive.cwd / "clock"

    def set(self, offset: str) -> None:
        """From now on it is so much off the true one."""
        fresh = self.told.with_suffix(".new")
        fresh.write_text(f"{offset}\n")
        fresh.replace(self.told)

    def supervise(self) -> subprocess.Popen[bytes]:
        environment = self.hive.variables(
            LD_PRELOAD=str(self.library),
            FAKETIME_TIMESTAMP_FILE=str(self.told),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
            NO_FAKE_STAT="1",
        )
        return subprocess.Popen([sys.executable, "-m", "hive.supervise", str(self.hive.home)], env=environment)


@pytest.fixture
def clock(hive: HiveCli) -> Clock:
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        lacking("faketime")
    return Clock(hive, libraries[0])


@pytest.mark.parametrize("jumps", JUMPS, ids=" ".join)
def test_no_limit_comes_early(hive: HiveCli, clock: Clock, jumps: tuple[str, ...], whole: bool, figure: Figure) -> None:
    if not whole and jumps != JUMPS[0]:
        pytest.skip("one sequence of jumps at a time: just crash")
    clock.set("+0")
    queued(hive, "counter", *SLOW)
    supervisor = clock.supervise()
    hive.until_running()
    for offset in jumps:
        clock.set(offset)
        time.sleep(0.5)
    assert hive.until_over().state == "succeeded"
    supervisor.wait(30)
    check_whole(hive)
    assert hive.job().attempt == 1
    figure(f"the clock jumps {' '.join(jumps)}", "0 false timeouts")


def test_the_next_try_does_not_wait_for_a_time_that_the_clock_has_left(hive: HiveCli, clock: Clock) -> None:
    clock.set("+2d")
    queued(hive, "counter", *SLOW)
    supervisor = clock.supervise()
    until_checkpoint(hive, 1)
    kill_and_wait(*run_pids(hive))
    until(lambda: hive.job().state == "queued", "it is to be tried again")
    clock.set("-2d")
    assert hive.until_over().state == "succeeded"
    supervisor.wait(30)
    check_whole(hive)
    assert hive.job().attempt == 2
