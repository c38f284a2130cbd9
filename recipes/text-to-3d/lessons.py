"""What the flow is taught: every training shape, its mirror image, and shapes of the grammar in other colours.

Other colours teach that colour and form have nothing to do with each other. Held-out combinations stay out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from hive_recipe_shape_corpus.palette import COLOURS
from numpy.typing import NDArray
from torch import Tensor

from .autoencoder import Voxels
from .captions import Seen, is_held_out
from .probes import NAMES, nearest_name
from .shapes import Shapes, as_voxels

TOGETHER = 16  # shapes that are encoded at once


@dataclass(frozen=True)
class Lesson:
    index: int  # of the shape
    seen: Seen  # what there is to say of it
    colour: str = ""  # that its main part is painted in; "" for its own
    mirrored: bool = False


def draw_lessons(shapes: Shapes, repaints: int, rng: np.random.Generator) -> list[Lesson]:
    """Every training shape and its mirror image, those of the grammar in at most `repaints` other colours too."""
    found = []
    for index in shapes.training:
        seen = shapes.seen[index]
        found += [Lesson(index, seen, mirrored=mirrored) for mirrored in (False, True)]
        others = [name for name in NAMES if name != seen.colour] if seen.attributes else []
        for name in rng.permutation(others)[:repaints]:
            lesson = Lesson(index, repainted(seen, str(name)), str(name), bool(rng.random() < 0.5))
            if not is_held_out(lesson.seen):
                found.append(lesson)
    return found


def repainted(seen: Seen, name: str) -> Seen:
    """What there is to say when everything in its main colour is painted in another."""
    changed = {key: name for key in ("colour", "colour2") if seen.attributes.get(key) == seen.colour}
    return replace(seen, colour=name, attributes={**seen.attributes, **changed})


def voxels_of(shapes: Shapes, lessons: Sequence[Lesson]) -> Voxels:
    index = np.array([lesson.index for lesson in lessons])
    filled, colour, coloured = (grid[index] for grid in (shapes.filled, shapes.colour, shapes.coloured))
    for each, lesson in enumerate(lessons):
        if lesson.colour:
            repaint(colour[each], coloured[each], shapes.seen[lesson.index].colour, lesson.colour)
        if lesson.mirrored:
            filled[each], colour[each], coloured[each] = (grid[each][::-1] for grid in (filled, colour, coloured))
    return as_voxels(filled, colour, coloured)


def repaint(colour: NDArray[np.uint8], where: NDArray[np.bool_], old: str, new: str) -> None:
    """Shift the cells of `colour` (n, n, n, 3) that bear the old name to the new one, in place."""
    shown = colour[where]
    shift = np.array(COLOURS[new]) - COLOURS[old]
    moved = np.clip(shown.astype(np.int64) + shift, 0, 255).astype(np.uint8)
    colour[where] = np.where((nearest_name(shown) == NAMES.index(old))[:, None], moved, shown)


def latents_of(encode: Callable[[Voxels], Tensor], shapes: Shapes, lessons: Sequence[Lesson]) -> Tensor:
    """(n, *LATENT_SHAPE), encoded a few at a time."""
    chunks = [lessons[start : start + TOGETHER] for start in range(0, len(lessons), TOGETHER)]
    with torch.inference_mode():
        return torch.cat([encode(voxels_of(shapes, chunk)) for chunk in chunks])
