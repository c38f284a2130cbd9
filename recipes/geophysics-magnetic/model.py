"""The network: a U-Net on cells of 2 x 2, told the direction of the main field at every level."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from .channels import CHANNELS

WIDTHS = (48, 80, 112, 128)  # channels at 1/2, 1/4, 1/8, 1/16 of the resolution
DIRECTION_FEATURES = 6
OUTPUTS = 7
MULTIPLE = 16  # windows have a multiple of this many rows and columns


@dataclass(frozen=True)
class Answer:
    """Of each cell, (B, rows, columns). Depths are natural logarithms of cells below the sensor."""

    body: Tensor  # logit: a body's top is below
    core: Tensor  # logit: the inner half of a body, which keeps neighbours apart
    low: Tensor  # 10 % quantile of the log depth to top, before calibration
    middle: Tensor
    high: Tensor  # 90 %
    moment: Tensor  # asinh of susceptibility x thickness in units of the window's spread, see `data.MOMENT_UNIT`
    thickness: Tensor  # log of cells


class Block(nn.Module):
    """Two convolutions beside a short cut; the direction scales and shifts what is between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(8, width) for _ in range(2))
        self.convolutions = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.turn = nn.Linear(DIRECTION_FEATURES, 2 * width)
        nn.init.zeros_(self.turn.weight)
        nn.init.zeros_(self.turn.bias)

    def forward(self, x: Tensor, direction: Tensor) -> Tensor:
        y = self.convolutions[0](functional.silu(self.norms[0](x)))
        scale, shift = self.turn(direction)[:, :, None, None].chunk(2, dim=1)
        return x + self.convolutions[1](functional.silu(self.norms[1](y) * (1 + scale) + shift))


class DepthNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        first = WIDTHS[0]
        pairs = list(pairwise(WIDTHS))
        self.stem = nn.Conv2d(4 * CHANNELS, first, 3, padding=1)
        self.encoders = nn.ModuleList(Block(width) for width in WIDTHS[1:])
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.ups = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.decoders = nn.ModuleList(Block(width) for width in WIDTHS[:-1])
        self.norm = nn.GroupNorm(8, first)
        self.head = nn.Conv2d(first, 4 * OUTPUTS, 3, padding=1)
        nn.init.constant_(self.head.bias[:8], -3.0)  # bodies are rare
        nn.init.constant_(self.head.bias[8:12], 1.6)  # about 5 cells deep

    def forward(self, channels: Tensor, direction: Tensor) -> Answer:
        """channels: (B, CHANNELS, rows, columns); direction: (B, 3) canonical."""
        east, north, down = direction.unbind(1)
        told = torch.stack([east, north, down, down * down, north * down, east * down], dim=1)
        x = self.stem(functional.pixel_unshuffle(channels, 2))
        skips = []
        for shrink, encoder in zip(self.downs, self.encoders, strict=True):
            skips.append(x)
            x = encoder(shrink(x), told)
        for level in reversed(range(len(self.ups))):
            x = functional.interpolate(self.ups[level](x), scale_factor=2, mode="nearest") + skips[level]
            x = self.decoders[level](x, told)
        x = functional.pixel_shuffle(self.head(functional.silu(self.norm(x))), 2).float()
        body, core, middle, below, above, moment, thickness = x.unbind(1)
        # the median is taught by its own loss alone
        low = middle.detach() - functional.softplus(below - 1)
        high = middle.detach() + functional.softplus(above - 1)
        return Answer(body, core, low, middle, high, moment, thickness)
