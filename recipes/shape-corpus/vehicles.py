"""Makers of cars, airplanes and robots."""

from __future__ import annotations

import numpy as np

from .drawing import Made, between, chance, painted
from .palette import RGB, coat, darker
from .primitives import Blob, Block, Part, blob, box, column, limb

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


MAKERS = {"car": car, "airplane": airplane, "robot": robot}
