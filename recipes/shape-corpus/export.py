"""Meshes as files that other programs open (GLB, OBJ, PLY, STL), and as a strip of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .mesh import F32, Mesh
from .render import Camera, render

SUFFIXES = (".glb", ".obj", ".ply", ".stl")
Y_UP = (".glb", ".obj")  # what viewers take for up in these; z in the others
VIEWS = 8
PAPER = 245  # grey of the turntable's ground


def write(mesh: Mesh, path: Path, size_m: float = 1.0) -> None:
    """Write by suffix, upright, colours at the vertices (STL has none); what is 1 long in the mesh becomes size_m."""
    import trimesh

    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path.name}: a mesh is written as {', '.join(SUFFIXES)}")
    vertices = mesh.vertices * np.float32(size_m)
    if suffix in Y_UP:
        vertices = np.stack([vertices[:, 0], vertices[:, 2], -vertices[:, 1]], 1)
    colours = vertex_colours(mesh)
    if suffix == ".glb":
        colours = _linear(colours)
    rgba = np.concatenate([colours, np.full((len(colours), 1), 255, np.uint8)], 1)
    shape = trimesh.Trimesh(vertices, mesh.faces, vertex_colors=rgba, process=False)
    if suffix == ".glb":
        path.write_bytes(_glb(trimesh.Scene({"object": shape})))
    else:
        exported = shape.export(file_type=suffix[1:])
        path.write_bytes(exported.encode() if isinstance(exported, str) else exported)


def vertex_colours(mesh: Mesh) -> NDArray[np.uint8]:
    """(n, 3): the mean of the faces around each vertex."""
    total = np.zeros((len(mesh.vertices), 4))
    for corner in mesh.faces.T:
        for channel in range(3):
            total[:, channel] += np.bincount(corner, mesh.colours[:, channel], len(total))
        total[:, 3] += np.bincount(corner, minlength=len(total))
    return (total[:, :3] / np.maximum(total[:, 3:], 1) + 0.5).astype(np.uint8)


def turntable(mesh: Mesh, path: Path, size_px: int = 192, elevation_deg: float = 20.0) -> None:
    """A strip of VIEWS pictures (PNG), from the front and then all around."""
    from PIL import Image

    fov_deg = 30.0
    radius = float(np.linalg.norm(mesh.vertices, axis=1).max())
    distance = radius / np.sin(np.radians(fov_deg) / 2) * 1.04
    tiles = []
    for turn in range(VIEWS):
        picture = render(mesh, Camera(360 / VIEWS * turn, elevation_deg, fov_deg, distance), size_px, samples=3)
        tiles.append(on_paper(picture.rgba))
    Image.fromarray(np.concatenate(tiles, 1)).save(path)


def on_paper(rgba: NDArray[np.uint8], paper: int = PAPER) -> NDArray[np.uint8]:
    """(h, w, 4) -> (h, w, 3) on a light ground."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return (rgba[..., :3] * alpha + paper * (1 - alpha) + 0.5).astype(np.uint8)


def _linear(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """sRGB -> linear light, which is what glTF says of colours at vertices."""
    share: F32 = (colours / 255.0).astype(np.float32)
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return (light * 255 + 0.5).astype(np.uint8)


def _glb(scene: Any) -> bytes:
    from trimesh.exchange.gltf import export_glb

    def matt(tree: dict[str, Any]) -> None:
        """A material that does not shine: what glTF takes for granted is metal."""
        surface = {"metallicFactor": 0.0, "roughnessFactor": 0.9, "baseColorFactor": [1, 1, 1, 1]}
        tree["materials"] = [{"pbrMetallicRoughness": surface, "doubleSided": True}]
        for mesh in tree["meshes"]:
            for primitive in mesh["primitives"]:
                primitive["material"] = 0

    glb: bytes = export_glb(scene, include_normals=True, tree_postprocessor=matt)
    return glb
