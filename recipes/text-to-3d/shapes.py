"""The shapes as the networks take them: voxels of each, what there is to say of it, and who is held out.

They are those of the corpus, and further ones that the grammar draws: one more takes a tenth of a second of a core.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from hive_recipe_shape_corpus.corpus import Item, split_of, surface_colours
from hive_recipe_shape_corpus.grammar import FAMILIES, HELD_OUT_FAMILIES, describe, make_shape
from numpy.random import Generator, Philox, SeedSequence
from numpy.typing import NDArray
from scipy import ndimage

from .autoencoder import CELLS, COLOUR_CELLS, Voxels
from .captions import HELD_OUT_LEGS, Heights, Seen, is_held_out, see
from .probes import dominant_colour

if TYPE_CHECKING:
    from collections.abc import Callable

    from hive_recipe_shape_corpus.corpus import Corpus

SUBCELLS = 8  # of the solid in one cell
# Further shapes are drawn of what has legs to be counted most of all: legs are where most goes wrong.
DRAWN = tuple(each for each in FAMILIES if each not in HELD_OUT_FAMILIES) + 4 * tuple(HELD_OUT_LEGS)


@dataclass(frozen=True)
class Grids:
    """n shapes. filled: (n, 64, 64, 64), 0..SUBCELLS; colour: (n, 32, 32, 32, 3) sRGB; coloured: (n, 32, 32, 32), at a
    surface."""

    filled: NDArray[np.uint8]
    colour: NDArray[np.uint8]
    coloured: NDArray[np.bool_]

    def voxels(self) -> Voxels:
        return Voxels(
            torch.from_numpy(self.filled).float() / SUBCELLS,
            (torch.from_numpy(self.colour).float() / 255).permute(0, 4, 1, 2, 3).contiguous(),
            torch.from_numpy(self.coloured),
        )

    def flip(self, each: int, axes: tuple[int, ...]) -> None:
        """Mirror one of the shapes."""
        for grid in (self.filled, self.colour, self.coloured):
            grid[each] = np.flip(grid[each], axes)


@dataclass(frozen=True)
class Shapes:
    """All shapes, packed because all of them stay in memory."""

    items: tuple[Item, ...]
    seen: tuple[Seen, ...]
    heights: Heights
    packed: tuple[bytes, ...]
    training: tuple[int, ...]  # for both networks
    held_out: tuple[int, ...]  # combinations of words that training never sees
    validation: tuple[int, ...]
    test: tuple[int, ...]  # names that training never sees
    strange: tuple[int, ...]  # whole families that training never sees

    def grids(self, index: Sequence[int]) -> Grids:
        """The shapes of these numbers; they may be changed."""
        filled, colour, coloured = zip(*(unpack(self.packed[each]) for each in index), strict=True)
        return Grids(np.stack(filled), np.stack(colour), np.stack(coloured))

    def disturbed(self, index: Sequence[int], rng: np.random.Generator) -> Voxels:
        """The shapes of these numbers, mirrored and with red, green and blue changed, each by chance."""
        grids = self.grids(index)
        for each in range(len(index)):
            grids.flip(each, tuple(axis for axis in (0, 1) if rng.random() < 0.5))
            grids.colour[each] = grids.colour[each][..., rng.permutation(3)]
        return grids.voxels()


def read_shapes(
    corpus: Corpus, items: tuple[Item, ...], further: int, seed: tuple[int, ...], workers: int,
    progress: Callable[[int], None],
) -> Shapes:  # fmt: skip
    """The shapes of these items and so many `further` ones, read and drawn by worker processes. seed: of those."""
    read: list[tuple[Item, bytes, str]] = []
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        of_corpus = pool.map(partial(_read, corpus), items, chunksize=8)
        for one in chain(of_corpus, pool.map(partial(_draw, seed), range(further), chunksize=8)):
            read.append(one)
            progress(len(read))
    every = tuple(item for item, _, _ in read)
    known = [item for item in every if item.split == "train" and item.kind == "grammar"]
    heights = Heights.of([item.family for item in known], [item.size_m for item in known])
    seen = tuple(see(item, name, heights) for item, _, name in read)
    strange = {each for each, item in enumerate(every) if item.family in HELD_OUT_FAMILIES}
    apart = {each for each, look in enumerate(seen) if is_held_out(look)} - strange
    split = {
        name: tuple(each for each, item in enumerate(every) if item.split == name and each not in apart | strange)
        for name in ("train", "validation", "test")
    }
    return Shapes(
        every, seen, heights, tuple(data for _, data, _ in read), split["train"],
        *(  # those of the corpus: what is drawn here is for training alone
            tuple(each for each in sorted(some) if each < len(items))
            for some in (apart, split["validation"], split["test"], strange)
        ),
    )  # fmt: skip


def _read(corpus: Corpus, item: Item) -> tuple[Item, bytes, str]:
    """A shape of the corpus, packed, and the name of its colour where no attribute has it."""
    name = dominant_colour(corpus.mesh(item)) if item.kind == "furniture" else ""
    return item, pack(share_filled(corpus.solid(item)), halved_colour(corpus.colour(item))), name


def _draw(seed: tuple[int, ...], number: int) -> tuple[Item, bytes, str]:
    """The further shape of this number. Its name says whether it may be trained on, as a name of the corpus does."""
    rng = Generator(Philox(SeedSequence([*seed, number])))
    shape = make_shape(rng, DRAWN[number % len(DRAWN)])
    name = describe(shape.attributes)
    family = str(shape.attributes["family"])
    item = Item(-1, "grammar", name, family, (), shape.size_m, shape.attributes, split_of(name), "CC0-1.0", "")
    known, colours = surface_colours(shape.mesh)
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return item, pack(share_filled(shape.solid), halved_colour(colours[tuple(nearest)])), ""


def pack(filled: NDArray[np.uint8], colour: NDArray[np.uint8]) -> bytes:
    """filled: (64, 64, 64); colour: (32, 32, 32, 3)."""
    return zlib.compress(filled.tobytes() + colour.tobytes(), 1)


def unpack(data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """filled, colour, and what of that lies at a surface."""
    both = np.frombuffer(zlib.decompress(data), np.uint8)
    filled, colour = both[: CELLS**3].reshape(3 * [CELLS]), both[CELLS**3 :].reshape(*3 * [COLOUR_CELLS], 3)
    return filled, colour, near_surface(filled)


def halved_colour(colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(64, 64, 64, 3) -> the means of blocks of 2^3."""
    return ((halved(colour.astype(np.uint16)) + 4) // 8).astype(np.uint8)


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
