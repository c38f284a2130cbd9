"""What an earlier job of the same build has saved is not lost: cancelled, failed, asked for again."""

from __future__ import annotations

import re

import pytest
from hive_cli import HiveCli, kill, until

from hive import installed
from hive.model import Job

# A checkpoint at every step; 100 steps of 30 ms.
COUNTER = ("counter", "--param", "steps=100", "--param", "pause_ms=30")
OFTEN = {"HIVE_CHECKPOINT_S": "0"}


@pytest.fixture
def often(hive: HiveCli) -> HiveCli:
    hive.environment = {**hive.environment, **OFTEN}
    return hive


def until_saved(hive: HiveCli, job_id: int = 1) -> Job:
    """The job, once its present attempt has saved a few checkpoints."""
    job = hive.until_running(job_id)
    events = hive.paths.attempt(job.id, job.attempt) / "events.jsonl"
    until(lambda: events.read_text().count('"checkpoint"') > 3, "it saves checkpoints")
    return job


def cancelled_midway(hive: HiveCli) -> Job:
    hive.ok("install", "--no-wait", *COUNTER)
    job = until_saved(hive)
    hive.ok("queue", "cancel", "1")
    until(lambda: not hive.shims() and not hive.supervisors(), "its runner has ended")
    return job


def artifact(hive: HiveCli) -> str:
    package = installed.find(hive.service().db, "counter")
    assert package is not None
    return package.artifact


def test_cancelled_and_installed_again_it_goes_on_to_the_same_bytes(often: HiveCli) -> None:
    job = cancelled_midway(often)
    saved = often.paths.checkpoints(job.build_key)
    assert len(list(saved.glob("*.ckpt"))) == 2
    planned = often.ok("install", "--dry-run", *COUNTER)
    assert "an earlier try left checkpoints, it goes on from there (--from-scratch" in planned.err
    assert "going on from the checkpoint at step" in often.ok("install", *COUNTER).err
    assert often.job(2).build_key == job.build_key
    until(lambda: not saved.exists(), "the supervisor has swept what nobody will go on from")
    whole = artifact(often)
    assert "goes on from there" not in often.ok("install", "--dry-run", "--rebuild", *COUNTER).err
    assert "going on from" not in often.ok("install", "--rebuild", *COUNTER).err
    assert artifact(often) == whole


def test_from_scratch_begins_at_the_first_step(often: HiveCli) -> None:
    cancelled_midway(often)
    assert "goes on from there" not in often.ok("install", "--dry-run", "--from-scratch", *COUNTER).err
    assert "going on from" not in often.ok("install", "--from-scratch", *COUNTER).err


def test_retry_goes_on_unless_told_otherwise(often: HiveCli) -> None:
    cancelled_midway(often)
    often.ok("queue", "retry", "1")
    until_saved(often)
    often.ok("queue", "cancel", "1")
    until(lambda: not often.shims(), "its runner has ended")
    assert "going on from the checkpoint" in often.ok("logs", "1").out
    often.ok("queue", "retry", "--from-scratch", "1")
    assert often.until_over().state == "succeeded" and "going on from" not in often.ok("logs", "1").out


def test_what_is_at_work_cannot_begin_from_scratch(often: HiveCli) -> None:
    often.ok("install", "--no-wait", *COUNTER)
    job = until_saved(often)
    refused = often("install", "--from-scratch", *COUNTER)
    assert refused.code == 1 and "it is job 1 already, which is running" in refused.err
    assert "hive queue cancel 1" in refused.err and often.paths.checkpoints(job.build_key).is_dir()


def test_of_two_jobs_of_a_build_only_one_writes_checkpoints(often: HiveCli) -> None:
    """Cancelled by a command while no supervisor was there to stop the runner, and installed again at once."""
    often.ok("install", "--no-wait", *COUNTER)
    until_saved(often)
    [first] = often.shims()
    service = often.service()
    for supervisor in often.supervisors():
        kill(supervisor)
    service.cancel(1)
    often.ok("install", "--no-wait", *COUNTER)
    until(lambda: often.shims() - {first}, "the second job begins")
    assert first not in often.shims()
    assert often.until_over(2).state == "succeeded"


def test_a_runner_that_was_given_up_does_not_take_the_next_ones_folder_with_it(hive: HiveCli) -> None:
    """Neither has saved anything yet, and the first one's end is noted while the second is at work."""
    hangs = ("install", "--no-wait", "hangs")
    hive.ok("start", "--keep-alive")  # the same supervisor for both
    hive.ok(*hangs)
    job = hive.until_running()
    hive.service().cancel(1)
    hive.ok(*hangs)
    hive.until_running(2)
    ended = re.compile(r"job 1 attempt 1: (stopped|infrastructure|no_heartbeat): ")
    until(lambda: ended.search(hive.paths.supervisor_log.read_text()), "the first one's end is noted")
    assert hive.job(2).state == "running" and hive.paths.checkpoints(job.build_key).is_dir()
