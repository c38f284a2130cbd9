"""Training: one pass over an endless stream of rendered views, then the figures on what was held out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from hive_runner.ahead import made_ahead
from hive_runner.data_parallel import makers, mean_gradients, part
from hive_runner.fitting import Fitting
from hive_runner.muon import muon
from hive_runner.precision import autocast, fastest
from torch import Tensor
from torch.nn import functional

from . import evaluate, figure
from .data import Batch, make_batch, opened
from .model import ShapeNet

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 50
EMA_DECAY = 0.998
SPANS = (1, 2, 4, 8)  # cells between which the front must rise and fall as it should
SHARES = 2  # of a batch, each seen by its own process where there are cores for it


def train(run: Run) -> None:
    folder = run.deps["shape-corpus"]
    items = opened(folder).items
    of_furniture = sum(item.kind == "furniture" for item in items)
    run.log(f"{len(items)} objects, {of_furniture} of them furniture")
    net = ShapeNet()
    net.load_state_dict(fit(run, folder))
    decoding, bulge, usual = evaluate.choose(run, folder, net)
    run.save_weights(
        net.state_dict(),
        {
            "decoding": vars(decoding),
            "usual_confidence": usual,
            "bulge": bulge,
            "steps": run.params.steps,
            "furniture": of_furniture,
        },
    )
    judged = evaluate.judge(run, folder, net, decoding, bulge)
    truths = [opened(folder).mesh(each.item) for each in judged]
    figure.draw(run.out / "figures" / "held_out.png", judged, truths)


def fit(run: Run, folder: Path) -> dict[str, Tensor]:
    """The moving average of the weights over the training."""
    params = run.params
    precision = fastest(run.device)
    torch.manual_seed(run.seed)
    net = ShapeNet().to(run.device, memory_format=torch.channels_last)
    plain = ("stem", "place", "view", "coarse", "answer")
    optimiser = muon(net, params.learning_rate, 0.02, plain, precision, params.matrix_rate)
    fitting = Fitting(run, net, optimiser, params.steps, WARMUP_STEPS, EMA_DECAY)
    run.log(f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters, {precision}")
    steps = range(fitting.resume(run.resume()), params.steps)
    run.phase("train", total=params.steps)
    workers = makers(run.device, run.cpus, SHARES)
    streams = [partial(batches, run.seed, folder, params.batch, steps, share, workers) for share in range(SHARES)]
    with mean_gradients(net, partial(losses, net, precision, run.device), streams, run.cpus) as gradients:
        for parts in gradients:
            fitting.follow(**parts)
    return fitting.weights()


def batches(seed: int, folder: Path, size: int, steps: range, share: int, workers: int) -> Iterator[Batch]:
    """One share of the batch of each step."""
    own = part(size, share, SHARES)
    views = (range(step * size + own.start, step * size + own.stop) for step in steps)
    return made_ahead(partial(make_batch, seed, folder), views, workers)


def losses(net: ShapeNet, precision: str, device: str, batch: Batch) -> dict[str, Tensor]:
    """Of occupancy (cross-entropy and the missing Dice overlap, Milletari et al. 2016), of the front's depth and slopes
    (Li & Snavely 2018), of colour and view.

    Only the columns of the outline count: what is beside it is known to be empty. Each view's occupancy counts alike:
    pooled over the batch, thin things would drown in thick ones.
    """
    picture, wanted = torch.from_numpy(batch.given).to(device), torch.from_numpy(batch.wanted).to(device)
    truth = torch.from_numpy(np.unpackbits(batch.occupancy, axis=1)).to(device).float()  # (columns, BINS)
    depth, behind = torch.from_numpy(batch.depth).to(device), torch.from_numpy(batch.behind).to(device)
    with autocast(precision, device):
        answer = net(picture)
    logits = answer.occupancy.permute(0, 2, 3, 1)[wanted].float()
    share, columns = torch.sigmoid(logits), wanted.sum((1, 2))
    overlap, filled, full = (_of_each_view(each, columns) for each in (share * truth, share, truth))
    dice = 1 - (2 * overlap + 1e-3) / (filled + full + 1e-3)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    known = wanted & torch.isfinite(depth)
    off = torch.where(known, answer.depth - depth, 0.0)
    colour = (answer.behind.permute(0, 2, 3, 1)[wanted] - behind[wanted].float() / 255).abs().mean()
    elevation = (answer.elevation_deg - torch.from_numpy(batch.elevation_deg).to(device)) / 20
    fov = (answer.fov_deg - torch.from_numpy(batch.fov_deg).to(device)) / 10
    return {
        "entropy_loss": _of_each_view(entropy, columns).mean(),
        "dice_loss": dice.mean(),
        "depth_loss": 0.5 * _mean(off.abs(), known),
        "slope_loss": 0.25 * _slopes(off, known),
        "colour_loss": 0.2 * colour,
        "view_loss": 0.1 * functional.smooth_l1_loss(elevation, torch.zeros_like(elevation))
        + 0.03 * functional.smooth_l1_loss(fov, torch.zeros_like(fov)),
    }


def _slopes(off: Tensor, known: Tensor) -> Tensor:
    """How wrong the rises of the front are over some spans, across and down. -> the sum of their means.

    off: (B, CELLS, CELLS) error of the front; known: where it is one.
    """
    total = off.new_zeros(())
    for cells in SPANS:
        for axis in (1, 2):
            error, there = off.movedim(axis, 0), known.movedim(axis, 0)
            total = total + _mean((error[cells:] - error[:-cells]).abs(), there[cells:] & there[:-cells])
    return total


def _mean(values: Tensor, counted: Tensor) -> Tensor:
    """Of values that are 0 where they are not counted."""
    return (values * counted).sum() / counted.sum().clamp(min=1)


def _of_each_view(values: Tensor, columns: Tensor) -> Tensor:
    """Means (views,) of values (columns of all views, BINS). columns: how many are of each view, (views,)."""
    view = torch.repeat_interleave(torch.arange(len(columns), device=columns.device), columns)
    sums = values.new_zeros(len(columns)).index_add(0, view, values.mean(1))
    return sums / columns.clamp(min=1)
