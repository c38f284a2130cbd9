"""Solids with an exact inside and triangles of the same shape: what the grammar's objects are put together from.

A primitive is given in a local frame, where it fills about [-1, 1] along each axis, and placed by
world = turn @ (half * local) + centre. Lengths are metres until the object is normalised.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .mesh import Mesh

F64 = NDArray[np.float64]
Vector = tuple[float, float, float]
Profile = tuple[tuple[float, float], ...]  # closed, (radius, z), counter-clockwise with the radius to the right

SIDES = 28  # of what is round
ALONG = 14  # rings of a blob


class Form(Protocol):
    """A solid in its local frame."""

    def inside(self, local: F64) -> NDArray[np.bool_]:
        """local: (..., 3) -> (...)."""

    def surface(self) -> tuple[F64, NDArray[np.int64]]:
        """Vertices (n, 3) and triangles (m, 3), counter-clockwise from outside; closed."""


@dataclass(frozen=True)
class Block:
    """A box whose upper side is `taper` times as wide and deep as its lower side and moved by `shear`."""

    taper: tuple[float, float] = (1.0, 1.0)
    shear: tuple[float, float] = (0.0, 0.0)

    def inside(self, local: F64) -> NDArray[np.bool_]:
        up = (local[..., 2] + 1) / 2
        kept = np.abs(local[..., 2]) <= 1
        for axis in range(2):
            reach = 1 + (self.taper[axis] - 1) * up
            kept &= np.abs(local[..., axis] - self.shear[axis] * up) <= reach
        return kept

    def surface(self) -> tuple[F64, NDArray[np.int64]]:
        corners = np.array([(x, y, z) for z in (-1.0, 1.0) for y in (-1.0, 1.0) for x in (-1.0, 1.0)])
        up = (corners[:, 2] + 1) / 2
        for axis in range(2):
            corners[:, axis] = corners[:, axis] * (1 + (self.taper[axis] - 1) * up) + self.shear[axis] * up
        quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
        return corners, np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])


@dataclass(frozen=True)
class Blob:
    """|x|^p + |y|^p + |z|^p <= 1: a ball for power 2, a cushion for 4, nearly a box for 10 (Barr 1981)."""

    power: float = 2.0

    def inside(self, local: F64) -> NDArray[np.bool_]:
        kept: NDArray[np.bool_] = (np.abs(local) ** self.power).sum(-1) <= 1
        return kept

    def surface(self) -> tuple[F64, NDArray[np.int64]]:
        up = np.linspace(-np.pi / 2, np.pi / 2, ALONG + 1)
        around = 2 * np.pi * np.arange(SIDES) / SIDES
        rays = np.stack(
            [
                np.outer(np.cos(up), np.cos(around)),
                np.outer(np.cos(up), np.sin(around)),
                np.outer(np.sin(up), np.ones(SIDES)),
            ],
            -1,
        )
        rays = np.sign(rays) * np.abs(rays) ** (2 / self.power)  # more of the mesh where the shape turns
        rays /= ((np.abs(rays) ** self.power).sum(-1) ** (1 / self.power))[..., None]
        return rays.reshape(-1, 3), _wrapped(ALONG, SIDES)


@dataclass(frozen=True)
class Lathe:
    """A closed profile turned about z, with `sides` flat sides (3: a triangle, SIDES: as good as round)."""

    profile: Profile
    sides: int = SIDES

    def inside(self, local: F64) -> NDArray[np.bool_]:
        x, y, z = np.moveaxis(local, -1, 0)
        step = 2 * np.pi / self.sides
        radius = np.hypot(x, y) * np.cos(np.mod(np.arctan2(y, x), step) - step / 2) / np.cos(step / 2)
        kept = np.zeros(radius.shape, bool)
        for (r0, z0), (r1, z1) in zip(self.profile, (*self.profile[1:], self.profile[0]), strict=True):
            if z0 != z1:  # even-odd rule along the radius
                crosses = (z0 > z) != (z1 > z)
                kept ^= crosses & (radius < r0 + (z - z0) * (r1 - r0) / (z1 - z0))
        return kept

    def surface(self) -> tuple[F64, NDArray[np.int64]]:
        points = np.array(self.profile)
        around = 2 * np.pi * np.arange(self.sides) / self.sides
        rings = np.stack(
            [
                np.outer(points[:, 0], np.cos(around)),
                np.outer(points[:, 0], np.sin(around)),
                np.repeat(points[:, 1:], self.sides, 1),
            ],
            -1,
        )
        rings = np.concatenate([rings, rings[:1]])
        return rings.reshape(-1, 3), _wrapped(len(points), self.sides)


@dataclass(frozen=True)
class Part:
    """A form, placed and coloured."""

    form: Form
    centre: Vector
    half: Vector
    colour: tuple[int, int, int]
    turn: F64 | None = None  # (3, 3), a rotation

    def mesh(self) -> Mesh:
        local, triangles = self.form.surface()
        # what has shrunk to a point or a line leaves no triangles behind
        a, b, c = (local[triangles[:, k]] for k in range(3))
        triangles = triangles[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-9]
        placed = local * self.half
        if self.turn is not None:
            placed = placed @ self.turn.T
        colours = np.tile(np.array(self.colour, np.uint8), (len(triangles), 1))
        return Mesh((placed + self.centre).astype(np.float32), triangles.astype(np.int32), colours)

    def thickened(self, least: float) -> Part:
        """The same with no flat side thinner than `least` metres. Radii of lathes are left alone."""
        first, last = (0 if not isinstance(self.form, Lathe) else 2), 3
        half = tuple(max(h, least / 2) if first <= axis < last else h for axis, h in enumerate(self.half))
        return replace(self, half=half)

    def inside(self, points: F64) -> NDArray[np.bool_]:
        local = points - self.centre
        if self.turn is not None:
            local = local @ self.turn
        return self.form.inside(local / self.half)


def box(centre: Vector, size: Vector, colour: tuple[int, int, int], **shape: tuple[float, float]) -> Part:
    """Of `size` (full lengths); taper and shear as Block has them."""
    return Part(Block(**shape), centre, _halved(size), colour)


def blob(centre: Vector, size: Vector, colour: tuple[int, int, int], power: float = 2.0) -> Part:
    return Part(Blob(power), centre, _halved(size), colour)


def turned(
    bottom: Vector, height: float, profile: Profile, colour: tuple[int, int, int], sides: int = SIDES,
    stretch: tuple[float, float] = (1.0, 1.0),
) -> Part:  # fmt: skip
    """A lathe form on `bottom`. profile: (radius in metres, height from 0 to 1)."""
    form = Lathe(tuple((radius, 2 * up - 1) for radius, up in profile), sides)
    x, y, z = bottom
    return Part(form, (x, y, z + height / 2), (*stretch, height / 2), colour)


def column(
    bottom: Vector, height: float, radius: float, colour: tuple[int, int, int], top: float | None = None,
    sides: int = SIDES, stretch: tuple[float, float] = (1.0, 1.0),
) -> Part:  # fmt: skip
    """An upright cylinder; a cone where `top`, its upper radius, is another."""
    upper = radius if top is None else top
    return turned(bottom, height, ((0, 0), (radius, 0), (upper, 1), (0, 1)), colour, sides, stretch)


def limb(start: Vector, end: Vector, radius: float, colour: tuple[int, int, int], top: float | None = None,
         sides: int = SIDES) -> Part:  # fmt: skip
    """A cylinder or cone from `start` to `end`; square where sides = 4."""
    a, b = np.array(start, float), np.array(end, float)
    along = b - a
    length = float(np.linalg.norm(along))
    upper = radius if top is None else top
    form = Lathe(((0, -1), (radius, -1), (upper, 1), (0, 1)), sides)
    return Part(form, tuple((a + b) / 2), (1, 1, length / 2), colour, _turn_to(along / length, sides))


def ring(
    centre: Vector, radius: float, thickness: float, colour: tuple[int, int, int], turn: F64 | None = None
) -> Part:
    """A torus about z, or about where `turn` takes z."""
    angles = 2 * np.pi * np.arange(12) / 12
    profile = tuple((float(radius + thickness * np.cos(t)), float(thickness * np.sin(t))) for t in angles)
    return Part(Lathe(profile), centre, (1, 1, 1), colour, turn)


def turn_about(axis: str, degrees: float) -> F64:
    """Rotation matrix, right-handed about x, y or z."""
    a, b = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    angle = np.radians(degrees)
    matrix[a, a] = matrix[b, b] = np.cos(angle)
    matrix[b, a], matrix[a, b] = np.sin(angle), -np.sin(angle)
    return matrix


def fill(parts: list[Part], mesh: Mesh, cells: int) -> NDArray[np.bool_]:
    """Which cells of the cube [-.5, .5]^3 are in any of the parts, once `mesh`, all of them joined, is normalised."""
    low, high = (mesh.vertices.min(0).astype(float), mesh.vertices.max(0).astype(float))
    scale, middle = float((high - low).max()), (low + high) / 2
    at = ((np.arange(cells) + 0.5) / cells - 0.5) * scale
    solid = np.zeros((cells, cells, cells), bool)
    for part in parts:
        vertices = part.mesh().vertices
        first = np.searchsorted(at, vertices.min(0) - middle - 1e-6)
        last = np.searchsorted(at, vertices.max(0) - middle + 1e-6)
        window = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        points = np.stack(np.meshgrid(*(at[w] + m for w, m in zip(window, middle, strict=True)), indexing="ij"), -1)
        if points.size:
            solid[window] |= part.inside(points)
    return solid


def _halved(size: Vector) -> Vector:
    x, y, z = size
    return (x / 2, y / 2, z / 2)


def _wrapped(rows: int, sides: int) -> NDArray[np.int64]:
    """Triangles of a grid of rows + 1 rings of `sides` vertices, going up and around."""
    row, side = np.mgrid[:rows, :sides]
    a, b = row * sides + side, row * sides + (side + 1) % sides
    c, d = a + sides, b + sides
    return np.concatenate([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])


def _turn_to(direction: F64, sides: int) -> F64:
    """A rotation that takes z to `direction`, and the flat sides of a square to the front."""
    helper = np.array([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    x = np.cross(helper, direction)
    x /= np.linalg.norm(x)
    matrix = np.stack([x, np.cross(direction, x), direction], 1)
    return matrix @ turn_about("z", 45) if sides == 4 else matrix
