"""Many at once: one supervisor, one build."""

from __future__ import annotations

import subprocess
import sys

import pytest
from crashing import SURROUNDINGS, check_whole, digest, generations, queued
from hive_cli import HiveCli, until

CROWD = 20


@pytest.fixture
def hive(hive: HiveCli) -> HiveCli:
    hive.environment.update(SURROUNDINGS)
    return hive


def test_twenty_supervisors_are_one(hive: HiveCli) -> None:
    queued(hive, "counter", "--param", "pause_ms=10000")
    crowd = [
        subprocess.Popen(
            [sys.executable, "-m", "hive.supervise", str(hive.home)],
            env=hive.variables(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(CROWD)
    ]  # fmt: skip
    until(lambda: sum(each.poll() is not None for each in crowd) == CROWD - 1, "all but one have left", 60)
    [chosen] = [each for each in crowd if each.poll() is None]
    for each in crowd:
        if each is not chosen:
            assert "another supervisor holds the lock" in each.communicate()[1]
    hive.until_running()
    assert hive.supervisors() == {chosen.pid}
    assert len(hive.shims()) == 1
    assert hive.job().attempt == 1
    chosen.kill()
    chosen.communicate()


def test_twenty_identical_installs_are_one_build(hive: HiveCli) -> None:
    crowd = [hive.start("install", "counter", "--param", "pause_ms=50") for _ in range(CROWD)]
    ends = [each.communicate(timeout=100) for each in crowd]
    for each, (out, err) in zip(crowd, ends, strict=True):
        assert each.returncode == 0, out + err
    assert len(hive.service().jobs(100)) == 1
    assert hive.job().attempt == 1
    check_whole(hive)
    # One that came when the build was over, with a plan older than that, has reused it and is a generation of its own.
    assert generations(hive) <= CROWD
    assert digest(hive)


def test_installs_of_several_models_at_once(hive: HiveCli) -> None:
    seeds = [str(number) for number in range(6)]
    crowd = [hive.start("install", "counter", "--seed", seed) for seed in seeds * 2]
    for each in crowd:
        out, err = each.communicate(timeout=100)
        assert each.returncode == 0, out + err
    assert len(hive.service().jobs(100)) == len(seeds), "one build each"
    check_whole(hive, jobs=len(seeds))
