"""Training: one pass over an endless stream of simulated scenes, then the figures on held-out ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from hive_runner.fitting import Fitting
from hive_runner.muon import muon
from hive_runner.precision import autocast, fastest
from torch import Tensor
from torch.nn import functional

from .choose import choose_favour
from .data import CLASSES, IGNORE, NAMES, Batch, batches, make_views
from .evaluate import evaluate, evaluate_squares
from .model import MEMBERS, PLAIN, Committee, PillarNet, sample_cells
from .user_tiles import Squares, cut_squares

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 50
EMA_DECAY = 0.998
TERRAIN_WEIGHT = 0.5


def train(run: Run) -> None:
    steps = run.params.steps
    precision = fastest(run.device)
    torch.manual_seed(run.seed)
    model = Committee(len(CLASSES)).to(run.device, memory_format=torch.channels_last)
    optimiser = muon(model, run.params.learning_rate, 0.02, PLAIN, precision, run.params.matrix_rate)
    fitting = Fitting(run, model, optimiser, steps, WARMUP_STEPS, EMA_DECAY)
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {precision}")

    run.phase("compile")
    make_views(run.seed, 0)  # compiles the kernels before the workers fork
    first = fitting.resume(run.resume())

    squares = Squares()
    if "user" in run.data:
        run.phase("read labelled tiles")
        squares = cut_squares(run.data["user"], run.scratch, run.params.class_map)
        run.log(f"{len(squares.training)} squares of 160 m to train on, {len(squares.held_out)} held out")

    run.phase("train", total=steps)
    workers = max(run.cpus - run.threads, 1)
    scenes = MEMBERS * run.params.scenes
    stream = batches(run.seed, first, steps, scenes, workers, squares.training, run.params.user_share)
    for batch in stream:
        shares = zip(model, batch.shares(MEMBERS), strict=True)
        each = torch.stack([torch.stack(losses(net, own, precision, run.device)) for net, own in shares])
        class_loss, terrain_loss = each.detach().mean(0).tolist()
        weighted = each[:, 0] + TERRAIN_WEIGHT * each[:, 1]
        fitting.learn(weighted.sum(), class_loss=class_loss, terrain_loss=terrain_loss)

    average = fitting.weights()
    config = {
        "classes": list(CLASSES), "names": list(NAMES), "precision": precision, "steps": steps,
        "experimental_classes": [9, 15, 17],
    }  # fmt: skip
    config["favour"] = choose_favour(run, average, config, run.params.validation_scenes)
    run.save_weights(average, config)
    evaluate(run, average, config)
    evaluate_squares(run, average, config, squares.held_out)


def losses(model: PillarNet, batch: Batch, precision: str, device: str) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the sampled points, and Huber loss of the terrain below them."""
    grid, points, row, column, height, label, log_share, offset = (
        torch.from_numpy(getattr(batch, name)).to(device) for name in Batch.__dataclass_fields__
    )
    with autocast(precision, device):
        features, predicted = model.look(grid.float())
    at_points = sample_cells(torch.cat([features.float(), predicted[:, None]], dim=1), row, column)  # (B, N, 33)
    raised = at_points[..., -1]
    with autocast(precision, device):
        logits = model.decide(
            at_points[..., :-1].flatten(0, 1), points.float().flatten(0, 1), (height - raised).flatten()
        )  # fmt: skip
    adjusted = logits.float().unflatten(0, label.shape) + log_share[:, None]
    class_loss = functional.cross_entropy(adjusted.flatten(0, 1), label.flatten(), ignore_index=IGNORE)
    known = torch.isfinite(offset)
    terrain_loss = functional.huber_loss(raised[known], offset[known], delta=0.3) / 0.3
    return class_loss, terrain_loss
