"""Makers of the grammar's furniture: each draws a list of parts in metres (front to -y) and says what it drew."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from .palette import RGB, Coat, coat, darker
from .primitives import SIDES, Block, Part, blob, box, column, limb, turned

Made = tuple[list[Part], dict[str, Any]]
TOPS = ("round", "square", "rectangular", "oval", "triangular", "hexagonal")
FOOT: RGB = (68, 48, 34)


def between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def chance(rng: np.random.Generator, share: float) -> bool:
    return bool(rng.random() < share)


def painted(main: Coat, second: Coat | None = None) -> dict[str, Any]:
    """The attributes that say how it was painted."""
    found: dict[str, Any] = {"colour": main.colour, "material": main.material}
    return found | ({"colour2": second.colour} if second else {})


def slab(
    rng: np.random.Generator, shape: str, width: float, depth: float, under: float, thick: float, rgb: RGB
) -> Part:
    """A flat top of one of TOPS, its lower side at height `under`."""
    if shape in ("square", "rectangular"):
        if chance(rng, 0.3):
            return blob((0, 0, under + thick / 2), (width, depth, thick), rgb, 10.0)
        return box((0, 0, under + thick / 2), (width, depth, thick), rgb)
    sides = {"triangular": 3, "hexagonal": 6}.get(shape, SIDES)
    return column((0, 0, under), thick, width / 2, rgb, sides=sides, stretch=(1.0, depth / width))


def legs(
    rng: np.random.Generator, count: int, width: float, depth: float, height: float, thick: float, rgb: RGB,
    round_top: bool = False,
) -> tuple[list[Part], str]:  # fmt: skip
    """Legs from the floor to `height`, under a top of width x depth. -> the parts and their leg_shape."""
    if count == 1:
        foot = between(rng, 0.28, 0.42) * min(width, depth)
        stem = max(thick * 0.8, 0.02)
        parts = [
            column((0, 0, 0), 0.05, foot, rgb, top=foot * between(rng, 0.5, 1.0)),
            column((0, 0, 0.04), height - 0.03, stem, rgb, top=stem * between(rng, 0.7, 1.3)),
        ]
        return parts, "round"
    shape = str(rng.choice(["round", "square", "tapered", "splayed"]))
    inset = 0.62 if round_top or count == 3 else 0.86
    if count == 4 and not round_top:
        places = [(sx * width / 2 * inset, sy * depth / 2 * inset) for sx in (-1, 1) for sy in (-1, 1)]
    elif count == 2:
        places = [(sx * width / 2 * 0.8, 0.0) for sx in (-1, 1)]
    elif count == 6 and not round_top:
        places = [(sx * width / 2 * inset, sy * depth / 2 * inset) for sx in (-1, 0, 1) for sy in (-1, 1)]
    else:
        turns = 2 * np.pi * np.arange(count) / count + (np.pi / 4 if count == 4 else 0.0)
        places = [(float(np.cos(t)) * width / 2 * inset, float(np.sin(t)) * depth / 2 * inset) for t in turns]
    if count == 2:
        parts = []
        for x, _ in places:
            parts.append(box((x, 0, height / 2 + 0.01), (thick * 1.2, depth * 0.35, height), rgb))
            parts.append(box((x, 0, thick / 2), (thick * 1.5, depth * 0.85, thick), rgb))
        return parts, "panel"
    spread = between(rng, 1.12, 1.3) if shape == "splayed" else 1.0
    foot = thick / 2 * (0.55 if shape == "tapered" else 1.0)
    sides = 4 if shape == "square" else 12
    return [
        limb((x * spread, y * spread, 0), (x, y, height), foot, rgb, top=thick / 2, sides=sides) for x, y in places
    ], shape


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
        "top_shape": "rectangular", "n_legs": count, "n_drawers": drawers * len(boxed), "n_shelves": int(upper), "style": style,
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
        "n_legs": 4, "leg_shape": leg_shape, "has_headboard": head, "n_seats": 0, "style": "double" if double else "single",
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
        "n_shelves": shelves, "n_legs": 0 if walls else 4, "has_back": backed, "style": "divided" if columns == 2 else "plain",
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


MAKERS: dict[str, Callable[[np.random.Generator], Made]] = {
    "chair": chair, "armchair": armchair, "stool": stool, "table": table, "desk": desk, "bed": bed, "bookcase": bookcase,
    "cabinet": cabinet, "sofa": sofa, "lamp": lamp, "bench": bench, "ladder": ladder,
}  # fmt: skip
