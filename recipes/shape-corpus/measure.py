"""How like two shapes are, both in one frame where the longest side of the truth is 1.

F-scores at 1, 2 and 5 % of that side (Knapitsch et al. 2017; Tatarchenko et al. 2019), mean Chamfer distance, normal
consistency, and intersection over union of solids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .mesh import F32, Mesh

POINTS = 40_000
NEAR = (0.01, 0.02, 0.05)


@dataclass(frozen=True)
class Likeness:
    f1: float  # harmonic mean of the shares of each surface within 1 % of the other
    f2: float
    f5: float
    chamfer: float  # mean distance to the other surface, mean of both ways
    normal_consistency: float  # mean |cosine| between normals of nearest points, mean of both ways


def sample_points(mesh: Mesh, n: int, rng: np.random.Generator) -> tuple[F32, F32]:
    """n points spread evenly on the surface, and the normals of their faces, (n, 3) each."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    normals = np.cross(b - a, c - a)
    twice_area = np.linalg.norm(normals, axis=1)
    share = np.cumsum(twice_area)
    if not len(share) or share[-1] <= 0:
        raise ValueError("the mesh has no surface")
    face = np.minimum(np.searchsorted(share, rng.random(n) * share[-1], side="right"), len(share) - 1)
    u, v = np.sqrt(rng.random((n, 1))), rng.random((n, 1))
    points = (1 - u) * a[face] + u * (1 - v) * b[face] + u * v * c[face]
    unit = normals[face] / np.maximum(twice_area[face, None], 1e-20)
    return points.astype(np.float32), unit.astype(np.float32)


def compare(mesh: Mesh, truth: Mesh, points: int = POINTS, seed: int = 0) -> Likeness:
    """The two surfaces where they are: nothing is scaled, moved or turned."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return compare_points(*sample_points(mesh, points, rng), *sample_points(truth, points, rng))


def compare_points(points: F32, normals: F32, true_points: F32, true_normals: F32) -> Likeness:
    """`compare` for surfaces that were sampled before, (n, 3) each."""
    to_truth, true_at = cKDTree(true_points).query(points)
    to_mesh, at = cKDTree(points).query(true_points)
    scores = [_f_score(to_truth, to_mesh, near) for near in NEAR]
    agreement = (
        np.abs((normals * true_normals[true_at]).sum(1)).mean(),
        np.abs((true_normals * normals[at]).sum(1)).mean(),
    )
    return Likeness(*scores, float(to_truth.mean() + to_mesh.mean()) / 2, float(sum(agreement)) / 2)


def _f_score(to_truth: NDArray[np.float64], to_mesh: NDArray[np.float64], near: float) -> float:
    precision, recall = float((to_truth < near).mean()), float((to_mesh < near).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def iou(solid: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Intersection over union of two boolean grids; 1 if both are empty."""
    union = int((solid | truth).sum())
    return int((solid & truth).sum()) / union if union else 1.0
