"""Meshes as users have them: read, with their colours, into the frame of an object, and put back where they were."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hive_recipe_image_to_3d.simplify import SPARE, mended
from hive_recipe_shape_corpus.export import Y_UP
from hive_recipe_shape_corpus.mesh import F32, Mesh
from hive_runner.errors import InputError
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .volume import is_closed

GREY = 180
AGGRESSION = (5, 3, 7)  # how fast the cheapest edges are collapsed, best first
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
        scene = trimesh.load_scene(path)
        nodes = [scene.graph[node] for node in scene.graph.nodes_geometry]
        parts = [(scene.geometry[name], place) for place, name in nodes]
        parts = [(part, place) for part, place in parts if isinstance(part, trimesh.Trimesh)]
        plain = [
            trimesh.Trimesh(part.vertices, part.faces, process=False).apply_transform(place) for part, place in parts
        ]
        loaded = trimesh.util.concatenate(plain)
        loaded.merge_vertices()
    except Exception as error:  # trimesh raises whatever its many readers do
        raise InputError(
            f"{path.name} cannot be read as a mesh", str(error), "GLB, OBJ, PLY or STL is wanted"
        ) from error
    faces, vertices = np.asarray(loaded.faces, np.int32), np.asarray(loaded.vertices, np.float64)
    if not len(faces):
        raise InputError(f"{path.name} has no triangles", "a cloud of points is no mesh", "make a surface of it first")
    if path.suffix.lower() in Y_UP:
        vertices = np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], 1)
    used = vertices[np.unique(faces)]
    low, high = used.min(0), used.max(0)
    if not np.isfinite(used).all() or not (high - low).max() > 0:
        raise InputError(f"{path.name} has no size", "its corners are all in one place, or are no numbers")
    place = Place(((low + high) / 2).astype(np.float32), float((high - low).max()))
    normalised = ((vertices - (low + high) / 2) / place.longest).astype(np.float32)
    colours = np.concatenate([_colours(part, path.suffix.lower()) for part, _ in parts])
    return Mesh(normalised, faces, colours), place


def _colours(part: Any, suffix: str) -> NDArray[np.uint8]:
    """(m, 3) sRGB of the faces; grey where the file has none."""
    visual = part.visual
    try:
        of_vertices = visual.vertex_attributes.get("color") if visual.kind == "texture" else None
        if of_vertices is not None:
            colours = np.asarray(of_vertices)[part.faces, :3].mean(1)
        elif visual.kind == "texture":
            colours = np.asarray(visual.to_color().face_colors)[:, :3]
        elif visual.kind is None:
            raise ValueError("no colours")
        else:
            colours = np.asarray(visual.face_colors)[:, :3]
    except Exception:  # a missing or broken texture is no reason to refuse a shape
        return np.full((len(part.faces), 3), GREY, np.uint8)
    if suffix == ".glb" and (of_vertices is not None or visual.kind == "vertex"):  # glTF has linear light at vertices
        share = colours / 255
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
    """At most so many triangles by collapsing edges (Garland & Heckbert 1997), closed if it was and any of AGGRESSION
    leaves it so, in the colours of before."""
    from fast_simplification import simplify

    if len(mesh.faces) <= faces:
        return mesh
    closed, fewer = is_closed(mesh), []
    for aggression in AGGRESSION:
        target = int((1 - SPARE) * faces)
        vertices, kept = simplify(mesh.vertices, mesh.faces, target_count=target, agg=aggression)
        vertices, kept = vertices.astype(np.float32), kept.astype(np.int32)
        if closed:
            vertices, kept = mended(vertices, kept)
        made = Mesh(vertices, kept, np.zeros((len(kept), 3), np.uint8))
        torn = closed and not is_closed(made)
        fewer.append((torn, len(kept), made))
        if not torn and len(kept) <= faces:
            break
    _, _, best = min(fewer, key=lambda made: made[:2])
    return painted(best, mesh)
