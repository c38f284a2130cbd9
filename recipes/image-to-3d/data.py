"""Training views: an object of the corpus, a camera, a light, a picture with the faults of a photograph, and the truth.

View i depends on (seed, i) alone, so worker processes may make them in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from hive_recipe_shape_corpus.corpus import Corpus, Item
from hive_recipe_shape_corpus.mesh import F32, Mesh
from hive_recipe_shape_corpus.render import Picture, render
from numpy.typing import NDArray
from scipy import ndimage

from .frustum import CELLS, FAR, FILL, NEAR, SIZE_PX, Frustum, fitted
from .given import given
from .lumps import SHAPES, lump
from .truth import colours_behind, occupancy_along

ELEVATIONS_DEG = (-5.0, 50.0)
FOVS_DEG = (12.0, 50.0)
TRIES = 6  # cameras tried for one whose bins hold the whole object
LUMPS, FURNITURE = 0.3, 0.51  # shares of the views; the rest are shapes of the grammar


class Shapes(Protocol):
    """What holds shapes, as a corpus does."""

    def mesh(self, item: Item) -> Mesh: ...
    def solid(self, item: Item) -> NDArray[np.bool_]: ...


@dataclass(frozen=True)
class View:
    """What the camera sees, and what is there."""

    frustum: Frustum
    picture: Picture  # as rendered
    rgba: NDArray[np.uint8]  # (SIZE_PX, SIZE_PX, 4) as a user would give it
    wanted: NDArray[np.bool_]  # (CELLS, CELLS) the columns of the outline
    occupancy: NDArray[np.bool_]  # (CELLS, CELLS, BINS)
    depth: F32  # (CELLS, CELLS) of the front, half widths; NaN outside of the outline
    behind: NDArray[np.uint8]  # (CELLS, CELLS, 3) colour where each ray leaves the object


@dataclass(frozen=True)
class Batch:
    given: F32  # (B, CHANNELS, SIZE_PX, SIZE_PX)
    wanted: NDArray[np.bool_]  # (B, CELLS, CELLS)
    occupancy: NDArray[np.uint8]  # (columns wanted, BINS / 8) bits
    depth: F32  # (B, CELLS, CELLS), NaN where there is none
    behind: NDArray[np.uint8]  # (B, CELLS, CELLS, 3)
    elevation_deg: F32  # (B,)
    fov_deg: F32  # (B,)


@lru_cache(maxsize=1)
def opened(folder: Path) -> Corpus:
    """The corpus, opened once in each process."""
    return Corpus(folder)


@lru_cache(maxsize=8)
def chosen(folder: Path, split: str, kind: str) -> tuple[Item, ...]:
    return tuple(item for item in opened(folder).items if item.split == split and item.kind == kind)


def generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def make_batch(seed: int, folder: Path, indices: range) -> Batch:
    """The training views of these numbers."""
    return packed([training_view(seed, folder, index) for index in indices])


def training_view(seed: int, folder: Path, index: int) -> View:
    rng = generator(seed, index)
    view = look(*_something(folder, rng), rng)
    return mirrored(view) if rng.random() < 0.5 else view


def _something(folder: Path, rng: np.random.Generator) -> tuple[Shapes, Item]:
    """Something to look at, and what holds it."""
    kinds = [items for kind in ("furniture", "grammar") if (items := chosen(folder, "train", kind))]
    which = rng.random()
    items = kinds[0] if which < LUMPS + FURNITURE else kinds[-1]
    item = items[int(rng.integers(len(items)))]
    if which < LUMPS:
        return lump(int(rng.integers(SHAPES))), item
    return opened(folder), item


def packed(views: Sequence[View]) -> Batch:
    return Batch(
        np.stack([given(view.rgba) for view in views]),
        np.stack([view.wanted for view in views]),
        np.packbits(np.concatenate([view.occupancy[view.wanted] for view in views]), axis=1),
        np.stack([view.depth for view in views]),
        np.stack([view.behind for view in views]),
        np.array([view.frustum.camera.elevation_deg for view in views], np.float32),
        np.array([view.frustum.camera.fov_deg for view in views], np.float32),
    )


def mirrored(view: View) -> View:
    """Left and right changed; the frustum stays that of the unmirrored object."""
    return View(
        view.frustum, view.picture, view.rgba[:, ::-1], view.wanted[:, ::-1], view.occupancy[:, ::-1],
        view.depth[:, ::-1], view.behind[:, ::-1],
    )  # fmt: skip


def look(corpus: Shapes, item: Item, rng: np.random.Generator, faults: bool = True) -> View:
    """A view of the item from somewhere. faults: of photographs and of their cutting out."""
    mesh, solid = corpus.mesh(item), corpus.solid(item)
    frustum, picture = _seen(mesh, rng)
    wanted = np.ascontiguousarray(_halved(picture.rgba[..., 3:].astype(np.float32))[..., 0] > 64)
    occupancy = occupancy_along(frustum, solid, wanted)
    nearest = picture.depth.reshape(CELLS, 2, CELLS, 2).min((1, 3))
    depth = (nearest - frustum.seen_depth) / frustum.unit
    depth = np.where(np.isfinite(depth) & wanted, depth, np.nan).astype(np.float32)
    behind = colours_behind(frustum.camera, mesh)
    tint = Tint.drawn(rng) if faults else Tint()
    rgba = np.concatenate([tint.of(picture.rgba[..., :3]), picture.rgba[..., 3:]], 2)
    rgba, behind = worn(rgba, rng) if faults else rgba, tint.of(behind)
    return View(frustum, picture, rgba, wanted, occupancy, depth, behind)


def _seen(mesh: Mesh, rng: np.random.Generator) -> tuple[Frustum, Picture]:
    """A random camera and light. Some views are drawn anew: those whose bins would not hold the object."""
    fill, off = FILL + rng.uniform(-0.04, 0.04), rng.uniform(-0.02, 0.02, 2)
    for _ in range(TRIES):
        azimuth, elevation, fov = rng.uniform(-180, 180), rng.uniform(*ELEVATIONS_DEG), rng.uniform(*FOVS_DEG)
        camera = fitted(mesh.vertices, azimuth, elevation, fov, fill, (float(off[0]), float(off[1])))
        light = (rng.uniform(-1, 1), rng.uniform(-0.6, 1.4), -rng.uniform(0.3, 1.2))
        picture = render(mesh, camera, SIZE_PX, 2, light, float(rng.uniform(0.3, 0.85)))
        seen = picture.depth[np.isfinite(picture.depth)]
        if len(seen) < 100:
            continue
        frustum = Frustum(camera, float(seen.mean()))
        s = frustum.from_object(mesh.vertices)[:, 2]
        if s.min() > NEAR and s.max() < FAR:
            break
    return frustum, picture


def _halved(image: F32) -> F32:
    return np.asarray(image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, -1).mean((1, 3)), np.float32)


@dataclass(frozen=True)
class Tint:
    """What a camera and a developer do to colours."""

    order: tuple[int, ...] = (0, 1, 2)
    gain: tuple[float, ...] = (1.0, 1.0, 1.0)
    gamma: float = 1.0

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Tint:
        order = tuple(rng.permutation(3).tolist()) if rng.random() < 0.3 else (0, 1, 2)
        gain = rng.uniform(0.75, 1.25) * rng.uniform(0.88, 1.12, 3)
        return cls(order, tuple(gain.tolist()), float(rng.uniform(0.75, 1.35)))

    def of(self, colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
        share = np.clip(colour[..., list(self.order)] / np.float32(255) * np.float32(self.gain), 0, 1)
        return (share**self.gamma * 255 + 0.5).astype(np.uint8)


def worn(rgba: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture as photographed and cut out: stained, blurred, noisy, the outline a little wrong."""
    colour, alpha = rgba[..., :3].astype(np.float32) / 255, rgba[..., 3].astype(np.float32) / 255
    if rng.random() < 0.4:  # stains and patterns, which renders of plain colours lack
        grain = rng.normal(0, 1, (SIZE_PX, SIZE_PX)).astype(np.float32)
        grain = ndimage.gaussian_filter(grain, rng.uniform(0.5, 6, 2))
        colour = colour * (1 + rng.uniform(0.02, 0.2) * grain / max(float(grain.std()), 1e-6))[..., None]
    fringe = rng.uniform(0, 1, 3).astype(np.float32)  # what stood behind
    if rng.random() < 0.5:
        soft = ndimage.gaussian_filter(alpha, rng.uniform(0.3, 1.0))
        shifted = np.clip((soft - rng.uniform(0.3, 0.7)) * rng.uniform(1.5, 6) + 0.5, 0, 1).astype(np.float32)
        colour = colour * alpha[..., None] + fringe * (1 - alpha[..., None])
        alpha = shifted if (shifted > 0.5).sum() > 0.7 * (alpha > 0.5).sum() else alpha
    if rng.random() < 0.3:
        over = ndimage.gaussian_filter(colour * alpha[..., None], (0.6, 0.6, 0))
        colour = over / np.maximum(ndimage.gaussian_filter(alpha, 0.6), 1e-3)[..., None]
    colour = colour + rng.normal(0, rng.uniform(0, 0.03), colour.shape)
    return (np.clip(np.concatenate([colour, alpha[..., None]], 2), 0, 1) * 255 + 0.5).astype(np.uint8)
