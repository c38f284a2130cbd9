"""What the network sees of a height model: nothing of where it is, or how high above the sea.

0..2   height above the ground as three openings find it, 12, 36 and 84 m wide (Zhang et al. 2003)
3      height above the lowest within 3 m
4, 5   slope, its two directions mixed so that no direction is special
6      curvature
7      roughness: what a 3 x 3 mean does not explain
8      1 where there is a height
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .place import CELL_M, F32
from .sensor import filled

CHANNELS = 9
OPENINGS_M = (12.0, 36.0, 84.0)
HALO_M = 96.0  # so far from the rim of a window what is beyond it counts: for the widest opening, and the network
COARSE = 4  # cells of 2 m find the ground


def describe(heights: F32) -> F32:
    """heights: (H, W) metres on cells of 0.5 m, NaN for holes; H and W multiples of 4 -> (CHANNELS, H, W)."""
    known = np.isfinite(heights)
    whole = filled(heights)
    channels = np.empty((CHANNELS, *heights.shape), np.float32)
    rows, columns = heights.shape
    coarse = whole.reshape(rows // COARSE, COARSE, columns // COARSE, COARSE).min((1, 3))
    for number, width_m in enumerate(OPENINGS_M):
        channels[number] = squash(whole - opened(coarse, width_m, whole.shape))
    channels[3] = squash(whole - ndimage.minimum_filter(whole, 13))
    dy, dx = np.gradient(whole, np.float32(CELL_M))
    channels[4] = np.tanh(np.hypot(dx, dy) * np.float32(0.5))
    channels[5] = np.tanh(ndimage.uniform_filter(np.hypot(dx, dy), 9) * np.float32(0.5))
    channels[6] = np.tanh(ndimage.laplace(whole))
    mean = ndimage.uniform_filter(whole, 3)
    square = ndimage.uniform_filter((whole - mean) ** 2, 5)
    channels[7] = np.log(square + np.float32(1e-4)) * np.float32(0.25) + np.float32(1.0)
    channels[8] = known
    return channels


def opened(coarse: F32, width_m: float, shape: tuple[int, int]) -> F32:
    """The ground below a height model: its opening with a square of `width_m`, smoothed, on cells of 0.5 m.

    coarse: the lowest of each 4 x 4 cells.
    """
    width = max(3, round(width_m / (COARSE * CELL_M)) | 1)
    ground = ndimage.uniform_filter(ndimage.grey_opening(coarse, (width, width)), 3)
    return ndimage.zoom(ground, COARSE, order=1, mode="nearest", grid_mode=True, output=np.float32)[
        : shape[0], : shape[1]
    ]


def squash(height: F32) -> F32:
    """Metres to about -1..2, finer near the ground."""
    return np.arcsinh(np.clip(height, -20, 60)) * np.float32(0.5)
