"""Gradients of one step: each network has a process, which makes the windows of its own and learns from them.

Simulating a window takes as long as learning from it, so each core does both in turn and none waits. What a network
sees and how it is differentiated depends on nothing else: the bits are the same whatever the number of processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from .data import Batch, make_batch
from .model import MEMBERS, Committee, PickNet
from .user_picks import UserWindows

TIMING_WEIGHT = 0.002  # its gradient is then about as large as that of the classes

Flat = NDArray[np.float32]


def losses(answer: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the classes, and the Laplace likelihood of the offsets. answer: (B, 7, 3000)."""
    share, asked, offset = (
        torch.from_numpy(part).to(answer.device) for part in (batch.share, batch.asked, batch.offset)
    )
    entropy = -(share * functional.log_softmax(answer[:, :3], dim=1)).sum(1)
    class_loss = (entropy * asked).sum() / asked.sum()
    known = torch.isfinite(offset)
    error = (answer[:, 3:5][known] - offset[known]).abs()
    log_spread = answer[:, 5:7][known].clamp(-5.3, 1.0)  # no onset is known better than to half a sample
    timing_loss = (error * torch.exp(-log_spread) + log_spread).sum() / max(int(known.sum()), 1)
    return class_loss, timing_loss


def to_flat(tensors: list[Tensor]) -> Flat:
    return np.concatenate([tensor.detach().numpy().ravel() for tensor in tensors])


def from_flat(tensors: list[Tensor], flat: Flat) -> None:
    begin = 0
    with torch.no_grad():
        for tensor in tensors:
            tensor.copy_(torch.from_numpy(flat[begin : begin + tensor.numel()]).view_as(tensor))
            begin += tensor.numel()


def float_state(net: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Parameters, and the running means and variances."""
    return list(net.parameters()), [buffer for buffer in net.buffers() if buffer.is_floating_point()]


_net: PickNet | None = None
_user = UserWindows()


def _begin(user: UserWindows, threads: int) -> None:
    global _net, _user
    torch.set_num_threads(threads)
    _net, _user = PickNet().train(), user


def _simulate(seed: int, first: int, count: int, user_share: float) -> Batch:
    return make_batch(seed, first, count, _user, user_share)


def _differentiate(
    parameters: Flat, statistics: Flat, seed: int, first: int, count: int, user_share: float
) -> tuple[Flat, Flat, float, float]:
    """Gradient of samples first..first + count - 1 for one network, its statistics after them, and the two losses."""
    assert _net is not None
    weights, buffers = float_state(_net)
    from_flat(weights, parameters)
    from_flat(buffers, statistics)
    batch = _simulate(seed, first, count, user_share)
    class_loss, timing_loss = losses(_net(torch.from_numpy(batch.waves)), batch)
    _net.zero_grad()
    (class_loss + TIMING_WEIGHT * timing_loss).backward()
    gradient = to_flat([weight.grad for weight in weights if weight.grad is not None])
    return gradient, to_flat(buffers), class_loss.item(), timing_loss.item()


@contextmanager
def workers(count: int, user: UserWindows, threads: int) -> Iterator[Executor]:
    # fork: numpy, scipy and torch need not be imported again
    with ProcessPoolExecutor(count, get_context("fork"), _begin, (user, threads)) as pool:
        yield pool


def accumulate(
    pool: Executor, net: Committee, seed: int, step: int, samples: int, user_share: float, device: str = "cpu"
) -> tuple[float, float]:
    """Set the gradients of each network to those of `samples` windows of its own; the two losses, their means."""
    parts = [(seed, (step * MEMBERS + k) * samples, samples, user_share) for k in range(MEMBERS)]
    found = (_on_cores if device == "cpu" else _on_device)(pool, net, parts)
    return sum(classes for classes, _ in found) / MEMBERS, sum(timing for _, timing in found) / MEMBERS


Parts = list[tuple[int, int, int, float]]
Losses = list[tuple[float, float]]


def _on_cores(pool: Executor, net: Committee, parts: Parts) -> Losses:
    """The processes simulate and differentiate."""
    states = [float_state(member) for member in net.members]
    asked = [
        pool.submit(_differentiate, to_flat(weights), to_flat(buffers), *part)
        for (weights, buffers), part in zip(states, parts, strict=True)
    ]
    found: Losses = []
    for (weights, buffers), answer in zip(states, asked, strict=True):
        gradient, statistics, *both = answer.result()
        for weight in weights:
            weight.grad = torch.empty_like(weight)
        from_flat([weight.grad for weight in weights if weight.grad is not None], gradient)
        from_flat(buffers, statistics)
        found.append((both[0], both[1]))
    return found


def _on_device(pool: Executor, net: Committee, parts: Parts) -> Losses:
    """The processes simulate; the device that holds `net` differentiates."""
    net.zero_grad()
    found: Losses = []
    for member, answer in zip(net.members, [pool.submit(_simulate, *part) for part in parts], strict=True):
        batch = answer.result()
        waves = torch.from_numpy(batch.waves).to(next(member.parameters()).device)
        class_loss, timing_loss = losses(member(waves), batch)
        (class_loss + TIMING_WEIGHT * timing_loss).backward()
        found.append((class_loss.item(), timing_loss.item()))
    return found
