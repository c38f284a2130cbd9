"""Makers of the grammar's other objects: vessels, vehicles, buildings, animals, plants. As in furnishings.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .furnishings import Made, between, chance, painted
from .palette import COLOURS, RGB, coat, darker, near
from .primitives import Blob, Block, Part, Profile, blob, box, column, limb, ring, turn_about, turned


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


GLASS: RGB = (70, 88, 104)
TYRE: RGB = (34, 34, 36)


def _wheel(x: float, y: float, radius: float, wide: float) -> list[Part]:
    return [
        limb((x - wide / 2, y, radius), (x + wide / 2, y, radius), radius, TYRE, sides=20),
        limb((x - wide * 0.54, y, radius), (x + wide * 0.54, y, radius), radius * 0.55, (176, 178, 182), sides=16),
    ]


def car(rng: np.random.Generator) -> Made:
    paint = coat(rng, "painted")
    style = str(rng.choice(["sedan", "hatchback", "pickup", "van", "truck"]))
    length = {"van": between(rng, 4.6, 5.6), "truck": between(rng, 5.5, 8.0)}.get(style, between(rng, 3.6, 4.9))
    width, clear = between(rng, 1.65, 2.0), between(rng, 0.18, 0.3)
    wheel = between(rng, 0.3, 0.38) * (1.2 if style in ("truck", "pickup") else 1)
    belt = clear + between(rng, 0.55, 0.75)
    front = -length / 2
    parts: list[Part] = []
    if style == "truck":
        cab, high = between(rng, 1.6, 2.1), between(rng, 2.1, 2.8)
        parts.append(box((0, 0, wheel + 0.15), (width * 0.7, length, 0.25), darker(paint.rgb, 0.4)))
        parts.append(
            box(
                (0, front + cab / 2, wheel + 0.1 + high * 0.38),
                (width, cab, high * 0.76),
                paint.rgb,
                taper=(0.94, 0.85),
                shear=(0.0, 0.1),
            )
        )
        parts.append(
            box((0, front + cab * 0.38, wheel + 0.1 + high * 0.58), (width * 1.01, cab * 0.66, high * 0.24), GLASS)
        )
        cargo = coat(rng, "painted")
        parts.append(
            box(
                (0, front + cab + 0.1 + (length - cab - 0.1) / 2, wheel + 0.2 + high * 0.5),
                (width * 1.05, length - cab - 0.1, high),
                cargo.rgb,
            )
        )
    elif style == "van":
        high = between(rng, 1.3, 1.7)
        parts.append(blob((0, 0, clear + (belt - clear) / 2), (width, length, belt - clear + 0.1), paint.rgb, 9.0))
        parts.append(
            box(
                (0, 0.15, belt + high * 0.28),
                (width * 0.98, length * 0.9, high * 0.62),
                paint.rgb,
                taper=(0.9, 0.84),
                shear=(0.0, 0.12),
            )
        )
        parts.append(
            box(
                (0, 0.12, belt + high * 0.24),
                (width * 0.965, length * 0.84, high * 0.32),
                GLASS,
                taper=(0.97, 0.94),
                shear=(0.0, 0.05),
            )
        )
    else:
        parts.append(blob((0, 0, (clear + belt) / 2), (width, length, belt - clear), paint.rgb, 7.0))
        roof = between(rng, 0.42, 0.58)
        size, at = {"sedan": (0.5, 0.04), "hatchback": (0.6, 0.14), "pickup": (0.34, -0.06)}[style]
        glass = (width * 0.9, length * size, roof * 0.94)
        lean = 0.12 if style == "sedan" else -0.02 if style == "pickup" else 0.1
        parts.append(box((0, length * at, belt + roof / 2 - 0.08), glass, GLASS, taper=(0.84, 0.66), shear=(0.0, lean)))
        parts.append(
            box(
                (0, length * (at + 0.5 * lean * size), belt + roof - 0.1),
                (width * 0.76, length * size * 0.68, 0.09),
                paint.rgb,
            )
        )
        if style == "pickup":
            bed = length * 0.36
            y = length / 2 - bed / 2
            parts += [box((sx * (width / 2 - 0.07), y, belt + 0.1), (0.12, bed, 0.28), paint.rgb) for sx in (-1, 1)]
            parts.append(box((0, length / 2 - 0.07, belt + 0.1), (width, 0.12, 0.28), paint.rgb))
    for y in (front + length * 0.19, length / 2 - length * 0.2):
        for sx in (-1, 1):
            parts += _wheel(sx * (width / 2 - 0.1), y, wheel, 0.24)
    parts += [
        blob((sx * width * 0.34, front + 0.02, belt - 0.2), (0.3, 0.14, 0.16), (244, 240, 214), 4.0) for sx in (-1, 1)
    ]
    return parts, painted(paint) | {"n_wheels": 4, "style": style}


def airplane(rng: np.random.Generator) -> Made:
    paint, trim = coat(rng, "painted"), coat(rng, "painted")
    length, span = between(rng, 8, 14), between(rng, 8, 15)
    body = length * between(rng, 0.05, 0.075)
    style = str(rng.choice(["jet", "propeller", "biplane"]))
    sweep = between(rng, 0.6, 1.6) if style == "jet" else between(rng, 0.0, 0.2)
    z = body * 1.6 + length * 0.03
    parts = [Part(Blob(2.6), (0, 0, z), (body, length / 2, body * 1.05), paint.rgb)]
    chord, thick = length * between(rng, 0.14, 0.2), length * 0.016
    high = chance(rng, 0.4) and style != "jet"
    levels = [z + body * 0.7 if high else z - body * 0.4] + ([z + body * 1.9] if style == "biplane" else [])
    for level in levels:
        for sx in (-1, 1):
            parts.append(_wing(sx, span / 2, chord, sweep * chord, thick, (0, -length * 0.06, level), trim.rgb))
    if style == "biplane":
        parts += [
            box(
                (sx * span * 0.3, -length * 0.06, sum(levels) / 2),
                (length * 0.016, chord * 0.2, levels[1] - levels[0]),
                paint.rgb,
            )
            for sx in (-1, 1)
        ]
        parts += [
            box(
                (sx * body * 0.7, -length * 0.06, sum(levels) / 2),
                (length * 0.016, chord * 0.2, levels[1] - levels[0]),
                paint.rgb,
            )
            for sx in (-1, 1)
        ]
    tail = length / 2 - chord * 0.45
    for sx in (-1, 1):
        parts.append(_wing(sx, span * 0.17, chord * 0.55, 0.3 * chord, thick, (0, tail, z + body * 0.3), trim.rgb))
    fin = Block(taper=(1.0, 0.6), shear=(0.0, 0.7))
    parts.append(Part(fin, (0, tail, z + body * 1.5), (thick / 2, chord * 0.32, body * 1.3), trim.rgb))
    engines = 1
    if style == "jet":
        engines = int(rng.choice([2, 4]))
        for sx in (-1, 1):
            for k in range(engines // 2):
                x = sx * span * (0.16 + 0.13 * k)
                y = -length * 0.06 + sweep * chord * abs(x) / (span / 2) - chord * 0.35
                parts.append(
                    limb(
                        (x, y - chord * 0.3, z - body * 0.85),
                        (x, y + chord * 0.35, z - body * 0.85),
                        body * 0.42,
                        darker(paint.rgb),
                        top=body * 0.3,
                    )
                )
    else:
        nose = -length / 2
        parts.append(limb((0, nose - 0.05 * length, z), (0, nose + 0.1 * length, z), body * 0.25, TYRE, top=body * 0.5))
        parts.append(box((0, nose - 0.02 * length, z), (length * 0.2, length * 0.015, length * 0.025), TYRE))
        for sx in (-1, 1):
            parts.append(
                limb(
                    (sx * body * 0.6, -length * 0.12, z - body * 0.5),
                    (sx * body * 1.2, -length * 0.12, length * 0.03),
                    length * 0.01,
                    TYRE,
                )
            )
            parts.append(
                limb(
                    (sx * body * 1.2 - 0.08, -length * 0.12, length * 0.035),
                    (sx * body * 1.2 + 0.08, -length * 0.12, length * 0.035),
                    length * 0.035,
                    TYRE,
                )
            )
    parts.append(blob((0, -length * 0.24, z + body * 0.75), (body * 1.1, length * 0.16, body * 1.1), GLASS))
    return parts, painted(paint, trim) | {"n_engines": engines, "style": style}


def _wing(
    side: int, reach: float, chord: float, sweep: float, thick: float, root: tuple[float, float, float], rgb: RGB
) -> Part:
    """A wing from `root` out to `side`, narrowing to half its chord and swept back by `sweep` metres."""
    form = Block(taper=(1.0, 0.5), shear=(0.0, sweep / (chord / 2)))
    out = np.array([[0.0, 0.0, float(side)], [0.0, 1.0, 0.0], [-float(side), 0.0, 0.0]])  # local z goes sideways
    x, y, z = root
    return Part(form, (x + side * reach / 2, y, z), (thick / 2, chord / 2, reach / 2), rgb, out)


def house(rng: np.random.Generator) -> Made:
    wall, roof = coat(rng, "painted", "stone", "wooden"), coat(rng, "painted")
    width, depth, floors = between(rng, 5, 12), between(rng, 5, 9), int(rng.integers(1, 4))
    eaves = floors * between(rng, 2.5, 3.0)
    style = str(rng.choice(["gabled", "hipped", "flat", "pyramid"]))
    parts = [box((0, 0, eaves / 2), (width, depth, eaves), wall.rgb)]
    over, rise, thick = between(rng, 1.04, 1.12), between(rng, 0.25, 0.5) * depth, 0.3
    if style == "flat":
        parts.append(box((0, 0, eaves + thick / 2), (width * over, depth * over, thick), roof.rgb))
    else:
        taper = {"gabled": (1.0, 0.0), "hipped": (max(1 - depth / width, 0.1), 0.0), "pyramid": (0.0, 0.0)}[style]
        parts.append(box((0, 0, eaves + rise / 2), (width * over, depth * over, rise), roof.rgb, taper=taper))
    chimney = style != "flat" and chance(rng, 0.5)
    if chimney:
        high = rise * between(rng, 0.95, 1.15)
        parts.append(
            box(
                (width * between(rng, -0.32, 0.32), depth * 0.16, eaves + high / 2),
                (0.6, 0.6, high),
                darker(COLOURS["red"], 0.7),
            )
        )
    windows = max(int(width // 2.6), 2)
    door = int(rng.integers(windows))
    for level in range(floors):
        z = (level + 0.5) * eaves / floors
        for k in range(windows):
            x = (k + 0.5 - windows / 2) * width / windows
            if level == 0 and k == door:
                parts.append(
                    box(
                        (x, -depth / 2, eaves / floors * 0.38),
                        (1.0, 0.24, eaves / floors * 0.76),
                        darker(COLOURS["brown"]),
                    )
                )
            else:
                parts += [box((x, sy * depth / 2, z), (1.1, 0.24, 1.1), GLASS) for sy in (-1, 1)]
    annex = chance(rng, 0.35)
    if annex:
        side, wide, tall = (1 if chance(rng, 0.5) else -1), width * between(rng, 0.35, 0.6), eaves / floors * 0.95
        parts.append(box((side * (width + wide) / 2, depth * 0.08, tall / 2), (wide, depth * 0.75, tall), wall.rgb))
        parts.append(
            box(
                (side * (width + wide) / 2, depth * 0.08, tall + 0.45),
                (wide * 1.05, depth * 0.82, 0.9),
                roof.rgb,
                taper=(1.0, 0.05),
            )
        )
    return parts, painted(wall, roof) | {
        "n_floors": floors,
        "has_chimney": chimney,
        "style": style + (" annexed" if annex else ""),
    }


def animal(rng: np.random.Generator) -> Made:
    style = str(rng.choice(["dog", "horse", "elephant", "giraffe", "pig"]))
    hue = {"elephant": "grey", "giraffe": "yellow", "pig": "pink"}.get(style) or str(
        rng.choice(["brown", "black", "white", "grey", "beige"])
    )
    rgb = near(rng, COLOURS[hue])
    length = {"dog": 0.7, "horse": 1.7, "elephant": 3.0, "giraffe": 2.0, "pig": 1.1}[style] * between(rng, 0.85, 1.15)
    leg = (
        length
        * {"dog": 0.5, "horse": 0.62, "elephant": 0.5, "giraffe": 1.0, "pig": 0.28}[style]
        * between(rng, 0.9, 1.1)
    )
    girth = (
        length
        * {"dog": 0.17, "horse": 0.19, "elephant": 0.28, "giraffe": 0.19, "pig": 0.25}[style]
        * between(rng, 0.9, 1.1)
    )
    thick = length * {"elephant": 0.1, "pig": 0.07}.get(style, 0.055)
    body = leg + girth * 0.75
    parts = [Part(Blob(2.5), (0, 0, body), (girth, length / 2, girth * 1.05), rgb)]
    for sx in (-1, 1):
        for sy in (-1, 1):
            parts.append(
                limb(
                    (sx * girth * 0.6, sy * length * 0.36, 0),
                    (sx * girth * 0.55, sy * length * 0.33, body),
                    thick * 0.8,
                    rgb,
                    top=thick * 1.3,
                    sides=12,
                )
            )
    neck = length * {"dog": 0.22, "horse": 0.48, "elephant": 0.12, "giraffe": 1.15, "pig": 0.06}[style]
    up = neck * {"giraffe": 0.92, "horse": 0.8, "dog": 0.8}.get(style, 0.5)
    root = (0.0, -length * 0.4, body + girth * 0.3)
    top = (0.0, -length * 0.4 - neck * 0.5 - length * 0.05, body + girth * 0.4 + up)
    parts.append(limb(root, top, girth * 0.55, rgb, top=girth * 0.4))
    head = length * {"elephant": 0.2, "pig": 0.17, "giraffe": 0.14}.get(style, 0.16)
    parts.append(blob((top[0], top[1] - head * 0.4, top[2]), (head * 1.15, head * 2.0, head * 1.25), rgb))
    if style == "elephant":
        y, z = top[1] - head * 1.2, top[2] - head * 0.2
        parts.append(limb((0, y, z), (0, y - head * 0.7, z - leg * 0.55), head * 0.34, rgb, top=head * 0.22))
        parts.append(
            limb(
                (0, y - head * 0.7, z - leg * 0.55),
                (0, y - head * 0.9, z - leg * 0.95),
                head * 0.22,
                rgb,
                top=head * 0.16,
            )
        )
        parts += [
            blob(
                (sx * head * 1.1, top[1] + head * 0.2, top[2]), (head * 1.5, head * 0.35, head * 1.9), darker(rgb, 0.9)
            )
            for sx in (-1, 1)
        ]
    else:
        parts.append(
            blob(
                (0, top[1] - head * 1.2, top[2] - head * 0.25),
                (head * 0.75, head * 1.1, head * 0.7),
                darker(rgb, 0.85),
                3.0,
            )
        )
        ear = head * between(rng, 0.5, 0.9)
        parts += [
            limb(
                (sx * head * 0.4, top[1], top[2] + head * 0.4),
                (sx * head * 0.5, top[1] + 0.1 * head, top[2] + head * 0.5 + ear),
                head * 0.24,
                rgb,
                top=head * 0.1,
                sides=10,
            )
            for sx in (-1, 1)
        ]
    rump = (0.0, length * 0.47, body + girth * 0.4)
    drop = 0.5 if style != "dog" or chance(rng, 0.5) else -0.5
    parts.append(
        limb(
            rump,
            (0, length * 0.62, rump[2] - drop * leg * 0.8),
            thick * 0.6,
            darker(rgb, 0.8),
            top=thick * 0.35,
            sides=10,
        )
    )
    return parts, {"colour": hue, "n_legs": 4, "style": style}


def tree(rng: np.random.Generator) -> Made:
    style = str(rng.choice(["conifer", "round", "bushy", "palm"]))
    hue = (
        str(rng.choice(["green", "green", "green", "orange", "yellow", "red", "pink"])) if style != "palm" else "green"
    )
    leaf, bark = near(rng, COLOURS[hue]), near(rng, COLOURS["brown"])
    height = between(rng, 2.5, 9.0)
    thick, bare = height * between(rng, 0.025, 0.05), between(rng, 0.18, 0.4)
    parts = [column((0, 0, 0), height * (bare + 0.25), thick, bark, top=thick * 0.6)]
    if style == "conifer":
        tiers, wide = int(rng.integers(1, 5)), height * between(rng, 0.16, 0.28)
        tall = height * (1 - bare * 0.6)
        for k in range(tiers):
            z, share = height * bare * 0.6 + tall * 0.72 * k / tiers, 1 - k / (tiers + 0.6)
            parts.append(
                column((0, 0, z), min(tall * (0.6 if tiers > 1 else 1.0), height - z), wide * share, leaf, top=0.0)
            )
    elif style == "round":
        size = height * between(rng, 0.45, 0.7)
        parts.append(
            blob((0, 0, height * (bare + 0.3)), (size, size, height * (1 - bare)), leaf, between(rng, 2.0, 3.0))
        )
    elif style == "bushy":
        for _ in range(int(rng.integers(4, 9))):
            size, turn, out = (
                height * between(rng, 0.22, 0.4),
                between(rng, 0, 2 * np.pi),
                height * between(rng, 0.05, 0.2),
            )
            parts.append(
                blob(
                    (out * np.cos(turn), out * np.sin(turn), height * between(rng, bare + 0.15, 0.85)),
                    (size, size, size * 0.8),
                    near(rng, leaf),
                )
            )
    else:
        parts[0] = column((0, 0, 0), height * 0.9, thick, bark, top=thick * 0.6)
        fronds = int(rng.integers(5, 9))
        for k in range(fronds):
            turn, reach = 2 * np.pi * k / fronds + between(rng, -0.2, 0.2), height * between(rng, 0.25, 0.36)
            c, s = float(np.cos(turn)), float(np.sin(turn))
            middle = (c * reach * 0.6, s * reach * 0.6, height * 0.96)
            parts.append(limb((0, 0, height * 0.88), middle, thick * 0.6, leaf, top=thick * 0.9, sides=8))
            parts.append(
                limb(
                    middle,
                    (c * reach, s * reach, height * between(rng, 0.72, 0.86)),
                    thick * 0.9,
                    leaf,
                    top=thick * 0.3,
                    sides=8,
                )
            )
    return parts, {"colour": hue, "style": style}


def robot(rng: np.random.Generator) -> Made:
    metal, trim = coat(rng, "metal", "plastic"), coat(rng, "plastic", "metal")
    height = between(rng, 0.9, 1.9)
    wide = height * between(rng, 0.26, 0.4)
    style = str(rng.choice(["boxy", "round"]))
    soft = 12.0 if style == "boxy" else 2.6
    leg, body = height * between(rng, 0.26, 0.4), height * between(rng, 0.3, 0.38)
    parts = [blob((0, 0, leg + body / 2), (wide, wide * 0.65, body), metal.rgb, soft)]
    wheels = chance(rng, 0.3)
    if wheels:
        parts.append(box((0, 0, leg * 0.6), (wide * 0.35, wide * 0.35, leg), darker(metal.rgb)))
        parts += [p for sx in (-1, 1) for p in _wheel(sx * wide * 0.45, 0, leg * 0.5, wide * 0.2)]
    else:
        parts += [
            limb((sx * wide * 0.26, 0, 0.0), (sx * wide * 0.26, 0, leg * 1.15), wide * 0.12, trim.rgb) for sx in (-1, 1)
        ]
        parts += [
            blob(
                (sx * wide * 0.27, -wide * 0.1, height * 0.03),
                (wide * 0.32, wide * 0.55, height * 0.06),
                metal.rgb,
                5.0,
            )
            for sx in (-1, 1)
        ]
    arms = int(rng.choice([2, 2, 2, 4]))
    raised = between(rng, -0.9, 0.5)
    for k in range(arms // 2):
        for sx in (-1, 1):
            shoulder = (sx * wide * 0.5, 0.0, leg + body * (0.85 - 0.4 * k))
            reach = height * 0.2
            elbow = (shoulder[0] + sx * reach * 0.6, 0.0, shoulder[2] + raised * reach * 0.8)
            hand = (elbow[0] + sx * reach * 0.2, -reach * 0.7, elbow[2] + 0.1 * reach)
            parts += [limb(shoulder, elbow, wide * 0.1, trim.rgb), limb(elbow, hand, wide * 0.09, trim.rgb)]
            parts.append(blob(hand, (wide * 0.26,) * 3, metal.rgb))
    head = height - leg - body
    parts.append(column((0, 0, leg + body * 0.95), head * 0.3, wide * 0.12, trim.rgb))
    parts.append(blob((0, 0, leg + body + head * 0.55), (wide * 0.62, wide * 0.55, head * 0.8), metal.rgb, soft))
    parts += [
        blob((sx * wide * 0.15, -wide * 0.26, leg + body + head * 0.6), (wide * 0.15,) * 3, (250, 220, 90))
        for sx in (-1, 1)
    ]
    if chance(rng, 0.4):
        parts.append(column((0, 0, height * 0.96), height * 0.1, height * 0.012, trim.rgb))
    return parts, painted(metal, trim) | {
        "n_arms": arms,
        "n_legs": 0 if wheels else 2,
        "n_wheels": 2 if wheels else 0,
        "style": style,
    }


MAKERS: dict[str, Callable[[np.random.Generator], tuple[list[Part], dict[str, Any]]]] = {
    "vase": vase, "bottle": bottle, "cup": cup, "car": car, "house": house, "animal": animal, "tree": tree,
    "airplane": airplane, "robot": robot,
}  # fmt: skip
