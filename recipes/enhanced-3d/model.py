"""The network: a U-Net that works on cells of 2 x 2 x 2 and answers for each cell of the grid.

depths (B, 1, 2n, 2n, 2n), lifted picture (B, LIFTED, n, n, n) --> change of the depths (B, 1, 2n, 2n, 2n)
"""

from __future__ import annotations

from itertools import pairwise

import torch
from hive_runner.layers import Block, Norm
from torch import Tensor, nn
from torch.nn import functional

from .volume import REACH

WIDTHS = (16, 32, 64, 96)  # channels on cells of 2, 4, 8, 16
STRIDE = 16  # cells: sides must be multiples of it
LIFTED = 8  # channels of a picture that is lifted into space: see lift.py. 8 + 8: oneDNN is six times slower with 13


class RefineNet(nn.Module):
    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.stem = nn.Conv3d(8 + LIFTED, widths[0], 3, padding=1)
        self.stem_norm = Norm(widths[0])
        self.downs = nn.ModuleList(nn.Conv3d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.down_norms = nn.ModuleList(Norm(coarse) for _, coarse in pairs)
        self.encoders = nn.ModuleList(Block(coarse, 3) for _, coarse in pairs)
        self.ups = nn.ModuleList(nn.Conv3d(coarse, fine, 1) for fine, coarse in pairs)
        self.up_norms = nn.ModuleList(Norm(fine) for fine, _ in pairs)
        self.decoders = nn.ModuleList(Block(fine, 3) for fine, _ in pairs)
        self.answer = nn.Conv3d(widths[0] + 8, 8, 3, padding=1)  # sees the cells themselves too: it can smooth at once
        nn.init.zeros_(self.answer.weight)

    def forward(self, depths: Tensor, lifted: Tensor) -> Tensor:
        """Depths and their change are in cells. n is a multiple of STRIDE / 2."""
        given = (apart(depths) / REACH).contiguous(memory_format=torch.channels_last_3d)
        x = torch.cat([given, lifted.contiguous(memory_format=torch.channels_last_3d)], dim=1)
        x = functional.silu(self.stem_norm(self.stem(x)))
        skips = []
        for down, norm, encoder in zip(self.downs, self.down_norms, self.encoders, strict=True):
            skips.append(x)
            x = encoder(functional.silu(norm(down(x))))
        for level in reversed(range(len(self.ups))):
            x = functional.interpolate(self.ups[level](x), scale_factor=2, mode="nearest")
            x = self.decoders[level](functional.silu(self.up_norms[level](x + skips[level])))
        return together(self.answer(torch.cat([x, given], dim=1)).float())


def apart(fine: Tensor) -> Tensor:
    """(B, 1, 2n, 2n, 2n) -> (B, 8, n, n, n): the eight cells of a larger one become channels."""
    b, _, x, y, z = fine.shape
    cells = fine.reshape(b, x // 2, 2, y // 2, 2, z // 2, 2)
    return cells.permute(0, 2, 4, 6, 1, 3, 5).reshape(b, 8, x // 2, y // 2, z // 2)


def together(channels: Tensor) -> Tensor:
    """The way back."""
    b, _, x, y, z = channels.shape
    cells = channels.reshape(b, 2, 2, 2, x, y, z).permute(0, 4, 1, 5, 2, 6, 3)
    return cells.reshape(b, 1, 2 * x, 2 * y, 2 * z)
