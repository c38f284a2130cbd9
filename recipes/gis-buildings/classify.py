"""A trained network on a height model of any size: windows that overlap, each of which sees enough ground around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .features import HALO_M, describe
from .model import STRIDE, HeightNet, autocast, has_bfloat16
from .place import CELL_M, F32

CORE = 1280  # cells across the part of a window that is kept
HALO = round(HALO_M / CELL_M)
Windowed = Callable[[int, int, int, int], F32]  # row, column, rows, columns -> heights, NaN outside


class Classifier:
    def __init__(self, tensors: Mapping[str, Tensor], config: Mapping[str, Any], threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self.threshold = float(config["threshold"])
        self.model = HeightNet()
        self.model.load_state_dict(dict(tensors))
        self.model.eval().to(memory_format=torch.channels_last)
        self.precision = "bfloat16" if has_bfloat16("cpu") else "float32"

    @torch.inference_mode()
    def probability(self, heights: F32) -> F32:
        """(H, W) metres on cells of 0.5 m, NaN for holes -> (H, W) probability that there is a building."""
        rows, columns = heights.shape
        padded = np.pad(heights, ((0, -rows % STRIDE), (0, -columns % STRIDE)), mode="edge")
        channels = torch.from_numpy(describe(padded))[None]
        with autocast(self.precision, "cpu"):
            logits = self.model(channels)
        found: F32 = torch.sigmoid(logits)[0, :rows, :columns].numpy()
        return found

    def windows(self, rows: int, columns: int, read: Windowed) -> Iterator[tuple[int, int, F32]]:
        """Row, column and probabilities of each part of a grid, from the first row on. `read` gives heights."""
        for row in range(0, rows, CORE):
            for column in range(0, columns, CORE):
                height, width = min(CORE, rows - row), min(CORE, columns - column)
                seen = read(row - HALO, column - HALO, height + 2 * HALO, width + 2 * HALO)
                if np.isfinite(seen).any():
                    found = self.probability(seen)[HALO : HALO + height, HALO : HALO + width]
                else:
                    found = np.zeros((height, width), np.float32)
                yield row, column, found
