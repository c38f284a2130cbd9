"""hive runners, scale, spawn, kill, start, stop, restart; hive queue pause, resume, move, clear."""

from __future__ import annotations

from hive_cli import HiveCli, until

SLOW = ("install", "--no-wait", "tiny", "--param", "pause_ms=50", "--param", "steps=100")


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


def test_one_runner_at_a_time_and_the_other_job_says_why_it_waits(hive: HiveCli) -> None:
    hive.ok("scale", "1")
    hive.ok(*SLOW)
    hive.until_running()
    hive.ok("install", "--no-wait", "trivial")
    [waiting] = hive.ok("queue", "status", "--json").json()["waiting"]
    assert waiting["reason"] == "1 of 1 runners are busy"
    [runner] = hive.ok("runners", "--json").json()
    assert runner["id"] == "1.1" and runner["name"] == "tiny"
    assert hive.ok("runners", "-q").out == "1.1\n"
    assert "tiny" in hive.ok("runners").out
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
    assert "stopped tiny (job 1)" in hive.ok("stop", "--now").err
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
    assert "still running: tiny (job 1)" in hive.ok("stop").err
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
