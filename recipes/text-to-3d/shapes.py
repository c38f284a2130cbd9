"""The corpus as the networks take it: voxels of every shape, what there is to say of it, and who is held out."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from hive_recipe_shape_corpus.grammar import HELD_OUT_FAMILIES
from numpy.typing import NDArray
from scipy import ndimage

from .autoencoder import CELLS, COLOUR_CELLS, Voxels
from .captions import Heights, Seen, is_held_out, see
from .probes import dominant_colour

if TYPE_CHECKING:
    from collections.abc import Callable

    from hive_recipe_shape_corpus.corpus import Corpus, Item

SUBCELLS = 8  # of the solid in one cell


@dataclass(frozen=True)
class Shapes:
    """n shapes, as small whole numbers because all of them stay in memory."""

    items: tuple[Item, ...]
    seen: tuple[Seen, ...]
    heights: Heights
    filled: NDArray[np.uint8]  # (n, 64, 64, 64), 0..SUBCELLS
    colour: NDArray[np.uint8]  # (n, 32, 32, 32, 3) sRGB
    coloured: NDArray[np.bool_]  # (n, 32, 32, 32), at a surface
    training: tuple[int, ...]  # for both networks
    held_out: tuple[int, ...]  # combinations of words that training never sees
    validation: tuple[int, ...]
    test: tuple[int, ...]  # names that training never sees
    strange: tuple[int, ...]  # whole families that training never sees

    def disturbed(self, index: NDArray[np.int64], rng: np.random.Generator) -> Voxels:
        """The shapes of these numbers, mirrored and with red, green and blue changed, each by chance."""
        filled, colour, coloured = (each[index] for each in (self.filled, self.colour, self.coloured))
        for each in range(len(index)):
            axes = tuple(axis for axis in (0, 1) if rng.random() < 0.5)
            filled[each], colour[each], coloured[each] = (
                np.flip(grid[each], axes) for grid in (filled, colour, coloured)
            )
            colour[each] = colour[each][..., rng.permutation(3)]
        return as_voxels(filled, colour, coloured)


def as_voxels(filled: NDArray[np.uint8], colour: NDArray[np.uint8], coloured: NDArray[np.bool_]) -> Voxels:
    return Voxels(
        torch.from_numpy(filled).float() / SUBCELLS,
        (torch.from_numpy(colour).float() / 255).permute(0, 4, 1, 2, 3).contiguous(),
        torch.from_numpy(coloured),
    )


def read_shapes(corpus: Corpus, items: tuple[Item, ...], workers: int, progress: Callable[[int], None]) -> Shapes:
    """The shapes of these items, unpacked by worker processes."""
    filled = np.zeros((len(items), *3 * [CELLS]), np.uint8)
    colour = np.zeros((len(items), *3 * [COLOUR_CELLS], 3), np.uint8)
    coloured = np.zeros((len(items), *3 * [COLOUR_CELLS]), bool)
    names = []
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        for number, one in enumerate(pool.map(partial(_read, corpus), items, chunksize=8)):
            filled[number], colour[number], coloured[number], name = one
            names.append(name)
            progress(number + 1)
    known = [each for each, item in enumerate(items) if item.split == "train" and item.kind == "grammar"]
    heights = Heights.of([items[each].family for each in known], [items[each].size_m for each in known])
    seen = tuple(see(item, name, heights) for item, name in zip(items, names, strict=True))
    numbers = range(len(items))
    strange = {each for each in numbers if items[each].family in HELD_OUT_FAMILIES}
    apart = {each for each in numbers if is_held_out(seen[each])} - strange
    split = {
        name: tuple(each for each in numbers if items[each].split == name and each not in apart | strange)
        for name in ("train", "validation", "test")
    }
    return Shapes(
        items, seen, heights, filled, colour, coloured,
        split["train"], tuple(sorted(apart)), split["validation"], split["test"], tuple(sorted(strange)),
    )  # fmt: skip


def _read(corpus: Corpus, item: Item) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_], str]:
    """filled, colour and coloured of one shape, and the name of its colour where no attribute has it."""
    filled = share_filled(corpus.solid(item))
    colour = (halved(corpus.colour(item).astype(np.uint16)) + SUBCELLS // 2) // SUBCELLS
    name = dominant_colour(corpus.mesh(item)) if item.kind == "furniture" else ""
    return filled, colour.astype(np.uint8), near_surface(filled), name


def share_filled(solid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(128, 128, 128) -> how many of its eight subcells each cell of 64^3 has filled."""
    return halved(solid.view(np.uint8))


def halved(grid: NDArray[Any]) -> NDArray[Any]:
    """(n, n, n, ...) -> the sums of blocks of 2^3."""
    for axis in range(3):
        grid = grid.swapaxes(0, axis)
        grid = (grid[::2] + grid[1::2]).swapaxes(0, axis)
    return np.ascontiguousarray(grid)


def near_surface(filled: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The cells of 32^3 that have both inside and outside in them or beside them. filled: as share_filled gives it."""
    shares = halved(filled)
    some = ndimage.binary_dilation(shares > 0, np.ones((3, 3, 3)))
    whole = ndimage.binary_erosion(shares == SUBCELLS**2, np.ones((3, 3, 3)))
    found: NDArray[np.bool_] = some & ~whole
    return found
