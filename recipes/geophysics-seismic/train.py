"""Training: one pass over an endless stream of simulated windows, then thresholds, then figures on held-out ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from hive_runner.fitting import Fitting
from hive_runner.muon import muon

from .evaluate import calibrate, evaluate, evaluate_excerpts
from .gradients import accumulate, workers
from .model import PLAIN, Committee
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
    model = Committee().to(run.device)
    optimiser = muon(model, run.params.learning_rate, 0.02, PLAIN, matrix_rate=run.params.matrix_rate)
    fitting = Fitting(run, model, optimiser, steps, WARMUP_STEPS, EMA_DECAY)
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e3:.0f} k parameters")
    first = fitting.resume(run.resume())
    run.phase("train", total=steps)
    with workers(run.cpus, user, run.threads) as pool:
        for step in range(first, steps):
            class_loss, timing_loss = accumulate(
                pool, model, run.seed, step, samples, run.params.user_share, run.device
            )
            fitting.follow(class_loss=class_loss, timing_loss=timing_loss)

    average = fitting.weights()
    calibration = calibrate(run, Picker(average, {}, run.threads), run.params.held_out_windows)
    config = {"phases": ["P", "S"], "rate_hz": 100.0, "steps": steps, **calibration}
    run.save_weights(average, config)
    picker = Picker(average, config, run.threads)
    evaluate(run, picker, run.params.held_out_windows)
    evaluate_excerpts(run, picker, user.held_out)
