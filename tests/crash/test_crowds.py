"""Many at once: one supervisor, one build."""

from __future__ import annotations

import subprocess
import sys

from crashing import Figure, check_whole, digest, generations, queued
from hive_cli import HiveCli, until

from hive.plan import Choices
from hive.planning import InstallRequest

CROWD = 20


def test_twenty_supervisors_are_one(hive: HiveCli, whole: bool, figure: Figure) -> None:
    rounds = 50 if whole else 1
    queued(hive, "counter", "--param", "pause_ms=60000", "--time-limit", "1h")
    for _ in range(rounds):
        one_of_a_crowd(hive)
    assert hive.job().attempt == 1, "adopted each time"
    figure(f"{CROWD} supervisors at once, {rounds} times", f"exactly 1, {rounds} of {rounds}")


def one_of_a_crowd(hive: HiveCli) -> None:
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
    chosen.kill()
    chosen.communicate()


def test_identical_installs_are_one_build(hive: HiveCli, whole: bool, figure: Figure) -> None:
    size = 50 if whole else CROWD
    crowd = [hive.start("install", "counter", "--param", "pause_ms=50") for _ in range(size)]
    ends = [each.communicate(timeout=300) for each in crowd]
    for each, (out, err) in zip(crowd, ends, strict=True):
        assert each.returncode == 0, out + err
    assert len(hive.service().jobs(100)) == 1
    assert hive.job().attempt == 1
    check_whole(hive)
    # One that came when the build was over, with a plan older than that, has reused it and is a generation of its own.
    assert generations(hive) <= size
    assert digest(hive)
    figure(f"{size} identical installs at once", f"1 build, {size} exits of 0")


def test_installs_of_several_models_at_once(hive: HiveCli) -> None:
    seeds = [str(number) for number in range(6)]
    crowd = [hive.start("install", "counter", "--seed", seed) for seed in seeds * 2]
    for each in crowd:
        out, err = each.communicate(timeout=300)
        assert each.returncode == 0, out + err
    assert len(hive.service().jobs(100)) == len(seeds), "one build each"
    check_whole(hive, jobs=len(seeds))


def test_an_install_whose_plan_is_older_than_the_end_of_the_same_build(hive: HiveCli) -> None:
    service, request = hive.service(), InstallRequest(("counter",), Choices())
    plan = service.plan(request)
    hive.ok("install", "counter")
    assert [job.id for job in service.install(request, plan).jobs] == [1], "its build, not a second one"
    check_whole(hive)
