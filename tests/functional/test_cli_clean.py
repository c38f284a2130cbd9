"""hive clean: room is made of what nobody needs."""

from __future__ import annotations

from hive_cli import HiveCli, until


def test_clean_of_nothing_makes_nothing(hive: HiveCli) -> None:
    assert hive.ok("clean").err == "nothing to clean\n"
    assert hive.ok("clean", "--json").json() == {"dry_run": False, "freed_bytes": 0, "removed": []}
    assert not hive.home.exists()


def test_clean_removes_what_old_jobs_left_and_keeps_their_story(hive: HiveCli) -> None:
    hive.ok("install", "trivial")
    hive("install", "raises")
    until(lambda: not hive.supervisors(), "the supervisor has left")
    assert "nothing to clean" in hive.ok("clean").err, "both have just ended"
    planned = hive.ok("clean", "--older-than", "0", "--dry-run")
    assert "job 1 (trivial)" in planned.out and "failed: its logs" in planned.out
    assert planned.err.startswith("would free ") and hive.paths.job(1).is_dir()
    plan = hive.ok("clean", "--older-than", "0", "--dry-run", "--json").json()
    done = hive.ok("clean", "--older-than", "0", "--json").json()
    assert plan == {**done, "dry_run": True}
    assert done["freed_bytes"] == sum(each["size_bytes"] for each in done["removed"]) > 0
    assert {each["kind"] for each in done["removed"]} == {"job", "log"}
    assert hive.ok("queue", "list", "-q").out == "2\n1\n" and hive.ok("list", "-q").out == "trivial\n"
    gone = hive("logs", "raises")
    assert gone.code == 1 and "the log of job 2 is gone" in gone.err
    hive.ok("verify")
    assert "is queued" in hive.ok("queue", "retry", "2").err
    assert hive.until_over(2).state == "failed" and "ZeroDivisionError" in hive.ok("logs", "raises").out


def test_clean_disturbs_nothing_that_works_or_waits(hive: HiveCli) -> None:
    hive.ok("scale", "1")
    hive.ok("install", "--no-wait", "tiny", "--param", "steps=100", "--param", "pause_ms=20")
    hive.until_running()
    hive.ok("install", "--no-wait", "trivial")
    while hive.job(2).state != "succeeded":
        hive.ok("clean", "--older-than", "0")
    assert hive.job(1).state == "succeeded" and hive.job(1).attempt == 1


def test_time_that_cannot_be_read_is_a_usage_error(hive: HiveCli) -> None:
    refused = hive("clean", "--older-than", "soon")
    assert refused.code == 2 and "'soon' is not a time" in refused.err
