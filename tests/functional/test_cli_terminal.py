"""The command line on a terminal."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hive_cli import HiveCli
from terminal import COLOUR, on_terminal

SLOW = ("install", "hangs", "--param", "seconds=4")


def test_install_shows_a_bar_while_it_builds_and_leaves_the_story(hive: HiveCli) -> None:
    with on_terminal(hive, "install", "tiny", "--param", "pause_ms=5") as terminal:
        terminal.read_until("/200")
        assert terminal.wait() == 0
    assert "\x1b[" in terminal.raw and "eta" in terminal.text
    assert "train took " in terminal.text
    assert "accuracy ↑" in terminal.text and "installed tiny 1.0.0 (" in terminal.text
    assert terminal.raw.count("\x1b[?25h") >= terminal.raw.count("\x1b[?25l"), "the cursor is shown again"


def test_ctrl_c_detaches_and_the_build_goes_on(hive: HiveCli) -> None:
    with on_terminal(hive, *SLOW) as terminal:
        terminal.read_until("queued as job 1")
        hive.until_running()
        terminal.type("\x03")
        assert terminal.wait() == 130
    assert "detached: the build of hangs (job 1) goes on" in terminal.text
    assert "follow it: hive install hangs --param seconds=4" in terminal.text
    assert "Traceback" not in terminal.text
    with on_terminal(hive, *SLOW) as terminal:
        assert terminal.wait() == 0
    assert "hangs: job 1 is building it already, following" in terminal.text
    assert hive.job().attempt == 1


def test_ctrl_c_while_the_bar_moves(hive: HiveCli) -> None:
    with on_terminal(hive, "install", "tiny", "--param", "pause_ms=20") as terminal:
        terminal.read_until("loss")
        terminal.type("\x03")
        assert terminal.wait() == 130
    assert "detached: the build of tiny (job 1) goes on" in terminal.text
    assert "bug" not in terminal.text and "train took" not in terminal.text


def test_closed_terminal_does_not_end_the_build(hive: HiveCli, tmp_path: Path) -> None:
    with on_terminal(hive, *SLOW, TMPDIR=str(tmp_path)) as terminal:
        terminal.read_until("queued as job 1")
        hive.until_running()
        terminal.hang_up()
    assert terminal.process.returncode in (-signal.SIGHUP, 129) and not list(tmp_path.glob("hive-bug-*"))
    assert hive.until_over().state == "succeeded" and hive.job().attempt == 1


@pytest.mark.parametrize("command", [("monitor",), SLOW])
def test_a_closed_window_is_no_bug_where_sighup_is_ignored(hive: HiveCli, tmp_path: Path, command: tuple[str]) -> None:
    """As under nohup: what is written next fails."""
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with on_terminal(hive, *command, TMPDIR=str(tmp_path)) as terminal:
            terminal.read_until("hive install NAME" if command == ("monitor",) else "queued as job 1")
            terminal.hang_up()
    finally:
        signal.signal(signal.SIGHUP, ignored)
    assert terminal.process.returncode == 129 and not list(tmp_path.glob("hive-bug-*"))


def test_no_color_is_heeded(hive: HiveCli) -> None:
    with on_terminal(hive, *SLOW[:-1], "seconds=1", NO_COLOR="1") as terminal:
        assert terminal.wait() == 0
    colours = [code for code in COLOUR.findall(terminal.raw) if any(n.startswith("3") for n in code[2:-1].split(";"))]
    assert not [code for code in colours if code not in ("\x1b[3m",)], colours


def test_dumb_terminal_gets_plain_lines(hive: HiveCli) -> None:
    with on_terminal(hive, "install", "trivial", TERM="dumb") as terminal:
        assert terminal.wait() == 0
    assert "\x1b" not in terminal.raw and "trivial: train (of 3)" in terminal.text


def test_list_and_errors_are_plain(tiny: HiveCli) -> None:
    with on_terminal(tiny, "list") as terminal:
        assert terminal.wait() == 0
    assert "\x1b" not in terminal.raw and "tiny" in terminal.text
    with on_terminal(tiny, "install", "tyny") as terminal:
        assert terminal.wait() == 1
    assert terminal.text.startswith("error: there is no model called 'tyny'\n  why: ")


def test_run_on_a_terminal(tiny: HiveCli) -> None:
    (tiny.cwd / "numbers.txt").write_text("1\n")
    with on_terminal(tiny, "run", "tiny", "numbers.txt") as terminal:
        assert terminal.wait() == 0
    assert "sum: 2" in terminal.text and "wrote " in terminal.text


def test_recipe_cannot_drive_the_terminal(tiny: HiveCli) -> None:
    (tiny.cwd / "\x1b[31mred.txt").write_text("one\n")
    with on_terminal(tiny, "run", "tiny", "\x1b[31mred.txt", "-o", "x.txt") as terminal:
        assert terminal.wait() == 1
    assert "\x1b[31m" not in terminal.raw and "is not a list of numbers" in terminal.text


def test_a_long_reason_does_not_break_the_rows_of_a_terminal(hive: HiveCli) -> None:
    hive("install", "raises")
    with on_terminal(hive, "queue", "list") as terminal:
        assert terminal.wait() == 0
    [row] = [line for line in terminal.text.splitlines() if "raises" in line]
    assert len(row.rstrip()) <= 80 and row.rstrip().endswith("…")
    assert hive.ok("queue", "list").out.endswith("ZeroDivisionError: division by zero\n"), "whole in a pipe"
