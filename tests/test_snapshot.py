"""How far a run is, and what processes use."""

from __future__ import annotations

import math
import subprocess
import sys
import time

import pytest
from builders import claimed, enqueue
from hive_runner.contract import RunEvent

from hive import queue, usage
from hive.config import Settings
from hive.db import Database
from hive.paths import Home
from hive.service import Hive
from hive.snapshot import Course
from hive.usage import CpuMeter


def progress(at: float, step: float, total: float = 100, **metrics: float) -> RunEvent:
    return RunEvent("progress", at, "train", step, total, metrics)  # type: ignore[arg-type]


# A run's course


def test_the_rest_of_a_phase_at_its_pace() -> None:
    course = Course()
    course.take(RunEvent("phase", 1000.0, "train", 0, 100))
    assert (course.phase, course.total, course.eta_s) == ("train", 100, None)
    for second in range(1, 41):
        course.take(progress(1000.0 + second, second, loss=1 / second, accuracy=0.5))
    assert course.step == 40 and course.eta_s == pytest.approx(60)
    assert course.curve[-1] == 1 / 40 and len(course.curve) == 40
    course.take(RunEvent("log", 1041.0, "train", message="words"))
    assert course.step == 40, "what is no progress changes nothing"
    course.take(RunEvent("phase", 1042.0, "evaluate"))
    assert (course.phase, course.step, course.total, list(course.curve)) == ("evaluate", 0, 0, [])
    assert course.eta_s is None


def test_the_curve_is_of_the_loss_wherever_it_stands_else_of_the_first_figure() -> None:
    course = Course()
    course.take(progress(1.0, 1, accuracy=0.5, train_loss=3.0))
    assert list(course.curve) == [3.0]
    course.take(RunEvent("progress", 2.0, "evaluate", 1, 9, {"miou": 0.7, "f1": 0.1}))
    assert list(course.curve) == [0.7]


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, -5.0, 1e300, 2.5])
def test_a_run_may_report_any_number(odd: float) -> None:
    course = Course()
    for event in (progress(1.0, 1), progress(odd, odd, odd, loss=odd), progress(9.0, 2, odd), progress(odd, 3)):
        course.take(event)
        assert isinstance(course.step, int) and course.step >= 0
        assert course.eta_s is None or 0 <= course.eta_s < math.inf
    assert all(map(math.isfinite, course.curve))


def test_a_long_run_is_not_kept_whole() -> None:
    course = Course()
    for second in range(5000):
        course.take(progress(float(second), second, 10_000, loss=1.0))
    assert len(course.curve) <= 400 and len(course.pace.seen) < 130
    assert course.eta_s == pytest.approx(5001)


# What is used


def test_cpu_of_a_tree_counts_children_that_have_ended_and_those_that_work() -> None:
    burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
    program = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdin
        process.stdout.readline()
        assert 0.3 <= usage.tree_cpu_s(process.pid) < 3
        assert 0 < usage.age_s(process.pid) < 60
        process.stdin.close()
    assert usage.tree_cpu_s(process.pid) == usage.age_s(process.pid) == 0


def test_share_of_cpu_is_measured_since_the_look_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    meter = CpuMeter(age_s=10.0)
    assert meter.percent(5.0) == pytest.approx(50), "the first look tells the mean since the start"
    now[0] = 102.0
    assert meter.percent(8.0) == pytest.approx(150)
    now[0] = 103.0
    assert meter.percent(7.0) == 0, "a child that nobody waited for took its time with it"
    assert meter.percent(7.0) == 0, "at the same moment"


# The whole


def test_asking_makes_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    nowhere = tmp_path_factory.mktemp("none") / "hive"
    hive = Hive(Home(nowhere), Settings())
    now = hive.look()
    assert not nowhere.exists()
    assert now.runners == now.waiting == now.happenings == () and not now.supervisor
    assert now.machine.cores >= 1 and 0 < now.machine.memory_used_bytes < now.machine.memory_bytes
    assert now.machine.cpu_percent is None
    again = hive.look().machine.cpu_percent
    assert again is not None and 0 <= again <= 100


def test_a_queue_that_is_made_meanwhile_is_seen(home: Home) -> None:
    hive = Hive(home, Settings())
    assert hive.look().waiting == ()
    db = Database(home.database)
    first, second = claimed(db, "first"), enqueue(db, "second")
    now = hive.look()
    assert [each.job for each in now.runners] == [first] and now.waiting == (second,)
    assert now.runners[0].id == "1.1" and now.runners[0].cpu_percent is None, "no process is known"
    assert now.reasons[second.id] and now.totals["running"] == 1
    assert [(e.job_id, e.name, e.event) for e in now.happenings][:2] == [
        (2, "second", "enqueue"),
        (1, "first", "claim"),
    ]
    db.close()


def test_a_long_queue_is_read_again_only_when_it_has_changed(
    home: Home, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(db)
    hive, read = Hive(home, Settings()), []
    ask = hive.queue_status
    monkeypatch.setattr(hive, "queue_status", lambda: read.append(1) or ask())
    for _ in range(3):
        assert len(hive.look().waiting) == 1
    assert len(read) == 1
    enqueue(db, "another")
    assert len(hive.look().waiting) == 2 and len(read) == 2
    hive.pause()
    assert hive.look().control.hold == "paused"
    hive.cancel(1)
    assert len(hive.look().waiting) == 1


def test_what_this_process_wrote_itself_is_seen_too(home: Home) -> None:
    hive = Hive(home, Settings())
    assert not hive.look().control.hold
    for hold in ("paused", "", "paused"):
        queue.set_control(hive.db, hold=hold)
        assert hive.look().control.hold == hold


def test_a_held_queue_says_how_many_could_work_and_that_none_may(home: Home, db: Database) -> None:
    hive = Hive(home, Settings(max_runners=3, cpus=1))
    hive.pause()
    now = hive.look()
    assert (now.runners_available, now.runners_max, now.control.hold) == (0, 3, "paused")
