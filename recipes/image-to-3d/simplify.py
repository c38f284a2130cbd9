"""Fewer triangles, still closed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hive_recipe_shape_corpus.mesh import Mesh

CAREFUL = 3  # of 0 to 10, how boldly edges are collapsed
SHARES = (1.0, 0.97, 0.93, 0.88, 1.5, 2.0, 3.0)  # of the triangles asked for, tried in this order


def watertight(mesh: Mesh) -> bool:
    """Every edge is shared by two triangles that agree on what is outside."""
    edges = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]).astype(np.int64)
    count = int(mesh.faces.max()) + 1
    forth, back = edges[:, 0] * count + edges[:, 1], edges[:, 1] * count + edges[:, 0]
    return len(np.unique(forth)) == len(forth) and np.array_equal(np.sort(forth), np.sort(back))


def simplified(mesh: Mesh, faces: int) -> Mesh:
    """At most `faces` triangles by collapsing edges (Garland & Heckbert 1997), or more where that would tear the mesh.

    What is collapsed is grey: colours come after.
    """
    from fast_simplification import simplify

    if len(mesh.faces) <= faces:
        return mesh
    for share in SHARES:  # whether a collapse tears is a matter of luck: a few triangles less, and it does not
        if share * faces >= len(mesh.faces):
            break
        vertices, triangles = simplify(mesh.vertices, mesh.faces, target_count=int(share * faces), agg=CAREFUL)
        triangles = triangles.astype(np.int32)
        smaller = replace(
            mesh, vertices=vertices.astype(np.float32), faces=triangles,
            colours=np.full((len(triangles), 3), mesh.colours[0], np.uint8),
        )  # fmt: skip
        if watertight(smaller):
            return smaller
    return mesh
