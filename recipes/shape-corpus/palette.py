"""What parts are painted with, and the names that people give to colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {  # sRGB
    "red": (190, 40, 38),
    "orange": (228, 126, 40),
    "yellow": (232, 200, 56),
    "green": (62, 138, 66),
    "turquoise": (62, 168, 166),
    "blue": (48, 86, 172),
    "purple": (116, 64, 146),
    "pink": (228, 142, 168),
    "brown": (116, 76, 46),
    "beige": (212, 186, 146),
    "white": (236, 234, 228),
    "grey": (134, 136, 138),
    "black": (38, 38, 42),
}
MATERIALS: dict[str, tuple[str, ...]] = {  # the colours that each comes in
    "wooden": ("brown", "brown", "brown", "beige", "beige", "white", "black", "red", "green", "blue"),
    "metal": ("grey", "grey", "black", "white", "red", "blue", "green", "yellow"),
    "plastic": ("white", "red", "orange", "yellow", "green", "blue", "pink", "black", "turquoise", "purple", "grey"),
    "fabric": (
        "red",
        "blue",
        "green",
        "grey",
        "beige",
        "purple",
        "turquoise",
        "brown",
        "orange",
        "pink",
        "white",
        "yellow",
    ),
    "leather": ("brown", "black", "white", "red", "beige"),
    "ceramic": ("white", "blue", "green", "red", "turquoise", "black", "yellow", "beige"),
    "glass": ("green", "blue", "turquoise", "brown", "white"),
    "stone": ("grey", "white", "beige", "black"),
    "painted": ("red", "blue", "green", "yellow", "white", "black", "grey", "orange", "turquoise", "purple"),
}
SPREAD = 9.0  # standard deviation of a coat's colour around the one it is named after


@dataclass(frozen=True)
class Coat:
    rgb: RGB
    colour: str
    material: str


def coat(rng: np.random.Generator, *materials: str) -> Coat:
    """A coat of one of the materials, in one of its colours."""
    material = str(rng.choice(materials))
    colour = str(rng.choice(MATERIALS[material]))
    return Coat(near(rng, COLOURS[colour]), colour, material)


def near(rng: np.random.Generator, rgb: RGB) -> RGB:
    """A colour a little off, mostly in brightness."""
    off = rng.normal(0, SPREAD) + rng.normal(0, SPREAD / 3, 3)
    r, g, b = (int(np.clip(round(channel + shift), 0, 255)) for channel, shift in zip(rgb, off, strict=True))
    return r, g, b


def darker(rgb: RGB, share: float = 0.7) -> RGB:
    r, g, b = (int(channel * share) for channel in rgb)
    return r, g, b
