"""What is at work stands still, be it the run or the process that keeps its limits: it ends within its deadline."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from crashing import Figure, run_pids
from hive_cli import HiveCli, kill

LIMIT_S = 6.0
LATE_S = 5.0

WHO: dict[str, Callable[[HiveCli], object]] = {"run": run_pids, "shim": HiveCli.shims}


@pytest.mark.parametrize("who", WHO)
def test_a_stopped_one_ends_within_its_deadline(hive: HiveCli, who: str, whole: bool, figure: Figure) -> None:
    hive.ok("install", "--no-wait", "counter", "--param", "pause_ms=1000", "--time-limit", f"{LIMIT_S:.0f}s")
    hive.until_running()
    for pid in WHO[who](hive):
        kill(pid, signal.SIGSTOP)
    job = hive.until_over()
    assert job.failure and job.failure.kind == "timeout", job
    assert not hive.shims() and not run_pids(hive)
    late_s = (job.finished_at or 0) - (job.started_at or 0) - LIMIT_S
    figure(f"a {who} that was stopped (SIGSTOP)", f"ended {late_s:.1f} s after its deadline (at most {LATE_S:.0f} s)")
    assert not whole or late_s < LATE_S
