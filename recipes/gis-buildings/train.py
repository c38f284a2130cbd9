"""Training: one pass over an endless stream of simulated height models, then the figures on held-out ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from .classify import Classifier
from .data import Crops, batches
from .evaluate import choose_threshold, evaluate
from .model import HeightNet, autocast, has_bfloat16

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 50
EMA_DECAY = 0.998


def train(run: Run) -> None:
    steps = run.params.steps
    precision = "bfloat16" if has_bfloat16(run.device) else "float32"
    torch.manual_seed(run.seed)
    model = HeightNet().to(run.device, memory_format=torch.channels_last)
    average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}],
        lr=run.params.learning_rate, betas=(0.9, 0.98),
    )  # fmt: skip
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {precision}")

    first = 0
    if state := run.resume():
        model.load_state_dict(state["model"])
        average = state["average"]
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]

    run.phase("train", total=steps)
    workers = max(run.cpus - run.threads, 1)
    for step, batch in enumerate(batches(run.seed, first, steps, run.params.places, workers), start=first):
        for group in optimiser.param_groups:
            group["lr"] = run.params.learning_rate * schedule(step, steps)
        batch_loss = loss(model, batch, precision, run.device)
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
                "model": model.state_dict(), "average": average, "optimiser": optimiser.state_dict(), "step": done
            },
        )  # fmt: skip

    run.phase("choose the threshold", total=run.params.validation_places)
    config = {"precision": precision, "steps": steps, "threshold": 0.5}
    config["threshold"] = choose_threshold(run, Classifier(average, config, run.threads))
    run.log(f"a building is where the probability is above {config['threshold']}")
    run.save_weights(average, config)
    evaluate(run, average, config)


def schedule(step: int, steps: int) -> float:
    """Learning rate over its peak: a linear warm-up, flat, then linear to 0 over the last 60 %."""
    return min((step + 1) / WARMUP_STEPS, (steps - step) / (0.6 * steps), 1.0)


def loss(model: HeightNet, batch: Crops, precision: str, device: str) -> Tensor:
    """Cross-entropy of the known cells, and the soft Dice overlap that the batch lacks (Milletari et al. 2016)."""
    channels, truth = torch.from_numpy(batch.channels).to(device).float(), torch.from_numpy(batch.truth).to(device)
    with autocast(precision, device):
        logits = model(channels)
    known = truth >= 0
    target = truth.clamp(min=0).float()
    entropy = functional.binary_cross_entropy_with_logits(logits[known], target[known])
    share = torch.sigmoid(logits) * known
    dice = 1 - (2 * (share * target).sum() + 1) / (share.sum() + target[known].sum() + 1)
    return entropy + 0.5 * dice
