"""Meshes as users have them: read, with their colours, into the frame of an object, and put back where they were."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hive_recipe_shape_corpus.export import Y_UP
from hive_recipe_shape_corpus.mesh import F32, Mesh
from hive_runner.errors import InputError
from numpy.typing import NDArray
from scipy.spatial import cKDTree

GREY = 180
SAMPLES = 60_000  # points that colours are carried over from


@dataclass(frozen=True)
class Place:
    """Where a mesh was before it was normalised, z up."""

    centre: F32  # (3,)
    longest: float  # side of its box

    def back(self, mesh: Mesh) -> Mesh:
        return replace(mesh, vertices=(mesh.vertices * np.float32(self.longest) + self.centre).astype(np.float32))


def read(path: Path) -> tuple[Mesh, Place]:
    """A normalised mesh, and where it was. Raises InputError."""
    import trimesh

    try:
        loaded = trimesh.load_scene(path).to_mesh()
        loaded.merge_vertices(merge_tex=True, merge_norm=True)
    except Exception as error:  # trimesh raises whatever its many readers do
        raise InputError(
            f"{path.name} cannot be read as a mesh", str(error), "GLB, OBJ, PLY or STL is wanted"
        ) from error
    faces, vertices = np.asarray(loaded.faces, np.int32), np.asarray(loaded.vertices, np.float64)
    if not len(faces):
        raise InputError(f"{path.name} has no triangles", "a cloud of points is no mesh", "make a surface of it first")
    used = vertices[np.unique(faces)]
    low, high = used.min(0), used.max(0)
    if not np.isfinite(used).all() or not (high - low).max() > 0:
        raise InputError(f"{path.name} has no size", "its corners are all in one place, or are no numbers")
    if path.suffix.lower() in Y_UP:
        vertices = np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], 1)
        used = vertices[np.unique(faces)]
        low, high = used.min(0), used.max(0)
    place = Place(((low + high) / 2).astype(np.float32), float((high - low).max()))
    normalised = ((vertices - (low + high) / 2) / place.longest).astype(np.float32)
    return Mesh(normalised, faces, _colours(loaded, path.suffix.lower())), place


def _colours(loaded: Any, suffix: str) -> NDArray[np.uint8]:
    """(m, 3) sRGB of the faces; grey where the file has none."""
    try:
        kind = loaded.visual.kind
        if kind is None:
            raise ValueError("no colours")
        colours = np.asarray((loaded.visual.to_color() if kind == "texture" else loaded.visual).face_colors)[:, :3]
    except Exception:  # a missing or broken texture is no reason to refuse a shape
        return np.full((len(loaded.faces), 3), GREY, np.uint8)
    if suffix == ".glb" and kind == "vertex":  # glTF keeps colours at vertices in linear light
        share = colours / 255.0
        colours = np.where(share <= 0.0031308, share * 12.92, 1.055 * share ** (1 / 2.4) - 0.055) * 255 + 0.5
    return np.asarray(colours, np.uint8)


def painted(mesh: Mesh, like: Mesh) -> Mesh:
    """The mesh in the colours of the nearest places of another."""
    import trimesh

    other = trimesh.Trimesh(like.vertices, like.faces, process=False)
    points, face = trimesh.sample.sample_surface(other, SAMPLES, seed=0)
    _, nearest = cKDTree(points).query(mesh.vertices[mesh.faces].mean(1))
    return replace(mesh, colours=like.colours[face[nearest]])


def simplified(mesh: Mesh, faces: int) -> Mesh:
    """At most so many triangles (quadric error metrics, Garland & Heckbert 1997), in the colours of before."""
    import fast_simplification

    if len(mesh.faces) <= faces:
        return mesh
    vertices, kept = fast_simplification.simplify(mesh.vertices, mesh.faces, target_count=faces)
    fewer = Mesh(np.asarray(vertices, np.float32), np.asarray(kept, np.int32), np.zeros((len(kept), 3), np.uint8))
    return painted(fewer, mesh)
