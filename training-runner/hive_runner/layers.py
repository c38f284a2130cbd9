"""Parts that networks on grids share. Only recipes that import them need torch. Channels last in memory is fastest."""

from __future__ import annotations

import torch
from torch import nn


class Norm(nn.Module):
    """Layer normalisation over the channels of one cell: no statistic of the grid enters, however large it is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, ...)."""
        normalised: torch.Tensor = self.norm(x.movedim(1, -1))
        return normalised.movedim(-1, 1)


class Block(nn.Module):
    """x + conv(act(norm(conv(x)))), both 3 wide (He et al. 2016); the weights of the second begin at 0.

    dimensions: of the grid, 2 or 3. norm: another one than Norm.
    """

    def __init__(self, channels: int, dimensions: int = 2, norm: nn.Module | None = None) -> None:
        super().__init__()
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
        self.first = convolution(channels, channels, 3, padding=1)
        self.norm = norm or Norm(channels)
        self.second = convolution(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, ...)."""
        changed: torch.Tensor = self.second(nn.functional.silu(self.norm(self.first(x))))
        return x + changed
