"""The network: a U-Net that works on cells of 1 m and answers on cells of 0.5 m.

described heights (B, 9, H, W) --> logits of "building" (B, H, W)
"""

from __future__ import annotations

from itertools import pairwise

import torch
from hive_runner.layers import Block, Norm
from torch import Tensor, nn
from torch.nn import functional

from .features import CHANNELS

WIDTHS = (24, 40, 64, 96, 128)  # channels on cells of 1, 2, 4, 8, 16 m
FINE = 8  # channels on cells of 0.5 m
STRIDE = 32  # sides must be multiples of it


class HeightNet(nn.Module):
    def __init__(self, channels: int = CHANNELS, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.stem = nn.Conv2d(channels, widths[0], 4, stride=2, padding=1)
        self.stem_norm = Norm(widths[0])
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.down_norms = nn.ModuleList(Norm(coarse) for _, coarse in pairs)
        self.encoders = nn.ModuleList(Block(coarse) for _, coarse in pairs)
        self.ups = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.fuses = nn.ModuleList(nn.Conv2d(2 * fine, fine, 1) for fine, _ in pairs)
        self.fuse_norms = nn.ModuleList(Norm(fine) for fine, _ in pairs)
        self.decoders = nn.ModuleList(Block(fine) for fine, _ in pairs)
        self.split = nn.Conv2d(widths[0], 4 * FINE, 1)  # each cell of 1 m to four
        self.refine = nn.Conv2d(FINE + channels, FINE, 3, padding=1)
        self.answer = nn.Conv2d(FINE, 1, 1)
        nn.init.constant_(self.answer.bias, -1.5)  # a fifth of a place is built upon

    def forward(self, x: Tensor) -> Tensor:
        """(B, CHANNELS, H, W) -> logits (B, H, W). H and W are multiples of STRIDE."""
        given = x.contiguous(memory_format=torch.channels_last)
        x = functional.silu(self.stem_norm(self.stem(given)))
        skips = []
        for down, norm, encoder in zip(self.downs, self.down_norms, self.encoders, strict=True):
            skips.append(x)
            x = encoder(functional.silu(norm(down(x))))
        for level in reversed(range(len(self.ups))):
            x = functional.interpolate(self.ups[level](x), scale_factor=2, mode="nearest")
            x = functional.silu(self.fuse_norms[level](self.fuses[level](torch.cat([x, skips[level]], dim=1))))
            x = self.decoders[level](x)
        x = functional.pixel_shuffle(self.split(x), 2)
        x = functional.silu(self.refine(torch.cat([x, given.to(x.dtype)], dim=1)))
        answer: Tensor = self.answer(x)[:, 0]
        return answer.float()
