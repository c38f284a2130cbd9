"""What a trained model is written as: weights, settings, figures and a card, each the same bytes for the same model."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from hive_runner.contract import Metric
from hive_runner.errors import DivergedError
from hive_runner.frozen import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"
METRICS = "metrics.json"
CARD = "README.md"
CARD_MARKER = "<!-- metrics -->"


def canonical_json(document: Any) -> str:
    """Sorted keys, no NaN, one way to write it. Readable, since people open these files."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def save_weights(folder: Path, tensors: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Write weights.safetensors and config.json. Tensors are torch's or numpy's. Raises DivergedError on NaN.

    The file carries no metadata: safetensors writes metadata keys in random order, and config.json holds the rest.
    """
    names = sorted(tensors)
    if (torch := sys.modules.get("torch")) and all(isinstance(tensors[name], torch.Tensor) for name in names):
        from safetensors.torch import save_file as save_torch

        # clone: two names of one memory (tied weights) are written twice, as safetensors asks
        plain = {name: tensors[name].detach().cpu().contiguous().clone() for name in names}
        _check_finite({name: bool(torch.isfinite(t).all()) for name, t in plain.items()})
        save_torch(plain, folder / WEIGHTS)
    else:
        import numpy
        from safetensors.numpy import save_file as save_numpy

        arrays = {name: numpy.ascontiguousarray(tensors[name]) for name in names}
        _check_finite({name: bool(numpy.isfinite(array).all()) for name, array in arrays.items()})
        save_numpy(arrays, folder / WEIGHTS)
    (folder / CONFIG).write_text(canonical_json(dict(config)), encoding="utf-8")


def load_weights(artifact: Path, framework: str = "torch") -> tuple[dict[str, Any], dict[str, Any]]:
    """(tensors, config) of an artifact, on the CPU. framework: "torch" or "numpy" (which starts much faster)."""
    codec = import_module(f"safetensors.{framework}")
    tensors: dict[str, Any] = codec.load_file(artifact / WEIGHTS)
    return tensors, json.loads((artifact / CONFIG).read_text(encoding="utf-8"))


def _check_finite(finite: Mapping[str, bool]) -> None:
    if broken := [name for name, good in finite.items() if not good]:
        raise DivergedError(f"the trained weights hold NaN or infinity, first in {broken[0]}")


def render_card(template: str, metrics: Sequence[Metric]) -> str:
    """The model card with its table of figures at the marker `<!-- metrics -->`, or at the end where there is none."""
    if not metrics:
        return template
    if CARD_MARKER not in template:
        template = template.rstrip("\n") + f"\n\n## Measured\n\n{CARD_MARKER}\n"
    return template.replace(CARD_MARKER, f"{CARD_MARKER}\n\n{_table(metrics)}", 1)


def _table(metrics: Sequence[Metric]) -> str:
    """One line a metric; a column for each baseline that any of them names."""
    baselines = list(dict.fromkeys(name for metric in metrics for name in metric.baselines))
    with_dataset = any(metric.dataset for metric in metrics)
    rows = [["metric", *(["measured on"] if with_dataset else []), "this model", *baselines]]
    for metric in metrics:
        arrow = "higher is better" if metric.better == "higher" else "lower is better"
        spread = f" ± {_figure(metric.spread)}" if metric.spread is not None else ""
        unit = f" {metric.unit}" if metric.unit else ""
        values = [_figure(metric.baselines[b]) + unit if b in metric.baselines else "" for b in baselines]
        dataset = [metric.dataset] if with_dataset else []
        rows.append([f"{metric.name} ({arrow})", *dataset, f"**{_figure(metric.value)}**{spread}{unit}", *values])
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def _figure(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}"
