"""Questions that geometry answers: how many legs, how tall, what colour. Truth is asked too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hive_recipe_shape_corpus.mesh import F32, Mesh
from hive_recipe_shape_corpus.palette import COLOURS
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2lab

from .captions import HELD_OUT_LEGS, Heights, Seen, height_over_width

Bool = NDArray[np.bool_]
SLICES = (0.06, 0.3)  # of the height, where legs are looked for
LEAST_CELLS = 2  # of a leg in a slice
LATITUDE = 1.1  # a low shape may be a tenth taller than the caption's bound, a tall one a tenth lower
SAMPLES = 20_000
NAMES = tuple(COLOURS)
_LAB: F32 = rgb2lab(np.array([[COLOURS[name] for name in NAMES]], np.float64) / 255)[0].astype(np.float32)


@dataclass(frozen=True)
class Answers:
    """Whether what the caption says is so; None where it says nothing."""

    legs: bool | None
    height: bool | None
    colour: bool | None

    def asked(self) -> list[bool]:
        return [each for each in (self.legs, self.height, self.colour) if each is not None]


def answers(seen: Seen, heights: Heights, solid: Bool, mesh: Mesh) -> Answers:
    """solid: (n, n, n) [x, y, z]; mesh: the same shape with its colours."""
    legs = seen.attributes.get("n_legs") if seen.family in HELD_OUT_LEGS else None  # others hide theirs
    height = None
    if seen.height and seen.family in heights.table:
        low, high = heights.table[seen.family]
        measured = height_over_width(np.ptp(mesh.vertices, axis=0))
        height = bool(measured <= low * LATITUDE if seen.height == "low" else measured >= high / LATITUDE)
    return Answers(
        legs=count_legs(solid) == legs if legs else None,
        height=height,
        colour=dominant_colour(mesh) == seen.colour if seen.colour else None,
    )


def count_legs(solid: Bool) -> int:
    """Pieces of the shape in the slices near the floor: the number that most of the slices agree on."""
    levels = np.flatnonzero(solid.any((0, 1)))
    if not len(levels):
        return 0
    bottom, height = levels[0], levels[-1] + 1 - levels[0]
    first, last = (bottom + round(share * height) for share in SLICES)
    counts = []
    for level in range(first, max(last, first + 1)):
        pieces, count = ndimage.label(solid[:, :, level], np.ones((3, 3)))
        counts.append(int((np.bincount(pieces.ravel(), minlength=count + 1)[1:] >= LEAST_CELLS).sum()))
    return int(np.bincount(counts).argmax())


def dominant_colour(mesh: Mesh) -> str:
    """The palette's name that most of the surface bears."""
    return NAMES[int(np.argmax(colour_shares(mesh)))]


def colour_shares(mesh: Mesh) -> F32:
    """Share of the surface that each of NAMES is nearest to (CIE L*a*b*, lightness counted half)."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    shares = np.bincount(nearest_name(mesh.colours), area, len(NAMES))
    return (shares / max(shares.sum(), 1e-20)).astype(np.float32)


def nearest_name(colours: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n, 3) sRGB -> (n,) index into NAMES."""
    packed = colours.astype(np.int64) @ np.array([65536, 256, 1])
    unique, back = np.unique(packed, return_inverse=True)
    lab = rgb2lab(np.stack([unique >> 16, unique >> 8 & 255, unique & 255], 1)[None] / 255)[0]
    weight = np.array([0.5, 1.0, 1.0])
    off = np.linalg.norm((lab[:, None] - _LAB[None]) * weight, axis=2)
    return off.argmin(1)[back.ravel()]
