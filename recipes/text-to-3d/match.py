"""How well a shape is what a sentence says: both become directions, and the nearer the better (Radford et al. 2021).

The flow makes several shapes of a sentence, and one that matches about best is kept: which of two tables has three legs
and is red is told more easily than such a table is made (Ramesh et al. 2021 chose so among pictures).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .encoder import Encoded
from .flow import CONDITION, Reader

DIRECTIONS = 128
WIDTH = 512
SHARPNESS = 2.3  # log of what cosines are multiplied with, at first
BLUR = 0.4  # most noise that a shape is seen through in training: what is made is never quite a shape that was taught


class Matcher(nn.Module):
    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.reader = Reader()
        self.heard = nn.Linear(CONDITION, DIRECTIONS)
        self.seen = nn.Sequential(
            nn.Linear(numbers, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, DIRECTIONS)
        )
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))

    def of_sentences(self, said: Encoded) -> Tensor:
        """(B, DIRECTIONS) of length 1."""
        heed = torch.ones(len(said.sentence), dtype=torch.bool, device=said.sentence.device)
        return functional.normalize(self.heard(functional.silu(self.reader(said, heed))), dim=1)

    def of_shapes(self, numbers: Tensor) -> Tensor:
        """(B, k), as the flow makes them -> (B, DIRECTIONS) of length 1."""
        return functional.normalize(self.seen(numbers), dim=1)


def loss(matcher: Matcher, numbers: Tensor, said: Encoded) -> Tensor:
    """Each sentence has to find its shape among those of the batch, and each shape its sentence."""
    blur = BLUR * torch.rand(len(numbers), 1, device=numbers.device)
    shapes = matcher.of_shapes(numbers + blur * torch.randn_like(numbers))
    near = matcher.sharpness.clamp(max=4.6).exp() * shapes @ matcher.of_sentences(said).T
    own = torch.arange(len(near), device=near.device)
    return (functional.cross_entropy(near, own) + functional.cross_entropy(near.T, own)) / 2


@torch.inference_mode()
def chosen(matcher: Matcher, numbers: Tensor, said: Encoded, margin: float) -> Tensor:
    """numbers: (B, candidates, k), made of B sentences -> (B, k): of each the first whose cosine with its sentence is
    at most `margin` below that of the best. Without a margin many seeds would make the same shape."""
    seen = matcher.of_shapes(numbers.flatten(0, 1)).unflatten(0, numbers.shape[:2])
    near = (seen * matcher.of_sentences(said)[:, None]).sum(2)
    good = near >= near.max(1, keepdim=True).values - margin
    return numbers[torch.arange(len(numbers)), good.int().argmax(1)]
