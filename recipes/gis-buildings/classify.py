"""A trained network on a height model of any size: windows that overlap, each of which sees enough ground around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from hive_runner.precision import autocast, fastest
from torch import Tensor

from . import features, images
from .model import STRIDE, HeightNet
from .place import CELL_M, F32

CORE = 1280  # cells across the part of a window that is kept
HALO = round(features.HALO_M / CELL_M)
Windowed = Callable[[int, int, int, int], F32]  # row, column, rows, columns -> what is seen, NaN outside


class Classifier:
    """For height models, and, with a network trained on them, for images of so many bands."""

    def __init__(self, tensors: Mapping[str, Tensor], threshold: float, threads: int = 1, image_bands: int = 0) -> None:
        torch.set_num_threads(threads)
        self.threshold = threshold
        self.image_bands = image_bands
        self.model = HeightNet(image_bands + images.MORE_CHANNELS if image_bands else features.CHANNELS)
        self.model.load_state_dict(dict(tensors))
        self.model.eval().to(memory_format=torch.channels_last)
        self.precision = fastest("cpu")

    @torch.inference_mode()
    def probability(self, seen: F32) -> F32:
        """(H, W) metres on cells of 0.5 m, NaN for holes, or (B, H, W) bands as `Image.read` gives them -> (H, W)
        probability that there is a building.
        """
        rows, columns = seen.shape[-2:]
        rim = ((0, -rows % STRIDE), (0, -columns % STRIDE))
        padded = np.pad(seen, ((0, 0), *rim) if self.image_bands else rim, mode="edge")
        channels = torch.from_numpy((images if self.image_bands else features).describe(padded))[None]
        with autocast(self.precision, "cpu"):
            logits = self.model(channels)
        found: F32 = torch.sigmoid(logits)[0, :rows, :columns].numpy()
        return found

    def strips(self, rows: int, columns: int, read: Windowed) -> Iterator[F32]:
        """The probabilities of a grid, CORE rows at a time. `read` gives what is seen, with what is around it."""
        for row in range(0, rows, CORE):
            height = min(CORE, rows - row)
            strip = np.zeros((height, columns), np.float32)
            for column in range(0, columns, CORE):
                width = min(CORE, columns - column)
                seen = read(row - HALO, column - HALO, height + 2 * HALO, width + 2 * HALO)
                if np.isfinite(seen[..., HALO:-HALO, HALO:-HALO]).any():
                    found = self.probability(seen)[HALO:-HALO, HALO:-HALO]
                    strip[:, column : column + width] = found
            yield strip
