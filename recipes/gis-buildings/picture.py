"""Pictures of places: heights as shaded relief, outlines on top, written as PNG."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import rasterio
import rasterio.features
import shapely
from scipy import ndimage

from .place import CELL_M, F32
from .sensor import filled

FOUND = (220.0, 40.0, 30.0)  # red
TRUE = (30.0, 90.0, 230.0)  # blue


def relief(heights: F32) -> F32:
    """(H, W) metres on cells of 0.5 m -> (3, H, W), 0 to 255, with light from the upper left."""
    if min(heights.shape) < 2:
        return np.zeros((3, *heights.shape), np.float32)
    dy, dx = np.gradient(filled(heights), CELL_M)
    light = np.clip(140 * (1 - 0.5 * (dx + dy) / np.sqrt(1 + dx**2 + dy**2)), 0, 255)
    return np.repeat(light[None], 3, axis=0)


def enlarged(picture: F32, times: int) -> F32:
    return np.repeat(np.repeat(picture, times, axis=1), times, axis=2)


def draw(picture: F32, shapes: Iterable[shapely.Geometry], colour: tuple[float, float, float], width: int = 2) -> None:
    """Draw the outlines of shapes (x is the column, y the row) into a picture."""
    lines = [(shape.boundary, 1) for shape in shapes]
    if lines:
        on = rasterio.features.rasterize(lines, out_shape=picture.shape[1:], dtype="uint8") > 0
        picture[:, ndimage.binary_dilation(on, iterations=width - 1) if width > 1 else on] = np.array(colour)[:, None]


def write_png(path: Path, picture: F32) -> None:
    size = {"height": picture.shape[1], "width": picture.shape[2]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)  # it is a picture, not a map
        with rasterio.open(path, "w", driver="PNG", count=3, dtype="uint8", **size) as file:
            file.write(picture.astype(np.uint8))
    path.with_name(f"{path.name}.aux.xml").unlink(missing_ok=True)
