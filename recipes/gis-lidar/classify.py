"""Classify one block of points with a trained network: what prediction does tile by tile, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from hive_runner.precision import autocast, fastest
from numpy.typing import NDArray

from .features import Description, describe, kernel
from .model import Committee, PillarNet

CHUNK = 65536  # points the head takes at once: its activations stay in the cache
LOW_VEGETATION_M = 0.5  # ASPRS 3 below, 4 up to
HIGH_VEGETATION_M = 2.0  # this, 5 above


@kernel
def _gather_cells(grid: Any, row: Any, column: Any) -> Any:
    """Bilinear values of grid (H, W, C) at N fractional positions, cell centres at .5 -> (N, C) float32."""
    rows, columns, channels = grid.shape
    out = np.empty((row.shape[0], channels), np.float32)
    for i in range(row.shape[0]):
        r = min(max(row[i] - np.float32(0.5), np.float32(0)), np.float32(rows - 1))
        c = min(max(column[i] - np.float32(0.5), np.float32(0)), np.float32(columns - 1))
        r0, c0 = int(r), int(c)
        r1, c1 = min(r0 + 1, rows - 1), min(c0 + 1, columns - 1)
        fr, fc = r - np.float32(r0), c - np.float32(c0)
        one = np.float32(1)
        a, b, d, e = (one - fr) * (one - fc), (one - fr) * fc, fr * (one - fc), fr * fc
        for k in range(channels):
            out[i, k] = grid[r0, c0, k] * a + grid[r0, c1, k] * b + grid[r1, c0, k] * d + grid[r1, c1, k] * e
    return out


class Classifier:
    """Trained networks and their settings, ready for blocks."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any], threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self.codes = np.array(config["classes"], np.uint8)
        self.favour = np.exp(np.array(config.get("favour", [0.0] * len(self.codes)), np.float32))
        self.model = Committee(len(self.codes))
        self.model.load_state_dict(dict(tensors))
        self.model.eval().to(memory_format=torch.channels_last)
        self.precision = fastest("cpu")

    def classify(
        self,
        xyz: NDArray[np.float64],
        return_number: NDArray[np.uint8],
        number_of_returns: NDArray[np.uint8],
        core: NDArray[np.bool_],
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """ASPRS classes and confidence of a block with its halo.

        xyz: (N, 3) metres; core: (N,) where answers are wanted (elsewhere 0).
        Confidence is the probability of the class.
        """
        classes = np.zeros(len(xyz), np.uint8)
        confidence = np.zeros(len(xyz), np.float32)
        wanted = np.flatnonzero(core)
        if not len(wanted):
            return classes, confidence
        best, height, confidence[wanted] = self.decide(xyz, return_number, number_of_returns, wanted)
        code = self.codes[best]
        vegetation = code == 5
        code[vegetation & (height < HIGH_VEGETATION_M)] = 4
        code[vegetation & (height < LOW_VEGETATION_M)] = 3
        classes[wanted] = code
        return classes, confidence

    def decide(
        self,
        xyz: NDArray[np.float64],
        return_number: NDArray[np.uint8],
        number_of_returns: NDArray[np.uint8],
        wanted: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
        """(M,) index of the class, height above the predicted terrain and confidence of the wanted points.

        The class is the most probable one, where what is favoured counts more than its probability: see choose.py.
        """
        probability, height = self.probabilities(xyz, return_number, number_of_returns, wanted)
        best = (probability * self.favour).argmax(axis=1)
        return best, height, probability[np.arange(len(best)), best]

    @torch.inference_mode()
    def probabilities(
        self,
        xyz: NDArray[np.float64],
        return_number: NDArray[np.uint8],
        number_of_returns: NDArray[np.uint8],
        wanted: NDArray[np.int64],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(M, classes) probabilities and (M,) height above the predicted terrain of the wanted points."""
        block = describe(xyz, return_number, number_of_returns, wanted)
        answers = [self._ask(net, block) for net in self.model]
        probability, height = (np.mean(each, axis=0) for each in zip(*answers, strict=True))
        return probability, height

    def _ask(self, net: PillarNet, block: Description) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same of one network, for a block as it is described."""
        with autocast(self.precision, "cpu"):
            features, offset = net.look(torch.from_numpy(block.grid)[None])
        cells = torch.cat([features.float(), offset[:, None]], dim=1)[0].permute(1, 2, 0).contiguous().numpy()
        height = np.empty(len(block.row), np.float32)
        probability = np.empty((len(height), len(self.codes)), np.float32)
        for start in range(0, len(height), CHUNK):
            part = slice(start, start + CHUNK)
            here = torch.from_numpy(_gather_cells(cells, block.row[part], block.column[part]))
            above = torch.from_numpy(block.height[part]) - here[:, -1]
            with autocast(self.precision, "cpu"):
                logits = net.decide(here[:, :-1], torch.from_numpy(block.points[part]), above)
            probability[part] = torch.softmax(logits.float(), dim=1).numpy()
            height[part] = above.numpy()
        return probability, height
