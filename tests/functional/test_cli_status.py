"""hive status: one screen."""

from __future__ import annotations

from hive_cli import HiveCli, until

SLOW = ("install", "--no-wait", "counter", "--param", "steps=2000", "--param", "pause_ms=20")


def test_status_of_nothing_makes_nothing(hive: HiveCli) -> None:
    shown = hive.ok("status").out
    assert "supervisor  not running" in shown and "0 active" in shown and "0 pending" in shown
    facts = hive.ok("status", "--json").json()
    assert set(facts) == {"at", "supervisor", "machine", "runners", "queue", "events"}
    assert facts["supervisor"] == {"running": False, "since": None}
    assert facts["runners"]["list"] == facts["events"] == facts["queue"]["waiting"] == []
    assert facts["machine"]["cores"] >= 1 and facts["machine"]["disk_free_bytes"] > 0
    assert not hive.home.exists()


def test_status_while_one_runs_and_one_waits(hive: HiveCli) -> None:
    hive.ok("scale", "1")
    hive.ok(*SLOW)
    hive.until_running()
    hive.ok("install", "--no-wait", "trivial")

    def trains() -> bool:
        return hive.ok("status", "--json").json()["runners"]["list"][0]["step"] > 10

    until(trains, "it trains")
    facts = hive.ok("status", "--json").json()
    [runner] = facts["runners"]["list"]
    assert (runner["id"], runner["name"], runner["phase"], runner["total"]) == ("1.1", "counter", "train", 2000)
    assert runner["cpu_percent"] > 0 and runner["memory_bytes"] > 10 << 20 and "loss" in runner["metrics"]
    assert (facts["runners"]["active"], facts["runners"]["available"], facts["runners"]["max"]) == (1, 0, 1)
    assert facts["supervisor"]["running"] and 0 <= facts["at"] - facts["supervisor"]["since"] < 600
    [waiting] = facts["queue"]["waiting"]
    assert waiting["name"] == "trivial" and waiting["reason"] == "1 of 1 runners are busy"
    assert facts["queue"]["pending"] == facts["queue"]["running"] == 1 and facts["queue"]["target_runners"] == 1
    assert facts["events"][0]["event"] == "enqueue" and facts["events"][0]["name"] == "trivial"
    shown = hive.ok("status").out
    assert "supervisor  running for " in shown and "1 active, 0 available, 1 at most" in shown
    assert "at most 1 runner at once" in shown and "1.1     counter  train" in shown and "/2,000" in shown
    assert "trivial (job 2) was queued" in shown and "1 of 1 runners are busy" in shown
    assert len(shown.splitlines()) <= 24 and max(map(len, shown.splitlines())) <= 120


def test_status_tells_what_failed_and_what_is_held(hive: HiveCli) -> None:
    hive("install", "raises")
    hive.ok("queue", "pause")
    shown = hive.ok("status").out
    assert "1 failed" in shown and "note        paused (go on with: hive start)" in shown
    assert "raises (job 1) failed: ZeroDivisionError: division by zero" in shown
