"""What a user would otherwise have: the outline inflated like a balloon, or the most similar known object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hive_recipe_shape_corpus.corpus import Item
from hive_recipe_shape_corpus.mesh import F32
from hive_recipe_shape_corpus.render import render
from numpy.typing import NDArray

from .data import ELEVATIONS_DEG, FOVS_DEG, chosen, generator, opened
from .decode import Field, outline
from .frustum import BINS, CELLS, NEAR, PITCH, Frustum, fitted
from .given import balloon

FOV_DEG = 30.0  # taken for granted by the balloon
STEEP = 20.0  # logits a half width
GALLERY_PX = 64
OUTLINE_CELLS, COLOUR_CELLS = 16, 8
COLOUR_WEIGHT = 0.7


def inflated(rgba: NDArray[np.uint8], bulge: float) -> Field:
    """As thick at each place as a balloon (`given.py`) times `bulge`.

    Front and back are mirror images; the mean front lies at depth 0, as that of every shape here does.
    """
    alpha = rgba[..., 3].astype(np.float32) / 255
    small = bulge * balloon(alpha).reshape(CELLS, 2, CELLS, 2).mean((1, 3))
    inside = small > 0
    middle = float(small[inside].mean()) if inside.any() else 0.0
    s = NEAR + (np.arange(BINS) + 0.5) * PITCH
    cells = (small[..., None] + PITCH / 4 - np.abs(s - middle)) * STEEP
    return Field(cells.astype(np.float32), outline(alpha), float(np.tan(np.radians(FOV_DEG) / 2)))


@dataclass(frozen=True)
class Entry:
    """A known object as seen by some camera."""

    item: Item
    frustum: Frustum
    likeness: F32  # (d,)


def entry(seed: int, folder: Path, index: int) -> Entry:
    """Entry `index` of the gallery: an object of the training split from a random side."""
    rng = generator(seed, index, 2)
    items = chosen(folder, "train", "furniture") + chosen(folder, "train", "grammar")
    item = items[index % len(items)]
    mesh = opened(folder).mesh(item)
    view = rng.uniform(-180, 180), rng.uniform(*ELEVATIONS_DEG), rng.uniform(*FOVS_DEG)
    camera = fitted(mesh.vertices, *view)
    picture = render(mesh, camera, GALLERY_PX, 1)
    seen = picture.depth[np.isfinite(picture.depth)]
    return Entry(item, Frustum(camera, float(seen.mean()) if len(seen) else camera.distance), likeness(picture.rgba))


def entries(seed: int, folder: Path, indices: range) -> list[Entry]:
    return [entry(seed, folder, index) for index in indices]


def likeness(rgba: NDArray[np.uint8]) -> F32:
    """Outline and colours, coarsely: what nearest neighbours are found by."""
    share = rgba.astype(np.float32) / 255
    share[..., :3] *= share[..., 3:]

    def coarse(values: F32, cells: int) -> F32:
        block = len(values) // cells
        return np.asarray(values.reshape(cells, block, cells, block, -1).mean((1, 3)).ravel() / cells, np.float32)

    return np.concatenate([coarse(share[..., 3], OUTLINE_CELLS), COLOUR_WEIGHT * coarse(share[..., :3], COLOUR_CELLS)])


def retrieved(gallery: list[Entry], rgba: NDArray[np.uint8]) -> Entry:
    wanted = likeness(rgba)
    return gallery[int(np.argmin([((each.likeness - wanted) ** 2).sum() for each in gallery]))]
