"""The dashboard as text, and what its keys mean. (On a terminal: functional/test_cli_monitor.py.)"""

from __future__ import annotations

import math
from typing import Any

import pytest
from builders import build, enqueue, work
from hypothesis import given
from hypothesis import strategies as st

from hive.config import Settings
from hive.db import Database
from hive.model import Attempt, Happening, Job, MachineUse, QueueControl, RunnerUse, Snapshot
from hive.monitor import Action, View, chosen, draw, names_of, perform, press
from hive.paths import Home
from hive.service import Hive
from hive.states import JobState

NOW = 1_000_000.0
MACHINE = MachineUse(2, 45.0, (1.2, 1.0, 0.5), 16 << 30, 3 << 30, 100 << 30, 40 << 30, "")


def job(number: int, name: str = "model", state: str = "queued", priority: int = 1) -> Job:
    return Job(
        number, name, "1.0.0", f"key{number}", JobState(state), priority, int(state == "running"), 0, build(name),
        work(), NOW - 60, 0.0, NOW - 30, None, None, None,
    )  # fmt: skip


def runner(number: int, **fields: Any) -> RunnerUse:
    attempt = Attempt(number, 1, NOW - 30, "process", "", "", None, "", "", 0, 0.0)
    facts: dict[str, Any] = {
        "id": f"{number}.1", "job": job(number, f"runs{number}", "running"), "attempt": attempt, "phase": "train",
        "step": 120, "total": 2000, "metrics": {"loss": 0.1234}, "curve": (3.0, 2.0, 1.0), "eta_s": 200.0,
        "cpu_percent": 99.0, "memory_bytes": 512 << 20,
    }  # fmt: skip
    return RunnerUse(**{**facts, **fields})


def snapshot(runners: int = 2, waiting: int = 2, events: int = 3, **fields: Any) -> Snapshot:
    waits = tuple(job(100 + i, f"waits{i}") for i in range(waiting))
    facts: dict[str, Any] = {
        "at": NOW, "supervisor": True, "supervisor_since": NOW - 240, "machine": MACHINE,
        "runners": tuple(runner(1 + i) for i in range(runners)), "runners_available": 0, "runners_max": 4,
        "control": QueueControl(), "totals": {"queued": waiting, "running": runners, "succeeded": 7, "failed": 1},
        "waiting": waits, "reasons": {each.id: "2 of 4 runners are busy" for each in waits}, "done_in_s": 720.0,
        "happenings": tuple(Happening(NOW - i, 50 + i, f"event{i}", 1, "succeed", "") for i in range(events)),
    }  # fmt: skip
    return Snapshot(**{**facts, **fields})


def text(view: View, now: Snapshot, width: int = 80, height: int = 24, **more: Any) -> str:
    lines = draw(view, now, width, height, **more)
    assert len(lines) == height and all(line.cell_len <= width for line in lines)
    return "\n".join(line.plain.rstrip() for line in lines)


# The screen


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (100, 12), (40, 12), (200, 60)])
def test_everything_has_its_place(width: int, height: int) -> None:
    shown = text(View(), snapshot(), width, height)
    for words in ("hive supervisor 4 min", "> 1.1 ", "  2.1 ", "waits0", "EVENTS"):
        assert words in shown, shown
    if width >= 80:
        counts = "7 done, 1 failed\n" if width > 80 else "1 failed\n"
        for words in (f"2 of 4 runners, 2 waiting, empty in 12 min, {counts}", "45 %", "120/2,000", "3 min",
                      "99 %", "512 MiB", "█▄▁ 0.1234", "2 of 4 runners are busy", "no GPU", "q quit"):  # fmt: skip
            assert words in shown, shown
        assert "event0 (job 50) was installed" in shown


def test_nothing_at_all_says_what_to_do() -> None:
    nothing = snapshot(0, 0, 0, supervisor=False, supervisor_since=None, totals={}, done_in_s=None)
    shown = text(View(), nothing)
    assert "no supervisor, 0 of 4 runners, 0 waiting, 0 done, 0 failed\n" in shown
    assert "nothing runs" in shown and "nothing waits" in shown and "hive install NAME" in shown


@pytest.mark.parametrize("height", [12, 24, 40])
def test_of_many_the_selected_one_is_in_sight(height: int) -> None:
    now = snapshot(runners=8, waiting=300, events=50)
    view = View()
    for _ in range(340):
        shown = text(view, now, 80, height)
        selected = chosen(view, now)
        assert selected and sum(line.startswith("> ") for line in shown.splitlines()) == 1, shown
        assert f"> {selected.id}" in shown
        assert "EVENTS" in shown and "event0" in shown
        view, _ = press(view, "down", now)
    assert chosen(view, now) == now.waiting[-1]


@given(
    st.integers(1, 150),
    st.integers(1, 70),
    st.integers(0, 9),
    st.integers(0, 99),
    st.integers(0, 50),
    st.integers(0, 3),
)
def test_no_size_breaks_the_screen(width: int, height: int, runners: int, waiting: int, events: int, page: int) -> None:
    now = snapshot(runners, waiting, events, control=QueueControl(hold="paused"))
    view = [View(), View("log", 1), View("help"), View(asking=1)][page]
    text(view, now, width, height, log=["a line " * 30] * events, told="told")


def test_a_hostile_run_does_not_drive_the_terminal() -> None:
    evil = "\x1b[2J\x07\n\r"
    metrics = {evil + "loss": math.nan}
    odd = runner(1, phase=evil, metrics=metrics, curve=(), step=10**18, total=10**18, eta_s=None, cpu_percent=None)
    event = Happening(NOW, 1, "model", 1, "fail", evil)
    now = snapshot(runners=0, waiting=1, happenings=(event,))
    for view in (View(), View("log", 1), View(asking=1)):
        for line in draw(view, Snapshot(**{**vars(now), "runners": (odd,)}), 80, 24, [evil + "x" * 500, "a\tb"]):
            assert line.plain.isprintable() or not line.plain, repr(line.plain)


def test_log_page_shows_the_end_and_scrolls() -> None:
    log = [f"line {number}" for number in range(100)]
    now, view = snapshot(), View("log", 1)
    shown = text(view, now, log=log)
    assert "log of job 1 (runs1): train 120/2,000" in shown and "line 99" in shown and "line 78" not in shown
    view, _ = press(view, "up", now)
    assert "line 98" in text(view, now, log=log) and "line 99" not in text(view, now, log=log)
    for key, first in (("home", "line 0\n"), ("end", "line 79\n")):
        view, _ = press(view, key, now)
        assert first in text(view, now, log=log)
    ended = snapshot(happenings=(Happening(NOW, 9, "model", 1, "fail", "no"),))
    assert "log of job 9: model (job 9) failed: no" in text(View("log", 9), ended, log=[])


def test_a_held_queue_and_a_question_are_seen() -> None:
    held = snapshot(control=QueueControl(hold="paused"))
    assert "hive  paused  supervisor" in text(View(), held) and "p go on" in text(View(), held)
    assert " cancel job 1 (runs1)? y/n" in text(View(asking=1), held)
    assert "job 1 is cancelled" in text(View(), held, told="job 1 is cancelled")


# Keys


def test_selection_moves_over_runners_and_what_waits_and_stays_with_its_job() -> None:
    now, view = snapshot(runners=1, waiting=2), View()
    seen = []
    for key in ("j", "down", "down", "k", "up", "up", "end", "home"):
        view, action = press(view, key, now)
        assert action is None
        seen.append(view.selected)
    assert seen == [100, 101, 101, 100, 1, 1, 101, 1]
    view, _ = press(view, "j", now)
    later = snapshot(runners=3, waiting=1)
    assert chosen(view, later) == later.waiting[0], "others came before it, it is still the same"
    gone = snapshot(runners=1, waiting=0)
    assert chosen(view, gone) == gone.runners[0].job
    assert press(view, "j", snapshot(0, 0)) == (view, None)


def test_cancel_asks_first() -> None:
    now = snapshot()
    asked, action = press(View(), "c", now)
    assert asked.asking == 1 and action is None
    assert press(asked, "y", now) == (View(selected=1), Action("cancel", 1))
    for other in ("n", "q", "escape", "enter", "c"):
        assert press(asked, other, now) == (View(selected=1), None)
    changed = snapshot(runners=0)  # it ended while the question stood
    assert press(asked, "y", changed)[1] == Action("cancel", 1), "never another than the one that was asked for"


@pytest.mark.parametrize(
    ("priority", "key", "moved"),
    [(1, "+", "high"), (1, "=", "high"), (1, "-", "low"), (0, "+", ""), (2, "-", ""), (2, "+", "medium")],
)
def test_priority_of_what_waits(priority: int, key: str, moved: str) -> None:
    now = snapshot(0, 0)
    now = Snapshot(**{**vars(now), "waiting": (job(5, priority=priority),)})
    assert press(View(), key, now)[1] == (Action("move", 5, moved) if moved else None)
    assert press(View(), key, snapshot())[1] is None, "what runs has no turn to wait for"


def test_pages_and_the_way_out() -> None:
    now = snapshot()
    for key in ("l", "enter"):
        log, _ = press(View(), key, now)
        assert (log.page, log.selected) == ("log", 1)
        assert press(log, "q", now)[0].page == press(log, "escape", now)[0].page == "queue"
        assert press(log, "c", now) == (log, None)
    helping, _ = press(View(), "?", now)
    assert helping.page == "help" and press(helping, "q", now)[0] == View()
    assert press(View(), "q", now)[0].over
    assert press(View(), "p", now)[1] == Action("pause")
    assert press(View(), "p", snapshot(control=QueueControl(hold="stopped")))[1] == Action("resume")
    assert press(View(), "x", now) == (View(), None)


def test_what_terminals_send() -> None:
    assert names_of(b"\x1b[A\x1b[B\x1bOAj") == ["up", "down", "up", "j"]
    assert names_of(b"\x1b[5~\x1b[6~\r\x1b") == ["page up", "page down", "enter", "escape"]
    assert names_of("é+".encode()) == ["é", "+"]
    assert names_of(b"\x1b[1;5C\x1b[200~q") == ["q"], "what has no name here is no letter either"


@given(st.binary())
def test_no_bytes_break_the_keys(typed: bytes) -> None:
    view, now = View(), snapshot()
    for key in names_of(typed):
        view, _ = press(view, key, now)
        text(view, now)


# What keys ask for


def test_answers_and_refusals_are_told(home: Home, db: Database) -> None:
    hive, waiting = Hive(home, Settings()), enqueue(db)
    assert "nothing more is started" in perform(hive, Action("pause")) and hive.look().control.hold == "paused"
    assert perform(hive, Action("move", waiting.id, "high")) == "job 1 (model) has priority high"
    assert perform(hive, Action("cancel", waiting.id)) == "job 1 (model) is cancelled"
    assert perform(hive, Action("cancel", waiting.id)) == "job 1 cannot be cancelled: it was cancelled already"
    assert "goes on" in perform(hive, Action("resume")) and not hive.look().control.hold
