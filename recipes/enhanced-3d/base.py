"""What the base package makes of pictures of known objects, as views to train on and to measure with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from hive_recipe_image_to_3d.data import look
from hive_recipe_image_to_3d.frustum import Frustum
from hive_recipe_image_to_3d.reconstruct import Reconstruction, Reconstructor, decoded, see
from hive_recipe_shape_corpus.corpus import Item

from .data import View, in_bytes, open_corpus, pick, save_view, true_depths
from .lift import depths_of, in_frame_of, lift
from .volume import F32

UNSEEN_CELLS = 64  # of a mesh that nobody looks at: fewer would miss thin parts, and it must not be empty


@dataclass(frozen=True)
class Known:
    """A picture of a known object, reconstructed."""

    item: Item
    frustum: Frustum  # where the object was seen
    depths: F32  # (SIDE,)*3 of the object, in its own frame
    seen: Reconstruction
    coarse: F32  # (SIDE,)*3 depths of the base's shape, in the reconstruction's frame


@cache
def open_base(artifact: Path) -> Reconstructor:
    return Reconstructor(artifact)


def known(corpus: Path, base: Path, item: Item, rng: np.random.Generator, faults: bool, drawn: bool) -> Known:
    """Take a picture of the item, and have the base reconstruct it. faults: those of photographs. drawn: its mesh too,
    which training has no use for."""
    opened, reconstructor = open_corpus(corpus), open_base(base)
    view = look(opened, item, rng, faults)
    sight = see(reconstructor.net, view.rgba)
    how = {} if drawn else {"faces": 0, "mesh_cells": UNSEEN_CELLS}
    seen = decoded(sight, view.rgba, reconstructor.decoding, **how)
    return Known(item, view.frustum, true_depths(opened, item), seen, depths_of(seen))


def make_base_view(seed: int, corpus: Path, base: Path, folder: Path, index: int) -> Path:
    """Training view `index`, as a file."""
    path = folder / f"{index:05}.npz"
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, 0xBA5E])))
    item = pick(open_corpus(corpus), "train", rng)
    found = known(corpus, base, item, rng, faults=True, drawn=False)
    truth = in_frame_of(found.depths, found.frustum, found.seen.frustum)
    save_view(path, View(in_bytes(found.coarse), in_bytes(truth), lift(found.seen)))
    return path
