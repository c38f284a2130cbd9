"""The training loop that recipes share. Only recipes that import it need torch.

    fitting = Fitting(run, model, adamw(model, rate, weight_decay=0.02), steps, warmup_steps=50, ema_decay=0.998)
    first = fitting.resume(run.resume())
    for batch in batches(first, steps):
        loss = ...
        fitting.learn(loss, loss=loss.item())
    run.save_weights(fitting.weights(), {})

The same batches give the same bytes, killed and resumed or not. Build keys know recipes, not this file: a change of it
that changes bytes needs new versions of the recipes that use it (`tests/test_fitting.py` has the loop written out).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from hive_runner.run import Run

FALLING = 0.6  # share of the steps in which the learning rate falls
BETAS = (0.9, 0.98)


def adamw(model: torch.nn.Module, rate: float, weight_decay: float, fused: bool = False) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019) that leaves biases and the scales of normalisations undecayed."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=BETAS, fused=fused or None)


def schedule(step: int, steps: int, warmup_steps: int) -> float:
    """Learning rate over its peak: a linear warm-up, flat, then linear to 0."""
    return min((step + 1) / warmup_steps, (steps - step) / (FALLING * steps), 1.0)


class Fitting:
    """A model on its way: its optimiser, the moving average of its weights, and where it stands.

    ema_decay: of the moving average, per step. clip: the longest gradient. earlier_steps: of stages before this one,
    for checkpoints to be numbered on. kept: what the state holds besides, such as the stage and what earlier ones made.
    """

    def __init__(
        self,
        run: Run,
        model: torch.nn.Module,
        optimiser: torch.optim.Optimizer,
        steps: int,
        warmup_steps: int,
        ema_decay: float,
        clip: float = 1.0,
        earlier_steps: int = 0,
        kept: Mapping[str, Any] | None = None,
    ) -> None:
        self.run, self.model, self.optimiser, self.steps = run, model, optimiser, steps
        self.warmup_steps, self.ema_decay, self.clip = warmup_steps, ema_decay, clip
        self.earlier_steps, self.kept = earlier_steps, kept or {}
        self.rates = [group["lr"] for group in optimiser.param_groups]
        self.average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        self.step = 0

    def resume(self, state: Mapping[str, Any] | None) -> int:
        """Go on from a state that a checkpoint held, if it holds steps of this model. -> the next step."""
        if state and state["step"]:
            self.model.load_state_dict(state["model"])
            for name, tensor in state["average"].items():
                self.average[name].copy_(tensor)  # which may be on a GPU; a checkpoint is read to the CPU
            self.optimiser.load_state_dict(state["optimiser"])
            self.step = state["step"]
        return self.step

    def learn(self, loss: torch.Tensor, /, **metrics: float) -> None:
        """One step down the gradient of `loss`. metrics: to be shown."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.follow(**metrics)

    def follow(self, **metrics: float) -> None:
        """One step down the gradients that the parameters have. Raises Stopped if the run was asked to stop."""
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * schedule(self.step, self.steps, self.warmup_steps)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimiser.step()
        decay = min(self.ema_decay, (self.step + 1) / (self.step + 10))
        for name, tensor in self.model.state_dict().items():
            if tensor.is_floating_point():
                self.average[name].lerp_(tensor, 1 - decay)
        self.step += 1
        self.run.progress(self.step, 0, **metrics)
        self.run.checkpoint(self.earlier_steps + self.step, self.state)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            **self.kept,
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
        }

    def weights(self) -> dict[str, torch.Tensor]:
        """The moving average of the weights, on the CPU."""
        return {name: tensor.cpu() for name, tensor in self.average.items()}
