"""Shapes that neither furniture nor the grammar has: bodies whose parts blend into each other, as meshes and solids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from hive_recipe_shape_corpus.corpus import CELLS, Item
from hive_recipe_shape_corpus.mesh import F32, Mesh
from hive_recipe_shape_corpus.surface import extract
from numpy.typing import NDArray
from scipy import ndimage

from .bodies import body

SHAPES = 1200  # different ones
GRID = 48  # cells that a shape is drawn on


@dataclass(frozen=True)
class Lump:
    """What a corpus holds of an item."""

    own_mesh: Mesh
    bits: NDArray[np.uint8]  # of the solid

    def mesh(self, item: Item) -> Mesh:
        return self.own_mesh

    def solid(self, item: Item) -> NDArray[np.bool_]:
        return np.unpackbits(self.bits).astype(bool).reshape(CELLS, CELLS, CELLS)


@lru_cache(maxsize=SHAPES)
def lump(number: int) -> Lump:
    """Always the same one under a number."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([number, 3])))
    drawn = body(rng)
    parts = drawn.parts
    reach = np.stack(
        [part.middle + sign * np.abs(part.axes.T * part.radii).sum(1) for part in parts for sign in (-1, 1)]
    )
    low, high = reach.min(0), reach.max(0)
    middle, pitch = (low + high) / 2, float((high - low).max()) * 1.1 / GRID
    steps = (np.arange(GRID, dtype=np.float32) + 0.5 - GRID / 2) * pitch
    points = np.stack([axis.ravel() for axis in np.meshgrid(*(middle[:, None] + steps), indexing="ij")])
    depths = np.stack([part.depth(points) for part in parts])
    blend = np.float32(drawn.blend)
    field = blend * np.log(np.exp(np.clip(depths / blend, -60, 60)).sum(0)).reshape((GRID,) * 3)
    bumps = ndimage.gaussian_filter(rng.normal(0, 1, field.shape).astype(np.float32), rng.uniform(2, 6))
    field += np.float32(drawn.bumps / bumps.std()) * bumps
    for hole in drawn.holes:
        field = np.minimum(field, -hole.depth(points).reshape(field.shape))
    mesh = extract(field, 0.0)
    nearest = depths.argmax(0).reshape((GRID,) * 3)
    cell = np.clip(((mesh.vertices[mesh.faces].mean(1) + 0.5) * GRID).astype(int), 0, GRID - 1)
    paint = _paint(rng, len(parts))
    mesh = replace(mesh, colours=paint[nearest[tuple(cell.T)]])
    return Lump(mesh.normalised(), np.packbits(_solid(field, mesh)))


def _solid(field: F32, mesh: Mesh) -> NDArray[np.bool_]:
    """Where `field`, of which `mesh` is the surface, is above 0, on the cells of the normalised mesh's cube."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    middle = (np.arange(CELLS) + 0.5) / CELLS - 0.5
    at = (((low + high) / 2)[:, None] + middle * float((high - low).max()) + 0.5) * GRID - 0.5  # (3, CELLS)
    x, y, z = (_between(each) for each in at)
    return np.asarray(np.einsum("ai,bj,ck,ijk->abc", x, y, z, field, optimize=True) > 0)


def _between(at: NDArray[np.floating]) -> F32:
    """(n,) places on a line of GRID values -> (n, GRID): the matrix that interpolates there; at the ends they last."""
    tents = 1 - np.abs(np.clip(at, 0, GRID - 1)[:, None] - np.arange(GRID))
    return np.maximum(tents, 0).astype(np.float32)


def _paint(rng: np.random.Generator, parts: int) -> NDArray[np.uint8]:
    """A colour of each part: one and the same, or each a little another, or each its own. (parts, 3)"""
    base = rng.uniform(30, 235, 3)
    spread = rng.choice([0.0, 25.0, 90.0], p=(0.5, 0.3, 0.2))
    return np.clip(base + rng.normal(0, 1, (parts, 3)) * spread, 10, 250).astype(np.uint8)
