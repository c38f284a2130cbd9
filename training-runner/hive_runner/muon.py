"""Muon (Jordan et al. 2024): steps whose matrices have been made orthogonal. Needs torch.

A gradient of a weight matrix is mostly a few directions; made orthogonal, all directions are learned at the same pace.
image-to-3d learns by it from 24,000 views what AdamW tells it from 48,000, for some products of small matrices a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from hive_runner.fitting import adamw

MOMENTUM = 0.95
RATE = 0.02  # of the matrices
QUINTIC = (3.4445, -4.7750, 2.0315)  # of the iteration: singular values come to .7 .. 1.2
ITERATIONS = 5


def muon(
    model: torch.nn.Module,
    rate: float,
    weight_decay: float,
    plain: tuple[str, ...],
    precision: str = "float32",
    matrix_rate: float = RATE,
) -> Both:
    """Muon for matrices and convolutions; AdamW at `rate` for biases, scales and modules whose names begin with one of
    `plain`: those that make inputs to features, or features to answers.

    matrix_rate: Muon's own; a step's length does not depend on the gradient's. Worth comparing: in trials of 300 to 600
    steps the best was .005 to .02, by recipe, and at .02 geophysics-seismic had gained nothing over AdamW.
    precision: of the products that make a step orthogonal. "bfloat16" halves their time where the machine has it, and
    moves singular values by less than .005; all else stays float32.
    """
    matrices = [p for name, p in model.named_parameters() if p.ndim > 1 and not name.startswith(plain)]
    own = {id(p) for p in matrices}
    others = torch.nn.ParameterList(p for p in model.parameters() if id(p) not in own)
    return Both(
        Orthogonal(matrices, matrix_rate, weight_decay, getattr(torch, precision)), adamw(others, rate, weight_decay)
    )


class Orthogonal(torch.optim.Optimizer):
    """The part of Muon that steps matrices. A convolution is one: made channels x everything it sees."""

    def __init__(self, matrices: Iterable[Tensor], rate: float, weight_decay: float, dtype: torch.dtype) -> None:
        super().__init__(matrices, {"lr": rate, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                momentum = state["momentum"]
                momentum.lerp_(p.grad, 1 - MOMENTUM)
                ahead = p.grad.lerp(momentum, MOMENTUM)  # Nesterov's
                turned = orthogonal(ahead.flatten(1), self.dtype)
                scale = max(1.0, turned.shape[0] / turned.shape[1]) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(turned.view(p.shape), alpha=-group["lr"] * scale)


def orthogonal(matrix: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """(m, n) -> about the nearest matrix whose rows, or columns, are orthonormal: singular values of .7 to 1.2.

    Newton and Schulz's iteration, with the steeper polynomial of Jordan et al.
    """
    a, b, c = QUINTIC
    x: Tensor = (matrix / (matrix.norm() + 1e-7)).to(dtype)
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)


class Both:
    """Two optimisers of one model, to be stepped as one."""

    def __init__(self, *each: torch.optim.Optimizer) -> None:
        self.each = each

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [group for one in self.each for group in one.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        for one in self.each:
            one.zero_grad(set_to_none)

    def step(self) -> None:
        for one in self.each:
            one.step()

    def state_dict(self) -> dict[str, Any]:
        return {"each": [one.state_dict() for one in self.each]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for one, its in zip(self.each, state["each"], strict=True):
            one.load_state_dict(its)
