"""A supervisor is killed while a run is at work: the next one adopts it, and the same attempt goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from crashing import SLOW, Figure, check_whole, kill_and_wait
from engine import in_use
from hive_cli import HiveCli


@pytest.fixture(params=["process", "docker"])
def runner(request: pytest.FixtureRequest, hive: HiveCli) -> Iterator[str]:
    hive.environment["HIVE_RUNNER"] = request.param
    if request.param == "process":
        yield request.param
        return
    hive.deadline_s = 600  # the first builds the image
    with in_use() as host:
        hive.environment["DOCKER_HOST"] = host
        yield request.param


def test_kill_and_adopt(hive: HiveCli, runner: str, whole: bool, figure: Figure) -> None:
    times = 50 if whole else 2
    for number in range(1, times + 1):
        hive.ok("install", "--no-wait", "counter", "--seed", str(number), *SLOW)
        job = hive.until_running(number)
        keepers = hive.shims()
        kill_and_wait(*hive.supervisors())
        hive.ok("start")
        assert hive.shims() == keepers
        over = hive.until_over(number)
        assert (over.state, over.attempt) == ("succeeded", job.attempt) == ("succeeded", 1)
    check_whole(hive, times)
    figure(f"supervisor killed, run adopted ({runner})", f"{times} of {times}, the same attempt each time")
