"""Rounded shapes that neither furniture nor the grammar has: bodies grown together out of superquadrics.

Meshes that people bring are animals, heads and machine parts as well. These are none of them, but like them in that
parts blend into each other. A shape is grown from a body: each further part sits on an earlier one. Most are symmetric;
some have holes drilled through their body.
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

SHAPES = 600  # different ones
GRID = 48  # cells that a shape is drawn on
PARTS = (1, 8)  # besides the body
SYMMETRIC, DRILLED = 0.6, 0.25  # shares


@dataclass(frozen=True)
class Part:
    """A superquadric (Barr 1981): (sum |x_i / r_i|^e)^(1/e) = 1 in its own axes."""

    middle: F32  # (3,)
    axes: F32  # (3, 3), rows
    radii: F32  # (3,)
    exponent: float

    def depth(self, points: F32) -> F32:
        """(3, n) -> (n,): about how far inside of it, negative outside."""
        own = np.abs((self.axes / self.radii[:, None]) @ (points - self.middle[:, None]))
        e = np.float32(self.exponent)
        logarithms = e * np.log(np.maximum(own, 1e-6))  # a power of floats takes ten times as long
        size = np.exp(np.log(np.exp(logarithms).sum(0)) / e)
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
    holes = drilled(rng, parts[0])
    reach = np.stack(
        [part.middle + sign * np.abs(part.axes.T * part.radii).sum(1) for part in parts for sign in (-1, 1)]
    )
    low, high = reach.min(0), reach.max(0)
    middle, pitch = (low + high) / 2, float((high - low).max()) * 1.1 / GRID
    steps = (np.arange(GRID, dtype=np.float32) + 0.5 - GRID / 2) * pitch
    points = np.stack([axis.ravel() for axis in np.meshgrid(*(middle[:, None] + steps), indexing="ij")])
    depths = np.stack([part.depth(points) for part in parts])
    blend = np.float32(rng.uniform(0.01, 0.06))  # how softly parts join
    field = blend * np.log(np.exp(np.clip(depths / blend, -60, 60)).sum(0)).reshape((GRID,) * 3)
    bumps = ndimage.gaussian_filter(rng.normal(0, 1, field.shape).astype(np.float32), rng.uniform(2, 6))
    field += np.float32(rng.uniform(0, 0.02) / bumps.std()) * bumps
    for hole in holes:
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


def drilled(rng: np.random.Generator, body: Part) -> list[Part]:
    """What is cut out of some: one or two rods through the body."""
    if rng.random() >= DRILLED:
        return []
    holes = []
    for _ in range(int(rng.integers(1, 3))):
        thick = body.radii.min() * rng.uniform(0.2, 0.6)
        axes = _turn(rng) if rng.random() < 0.5 else np.roll(np.eye(3, dtype=np.float32), int(rng.integers(3)), 0)
        middle = (rng.uniform(-0.4, 0.4, 3) * body.radii).astype(np.float32)
        holes.append(Part(middle, axes, np.array([2, thick, thick], np.float32), 2.0))
    return holes


def _radii(rng: np.random.Generator, low: float, high: float) -> F32:
    return rng.uniform(low, high, 3).astype(np.float32)


def _exponent(rng: np.random.Generator) -> float:
    return float(rng.choice([2.0, 2.0, 2.0, 3.0, 6.0]))


def _turn(rng: np.random.Generator) -> F32:
    """Three random axes."""
    q, _ = np.linalg.qr(rng.normal(0, 1, (3, 3)))
    return np.asarray(q, np.float32)
