"""hive monitor on a terminal: what is seen, what keys do, and that the terminal is left as it was found."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from hive_cli import HiveCli
from terminal import Terminal, on_terminal

SLOW = ("install", "--no-wait", "counter", "--param", "steps=2000", "--param", "pause_ms=20")


def assert_restored(terminal: Terminal, before: list[object]) -> None:
    assert terminal.settings() == before
    assert terminal.raw.count("\x1b[?1049l") == terminal.raw.count("\x1b[?1049h") == 1, "the screen of before is back"
    assert terminal.raw.rindex("\x1b[?25h") > terminal.raw.rindex("\x1b[?25l"), "the cursor is shown again"


def test_without_a_terminal_it_refuses(hive: HiveCli) -> None:
    refused = hive("monitor")
    assert refused.code == 2 and "try: hive status" in refused.err
    assert not hive.home.exists()


def test_an_empty_home_is_watched_and_left_empty(hive: HiveCli) -> None:
    with on_terminal(hive, "monitor") as terminal:
        terminal.resize(80, 24)
        before = terminal.settings()
        terminal.read_until("hive install NAME")
        assert terminal.settings() != before, "keys are read one by one"
        terminal.type("q")
        assert terminal.wait() == 0
        assert_restored(terminal, before)
    assert not hive.home.exists()


def test_a_build_is_seen_and_keys_change_the_queue(hive: HiveCli) -> None:
    hive.ok("scale", "1")
    hive.ok(*SLOW)
    hive.until_running()
    hive.ok("install", "--no-wait", "trivial")
    with on_terminal(hive, "monitor") as terminal:
        terminal.resize(120, 30)
        before = terminal.settings()
        terminal.read_until("/2,000")
        terminal.read_until("1 of 1 runners are busy")
        terminal.type("j+")
        terminal.read_until("job 2 (trivial) has priority high")
        assert hive.job(2).priority_name == "high"
        terminal.type("p")
        terminal.read_until("the queue is paused")
        assert hive.service().queue_status().control.hold == "paused"
        terminal.type("p")
        terminal.read_until("the queue goes on")
        terminal.type("k")
        terminal.type("l")
        terminal.read_until("log of job 1 (counter)")
        terminal.type("q")
        terminal.type("\x1b[Bc")
        terminal.read_until("cancel job 2 (trivial)? y/n")
        assert hive.job(2).state == "queued"
        terminal.type("y")
        terminal.read_until("job 2 (trivial) is cancelled")
        assert hive.job(2).state == "cancelled" and hive.job(1).state == "running"
        terminal.type("?")
        terminal.read_until("any key: back")
        terminal.type("xq")
        assert terminal.wait() == 0
        assert_restored(terminal, before)
    assert hive.job(1).state == "running", "leaving disturbs nothing"


def test_the_log_goes_on_while_it_is_followed(hive: HiveCli) -> None:
    hive.ok("queue", "pause")
    hive.ok("install", "--no-wait", "raises")
    with on_terminal(hive, "monitor") as terminal:
        terminal.resize(100, 30)
        terminal.read_until("raises")
        terminal.type("l")
        terminal.read_until("log of job 1")
        terminal.read_until("nothing yet")
        hive.ok("queue", "resume")
        terminal.read_until("ZeroDivisionError: division by zero")
        terminal.type("qq")
        assert terminal.wait() == 0


def test_it_follows_the_size_of_the_terminal(hive: HiveCli) -> None:
    with on_terminal(hive, "monitor") as terminal:
        terminal.resize(80, 24)
        terminal.read_until("q quit")
        terminal.forget()
        terminal.resize(120, 24)
        terminal.read_until(" cores", 5)
        terminal.forget()
        terminal.resize(30, 8)
        terminal.read_until("too small for hive monitor", 5)
        terminal.resize(80, 24)
        terminal.read_until("q quit", 5)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_a_signal_ends_it_and_the_terminal_is_restored(hive: HiveCli, number: int, code: int) -> None:
    with on_terminal(hive, "monitor") as terminal:
        terminal.resize(80, 24)
        before = terminal.settings()
        terminal.read_until("q quit")
        if number == signal.SIGINT:
            terminal.type("\x03")
        else:
            os.kill(terminal.process.pid, number)
        assert terminal.wait() == code
        assert_restored(terminal, before)
        assert "Traceback" not in terminal.text and "bug" not in terminal.text


def test_a_database_that_is_destroyed_meanwhile_is_made_again_and_it_goes_on(tiny: HiveCli) -> None:
    with on_terminal(tiny, "monitor") as terminal:
        terminal.resize(80, 24)
        before = terminal.settings()
        terminal.read_until("q quit")
        tiny.paths.database.write_bytes(b"no database " * 1000)
        terminal.read_until("made again from the store: tiny installed")
        terminal.read_until(", 0 done")  # the queue is lost
        terminal.type("q")
        assert terminal.wait() == 0
        assert terminal.settings() == before


def test_a_lost_connection_ends_it(hive: HiveCli) -> None:
    with on_terminal(hive, "monitor") as terminal:
        terminal.resize(80, 24)
        terminal.read_until("q quit")
        terminal.hang_up()
    assert terminal.process.returncode is not None


def test_idle_it_costs_little(hive: HiveCli) -> None:
    """A bound with room for a busy machine; measured, it is a third of this."""
    with on_terminal(hive, "monitor") as terminal:
        terminal.resize(80, 24)
        terminal.read_until("q quit")
        used = _cpu_s(terminal.process.pid)
        time.sleep(4)
        assert (_cpu_s(terminal.process.pid) - used) / 4 < 0.06


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
