"""A rectified flow (Liu et al. 2022) from noise to latents, told by a sentence: a transformer on 64 tokens.

A token is a block of 2^3 places of the latent, 64 numbers. The network names the end of the way (the latent itself, not
the velocity): the latents fill little of the space they lie in, and a small network can name them better than noise
(Li & He 2025, "Back to basics"). The sentence enters twice: what eight learned questions find in its words goes before
the 64 tokens, and their sum with the time shifts and scales every layer (Peebles & Xie 2023).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .autoencoder import LATENT_CELLS, LATENT_CHANNELS, fold, unfold
from .encoder import WIDTH as WORD_WIDTH
from .encoder import Encoded

PATCH = 2
PLACES = (LATENT_CELLS // PATCH) ** 3
NUMBERS = LATENT_CHANNELS * PATCH**3  # of a token
QUESTIONS = 8
LEAST_LEFT = 0.2  # of the way: nearer to its end an error weighs no more
HEAD = 32  # numbers of one attention head


class Layer(nn.Module):
    """Attention, then a small network on each token; both shifted, scaled and gated by the condition."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.condition = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.condition.weight)
        nn.init.zeros_(self.condition.bias)
        self.heads = width // HEAD
        self.ask = nn.Linear(width, 3 * width, bias=False)
        self.tell = nn.Linear(width, width, bias=False)
        self.widen = nn.Linear(width, 4 * width, bias=False)
        self.narrow = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x: (B, T, width), condition: (B, width)."""
        shift, scale, gate, shift_2, scale_2, gate_2 = self.condition(condition)[:, None].chunk(6, dim=2)
        seen = _norm(x) * (1 + scale) + shift
        query, key, value = self.ask(seen).unflatten(2, (3, self.heads, HEAD)).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(_norm(query), _norm(key), value)
        x = x + gate * self.tell(seen.transpose(1, 2).flatten(2))
        return x + gate_2 * self.narrow(functional.gelu(self.widen(_norm(x) * (1 + scale_2) + shift_2)))


class Reader(nn.Module):
    """What the words say to QUESTIONS learned questions: (B, QUESTIONS, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.questions = nn.Parameter(torch.randn(QUESTIONS, width))
        self.keys = nn.Linear(WORD_WIDTH, width)
        self.values = nn.Linear(WORD_WIDTH, width)
        self.sentence = nn.Linear(WORD_WIDTH, width)
        self.nothing = nn.Parameter(0.02 * torch.randn(QUESTIONS, width))  # what no sentence says

    def forward(self, said: Encoded, kept: Tensor) -> Tensor:
        """kept: (B,) bool, whether to heed the sentence at all."""
        words = said.words.to(self.keys.weight.dtype)
        mask = said.present[:, None, :]
        query = self.questions.expand(len(words), -1, -1)
        found = functional.scaled_dot_product_attention(query, self.keys(words), self.values(words), attn_mask=mask)
        found = found + self.sentence(said.sentence * math.sqrt(WORD_WIDTH))[:, None]
        return torch.where(kept[:, None, None], found, self.nothing)


class Flow(nn.Module):
    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.reader = Reader(width)
        self.mix = nn.Linear(QUESTIONS * width, width)
        self.time = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.place = nn.Parameter(0.02 * torch.randn(PLACES, width))
        self.enter = nn.Linear(NUMBERS, width)
        self.layers = nn.ModuleList(Layer(width) for _ in range(layers))
        self.leave = nn.Linear(width, NUMBERS)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor, time: Tensor, said: Encoded, kept: Tensor) -> Tensor:
        """x: (B, 64, 64) tokens at `time` (B,), 0 noise .. 1 latent -> the latent's tokens."""
        found = self.reader(said, kept)
        condition = functional.silu(self.mix(found.flatten(1)) + self.time(_waves(time)))
        tokens = torch.cat([found, self.enter(x) + self.place], dim=1)
        for layer in self.layers:
            tokens = layer(tokens, condition)
        return self.leave(_norm(tokens[:, QUESTIONS:]))


def loss(flow: Flow, tokens: Tensor, said: Encoded, unheeded: float) -> Tensor:
    """Squared error of the velocity. unheeded: share of the sentences that are hidden, for guidance."""
    time = torch.sigmoid(torch.randn(len(tokens)) - 0.4)[:, None, None]  # most of it in the middle (Esser et al. 2024)
    noise = torch.randn_like(tokens)
    end = flow(time * tokens + (1 - time) * noise, time[:, 0, 0], said, torch.rand(len(tokens)) >= unheeded)
    return ((end - tokens) / (1 - time).clamp(min=LEAST_LEFT)).square().mean()


@torch.inference_mode()
def sample(flow: Flow, said: Encoded, noise: Tensor, steps: int, guidance: float) -> Tensor:
    """From noise (B, 64, 64) to tokens by Euler's steps; guidance 1 is none (Ho & Salimans 2022)."""
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


def to_tokens(latent: Tensor) -> Tensor:
    """(B, 8, 8, 8, 8) -> (B, 64, 64)."""
    return fold(latent, PATCH).flatten(2).transpose(1, 2)


def to_latent(tokens: Tensor) -> Tensor:
    """The way back."""
    side = LATENT_CELLS // PATCH
    return unfold(tokens.transpose(1, 2).unflatten(2, (side, side, side)), PATCH)


def _norm(x: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:])


def _waves(time: Tensor) -> Tensor:
    """(B,) -> (B, 64): cosines and sines of 32 frequencies."""
    angle = time[:, None] * torch.exp(torch.arange(32) * (math.log(1000) / 31))
    return torch.cat([torch.cos(angle), torch.sin(angle)], dim=1)
