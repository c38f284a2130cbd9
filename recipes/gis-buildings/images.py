"""Images from above, of three or four bands: what the network sees of them.

Brightness is put on a scale of the image's own, since cameras, seasons and processing differ more than roofs do.

    0..B-1   the bands, from their 2nd to their 98th percentile as -1..1
    B        brightness less that of 25 cells around
    B+1      excess green (Woebbecke et al. 1995): vegetation
    B+2      1 where there is an image
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from hive_runner.errors import InputError
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy import ndimage

from .place import CELL_M, F32
from .rasters import Grid

MORE_CHANNELS = 3
OVERVIEW = 1000  # cells across the overview that the scale is taken from


class Image:
    """Three or four bands on their own cells. Raises InputError."""

    def __init__(self, path: Path) -> None:
        try:
            self.file = rasterio.open(path)
        except rasterio.errors.RasterioError as error:
            raise InputError(f"{path.name} cannot be read", str(error), "an image of 3 or 4 bands is wanted") from error
        file = self.file
        self.warnings: list[str] = []
        self.bands = file.count
        if self.bands not in (3, 4):
            raise InputError(
                f"{path.name} has {self.bands} bands", "images of 3 or 4 are read: red, green, blue, near infrared"
            )
        unit = 1.0
        if file.crs is not None and file.crs.is_geographic:
            unit = 111_320.0 * math.cos(math.radians(file.transform.f))
        elif file.crs is not None:
            unit = float(file.crs.linear_units_factor[1])
        across = math.hypot(file.transform.a, file.transform.d) * unit
        down = math.hypot(file.transform.b, file.transform.e) * unit
        if file.transform == Affine.identity():
            self.warnings.append(f"the image does not say where it lies: its cells are taken for {CELL_M} m")
            across = down = CELL_M
        self.grid = Grid(file.height, file.width, file.transform, file.crs, (across, down))
        scale = min(1.0, OVERVIEW / max(file.height, file.width))
        small = file.read(out_shape=(self.bands, max(1, int(file.height * scale)), max(1, int(file.width * scale))))
        valid = np.any(small != 0, axis=0)
        values = small[:, valid] if valid.any() else small.reshape(self.bands, -1)
        self.low, self.high = np.percentile(values.astype(np.float32), [2, 98], axis=1).astype(np.float32)

    def read(self, row: int, column: int, rows: int, columns: int) -> F32:
        """(bands, rows, columns) of a window, -1..1 and a little more, NaN where there is no image."""
        found = np.full((self.bands, rows, columns), np.nan, np.float32)
        top, left = max(row, 0), max(column, 0)
        bottom, right = min(row + rows, self.grid.rows), min(column + columns, self.grid.columns)
        if bottom <= top or right <= left:
            return found
        raw = self.file.read(window=Window(left, top, right - left, bottom - top)).astype(np.float32)
        middle, half = (self.high + self.low) / 2, np.maximum(self.high - self.low, 1e-6) / 2
        scaled = np.clip((raw - middle[:, None, None]) / half[:, None, None], -2, 2)
        scaled[:, ~np.any(raw != 0, axis=0)] = np.nan  # black all through: beyond the picture
        found[:, top - row : bottom - row, left - column : right - column] = scaled
        return found

    def close(self) -> None:
        self.file.close()


def describe(bands: F32) -> F32:
    """(B, H, W) as `Image.read` gives them -> (B + 3, H, W)."""
    known = np.isfinite(bands).all(axis=0)
    whole = np.where(known, bands, 0).astype(np.float32)
    red, green, blue = whole[:3]
    brightness = whole[:3].mean(axis=0)
    local = brightness - ndimage.uniform_filter(brightness, 25)
    return np.concatenate([whole, local[None], (2 * green - red - blue)[None] / 2, known[None].astype(np.float32)])


def disturb(bands: NDArray[np.float32], rng: np.random.Generator) -> F32:
    """As another camera, hour or season might have seen it."""
    gain = np.exp(rng.normal(0, 0.15, (len(bands), 1, 1)))
    shift = rng.normal(0, 0.1, (len(bands), 1, 1)) + rng.normal(0, 0.15)
    return np.clip(bands * gain + shift, -2, 2).astype(np.float32)
