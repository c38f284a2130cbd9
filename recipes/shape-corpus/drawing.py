"""What makers of objects share: they draw a list of parts in metres (front to -y) and say what they drew."""

from __future__ import annotations

from typing import Any

import numpy as np

from .palette import RGB, Coat
from .primitives import SIDES, Part, blob, box, column, limb

Made = tuple[list[Part], dict[str, Any]]
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
