"""What the flow is taught: furniture and its mirror images, and shapes of the grammar, in other colours too.

Other colours teach that colour and form have nothing to do with each other. Held-out combinations stay out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from hive_recipe_shape_corpus.palette import COLOURS, MATERIALS
from numpy.typing import NDArray
from torch import Tensor

from .autoencoder import Voxels
from .captions import Seen, is_held_out
from .probes import NAMES, nearest_name
from .shapes import Shapes

TOGETHER = 16  # shapes that are encoded at once


@dataclass(frozen=True)
class Lesson:
    index: int  # of the shape
    seen: Seen  # what there is to say of it
    colour: str = ""  # that its main part is painted in; "" for its own
    mirrored: bool = False


def draw_lessons(shapes: Shapes, repaints: int, rng: np.random.Generator) -> list[Lesson]:
    """Every piece of furniture and its mirror image; every shape of the grammar, in at most `repaints` other colours
    too, each time mirrored by chance."""
    found = []
    for index in shapes.training:
        seen = shapes.seen[index]
        if not seen.attributes:
            found += [Lesson(index, seen, mirrored=mirrored) for mirrored in (False, True)]
            continue
        found.append(Lesson(index, seen, mirrored=bool(rng.random() < 0.5)))
        others = [name for name in NAMES if name != seen.colour]
        for name in rng.permutation(others)[:repaints]:
            lesson = Lesson(index, repainted(seen, str(name)), str(name), bool(rng.random() < 0.5))
            if not is_held_out(lesson.seen):
                found.append(lesson)
    return found


def repainted(seen: Seen, name: str) -> Seen:
    """What there is to say when everything in its main colour is painted in another: not that it is wooden, if wood
    has no such colour."""
    changed = {key: name for key in ("colour", "colour2") if seen.attributes.get(key) == seen.colour}
    kept = {
        key: value
        for key, value in seen.attributes.items()
        if key != "material" or name in MATERIALS.get(str(value), (name,))
    }
    return replace(seen, colour=name, attributes={**kept, **changed})


def voxels_of(shapes: Shapes, lessons: Sequence[Lesson]) -> Voxels:
    grids = shapes.grids([lesson.index for lesson in lessons])
    for each, lesson in enumerate(lessons):
        if lesson.colour:
            repaint(grids.colour[each], grids.coloured[each], shapes.seen[lesson.index].colour, lesson.colour)
        if lesson.mirrored:
            grids.flip(each, (0,))
    return grids.voxels()


def repaint(colour: NDArray[np.uint8], where: NDArray[np.bool_], old: str, new: str) -> None:
    """Shift the cells of `colour` (n, n, n, 3) that bear the old name to the new one, in place."""
    shown = colour[where]
    shift = np.array(COLOURS[new]) - COLOURS[old]
    moved = np.clip(shown.astype(np.int64) + shift, 0, 255).astype(np.uint8)
    colour[where] = np.where((nearest_name(shown) == NAMES.index(old))[:, None], moved, shown)


def latents_of(
    encode: Callable[[Voxels], Tensor], shapes: Shapes, lessons: Sequence[Lesson], threads: int = 1
) -> Tensor:
    """(n, *LATENT_SHAPE), encoded a few at a time."""

    def some(start: int) -> Tensor:
        with torch.inference_mode():
            return encode(voxels_of(shapes, lessons[start : start + TOGETHER]))

    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return torch.cat(list(pool.map(some, range(0, len(lessons), TOGETHER))))
