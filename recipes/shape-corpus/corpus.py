"""The corpus as it lies in an artifact: items.json says what there is, shapes.bin holds meshes, solids and colours."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import ndimage

from .carve import cell_at, steps_across
from .mesh import F32, Mesh

CELLS = 128  # of a solid, along each axis
COLOUR_CELLS = 64
VALIDATION, TEST = 0.1, 0.1  # shares of the names
STEPS = 65535  # of a stored coordinate: 1.5e-5 of the longest side


@dataclass(frozen=True)
class Item:
    index: int
    kind: str  # "furniture" or "grammar"
    name: str  # in English
    family: str  # category of furniture, family of the grammar
    tags: tuple[str, ...]
    size_m: tuple[float, float, float]  # width, depth, height
    attributes: dict[str, Any]  # of grammar items, see grammar.py; of furniture: where it is from
    split: str  # "train", "validation" or "test"
    licence: str  # SPDX
    creator: str


@dataclass(frozen=True)
class Blob:
    """An item's shape, packed."""

    mesh: bytes
    solid: bytes
    colour: bytes


class Corpus:
    """Reads a corpus. Every call unpacks anew; what is returned may be changed.

    folder: an artifact of shape-corpus.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        rows = json.loads((self.folder / "items.json").read_text())
        self.items = tuple(Item(**{field.name: _frozen(row[field.name]) for field in fields(Item)}) for row in rows)
        self._spans = [row["spans"] for row in rows]  # where mesh, solid, colour and the next item begin

    def mesh(self, item: Item) -> Mesh:
        """Normalised; see mesh.py for the frame."""
        return unpack_mesh(self._bytes(item, 0))

    def solid(self, item: Item) -> NDArray[np.bool_]:
        """(128, 128, 128), [x, y, z], over the cube [-.5, .5]^3; centre of a cell: (i + .5) / 128 - .5."""
        return unpack_solid(self._bytes(item, 1))

    def colour(self, item: Item) -> NDArray[np.uint8]:
        """(64, 64, 64, 3) sRGB over the same cube: of the nearest surface."""
        return unpack_colour(self._bytes(item, 2))

    def chosen(self, kind: str = "", split: str = "") -> tuple[Item, ...]:
        return tuple(i for i in self.items if kind in ("", i.kind) and split in ("", i.split))

    @cached_property
    def _packed(self) -> NDArray[np.uint8]:
        return np.memmap(self.folder / "shapes.bin", np.uint8, "r")

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_packed"}

    def _bytes(self, item: Item, which: int) -> bytes:
        start, end = self._spans[item.index][which : which + 2]
        return zlib.decompress(self._packed[start:end].tobytes())


def write(folder: Path, items: Iterable[Item], blobs: Iterable[Blob]) -> None:
    """Write items.json and shapes.bin. Items are numbered in their order here."""
    rows, at = [], 0
    with open(folder / "shapes.bin", "wb") as file:
        for item, blob in zip(items, blobs, strict=True):
            spans = [at]
            for piece in (blob.mesh, blob.solid, blob.colour):
                at += file.write(piece)
                spans.append(at)
            rows.append(asdict(item) | {"spans": spans})
    lines = ",\n".join(json.dumps(row, ensure_ascii=False, sort_keys=True) for row in rows)
    (folder / "items.json").write_text(f"[\n{lines}\n]\n")


def split_of(name: str) -> str:
    """By a hash of the name without numbers and case, so that variants of one thing stay together."""
    plain = re.sub(r"[\W\d_]+", " ", name.lower()).strip()
    share = int.from_bytes(hashlib.sha256(plain.encode()).digest()[:4], "big") / 2**32
    return "test" if share < TEST else "validation" if share < TEST + VALIDATION else "train"


def pack(mesh: Mesh, solid: NDArray[np.bool_]) -> Blob:
    at = np.round((np.clip(mesh.vertices, -0.5, 0.5) + 0.5) * STEPS).astype(np.uint16)
    head = np.array([len(mesh.vertices), len(mesh.faces)], np.uint32)
    faces = np.diff(mesh.faces.astype(np.int32).ravel(), prepend=0).astype(np.int32)  # small numbers pack better
    packed_mesh = head.tobytes() + at.T.tobytes() + faces.tobytes() + mesh.colours.T.tobytes()
    known, colours = surface_colours(mesh)
    packed_colour = np.packbits(known).tobytes() + colours[known].T.tobytes()
    pieces = (packed_mesh, np.packbits(solid).tobytes(), packed_colour)
    return Blob(*(zlib.compress(piece, 6) for piece in pieces))


def unpack_mesh(data: bytes) -> Mesh:
    vertices, faces = (int(n) for n in np.frombuffer(data, np.uint32, 2))
    at = np.frombuffer(data, np.uint16, vertices * 3, 8).reshape(3, vertices).T
    start = 8 + vertices * 6
    deltas = np.frombuffer(data, np.int32, faces * 3, start)
    colours = np.frombuffer(data, np.uint8, faces * 3, start + faces * 12).reshape(3, faces).T
    places = (at / np.float32(STEPS) - np.float32(0.5)).astype(np.float32)
    return Mesh(places, np.cumsum(deltas, dtype=np.int32).reshape(-1, 3), np.ascontiguousarray(colours))


def unpack_solid(data: bytes) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(data, np.uint8)).astype(bool).reshape(CELLS, CELLS, CELLS)


def unpack_colour(data: bytes) -> NDArray[np.uint8]:
    shape = (COLOUR_CELLS,) * 3
    length = COLOUR_CELLS**3 // 8
    known = np.unpackbits(np.frombuffer(data, np.uint8, length)).astype(bool).reshape(shape)
    colours = np.zeros((*shape, 3), np.uint8)
    colours[known] = np.frombuffer(data, np.uint8, -1, length).reshape(3, -1).T
    x, y, z = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    spread: NDArray[np.uint8] = colours[x, y, z]
    return spread


def surface_colours(mesh: Mesh) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Which cells of a grid of COLOUR_CELLS the surface passes through, and its mean colour there."""
    sums = np.zeros((COLOUR_CELLS,) * 3 + (4,), np.float64)
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(float) for k in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    _soak(sums, mesh.vertices, mesh.faces, areas, mesh.colours)
    known = sums[..., 3] > 0
    colours = np.zeros((*sums.shape[:3], 3), np.uint8)
    colours[known] = np.round(sums[known][:, :3] / sums[known][:, 3:]).astype(np.uint8)
    return known, colours


@njit(cache=False)
def _soak(
    sums: NDArray[np.float64],
    vertices: F32,
    faces: NDArray[np.int32],
    areas: NDArray[np.float64],
    colours: NDArray[np.uint8],
) -> None:  # pragma: no cover - compiled
    """Add colours times areas, and areas, of pieces of each face to the cells where they are."""
    cells = sums.shape[0]
    triangle = np.empty((3, 3), np.float32)
    for t in range(len(faces)):
        for k in range(3):
            for axis in range(3):
                triangle[k, axis] = vertices[faces[t, k], axis]
        steps = steps_across(triangle, cells)
        weight = areas[t] / ((steps + 1) * (steps + 2) / 2) + 1e-12
        for p in range(steps + 1):
            for q in range(steps + 1 - p):
                u, v = p / steps, q / steps
                i, j, k = (
                    cell_at(triangle, u, v, 0, cells),
                    cell_at(triangle, u, v, 1, cells),
                    cell_at(triangle, u, v, 2, cells),
                )
                for channel in range(3):
                    sums[i, j, k, channel] += weight * colours[t, channel]
                sums[i, j, k, 3] += weight


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
