"""What the base package saw, brought onto the grid: its solid, and its picture lifted along the rays."""

from __future__ import annotations

import numpy as np
from hive_recipe_image_to_3d.frustum import Frustum
from hive_recipe_image_to_3d.reconstruct import Reconstruction
from numpy.typing import NDArray
from scipy import ndimage

from .volume import CELLS, F32, MARGIN, REACH, SIDE, Bool, depths_of_field

OFFSET_CELLS = 8.0  # depth behind the front that counts as near it
UNSURE = 2.0  # logits: a thin part may pass between the centres of larger cells
OUTLINE_PX = 4.0  # distance from the outline that counts as near it


def depths_of(seen: Reconstruction) -> F32:
    """(SIDE,)*3 depths of the base's shape. Its field is looked up at every cell near the surface, else for eight."""
    half = SIDE // 2
    coarse = _look_up(seen, _points(half)).reshape((half,) * 3)
    inside = coarse > 0
    near = ndimage.binary_dilation(inside, np.ones((3, 3, 3))) & ~ndimage.binary_erosion(inside, np.ones((3, 3, 3)))
    near |= np.abs(coarse) < UNSURE
    field, near = (each.repeat(2, 0).repeat(2, 1).repeat(2, 2) for each in (coarse, near))
    field[near] = _look_up(seen, _points(SIDE)[near.ravel()])
    return depths_of_field(field)


def lift(seen: Reconstruction) -> NDArray[np.int8]:
    """(8, SIDE/2, SIDE/2, SIDE/2) in 1/127: 1; distance from the picture's outline, above 0 inside; depth behind the
    front; the base's own logit; red, green and blue of the pixel; height."""
    half = SIDE // 2
    points = _points(half)
    columns, rows, depth = seen.camera.pixels(points, len(seen.rgba)).T
    known = np.isfinite(seen.depth)
    front = _spread(np.where(known, seen.depth, 0), known)
    colour = _spread(seen.rgba[..., :3] / 127.5 - 1, seen.rgba[..., 3] > 127)
    outline, front, *colours = (
        ndimage.map_coordinates(image, np.stack([rows, columns]), order=1, mode="nearest")
        for image in (seen.frustum_field.outline, front, *np.moveaxis(colour, 2, 0))
    )
    channels = [
        np.ones(half**3),
        np.tanh(outline / OUTLINE_PX),
        np.tanh((depth - front) * CELLS / OFFSET_CELLS),
        np.tanh(_look_up(seen, points) / 4),
        *colours,
        np.clip(2 * points[:, 2], -1, 1),
    ]
    return np.asarray(np.round(np.stack(channels).reshape(-1, half, half, half) * 127), np.int8)


def in_frame_of(truth: F32, true: Frustum, found: Frustum) -> F32:
    """Depths of the true object, on the grid of its own frame, moved to the grid of a reconstruction's frame so that
    both look alike in the picture."""
    corners = np.concatenate([np.zeros((1, 3)), np.eye(3)]).astype(np.float32)
    moved = true.to_object(found.from_object(corners)).astype(np.float64)
    matrix = (moved[1:] - moved[0]).T  # from places of the found frame to those of the true one
    middle = (SIDE - 1) / 2
    offset = moved[0] * CELLS + middle - matrix @ np.full(3, middle)
    scale = float(np.cbrt(np.linalg.det(matrix)))
    field = ndimage.affine_transform(truth, matrix, offset, order=1, mode="constant", cval=-REACH)
    return np.clip(field / np.float32(scale), -REACH, REACH).astype(np.float32)


def _points(side: int) -> F32:
    """(side**3, 3): centres of the cells of the grid, or of larger ones, in the object's frame."""
    axis = (((np.arange(side) + 0.5) * (SIDE / side) - MARGIN) / CELLS - 0.5).astype(np.float32)
    return np.stack([each.ravel() for each in np.meshgrid(axis, axis, axis, indexing="ij")], 1)


def _look_up(seen: Reconstruction, points: F32) -> F32:
    return seen.frustum_field.at(seen.frustum.from_object(points))


def _spread(image: NDArray[np.float64], known: Bool) -> F32:
    """Of each pixel that is not known, the nearest that is."""
    if not known.any():
        return np.zeros(image.shape, np.float32)
    rows, columns = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return image[rows, columns].astype(np.float32)
