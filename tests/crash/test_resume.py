"""A build that was killed ends with the same bytes as one that was not."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from crashing import SLOW, Figure, check_whole, digest, kill_and_wait, run_pids, until_checkpoint
from hive_cli import HiveCli, until

from hive import queue

Reference = Callable[..., str]
LONGEST_S = 1.2  # before a kill


def test_random_moments(
    hive: HiveCli, reference: Reference, whole: bool, chance: random.Random, figure: Figure
) -> None:
    moments = 20 if whole else 2
    expected = reference("counter", *SLOW)
    killed = 0
    for number in range(1, moments + 1):
        hive.ok("install", "--no-wait", "--rebuild", "counter", *SLOW)
        hive.until_running(number)
        for _ in range(chance.randint(1, 2)):
            time.sleep(chance.uniform(0, LONGEST_S))
            victims = [*hive.supervisors(), *hive.shims(), *run_pids(hive)]
            chosen = chance.sample(victims, chance.randint(0, len(victims)))
            killed += len(chosen)
            kill_and_wait(*chosen)
        hive.ok("start")
        assert hive.until_over(number).state == "succeeded"
        assert digest(hive) == expected
    check_whole(hive, moments)
    attempts = sum(job.attempt for job in queue.newest(hive.service().db, moments))
    figure(f"builds killed at {moments} random moments", f"{moments} of {moments} with the same bytes "
           f"({killed} kills, {attempts} attempts)")  # fmt: skip


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    hive: HiveCli, reference: Reference, chance: random.Random
) -> None:
    expected = reference("counter", *SLOW)
    hive.ok("install", "--no-wait", "counter", *SLOW)
    until_checkpoint(hive, 1)
    folder = hive.paths.checkpoints(hive.job().build_key)
    until(lambda: len(list(folder.glob("*.ckpt"))) == 2, "two checkpoints are kept")
    kill_and_wait(*hive.supervisors(), *run_pids(hive))
    newest = max(folder.glob("*.ckpt"))
    content = bytearray(newest.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    newest.write_bytes(content)
    hive.ok("install", "counter", *SLOW)
    assert digest(hive) == expected
    log = (hive.paths.attempt(1, 2) / "log.txt").read_text()
    assert "is damaged; falling back to the one before" in log
    assert "going on from the checkpoint" in log
    check_whole(hive)


def test_a_torch_build_killed_thrice(hive: HiveCli, reference: Reference) -> None:
    arguments = ("tiny", "--param", "steps=40", "--param", "pause_ms=40")
    hive.ok("install", "--no-wait", *arguments)
    until_checkpoint(hive, 1)
    kill_and_wait(*run_pids(hive))
    until_checkpoint(hive, 2)
    kill_and_wait(*hive.supervisors())
    kill_and_wait(*hive.shims())
    hive.ok("install", *arguments)
    assert digest(hive, "tiny") == reference(*arguments)
    check_whole(hive)
    assert hive.job().attempt == 3
