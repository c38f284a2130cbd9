"""How long a phase still takes."""

from __future__ import annotations

import pytest
from hive_runner.contract import RunEvent

from hive.pace import Pace


def progress(at: float, step: int, phase: str = "train") -> RunEvent:
    return RunEvent("progress", at, phase, step, 1000)


def begun(at: float) -> Pace:
    pace = Pace()
    pace.take(RunEvent("phase", at, "train"))
    return pace


def test_the_rest_is_told_by_the_runs_own_clock() -> None:
    pace = begun(1000.0)
    assert pace.left_s(600) is None
    for second in range(301):
        pace.take(progress(1000.0 + second, second))
    assert pace.left_s(600) == pytest.approx(300)


def test_the_rest_follows_a_change_of_pace() -> None:
    pace = begun(0.0)
    for second in range(200):
        pace.take(progress(float(second), second))
    for each in range(60):
        pace.take(progress(200.0 + 10 * each, 200 + each))
    assert pace.left_s(1000) == pytest.approx(7410)  # 741 steps of 10 s


def test_steps_before_the_checkpoint_that_it_goes_on_from_are_none_of_its_pace() -> None:
    pace = Pace()
    pace.take(RunEvent("resume", 5.0, "", 400))
    pace.take(RunEvent("phase", 6.0, "train"))
    pace.take(progress(8.0, 401))
    assert pace.left_s(1000) is None
    pace.take(progress(10.0, 402))
    assert pace.left_s(1000) == pytest.approx(2 * 598)


def test_a_phase_without_steps_has_no_rest_and_the_next_begins_anew() -> None:
    pace = begun(0.0)
    pace.take(progress(30.0, 300))
    assert pace.left_s(0) is None
    pace.take(progress(31.0, 1, "evaluate"))
    assert pace.left_s(10) is None
