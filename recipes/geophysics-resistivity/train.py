"""Training: one pass over an endless stream of made-up surveys, then the figures on held-out ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
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
    steps = run.params.steps
    torch.manual_seed(run.seed)
    model = SectionNet(CHANNELS).to(run.device, memory_format=torch.channels_last)
    average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    optimiser = torch.optim.AdamW(model.parameters(), lr=run.params.learning_rate, betas=(0.9, 0.98), weight_decay=0.02)
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e3:.0f} k parameters")

    first = 0
    run.phase("compile")
    make_group(run.seed, 0)  # compiles the kernels before the workers fork
    if state := run.resume():
        model.load_state_dict(state["model"])
        average = state["average"]
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]

    run.phase("train", total=steps)
    workers = max(run.cpus - run.threads, 1)
    for step, batch in enumerate(batches(run.seed, first, steps, workers), start=first):
        for group in optimiser.param_groups:
            group["lr"] = run.params.learning_rate * schedule(step, steps)
        mean_loss, spread_loss = losses(model, batch, run.device)
        optimiser.zero_grad(set_to_none=True)
        (mean_loss + SPREAD_WEIGHT * spread_loss).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimiser.step()
        decay = min(EMA_DECAY, (step + 1) / (step + 10))
        for name, tensor in model.state_dict().items():
            average[name].lerp_(tensor, 1 - decay)
        done = step + 1
        run.progress(done, mean_loss=mean_loss.item(), spread_loss=spread_loss.item())
        run.checkpoint(
            done,
            lambda done=done: {
                "model": model.state_dict(), "average": average, "optimiser": optimiser.state_dict(), "step": done
            },
        )  # fmt: skip

    average = {name: tensor.cpu() for name, tensor in average.items()}
    config = calibrate(run, average, run.params.validation_sections)
    run.save_weights(average, {"steps": steps, **config})
    evaluate(run, average, config, run.params.held_out_sections)


def schedule(step: int, steps: int) -> float:
    """Learning rate over its peak: a linear warm-up, flat, then linear to 0 over the last 60 %."""
    return min((step + 1) / WARMUP_STEPS, (steps - step) / (0.6 * steps), 1.0)


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
