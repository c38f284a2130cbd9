"""The network: a 1-D U-Net that says for every sample how likely P or S begins there, how far off and how sure."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

IN_CHANNELS = 6  # three components, twice: see conditioning.py
WIDTHS = (16, 24, 40, 56, 72)  # channels at 50, 12.5, 3.125, 0.78 and 0.2 samples a second
KERNEL = 7
STRIDE = 4
OUT_CHANNELS = 7  # logits of noise, P, S; offset of P, S in seconds; log of their spread in seconds
PHASES = ("P", "S")
MEMBERS = 2
PLAIN = tuple(f"members.{member}.{layer}" for member in range(MEMBERS) for layer in ("stem.0", "head"))  # first, last


class Block(nn.Sequential):
    """Convolution, batch norm, ReLU; with `stride` the length is divided by it (rounded up)."""

    def __init__(self, into: int, out: int, kernel: int = KERNEL, stride: int = 1) -> None:
        super().__init__(
            nn.Conv1d(into, out, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm1d(out),
            nn.ReLU(inplace=True),
        )


class PickNet(nn.Module):
    """(B, 6, T) conditioned waveforms at 100 Hz -> (B, 7, T). T is even."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(Block(IN_CHANNELS, WIDTHS[0], 11, 2), Block(WIDTHS[0], WIDTHS[0]))
        self.down = nn.ModuleList(
            nn.Sequential(Block(shallow, deep, KERNEL, STRIDE), Block(deep, deep))
            for shallow, deep in itertools.pairwise(WIDTHS)
        )
        self.up = nn.ModuleList(
            nn.ModuleList([nn.ConvTranspose1d(deep, shallow, STRIDE, STRIDE), Block(2 * shallow, shallow)])
            for shallow, deep in itertools.pairwise(WIDTHS)
        )
        self.head = nn.Conv1d(WIDTHS[0], 2 * OUT_CHANNELS, 5, padding=2)  # two samples of 100 Hz from each of 50 Hz
        with torch.no_grad():
            self.head.bias.zero_()
            self.head.bias[2:6] = -4.0  # P and S are rare: two outputs of 50 Hz for each of noise, P, S, ...

    def forward(self, waves: Tensor) -> Tensor:
        x = self.stem(waves)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for (raise_, merge), skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = merge(torch.cat([raise_(x)[..., : skip.shape[-1]], skip], dim=1))
        both = self.head(x)  # (B, 14, T / 2)
        return both.unflatten(1, (OUT_CHANNELS, 2)).transpose(2, 3).flatten(2)


class Committee(nn.Module):
    """Networks that began with other weights and learn from other windows. (B, 6, T) -> (MEMBERS, B, 7, T).

    What one of them alone makes of records unlike its windows is in part luck.
    """

    def __init__(self) -> None:
        super().__init__()
        self.members = nn.ModuleList(PickNet() for _ in range(MEMBERS))

    def forward(self, waves: Tensor) -> Tensor:
        return torch.stack([member(waves) for member in self.members])
