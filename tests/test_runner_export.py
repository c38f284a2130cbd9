"""What a model is written as: the same model, the same bytes; and a card that a person can read."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hive_runner.contract import Metric
from hive_runner.errors import DivergedError
from hive_runner.export import load_weights, render_card, save_weights

torch = pytest.importorskip("torch")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    return made


def test_weights_and_settings_come_back(folder: Path) -> None:
    save_weights(folder, {"b": torch.arange(3.0), "a": torch.ones(2, 2, dtype=torch.float16)}, {"width": 8})
    tensors, config = load_weights(folder)
    assert config == {"width": 8}
    assert torch.equal(tensors["b"], torch.arange(3.0))
    arrays, _ = load_weights(folder, "numpy")
    assert arrays["b"].tolist() == [0, 1, 2]


def test_the_order_of_names_and_strides_does_not_reach_the_bytes(folder: Path) -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    for name, tensors, config in [
        ("one", {"a": weight, "b": weight.T}, {"x": 1, "y": 2}),
        ("two", {"b": weight.T.contiguous(), "a": weight.clone()}, {"y": 2, "x": 1}),
    ]:
        (folder / name).mkdir()
        save_weights(folder / name, tensors, config)
    for file in ("weights.safetensors", "config.json"):
        assert (folder / "one" / file).read_bytes() == (folder / "two" / file).read_bytes()


def test_numpy_arrays_are_weights_too(folder: Path) -> None:
    numpy = pytest.importorskip("numpy")
    save_weights(folder, {"a": numpy.asfortranarray(numpy.ones((2, 3), numpy.float32))}, {})
    assert load_weights(folder)[0]["a"].shape == (2, 3)


def test_the_file_carries_no_metadata(folder: Path) -> None:
    save_weights(folder, {"a": torch.ones(1)}, {"x": 1})
    content = (folder / "weights.safetensors").read_bytes()
    [length] = struct.unpack("<Q", content[:8])
    assert b"__metadata__" not in content[8 : 8 + length]


def test_tied_weights_are_written_twice(folder: Path) -> None:
    shared = torch.ones(3)
    save_weights(folder, {"a": shared, "b": shared}, {})
    assert sorted(load_weights(folder)[0]) == ["a", "b"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_broken_weights_are_refused(folder: Path, bad: float) -> None:
    with pytest.raises(DivergedError, match=r"first in layer\.b"):
        save_weights(folder, {"layer.a": torch.ones(2, dtype=torch.int64), "layer.b": torch.tensor([1.0, bad])}, {})
    assert list(folder.iterdir()) == []


METRICS = [
    Metric("ground_error", 0.031234, "lower", dataset="6 tiles", spread=0.004, baselines={"SMRF": 0.045, "CSF": 0.06}),
    Metric("height_rmse", 0.12, "lower", unit="m", baselines={"CSF": 0.3}),
]


def test_a_card_shows_every_figure_beside_its_baselines() -> None:
    card = render_card("# model\n\n<!-- metrics -->\n\nMore text.\n", METRICS)
    assert card == (
        "# model\n\n<!-- metrics -->\n\n"
        "| metric | measured on | this model | SMRF | CSF |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| ground_error (lower is better) | 6 tiles | **0.03123** ± 0.004 | 0.045 | 0.06 |\n"
        "| height_rmse (lower is better) |  | **0.12** m |  | 0.3 m |\n\nMore text.\n"
    )


def test_a_card_without_the_marker_gets_the_table_at_its_end() -> None:
    assert "Text\n\n## Measured\n\n<!-- metrics -->\n\n| metric |" in render_card("Text", METRICS)


def test_a_card_without_figures_stays_as_it_is() -> None:
    assert render_card("<!-- metrics -->\n", []) == "<!-- metrics -->\n"
