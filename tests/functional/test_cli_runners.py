"""hive runners, scale, spawn, kill, start, stop, restart; hive queue pause, resume, move, clear."""

from __future__ import annotations

import os

import pytest
from hive_cli import HiveCli, kill, until

SLOW = ("install", "--no-wait", "counter", "--param", "pause_ms=50", "--param", "steps=100")


def test_paused_nothing_is_started_until_resume(hive: HiveCli) -> None:
    assert "nothing more is started" in hive.ok("queue", "pause").err
    hive.ok("install", "--no-wait", "trivial")
    status = hive.ok("queue", "status").out
    assert "queue: paused (go on with: hive start)" in status and "the queue is paused" in status
    until(lambda: not hive.supervisors(), "no supervisor stays for a queue that is held")
    assert hive.job().state == "queued"
    hive.ok("queue", "resume")
    assert hive.until_over().state == "succeeded"


def test_scaled_to_none_nothing_is_started(hive: HiveCli) -> None:
    assert "scaled to 0 runners" in hive.ok("scale", "0").err
    hive.ok("install", "--no-wait", "trivial")
    [waiting] = hive.ok("queue", "status", "--json").json()["waiting"]
    assert waiting["reason"] == "scaled to 0 runners"
    assert hive.ok("spawn", "--json").json()["target_runners"] == 1
    assert hive.until_over().state == "succeeded"
    assert hive.ok("scale", "auto", "--json").json()["target_runners"] is None
    assert hive("scale", "many").code == 2


def test_who_waits_is_told_what_for_and_what_lets_it_go_on(hive: HiveCli) -> None:
    for hold, why, lift in (
        (("scale", "0"), "trivial: waits: scaled to 0 runners (go on with: hive scale auto)", ("scale", "auto")),
        (("queue", "pause"), "trivial: waits: the queue is paused (go on with: hive start)", ("start",)),
    ):
        hive.ok(*hold)
        waiting = hive.start("install", "trivial", "--seed", str(len(why)))
        assert waiting.stderr is not None
        told = ""
        while why not in told:
            line = waiting.stderr.readline()
            assert line, f"it ended and said: {told}"
            told += line
        planned = hive.ok("install", "--dry-run", "tiny").err
        assert f"queue: nothing is started now (go on with: hive {' '.join(lift)})" in planned
        hive.ok(*lift)
        waiting.communicate(timeout=hive.deadline_s)
        assert waiting.returncode == 0


def test_when_the_queue_will_be_empty(hive: HiveCli) -> None:
    hive.ok("install", "trivial")
    took_s = hive.ok("queue", "show", "1", "--json").json()["work"]["expected_s"]
    planned = hive.ok("install", "--dry-run", "--json", "--rebuild", "trivial").json()
    assert planned["plan"][0]["expected_s"] == planned["done_in_s"] > 0, f"learned, not guessed ({took_s})"
    assert "queue: empty in about" in hive.ok("install", "--dry-run", "--rebuild", "trivial").err
    hive.ok("queue", "pause")
    hive.ok("install", "--no-wait", "hangs", "--param", "seconds=2")
    assert "never built here before: hangs" in hive.ok("queue", "status").out
    hive.ok("queue", "cancel", "2")
    hive.ok("install", "--no-wait", "--rebuild", "trivial")
    hive.ok("scale", "1")
    hive.ok("queue", "resume")
    assert hive.until_over(3).state == "succeeded"


def test_one_runner_at_a_time_and_the_other_job_says_why_it_waits(hive: HiveCli) -> None:
    hive.ok("scale", "1")
    hive.ok(*SLOW)
    hive.until_running()
    hive.ok("install", "--no-wait", "trivial")
    [waiting] = hive.ok("queue", "status", "--json").json()["waiting"]
    assert waiting["reason"] == "1 of 1 runners are busy"
    [runner] = hive.ok("runners", "--json").json()
    assert runner["id"] == "1.1" and runner["name"] == "counter"
    assert hive.ok("runners", "-q").out == "1.1\n"
    assert "counter" in hive.ok("runners").out
    hive.ok("spawn")
    assert hive.until_over(2).state == "succeeded" and hive.job(1).state == "running"


def test_a_killed_runner_costs_its_job_nothing(hive: HiveCli) -> None:
    hive.ok(*SLOW)
    hive.until_running()
    assert "goes back to the queue" in hive.ok("kill", "1.1").err
    job = hive.until_over()
    assert job.state == "succeeded" and job.attempt == 2 and job.charged == 0
    assert "going on from the checkpoint" in hive.ok("logs", "1").out
    refused = hive("kill", "1")
    assert refused.code == 1 and "there is no runner 1" in refused.err


def test_stop_now_and_start_go_on_from_the_checkpoint(hive: HiveCli) -> None:
    hive.ok(*SLOW)
    hive.until_running()
    assert "stopped counter (job 1)" in hive.ok("stop", "--now").err
    assert not hive.supervisors() and not hive.shims()
    assert hive.job().state == "queued"
    assert "the queue is stopped" in hive.ok("queue", "status").out
    hive.ok("start")
    job = hive.until_over()
    assert job.state == "succeeded" and job.attempt == 2
    assert "going on from the checkpoint" in hive.ok("logs", "1").out


def test_stop_lets_what_runs_finish_and_leaves_the_rest(hive: HiveCli) -> None:
    hive.ok("scale", "1")
    hive.ok(*SLOW)
    hive.until_running()
    hive.ok("install", "--no-wait", "trivial")
    assert "still running: counter (job 1)" in hive.ok("stop").err
    assert hive.until_over().state == "succeeded"
    until(lambda: not hive.supervisors(), "the supervisor has left")
    assert hive.job(2).state == "queued"


def test_restart_leaves_the_runner_at_work(hive: HiveCli) -> None:
    hive.ok(*SLOW)
    hive.until_running()
    [before] = until(hive.supervisors, "a supervisor works")
    hive.ok("restart")
    [after] = until(hive.supervisors, "another works")
    assert after != before
    job = hive.until_over()
    assert job.state == "succeeded" and job.attempt == 1


def test_a_supervisor_that_is_kept_alive_stays_until_stop(hive: HiveCli) -> None:
    hive.ok("start", "--keep-alive")
    hive.ok("install", "trivial")
    assert hive.supervisors()
    assert "the supervisor stays when idle" in hive.ok("queue", "status").out
    hive.ok("stop")
    until(lambda: not hive.supervisors(), "it leaves")


def test_move_and_clear(hive: HiveCli) -> None:
    hive.ok("queue", "pause")
    for seed in ("1", "2", "3"):
        hive.ok("install", "--no-wait", "trivial", "--seed", seed)
    assert "job 3 (trivial) has priority high" in hive.ok("queue", "move", "3", "--priority", "high").err
    assert [job["id"] for job in hive.ok("queue", "status", "--json").json()["waiting"]] == [3, 1, 2]
    assert "cancelled 3 waiting jobs" in hive.ok("queue", "clear").err
    assert {hive.job(number).state for number in (1, 2, 3)} == {"cancelled"}
    refused = hive("queue", "move", "3", "--priority", "low")
    assert refused.code == 1 and "it was cancelled" in refused.err


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this machine has one core")
def test_two_runs_of_one_core_do_not_share_it(hive: HiveCli) -> None:
    """Nor when the second one's supervisor has found the first one running."""
    hive.ok("install", "--no-wait", "hangs", "--seed", "1")
    hive.until_running()
    [first] = until(hive.shims, "the first run is there")
    until(lambda: len(os.sched_getaffinity(first)) == 1, "it has a core of its own")
    for supervisor in hive.supervisors():
        kill(supervisor)
    hive.ok("install", "--no-wait", "hangs", "--seed", "2")

    def cores(pid: int) -> set[int]:
        try:
            return os.sched_getaffinity(pid)
        except ProcessLookupError:  # it was on its way to become the shim
            return set()

    others = until(lambda: [own for pid in hive.shims() - {first} if len(own := cores(pid)) == 1], "so has the second")
    assert all(cores(first).isdisjoint(own) for own in others)
