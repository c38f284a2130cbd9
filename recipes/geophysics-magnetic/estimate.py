"""Maps from a grid of any size: windows that overlap, each turned into the canonical direction, blended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .channels import FEWEST_VALUES, Seen, look
from .data import MOMENT_UNIT
from .direction import canonical
from .forward import Real
from .model import Answer, DepthNet
from .survey import WINDOW

STRIDE = WINDOW // 2
WINDOWS_AT_ONCE = 8
Z_90 = 1.2816  # standard deviations from the median to the 90 % quantile of a normal distribution


@dataclass(frozen=True)
class Maps:
    """Of each cell of the grid; lengths in cells, depths below the sensor."""

    probability: Real  # of a body below
    core: Real  # of its inner half
    top: Real  # median
    top_low: Real  # 10 %
    top_high: Real  # 90 %
    moment: Real  # susceptibility x thickness: SI x nT of main field x cells
    thickness: Real
    field: Real  # the field as taken: gaps filled, planes of the windows still in it


class Estimator:
    """A trained network with its calibration."""

    def __init__(self, tensors: Mapping[str, Tensor], config: Mapping[str, Any], threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self._net = DepthNet().eval()
        self._net.load_state_dict(dict(tensors))
        self._net = self._net.to(memory_format=torch.channels_last)
        self.config = config

    def maps(self, field: NDArray[np.floating], direction: NDArray[np.float64], progress: Any = None) -> Maps:
        """field: (rows to the north, columns to the east), NaN in gaps; direction: (3,) of the main field."""
        mirror, turned = canonical(direction)
        grid = mirror.apply(np.asarray(field, np.float32))
        rows, columns = grid.shape
        sums = np.zeros((9, max(rows, WINDOW), max(columns, WINDOW)), np.float64)
        places = list(_places(*sums.shape[1:]))
        padded = np.full(sums.shape[1:], np.nan, np.float32)
        padded[:rows, :columns] = grid
        for begin in range(0, len(places), WINDOWS_AT_ONCE):
            group = [place for place in places[begin : begin + WINDOWS_AT_ONCE]]
            group = [place for place in group if np.isfinite(padded[place]).sum() >= FEWEST_VALUES]
            if group:
                seen = [look(padded[place], turned) for place in group]
                answer = self._ask(seen, turned)
                for i, place in enumerate(group):
                    sums[(slice(None), *place)] += self._weighted(answer, seen[i], i)
            if progress:
                progress(min(begin + WINDOWS_AT_ONCE, len(places)), len(places))
        *values, weight = sums
        means = mirror.undo((np.stack(values) / np.maximum(weight, 1e-12)).astype(np.float32)[:, :rows, :columns])
        body, core, low, middle, high, moment, thickness, filled = means
        below, above = self.config.get("below", 1.0), self.config.get("above", 1.0)
        return Maps(
            1 / (1 + np.exp(-body)), 1 / (1 + np.exp(-core)), np.exp(middle),
            np.exp(middle - below * (middle - low)), np.exp(middle + above * (high - middle)),
            moment, np.exp(thickness), filled,
        )  # fmt: skip

    def _ask(self, seen: list[Seen], direction: NDArray[np.float64]) -> Answer:
        channels = torch.from_numpy(np.stack([each.channels for each in seen]))
        told = torch.from_numpy(np.tile(direction.astype(np.float32), (len(seen), 1)))
        with torch.inference_mode():
            return self._net(channels.contiguous(memory_format=torch.channels_last), told)

    @staticmethod
    def _weighted(answer: Answer, seen: Seen, i: int) -> NDArray[np.float64]:
        """(9, rows, columns): a window's part of the blend, the weight last."""
        parts = [getattr(answer, name)[i].numpy() for name in ("body", "core", "low", "middle", "high")]
        moment = np.sinh(answer.moment[i].numpy().clip(-9, 9)) * (seen.scale * MOMENT_UNIT)
        values = [*parts, moment, answer.thickness[i].numpy(), seen.filled * seen.scale + seen.plane]
        return np.stack([*values, np.ones_like(moment)]) * _WEIGHT


def _places(rows: int, columns: int) -> Iterator[tuple[slice, slice]]:
    for top in _starts(rows):
        for left in _starts(columns):
            yield slice(top, top + WINDOW), slice(left, left + WINDOW)


def _starts(length: int) -> list[int]:
    """Where windows begin, so that the last one ends with the grid."""
    count = -(-(length - WINDOW) // STRIDE) + 1
    return [round(i * (length - WINDOW) / max(count - 1, 1)) for i in range(count)]


_RAMP = np.minimum(np.arange(WINDOW) + 1, np.arange(WINDOW)[::-1] + 1) / (WINDOW / 2)
_WEIGHT = np.outer(_RAMP, _RAMP) ** 1.5 + 1e-6
