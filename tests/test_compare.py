"""Two builds compared: the first tensor that differs is named, and by how much."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from hive.compare import differences, differences_of
from hive.paths import Home
from hive.store import Store

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")
from safetensors.torch import save_file  # noqa: E402


@pytest.fixture
def store(home: Home) -> Store:
    return Store(home.store, home.staging)


def add(store: Store, folder: Path, files: dict[str, Any]) -> str:
    folder.mkdir()
    for name, content in files.items():
        if isinstance(content, dict):
            save_file(content, folder / name)
        else:
            (folder / name).write_bytes(content)
    return store.add({"": folder}, {"name": "model"}).digest


def test_the_same_bytes_differ_in_nothing(store: Store, tmp_path: Path) -> None:
    files = {"weights.safetensors": {"a": torch.ones(3)}, "config.json": b"{}"}
    assert differences(store, add(store, tmp_path / "1", files), add(store, tmp_path / "2", files)) == []


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8"]
)
def test_the_first_tensor_that_differs_is_named_with_the_largest_difference(
    store: Store, tmp_path: Path, dtype: str
) -> None:
    kind = getattr(torch, dtype)
    one = {name: torch.arange(6).to(kind).reshape(2, 3) for name in ("a", "b", "c")}
    other = {name: tensor.clone() for name, tensor in one.items()}
    other["b"][1, 2] += 2
    other["c"][0, 0] += 1
    made = add(store, tmp_path / "1", {"weights.safetensors": one, "metrics.json": b"1"})
    again = add(store, tmp_path / "2", {"weights.safetensors": other, "metrics.json": b"2"})
    first, second = differences(store, made, again)
    assert (first.file, first.tensor, first.largest, first.tensors) == ("weights.safetensors", "b", 2.0, 2)
    assert str(first) == "weights.safetensors: tensor b differs by up to 2 (2 of its tensors differ)"
    assert str(second) == "metrics.json: changed"


def test_other_shapes_names_files_and_nan(store: Store, tmp_path: Path) -> None:
    made = add(store, tmp_path / "1", {"w.safetensors": {"a": torch.ones(3), "b": torch.ones(2)}, "gone": b"1"})
    again = add(store, tmp_path / "2", {"w.safetensors": {"a": torch.ones(4), "b": torch.ones(2)}, "new": b"1"})
    found = {each.file: each for each in differences(store, made, again)}
    assert found["gone"].what == "missing" and found["new"].what == "new"
    assert found["w.safetensors"].tensor == "a" and found["w.safetensors"].largest is None
    nan = add(store, tmp_path / "3", {"w.safetensors": {"a": torch.tensor([1.0, math.nan, 1.0]), "b": torch.ones(2)}})
    [lost, within] = sorted(differences(store, made, nan), key=lambda each: each.file)
    assert lost.file == "gone" and within.largest == math.inf


def test_a_file_that_only_calls_itself_safetensors_is_compared_as_bytes(store: Store, tmp_path: Path) -> None:
    made = add(store, tmp_path / "1", {"w.safetensors": b"\xff" * 20})
    again = add(store, tmp_path / "2", {"w.safetensors": b"\xfe" * 20})
    [found] = differences(store, made, again)
    assert str(found) == "w.safetensors: changed"


def test_folders_are_compared_like_artifacts(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same").write_text("1")
        (tmp_path / folder / "other").write_text(folder)
    (tmp_path / "b" / "new").write_text("")
    assert differences_of(tmp_path / "a", tmp_path / "a") == []
    assert sorted(map(str, differences_of(tmp_path / "a", tmp_path / "b"))) == ["new: new", "other: changed"]


def test_no_link_is_followed_out_of_a_folder(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same").write_text("1")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("not ours")
    (tmp_path / "b" / "file").symlink_to(tmp_path / "elsewhere" / "file")
    (tmp_path / "b" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "b" / "broken").symlink_to(tmp_path / "nowhere")
    assert differences_of(tmp_path / "a", tmp_path / "b") == []
