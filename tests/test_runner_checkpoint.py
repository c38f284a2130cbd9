"""Checkpoints: the newest good one comes back, damage costs one step back, and saving stays cheap."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from hive_runner.checkpoint import Checkpoints
from hive_runner.errors import RunnerError


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


def test_none_at_the_beginning(tmp_path: Path) -> None:
    assert newest(tmp_path / "checkpoints") is None


def test_the_newest_comes_back_and_two_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "k")
    for step in (10, 20, 5):  # the last began a second phase: order is that of saving, not of steps
        checkpoints.save(step, {"step": step})
    assert newest(tmp_path) == (5, {"step": 5})
    assert [name.split("-")[1] for name in files(tmp_path)] == ["step20", "step5"]


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_one_falls_back_and_no_longer_counts(tmp_path: Path, damage: str) -> None:
    checkpoints = Checkpoints(tmp_path, "k")
    for step in (1, 2):
        checkpoints.save(step, {"step": step})
    path = tmp_path / files(tmp_path)[-1]
    content = path.read_bytes()
    middle = len(content) // 2
    damaged = {"flip": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :], "empty": b""}
    path.write_bytes(damaged.get(damage, content[:middle]))
    assert newest(tmp_path) == (1, {"step": 1})
    Checkpoints(tmp_path, "k").save(3, {"step": 3})
    assert [name.split("-")[1] for name in files(tmp_path)] == ["step1", "step3"]


def test_both_damaged_begins_anew(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "k")
    for step in (1, 2):
        checkpoints.save(step, {})
    for path in tmp_path.iterdir():
        path.write_bytes(b"x")
    assert newest(tmp_path) is None


def test_one_of_another_build_is_not_resumed(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "lr=0.1").save(1, {})
    assert newest(tmp_path, "lr=0.2") is None
    assert newest(tmp_path, "lr=0.1") == (1, {})


def test_a_torn_write_is_swept(tmp_path: Path) -> None:
    (tmp_path / ".00000007.tmp").write_bytes(b"half")
    assert newest(tmp_path) is None
    assert files(tmp_path) == []


def test_a_failed_write_leaves_nothing_and_keeps_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, "k")
    checkpoints.save(1, {})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(2, {})
    assert [name.split("-")[1] for name in files(tmp_path)] == ["step1"]


def test_the_next_is_due_after_five_seconds_and_fifty_times_the_cost(tmp_path: Path) -> None:
    clock = Clock()
    checkpoints = Checkpoints(tmp_path, "k", clock=clock)
    assert not checkpoints.due()
    clock.now += 5.0
    assert checkpoints.due()
    checkpoints.save(1, {})  # costs nothing by this clock
    clock.now += 4.9
    assert not checkpoints.due()
    checkpoints.cost_s = 1.0
    clock.now += 45.0
    assert not checkpoints.due()
    clock.now += 0.2
    assert checkpoints.due()


def test_global_generators_go_on_where_they_were(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    torch = pytest.importorskip("torch")

    def draw() -> list[float]:
        return [random.random(), float(numpy.random.rand()), float(torch.rand(1))]

    draw()
    Checkpoints(tmp_path, "k").save(1, {})
    expected = draw()
    draw()
    newest(tmp_path)
    assert draw() == expected


def test_tensors_arrays_and_plain_values_come_back(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    torch = pytest.importorskip("torch")
    state = {
        "tensor": torch.arange(6.0).reshape(2, 3),
        "array": numpy.arange(4, dtype=numpy.float32),
        "generator": numpy.random.Generator(numpy.random.Philox(3)).bit_generator.state,
        "plain": (1, 2.5, None, b"\xff", "é", [2**100], {"nested": True}),
    }
    Checkpoints(tmp_path, "k").save(1, state)
    _, found = newest(tmp_path)
    assert torch.equal(found["tensor"], state["tensor"])
    assert found["array"].dtype == numpy.float32
    assert found["array"].tolist() == [0, 1, 2, 3]
    assert found["generator"]["state"]["key"].tolist() == state["generator"]["state"]["key"].tolist()
    assert found["plain"] == state["plain"]


def test_a_state_that_holds_code_is_refused_when_it_is_saved(tmp_path: Path) -> None:
    with pytest.raises(RunnerError) as caught:
        Checkpoints(tmp_path, "k").save(1, {"hook": print})
    assert "must not hold" in caught.value.why
    assert files(tmp_path) == []


def test_a_planted_pickle_runs_nothing(tmp_path: Path) -> None:
    import hashlib
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    folder = tmp_path / "checkpoints"
    folder.mkdir()
    content = pickle.dumps({"key": "k", "step": 1, "rng": {}, "state": Bomb()})
    (folder / f"00000001-step1-{hashlib.sha256(content).hexdigest()}.ckpt").write_bytes(content)
    assert newest(folder) is None
    assert not (tmp_path / "exploded").exists()
