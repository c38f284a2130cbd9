"""What lumps are drawn from: bodies that grow parts in all directions, creatures, people, heads, machine parts.

Meshes that people bring are animals, heads and machine parts as well as furniture. These are none of them, but like
them in how parts are arranged: grown into each other or set on each other, symmetric, some with holes. z is up, and
what has a face looks along -y.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .parts import AXES, Part, Point, ball, block, bore, egg, forward, limb, limbs, turn

SYMMETRIC, DRILLED = 0.6, 0.25  # shares of the grown bodies
BORED, ROUND = 0.7, 0.3  # shares of the machine parts
LEGS = ((-0.75, 0.75), (-0.75, 0.75), (-0.7, 0.0, 0.7), (0.0,), ())  # where along the trunk pairs of them may be


@dataclass(frozen=True)
class Body:
    """In no particular unit."""

    parts: list[Part]
    holes: list[Part]
    blend: float  # how softly parts join
    bumps: float  # how high they are at most, on the average


def body(rng: np.random.Generator) -> Body:
    kinds: tuple[Callable[[np.random.Generator], Body], ...] = (grown, creature, person, head, machine_part)
    return kinds[int(rng.choice(len(kinds), p=(0.28, 0.27, 0.1, 0.12, 0.23)))](rng)


def grown(rng: np.random.Generator) -> Body:
    """A middle and what sits on it: each further part on an earlier one, in any direction."""
    symmetric = rng.random() < SYMMETRIC
    parts = [ball(rng, np.zeros(3), AXES, rng.uniform(0.2, 0.5, 3))]
    for _ in range(int(rng.integers(1, 9))):
        on = parts[int(rng.integers(len(parts)))]
        axes = turn(rng)
        along = axes[0] if (axes[0] @ on.middle) >= 0 else -axes[0]
        foot = on.middle + along * on.radii.min() * rng.uniform(0.6, 1.2)
        length, thick = rng.uniform(0.08, 0.5), rng.uniform(0.05, 0.2)
        radii = np.array([max(length, thick), thick, thick * rng.uniform(0.5, 1)])
        part = ball(rng, foot + along * radii[0] * 0.7, axes, radii)
        parts += [part, part.flipped(0)] if symmetric else [part]
    holes = []
    if rng.random() < DRILLED:
        for _ in range(int(rng.integers(1, 3))):
            axes = turn(rng) if rng.random() < 0.5 else np.roll(AXES, int(rng.integers(3)), 0)
            holes.append(bore(rng, parts[0], axes, 0.4))
    return Body(parts, holes, rng.uniform(0.01, 0.06), rng.uniform(0, 0.02))


def creature(rng: np.random.Generator) -> Body:
    """A trunk with a neck and a head; most have legs in pairs, ears and a tail, some have wings."""
    wide, long, high = rng.uniform(0.1, 0.25), rng.uniform(0.22, 0.55), rng.uniform(0.12, 0.3)
    rise = rng.choice([0, rng.uniform(-15, 30), rng.uniform(40, 90)], p=(0.3, 0.5, 0.2))
    chest = long * forward(rise)  # from the trunk's middle
    middle = [limb(-chest, chest, high, wide / high)]
    for end in (-0.5, 0.5):  # rump and shoulders
        middle.append(limb((end - 0.4) * chest, (end + 0.4) * chest, high * rng.uniform(0.7, 1.2), wide / high))
    side = _legs(rng, chest, wide, high)
    neck = 0.85 * chest
    face = neck + rng.choice([rng.uniform(0.1, 0.25), rng.uniform(0.25, 0.7)]) * forward(rise + rng.uniform(0, 70))
    middle += limbs((neck, face), rng.uniform(0.06, 0.03 + 0.6 * high), rng)
    skull = rng.uniform(0.08, 0.2)
    middle += _muzzle(rng, face, skull)
    if rng.random() < 0.7:  # ears, horns
        at = face + skull * np.array([0.5, 0, 0.6])
        tip = at + rng.uniform(0.4, 1.6) * skull * np.array([rng.uniform(0, 1), rng.uniform(-0.3, 0.6), 1])
        side.append(limb(at, tip, skull * rng.uniform(0.25, 0.5), rng.uniform(0.4, 1)))
    if rng.random() < 0.7:
        middle += _tail(rng, -0.9 * chest)
    if rng.random() < 0.2:  # wings, fins
        root, out = 0.3 * chest, np.array([rng.uniform(0.3, 0.7), rng.uniform(-0.1, 0.3), rng.uniform(-0.1, 0.5)])
        side.append(limb(root, root + out, rng.uniform(0.12, 0.25), rng.uniform(0.15, 0.3)))
    return Body(_on_both_sides(middle, side), [], rng.uniform(0.01, 0.05), rng.uniform(0, 0.02))


def _legs(rng: np.random.Generator, chest: Point, wide: float, high: float) -> list[Part]:
    """Those of one side."""
    made: list[Part] = []
    places = LEGS[int(rng.integers(len(LEGS)))]
    length, thick, ground = rng.uniform(0.15, 0.7), rng.uniform(0.045, 0.11), -np.abs(chest[2]) - 0.5 * high
    bend, stance, paw = rng.uniform(-0.12, 0.12), rng.uniform(0, 0.2), rng.uniform(0, 0.15)
    for place in places:
        hip = place * chest + (rng.uniform(0.4, 0.8) * wide, 0, -0.4 * high)
        foot = np.array([hip[0] + stance, hip[1] + rng.uniform(-0.1, 0.1), ground - length])
        knee = (hip + foot) / 2 + (0, bend, 0)
        made += [*limbs((hip, knee, foot), thick, rng), limb(foot, foot - (0, paw, 0), thick)]
    return made


def _muzzle(rng: np.random.Generator, face: Point, skull: float) -> list[Part]:
    look = forward(rng.uniform(-50, 20))
    return [
        limb(face - 0.3 * skull * look, face + 0.3 * skull * look, skull, rng.uniform(0.7, 1)),
        limb(face, face + rng.uniform(0.8, 2.2) * skull * look, skull * rng.uniform(0.4, 0.7)),
    ]


def _tail(rng: np.random.Generator, root: Point) -> list[Part]:
    rise, joints = rng.uniform(-80, 80), [root]
    for _ in range(int(rng.integers(1, 4))):
        joints.append(joints[-1] - rng.uniform(0.08, 0.3) * forward(rise))
        rise += rng.uniform(-50, 50)
    return limbs(joints, rng.uniform(0.04, 0.1), rng)


def person(rng: np.random.Generator) -> Body:
    """Stands or sits on two legs, slim or stout, each arm and leg as it likes."""
    hip, shoulder = rng.uniform(0.07, 0.17), rng.uniform(0.12, 0.24)  # half widths
    waist, deep = rng.uniform(0.7, 1.1), rng.uniform(0.08, 0.16)
    trunk, leg, arm = rng.uniform(0.3, 0.5), rng.uniform(0.2, 0.6), rng.uniform(0.3, 0.6)
    up = forward(rng.uniform(75, 95))
    neck = trunk * up
    parts = [
        limb(0 * up, 0.3 * neck, deep, hip / deep),
        limb(0.2 * neck, 0.75 * neck, deep * waist, (hip + shoulder) / 2 / deep),
        limb(0.65 * neck, 0.9 * neck, deep * rng.uniform(0.8, 1.1), shoulder / deep),
    ]
    skull = rng.uniform(0.08, 0.18)
    face = neck + (rng.uniform(0.02, 0.1) + 0.8 * skull) * up + (0, rng.uniform(-0.06, 0.02), 0)
    parts += [limb(neck, face, rng.uniform(0.045, 0.09)), egg(face, (0.8 * skull, 0.9 * skull, skull))]
    sits, bent, apart = rng.random() < 0.25, rng.uniform(-0.1, 0.4), rng.uniform(0, 0.5)
    for sign in (-1, 1):
        root = sign * np.array([0.7 * hip, 0, 0])
        thigh = forward(rng.uniform(-20, 10) if sits else rng.uniform(-115, -75)) + np.array([sign * apart, 0, 0])
        knee = root + leg * thigh / 2
        foot = knee + leg / 2 * forward(-90 - 20 * bent)
        parts += [*limbs((root, knee, foot), rng.uniform(0.05, 0.1), rng), limb(foot, foot - (0, 0.1, 0), 0.045)]
        root = 0.88 * neck + (sign * shoulder, 0, 0)
        out = np.array([sign * rng.uniform(0.1, 1.2), rng.uniform(-0.6, 0.3), rng.uniform(-1.2, 0.6)])
        elbow = root + arm / 2 * out / np.linalg.norm(out)
        on = out + np.array([-sign * rng.uniform(0, 1), -rng.uniform(0, 1), rng.uniform(-0.2, 1)])
        parts += limbs((root, elbow, elbow + arm / 2 * on / np.linalg.norm(on)), rng.uniform(0.04, 0.08), rng)
    if rng.random() < 0.3:  # a skirt, a coat
        hem = np.array([0, 0, -rng.uniform(0.2, 0.9) * leg])
        parts.append(limb(0.4 * neck, hem, deep * rng.uniform(1.1, 2), rng.uniform(1, 1.4)))
    return Body(parts, [], rng.uniform(0.008, 0.03), rng.uniform(0, 0.015))


def head(rng: np.random.Generator) -> Body:
    """A skull with a face, more or less of a neck below, many with ears, hair or horns; some on shoulders or a base."""
    wide, deep, high = rng.uniform(0.24, 0.36), rng.uniform(0.28, 0.42), rng.uniform(0.28, 0.42)
    chin = np.array([0, -rng.uniform(0.3, 0.7) * deep, -rng.uniform(0.7, 1.2) * high])
    jaw = chin + np.array([0, 0.3 * deep, 0.2 * high])
    middle = [
        egg(np.zeros(3), (wide, deep, high)),
        limb(jaw, chin, rng.uniform(0.35, 0.6) * wide, rng.uniform(0.9, 1.5)),
    ]
    front, brow = -0.93 * deep, rng.uniform(0.0, 0.3) * high
    tip = np.array([0, front - rng.uniform(0.02, 0.16), brow - rng.uniform(0.25, 0.5) * high])
    middle.append(limb(np.array([0, front, brow]), tip, rng.uniform(0.03, 0.07), rng.uniform(0.7, 1.6)))  # nose
    if rng.random() < 0.3:  # a snout
        end = np.array([0, front - rng.uniform(0.1, 0.45), chin[2] * rng.uniform(0.2, 0.8)])
        middle.append(
            limb(np.array([0, 0.5 * front, 0.5 * chin[2]]), end, rng.uniform(0.1, 0.2), rng.uniform(0.8, 1.3))
        )
    eye = np.array([rng.uniform(0.3, 0.5) * wide, front * rng.uniform(0.85, 1), brow - 0.08 * high])
    over = eye + np.array([0, 0, 0.1])
    side = [limb(over, over + np.array([0.1 * wide, 0, -0.02]), 0.035, 2.0)]  # brows
    if rng.random() < 0.7:  # ears, horns
        at = np.array([0.95 * wide, 0.1 * deep, rng.uniform(-0.1, 0.7) * high])
        out = np.array([rng.uniform(0.02, 0.3), rng.uniform(-0.1, 0.2), rng.uniform(-0.05, 0.4)])
        side.append(limb(at, at + out, rng.uniform(0.04, 0.1), rng.uniform(0.4, 1)))
    if rng.random() < 0.5:  # hair, a cap, a mane
        back = np.array([0, rng.uniform(0.05, 0.35) * deep, rng.uniform(0.0, 0.4) * high])
        middle.append(
            egg(back, (wide * rng.uniform(0.9, 1.3), deep * rng.uniform(0.8, 1.2), high * rng.uniform(0.8, 1.2)))
        )
    if rng.random() < 0.8:
        foot = np.array([0, rng.uniform(0, 0.4) * deep, -high - rng.uniform(0.1, 0.5)])
        middle.append(limb(np.array([0, 0.1 * deep, -0.4 * high]), foot, rng.uniform(0.5, 0.8) * wide))
        if rng.random() < 0.5:
            wings = rng.uniform(0.3, 0.6), rng.uniform(0.15, 0.3), rng.uniform(0.1, 0.25)
            middle.append(egg(foot, wings) if rng.random() < 0.6 else block(rng, foot, np.array(wings)))
    holes = [egg(eye, (0.2 * wide, rng.uniform(0.02, 0.1), 0.12 * high))]
    holes += [each.flipped(0) for each in holes]
    return Body(_on_both_sides(middle, side), holes, rng.uniform(0.01, 0.04), rng.uniform(0, 0.015))


def machine_part(rng: np.random.Generator) -> Body:
    """Blocks, cylinders and rings set on each other along the axes, with bores; most of it again on the other side,
    or all around."""
    parts = [block(rng, np.zeros(3), rng.uniform(0.1, 0.5, 3))]
    for _ in range(int(rng.integers(1, 6))):
        on, axis = parts[int(rng.integers(len(parts)))], int(rng.integers(3))
        size = np.abs(on.axes.T @ on.radii)
        radii = np.clip(size * rng.uniform(0.2, 1.1, 3), 0.05, 0.5)
        away = rng.uniform(-0.6, 0.6, 3) * np.maximum(size - radii, 0) * rng.integers(0, 2, 3)
        away[axis] = (size[axis] + radii[axis] * rng.uniform(0.5, 0.95)) * rng.choice([-1, 1])
        part = block(rng, on.middle + away, radii)
        parts += [part, part.flipped(int(rng.integers(3)))] if rng.random() < SYMMETRIC else [part]
    holes = []
    if rng.random() < BORED:
        for _ in range(int(rng.integers(1, 4))):
            hole = bore(rng, parts[int(rng.integers(len(parts)))], np.roll(AXES, int(rng.integers(3)), 0), 0.0)
            holes += [hole, hole.flipped(int(rng.integers(3)))]
    if rng.random() < ROUND:
        parts += _spokes(rng, int(rng.integers(3)))
    return Body(parts, holes, rng.uniform(0.004, 0.015), 0.0)


def _spokes(rng: np.random.Generator, axis: int) -> list[Part]:
    """A thing again and again around an axis: blades, teeth, arms."""
    half, middle = rng.uniform(0.04, 0.2, 3), rng.uniform(-0.1, 0.1, 3)
    half[(axis + 1) % 3] = middle[(axis + 1) % 3] = rng.uniform(0.15, 0.4)  # from the axis outwards
    part, count = block(rng, middle, half), int(rng.integers(3, 9))
    return [part.turned(360 / count * k, axis) for k in range(count)]


def _on_both_sides(middle: list[Part], side: list[Part]) -> list[Part]:
    return [*middle, *side, *(part.flipped(0) for part in side)]
