"""From a field on the cells of the object's cube to a closed surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .mesh import F32, Mesh

CRUMB = 0.004  # a piece with less than this share of all faces is dropped
GREY = 180


def extract(field: F32, level: float) -> Mesh:
    """Where `field` (n, n, n), indexed [x, y, z] over the cube [-.5, .5]^3, is `level`; inside is above. Closed, grey.

    Marching cubes (Lorensen & Cline 1987, in Lewiner's topologically safe form). Raises ValueError if nothing is above.
    """
    from skimage.measure import marching_cubes

    field = np.asarray(field, np.float32)
    if not (field > level).any():
        raise ValueError(f"no cell is above the level {level}")
    cells = field.shape[0]
    outside = min(float(field.min()), level - (float(field.max()) - level))
    field = np.where(field == level, np.nextafter(np.float32(level), np.float32(-np.inf)), field)  # no flat faces
    vertices, faces, _, _ = marching_cubes(np.pad(field, 1, constant_values=outside), level)
    vertices = ((vertices - 0.5) / cells - 0.5).astype(np.float32)
    faces = _without_crumbs(faces.astype(np.int32))
    used, faces = np.unique(faces, return_inverse=True)
    vertices, faces = vertices[used], faces.reshape(-1, 3).astype(np.int32)
    if volume(vertices, faces) < 0:
        faces = faces[:, ::-1].copy()
    return Mesh(vertices, faces, np.full((len(faces), 3), GREY, np.uint8))


def volume(vertices: F32, faces: NDArray[np.int32]) -> float:
    """Enclosed by a closed surface; negative if it is inside out."""
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def _without_crumbs(faces: NDArray[np.int32]) -> NDArray[np.int32]:
    count = int(faces.max()) + 1
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = coo_matrix((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, piece = connected_components(graph, directed=False)
    piece_of_face = piece[faces[:, 0]]
    sizes = np.bincount(piece_of_face)
    kept: NDArray[np.int32] = faces[sizes[piece_of_face] >= min(CRUMB * len(faces), sizes.max())]
    return kept
