"""Train, evaluate, save. Dropout draws from torch's global generator: a resume that forgets it is found out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from .model import build, draw

if TYPE_CHECKING:
    from hive_runner.run import Run


def train(run: Run) -> None:
    model = build()
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.05)
    first = 0
    if state := run.resume():
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]

    run.phase("train", total=run.params.steps)
    for step in range(first, run.params.steps):
        points, labels = draw(run.seed, step)
        logits = model(torch.nn.functional.dropout(points, 0.1))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        run.progress(step + 1, loss=loss.item())
        done = step + 1
        run.checkpoint(
            done,
            lambda done=done: {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": done},
        )
        if run.params.pause_ms:
            time.sleep(run.params.pause_ms / 1000)

    run.phase("evaluate")
    points, labels = draw(run.seed, index=-1, count=2000)
    accuracy = ((model(points) > 0).float() == labels).float().mean().item()
    majority = max(labels.mean().item(), 1 - labels.mean().item())
    run.report("accuracy", accuracy, dataset="2000 drawn points", baselines={"majority": majority})
    run.save_weights(model.state_dict(), {"features": 4})
