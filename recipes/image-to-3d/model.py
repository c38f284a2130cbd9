"""The network: a U-Net on pixels, attention where it is coarsest, whose 80 depth bins are output channels.

what is given of a picture (B, 6, 128, 128), see given.py
    -> occupancy (B, 80, 64, 64) logits along the rays, front depth (B, 64, 64), colour behind (B, 3, 64, 64) 0..1,
       elevation (B,) deg, field of view (B,) deg
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .given import CHANNELS

BINS = 80
WIDTHS = (24, 48, 112, 256)  # channels on 64, 32, 16 and 8 cells a side
FINE = 32  # channels where the answers are made, on 64 cells a side
HEADS = 8
LAYERS = 2  # of attention
VIEW_SHARE = 0.003  # of the view's gradient that goes into what shapes are told from: all of it would drown theirs
EMPTY = -3.0  # logit that occupancy begins with: most cells hold nothing
ELEVATION_DEG, FOV_DEG = (20.0, 20.0), (30.0, 10.0)  # middle and scale


@dataclass(frozen=True)
class Answer:
    occupancy: Tensor  # (B, BINS, CELLS, CELLS) logits
    depth: Tensor  # (B, CELLS, CELLS) of the front, half widths
    behind: Tensor  # (B, 3, CELLS, CELLS) colour of the hidden side, 0..1
    elevation_deg: Tensor  # (B,)
    fov_deg: Tensor  # (B,)


def _conv(given: int, made: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(given, made, 3, stride, padding=1)


class Mix(nn.Linear):
    """A convolution of 1 x 1, as the product of matrices that it is when channels come last: faster with one thread."""

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W)
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))). He et al. 2016, with group normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(8, channels) for _ in range(2))
        self.convs = nn.ModuleList(_conv(channels, channels) for _ in range(2))
        nn.init.zeros_(self.convs[1].weight)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(functional.relu(norm(y)))
        return x + y


class Attention(nn.Module):
    """A transformer layer over the cells of a grid (Vaswani et al. 2017, normalised first)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.norm_after = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.mix = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.widen, self.narrow = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:  # (B, cells, C)
        b, n, c = x.shape
        q, k, v = self.mix(self.norm(x)).view(b, n, 3, HEADS, c // HEADS).permute(2, 0, 3, 1, 4)
        weight = torch.softmax(q @ k.transpose(2, 3) * (c // HEADS) ** -0.5, dim=-1)
        x = x + self.out((weight @ v).transpose(1, 2).reshape(b, n, c))
        return x + self.narrow(functional.gelu(self.widen(self.norm_after(x))))


class ShapeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        full, half, quarter, eighth = WIDTHS
        self.stem = nn.Conv2d(CHANNELS, full, 4, stride=2, padding=1)
        self.down_half, self.early_half = _conv(full, half, stride=2), Block(half)
        self.down_quarter, self.early_quarter = _conv(half, quarter, stride=2), Block(quarter)
        self.down_eighth = _conv(quarter, eighth, stride=2)
        self.place = nn.Parameter(torch.zeros(1, 64, eighth))
        self.attention = nn.ModuleList(Attention(eighth) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(eighth)
        self.view = nn.Sequential(  # of each cell a little, where it lies
            nn.Linear(eighth, 16), nn.ReLU(), nn.Flatten(1), nn.Linear(64 * 16, 64), nn.ReLU(), nn.Linear(64, 2)
        )
        self.up_quarter, self.fuse_quarter = Mix(eighth, quarter), Mix(2 * quarter, quarter)
        self.late_quarter = Block(quarter)
        wide = 64
        self.up_half, self.fuse_half, self.late_half = Mix(quarter, wide), Mix(wide + half, wide), Block(wide)
        self.coarse = Mix(wide, BINS)
        self.norm_quarter, self.norm_half, self.norm_full = (nn.GroupNorm(8, n) for n in (quarter, wide, FINE))
        self.up_full, self.fuse_full = Mix(wide, FINE), Mix(FINE + full, FINE)
        self.late_full = _conv(FINE, FINE)
        self.answer = Mix(FINE, BINS + 4)
        for layer in self.modules():  # keep the signal's size: torch's own start halves it at each layer
            if isinstance(layer, nn.Conv2d | Mix) and layer.weight.any():
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear" if isinstance(layer, Mix) else "relu")
                nn.init.zeros_(layer.bias)
        for head in (self.coarse, self.answer):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        nn.init.constant_(self.coarse.bias, EMPTY)

    def forward(self, picture: Tensor) -> Answer:
        full = functional.relu(self.stem(picture.contiguous(memory_format=torch.channels_last)))
        half = self.early_half(self.down_half(full))
        quarter = self.early_quarter(self.down_quarter(functional.relu(half)))
        eighth = self.down_eighth(functional.relu(quarter))
        b, c, h, w = eighth.shape
        cells = eighth.permute(0, 2, 3, 1).reshape(b, h * w, c) + self.place
        for layer in self.attention:
            cells = layer(cells)
        cells = self.norm(cells)
        view = self.view(torch.lerp(cells.detach(), cells, VIEW_SHARE)).float()
        x = cells.reshape(b, h, w, c).permute(0, 3, 1, 2)
        x = self.late_quarter(self.norm_quarter(self.fuse_quarter(_with(self.up_quarter(x), quarter))))
        x = self.late_half(self.norm_half(self.fuse_half(_with(self.up_half(x), half))))
        x = functional.relu(x)
        coarse = functional.interpolate(self.coarse(x), scale_factor=2, mode="bilinear", align_corners=False)
        x = functional.relu(self.norm_full(self.fuse_full(_with(self.up_full(x), full))))
        x = functional.relu(x + self.late_full(x))
        made = self.answer(x)
        return Answer(
            made[:, :BINS] + coarse,
            made[:, BINS].float(),
            torch.sigmoid(made[:, BINS + 1 :].float() + _front_logits(picture)),
            ELEVATION_DEG[0] + ELEVATION_DEG[1] * view[:, 0],
            FOV_DEG[0] + FOV_DEG[1] * view[:, 1],
        )


def _front_logits(picture: Tensor) -> Tensor:
    """The picture's own colours on the cells, (B, 3, CELLS, CELLS): the back is told from the front."""
    seen = functional.avg_pool2d(picture[:, :4].float(), 2)
    return torch.logit(seen[:, :3] / seen[:, 3:].clamp(min=1e-3), eps=0.02)


def _with(coarse: Tensor, fine: Tensor) -> Tensor:
    """Coarse features brought to the fine cells, beside the fine ones."""
    return torch.cat([functional.interpolate(coarse, scale_factor=2, mode="nearest"), fine], dim=1)
