"""Training: one pass over an endless stream of drawn surveys, calibration on others, figures on exact prisms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from .calibrate import calibrate
from .data import Batch, batches
from .evaluate import evaluate
from .model import Answer, DepthNet

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 100
EMA_DECAY = 0.997
QUANTILES = {"low": 0.1, "middle": 0.5, "high": 0.9}
WEIGHTS = {"body": 1.0, "overlap": 0.5, "core": 0.5, "depth": 4.0, "moment": 0.3, "thickness": 0.2}


def train(run: Run) -> None:
    steps, size = run.params.steps, run.params.batch
    torch.manual_seed(run.seed)
    model = DepthNet().to(run.device, memory_format=torch.channels_last)
    average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}],
        lr=run.params.learning_rate, betas=(0.9, 0.98),
    )  # fmt: skip
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")

    first = 0
    if state := run.resume():
        model.load_state_dict(state["model"])
        average = state["average"]
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]

    run.phase("train", total=steps)
    stream = batches(run.seed, first, steps, size, max(run.cpus - run.threads, 1))
    for step, batch in enumerate(stream, start=first):
        for group in optimiser.param_groups:
            group["lr"] = run.params.learning_rate * schedule(step, steps)
        parts = losses(model, batch, run.device)
        optimiser.zero_grad(set_to_none=True)
        sum(WEIGHTS[name] * part for name, part in parts.items()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        decay = min(EMA_DECAY, (step + 1) / (step + 10))
        for name, tensor in model.state_dict().items():
            average[name].lerp_(tensor, 1 - decay)
        done = step + 1
        run.progress(done, **{f"{name}_loss": part.item() for name, part in parts.items()})
        run.checkpoint(
            done,
            lambda done=done: {
                "model": model.state_dict(), "average": average, "optimiser": optimiser.state_dict(), "step": done
            },
        )  # fmt: skip

    config = calibrate(run, average)
    run.save_weights(average, config)
    evaluate(run, average, config)


def schedule(step: int, steps: int) -> float:
    """Learning rate over its peak: a linear warm-up, flat, then linear to 0 over the last 60 %."""
    return min((step + 1) / WARMUP_STEPS, (steps - step) / (0.6 * steps), 1.0)


def losses(model: DepthNet, batch: Batch, device: str) -> dict[str, Tensor]:
    """The parts of the loss, by name."""
    channels, direction, *truths = (
        torch.from_numpy(getattr(batch, name)).to(device) for name in Batch.__dataclass_fields__
    )
    answer: Answer = model(channels.float().contiguous(memory_format=torch.channels_last), direction)
    body, core, known, weight, top, moment, thickness = truths
    seen = known.float()
    body_, core_ = body.float(), core.float()
    probability = answer.body.sigmoid() * seen
    both = (probability * body_).sum((1, 2))
    either = (probability + body_ * seen).sum((1, 2))
    parts = {
        "body": _mean(functional.binary_cross_entropy_with_logits(answer.body, body_, reduction="none"), seen),
        "overlap": (1 - (2 * both + 10) / (either + 10)).mean(),
        "core": _mean(functional.binary_cross_entropy_with_logits(answer.core, core_, reduction="none"), seen),
    }
    weight = weight * seen
    parts["depth"] = sum(_mean(pinball(top - getattr(answer, name), q), weight) for name, q in QUANTILES.items())
    parts["moment"] = _mean((moment - answer.moment).abs(), weight)
    parts["thickness"] = _mean((thickness - answer.thickness).abs(), weight)
    return parts


def pinball(error: Tensor, quantile: float) -> Tensor:
    """The loss that a quantile minimises. error: truth less answer."""
    return torch.maximum(quantile * error, (quantile - 1) * error)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1e-6)
