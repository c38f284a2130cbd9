"""The training loop and what it minimises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

from .data import UNIT, Crops
from .model import RefineNet

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 40
EMA_DECAY = 0.995
RIM = 4  # cells at the rim of a crop that do not count: the network sees too little around them
SHARPNESS = 2.0  # logits per cell of depth
NEAR = 2.0  # cells: depths beyond it are as good as endless
MENDABLE, HOPELESS = 2.5, 0.2  # error of the coarse depth, cells; weight of cells with a larger one
SLOPE = 0.5  # weight of the depths' slopes, which the normals are made of


def fit(run: Run, stream: Iterator[Crops], steps: int, state: dict[str, Any]) -> dict[str, Tensor]:
    """Train from where `state` says; the moving average of the weights."""
    torch.manual_seed(run.seed)
    model = RefineNet().to(run.device, memory_format=torch.channels_last_3d)
    average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    optimiser = torch.optim.AdamW(model.parameters(), lr=run.params.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")
    if state["step"]:
        model.load_state_dict(state["model"])
        average = state["average"]
        optimiser.load_state_dict(state["optimiser"])

    run.phase("train", total=steps)
    for step, batch in enumerate(stream, start=state["step"]):
        for group in optimiser.param_groups:
            group["lr"] = run.params.learning_rate * schedule(step, steps)
        batch_loss = loss(model, batch, run.device)
        optimiser.zero_grad(set_to_none=True)
        batch_loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        decay = min(EMA_DECAY, (step + 1) / (step + 10))
        for name, tensor in model.state_dict().items():
            average[name].lerp_(tensor, 1 - decay)
        done = step + 1
        run.progress(done, loss=batch_loss.item())
        run.checkpoint(
            done,
            lambda done=done: {
                "step": done, "model": model.state_dict(), "average": average, "optimiser": optimiser.state_dict(),
            },
        )  # fmt: skip
    return average


def schedule(step: int, steps: int) -> float:
    """Learning rate over its peak: a linear warm-up, flat, then linear to 0 over the last 60 %."""
    return min((step + 1) / WARMUP_STEPS, (steps - step) / (0.6 * steps), 1.0)


def loss(model: RefineNet, batch: Crops, device: str) -> Tensor:
    """Of depths, of which side of the surface, and of slopes, near the true or the coarse surface.

    Where the coarse shape is far off (a panel is missing, a leg stands elsewhere) no network can know better: such
    cells count little, and errors saturate, or they would drown what can be mended.
    """
    coarse = torch.from_numpy(batch.coarse).to(device).float() / UNIT
    truth = torch.from_numpy(batch.truth).to(device).float() / UNIT
    found = coarse + model(coarse, torch.from_numpy(batch.lifted).to(device).float() / 127)
    inner = (..., *[slice(RIM, -RIM)] * 3)
    found, truth, coarse = found[inner], truth[inner], coarse[inner]
    near = ((truth.abs() < NEAR) | (coarse.abs() < NEAR)).float()
    weight = 0.02 + near * torch.where((coarse - truth).abs() < MENDABLE, 1.0, HOPELESS)
    weight = weight / weight.mean()
    off = NEAR * (torch.tanh(found / NEAR) - torch.tanh(truth / NEAR))
    sides = functional.binary_cross_entropy_with_logits(SHARPNESS * found, (truth > 0).float(), weight)
    slopes = [(weight.narrow(axis, 1, weight.shape[axis] - 1) * off.diff(dim=axis).abs()).mean() for axis in (2, 3, 4)]
    return (weight * off.abs()).mean() + sides + SLOPE * torch.stack(slopes).sum()
