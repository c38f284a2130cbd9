"""Colours of a reconstructed mesh: from the picture where it is seen, from the network's guess where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hive_recipe_shape_corpus.mesh import F32, Mesh
from numpy.typing import NDArray
from scipy import ndimage

from .decode import Field
from .frustum import CELLS, PITCH, SIZE_PX, Frustum

SEEN = 3 * PITCH  # a face so little behind the front is seen
UNLIT = 1.3  # what is seen is part in shade: its own colour is so much brighter
ROUNDS = 3  # of smoothing what is seen


def painted(mesh: Mesh, field: Field, frustum: Frustum, rgba: NDArray[np.uint8], behind: F32) -> Mesh:
    """rgba: (SIZE_PX, SIZE_PX, 4) as the network saw it. behind: (CELLS, CELLS, 3) 0..1."""
    corners = frustum.from_object(mesh.vertices)[mesh.faces]
    middle = corners.mean(1)
    normal = np.cross(corners[:, 2] - corners[:, 0], corners[:, 1] - corners[:, 0])  # camera space is left-handed
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    widening = 1 + middle[:, 2] * field.tangent
    u, v = middle[:, 0] / widening, middle[:, 1] / widening
    ray = np.stack([u * field.tangent, v * field.tangent, np.ones_like(u)], 1)
    facing = -(normal * ray).sum(1) / np.linalg.norm(ray, axis=1)
    front = _at(field.front()[..., None], u, v, CELLS, order=0)[:, 0]
    depth = np.clip(1 - (middle[:, 2] - front - SEEN) / SEEN, 0, 1)
    seen = _smooth(mesh, np.clip(facing * 4 + 0.5, 0, 1) * depth)
    hidden = _at(behind * 255, u, v, CELLS)
    shown = _at(_spread(rgba), u, v, SIZE_PX)
    colours = shown * seen[:, None] + hidden * (1 - seen[:, None])
    return replace(mesh, colours=(np.clip(colours, 0, 255) + 0.5).astype(np.uint8))


def turned_to_back(rgba: NDArray[np.uint8]) -> F32:
    """(CELLS, CELLS, 3) 0..1: colours the back may have, between those of the front there and the front's mean."""
    shown = rgba.reshape(CELLS, 2, CELLS, 2, 4).astype(np.float32).mean((1, 3)) / 255
    solid = shown[..., 3] > 0.5
    mean = shown[solid, :3].mean(0) if solid.any() else np.float32([0.5, 0.5, 0.5])
    return np.asarray(np.clip(UNLIT * (shown[..., :3] + mean) / 2, 0, 1), np.float32)


def _smooth(mesh: Mesh, shares: F32) -> F32:
    """Of each face, the mean with its neighbours, again and again: walls along the rays are neither seen nor hidden."""
    around = np.maximum(np.bincount(mesh.faces.ravel(), minlength=len(mesh.vertices)), 1)
    for _ in range(ROUNDS):
        at_vertices = np.bincount(mesh.faces.ravel(), np.repeat(shares, 3), len(mesh.vertices)) / around
        shares = at_vertices[mesh.faces].mean(1)
    return np.asarray(shares, np.float32)


def _spread(rgba: NDArray[np.uint8]) -> F32:
    """Colours of the picture, those well inside carried over the outline, where they are mixed with the background."""
    solid = rgba[..., 3] > 250
    inner = ndimage.binary_erosion(solid)
    near = ndimage.distance_transform_edt(~inner) <= 2.5
    kept = inner | (solid & ~near)  # thin parts have no inside: better their own colours than a neighbour's
    if not kept.any():
        kept = rgba[..., 3] > 0
    rows, columns = ndimage.distance_transform_edt(~kept, return_distances=False, return_indices=True)
    return rgba[rows, columns, :3].astype(np.float32)


def _at(image: F32, u: F32, v: F32, size: int, order: int = 1) -> F32:
    """(size, size, c) at places of the picture, (n,) each -> (n, c)."""
    rows, columns = (1 - v) * size / 2 - 0.5, (u + 1) * size / 2 - 0.5
    channels = [
        ndimage.map_coordinates(image[..., k], [rows, columns], order=order, mode="nearest")
        for k in range(image.shape[2])
    ]
    return np.stack(channels, 1)
