"""A shape grammar: families of objects whose parts come and go, exact solids, and attributes that say what was made.

Attributes (a family has those that make sense for it):
  family        name of the family
  colour        colour of the main part, one of COLOURS; colour2: of the second part, if it was painted apart
  material      of the main part, one of palette.MATERIALS: "wooden", "metal", "plastic", "fabric", ...
  ratios        [width, depth, height] over the longest of them
  top_shape     of what one looks down on: "round", "square", "rectangular", "oval", "triangular", "hexagonal"
  n_legs        legs that stand on the floor; a central foot counts as 1, a solid base as 0
  leg_shape     "round", "square", "tapered", "splayed", "panel"
  has_back, has_arms, has_handle, has_doors, has_chimney, has_lid, has_headboard   true or false
  n_shelves     boards that things stand on, the lowest and the uppermost of a bookcase among them
  n_drawers, n_seats, n_floors, n_wheels, n_rungs, n_engines, n_arms    counts
  style         a word for a variant that no other attribute tells ("slatted-back", "sedan", "conifer", ...)
Sizes are metres and stand in Shape.size_m.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import furnishings, outdoors, seats, vehicles, vessels
from .mesh import Mesh, join
from .palette import COLOURS
from .primitives import Part, fill

__all__ = ["COLOURS", "FAMILIES", "HELD_OUT_FAMILIES", "Shape", "describe", "make_shape"]

CELLS = 128
THINNEST = 1.6 / CELLS  # a part that is thinner than this, longest side = 1, would fall between cells

_MAKERS: dict[str, Callable[[np.random.Generator], tuple[list[Part], dict[str, Any]]]] = {
    **seats.MAKERS,
    **furnishings.MAKERS,
    **vessels.MAKERS,
    **vehicles.MAKERS,
    **outdoors.MAKERS,
}
HELD_OUT_FAMILIES = ("bench", "airplane", "ladder", "robot")
FAMILIES = tuple(_MAKERS)

NOUNS = (  # styles that are the name of the thing
    "dog", "horse", "elephant", "giraffe", "pig", "mug", "bowl", "goblet", "pickup", "van", "truck", "wardrobe",
    "sideboard", "biplane",
)  # fmt: skip
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SINGULAR = {"shelves": "shelf"}


@dataclass(frozen=True)
class Shape:
    mesh: Mesh  # parts joined, normalised
    solid: NDArray[np.bool_]  # (128, 128, 128), [x, y, z]
    attributes: dict[str, Any]
    size_m: tuple[float, float, float]  # width, depth, height


def make_shape(rng: np.random.Generator, family: str) -> Shape:
    """One object of `family`, drawn with `rng`."""
    parts, attributes = _MAKERS[family](rng)
    corners = np.concatenate([part.mesh().vertices for part in parts])
    least_m = THINNEST * float((corners.max(0) - corners.min(0)).max())
    parts = [part.thickened(least_m) for part in parts]
    mesh = join([part.mesh() for part in parts])
    size = mesh.vertices.max(0).astype(float) - mesh.vertices.min(0)
    attributes = {"family": family, **attributes, "ratios": [round(float(side), 3) for side in size / size.max()]}
    return Shape(mesh.normalised(), fill(parts, mesh, CELLS), attributes, tuple(round(float(s), 4) for s in size))


def describe(attributes: dict[str, Any]) -> str:
    """A name in English, from the discrete attributes alone: "brown wooden round table with three legs"."""
    words = [attributes.get(key) for key in ("colour", "material", "top_shape", "style")]
    if attributes.get("style") not in NOUNS:
        words.append(attributes["family"])
    name = " ".join(str(word) for word in words if word)
    having = []
    for key, value in sorted(attributes.items()):
        noun = key.partition("_")[2].replace("_", " ")
        if key.startswith("n_") and value:
            having.append(f"{_NUMBERS[min(value, 10)]} {noun if value > 1 else _SINGULAR.get(noun, noun[:-1])}")
        elif key.startswith("has_") and value:
            having.append(noun)
    return name + (" with " + " and ".join(having) if having else "")
