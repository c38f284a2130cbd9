"""Training: one pass over an endless stream of drawn surveys, calibration on others, figures on exact prisms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from hive_runner.fitting import Fitting, adamw
from torch import Tensor
from torch.nn import functional

from .calibrate import calibrate
from .data import Batch, batches
from .evaluate import evaluate
from .model import Answer, DepthNet

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 100
EMA_DECAY = 0.997
QUANTILES = {"low": 0.1, "middle": 0.5, "high": 0.9}
WEIGHTS = {"body": 1.0, "overlap": 0.5, "core": 0.5, "depth": 4.0, "moment": 0.3, "thickness": 0.2}


def train(run: Run) -> None:
    steps, size = run.params.steps, run.params.batch
    torch.manual_seed(run.seed)
    model = DepthNet().to(run.device, memory_format=torch.channels_last)
    optimiser = adamw(model, run.params.learning_rate, weight_decay=0.02)
    fitting = Fitting(run, model, optimiser, steps, WARMUP_STEPS, EMA_DECAY)
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")
    first = fitting.resume(run.resume())
    run.phase("train", total=steps)
    for batch in batches(run.seed, first, steps, size, max(run.cpus - run.threads, 1)):
        parts = losses(model, batch, run.device)
        weighted = sum((WEIGHTS[name] * part for name, part in parts.items()), torch.zeros(()))
        fitting.learn(weighted, **{f"{name}_loss": part.item() for name, part in parts.items()})

    average = fitting.weights()
    config = calibrate(run, average)
    run.save_weights(average, config)
    evaluate(run, average, config)


def losses(model: DepthNet, batch: Batch, device: str) -> dict[str, Tensor]:
    """The parts of the loss, by name."""
    channels, direction, *truths = (
        torch.from_numpy(getattr(batch, name)).to(device) for name in Batch.__dataclass_fields__
    )
    answer: Answer = model(channels.float().contiguous(memory_format=torch.channels_last), direction)
    body, core, known, weight, top, moment, thickness = truths
    seen = known.float()
    body_, core_ = body.float(), core.float()
    probability = answer.body.sigmoid() * seen
    both = (probability * body_).sum((1, 2))
    either = (probability + body_ * seen).sum((1, 2))
    parts = {
        "body": _mean(functional.binary_cross_entropy_with_logits(answer.body, body_, reduction="none"), seen),
        "overlap": (1 - (2 * both + 10) / (either + 10)).mean(),
        "core": _mean(functional.binary_cross_entropy_with_logits(answer.core, core_, reduction="none"), seen),
    }
    weight = weight * seen
    parts["depth"] = sum(_mean(pinball(top - getattr(answer, name), q), weight) for name, q in QUANTILES.items())
    parts["moment"] = _mean((moment - answer.moment).abs(), weight)
    parts["thickness"] = _mean((thickness - answer.thickness).abs(), weight)
    return parts


def pinball(error: Tensor, quantile: float) -> Tensor:
    """The loss that a quantile minimises. error: truth less answer."""
    return torch.maximum(quantile * error, (quantile - 1) * error)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1e-6)
