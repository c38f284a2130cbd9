"""What the network should say of a view: the object's solid and colours, looked up along the rays."""

from __future__ import annotations

import numpy as np
from hive_recipe_shape_corpus.mesh import Mesh
from hive_recipe_shape_corpus.render import Camera, draw
from numba import njit
from numpy.typing import NDArray

from .frustum import BINS, CELLS, NEAR, PITCH, Frustum


def occupancy_along(frustum: Frustum, solid: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The solid (n, n, n) of the object's cube at the cells of the wanted columns (CELLS, CELLS) -> (.., BINS)."""
    camera = frustum.camera
    found: NDArray[np.bool_] = _look_up(
        np.ascontiguousarray(solid), np.ascontiguousarray(wanted), camera.axes, np.float32(camera.target),
        np.float32(camera.distance), np.float32(camera.tangent), np.float32(frustum.seen_depth),
    )  # fmt: skip
    return found


def colours_behind(camera: Camera, mesh: Mesh) -> NDArray[np.uint8]:
    """(CELLS, CELLS, 3): unlit, where each ray leaves the mesh for the last time; 0 where it never meets it."""
    corners = camera.pixels(mesh.vertices, CELLS)
    far = 1 / corners[:, 2]
    corners[:, 2] = 1 / (far.min() + far.max() - far)  # linear on the screen as 1 / z is, and the farthest comes first
    _, face = draw(corners, mesh.faces, CELLS)
    return np.where((face >= 0)[..., None], mesh.colours[face], 0).astype(np.uint8)


@njit(
    "boolean[:,:,::1](boolean[:,:,::1], boolean[:,::1], float32[:,::1], float32[::1], float32, float32, float32)",
    nogil=True,
)
def _look_up(solid, wanted, axes, target, distance, tangent, seen_depth):  # type: ignore[no-untyped-def]  # pragma: no cover
    n = solid.shape[0]
    found = np.zeros((CELLS, CELLS, BINS), np.bool_)
    unit = seen_depth * tangent
    for row in range(CELLS):
        for column in range(CELLS):
            if not wanted[row, column]:
                continue
            u = (-1 + (column + 0.5) * 2 / CELLS) * tangent
            v = (1 - (row + 0.5) * 2 / CELLS) * tangent
            for b in range(BINS):
                z = seen_depth + unit * (NEAR + (b + 0.5) * PITCH)
                forward = z - distance
                x = target[0] + z * (u * axes[0, 0] + v * axes[1, 0]) + forward * axes[2, 0]
                y = target[1] + z * (u * axes[0, 1] + v * axes[1, 1]) + forward * axes[2, 1]
                h = target[2] + z * (u * axes[0, 2] + v * axes[1, 2]) + forward * axes[2, 2]
                i, j, k = int(np.floor((x + 0.5) * n)), int(np.floor((y + 0.5) * n)), int(np.floor((h + 0.5) * n))
                if 0 <= i < n and 0 <= j < n and 0 <= k < n:
                    found[row, column, b] = solid[i, j, k]
    return found
