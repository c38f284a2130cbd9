"""Maps from a grid of any size: windows that overlap, each turned into the canonical direction, blended.

A window of 64 cells sees bodies down to about 20 cells, and of a deep one near its rim too little to tell its depth.
Large grids are therefore looked at in coarser cells too, and what is deep is taken from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from .channels import FEWEST_VALUES, Seen, look
from .data import MOMENT_UNIT
from .direction import canonical
from .forward import Real
from .model import Answer, DepthNet
from .survey import WINDOW

STRIDE = WINDOW // 2
WINDOWS_AT_ONCE = 8
NOTHING_LOGIT = -20.0
COARSEST = 48  # rows and columns that a grid in cells of twice the size must have, to be looked at
DEEP = (5.0, 8.0)  # cells: above the first, depths are those of the fine grid; below the second, of the coarse one


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
        fine = self._at_one_scale(field, direction, progress)
        if min(field.shape) < 2 * COARSEST:
            return fine
        return _merged(fine, _refined(self.maps(_halved(field), direction), field.shape))

    def _at_one_scale(self, field: NDArray[np.floating], direction: NDArray[np.float64], progress: Any) -> Maps:
        mirror, turned = canonical(direction)
        grid = mirror.apply(np.asarray(field, np.float32))
        rows, columns = grid.shape
        sums = np.zeros((8, max(rows, WINDOW), max(columns, WINDOW)), np.float64)
        places = list(_places(*sums.shape[1:]))
        padded = np.full(sums.shape[1:], np.nan, np.float32)
        padded[:rows, :columns] = grid
        for begin in range(0, len(places), WINDOWS_AT_ONCE):
            group = places[begin : begin + WINDOWS_AT_ONCE]
            group = [place for place in group if np.isfinite(padded[place]).sum() >= FEWEST_VALUES]
            if group:
                seen = [look(padded[place], turned) for place in group]
                answer = self._ask(seen, turned)
                for i, place in enumerate(group):
                    sums[(slice(None), *place)] += self._weighted(answer, seen[i], i)
            if progress:
                progress(min(begin + WINDOWS_AT_ONCE, len(places)), len(places))
        *values, weight = sums
        values[0] = np.where(weight > 0, values[0], NOTHING_LOGIT * 1e-12)  # where there was too little to look at
        means = mirror.undo((np.stack(values) / np.maximum(weight, 1e-12)).astype(np.float32)[:, :rows, :columns])
        body, core, low, middle, high, moment, thickness = means
        below, above = self.config.get("below", 1.0), self.config.get("above", 1.0)
        return Maps(
            1 / (1 + np.exp(-body)), 1 / (1 + np.exp(-core)), np.exp(middle),
            np.exp(middle - below * (middle - low)), np.exp(middle + above * (high - middle)),
            moment, np.exp(thickness),
        )  # fmt: skip

    def _ask(self, seen: list[Seen], direction: NDArray[np.float64]) -> Answer:
        channels = torch.from_numpy(np.stack([each.channels for each in seen]))
        told = torch.from_numpy(np.tile(direction.astype(np.float32), (len(seen), 1)))
        with torch.inference_mode():
            return self._net(channels.contiguous(memory_format=torch.channels_last), told)

    @staticmethod
    def _weighted(answer: Answer, seen: Seen, i: int) -> NDArray[np.float64]:
        """(8, rows, columns): a window's part of the blend, the weight last."""
        parts = [getattr(answer, name)[i].numpy() for name in ("body", "core", "low", "middle", "high")]
        moment = np.sinh(answer.moment[i].numpy().clip(-9, 9)) * (seen.scale * MOMENT_UNIT)
        values = [*parts, moment, answer.thickness[i].numpy()]
        return np.stack([*values, np.ones_like(moment)]) * _WEIGHT


def _halved(field: NDArray[np.floating]) -> NDArray[np.float32]:
    """In cells of twice the size: the mean of up to 4 values, a gap where there is none."""
    rows, columns = (-(-n // 2) for n in field.shape)
    even = np.full((2 * rows, 2 * columns), np.nan, np.float32)
    even[: field.shape[0], : field.shape[1]] = field
    blocks = even.reshape(rows, 2, columns, 2)
    known = np.isfinite(blocks)
    count = known.sum((1, 3))
    total = np.where(known, blocks, 0).sum((1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _refined(coarse: Maps, shape: tuple[int, ...]) -> Maps:
    """Maps of cells of twice the size as maps of (rows, columns), lengths in their cells."""
    rows, columns = ((np.arange(n) - 0.5) / 2 for n in shape)
    places = np.meshgrid(rows, columns, indexing="ij")
    lengths = ("top", "top_low", "top_high", "moment", "thickness")
    grids = {
        name: ndimage.map_coordinates(getattr(coarse, name), places, order=1, mode="nearest")
        for name in Maps.__dataclass_fields__
    }
    return Maps(**{name: grid * np.float32(2 if name in lengths else 1) for name, grid in grids.items()})


def _merged(fine: Maps, coarse: Maps) -> Maps:
    """The coarse maps where they say that a body is deep and the fine ones do not say that it is shallow."""
    deep = np.clip(2 * coarse.probability, 0, 1) * _below(coarse.top)
    shallow = np.clip(2 * fine.probability * (1 - _below(fine.top)), 0, 1)
    share = (deep * (1 - shallow)).astype(np.float32)

    def blend(name: str) -> Real:
        return (1 - share) * getattr(fine, name) + share * getattr(coarse, name)

    return Maps(**{name: blend(name) for name in Maps.__dataclass_fields__})


def _below(depth: Real) -> Real:
    """0 to 1 as a depth goes from one end of DEEP to the other."""
    first, last = np.log(DEEP)
    return np.clip((np.log(depth) - first) / (last - first), 0, 1)


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
