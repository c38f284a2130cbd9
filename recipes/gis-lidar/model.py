"""The network: a U-Net over pillars, which corrects the ground estimate, and a small point head on top of it.

    grid (B, 40, H, W) --U-Net--> features (B, 32, H, W), terrain offset (B, H, W) in metres
    point: 32 features where it stands (bilinear) + 40 local features + 6 of its height above the corrected terrain
           --MLP--> 9 class logits

Two of them learn side by side, from scenes of their own, and decide by the mean of their probabilities. Heights stay in
float32; the convolutions run in bfloat16 where the processor multiplies it natively.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from hive_runner.layers import Block, Norm
from torch import Tensor, nn
from torch.nn import functional

from .features import GRID_CHANNELS, POINT_CHANNELS

WIDTHS = (32, 48, 96, 128, 128)  # channels at 1, 2, 4, 8, 16 cells
HIDDEN = 128
HEIGHT_CHANNELS = 6
MEMBERS = 2
PLAIN = tuple(f"members.{member}.{part}" for member in range(MEMBERS) for part in ("stem", "offset", "head"))


class Mix(nn.Linear):
    """A 1 x 1 convolution, as the matrix product that it is: twice as fast here as torch's."""

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W), channels last in memory
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class PillarNet(nn.Module):
    def __init__(self, classes: int, widths: tuple[int, ...] = WIDTHS, hidden: int = HIDDEN) -> None:
        super().__init__()
        # the finest cells are not convolved: what surrounds them the points' own features tell better, and for less
        self.stem = Mix(GRID_CHANNELS, widths[0])
        self.stem_norm = Norm(widths[0])
        pairs = list(pairwise(widths))
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.down_norms = nn.ModuleList(Norm(coarse) for _, coarse in pairs)
        self.encoders = nn.ModuleList(Block(coarse) for _, coarse in pairs)
        self.ups = nn.ModuleList(Mix(coarse, fine) for fine, coarse in pairs)
        self.fuses = nn.ModuleList(Mix(2 * fine, fine) for fine, _ in pairs)
        self.fuse_norms = nn.ModuleList(Norm(fine) for fine, _ in pairs)
        self.decoders = nn.ModuleList(Block(fine) if level else nn.Identity() for level, (fine, _) in enumerate(pairs))
        self.out_norm = Norm(widths[0])
        self.offset = nn.Conv2d(widths[0], 1, 1)
        for layer in self.modules():  # keep the signal's size: torch's own start shrinks it by 0.6 a layer
            if isinstance(layer, nn.Conv2d | Mix) and layer.weight.any():
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.offset.weight)
        self.head = nn.Sequential(
            nn.Linear(widths[0] + POINT_CHANNELS + HEIGHT_CHANNELS, hidden), nn.LayerNorm(hidden), nn.SiLU(),
            nn.Linear(hidden, hidden), nn.SiLU(),
            nn.Linear(hidden, classes),
        )  # fmt: skip

    def look(self, grid: Tensor) -> tuple[Tensor, Tensor]:
        """grid: (B, 40, H, W) -> features (B, 32, H, W), terrain offset (B, H, W), metres above the estimate."""
        x = grid.contiguous(memory_format=torch.channels_last)
        x = functional.silu(self.stem_norm(self.stem(x)))
        skips = []
        for down, norm, encoder in zip(self.downs, self.down_norms, self.encoders, strict=True):
            skips.append(x)
            x = encoder(functional.silu(norm(down(x))))
        for level in reversed(range(len(self.ups))):
            x = functional.interpolate(self.ups[level](x), scale_factor=2, mode="nearest")
            x = functional.silu(self.fuse_norms[level](self.fuses[level](torch.cat([x, skips[level]], dim=1))))
            x = self.decoders[level](x)
        x = functional.silu(self.out_norm(x))
        offset = functional.conv2d(x.float(), self.offset.weight.float(), self.offset.bias.float())
        return x, offset[:, 0]

    def decide(self, features: Tensor, points: Tensor, height: Tensor) -> Tensor:
        """features (N, 32) and points (N, 40) of each point, height (N,) above the corrected terrain -> logits."""
        return self.head(torch.cat([features, points, height_channels(height)], dim=1))


class Committee(nn.Module):
    """Networks that began with other weights and learn from other scenes. What one of them alone makes of a kind of
    place that the simulator does not know is in part luck; their mean is seldom worse than the better of them."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(PillarNet(classes) for _ in range(MEMBERS))

    def __iter__(self) -> Iterator[PillarNet]:
        return iter(self.members)


def height_channels(height: Tensor) -> Tensor:
    """Height above terrain, (N,) metres, at scales from grass to roofs -> (N, 6)."""
    return torch.stack(
        [
            torch.asinh(height),
            (height / 0.2).clamp(-2, 2),
            (height / 0.5).clamp(-2, 2),
            (height / 2.0).clamp(-2, 2),
            (height / 8.0).clamp(-2, 2),
            (height > 0).float(),
        ],
        dim=1,
    )


def sample_cells(grid: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Bilinear values of grid (B, C, H, W) at (B, N) fractional rows and columns, cell centres at .5 -> (B, N, C)."""
    if not grid.is_cpu:
        return _gather_cells(grid.float(), row, column)
    place = torch.stack([column * (2 / grid.shape[3]) - 1, row * (2 / grid.shape[2]) - 1], dim=-1)
    values = functional.grid_sample(grid.float(), place[:, None], padding_mode="border", align_corners=False)
    return values[:, :, 0].transpose(1, 2)


def _gather_cells(grid: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The same, slower, for a GPU, where the gradient of grid_sample depends on the order of additions."""
    size = torch.tensor(grid.shape[2:], device=grid.device)[:, None, None]
    at = torch.stack([row, column]) - 0.5
    at = torch.minimum(at.clamp(min=0), (size - 1).to(at.dtype))
    low = at.floor()
    share = at - low
    near = low.long()
    far = torch.minimum(near + 1, size - 1)
    image = torch.arange(len(grid), device=grid.device)[:, None]
    cells = grid.permute(0, 2, 3, 1)

    def along(rows: Tensor) -> Tensor:
        weight = share[1][..., None]
        return cells[image, rows, near[1]] * (1 - weight) + cells[image, rows, far[1]] * weight

    weight = share[0][..., None]
    return along(near[0]) * (1 - weight) + along(far[0]) * weight
