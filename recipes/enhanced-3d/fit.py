"""The training loop and what it minimises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from hive_runner.data_parallel import mean_gradients, part
from hive_runner.fitting import Fitting
from hive_runner.muon import muon
from hive_runner.precision import autocast, fastest
from torch import Tensor
from torch.nn import functional

from .data import UNIT, Crops
from .model import RefineNet

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 40
EMA_DECAY = 0.998
SHARES = 2  # of a batch, each seen by its own process where there are cores for it
RIM = 4  # cells at the rim of a crop that do not count: the network sees too little around them
SHARPNESS = 2.0  # logits per cell of depth
NEAR = 2.0  # cells: depths beyond it are as good as endless
MENDABLE, HOPELESS = 2.5, 0.2  # error of the coarse depth, cells; weight of cells with a larger one
SLOPE = 0.5  # weight of the depths' slopes, which the normals are made of


def fit(run: Run, stream: Callable[[range, range], Iterator[Crops]], state: dict[str, Any]) -> dict[str, Tensor]:
    """Train from where `state` says; the moving average of the weights. stream: some steps, some objects of each."""
    params = run.params
    precision = fastest(run.device)
    torch.manual_seed(run.seed)
    model = RefineNet().to(run.device, memory_format=torch.channels_last_3d)
    optimiser = muon(model, params.learning_rate, 0.01, ("stem.", "answer"), precision, params.matrix_rate)
    fitting = Fitting(run, model, optimiser, params.steps, WARMUP_STEPS, EMA_DECAY)
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {precision}")
    steps = range(fitting.resume(state), params.steps)
    run.phase("train", total=params.steps)
    streams = [partial(stream, steps, part(params.objects, share, SHARES)) for share in range(SHARES)]
    with mean_gradients(model, partial(losses, model, precision, run.device), streams, run.cpus) as gradients:
        for parts in gradients:
            fitting.follow(**parts)
    return fitting.weights()


def losses(model: RefineNet, precision: str, device: str, batch: Crops) -> dict[str, Tensor]:
    """Of depths, of which side of the surface, and of slopes, near the true or the coarse surface.

    Where the coarse shape is far off (a panel is missing, a leg stands elsewhere) no network can know better: such
    cells count little, and errors saturate, or they would drown what can be mended.
    """
    coarse = torch.from_numpy(batch.coarse).to(device).float() / UNIT
    truth = torch.from_numpy(batch.truth).to(device).float() / UNIT
    lifted = torch.from_numpy(batch.lifted).to(device).float() / 127
    with autocast(precision, device):
        found = coarse + model(coarse, lifted)
    inner = (..., *[slice(RIM, -RIM)] * 3)
    found, truth, coarse = found[inner], truth[inner], coarse[inner]
    near = ((truth.abs() < NEAR) | (coarse.abs() < NEAR)).float()
    weight = 0.02 + near * torch.where((coarse - truth).abs() < MENDABLE, 1.0, HOPELESS)
    weight = weight / weight.mean()
    off = NEAR * (torch.tanh(found / NEAR) - torch.tanh(truth / NEAR))
    sides = functional.binary_cross_entropy_with_logits(SHARPNESS * found, (truth > 0).float(), weight)
    slopes = [(weight.narrow(axis, 1, weight.shape[axis] - 1) * off.diff(dim=axis).abs()).mean() for axis in (2, 3, 4)]
    return {
        "depth_loss": (weight * off.abs()).mean(),
        "side_loss": sides,
        "slope_loss": SLOPE * torch.stack(slopes).sum(),
    }
