"""Fewer triangles, still closed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hive_recipe_shape_corpus.mesh import F32, Mesh
from numpy.typing import NDArray

BOLDNESS = (3, 5, 7)  # of 0 to 10, how readily edges are collapsed, tried in this order
SPARE = 0.01  # this share of the triangles asked for is left for `mended` to add
ROUNDS = 20  # of mending, of which five are seen to be enough

Faces = NDArray[np.int32]  # (triangles, 3) corners
I64 = NDArray[np.int64]


def watertight(mesh: Mesh) -> bool:
    """Every edge is shared by two triangles that agree on what is outside."""
    forth, back = _edges(mesh.faces)
    return len(np.unique(forth)) == len(forth) and np.array_equal(np.sort(forth), np.sort(back))


def simplified(mesh: Mesh, faces: int) -> Mesh:
    """At most `faces` triangles by collapsing edges (Garland & Heckbert 1997), or as few as come without a tear.

    What is collapsed is grey: colours come after.
    """
    from fast_simplification import simplify

    fewest = mesh
    for boldness in BOLDNESS:
        if len(fewest.faces) <= faces:
            break
        target = int((1 - SPARE) * faces)
        vertices, triangles = simplify(mesh.vertices, mesh.faces, target_count=target, agg=boldness)
        vertices, triangles = mended(vertices.astype(np.float32), triangles.astype(np.int32))
        colours = np.full((len(triangles), 3), mesh.colours[0], np.uint8)
        fewer = replace(mesh, vertices=vertices, faces=triangles, colours=colours)
        if 0 < len(triangles) < len(fewest.faces) and watertight(fewer):
            fewest = fewer
    return fewest


def mended(vertices: F32, faces: Faces) -> tuple[F32, Faces]:
    """No edge of more than two triangles, where as many triangles pass each edge one way as the other.

    Collapsing brings two sheets of a surface to a common edge, of four triangles. One of the sheets gets a corner of
    its own on that edge. Nothing moves. Two triangles back to back on the same corners go.
    """
    for parts in range(2, 2 + ROUNDS):
        faces = _without_flakes(faces)
        forth, back = _edges(faces)
        order = np.argsort(forth, kind="stable")
        repeated = order[1:][forth[order[1:]] == forth[order[:-1]]]
        repeated = repeated[forth[repeated] < back[repeated]]  # and not again from its other end
        if not len(repeated):
            break
        against = order[np.searchsorted(forth[order], back[repeated])]
        vertices, faces = _parted(vertices, faces, repeated, against, 1 / parts)
    return vertices, faces


def _edges(faces: Faces) -> tuple[I64, I64]:
    """(3 triangles,) numbers of the edges as they are passed, and of their other direction; all first edges first."""
    count = int(faces.max(initial=0)) + 1
    start, end = faces.T.astype(np.int64).ravel(), np.roll(faces, -1, 1).T.astype(np.int64).ravel()
    return start * count + end, end * count + start


def _without_flakes(faces: Faces) -> Faces:
    """Without pairs of triangles that have the same corners and opposite sides."""
    first = np.argmin(faces, 1)[:, None]
    _, left, right = np.take_along_axis(faces, (first + np.arange(3)) % 3, 1).T
    flipped = left > right
    _, same = np.unique(np.sort(faces, 1), axis=0, return_inverse=True)
    kinds = 2 * same.reshape(-1) + flipped
    counts = np.bincount(kinds, minlength=2 * len(faces))
    order = np.argsort(kinds, kind="stable")
    which = np.empty(len(faces), np.int64)  # of the triangles of its kind
    which[order] = np.arange(len(faces)) - np.searchsorted(kinds[order], kinds[order])
    return faces[which >= counts[kinds ^ 1]]


def _parted(vertices: F32, faces: Faces, repeated: I64, against: I64, share: float) -> tuple[F32, Faces]:
    """Cut the triangles at both sides of an edge in two, for each repeated edge whose triangles are still whole."""
    cut: set[int] = set()
    corners, halves = [], []
    for edge, twin in zip(repeated, against, strict=True):
        sides = [(int(side % len(faces)), int(side // len(faces))) for side in (edge, twin)]
        if any(triangle in cut for triangle, _ in sides):
            continue
        between = len(vertices) + len(corners)
        for triangle, corner in sides:
            a, b, c = np.roll(faces[triangle], -corner)
            halves += [(a, between, c), (between, b, c)]
            cut.add(triangle)
        corners.append(vertices[a] + (vertices[b] - vertices[a]) * share)
    vertices = np.concatenate([vertices, np.array(corners, np.float32)])
    return vertices, np.concatenate([np.delete(faces, list(cut), 0), np.array(halves, np.int32)])
