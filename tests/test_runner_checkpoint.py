"""Checkpoints: the newest good one comes back, damage costs one step back, and saving stays cheap."""

from __future__ import annotations

import os
import random
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hive_runner.checkpoint import Checkpoints
from hive_runner.errors import RunnerError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    return made


class Clock:
    """Monotonic time that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def newest(folder: Path, key: str = "k") -> Any:
    return Checkpoints(folder, key, log=lambda _: None).newest()


def test_none_at_the_beginning(folder: Path) -> None:
    assert newest(folder) is None


def test_the_newest_comes_back_and_two_are_kept(folder: Path) -> None:
    checkpoints = Checkpoints(folder, "k")
    for step in (10, 20, 5):  # the last began a second phase: order is that of saving, not of steps
        checkpoints.save(step, lambda step=step: {"step": step})
    assert newest(folder) == (5, {"step": 5})
    assert [name.split("-")[1] for name in files(folder)] == ["step20", "step5"]


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_one_falls_back_and_no_longer_counts(folder: Path, damage: str) -> None:
    checkpoints = Checkpoints(folder, "k")
    for step in (1, 2):
        checkpoints.save(step, lambda step=step: {"step": step})
    path = folder / files(folder)[-1]
    content = path.read_bytes()
    middle = len(content) // 2
    damaged = {"flip": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :], "empty": b""}
    path.write_bytes(damaged.get(damage, content[:middle]))
    assert newest(folder) == (1, {"step": 1})
    Checkpoints(folder, "k").save(3, lambda: {"step": 3})
    assert [name.split("-")[1] for name in files(folder)] == ["step1", "step3"]


def test_both_damaged_begins_anew(folder: Path) -> None:
    checkpoints = Checkpoints(folder, "k")
    for step in (1, 2):
        checkpoints.save(step, lambda: {})
    for path in folder.iterdir():
        path.write_bytes(b"x")
    assert newest(folder) is None


def test_one_of_another_build_is_not_resumed(folder: Path) -> None:
    Checkpoints(folder, "lr=0.1").save(1, lambda: {})
    assert newest(folder, "lr=0.2") is None
    assert newest(folder, "lr=0.1") == (1, {})


def test_a_torn_write_is_swept(folder: Path) -> None:
    (folder / ".00000007.tmp").write_bytes(b"half")
    assert newest(folder) is None
    assert files(folder) == []


def test_a_failed_write_leaves_nothing_and_keeps_the_one_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(folder, "k")
    checkpoints.save(1, lambda: {})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(2, lambda: {})
    assert [name.split("-")[1] for name in files(folder)] == ["step1"]


def test_the_next_is_due_after_five_seconds_and_fifty_times_the_cost(folder: Path) -> None:
    clock = Clock()
    checkpoints = Checkpoints(folder, "k", clock=clock)
    assert not checkpoints.due()
    clock.now += 5.0
    assert checkpoints.due()
    checkpoints.save(1, lambda: {})  # costs nothing by this clock
    clock.now += 4.9
    assert not checkpoints.due()
    checkpoints.cost_s = 1.0
    clock.now += 45.0
    assert not checkpoints.due()
    clock.now += 0.2
    assert checkpoints.due()


def test_a_slow_disk_takes_two_percent_of_the_time_however_often_it_is_asked(folder: Path) -> None:
    """Steps of 0.1 s, a state that takes a second to collect: the first falls after 5 s, the others 50 s apart."""
    clock, saved_at = Clock(), list[float]()
    checkpoints = Checkpoints(folder, "k", clock=clock)

    def state() -> dict[str, Any]:
        clock.now += 1.0
        return {}

    for step in range(6000):
        clock.now += 0.1
        if checkpoints.due():
            saved_at.append(clock.now)
            checkpoints.save(step, state)
    assert saved_at[0] == pytest.approx(105.0, abs=0.2)
    assert len(saved_at) == 12  # of 601 s and more
    assert all(later - sooner >= 50 for sooner, later in pairwise(saved_at))


def test_a_real_save_is_followed_by_fifty_times_its_cost(folder: Path) -> None:
    checkpoints = Checkpoints(folder, "k", interval_s=0.01)
    cost_s, began = 0.0, time.monotonic()
    for step in range(3):
        while not checkpoints.due():
            time.sleep(0.001)
        assert cost_s <= 0.02 * (time.monotonic() - began)
        checkpoints.save(step, lambda: {"weights": os.urandom(2_000_000)})
        cost_s += checkpoints.cost_s
    assert cost_s > 0


def test_however_slow_the_disk_half_an_hour_is_the_most_that_a_kill_costs(folder: Path) -> None:
    checkpoints = Checkpoints(folder, "k")
    checkpoints.cost_s = 3600.0
    assert checkpoints.wait_s == 1800.0
    assert Checkpoints(folder, "k", interval_s=7200.0).wait_s == 7200.0, "whoever asks for longer gets it"


def test_global_generators_go_on_where_they_were(folder: Path) -> None:
    numpy = pytest.importorskip("numpy")
    torch = pytest.importorskip("torch")

    def draw() -> list[float]:
        return [random.random(), float(numpy.random.rand()), float(torch.rand(1))]

    draw()
    Checkpoints(folder, "k").save(1, lambda: {})
    expected = draw()
    draw()
    newest(folder)
    assert draw() == expected


def test_tensors_arrays_and_plain_values_come_back(folder: Path) -> None:
    numpy = pytest.importorskip("numpy")
    torch = pytest.importorskip("torch")
    state = {
        "tensor": torch.arange(6.0).reshape(2, 3),
        "array": numpy.arange(4, dtype=numpy.float32),
        "generator": numpy.random.Generator(numpy.random.Philox(3)).bit_generator.state,
        "plain": (1, 2.5, None, b"\xff", "é", [2**100], {"nested": True}),
    }
    Checkpoints(folder, "k").save(1, lambda: state)
    _, found = newest(folder)
    assert torch.equal(found["tensor"], state["tensor"])
    assert found["array"].dtype == numpy.float32
    assert found["array"].tolist() == [0, 1, 2, 3]
    assert found["generator"]["state"]["key"].tolist() == state["generator"]["state"]["key"].tolist()
    assert found["plain"] == state["plain"]


def test_a_state_that_holds_code_is_refused_when_it_is_saved(folder: Path) -> None:
    with pytest.raises(RunnerError) as caught:
        Checkpoints(folder, "k").save(1, lambda: {"hook": print})
    assert "must not hold" in caught.value.why
    assert files(folder) == []


def test_a_planted_pickle_runs_nothing(folder: Path) -> None:
    import hashlib
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(folder.parent / "exploded"),)

    content = pickle.dumps({"key": "k", "step": 1, "rng": {}, "state": Bomb()})
    (folder / f"00000001-step1-{hashlib.sha256(content).hexdigest()}.ckpt").write_bytes(content)
    assert newest(folder) is None
    assert not (folder.parent / "exploded").exists()
