"""A rectified flow (Liu et al. 2022) from noise to shapes, told by a sentence.

It runs among the principal components of the latents of what is taught: a few hundred numbers say nearly all of a
shape, and each of them speaks of the whole, so that a plain network makes wholes from the first. A transformer on 64
tokens of the latent was tried before and needs many times the work until its parts fit together (README.md).

The network names the end of the way (the shape itself, not the velocity): shapes fill little of the space they lie in,
and a small network names them better than noise (Li & He 2025). What learned questions find in the words of the
sentence shifts, scales and gates every layer (Peebles & Xie 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .encoder import WIDTH as WORD_WIDTH
from .encoder import Encoded

QUESTIONS = 8
ANSWER = 128  # numbers of what a question finds
CONDITION = 256
LEAST_LEFT = 0.2  # of the way: nearer to its end an error weighs no more
WHITENING = 0.5  # power of a component's spread that it is divided by: 0 leaves it, 1 makes all alike


@dataclass(frozen=True)
class Basis:
    """Principal components of n latents of m numbers. centre: (m,); axes: (m, k), divided by what components are."""

    centre: Tensor
    axes: Tensor  # (m, k) orthonormal
    scale: Tensor  # (k,)

    @classmethod
    def of(cls, latents: Tensor, count: int) -> Basis:
        """latents: (n, ...) -> at most `count` components. Halko et al. 2011: torch's random numbers are drawn."""
        rows = latents.flatten(1)
        centre = rows.mean(0)
        rank = min(count, len(rows) - 1, rows.shape[1])
        _, values, axes = torch.svd_lowrank(rows - centre, min(rank + 32, *rows.shape), niter=4)
        axes, spread = axes[:, :rank], values[:rank].clamp(min=1e-3) / len(rows) ** 0.5
        scale = spread**WHITENING
        return cls(centre, axes.contiguous(), scale * ((spread / scale).square().mean().sqrt()))

    def said(self, latents: Tensor) -> float:
        """Share of the latents' variance that the components hold."""
        off = latents.flatten(1) - self.centre
        return float((off @ self.axes).square().sum() / off.square().sum())

    def inward(self, latents: Tensor) -> Tensor:
        """(n, ...) -> (n, k), of mean square 1."""
        return (latents.flatten(1) - self.centre) @ self.axes / self.scale

    def outward(self, numbers: Tensor) -> Tensor:
        """(n, k) -> (n, m)."""
        return (numbers * self.scale) @ self.axes.T + self.centre


class Layer(nn.Module):
    """x + gate * network(shifted and scaled x), all three told by the condition."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.condition = nn.Linear(CONDITION, 3 * width)
        nn.init.zeros_(self.condition.weight)
        nn.init.zeros_(self.condition.bias)
        self.widen = nn.Linear(width, width)
        self.narrow = nn.Linear(width, width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x: (B, width), condition: (B, CONDITION)."""
        shift, scale, gate = self.condition(condition).chunk(3, dim=1)
        return x + gate * self.narrow(functional.silu(self.widen(_norm(x) * (1 + scale) + shift)))


class Reader(nn.Module):
    """What the words say to QUESTIONS learned questions, and the sentence as a whole: (B, CONDITION)."""

    def __init__(self) -> None:
        super().__init__()
        self.questions = nn.Parameter(torch.randn(QUESTIONS, ANSWER))
        self.keys = nn.Linear(WORD_WIDTH, ANSWER)
        self.values = nn.Linear(WORD_WIDTH, ANSWER)
        self.sentence = nn.Linear(WORD_WIDTH, CONDITION)
        self.mix = nn.Linear(QUESTIONS * ANSWER, CONDITION)
        self.nothing = nn.Parameter(0.02 * torch.randn(CONDITION))  # what no sentence says

    def forward(self, said: Encoded, kept: Tensor) -> Tensor:
        """kept: (B,) bool, whether to heed the sentence at all."""
        longest = int(said.present.sum(1).max())
        words = said.words[:, :longest].to(self.keys.weight.dtype)
        mask = said.present[:, None, :longest]
        query = self.questions.expand(len(words), -1, -1)
        found = functional.scaled_dot_product_attention(query, self.keys(words), self.values(words), attn_mask=mask)
        heard = self.mix(found.flatten(1)) + self.sentence(said.sentence * math.sqrt(WORD_WIDTH))
        return torch.where(kept[:, None], heard, self.nothing)


class Flow(nn.Module):
    def __init__(self, numbers: int, width: int, layers: int) -> None:
        super().__init__()
        self.reader = Reader()
        self.time = nn.Sequential(nn.Linear(64, CONDITION), nn.SiLU(), nn.Linear(CONDITION, CONDITION))
        self.enter = nn.Linear(numbers, width)
        self.layers = nn.ModuleList(Layer(width) for _ in range(layers))
        self.leave = nn.Linear(width, numbers)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor, time: Tensor, said: Encoded, kept: Tensor) -> Tensor:
        """x: (B, k) at `time` (B,), 0 noise .. 1 shape -> the shape's numbers (B, k)."""
        condition = functional.silu(self.reader(said, kept) + self.time(_waves(time)))
        x = self.enter(x)
        for layer in self.layers:
            x = layer(x, condition)
        return self.leave(_norm(x))


def loss(flow: Flow, numbers: Tensor, said: Encoded, unheeded: float) -> Tensor:
    """Squared error of the velocity. unheeded: share of the sentences that are hidden, for guidance."""
    drawn = torch.randn(len(numbers), device=numbers.device)
    time = torch.sigmoid(drawn - 0.4)[:, None]  # most of it in the middle (Esser et al. 2024)
    noise = torch.randn_like(numbers)
    kept = torch.rand(len(numbers), device=numbers.device) >= unheeded
    end = flow(time * numbers + (1 - time) * noise, time[:, 0], said, kept).float()
    return ((end - numbers) / (1 - time).clamp(min=LEAST_LEFT)).square().mean()


@torch.inference_mode()
def sample(flow: Flow, said: Encoded, noise: Tensor, steps: int, guidance: float) -> Tensor:
    """From noise (B, k) to shapes by Euler's steps; guidance 1 is none (Ho & Salimans 2022)."""
    x = noise
    count = len(x)
    twice = said.pick(torch.arange(count).repeat(2))
    heed = torch.arange(2 * count) < count
    for step in range(steps):
        time = step / steps
        ends = flow(torch.cat([x, x]), torch.full((2 * count,), time), twice, heed)
        told, untold = ends.chunk(2)
        end = untold + guidance * (told - untold)
        x = x + (end - x) / (1 - time) / steps
    return x


def _norm(x: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:])


def _waves(time: Tensor) -> Tensor:
    """(B,) -> (B, 64): cosines and sines of 32 frequencies."""
    angle = time[:, None] * torch.exp(torch.arange(32, device=time.device) * (math.log(1000) / 31))
    return torch.cat([torch.cos(angle), torch.sin(angle)], dim=1)
