"""The frame the network thinks in: cells along the rays of a square picture that the object fills.

A point is (u, v, s): u to the right and v up, -1..1 over the picture; s is the depth along the optical axis, 0 at the
mean depth of what is seen, in half widths of the picture there. With t the tangent of half the field of view, the same
point in camera space, in the same unit and from the same origin, is x = u (1 + s t), y = v (1 + s t), z = s.
Cells are aligned with pixels, so that the outline of the picture stays the outline of the shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hive_recipe_shape_corpus.mesh import F32
from hive_recipe_shape_corpus.render import Camera

SIZE_PX = 128  # of the picture
CELLS = 64  # across it
BINS = 80  # along each ray
NEAR, FAR = -1.0, 1.8  # of the bins, in half widths
FILL = 0.9  # share of the picture that the object's longer side takes
PITCH = (FAR - NEAR) / BINS
MIDDLE = -1 + (np.arange(CELLS) + 0.5) * 2 / CELLS  # u of the columns; v of the rows is its negative


@dataclass(frozen=True)
class Frustum:
    """Where the cells lie in an object's frame."""

    camera: Camera
    seen_depth: float  # mean depth of what is seen, from the camera

    @property
    def unit(self) -> float:
        """Half the width of the picture at that depth, in the object's unit."""
        return self.seen_depth * self.camera.tangent

    def from_object(self, points: F32) -> F32:
        """Object frame -> camera space of the frustum's unit and origin, (n, 3)."""
        seen = self.camera.seen(points)
        seen[:, 2] -= self.seen_depth
        return np.asarray(seen / np.float32(self.unit), np.float32)

    def to_object(self, points: F32) -> F32:
        """The way back."""
        here = points * np.float32(self.unit)
        here[:, 2] += np.float32(self.seen_depth)
        return self.camera.placed(here)

    def points(self, u: F32, v: F32, s: F32) -> F32:
        """(u, v, s), (n,) each -> object frame, (n, 3)."""
        widening = 1 + s * np.float32(self.camera.tangent)
        return self.to_object(np.stack([u * widening, v * widening, s], 1).astype(np.float32))


def fitted(
    vertices: F32, azimuth_deg: float, elevation_deg: float, fov_deg: float, fill: float = FILL,
    off: tuple[float, float] = (0.0, 0.0),
) -> Camera:  # fmt: skip
    """The camera in whose picture the object takes `fill` of the longer side; off: its middle, as share of the half."""
    camera = Camera(azimuth_deg, elevation_deg, fov_deg, 1.0)
    t, axes = camera.tangent, camera.axes
    turned = vertices @ axes.T
    across, up, distance = 0.0, 0.0, float(1.0 / t)
    for _ in range(8):
        distance = max(distance, 0.1 - float(turned[:, 2].min()))
        z = turned[:, 2] + distance
        x, y = (turned[:, 0] - across) / z, (turned[:, 1] - up) / z
        half = max(np.ptp(x), np.ptp(y)) / 2
        across += float((x.max() + x.min()) / 2 - off[0] * t) * distance
        up += float((y.max() + y.min()) / 2 - off[1] * t) * distance
        distance *= float(half / (fill * t))
    target = axes[0] * across + axes[1] * up
    return Camera(azimuth_deg, elevation_deg, fov_deg, distance, tuple(float(each) for each in target))
