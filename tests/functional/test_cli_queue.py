"""hive queue and hive logs."""

from __future__ import annotations

import signal

from hive_cli import HiveCli, kill, until

HUNG = ("install", "--no-wait", "hangs")
SLOW = ("install", "--no-wait", "hangs", "--param", "seconds=2")


def test_queue_of_a_new_home_is_empty(hive: HiveCli) -> None:
    told = hive.ok("queue", "status").out
    assert told.startswith("0 running, 0 queued, 0 succeeded, 0 failed, 0 cancelled\n")
    assert "supervisor: not running" in told
    assert hive.ok("queue", "list", "--json").json() == []


def test_status_list_and_show_of_a_job_that_runs(hive: HiveCli) -> None:
    hive.ok(*HUNG)
    hive.until_running()
    status = hive.ok("queue", "status").out
    assert status.startswith("1 running, 0 queued") and "supervisor: running" in status and "hangs" in status
    facts = hive.ok("queue", "status", "--json").json()
    assert facts["supervisor"] is True and [job["name"] for job in facts["running"]] == ["hangs"]
    assert hive.ok("queue", "list", "-q").out == "1\n"
    shown = hive.ok("queue", "show", "1").out
    assert shown.startswith("job 1: hangs 1.0.0, running, priority medium\n") and "claim" in shown
    story = hive.ok("queue", "show", "--json", "1").json()
    assert story["state"] == "running" and [event["event"] for event in story["events"]] == ["enqueue", "claim"]


def test_cancel_ends_the_run_and_retry_queues_it_again(hive: HiveCli) -> None:
    hive.ok(*HUNG)
    hive.until_running()
    assert "job 1 (hangs) is cancelled" in hive.ok("queue", "cancel", "1").err
    for shim in until(hive.shims, "the shim is there"):
        kill(shim)  # this recipe does not listen
    assert hive.job().state == "cancelled"
    again = hive("queue", "cancel", "1")
    assert again.code == 1 and "it was cancelled already" in again.err
    [job] = hive.ok("queue", "retry", "--json", "1").json()
    assert job["state"] == "queued"
    assert hive.until_running().attempt == 2


def test_cancel_of_a_waiting_job(hive: HiveCli) -> None:
    one = {"HIVE_MAX_RUNNERS": "1"}
    hive.ok(*HUNG, **one)
    hive.until_running()
    hive.ok("install", "--no-wait", "trivial", **one)
    assert hive.job(2).state == "queued"
    hive.ok("queue", "cancel", "2")
    assert hive.job(2).state == "cancelled" and hive.job(2).attempt == 0
    assert hive.job(1).state == "running"


def test_who_waits_for_a_cancelled_job_is_told(hive: HiveCli) -> None:
    waiting = hive.start("install", "hangs")
    until(lambda: hive.service().jobs(1), "the job is queued")
    hive.until_running()
    hive.ok("queue", "cancel", "1")
    _, told = waiting.communicate(timeout=60)
    assert waiting.returncode == 3 and "cancelled by the user" in told


def test_failed_job_is_explained_and_can_be_tried_again(hive: HiveCli) -> None:
    hive("install", "raises")
    assert "failed (recipe_error)" in hive.ok("queue", "list").out
    shown = hive.ok("queue", "show", "1").out
    assert "failure: recipe_error: ZeroDivisionError: division by zero" in shown and "why: train.py:13" in shown
    assert "job 1 (raises) is queued" in hive.ok("queue", "retry", "1").err
    until(lambda: hive.job().attempt == 2 and hive.job().state == "failed", "it failed again")


def test_wait_ends_when_the_jobs_named_are_over(hive: HiveCli) -> None:
    hive.ok(*SLOW)
    hive.ok("install", "--no-wait", "trivial")
    waited = hive.ok("queue", "wait", "2", "1")
    assert "job 2 (trivial) succeeded\n" in waited.err and "job 1 (hangs) succeeded\n" in waited.err
    assert [job["state"] for job in hive.ok("queue", "wait", "--json", "1", "2").json()] == ["succeeded"] * 2


def test_wait_without_jobs_named_is_for_all_that_run_or_wait(hive: HiveCli) -> None:
    assert hive.ok("queue", "wait", "--json").json() == []
    hive.ok(*SLOW)
    hive.ok(*SLOW, "--seed", "1")  # as slow: what is over when the wait begins is not waited for
    assert {job["id"]: job["state"] for job in hive.ok("queue", "wait", "--json").json()} == {
        1: "succeeded",
        2: "succeeded",
    }


def test_wait_fails_as_the_job_does(hive: HiveCli) -> None:
    hive.ok("install", "--no-wait", "raises")
    hive.ok("install", "--no-wait", "trivial")
    failed = hive("queue", "wait", "1", "2")
    assert failed.code == 3 and "raises 1.0.0 was not built: ZeroDivisionError" in failed.err, failed
    assert "job 2 (trivial) succeeded" in failed.err
    missing = hive("queue", "wait", "9")
    assert missing.code == 1 and "there is no job 9" in missing.err


def test_an_interrupt_of_wait_leaves_the_job_at_work(hive: HiveCli) -> None:
    hive.ok(*HUNG)
    hive.until_running()
    waiting = hive.start("queue", "wait")
    assert waiting.stderr and "following" in waiting.stderr.readline()
    assert waiting.stderr.readline()  # the first of the run: it is being watched
    waiting.send_signal(signal.SIGINT)
    _, told = waiting.communicate(timeout=60)
    assert waiting.returncode == 130 and "detached: the build of hangs (job 1) goes on" in told
    assert hive.job().state == "running"


def test_what_cannot_be_changed_is_refused(hive: HiveCli) -> None:
    hive.ok("install", "trivial")
    for arguments, why in (
        (("cancel", "1"), "it succeeded already"),
        (("retry", "1"), "it succeeded"),
        (("cancel", "9"), "there is no job 9"),
        (("retry", "9"), "there is no job 9"),
        (("show", "9"), "there is no job 9"),
    ):
        refused = hive("queue", *arguments)
        assert refused.code == 1 and why in refused.err, refused
    assert hive("queue", "show", "x").code == 2
    assert hive("queue", "cancel").code == 2


def test_a_job_that_cannot_be_changed_does_not_keep_the_others_from_it(hive: HiveCli) -> None:
    hive.ok("queue", "pause")
    for seed in ("1", "2"):
        hive.ok("install", "--no-wait", "trivial", "--seed", seed)
    mixed = hive("queue", "cancel", "9", "1", "8", "2")
    assert mixed.code == 1 and "there is no job 9" in mixed.err and "there is no job 8" in mixed.err
    assert {hive.job(1).state, hive.job(2).state} == {"cancelled"}


def test_many_commands_at_once_on_one_home(hive: HiveCli) -> None:
    """Each does its work or says why not; none meets a bug, and what is there afterwards is whole."""
    commands = [("install", "trivial", "--seed", str(seed % 3), "--rebuild") for seed in range(5)]
    commands += [("queue", "cancel", "1"), ("queue", "move", "2", "--priority", "high"), ("queue", "retry", "1")]
    commands += [("queue", "list"), ("status", "--json"), ("clean", "--older-than", "0"), ("queue", "show", "1")]
    crowd = [(command, hive.start(*command)) for command in commands]
    for command, process in crowd:
        _, told = process.communicate(timeout=hive.deadline_s)
        assert process.returncode in (0, 1, 3) and "bug in hive" not in told, (command, told)
    until(lambda: not hive.supervisors(), "all is done")
    states = {job.state for job in hive.service().jobs(100)}
    assert states <= {"succeeded", "cancelled"} and "succeeded" in states
    hive.ok("verify")


def test_list_is_limited_to_the_newest(hive: HiveCli) -> None:
    for seed in range(3):
        hive.ok("install", "-q", "trivial", "--seed", str(seed))
    assert hive.ok("queue", "list", "-q", "-n", "2").out == "3\n2\n"


def test_logs_of_a_job_and_of_a_name(hive: HiveCli) -> None:
    hive("install", "raises")
    whole = hive.ok("logs", "1").out
    assert "ZeroDivisionError: division by zero" in whole
    assert hive.ok("logs", "raises").out == whole
    assert hive.ok("logs", "-f", "1").out == whole
    assert hive.ok("logs", "--tail", "1", "raises").out == whole.splitlines()[-1] + "\n"
    assert hive.ok("logs", "--tail", "0", "raises").out == ""


def test_who_follows_a_log_replaces_a_supervisor_that_was_killed(hive: HiveCli) -> None:
    hive.ok("install", "counter", "--no-wait", "--param", "steps=100", "--param", "pause_ms=20")
    hive.until_running()
    for pid in hive.supervisors():
        kill(pid)
    hive.ok("logs", "-f", "1")
    assert hive.job().state == "succeeded"


def test_logs_follow_a_job_from_the_queue_to_its_end(hive: HiveCli) -> None:
    one = {"HIVE_MAX_RUNNERS": "1"}
    hive.ok(*SLOW, **one)
    hive("install", "--no-wait", "raises", **one)
    waits = hive("logs", "raises")
    if waits.code:  # it has not begun
        assert waits.code == 1 and "job 2 has no log yet" in waits.err and "hive logs -f 2" in waits.err
    assert "ZeroDivisionError" in hive.ok("logs", "-f", "raises").out
    assert hive.job(2).state == "failed"


def test_logs_of_what_was_never_built(hive: HiveCli) -> None:
    never = hive("logs", "tiny")
    assert never.code == 1 and "tiny was never built here" in never.err and "hive install tiny" in never.err
    assert "did you mean tiny?" in hive("logs", "tyny").err
    assert hive("logs", "7").code == 1


def test_logs_follow_into_the_next_attempt(hive: HiveCli) -> None:
    hive.ok(*SLOW)
    hive.until_running()
    following = hive.start("logs", "-f", "1")
    for shim in until(hive.shims, "the shim is there"):
        kill(shim)  # an infrastructure failure: tried again
    job = hive.until_over()
    following.communicate(timeout=60)
    assert (job.state, job.attempt) == ("succeeded", 2) and following.returncode == 0


def test_the_story_of_each_attempt(hive: HiveCli) -> None:
    often = {"HIVE_CHECKPOINT_S": "0"}
    hive.ok("install", "--no-wait", "counter", "--param", "steps=60", "--param", "pause_ms=30", **often)
    events = hive.paths.attempt(1, 1) / "events.jsonl"
    until(lambda: events.exists() and events.read_text().count('"checkpoint"') > 3, "it saves checkpoints")
    hive.ok("kill", "1.1")
    assert hive.until_over().state == "succeeded"
    shown = hive.ok("queue", "show", "1").out
    assert "tries: 2 of at most 12, 0 of 3 charged to the job" in shown
    assert "from: the first step" in shown and "from: the checkpoint at step" in shown
    assert "end: stopped, not charged: stopped after a checkpoint" in shown and "end: succeeded\n" in shown
    story = hive.ok("queue", "show", "--json", "1").json()
    first, second = story["attempts"]
    assert (first["began_at_step"], first["outcome"], first["charged"]) == (0, "stopped", False)
    assert second["began_at_step"] >= 4 and second["outcome"] == "succeeded"
    assert (first["runner"], story["charged"], story["next_try_at"]) == ("process", 0, None)
    assert first["level"] and first["isolation"].startswith(first["level"])
    assert "going on from" in hive.ok("logs", "1.2").out and "going on from" not in hive.ok("logs", "1.1").out
    assert hive.ok("logs", "-f", "1.1").out == hive.ok("logs", "1.1").out
    never = hive("logs", "1.3")
    assert never.code == 1 and "job 1 was tried 2 times" in never.err
    hive.ok("clean", "--older-than", "0")
    assert "going on" not in hive.ok("queue", "show", "1").out and "is gone" in hive("logs", "1.1").err


def test_an_attempt_that_failed_says_why_and_that_it_is_charged(hive: HiveCli) -> None:
    hive("install", "raises")
    shown = hive.ok("queue", "show", "1").out
    assert "1 of 3 charged to the job" in shown
    assert "end: recipe_error, charged: ZeroDivisionError: division by zero: train.py:13" in shown


def test_cancel_ends_a_run_that_does_not_listen(hive: HiveCli) -> None:
    hive.ok(*HUNG)
    hive.until_running()
    hive.ok("queue", "cancel", "1")
    until(lambda: not hive.shims() and not hive.supervisors(), "the run has ended and the supervisor left", 60)
    assert hive.job().state == "cancelled"
