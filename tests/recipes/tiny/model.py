"""The model: p(label = 1 | x) = sigmoid(w x + b)."""

from __future__ import annotations

import torch


def build() -> torch.nn.Linear:
    """(B, 4) float32 -> logits (B, 1)."""
    return torch.nn.Linear(4, 1)


def draw(seed: int, index: int, count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Batch `index`: points (count, 4) float32 and labels (count, 1) float32 of a noisy plane."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + index)
    points = torch.randn(count, 4, generator=generator)
    noise = 0.3 * torch.randn(count, 1, generator=generator)
    labels = (points @ torch.tensor([[1.0], [-2.0], [0.5], [0.0]]) + noise > 0).float()
    return points, labels
