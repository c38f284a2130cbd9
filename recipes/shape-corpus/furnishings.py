"""Makers of furniture that one does not sit on."""

from __future__ import annotations

import itertools

import numpy as np

from .drawing import Made, between, chance, legs, painted, slab
from .palette import coat, darker
from .primitives import blob, box, column, limb, turned

TOPS = ("round", "square", "rectangular", "oval", "triangular", "hexagonal")


def table(rng: np.random.Generator) -> Made:
    top, frame = coat(rng, "wooden", "wooden", "metal", "plastic", "stone"), None
    shape = str(rng.choice(TOPS, p=[0.3, 0.15, 0.3, 0.1, 0.07, 0.08]))
    width = between(rng, 0.6, 1.2) if shape not in ("rectangular", "oval") else between(rng, 1.0, 2.2)
    depth = width if shape not in ("rectangular", "oval") else width * between(rng, 0.4, 0.7)
    height = between(rng, 0.3, 0.5) if chance(rng, 0.35) else between(rng, 0.65, 1.05)
    round_top = shape in ("round", "oval", "triangular", "hexagonal")
    count = int(rng.choice([1, 3, 4]) if round_top else rng.choice([1, 2, 4, 4, 6]))
    if shape in ("rectangular", "oval") and count == 1:
        count = 4
    count = 3 if shape == "triangular" else count
    if chance(rng, 0.3):
        frame = coat(rng, "wooden", "metal")
    rgb = frame.rgb if frame else top.rgb
    thick = between(rng, 0.03, 0.07)
    parts, leg_shape = legs(rng, count, width, depth, height - thick, between(rng, 0.04, 0.09), rgb, round_top)
    parts.append(slab(rng, shape, width, depth, height - thick, thick, top.rgb))
    if count == 4 and not round_top and chance(rng, 0.4):  # an apron
        parts += [box((0, sy * depth * 0.42, height - thick - 0.05), (width * 0.84, 0.03, 0.1), rgb) for sy in (-1, 1)]
        parts += [box((sx * width * 0.42, 0, height - thick - 0.05), (0.03, depth * 0.84, 0.1), rgb) for sx in (-1, 1)]
    shelf = count == 4 and chance(rng, 0.2)
    if shelf:
        parts.append(box((0, 0, height * 0.3), (width * 0.84, depth * 0.84, thick), top.rgb))
    attributes = {"top_shape": shape, "n_legs": count, "leg_shape": leg_shape, "n_shelves": int(shelf)}
    return parts, painted(top, frame) | attributes


def desk(rng: np.random.Generator) -> Made:
    wood = coat(rng, "wooden", "wooden", "metal")
    other = coat(rng, "wooden", "metal", "painted") if chance(rng, 0.35) else None
    rgb = other.rgb if other else darker(wood.rgb, 0.9)
    width, depth, height, thick = (
        between(rng, 1.0, 1.9),
        between(rng, 0.5, 0.85),
        between(rng, 0.7, 0.78),
        between(rng, 0.03, 0.05),
    )
    parts = [box((0, 0, height - thick / 2), (width, depth, thick), wood.rgb)]
    style = str(rng.choice(["single-pedestal", "double-pedestal", "panel", "open"]))
    wide, drawers, count = between(rng, 0.32, 0.45), int(rng.integers(2, 5)), 0
    boxed = {"single-pedestal": [1 if chance(rng, 0.5) else -1], "double-pedestal": [-1, 1]}.get(style, [])
    for sx in boxed:
        x = sx * (width / 2 - wide / 2 - 0.02)
        parts.append(box((x, 0, (height - thick) / 2), (wide, depth * 0.92, height - thick), rgb))
        for k in range(drawers):
            z, tall = (k + 0.5) * (height - thick) / drawers, (height - thick) / drawers
            parts.append(box((x, -depth * 0.46, z), (wide * 0.92, 0.04, tall * 0.86), wood.rgb))
            parts.append(box((x, -depth * 0.46 - 0.03, z), (wide * 0.35, 0.03, 0.025), (180, 180, 184)))
    if style == "single-pedestal":
        x = -boxed[0] * (width / 2 - 0.05)
        parts += [
            box((x, sy * depth * 0.42, (height - thick) / 2), (0.05, 0.05, height - thick), rgb) for sy in (-1, 1)
        ]
        count = 2
    elif style == "panel":
        parts += [
            box((sx * (width / 2 - 0.03), 0, (height - thick) / 2), (0.035, depth * 0.95, height - thick), rgb)
            for sx in (-1, 1)
        ]
    elif style == "open":
        made, _ = legs(rng, 4, width, depth, height - thick, between(rng, 0.04, 0.07), rgb)
        parts += made
        count = 4
    if style != "open" or chance(rng, 0.4):
        parts.append(box((0, depth * 0.42, height * 0.68), (width * 0.94, 0.03, height * 0.5), rgb))
    upper = chance(rng, 0.2)
    if upper:
        parts.append(box((0, depth * 0.36, height + 0.3), (width, depth * 0.26, 0.03), wood.rgb))
        parts += [
            box((sx * (width / 2 - 0.02), depth * 0.36, height + 0.15), (0.035, depth * 0.26, 0.3), wood.rgb)
            for sx in (-1, 1)
        ]
    return parts, painted(wood, other) | {
        "top_shape": "rectangular", "n_legs": count, "n_drawers": drawers * len(boxed), "n_shelves": int(upper),
        "style": style,
    }  # fmt: skip


def bed(rng: np.random.Generator) -> Made:
    frame, cover = coat(rng, "wooden", "wooden", "metal"), coat(rng, "fabric")
    double = chance(rng, 0.55)
    width, length = (between(rng, 1.4, 1.9) if double else between(rng, 0.8, 1.1)), between(rng, 1.95, 2.2)
    low, thick = between(rng, 0.18, 0.36), between(rng, 0.16, 0.28)
    parts = [box((0, 0, low - 0.06), (width + 0.06, length, 0.12), frame.rgb)]
    parts.append(blob((0, 0, low + thick / 2 - 0.02), (width, length - 0.04, thick), (238, 236, 230), 9.0))
    reach = between(rng, 0.55, 0.78)
    parts.append(
        blob(
            (0, -length * (1 - reach) / 2, low + thick / 2 + 0.01),
            (width + 0.05, length * reach, thick + 0.03),
            cover.rgb,
            9.0,
        )
    )
    for k in range(2 if double else 1):
        x = (k - 0.5) * width / 2 if double else 0.0
        parts.append(
            blob(
                (x, length / 2 - 0.25, low + thick + 0.03),
                (width * (0.42 if double else 0.7), 0.36, 0.15),
                (244, 242, 238),
                3.0,
            )
        )
    head = chance(rng, 0.8)
    if head:
        high = low + thick + between(rng, 0.2, 0.6)
        if chance(rng, 0.4):
            parts += [
                box((sx * (width / 2), length / 2 + 0.02, high / 2), (0.07, 0.07, high), frame.rgb) for sx in (-1, 1)
            ]
            bars = int(rng.integers(4, 9))
            parts += [
                box(
                    ((k + 0.5 - bars / 2) * width / bars, length / 2 + 0.02, high / 2 + low / 2),
                    (0.045, 0.045, high - low),
                    frame.rgb,
                )
                for k in range(bars)
            ]
            parts.append(box((0, length / 2 + 0.02, high - 0.03), (width, 0.06, 0.07), frame.rgb))
        else:
            parts.append(box((0, length / 2 + 0.02, high / 2), (width + 0.06, 0.07, high), frame.rgb))
    foot = chance(rng, 0.35)
    if foot:
        parts.append(
            box((0, -length / 2 - 0.02, (low + thick) / 2 + 0.05), (width + 0.06, 0.06, low + thick + 0.1), frame.rgb)
        )
    made, leg_shape = legs(rng, 4, width + 0.02, length, low - 0.05, between(rng, 0.06, 0.09), frame.rgb)
    return parts + made, painted(frame, cover) | {
        "n_legs": 4, "leg_shape": leg_shape, "has_headboard": head, "style": "double" if double else "single",
    }  # fmt: skip


def bookcase(rng: np.random.Generator) -> Made:
    wood = coat(rng, "wooden", "wooden", "metal", "plastic")
    width, depth, height, board = (
        between(rng, 0.4, 1.3),
        between(rng, 0.22, 0.4),
        between(rng, 0.7, 2.1),
        between(rng, 0.025, 0.045),
    )
    shelves = int(rng.integers(2, 7))
    backed, walls = chance(rng, 0.6), chance(rng, 0.75)
    parts = []
    for k in range(shelves):  # boards, the top and the bottom one among them
        z = board / 2 + k * (height - board) / (shelves - 1) if shelves > 1 else board / 2
        z = max(z, 0.06) if k == 0 else z
        parts.append(box((0, 0, z), (width, depth, board), wood.rgb))
    if walls:
        parts += [
            box((sx * (width / 2 - board / 2), 0, height / 2), (board, depth, height), wood.rgb) for sx in (-1, 1)
        ]
    else:
        parts += [
            box((sx * (width / 2 - 0.02), sy * (depth / 2 - 0.02), height / 2), (0.04, 0.04, height), darker(wood.rgb))
            for sx in (-1, 1)
            for sy in (-1, 1)
        ]
    if backed:
        parts.append(box((0, depth / 2 - 0.012, height / 2), (width, 0.024, height), darker(wood.rgb, 0.9)))
    columns = 2 if width > 0.8 and chance(rng, 0.4) else 1
    if columns == 2:
        parts.append(box((0, 0, height / 2), (board, depth, height), wood.rgb))
    return parts, painted(wood) | {
        "n_shelves": shelves, "n_legs": 0 if walls else 4, "has_back": backed,
        "style": "divided" if columns == 2 else "plain",
    }  # fmt: skip


def cabinet(rng: np.random.Generator) -> Made:
    wood = coat(rng, "wooden", "wooden", "painted", "metal")
    front = coat(rng, "wooden", "painted") if chance(rng, 0.3) else None
    style = str(rng.choice(["wardrobe", "sideboard", "chest"]))
    width, depth, height = {
        "wardrobe": (between(rng, 0.8, 1.8), between(rng, 0.5, 0.65), between(rng, 1.7, 2.2)),
        "sideboard": (between(rng, 1.1, 2.0), between(rng, 0.38, 0.5), between(rng, 0.65, 0.95)),
        "chest": (between(rng, 0.5, 1.0), between(rng, 0.4, 0.55), between(rng, 0.6, 1.2)),
    }[style]
    foot = between(rng, 0.08, 0.18) if chance(rng, 0.6) else 0.0
    parts = [box((0, 0, (height + foot) / 2), (width, depth, height - foot), wood.rgb)]
    rgb, metal = (front.rgb if front else darker(wood.rgb, 0.92)), (188, 186, 180)
    tall, drawers, doors = height - foot - 0.06, 0, 0
    if style == "chest":
        drawers = int(rng.integers(2, 6))
        for k in range(drawers):
            z = foot + 0.03 + (k + 0.5) * tall / drawers
            parts.append(box((0, -depth / 2 - 0.012, z), (width * 0.93, 0.03, tall / drawers * 0.88), rgb))
            parts += [blob((sx * width * 0.22, -depth / 2 - 0.04, z), (0.05, 0.05, 0.05), metal) for sx in (-1, 1)]
    else:
        doors = int(rng.integers(2, 5)) if style == "sideboard" else 2
        each = width * 0.95 / doors
        for k in range(doors):
            x = (k + 0.5 - doors / 2) * each
            parts.append(box((x, -depth / 2 - 0.012, foot + 0.03 + tall / 2), (each * 0.95, 0.03, tall), rgb))
            side = 1 if k % 2 == 0 else -1
            parts.append(
                box(
                    (x + side * each * 0.36, -depth / 2 - 0.04, foot + 0.03 + tall / 2),
                    (0.035, 0.035, tall * 0.16),
                    metal,
                )
            )
    if chance(rng, 0.4):
        parts.append(box((0, -0.01, height + 0.02), (width * 1.06, depth * 1.1, 0.04), wood.rgb))
    count = 4 if foot else 0
    if count:
        made, _ = legs(rng, 4, width, depth, foot + 0.02, between(rng, 0.05, 0.07), darker(wood.rgb))
        parts += made
    return parts, painted(wood, front) | {"n_legs": count, "n_drawers": drawers, "has_doors": doors > 0, "style": style}


def lamp(rng: np.random.Generator) -> Made:
    stand, shade = coat(rng, "metal", "wooden", "ceramic"), coat(rng, "fabric", "plastic")
    style = str(rng.choice(["floor", "table", "arched"], p=[0.35, 0.4, 0.25]))
    height = between(rng, 1.3, 1.8) if style != "table" else between(rng, 0.35, 0.65)
    base, thin = height * between(rng, 0.09, 0.15), max(height * 0.012, 0.008)
    wide, tall = height * between(rng, 0.1, 0.2), height * between(rng, 0.14, 0.24)
    if style == "table":
        wide, tall, base = (
            height * between(rng, 0.22, 0.36),
            height * between(rng, 0.28, 0.42),
            height * between(rng, 0.12, 0.24),
        )
    parts = [column((0, 0, 0), height * 0.035, base, stand.rgb, top=base * between(rng, 0.6, 1.0))]
    x = 0.0
    if style == "table" and chance(rng, 0.6):
        body = height - tall * 1.05
        bulge = height * between(rng, 0.08, 0.17)
        profile = (
            (0, 0),
            (bulge * 0.5, 0),
            (bulge, 0.3),
            (bulge * 0.8, 0.55),
            (thin * 1.4, 0.8),
            (thin * 1.4, 1),
            (0, 1),
        )
        parts.append(turned((0, 0, height * 0.02), body, profile, stand.rgb))
    elif style == "arched":
        x = height * between(rng, 0.25, 0.45)
        angles = np.linspace(np.pi, 0, 9)
        points = [
            (x / 2 + float(np.cos(t)) * x / 2, 0.0, height * 0.72 + float(np.sin(t)) * height * 0.26) for t in angles
        ]
        parts.append(limb((0, 0, 0), points[0], thin, stand.rgb))
        parts += [limb(a, b, thin, stand.rgb) for a, b in itertools.pairwise(points)]
    else:
        parts.append(column((0, 0, 0), height - tall * 0.5, thin, stand.rgb))
    bottom = height * 0.72 - tall * 0.9 if style == "arched" else height - tall
    upper = wide * between(rng, 0.35, 1.0)
    if chance(rng, 0.25):
        parts.append(blob((x, 0, bottom + tall / 2), (2 * wide, 2 * wide, tall), shade.rgb))
        form = "globe"
    else:
        wall = 0.12
        profile = ((0, 0.9), (upper * 0.86, 0.9), (wide * (1 - wall), 0), (wide, 0), (upper, 1), (0, 1))
        parts.append(turned((x, 0, bottom), tall, profile, shade.rgb))
        form = "cone" if upper < 0.8 * wide else "drum"
    return parts, painted(shade, stand) | {"n_legs": 1, "style": f"{style} {form}"}


def ladder(rng: np.random.Generator) -> Made:
    wood = coat(rng, "wooden", "metal", "plastic")
    height, bottom = between(rng, 1.2, 2.4), between(rng, 0.38, 0.55)
    top, bar = bottom * between(rng, 0.6, 1.0), between(rng, 0.04, 0.06)
    rungs, step = int(rng.integers(3, 9)), chance(rng, 0.5)
    lean = height * between(rng, 0.15, 0.25) if step else 0.0
    parts = [limb((sx * bottom / 2, -lean, 0), (sx * top / 2, 0, height), bar / 2, wood.rgb, sides=4) for sx in (-1, 1)]
    for k in range(rungs):
        up = (k + 0.7) / rungs
        wide = bottom + (top - bottom) * up
        parts.append(box((0, -lean * (1 - up), height * up), (wide, bar * (1.8 if step else 0.7), bar * 0.7), wood.rgb))
    if step:
        parts += [
            limb((sx * bottom / 2, lean, 0), (sx * top / 2, 0, height), bar / 2, wood.rgb, sides=4) for sx in (-1, 1)
        ]
        parts.append(box((0, lean * 0.55, height * 0.45), (bottom * 0.9, bar * 0.7, bar * 0.7), wood.rgb))
    return parts, painted(wood) | {
        "n_rungs": rungs,
        "n_legs": 4 if step else 2,
        "style": "step" if step else "straight",
    }


MAKERS = {
    "table": table,
    "desk": desk,
    "bed": bed,
    "bookcase": bookcase,
    "cabinet": cabinet,
    "lamp": lamp,
    "ladder": ladder,
}
