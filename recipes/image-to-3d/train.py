"""Training: one pass over an endless stream of rendered views, then the figures on what was held out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from . import evaluate, figure
from .data import Batch, in_order, make_batch, opened
from .model import ShapeNet, autocast, has_bfloat16
from .reconstruct import network_input

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 100
EMA_DECAY = 0.998


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
    params, device = run.params, run.device
    precision = "bfloat16" if has_bfloat16(device) else "float32"
    torch.manual_seed(run.seed)
    net = ShapeNet().to(device, memory_format=torch.channels_last)
    average = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.03}, {"params": plain, "weight_decay": 0.0}],
        lr=params.learning_rate, betas=(0.9, 0.98),
    )  # fmt: skip
    run.log(f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M parameters, {precision}")
    state: dict[str, Any] = run.resume() or {"step": 0}
    if state["step"]:
        net.load_state_dict(state["net"])
        average = state["average"]
        optimiser.load_state_dict(state["optimiser"])

    workers = max(run.cpus - run.threads, 1)
    stream = in_order(partial(make_batch, run.seed, folder, params.batch), state["step"], params.steps, workers)
    run.phase("train", total=params.steps)
    for step, batch in enumerate(stream, start=state["step"]):
        for group in optimiser.param_groups:
            group["lr"] = params.learning_rate * schedule(step, params.steps)
        parts = losses(net, batch, precision, device)
        total = torch.stack(list(parts.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        decay = min(EMA_DECAY, (step + 1) / (step + 10))
        torch._foreach_lerp_(list(average.values()), list(net.state_dict().values()), 1 - decay)
        done = step + 1
        run.progress(done, loss=total.item(), **{name: part.item() for name, part in parts.items()})
        run.checkpoint(
            done,
            lambda done=done: {
                "step": done, "net": net.state_dict(), "average": average, "optimiser": optimiser.state_dict(),
            },
        )  # fmt: skip
    return {name: tensor.cpu() for name, tensor in average.items()}


def schedule(step: int, steps: int) -> float:
    """Learning rate over its peak: a linear warm-up, flat, then linear to 0 over the last 60 %."""
    return min((step + 1) / WARMUP_STEPS, (steps - step) / (0.6 * steps), 1.0)


def losses(net: ShapeNet, batch: Batch, precision: str, device: str) -> dict[str, Tensor]:
    """Of occupancy (cross-entropy and the missing Dice overlap, Milletari et al. 2016), depth, colour and view.

    Only the columns of the outline count: what is beside it is known to be empty.
    """
    picture, wanted = network_input(batch.rgba).to(device), torch.from_numpy(batch.wanted).to(device)
    truth = torch.from_numpy(np.unpackbits(batch.occupancy, axis=1)).to(device).float()  # (columns, BINS)
    depth, behind = torch.from_numpy(batch.depth).to(device), torch.from_numpy(batch.behind).to(device)
    with autocast(precision, device):
        answer = net(picture)
    logits = answer.occupancy.permute(0, 2, 3, 1)[wanted].float()
    share = torch.sigmoid(logits)
    dice = 1 - (2 * (share * truth).sum() + 1) / (share.sum() + truth.sum() + 1)
    entropy = functional.binary_cross_entropy_with_logits(logits, truth)
    known = wanted & torch.isfinite(depth)
    colour = (answer.behind.permute(0, 2, 3, 1)[wanted] - behind[wanted].float() / 255).abs().mean()
    elevation = (answer.elevation_deg - torch.from_numpy(batch.elevation_deg).to(device)) / 20
    fov = (answer.fov_deg - torch.from_numpy(batch.fov_deg).to(device)) / 10
    zero = torch.zeros(())
    return {
        "entropy_loss": entropy,
        "dice_loss": 0.5 * dice,
        "depth_loss": 0.5 * (answer.depth[known] - depth[known]).abs().mean(),
        "colour_loss": 0.2 * colour,
        "view_loss": 0.1 * functional.smooth_l1_loss(elevation, zero.expand_as(elevation))
        + 0.03 * functional.smooth_l1_loss(fov, zero.expand_as(fov)),
    }
