"""Rounded shapes that neither furniture nor the grammar has: bodies grown together out of superquadrics.

Meshes that people bring are animals, heads and machine parts as well. These are none of them, but like them in that
parts blend into each other. A shape is grown from a body: each further part sits on an earlier one. Most are symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from hive_recipe_shape_corpus.corpus import CELLS, Item
from hive_recipe_shape_corpus.mesh import F32, Mesh
from hive_recipe_shape_corpus.surface import extract
from numpy.typing import NDArray
from scipy import ndimage

SHAPES = 200  # different ones
GRID = 48  # cells that a shape is drawn on
PARTS = (1, 8)  # besides the body
SYMMETRIC = 0.6  # share


@dataclass(frozen=True)
class Part:
    """A superquadric (Barr 1981): (sum |x_i / r_i|^e)^(1/e) = 1 in its own axes."""

    middle: F32  # (3,)
    axes: F32  # (3, 3), rows
    radii: F32  # (3,)
    exponent: float

    def depth(self, points: F32) -> F32:
        """(n, 3) -> (n,): about how far inside of it, negative outside."""
        own = np.abs((points - self.middle) @ self.axes.T / self.radii)
        size = (own**self.exponent).sum(1) ** np.float32(1 / self.exponent)
        return np.asarray((1 - size) * self.radii.min(), np.float32)


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
    parts = grown(rng)
    reach = np.stack(
        [part.middle + sign * np.abs(part.axes.T * part.radii).sum(1) for part in parts for sign in (-1, 1)]
    )
    low, high = reach.min(0), reach.max(0)
    middle, pitch = (low + high) / 2, float((high - low).max()) * 1.1 / GRID
    steps = (np.arange(GRID, dtype=np.float32) + 0.5 - GRID / 2) * pitch
    points = np.stack([axis.ravel() for axis in np.meshgrid(*(middle[:, None] + steps), indexing="ij")], 1)
    depths = np.stack([part.depth(points.astype(np.float32)) for part in parts])
    blend = np.float32(rng.uniform(0.01, 0.06))  # how softly parts join
    field = blend * np.log(np.exp(np.clip(depths / blend, -60, 60)).sum(0)).reshape((GRID,) * 3)
    bumps = ndimage.gaussian_filter(rng.normal(0, 1, field.shape).astype(np.float32), rng.uniform(2, 6))
    field += np.float32(rng.uniform(0, 0.02) / bumps.std()) * bumps
    mesh = extract(field, 0.0)
    nearest = depths.argmax(0).reshape((GRID,) * 3)
    cell = np.clip(((mesh.vertices[mesh.faces].mean(1) + 0.5) * GRID).astype(int), 0, GRID - 1)
    paint = _paint(rng, len(parts))
    mesh = replace(mesh, colours=paint[nearest[tuple(cell.T)]])
    return Lump(mesh.normalised(), np.packbits(_solid(field, mesh)))


def _solid(field: F32, mesh: Mesh) -> NDArray[np.bool_]:
    """Where `field`, of which `mesh` is the surface, is above 0, on the cells of the normalised mesh's cube."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    step = float((high - low).max()) * GRID / CELLS  # of the field's cells, per cell of the solid
    offset = ((low + high) / 2 + 0.5) * GRID - 0.5 + (0.5 - CELLS / 2) * step
    outside = float(field.min())
    return np.asarray(ndimage.affine_transform(field, [step] * 3, offset, (CELLS,) * 3, order=1, cval=outside) > 0)


def _paint(rng: np.random.Generator, parts: int) -> NDArray[np.uint8]:
    """A colour of each part: one and the same, or each a little another, or each its own. (parts, 3)"""
    base = rng.uniform(30, 235, 3)
    spread = rng.choice([0.0, 25.0, 90.0])
    return np.clip(base + rng.normal(0, 1, (parts, 3)) * spread, 10, 250).astype(np.uint8)


def grown(rng: np.random.Generator) -> list[Part]:
    """A body and what sits on it, in no particular unit."""
    symmetric = rng.random() < SYMMETRIC
    body = Part(np.zeros(3, np.float32), np.eye(3, dtype=np.float32), _radii(rng, 0.2, 0.5), _exponent(rng))
    parts = [body]
    for _ in range(int(rng.integers(*PARTS, endpoint=True))):
        on = parts[int(rng.integers(len(parts)))]
        axes = _turn(rng)
        along = axes[0] if (axes[0] @ on.middle) >= 0 else -axes[0]
        foot = on.middle + along * on.radii.min() * rng.uniform(0.6, 1.2)
        length, thick = rng.uniform(0.08, 0.5), rng.uniform(0.05, 0.2)
        radii = np.array([max(length, thick), thick, thick * rng.uniform(0.5, 1)], np.float32)
        part = Part((foot + along * radii[0] * 0.7).astype(np.float32), axes, radii, _exponent(rng))
        parts.append(part)
        if symmetric:
            flip = np.array([-1, 1, 1], np.float32)
            parts.append(replace(part, middle=part.middle * flip, axes=part.axes * flip))
    return parts


def _radii(rng: np.random.Generator, low: float, high: float) -> F32:
    return rng.uniform(low, high, 3).astype(np.float32)


def _exponent(rng: np.random.Generator) -> float:
    return float(rng.choice([2.0, 2.0, 2.0, 3.0, 6.0]))


def _turn(rng: np.random.Generator) -> F32:
    """Three random axes."""
    q, _ = np.linalg.qr(rng.normal(0, 1, (3, 3)))
    return np.asarray(q, np.float32)
