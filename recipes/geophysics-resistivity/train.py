"""Training: one pass over an endless stream of made-up surveys, then the figures on held-out ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from hive_runner.fitting import Fitting
from hive_runner.muon import muon
from hive_runner.precision import fastest
from torch import Tensor
from torch.nn import functional

from .data import CHANNELS, Batch, batches, make_group
from .evaluate import calibrate, evaluate
from .model import SectionNet

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 40
EMA_DECAY = 0.995
OUTSIDE_WEIGHT = 0.15  # of cells that the array hardly feels
SPREAD_WEIGHT = 0.02
HUBER_DECADES = 0.5


def train(run: Run) -> None:
    params = run.params
    torch.manual_seed(run.seed)
    model = SectionNet(CHANNELS).to(run.device, memory_format=torch.channels_last)
    optimiser = muon(model, params.learning_rate, 0.02, ("stem", "out"), fastest(run.device), params.matrix_rate)
    fitting = Fitting(run, model, optimiser, params.steps, WARMUP_STEPS, EMA_DECAY, clip=0.1)
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e3:.0f} k parameters")

    run.phase("compile")
    make_group(run.seed, 0)  # compiles the kernels before the workers fork
    first = fitting.resume(run.resume())
    run.phase("train", total=params.steps)
    for batch in batches(run.seed, first, params.steps, max(run.cpus - run.threads, 1)):
        mean_loss, spread_loss = losses(model, batch, run.device)
        weighted = mean_loss + SPREAD_WEIGHT * spread_loss
        fitting.learn(weighted, mean_loss=mean_loss.item(), spread_loss=spread_loss.item())

    average = fitting.weights()
    config = calibrate(run, average, params.validation_sections)
    run.save_weights(average, {"steps": params.steps, **config})
    evaluate(run, average, config, params.held_out_sections)


def losses(model: SectionNet, batch: Batch, device: str) -> tuple[Tensor, Tensor]:
    """Huber loss of the mean, and Gaussian likelihood of the spread about a mean that it may not move."""
    inputs = torch.from_numpy(batch.inputs).to(device).float().contiguous(memory_format=torch.channels_last)
    target, inside = torch.from_numpy(batch.target).to(device), torch.from_numpy(batch.inside).to(device)
    mean, spread = model(inputs)
    weight = torch.where(inside, 1.0, OUTSIDE_WEIGHT)
    weight = weight / weight.mean()
    error = mean - target
    size = functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=HUBER_DECADES)
    likelihood = spread.log() + 0.5 * (error.detach() / spread) ** 2
    return (weight * size).mean(), (weight * likelihood).mean()
