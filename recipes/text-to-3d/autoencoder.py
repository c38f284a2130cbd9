"""A shape as 8^3 places of 8 learned numbers and a mean colour each, and back.

filled share (B, 64, 64, 64), colour (B, 3, 32, 32, 32) -> latent (B, 11, 8, 8, 8) -> logits of "filled", colour

Nothing is reckoned at 64^3: a block of 4^3 cells is folded into the channels of one (space to depth) and unfolded at
the end, so that convolutions run at 16^3 and 8^3 only.

The mean colours are not learned. Of a red chair they are red everywhere, in empty places too: so colour and form lie
apart in the latent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hive_runner.layers import Block
from torch import Tensor, nn
from torch.nn import functional

CELLS = 64
COLOUR_CELLS = 32
LATENT_CELLS = 8
LEARNED = 8  # numbers of a place
LATENT_CHANNELS = 3 + LEARNED
LATENT_SHAPE = (LATENT_CHANNELS, LATENT_CELLS, LATENT_CELLS, LATENT_CELLS)
MIDDLE = 32  # channels at 16^3
DEEP = 64  # channels at 8^3
BOUND = 4.0  # no learned number is larger
COLOUR_SPREAD = 4.0  # a mean colour of 0..1 becomes a number of -2..2
THIN_WEIGHT = 4.0
THICK = 0.3  # share of 12^3 cells; where more is filled nothing is thin
NOISE = 0.15  # added to the latent in training: near places must mean near shapes


@dataclass(frozen=True)
class Voxels:
    """B shapes. filled: share of each cell (B, 64, 64, 64), 0..1; colour: sRGB 0..1 (B, 3, 32, 32, 32); coloured: which
    cells of that lie at a surface (B, 32, 32, 32)."""

    filled: Tensor
    colour: Tensor
    coloured: Tensor

    def to(self, device: str) -> Voxels:
        return Voxels(self.filled.to(device), self.colour.to(device), self.coloured.to(device))


def fold(x: Tensor, side: int) -> Tensor:
    """(B, C, n, n, n) -> (B, C side^3, n/side, n/side, n/side)."""
    batch, channels, cells = x.shape[:3]
    coarse = cells // side
    x = x.reshape(batch, channels, coarse, side, coarse, side, coarse, side)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(batch, channels * side**3, coarse, coarse, coarse)


def unfold(x: Tensor, side: int) -> Tensor:
    """The way back: (B, C side^3, n, n, n) -> (B, C, n side, n side, n side)."""
    batch, channels, cells = x.shape[:3]
    x = x.reshape(batch, channels // side**3, side, side, side, cells, cells, cells)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(batch, channels // side**3, *3 * [cells * side])


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        given = 4**3 + 4 * 2**3  # filled in blocks of 4^3, colour and its mask in blocks of 2^3
        self.stem = nn.Conv3d(given, MIDDLE, 1)
        self.look = nn.Conv3d(MIDDLE, MIDDLE, 3, padding=1)
        self.down = nn.Conv3d(MIDDLE * 8, DEEP, 1)
        self.encode_deep = _block(DEEP)
        self.to_latent = nn.Conv3d(DEEP, LEARNED, 1)
        self.from_latent = nn.Conv3d(LATENT_CHANNELS, DEEP, 3, padding=1)
        self.decode_deep = nn.ModuleList(_block(DEEP) for _ in range(2))
        self.up = nn.Conv3d(DEEP, MIDDLE * 8, 1)
        self.refine = _block(MIDDLE)
        self.norm = nn.GroupNorm(8, MIDDLE)
        self.answer = nn.Conv3d(MIDDLE, 4**3 + 3 * 2**3, 1)
        nn.init.constant_(self.answer.bias[: 4**3], -3.0)  # most of a cube is empty
        nn.init.zeros_(self.answer.bias[4**3 :])

    def encode(self, voxels: Voxels) -> Tensor:
        """-> latent (B, LATENT_CHANNELS, 8, 8, 8): the mean colours, then what is learned."""
        coloured = voxels.coloured[:, None].to(voxels.filled.dtype)
        given = [fold(2 * voxels.filled[:, None] - 0.5, 4), fold(torch.cat([voxels.colour * coloured, coloured], 1), 2)]
        x = self.look(self.stem(torch.cat(given, 1)))
        x = self.encode_deep(self.down(fold(functional.silu(x), 2)))
        learned = BOUND * torch.tanh(self.to_latent(functional.silu(x)) / BOUND)
        return torch.cat([COLOUR_SPREAD * (mean_colours(voxels) - 0.5), learned], 1)

    def decode(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """-> logits of "filled" (B, 64, 64, 64), colour (B, 3, 32, 32, 32)."""
        x = self.from_latent(latent)
        for block in self.decode_deep:
            x = block(x)
        x = self.refine(unfold(self.up(functional.silu(x)), 2))
        x = self.answer(functional.silu(self.norm(x)))
        mean = latent[:, :3] / COLOUR_SPREAD + 0.5
        colour = functional.interpolate(mean, size=(COLOUR_CELLS,) * 3, mode="trilinear") + unfold(x[:, 4**3 :], 2)
        return unfold(x[:, : 4**3], 4)[:, 0], colour

    def forward(self, voxels: Voxels) -> Tensor:
        """The loss on a batch."""
        latent = self.encode(voxels)
        logits, colour = self.decode(latent + NOISE * torch.randn_like(latent))
        return loss(logits.float(), colour.float(), voxels)


def mean_colours(voxels: Voxels) -> Tensor:
    """(B, 3, 8, 8, 8): of the surface in each place, of the whole surface where there is none."""
    coloured = voxels.coloured[:, None].to(voxels.colour.dtype)
    weight = functional.adaptive_avg_pool3d(coloured, LATENT_CELLS)
    total = functional.adaptive_avg_pool3d(voxels.colour * coloured, LATENT_CELLS)
    whole = total.sum((2, 3, 4), keepdim=True) / weight.sum((2, 3, 4), keepdim=True).clamp(min=1e-6)
    return torch.where(weight > 0, total / weight.clamp(min=1e-6), whole)


def loss(logits: Tensor, colour: Tensor, voxels: Voxels) -> Tensor:
    """Cross-entropy and soft Dice overlap (Milletari et al. 2016) of what is filled, and how far off colours are."""
    filled = voxels.filled
    weight = weight_of_thin(filled)
    entropy = (weight * functional.binary_cross_entropy_with_logits(logits, filled, reduction="none")).mean()
    share = torch.sigmoid(logits)
    overlap, made, true = ((weight * each).sum((1, 2, 3)) for each in (share * filled, share.square(), filled.square()))
    dice = 1 - (2 * overlap + 1) / (made + true + 1)
    off = functional.smooth_l1_loss(colour, voxels.colour, beta=0.1, reduction="none").mean(1)
    wrong_colour = (off * voxels.coloured).sum() / voxels.coloured.sum().clamp(min=1)
    return 10 * entropy + dice.mean() + 2 * wrong_colour


def weight_of_thin(filled: Tensor) -> Tensor:
    """(B, 64, 64, 64), 1 .. 1 + THIN_WEIGHT: the more, the less matter there is around, if there is any. Legs and slats
    have few cells; unweighted they are the first to be left out."""
    around = functional.avg_pool3d(functional.avg_pool3d(filled[:, None], 4), 3, stride=1, padding=1)
    more = torch.where(around > 0, THIN_WEIGHT * (1 - around / THICK).clamp(min=0), 0.0)
    return functional.interpolate(1 + more, scale_factor=4)[:, 0]


def _block(channels: int) -> Block:
    return Block(channels, 3, nn.GroupNorm(8, channels))
