"""Training: one pass over an endless stream of simulated windows, then thresholds, then figures on held-out ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .evaluate import calibrate, evaluate, evaluate_excerpts
from .gradients import accumulate, workers
from .model import PickNet
from .picker import Picker
from .user_picks import UserWindows, cut_excerpts

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 50
EMA_DECAY = 0.995


def train(run: Run) -> None:
    steps, samples = run.params.steps, run.params.windows
    user = UserWindows()
    if "user" in run.data:
        run.phase("read your picks")
        user = cut_excerpts(run.data["user"], run.scratch)
        run.log(f"{len(user.training)} excerpts of your records to train on, {len(user.held_out)} held out")

    torch.manual_seed(run.seed)
    model = PickNet().to(run.device)
    average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}],
        lr=run.params.learning_rate, betas=(0.9, 0.98),
    )  # fmt: skip
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e3:.0f} k parameters")

    first = 0
    if state := run.resume():
        model.load_state_dict(state["model"])
        average = state["average"]
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]

    run.phase("train", total=steps)
    with workers(run.cpus, user, run.threads) as pool:
        for step in range(first, steps):
            for group in optimiser.param_groups:
                group["lr"] = run.params.learning_rate * schedule(step, steps)
            class_loss, timing_loss = accumulate(
                pool, model, run.seed, step * samples, samples, run.params.user_share, run.device
            )
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            decay = min(EMA_DECAY, (step + 1) / (step + 10))
            for name, tensor in model.state_dict().items():
                if tensor.is_floating_point():
                    average[name].lerp_(tensor, 1 - decay)
            done = step + 1
            run.progress(done, class_loss=class_loss, timing_loss=timing_loss)
            run.checkpoint(
                done,
                lambda done=done: {
                    "model": model.state_dict(), "average": average, "optimiser": optimiser.state_dict(), "step": done
                },
            )  # fmt: skip

    calibration = calibrate(run, Picker(average, {}, run.threads), run.params.held_out_windows)
    config = {"phases": ["P", "S"], "rate_hz": 100.0, "steps": steps, **calibration}
    run.save_weights(average, config)
    picker = Picker(average, config, run.threads)
    evaluate(run, picker, run.params.held_out_windows)
    evaluate_excerpts(run, picker, user.held_out)


def schedule(step: int, steps: int) -> float:
    """Learning rate over its peak: a linear warm-up, flat, then linear to 0 over the last 60 %."""
    return min((step + 1) / WARMUP_STEPS, (steps - step) / (0.6 * steps), 1.0)
