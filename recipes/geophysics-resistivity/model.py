"""The network: a small U-Net that turns a linear look at the ground into a better one, and says how sure it is.

    inputs (B, 9, LAYERS, W) --U-Net--> correction of the linear answer and log spread, (B, LAYERS, W) each, decades

Any W: columns are padded by repetition to a multiple of 8. No statistic of a line enters but through what is in view.
"""

from __future__ import annotations

from itertools import pairwise

from hive_runner.layers import Block
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (32, 48, 64, 96)  # channels at 1, 2, 4, 8 cells
START = 1  # the channel of the inputs that the correction is added to
STRIDE = 8
LEAST_SPREAD = 0.02  # decades


def _block(channels: int) -> Block:
    return Block(channels, norm=nn.GroupNorm(4, channels))


class SectionNet(nn.Module):
    def __init__(self, channels: int, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.encoders = nn.ModuleList(_block(width) for width in widths)
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.bottom = _block(widths[-1])
        self.ups = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.decoders = nn.ModuleList(_block(fine) for fine, _ in pairs)
        self.out = nn.Conv2d(widths[0], 2, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.constant_(self.out.bias, 0.0)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """inputs: (B, channels, LAYERS, W) -> mean (B, LAYERS, W) and spread, decades about the inputs' level."""
        columns = inputs.shape[-1]
        x = functional.pad(inputs, (0, -columns % STRIDE, 0, 0), mode="replicate")
        x = self.stem(x)
        skips = []
        for encoder, down in zip(self.encoders, [*self.downs, None], strict=True):
            x = encoder(x)
            skips.append(x)
            if down is not None:
                x = down(functional.silu(x))
        x = self.bottom(x)
        for level in reversed(range(len(self.ups))):
            x = functional.interpolate(self.ups[level](x), scale_factor=2, mode="nearest") + skips[level]
            x = self.decoders[level](x)
        x = self.out(functional.silu(x))[..., :columns]
        return inputs[:, START] + x[:, 0], LEAST_SPREAD + functional.softplus(x[:, 1] - 1.5)
