"""What the model knows, as sentences: the nearest of them to a prompt, and how near it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# What no shape of the corpus is. The bound of similarity is chosen with the first half and measured with the second.
STRANGE = (
    "an elephant in the savannah", "the stock market fell again", "a violin concerto in D major", "a tax report",
    "a bowl of noodle soup", "photosynthesis in green leaves", "how to train a neural network", "a pirate ship at sea",
    "the capital of France", "a slice of pepperoni pizza", "a portrait of a smiling woman", "a spiral galaxy",
    "heavy rain over the mountains", "a pair of running shoes", "the theory of relativity", "a slice of cheese",
    "a golden retriever catching a frisbee", "democracy and freedom", "a medieval sword", "my favourite song",
    "an octopus with eight tentacles", "the quick brown fox jumps", "a wedding invitation", "a bunch of bananas",
    "an erupting volcano", "a football match on Sunday", "error 404 page not found", "a human skeleton",
    "a dragon breathing fire", "the meaning of life", "a jet of cold water", "integrated circuit layout",
)  # fmt: skip


class Concepts:
    """names: N sentences; bank: what the encoder makes of them, (N, 384); bound: below it a prompt is a stranger."""

    def __init__(self, names: Sequence[str], bank: Tensor, bound: float) -> None:
        self.names, self.bank, self.bound = names, bank.float(), bound

    def nearest(self, sentence: Tensor) -> tuple[str, float]:
        """sentence: (384,) of length 1 -> the nearest name and its cosine."""
        value, index = (self.bank @ sentence).max(0)
        return self.names[int(index)], round(float(value), 3)


def similarities(bank: Tensor, sentences: Tensor) -> Tensor:
    """Of each sentence (M, 384) to the nearest of the bank (N, 384): (M,)."""
    return (sentences @ bank.float().T).max(1).values


def best_bound(known: Tensor, strange: Tensor) -> float:
    """The bound that tells known from strange sentences best: the mean share of both that is judged rightly."""
    bounds = np.round(np.arange(0.2, 0.9, 0.01), 2)
    rates = [float(((known >= b).float().mean() + (strange < b).float().mean()) / 2) for b in bounds]
    best = np.flatnonzero(np.array(rates) >= max(rates) - 1e-9)
    return float(bounds[best[len(best) // 2]])  # the middle of the best


def distinct(told: list[list[str]], sentences: Tensor, each: int = 2) -> tuple[list[str], Tensor]:
    """The first `each` captions of every shape, none twice, and their rows of `sentences`, half precision."""
    found: dict[str, int] = {}
    row = 0
    for captions in told:
        for number, caption in enumerate(captions[:each]):
            found.setdefault(caption, row + number)
        row += len(captions)
    return list(found), sentences[torch.tensor(list(found.values()))].half()
