"""Training: one pass over an endless stream of drawn surveys, calibration on others, figures on exact prisms."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from hive_runner.data_parallel import makers, mean_gradients
from hive_runner.fitting import Fitting
from hive_runner.muon import muon
from hive_runner.precision import autocast, fastest
from torch import Tensor
from torch.nn import functional

from .calibrate import calibrate
from .data import SHARES, Batch, batches
from .evaluate import evaluate
from .model import Answer, DepthNet

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 100
EMA_DECAY = 0.997
QUANTILES = {"low": 0.1, "middle": 0.5, "high": 0.9}
WEIGHTS = {"body": 1.0, "overlap": 0.5, "core": 0.5, "depth": 4.0, "moment": 0.3, "thickness": 0.2}


def train(run: Run) -> None:
    average = fit(run)
    config = calibrate(run, average)
    run.save_weights(average, config)
    evaluate(run, average, config)


def fit(run: Run) -> dict[str, Tensor]:
    """The moving average of the weights over the training."""
    params, precision = run.params, fastest(run.device)
    torch.manual_seed(run.seed)
    model = DepthNet().to(run.device, memory_format=torch.channels_last)
    optimiser = muon(model, params.learning_rate, 0.02, ("stem", "head"), precision, params.matrix_rate)
    fitting = Fitting(run, model, optimiser, params.steps, WARMUP_STEPS, EMA_DECAY)
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {precision}")
    first = fitting.resume(run.resume())
    run.phase("train", total=params.steps)
    workers = makers(run.device, run.cpus, SHARES)
    streams = [
        partial(batches, run.seed, first, params.steps, params.batch, share, workers) for share in range(SHARES)
    ]  # fmt: skip
    with mean_gradients(model, partial(losses, model, precision, run.device), streams, run.cpus) as gradients:
        for parts in gradients:
            fitting.follow(**parts)
    return fitting.weights()


def losses(model: DepthNet, precision: str, device: str, batch: Batch) -> dict[str, Tensor]:
    """The weighted parts of the loss, by name."""
    channels, direction, *truths = (
        torch.from_numpy(getattr(batch, name)).to(device) for name in Batch.__dataclass_fields__
    )
    with autocast(precision, device):
        answer: Answer = model(channels.float().contiguous(memory_format=torch.channels_last), direction)
    body, core, known, weight, top, moment, thickness = truths
    seen = known.float()
    body_, core_ = body.float(), core.float()
    probability = answer.body.sigmoid() * seen
    both = (probability * body_).sum((1, 2))
    either = (probability + body_ * seen).sum((1, 2))
    weight = weight * seen
    parts = {
        "body": _mean(functional.binary_cross_entropy_with_logits(answer.body, body_, reduction="none"), seen),
        "overlap": (1 - (2 * both + 10) / (either + 10)).mean(),
        "core": _mean(functional.binary_cross_entropy_with_logits(answer.core, core_, reduction="none"), seen),
        "depth": torch.stack(
            [_mean(pinball(top - getattr(answer, name), q), weight) for name, q in QUANTILES.items()]
        ).sum(),
        "moment": _mean((moment - answer.moment).abs(), weight),
        "thickness": _mean((thickness - answer.thickness).abs(), weight),
    }
    return {f"{name}_loss": WEIGHTS[name] * loss for name, loss in parts.items()}


def pinball(error: Tensor, quantile: float) -> Tensor:
    """The loss that a quantile minimises. error: truth less answer."""
    return torch.maximum(quantile * error, (quantile - 1) * error)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1e-6)
