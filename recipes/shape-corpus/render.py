"""Pictures of a mesh: a z-buffer in perspective, shaded by one light, smoothed by several samples a pixel.

Camera frame: x to the right, y up, z along the optical axis, away from the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from .mesh import F32, Mesh

NEAREST = 1e-3  # faces that reach behind it are not drawn
EDGE = 1e-5  # samples: so far beyond its edge a face is drawn, lest rounding leave cracks
LIGHT = (-0.4, 0.5, -0.75)  # towards the light, in the camera's frame: from over the left shoulder
AMBIENT = 0.45  # share of a face's colour seen where the light does not reach


@dataclass(frozen=True)
class Camera:
    """A pinhole that looks at `target`. Azimuth 0 stands in front (at -y); a positive one has walked towards +x."""

    azimuth_deg: float
    elevation_deg: float
    fov_deg: float  # the full angle of the square picture
    distance: float  # from the target
    target: tuple[float, float, float] = (0.0, 0.0, 0.0)  # in the object's frame: what is in the picture's middle

    @property
    def axes(self) -> F32:
        """(3, 3): right, up, forward, as rows."""
        a, e = np.radians([self.azimuth_deg, self.elevation_deg])
        right = [np.cos(a), np.sin(a), 0.0]
        forward = [-np.cos(e) * np.sin(a), np.cos(e) * np.cos(a), -np.sin(e)]
        return np.array([right, np.cross(right, forward), forward], np.float32)

    @property
    def tangent(self) -> float:
        """Of half the field of view."""
        return float(np.tan(np.radians(self.fov_deg) / 2))

    def seen(self, points: F32) -> F32:
        """Object frame -> camera frame, (n, 3)."""
        moved = (points - np.float32(self.target)) @ self.axes.T
        return (moved + np.array([0, 0, self.distance], np.float32)).astype(np.float32)

    def placed(self, points: F32) -> F32:
        """Camera frame -> object frame, (n, 3)."""
        moved = (points - np.array([0, 0, self.distance], np.float32)) @ self.axes
        return (moved + np.float32(self.target)).astype(np.float32)

    def pixels(self, points: F32, size_px: int) -> F32:
        """Object frame -> (n, 3): column, row (pixel centres are whole numbers) and depth along the optical axis."""
        x, y, z = self.seen(points).T
        across, up = x / z / self.tangent, y / z / self.tangent
        return np.stack([(across + 1) * size_px / 2 - 0.5, (1 - up) * size_px / 2 - 0.5, z], 1).astype(np.float32)


@dataclass(frozen=True)
class Picture:
    rgba: NDArray[np.uint8]  # (h, w, 4) sRGB, not premultiplied
    depth: F32  # (h, w) along the optical axis, of the nearest sample; inf where there is nothing
    normal: F32  # (h, w, 3) in the object's frame, turned towards the camera; 0 where there is nothing


def render(
    mesh: Mesh,
    camera: Camera,
    size_px: int,
    samples: int = 2,
    light: ArrayLike = LIGHT,
    ambient: float = AMBIENT,
) -> Picture:
    """Draw the mesh. samples: along each side of a pixel. light: towards it, in the camera's frame (x, y, z)."""
    fine = size_px * samples
    corners = camera.pixels(mesh.vertices, fine)
    depth, face = draw(corners, mesh.faces.astype(np.int32), fine)
    normals, colours = _shade(mesh, camera, np.asarray(light, np.float32), ambient)
    rgba, normal = _pooled(face, normals, colours, samples)
    nearest = depth[::samples, ::samples].copy()
    for row in range(samples):
        for column in range(samples):
            np.minimum(nearest, depth[row::samples, column::samples], out=nearest)
    return Picture(rgba, nearest, normal)


def _shade(mesh: Mesh, camera: Camera, light: F32, ambient: float) -> tuple[F32, F32]:
    """Of the faces, (m, 3): normals turned towards the camera, and colours as lit. Both sides of a face are lit."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    eye = camera.placed(np.zeros((1, 3), np.float32))
    normals = np.where(((eye - a) * normals).sum(1, keepdims=True) < 0, -normals, normals).astype(np.float32)
    towards = light / np.linalg.norm(light) @ camera.axes
    lit = ambient + (1 - ambient) * np.clip(normals @ towards, 0, 1)
    return normals, (mesh.colours * lit[:, None]).astype(np.float32)


@njit("Tuple((uint8[:,:,:], float32[:,:,:]))(int32[:,:], float32[:,:], float32[:,:], int64)", nogil=True)
def _pooled(face, normals, colours, samples):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Colour and coverage, and unit normal, of every pixel from the faces at its samples."""
    size = len(face) // samples
    rgba, normal = np.zeros((size, size, 4), np.uint8), np.zeros((size, size, 3), np.float32)
    for row in range(size):
        for column in range(size):
            hits, red, green, blue, x, y, z = 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for sample in range(samples * samples):
                f = face[row * samples + sample // samples, column * samples + sample % samples]
                if f >= 0:
                    hits += 1
                    red, green, blue = red + colours[f, 0], green + colours[f, 1], blue + colours[f, 2]
                    x, y, z = x + normals[f, 0], y + normals[f, 1], z + normals[f, 2]
            if hits:
                length = (x * x + y * y + z * z) ** 0.5 + 1e-6
                normal[row, column, 0], normal[row, column, 1], normal[row, column, 2] = (
                    x / length,
                    y / length,
                    z / length,
                )
                rgba[row, column, 0] = int(red / hits + 0.5)
                rgba[row, column, 1] = int(green / hits + 0.5)
                rgba[row, column, 2] = int(blue / hits + 0.5)
                rgba[row, column, 3] = int(255.0 * hits / samples**2 + 0.5)
    return rgba, normal


@njit("Tuple((float32[:,:], int32[:,:]))(float32[:,:], int32[:,:], int64)", nogil=True)
def draw(corners, faces, size):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Depth and index of the nearest face at every sample. corners: (n, 3) column, row, depth."""
    depth = np.full((size, size), np.inf, np.float32)
    face = np.full((size, size), -1, np.int32)
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        za, zb, zc = corners[i, 2], corners[j, 2], corners[k, 2]
        if min(za, zb, zc) < NEAREST:
            continue
        xa, xb, xc = float(corners[i, 0]), float(corners[j, 0]), float(corners[k, 0])
        ya, yb, yc = float(corners[i, 1]), float(corners[j, 1]), float(corners[k, 1])
        area = (xb - xa) * (yc - ya) - (xc - xa) * (yb - ya)
        if area == 0.0:
            continue
        # the weights of two corners, as linear functions of the column and the row
        a_column, a_row, a_zero = (yb - yc) / area, (xc - xb) / area, (xb * yc - xc * yb) / area
        b_column, b_row, b_zero = (yc - ya) / area, (xa - xc) / area, (xc * ya - xa * yc) / area
        top, bottom = max(np.ceil(min(ya, yb, yc)), 0.0), min(np.floor(max(ya, yb, yc)), size - 1.0)
        left, right = max(np.ceil(min(xa, xb, xc)), 0.0), min(np.floor(max(xa, xb, xc)), size - 1.0)
        for row in range(int(top), int(bottom) + 1):
            first, last = left, right
            wa, wb = a_zero + a_row * row, b_zero + b_row * row
            for start, slope in ((wa, a_column), (wb, b_column), (1.0 - wa - wb, -a_column - b_column)):
                if slope > 0.0:
                    first = max(first, np.ceil(-start / slope - EDGE))
                elif slope < 0.0:
                    last = min(last, np.floor(-start / slope + EDGE))
                elif start < 0.0:
                    last = -1.0
            for column in range(int(first), int(last) + 1):
                weight_a, weight_b = wa + a_column * column, wb + b_column * column
                z = np.float32(1.0 / (weight_a / za + weight_b / zb + (1.0 - weight_a - weight_b) / zc))
                if z < depth[row, column]:
                    depth[row, column] = z
                    face[row, column] = f
    return depth, face
