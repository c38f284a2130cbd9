"""How like the truth a shape is: on points of the true surface, the parts of it that one can see from outside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hive_recipe_image_to_3d.frustum import Frustum
from hive_recipe_shape_corpus.measure import POINTS, Likeness, compare_points, sample_points
from hive_recipe_shape_corpus.mesh import F32, Mesh
from scipy import ndimage

from .volume import CELLS, SIDE

Points = tuple[F32, F32]  # places and unit normals, (n, 3) each

SKIN = 1.5  # cells about the surface of the true solid: what lies deeper is inside of the object
TAUBIN = (0.5, 0.53, 10)  # lambda, nu, iterations


def true_points(mesh: Mesh, depths: F32, seed: int) -> Points:
    """POINTS points of the outer surface of a mesh, and the normals of its faces. depths: of its solid, on the grid."""
    rng = np.random.Generator(np.random.PCG64(seed))
    points, normals = sample_points(mesh, 6 * POINTS, rng)
    at = (points.T + 0.5) * CELLS + (SIDE - CELLS) / 2 - 0.5
    outer = np.abs(ndimage.map_coordinates(depths, at, order=1, mode="nearest")) < SKIN
    return points[outer][:POINTS], normals[outer][:POINTS]


def score(mesh: Mesh, truth: Points, seed: int = 0) -> Likeness:
    rng = np.random.Generator(np.random.PCG64(seed))
    return compare_points(*sample_points(mesh, POINTS, rng), *truth)


def in_true_frame(mesh: Mesh, found: Frustum, true: Frustum) -> Mesh:
    """A reconstruction's mesh moved to the frame of the true object so that it looks the same in the picture: along the
    optical axis, the mean of what is visible lies at the same depth."""
    return replace(mesh, vertices=true.to_object(found.from_object(mesh.vertices)))


def taubin(mesh: Mesh) -> Mesh:
    """Smoothed without shrinking (Taubin 1995)."""
    import trimesh

    smooth = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    trimesh.smoothing.filter_taubin(smooth, *TAUBIN)
    return Mesh(np.asarray(smooth.vertices, np.float32), mesh.faces, mesh.colours)
