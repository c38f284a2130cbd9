"""What lumps are drawn from: bodies that grow parts in all directions, creatures, machine parts.

Meshes that people bring are animals, heads and machine parts as well as furniture. These are none of them, but like
them in how parts are arranged: grown into each other or set on each other, symmetric, some with holes. z is up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from hive_recipe_shape_corpus.mesh import F32
from numpy.typing import NDArray

SYMMETRIC, DRILLED = 0.6, 0.25  # shares of the grown bodies
BORED = 0.7  # share of the machine parts
LEGS = ((-0.75, 0.75), (-0.75, 0.75), (-0.7, 0.0, 0.7), (0.0,), ())  # where along the trunk pairs of them may be
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


@dataclass(frozen=True)
class Body:
    """In no particular unit."""

    parts: list[Part]
    holes: list[Part]
    blend: float  # how softly parts join
    bumps: float  # how high they are at most, on the average


def body(rng: np.random.Generator) -> Body:
    kinds: tuple[Callable[[np.random.Generator], Body], ...] = (grown, creature, machine_part)
    return kinds[int(rng.choice(len(kinds), p=(0.4, 0.35, 0.25)))](rng)


def grown(rng: np.random.Generator) -> Body:
    """A middle and what sits on it: each further part on an earlier one, in any direction."""
    symmetric = rng.random() < SYMMETRIC
    parts = [_superquadric(rng, np.zeros(3), AXES, rng.uniform(0.2, 0.5, 3))]
    for _ in range(int(rng.integers(1, 9))):
        on = parts[int(rng.integers(len(parts)))]
        axes = _turn(rng)
        along = axes[0] if (axes[0] @ on.middle) >= 0 else -axes[0]
        foot = on.middle + along * on.radii.min() * rng.uniform(0.6, 1.2)
        length, thick = rng.uniform(0.08, 0.5), rng.uniform(0.05, 0.2)
        radii = np.array([max(length, thick), thick, thick * rng.uniform(0.5, 1)])
        part = _superquadric(rng, foot + along * radii[0] * 0.7, axes, radii)
        parts += [part, part.flipped(0)] if symmetric else [part]
    holes = []
    if rng.random() < DRILLED:
        for _ in range(int(rng.integers(1, 3))):
            axes = _turn(rng) if rng.random() < 0.5 else np.roll(AXES, int(rng.integers(3)), 0)
            holes.append(_rod(rng, parts[0], axes, 0.4))
    return Body(parts, holes, rng.uniform(0.01, 0.06), rng.uniform(0, 0.02))


def creature(rng: np.random.Generator) -> Body:
    """A trunk with a neck and a head, looking along -y; most have legs in pairs, ears and a tail, some have wings."""
    wide, long, high = rng.uniform(0.1, 0.25), rng.uniform(0.22, 0.55), rng.uniform(0.12, 0.3)
    rise = rng.choice([0, rng.uniform(-15, 30), rng.uniform(40, 90)], p=(0.3, 0.5, 0.2))
    chest = long * _forward(rise)  # from the trunk's middle
    middle = [limb(-chest, chest, high, wide / high)]
    for end in (-0.5, 0.5):  # rump and shoulders
        middle.append(limb((end - 0.4) * chest, (end + 0.4) * chest, high * rng.uniform(0.7, 1.2), wide / high))

    side = []
    places = LEGS[int(rng.integers(len(LEGS)))]
    length, thick, ground = rng.uniform(0.15, 0.7), rng.uniform(0.045, 0.11), -np.abs(chest[2]) - 0.5 * high
    bend, stance, paw = rng.uniform(-0.12, 0.12), rng.uniform(0, 0.2), rng.uniform(0, 0.15)
    for place in places:
        hip = place * chest + (rng.uniform(0.4, 0.8) * wide, 0, -0.4 * high)
        foot = np.array([hip[0] + stance, hip[1] + rng.uniform(-0.1, 0.1), ground - length])
        knee = (hip + foot) / 2 + (0, bend, 0)
        side += [*limbs((hip, knee, foot), thick, rng), limb(foot, foot - (0, paw, 0), thick)]

    neck = 0.85 * chest
    face = neck + rng.choice([rng.uniform(0.1, 0.25), rng.uniform(0.25, 0.7)]) * _forward(rise + rng.uniform(0, 70))
    middle += limbs((neck, face), rng.uniform(0.06, 0.03 + 0.6 * high), rng)
    look, skull = _forward(rng.uniform(-50, 20)), rng.uniform(0.08, 0.2)
    middle += [
        limb(face - 0.3 * skull * look, face + 0.3 * skull * look, skull, rng.uniform(0.7, 1)),
        limb(face, face + rng.uniform(0.8, 2.2) * skull * look, skull * rng.uniform(0.4, 0.7)),  # muzzle
    ]
    if rng.random() < 0.7:  # ears, horns
        at = face + skull * np.array([0.5, 0, 0.6])
        tip = at + rng.uniform(0.4, 1.6) * skull * np.array([rng.uniform(0, 1), rng.uniform(-0.3, 0.6), 1])
        side.append(limb(at, tip, skull * rng.uniform(0.25, 0.5), rng.uniform(0.4, 1)))
    if rng.random() < 0.7:  # tail
        turn, joints = rng.uniform(-80, 80), [-0.9 * chest]
        for _ in range(int(rng.integers(1, 4))):
            joints.append(joints[-1] - rng.uniform(0.08, 0.3) * _forward(turn))
            turn += rng.uniform(-50, 50)
        middle += limbs(joints, rng.uniform(0.04, 0.1), rng)
    if rng.random() < 0.2:  # wings, fins
        root, out = 0.3 * chest, np.array([rng.uniform(0.3, 0.7), rng.uniform(-0.1, 0.3), rng.uniform(-0.1, 0.5)])
        side.append(limb(root, root + out, rng.uniform(0.12, 0.25), rng.uniform(0.15, 0.3)))
    parts = [*middle, *side, *(part.flipped(0) for part in side)]
    return Body(parts, [], rng.uniform(0.01, 0.05), rng.uniform(0, 0.02))


def machine_part(rng: np.random.Generator) -> Body:
    """Blocks, cylinders and rings set on each other along the axes, with bores; most of it again on the other side."""
    parts = [_turned(rng, np.zeros(3), rng.uniform(0.1, 0.5, 3))]
    for _ in range(int(rng.integers(1, 6))):
        on, axis = parts[int(rng.integers(len(parts)))], int(rng.integers(3))
        size = np.abs(on.axes.T @ on.radii)
        radii = np.clip(size * rng.uniform(0.2, 1.1, 3), 0.05, 0.5)
        away = rng.uniform(-0.6, 0.6, 3) * np.maximum(size - radii, 0) * rng.integers(0, 2, 3)
        away[axis] = (size[axis] + radii[axis] * rng.uniform(0.5, 0.95)) * rng.choice([-1, 1])
        part = _turned(rng, on.middle + away, radii)
        parts += [part, part.flipped(int(rng.integers(3)))] if rng.random() < SYMMETRIC else [part]
    holes = []
    if rng.random() < BORED:
        for _ in range(int(rng.integers(1, 4))):
            hole = _rod(rng, parts[int(rng.integers(len(parts)))], np.roll(AXES, int(rng.integers(3)), 0), 0.0)
            holes += [hole, hole.flipped(int(rng.integers(3)))]
    return Body(parts, holes, rng.uniform(0.004, 0.015), 0.0)


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


def _forward(rise_deg: float) -> Point:
    rise = np.radians(rise_deg)
    return np.array([0, -np.cos(rise), np.sin(rise)])


def _superquadric(rng: np.random.Generator, middle: Point, axes: F32, radii: Point) -> Part:
    exponent = float(rng.choice([2.0, 2.0, 2.0, 3.0, 6.0]))
    return Part(middle.astype(np.float32), axes, radii.astype(np.float32), exponent, exponent)


def _turned(rng: np.random.Generator, middle: Point, half: Point) -> Part:
    """A block, a cylinder, a ball or a thing between them, that reaches `half` to each side along x, y and z."""
    axis = int(rng.integers(3))
    axes, radii = np.roll(AXES, axis, 1), np.roll(half, -axis)
    across = float(rng.choice([2.0, 2.0, 8.0]))
    if across == 2 and rng.random() < 0.8:
        radii[1:] = radii[1:].mean()
    return Part(
        middle.astype(np.float32), axes, radii.astype(np.float32), float(rng.choice([2.0, 8.0, 8.0, 8.0])), across
    )


def _rod(rng: np.random.Generator, through: Part, axes: F32, off: float) -> Part:
    """To be cut out of a part. off: how far from its middle at most, radii."""
    thick = through.radii.min() * rng.uniform(0.2, 0.6)
    middle = through.middle + through.axes.T @ (rng.uniform(-off, off, 3).astype(np.float32) * through.radii)
    return Part(middle.astype(np.float32), axes, np.array([2, thick, thick], np.float32))


def _turn(rng: np.random.Generator) -> F32:
    """Three random axes."""
    q, _ = np.linalg.qr(rng.normal(0, 1, (3, 3)))
    return np.asarray(q, np.float32)
