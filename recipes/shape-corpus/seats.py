"""Makers of what one sits on."""

from __future__ import annotations

import numpy as np

from .drawing import FOOT, Made, between, chance, legs, painted, slab
from .palette import RGB, coat, darker
from .primitives import Block, Part, blob, box, limb


def stool(rng: np.random.Generator) -> Made:
    seat, frame = coat(rng, "wooden", "metal", "plastic", "fabric"), coat(rng, "wooden", "metal")
    shape = str(rng.choice(["round", "square", "triangular"], p=[0.6, 0.3, 0.1]))
    width, height = between(rng, 0.3, 0.45), between(rng, 0.35, 0.8)
    count = 3 if shape == "triangular" else int(rng.choice([1, 3, 4]) if shape == "round" else 4)
    two = chance(rng, 0.5)
    rgb = frame.rgb if two else seat.rgb
    thick = between(rng, 0.03, 0.09)
    parts, leg_shape = legs(rng, count, width, width, height - thick, between(rng, 0.03, 0.05), rgb, shape != "square")
    parts.append(slab(rng, shape, width, width, height - thick, thick, seat.rgb))
    if count == 4 and shape == "square" and chance(rng, 0.5):
        z, off = height * between(rng, 0.2, 0.45), width * 0.43
        parts += [box((0, sy * off, z), (2 * off, 0.022, 0.022), rgb) for sy in (-1, 1)]
        parts += [box((sx * off, 0, z), (0.022, 2 * off, 0.022), rgb) for sx in (-1, 1)]
    return parts, painted(seat, frame if two else None) | {
        "top_shape": shape, "n_legs": count, "leg_shape": leg_shape, "has_back": False, "has_arms": False,
    }  # fmt: skip


def chair(rng: np.random.Generator) -> Made:
    seat = coat(rng, "wooden", "wooden", "plastic", "fabric", "metal")
    frame = coat(rng, "wooden", "metal") if chance(rng, 0.4) else seat
    width, depth, height = between(rng, 0.38, 0.52), between(rng, 0.38, 0.52), between(rng, 0.4, 0.5)
    count = int(rng.choice([4, 4, 4, 3, 1]))
    thick = between(rng, 0.03, 0.07)
    bar = between(rng, 0.03, 0.045)
    parts, leg_shape = legs(rng, count, width, depth, height - thick, bar, frame.rgb)
    parts.append(slab(rng, "rectangular", width, depth, height - thick, thick, seat.rgb))
    top, lean = height + between(rng, 0.3, 0.65), between(rng, 0.0, 0.1)
    y = depth / 2 - bar / 2
    style = str(rng.choice(["solid", "slatted", "barred", "ladder"]))
    posts = [
        ((sx * (width / 2 - bar / 2), y, height - thick), (sx * (width / 2 - bar / 2), y + lean, top)) for sx in (-1, 1)
    ]
    if style == "solid":
        parts.append(_leaning(width, bar, height - thick, top, y, lean, seat.rgb))
    else:
        parts += [limb(a, b, bar / 2, frame.rgb, sides=4) for a, b in posts]
        parts.append(box((0, y + lean, top - 0.03), (width, bar, 0.07), seat.rgb))
        number = int(rng.integers(2, 5))
        for k in range(number):
            share = (k + 1) / (number + 1)
            if style == "ladder":
                z = height + (top - height) * (k + 0.4) / number
                parts.append(
                    box((0, y + lean * (z - height) / (top - height), z), (width - bar, bar * 0.7, 0.05), seat.rgb)
                )
            else:
                x = (share - 0.5) * (width - bar)
                wide = (width / (2.2 * number)) if style == "slatted" else 0.022
                parts.append(
                    limb(
                        (x, y, height - thick),
                        (x, y + lean, top),
                        wide / 2,
                        seat.rgb,
                        sides=4 if style == "slatted" else 10,
                    )
                )
    arms = chance(rng, 0.3)
    if arms:
        z = height + between(rng, 0.17, 0.24)
        for sx in (-1, 1):
            x = sx * (width / 2 - bar / 2)
            parts.append(box((x, 0.0, z), (bar * 1.2, depth * 0.95, bar), frame.rgb))
            parts.append(limb((x, -depth * 0.36, height - thick), (x, -depth * 0.36, z), bar / 2, frame.rgb, sides=4))
    return parts, painted(seat, frame if frame is not seat else None) | {
        "n_legs": count, "leg_shape": leg_shape, "has_back": True, "has_arms": arms, "style": f"{style}-back",
    }  # fmt: skip


def _leaning(width: float, thick: float, bottom: float, top: float, y: float, lean: float, rgb: RGB) -> Part:
    """A board that goes up and back."""
    return Part(
        Block(shear=(0.0, 2 * lean / thick)),
        (0, y, (bottom + top) / 2),
        (width / 2, thick / 2, (top - bottom) / 2),
        rgb,
    )


def armchair(rng: np.random.Generator) -> Made:
    return _upholstered(rng, 1)


def sofa(rng: np.random.Generator) -> Made:
    return _upholstered(rng, int(rng.choice([2, 3, 3, 4])))


def _upholstered(rng: np.random.Generator, seats: int) -> Made:
    cover = coat(rng, "fabric", "fabric", "leather")
    cushions = coat(rng, "fabric") if chance(rng, 0.25) else None
    soft = between(rng, 3.5, 9.0)
    arm = between(rng, 0.1, 0.24)
    inner, depth = seats * between(rng, 0.52, 0.68), between(rng, 0.75, 0.98)
    width = inner + 2 * arm
    seat, back = between(rng, 0.38, 0.48), between(rng, 0.72, 1.0)
    lifted = chance(rng, 0.6)
    foot = between(rng, 0.05, 0.16) if lifted else 0.0
    dark = darker(cover.rgb, 0.85)
    rest = between(rng, 0.16, 0.24)
    parts = [blob((0, 0, (foot + seat - 0.12) / 2), (width, depth, seat - 0.12 - foot), dark, 12.0)]
    parts.append(blob((0, depth / 2 - rest / 2, (back + foot) / 2), (width, rest, back - foot), cover.rgb, soft))
    each = inner / seats
    deep = depth - rest
    for k in range(seats):
        x = -inner / 2 + (k + 0.5) * each
        rgb = cushions.rgb if cushions else cover.rgb
        parts.append(blob((x, -rest / 2, seat - 0.07), (each * 0.99, deep, 0.2), rgb, soft))
        parts.append(
            blob((x, depth / 2 - rest - 0.03, (seat + back) / 2), (each * 0.97, 0.18, back - seat + 0.05), rgb, soft)
        )
    arms = chance(rng, 0.85)
    style = "armless"
    if arms:
        style = str(rng.choice(["box-arm", "rolled-arm", "slope-arm"]))
        high = between(rng, 0.52, 0.68)
        for sx in (-1, 1):
            x = sx * (width / 2 - arm / 2)
            if style == "rolled-arm":
                parts.append(
                    box(
                        (x, -0.02, (foot + high - arm / 2) / 2),
                        (arm * 0.8, depth - 0.06, high - arm / 2 - foot),
                        cover.rgb,
                    )
                )
                parts.append(
                    limb((x, -depth / 2, high - arm / 2), (x, depth / 2 - 0.05, high - arm / 2), arm / 2, cover.rgb)
                )
            elif style == "slope-arm":
                half = (arm / 2, depth / 2 - 0.02, (high - foot) / 2)
                parts.append(
                    Part(Block(taper=(0.8, 0.6), shear=(0.0, 0.38)), (x, 0, (high + foot) / 2), half, cover.rgb)
                )
            else:
                parts.append(blob((x, -0.01, (high + foot) / 2), (arm, depth, high - foot), cover.rgb, max(soft, 6.0)))
    count = 0
    if lifted:
        count = 4 if seats < 4 else 6
        made, _ = legs(rng, count, width * 0.95, depth * 0.9, foot + 0.05, between(rng, 0.04, 0.07), FOOT)
        parts += made
    return parts, painted(cover, cushions) | {
        "n_legs": count, "has_back": True, "has_arms": arms, "n_seats": seats, "style": style,
    }  # fmt: skip


def bench(rng: np.random.Generator) -> Made:
    wood, iron = coat(rng, "wooden", "metal", "stone"), coat(rng, "metal", "wooden")
    width, depth, height = between(rng, 1.1, 2.0), between(rng, 0.32, 0.5), between(rng, 0.4, 0.48)
    parts: list[Part] = []
    planks = int(rng.integers(1, 5))
    for k in range(planks):
        y = -depth / 2 + (k + 0.5) * depth / planks
        parts.append(box((0, y, height - 0.025), (width, depth / planks * (0.8 if planks > 1 else 1), 0.05), wood.rgb))
    count = int(rng.choice([2, 4]))
    made, leg_shape = legs(rng, count, width * 0.9, depth, height - 0.04, between(rng, 0.05, 0.09), iron.rgb)
    parts += made
    back = chance(rng, 0.55)
    if back:
        top = height + between(rng, 0.3, 0.45)
        rails = int(rng.integers(1, 4))
        for k in range(rails):
            z = height + (top - height) * (k + 0.7) / rails
            parts.append(box((0, depth / 2 - 0.02, z), (width, 0.045, (top - height) / rails * 0.6), wood.rgb))
        parts += [
            box((sx * width * 0.4, depth / 2 + 0.015, (height + top) / 2), (0.07, 0.045, top - height + 0.08), iron.rgb)
            for sx in (-1, 1)
        ]
    return parts, painted(wood, iron) | {"n_legs": count, "leg_shape": leg_shape, "has_back": back, "has_arms": False}


MAKERS = {"chair": chair, "armchair": armchair, "stool": stool, "sofa": sofa, "bench": bench}
