"""Every recipe that ships: killed while it trains, gone on with, and the same bytes."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest
from crashing import Figure, digest, kill_and_wait, run_pids
from hive_cli import HiveCli, until

SHIPPED = sorted(path.parent.name for path in (Path(__file__).parents[2] / "recipes").glob("*/recipe.toml"))
LONGEST_S = 400  # of a smoke build beside others
PATIENCE = 3  # checkpoints after which a run is killed, at most


@pytest.mark.parametrize("name", SHIPPED)
def test_killed_at_a_checkpoint_and_gone_on_with(
    hive: HiveCli, name: str, whole: bool, chance: random.Random, figure: Figure
) -> None:
    if not whole:
        pytest.skip("takes minutes: just crash")
    del hive.environment["HIVE_SOURCES"]
    hive.deadline_s = LONGEST_S
    hive.ok("install", "--profile", "smoke", name)
    expected = digest(hive, name)
    hive.ok("install", "--profile", "smoke", "--rebuild", "--no-wait", name)
    job_id = hive.service().jobs(1)[0].id
    kills = 0
    for attempt in (1, 2):
        events = hive.paths.attempt(job_id, attempt) / "events.jsonl"
        wanted = chance.randint(1, PATIENCE)
        until(partial(enough, hive, job_id, events, wanted), f"attempt {attempt} checkpoints", LONGEST_S)
        if victims := run_pids(hive):
            kill_and_wait(*victims)
            kills += 1
    until(lambda: hive.job(job_id).state.is_over, "the job is over", LONGEST_S)
    assert hive.job(job_id).state == "succeeded"
    assert kills and digest(hive, name) == expected
    assert any("going on from the checkpoint" in log.read_text() for log in hive.paths.job(job_id).glob("*/log.txt"))
    figure(f"{name} killed while it trained", f"the same bytes ({kills} kills)")


def enough(hive: HiveCli, job_id: int, events: Path, wanted: int) -> bool:
    """Whether the attempt has written so many checkpoints, or the job is over without."""
    written = events.read_text().count('"checkpoint"') if events.exists() else 0
    return written >= wanted or hive.job(job_id).state.is_over
