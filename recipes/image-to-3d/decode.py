"""From occupancy along rays to a shape: a field in the frustum that is above 0 inside, and a closed mesh of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from hive_recipe_shape_corpus.mesh import F32, Mesh
from hive_recipe_shape_corpus.render import Camera
from hive_recipe_shape_corpus.surface import extract
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit
from torch.nn import functional

from .frustum import BINS, CELLS, FAR, MIDDLE, NEAR, PITCH, Frustum

SMOOTH_PX = 0.8  # of the outline, which has steps where the picture was cut out hard; thin parts are left as they are
OUTLINE = (
    0.25  # steepness of the field across the outline, logits a pixel: less than that of most fronts, for smooth walls
)
MESH_CELLS = 128


@dataclass(frozen=True)
class Decoding:
    """How probabilities become matter. Chosen on validation objects."""

    scale: float = 1.0  # of the thickness that a column is expected to have
    low: float = 0.15  # a probability below it is never matter, unless the column had none at all
    high: float = 0.6  # and above it always is
    inset: float = 0.0  # cells by which surfaces are moved inwards then
    guess: float = 0.0  # share of the network's guess in hidden colours; the rest is the picture's
    promise: tuple[float, float] = (0.0, 1.0)  # the overlap to expect: offset, and share of what probabilities promise

    def confidence(self, promised: float) -> float:
        """IoU with the truth, 0..1, as validation views say that such promises are kept."""
        offset, slope = self.promise
        return min(max(offset + slope * promised, 0.0), 1.0)


def calibrated(logits: F32, wanted: NDArray[np.bool_], decoding: Decoding) -> F32:
    """(CELLS, CELLS, BINS) -> the same, above 0 inside: every wanted column contains as much as it is expected to.

    A threshold of .5 everywhere deletes legs: where the depth is in doubt no bin of a column reaches it. So each column
    has its own, at which it is as thick as its probabilities sum up to. Columns that are not wanted repeat their
    nearest neighbour, for the outline to be cut out later.

    As thick as expected is thicker than serves surfaces: where the depth of a thin part is in doubt, they lie on both
    sides of it, and nearer to it if they are moved inwards.
    """
    p = expit(logits)
    order = -np.sort(-p, axis=2)
    count = np.clip(decoding.scale * p.sum(2), 1.0, BINS - 1.0)
    below = np.minimum(count.astype(int), BINS - 2)
    rest = count - below
    here, there = (np.take_along_axis(order, (below + k)[..., None], 2)[..., 0] for k in (0, 1))
    level = np.clip(here * (1 - rest) + there * rest, decoding.low, decoding.high)
    weight = ndimage.gaussian_filter(wanted.astype(np.float32), 0.7)
    level = ndimage.gaussian_filter(np.where(wanted, level, 0).astype(np.float32), 0.7) / np.maximum(weight, 1e-6)
    level = np.clip(np.minimum(level, 0.9 * order[..., 0]), 1e-6, 1 - 1e-6)
    field = logits - np.log(level / (1 - level))[..., None]
    rows, columns = ndimage.distance_transform_edt(~wanted, return_distances=False, return_indices=True)
    field = field[rows, columns]
    return np.asarray(_thinner(field, decoding.inset) if decoding.inset else field, np.float32)


def _thinner(field: F32, cells: float) -> F32:
    """Its surface moved inwards, to first order; what is thin keeps half of its peak, so that nothing vanishes."""
    slope = np.sqrt(sum(np.square(each) for each in np.gradient(field)))
    peak = np.maximum(ndimage.maximum_filter(field, 3), 0)
    return np.asarray(field - np.minimum(cells * slope, 0.5 * peak), np.float32)


def outline(alpha: F32) -> F32:
    """(h, w) 0..1 -> signed distance from the outline in pixels, positive inside."""
    inside = alpha > 0.5
    distance = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    partly = (alpha > 0) & (alpha < 1) & (np.abs(distance) <= 1)
    distance = np.where(partly, alpha - 0.5, distance - 0.5 * np.sign(distance))
    smooth = ndimage.gaussian_filter(distance, SMOOTH_PX)
    return np.asarray(np.where(ndimage.maximum_filter(distance, 5) < 2, distance, smooth), np.float32)


@dataclass(frozen=True)
class Field:
    """A shape in the frustum: above 0 inside."""

    cells: F32  # (CELLS, CELLS, BINS)
    outline: F32  # (SIZE_PX, SIZE_PX) pixels from it
    tangent: float

    def at(self, points: F32) -> F32:
        """Camera space of the frustum, (n, 3) -> (n,). Trilinear; cut by the picture's outline."""
        x, y, s = torch.from_numpy(np.ascontiguousarray(points.T, np.float32))
        widening = (1 + s * self.tangent).clamp(min=0.05)
        u, v = x / widening, -y / widening
        depth = (s - NEAR) / (FAR - NEAR) * 2 - 1
        value = _sampled(self.cells, torch.stack([depth, u, v], 1))
        edge = _sampled(self.outline, torch.stack([u, v], 1)) * OUTLINE
        ends = torch.minimum(FAR - s, s - NEAR) * (OUTLINE / PITCH)
        return torch.minimum(torch.minimum(value, edge), ends).numpy()

    def front(self) -> F32:
        """(CELLS, CELLS): depth at which each column begins; FAR where it is empty."""
        inside = self.cells > 0
        first = inside.argmax(2)
        return np.where(inside.any(2), NEAR + first * PITCH, FAR).astype(np.float32)


def _sampled(values: F32, at: torch.Tensor) -> torch.Tensor:
    """Linear interpolation. at: (n, d) in -1..1, the last axis of `values` first."""
    dimensions = values.ndim
    grid = at.reshape(1, *[1] * (dimensions - 1), len(at), dimensions)
    found = functional.grid_sample(
        torch.from_numpy(values)[None, None], grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return found.reshape(-1)


def on_grid(field: Field, frustum: Frustum, cells: int) -> F32:
    """The field on the cell centres of the object's cube, (cells,) * 3 indexed [x, y, z]."""
    middle = ((np.arange(cells) + 0.5) / cells - 0.5).astype(np.float32)
    x, y, z = np.meshgrid(middle, middle, middle, indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), z.ravel()], 1)
    return field.at(frustum.from_object(points)).reshape((cells,) * 3)


def placed(field: Field, wanted: NDArray[np.bool_], elevation_deg: float, fov_deg: float) -> Frustum:
    """The upright frame in which the shape is centred and its longest side is 1, as seen by a camera in front of it."""
    away = 1 / field.tangent  # in half widths
    frustum = Frustum(Camera(0, elevation_deg, fov_deg, away), away)
    inside = (field.cells > 0) & wanted[..., None]
    rows, columns, bins = np.nonzero(inside)
    s = NEAR + (bins + 0.5) * PITCH
    points = frustum.points(*(np.asarray(each, np.float32) for each in (MIDDLE[columns], -MIDDLE[rows], s)))
    centre, longest = _box(points, 2 / CELLS)
    for _ in range(3):
        target = tuple(float(each) for each in -centre / longest)
        frustum = Frustum(Camera(0, elevation_deg, fov_deg, away / longest, target), away / longest)
        off, long = _box(extract(on_grid(field, frustum, 64), 0.0).vertices, 0.0)
        centre, longest = centre + off * longest, longest * long
        if abs(long - 1) < 0.01 and np.abs(off).max() < 0.01:
            break
    return frustum


def _box(points: F32, margin: float) -> tuple[F32, float]:
    low, high = points.min(0), points.max(0)
    return (low + high) / 2, float((high - low).max()) + margin


def surface(field: Field, frustum: Frustum, cells: int = MESH_CELLS) -> Mesh:
    """The closed mesh, grey, in the object's frame."""
    return extract(on_grid(field, frustum, cells), 0.0)
