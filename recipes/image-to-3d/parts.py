"""What bodies are made of: rounded and edged solids in any place and direction. z is up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from hive_recipe_shape_corpus.mesh import F32
from numpy.typing import NDArray

AXES = np.eye(3, dtype=np.float32)

Point = NDArray[np.floating]


@dataclass(frozen=True)
class Part:
    """A superquadric (Barr 1981): ((|y|^a + |z|^a)^(e / a) + |x|^e)^(1 / e) = 1 in its own axes, over its radii."""

    middle: F32  # (3,)
    axes: F32  # (3, 3), rows
    radii: F32  # (3,)
    exponent: float = 2.0  # e: with 2 its ends are round, with more they are flat
    across: float = 2.0  # a: with 2 it is round about its first axis, with more it has edges along it

    def depth(self, points: F32) -> F32:
        """(3, n) -> (n,): about how far inside of it, negative outside."""
        own = np.abs((self.axes / self.radii[:, None]) @ (points - self.middle[:, None]))
        a, e = np.float32(self.across), np.float32(self.exponent)
        x, y, z = np.log(np.maximum(own, 1e-4))  # a power of floats takes ten times as long
        across = np.log(np.exp(a * y) + np.exp(a * z)) / a
        size = np.exp(np.log(np.exp(e * across) + np.exp(e * x)) / e)
        return np.asarray((1 - size) * self.radii.min(), np.float32)

    def flipped(self, axis: int) -> Part:
        """On the other side of the plane through 0 that `axis` is upright on."""
        sign = np.ones(3, np.float32)
        sign[axis] = -1
        return replace(self, middle=self.middle * sign, axes=self.axes * sign)

    def turned(self, angle_deg: float, axis: int) -> Part:
        """About `axis` through 0."""
        c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
        plane = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
        turn = np.roll(plane, (axis + 1) % 3, (0, 1))
        return replace(self, middle=turn @ self.middle, axes=self.axes @ turn.T)


def ball(rng: np.random.Generator, middle: Point, axes: F32, radii: Point) -> Part:
    """Most often an ellipsoid, sometimes more of a block."""
    exponent = float(rng.choice([2.0, 2.0, 2.0, 3.0, 6.0]))
    return Part(middle.astype(np.float32), axes, radii.astype(np.float32), exponent, exponent)


def egg(middle: Point, radii: Sequence[float]) -> Part:
    """An ellipsoid, upright."""
    return Part(np.asarray(middle, np.float32), AXES, np.asarray(radii, np.float32))


def block(rng: np.random.Generator, middle: Point, half: Point) -> Part:
    """A block, a cylinder, a ball or a thing between them, that reaches `half` to each side along x, y and z."""
    axis = int(rng.integers(3))
    axes, radii = np.roll(AXES, axis, 1), np.roll(half, -axis)
    across = float(rng.choice([2.0, 2.0, 8.0]))
    if across == 2 and rng.random() < 0.8:
        radii[1:] = radii[1:].mean()
    ends = float(rng.choice([2.0, 8.0, 8.0, 8.0]))
    return Part(middle.astype(np.float32), axes, radii.astype(np.float32), ends, across)


def bore(rng: np.random.Generator, through: Part, axes: F32, off: float) -> Part:
    """To be cut out of a part. off: how far from its middle at most, radii."""
    thick = through.radii.min() * rng.uniform(0.2, 0.6)
    middle = through.middle + through.axes.T @ (rng.uniform(-off, off, 3).astype(np.float32) * through.radii)
    return Part(middle.astype(np.float32), axes, np.array([2, thick, thick], np.float32))


def limb(start: Point, end: Point, thick: float, flat: float = 1.0) -> Part:
    """A rounded rod. flat: how wide it is sideways, thicknesses."""
    along = np.asarray(end - start, np.float64)
    length = float(np.linalg.norm(along))
    first = along / length if length > 1e-6 else np.array([0.0, -1.0, 0.0])
    aside = np.array([1.0, 0, 0]) - first[0] * first
    if (aside @ aside) < 1e-6:
        aside = np.array([0, 1.0, 0])
    aside /= np.linalg.norm(aside)
    axes = np.stack([first, aside, np.cross(first, aside)])
    radii = np.array([length / 2 + 0.7 * thick, thick * flat, thick])
    return Part(((start + end) / 2).astype(np.float32), axes.astype(np.float32), radii.astype(np.float32), 2.5)


def limbs(joints: Sequence[Point], thick: float, rng: np.random.Generator) -> list[Part]:
    """From joint to joint, most of them thinner towards the end."""
    taper = rng.uniform(0.6, 1.05)
    return [limb(start, end, max(thick * taper**k, 0.035)) for k, (start, end) in enumerate(pairwise(joints))]


def forward(rise_deg: float) -> Point:
    """One unit along -y, upwards by that angle."""
    rise = np.radians(rise_deg)
    return np.array([0, -np.cos(rise), np.sin(rise)])


def turn(rng: np.random.Generator) -> F32:
    """Three random axes."""
    q, _ = np.linalg.qr(rng.normal(0, 1, (3, 3)))
    return np.asarray(q, np.float32)
