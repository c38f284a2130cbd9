"""Makers of vases, bottles and cups."""

from __future__ import annotations

import numpy as np

from .drawing import Made, between, chance, painted
from .palette import COLOURS, coat, near
from .primitives import Profile, column, ring, turn_about, turned


def _hollow(outer: list[tuple[float, float]], wall: float, floor: float) -> Profile:
    """The profile of an open vessel of thickness `wall` (metres) around `outer` (radius, height from 0 to 1)."""
    inner = [(max(r - wall, 0.002), z) for r, z in reversed(outer) if z > floor]
    return ((0.0, 0.0), *outer, *inner, (0.0, floor))


def vase(rng: np.random.Generator) -> Made:
    glaze = coat(rng, "ceramic", "ceramic", "glass", "metal")
    height = between(rng, 0.18, 0.6)
    style = str(rng.choice(["round", "slender", "flared", "amphora"]))
    wide = height * {"round": between(rng, 0.3, 0.42), "slender": between(rng, 0.12, 0.2)}.get(
        style, between(rng, 0.2, 0.3)
    )
    neck, foot = wide * between(rng, 0.35, 0.6), wide * between(rng, 0.45, 0.75)
    lip = neck * between(rng, 1.1, 1.7)
    if style == "flared":
        outer = [(foot, 0), (foot * 0.9, 0.15), (wide * 0.6, 0.5), (wide * 0.8, 0.8), (wide * 1.15, 1)]
    else:
        at = between(rng, 0.35, 0.6)
        up = np.linspace(0, 1, 12)
        radii = np.interp(
            up, [0, at * 0.5, at, at + (0.88 - at) * 0.5, 0.88, 1], [foot, wide * 0.86, wide, wide * 0.8, neck, lip]
        )
        outer = [(float(r), float(z)) for r, z in zip(radii, up, strict=True)]
    # what no view from outside can see is left solid, as it is in carved models
    floor = 0.35 if style == "flared" else 0.82
    parts = [turned((0, 0, 0), height, _hollow(outer, max(0.02 * height, wide * 0.1), floor), glaze.rgb)]
    handles = style == "amphora"
    if handles:
        for sx in (-1, 1):
            middle = (sx * (neck + wide * 0.32), 0.0, height * 0.72)
            parts.append(ring(middle, height * 0.11, height * 0.018, glaze.rgb, turn_about("x", 90)))
    return parts, painted(glaze) | {"has_handle": handles, "style": style}


def bottle(rng: np.random.Generator) -> Made:
    glass = coat(rng, "glass", "glass", "plastic", "ceramic")
    height = between(rng, 0.18, 0.36)
    wide, neck = height * between(rng, 0.11, 0.2), height * between(rng, 0.035, 0.05)
    shoulder, up = between(rng, 0.45, 0.65), between(rng, 0.68, 0.8)
    square = chance(rng, 0.2)
    profile: Profile = (
        (0, 0), (wide * 0.94, 0), (wide, 0.03), (wide, shoulder), (wide * 0.82, (shoulder + up) / 2), (neck, up),
        (neck, 0.94), (neck * 1.25, 0.95), (neck * 1.25, 1), (0, 1),
    )  # fmt: skip
    parts = [turned((0, 0, 0), height, profile, glass.rgb, sides=4 if square else 28)]
    lid = None
    if chance(rng, 0.6):
        lid = coat(rng, "painted")
        parts.append(column((0, 0, height * 0.97), height * between(rng, 0.05, 0.1), neck * 1.6, lid.rgb))
    if chance(rng, 0.5):
        label = near(rng, COLOURS["white"])
        parts.append(
            turned(
                (0, 0, height * 0.14),
                height * (shoulder - 0.18),
                ((0, 0), (wide * 1.03, 0), (wide * 1.03, 1), (0, 1)),
                label,
                sides=4 if square else 28,
            )
        )
    return parts, painted(glass, lid) | {"has_lid": lid is not None, "style": "square" if square else "round"}


def cup(rng: np.random.Generator) -> Made:
    glaze = coat(rng, "ceramic", "ceramic", "metal", "plastic", "glass")
    height = between(rng, 0.07, 0.16)
    style = str(rng.choice(["mug", "bowl", "goblet"], p=[0.5, 0.2, 0.3]))
    wide = (
        height
        * {"mug": between(rng, 0.36, 0.52), "bowl": between(rng, 0.7, 1.3), "goblet": between(rng, 0.22, 0.34)}[style]
    )
    wall = max(0.05 * height, 0.08 * wide)
    handle = False
    if style == "goblet":
        stem = max(wide * 0.12, height * 0.02)
        outer = [
            (wide * 0.85, 0),
            (wide * 0.8, 0.04),
            (stem, 0.08),
            (stem, 0.45),
            (wide * 0.8, 0.62),
            (wide, 0.8),
            (wide * 0.9, 1),
        ]
        parts = [turned((0, 0, 0), height, _hollow(outer, wall, 0.56), glaze.rgb)]
    elif style == "bowl":
        outer = [(wide * 0.4, 0), (wide * 0.42, 0.08), (wide * 0.75, 0.35), (wide * 0.93, 0.7), (wide, 1)]
        parts = [turned((0, 0, 0), height, _hollow(outer, wall, 0.16), glaze.rgb)]
    else:
        base = wide * between(rng, 0.7, 1.0)
        outer = [(base, 0), ((base + wide) / 2, 0.4), (wide, 1)]
        parts = [turned((0, 0, 0), height, _hollow(outer, wall, 0.1), glaze.rgb)]
        handle = chance(rng, 0.75)
        if handle:
            side = 1 if chance(rng, 0.5) else -1
            parts.append(
                ring(
                    (side * (base + wide) / 2 * 1.05, 0, height * 0.52),
                    height * 0.27,
                    height * 0.055,
                    glaze.rgb,
                    turn_about("x", 90),
                )
            )
    return parts, painted(glaze) | {"has_handle": handle, "style": style}


MAKERS = {"vase": vase, "bottle": bottle, "cup": cup}
