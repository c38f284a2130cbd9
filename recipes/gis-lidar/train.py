"""Training: one pass over an endless stream of simulated scenes, then the figures on held-out ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from .data import CLASSES, IGNORE, NAMES, Batch, batches, make_views
from .evaluate import evaluate, evaluate_squares
from .model import PillarNet, autocast, has_bfloat16, sample_cells
from .user_tiles import Squares, cut_squares

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 50
EMA_DECAY = 0.998
TERRAIN_WEIGHT = 0.5


def train(run: Run) -> None:
    steps = run.params.steps
    precision = "bfloat16" if has_bfloat16(run.device) else "float32"
    torch.manual_seed(run.seed)
    model = PillarNet(len(CLASSES)).to(run.device, memory_format=torch.channels_last)
    average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}],
        lr=run.params.learning_rate, betas=(0.9, 0.98),
    )  # fmt: skip
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {precision}")

    first = 0
    run.phase("compile")
    make_views(run.seed, 0)  # compiles the kernels before the workers fork
    if state := run.resume():
        model.load_state_dict(state["model"])
        average = state["average"]
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]

    squares = Squares()
    if "user" in run.data:
        run.phase("read labelled tiles")
        squares = cut_squares(run.data["user"], run.scratch, run.params.class_map)
        run.log(f"{len(squares.training)} squares of 160 m to train on, {len(squares.held_out)} held out")

    run.phase("train", total=steps)
    workers = max(run.cpus - run.threads, 1)
    stream = batches(run.seed, first, steps, run.params.scenes, workers, squares.training, run.params.user_share)
    for step, batch in enumerate(stream, start=first):
        for group in optimiser.param_groups:
            group["lr"] = run.params.learning_rate * schedule(step, steps)
        class_loss, terrain_loss = losses(model, batch, precision, run.device)
        optimiser.zero_grad(set_to_none=True)
        (class_loss + TERRAIN_WEIGHT * terrain_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        decay = min(EMA_DECAY, (step + 1) / (step + 10))
        for name, tensor in model.state_dict().items():
            average[name].lerp_(tensor, 1 - decay)
        done = step + 1
        run.progress(done, class_loss=class_loss.item(), terrain_loss=terrain_loss.item())
        run.checkpoint(
            done,
            lambda done=done: {
                "model": model.state_dict(), "average": average, "optimiser": optimiser.state_dict(), "step": done
            },
        )  # fmt: skip

    config = {
        "classes": list(CLASSES), "names": list(NAMES), "precision": precision, "steps": steps,
        "experimental_classes": [9, 15, 17],
    }  # fmt: skip
    run.save_weights(average, config)
    evaluate(run, average, config)
    evaluate_squares(run, average, config, squares.held_out)


def schedule(step: int, steps: int) -> float:
    """Learning rate over its peak: a linear warm-up, flat, then linear to 0 over the last 60 %."""
    return min((step + 1) / WARMUP_STEPS, (steps - step) / (0.6 * steps), 1.0)


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
