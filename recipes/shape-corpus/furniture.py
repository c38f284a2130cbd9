"""Reads the models of Debian's package sweethome3d-furniture: coloured meshes with names, sizes, licences and creators.

The package is an `ar` archive; its data.tar.xz holds libraries (.sh3f: zip archives), each with a catalogue of
properties and OBJ models with materials and textures.
"""

from __future__ import annotations

import io
import lzma
import re
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from .carve import touched
from .mesh import F32, Mesh
from .polygons import cut_polygons

MOST_FACES = 20_000
COVER_CELLS, LEAST_COVERED = 64, 0.98  # a simplified mesh passes through this share of the cells that it did before
LICENCES = {  # by library, from the package's copyright file
    "BlendSwap-CC-0": "CC0-1.0",
    "BlendSwap-CC-BY": "CC-BY-3.0",
    "KatorLegaz": "CC-BY-3.0-US",
    "Reallusion": "CC-BY-3.0-US",
    "Scopia": "CC-BY-3.0",
}
CENTIMETRE = 0.01
FINE = 1 / 32  # textured faces are split until no side is longer, longest side of the object = 1
SPLITS = 3  # at most


@dataclass(frozen=True)
class Model:
    """An entry of a catalogue."""

    library: str
    path: str  # of the OBJ file in the library
    name: str
    category: str
    tags: tuple[str, ...]
    size_m: tuple[float, float, float]  # width, depth, height
    rotation: tuple[float, ...]  # (9,), rows of what turns the file's axes into the catalogue's (y up, front to +z)
    creator: str

    @property
    def licence(self) -> str:
        return LICENCES[self.library]


def unpack(package: Path, folder: Path) -> list[Path]:
    """Extract the libraries of the .deb into `folder`. -> their paths, in order of name."""
    with open(package, "rb") as file:
        content = next(data for name, data in _members(file) if name.startswith("data.tar"))
    folder.mkdir(parents=True, exist_ok=True)
    libraries = []
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(content))) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".sh3f"):
                stream = archive.extractfile(member)
                assert stream is not None
                path = folder / PurePosixPath(member.name).name
                path.write_bytes(stream.read())
                libraries.append(path)
    return sorted(libraries)


def _members(file: io.BufferedReader) -> Iterator[tuple[str, bytes]]:
    """The files in an `ar` archive."""
    if file.read(8) != b"!<arch>\n":
        raise ValueError("not a Debian package: it does not begin as an ar archive does")
    while header := file.read(60):
        size = int(header[48:58])
        yield header[:16].decode("ascii").strip(" /"), file.read(size + size % 2)[:size]


def catalogue(library: Path) -> list[Model]:
    """The models of a library, in its order."""
    with zipfile.ZipFile(library) as archive:
        text = archive.read("PluginFurnitureCatalog.properties").decode("latin-1")
    entries: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        if found := re.match(r"(\w+)#(\d+)\s*=\s*(.*)", line):
            key, number, value = found.groups()
            entries.setdefault(int(number), {})[key] = _unescaped(value.strip())
    return [_model(library.stem, entry) for _, entry in sorted(entries.items()) if "model" in entry]


def _model(library: str, entry: dict[str, str]) -> Model:
    width, depth, height = (float(entry[key]) * CENTIMETRE for key in ("width", "depth", "height"))
    rotation = tuple(float(number) for number in entry.get("modelRotation", "1 0 0 0 1 0 0 0 1").split())
    tags = tuple(tag.strip() for tag in entry.get("tags", "").split(",") if tag.strip() not in ("", "Blend Swap"))
    name = entry.get("name") or PurePosixPath(entry["model"]).stem
    return Model(
        library, entry["model"].lstrip("/"), name, entry["category"], tags, (width, depth, height), rotation,
        entry.get("creator", ""),
    )  # fmt: skip


def _unescaped(value: str) -> str:
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), value).replace("\\ ", " ")


@cache
def _opened(library: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(library)


def read(library: Path, model: Model) -> Mesh:
    """The model's mesh: textures become colours of faces, at most about MOST_FACES of them; normalised.

    Raises ValueError if it has no surface.
    """
    archive = _opened(library)
    folder = PurePosixPath(model.path).parent
    scene = _parse(archive.read(model.path).decode("latin-1"))
    materials = _materials(archive, folder, scene.libraries)
    corners = _framed(scene.vertices, model)[scene.corners]  # (m, 3, 3)
    pieces, painted = [], []
    for number, name in enumerate(scene.names):
        mine = scene.material == number
        if not mine.any():
            continue
        material = materials.get(name, Material())
        triangles, uv = corners[mine], scene.uvs[mine]
        if material.texture is not None:
            triangles, uv = _split(triangles, uv, FINE * float(np.ptp(corners.reshape(-1, 3), axis=0).max()))
        pieces.append(triangles)
        painted.append(material.colours(uv))
    if not pieces:
        raise ValueError(f"{model.path} has no faces")
    return _welded(np.concatenate(pieces), np.concatenate(painted)).normalised()


def simplified(mesh: Mesh, most: int = MOST_FACES) -> Mesh:
    """The mesh with about `most` faces, by quadric edge collapse (Garland and Heckbert 1997); colours from the nearest.

    Where parts would vanish (leaves, wires), with half of its faces, or all.
    """
    if len(mesh.faces) <= most:
        return mesh
    import fast_simplification

    before = touched(mesh, COVER_CELLS)
    for target in dict.fromkeys((most, max(most, len(mesh.faces) // 2))):
        vertices, faces = fast_simplification.simplify(mesh.vertices, mesh.faces, target_count=target)
        small = Mesh(vertices.astype(np.float32), faces.astype(np.int32), np.zeros((len(faces), 3), np.uint8))
        after = ndimage.binary_dilation(touched(small, COVER_CELLS))
        if (before & after).sum() >= LEAST_COVERED * before.sum():
            centres = mesh.vertices[mesh.faces].mean(1)
            _, nearest = cKDTree(centres).query(small.vertices[small.faces].mean(1))
            return replace(small, colours=mesh.colours[nearest])
    return mesh


def oriented(mesh: Mesh, solid: NDArray[np.bool_]) -> Mesh:
    """Faces turned about whose front is in the solid and whose back is not."""
    corners = mesh.vertices[mesh.faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    centre, cells, padded = corners.mean(1), len(solid), np.pad(solid, 1)

    def within(points: F32) -> NDArray[np.bool_]:
        at = np.floor((points + 0.5) * cells).astype(int) + 1
        found: NDArray[np.bool_] = padded[tuple(np.clip(at, 0, cells + 1).T)]
        return found

    wrong = within(centre + normal * 1.2 / cells) & ~within(centre - normal * 1.2 / cells)
    faces = mesh.faces.copy()
    faces[wrong] = faces[wrong][:, ::-1]
    return Mesh(mesh.vertices, faces, mesh.colours)


@dataclass(frozen=True)
class Material:
    """What a face is painted with. kd: 0..1; texture: (h, w, 3) 0..1, its first row on top."""

    kd: tuple[float, ...] = (0.8, 0.8, 0.8)
    texture: F32 | None = None

    def colours(self, uv: F32) -> NDArray[np.uint8]:
        """uv: (m, 3, 2), of the corners -> (m, 3)."""
        if self.texture is None:
            return np.tile(np.round(np.array(self.kd) * 255).astype(np.uint8), (len(uv), 1))
        weights = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4]], np.float32)
        at = np.einsum("sk,mkc->smc", weights / weights.sum(1, keepdims=True), uv)
        height, width = self.texture.shape[:2]
        column = np.floor((at[..., 0] % 1) * width).astype(int) % width
        row = np.floor((1 - at[..., 1] % 1) * height).astype(int) % height
        return np.round(self.texture[row, column].mean(0) * 255).astype(np.uint8)


def _materials(archive: zipfile.ZipFile, folder: PurePosixPath, libraries: list[str]) -> dict[str, Material]:
    found: dict[str, Material] = {}
    for library in libraries:
        name, kd, texture = "", Material.kd, None
        for line in [*_text(archive, str(folder / library)).splitlines(), "newmtl"]:
            words = line.split()
            if not words:
                continue
            if words[0] == "newmtl":
                if name:
                    found[name] = Material(kd, texture)
                name, kd, texture = line.partition("newmtl")[2].strip(), Material.kd, None
            elif words[0] == "Kd":
                kd = tuple(min(max(float(word), 0.0), 1.0) for word in words[1:4])
            elif words[0] == "map_Kd":
                texture = _texture(archive, str(folder / words[-1].replace("\\", "/")))
    return found


def _text(archive: zipfile.ZipFile, path: str) -> str:
    return archive.read(path).decode("latin-1") if path in archive.namelist() else ""


def _texture(archive: zipfile.ZipFile, path: str) -> F32 | None:
    """A texture, at most 256 px; the mean of the rest where it is transparent. As in viewers, it replaces Kd."""
    from PIL import Image

    if path not in archive.namelist():
        return None
    picture = Image.open(io.BytesIO(archive.read(path))).convert("RGBA")
    picture.thumbnail((256, 256), Image.Resampling.BOX)
    pixels = np.asarray(picture, np.float32) / 255
    rgb, alpha = pixels[..., :3], pixels[..., 3:]
    if alpha.min() < 0.5 and alpha.max() >= 0.5:
        rgb = np.where(alpha >= 0.5, rgb, rgb[alpha[..., 0] >= 0.5].mean(0))
    return rgb


@dataclass(frozen=True)
class Scene:
    """An OBJ file's triangles."""

    vertices: F32  # (n, 3)
    corners: NDArray[np.int64]  # (m, 3)
    uvs: F32  # (m, 3, 2); 0 where there are none
    material: NDArray[np.int64]  # (m,), index in names
    names: list[str]
    libraries: list[str]


def _parse(text: str) -> Scene:
    vertices: list[str] = []
    textured: list[str] = []
    faces: list[str] = []
    before: list[tuple[int, int, int]] = []  # of each face: vertices and texture points so far, number of the material
    names, libraries, current = {"": 0}, [], 0
    for line in text.splitlines():
        if line.startswith("v "):
            vertices.append(line[2:])
        elif line.startswith("f "):
            faces.append(line[2:])
            before.append((len(vertices), len(textured), current))
        elif line.startswith("vt "):
            textured.append(line[3:])
        elif line.startswith("usemtl"):
            current = names.setdefault(line[6:].strip(), len(names))
        elif line.startswith("mtllib"):
            libraries.append(line[6:].strip())
    places = _numbers(vertices, 3)
    corners, uvs, owners = _triangles(faces, np.array(before, np.int64).reshape(-1, 3), places)
    points = np.concatenate([_numbers(textured, 2), np.zeros((1, 2), np.float32)])  # index -1: none
    return Scene(places, corners, points[uvs], owners, list(names), libraries)


def _numbers(lines: list[str], columns: int) -> F32:
    """The first `columns` numbers of each line."""
    flat = np.fromstring(" ".join(lines), np.float32, sep=" ")
    return flat.reshape(len(lines), -1)[:, :columns] if lines else np.zeros((0, columns), np.float32)


def _triangles(faces: list[str], before: NDArray[np.int64], places: F32) -> tuple[NDArray[np.int64], ...]:
    """Polygons as triangles: indices of their vertices and texture points (m, 3), and numbers of materials (m,)."""
    alike: dict[tuple[int, int], list[int]] = {}  # faces with as many corners, given in the same way
    for number, face in enumerate(faces):
        corners = len(face.split())
        alike.setdefault((corners, face.count("/") // max(corners, 1) + 1), []).append(number)
    v, t, owner, order = [], [], [], []
    for (corners, fields), numbers in alike.items():
        if corners < 3:
            continue
        text = " ".join(faces[number] for number in numbers).replace("//", "/0/").replace("/", " ")
        index = np.fromstring(text, np.int64, sep=" ").reshape(len(numbers), corners, fields)
        start = before[numbers]
        at = [index[..., 0], index[..., 1] if fields > 1 else np.zeros_like(index[..., 0])]
        # counted from 1; from the end where negative; 0: none
        vertex, texture = (np.where(a < 0, start[:, k, None] + a, a - 1) for k, a in enumerate(at))
        cuts = cut_polygons(places[vertex])  # (polygons, triangles, 3), indices of corners
        v.append(np.take_along_axis(vertex[:, None], cuts, 2).reshape(-1, 3))
        t.append(np.take_along_axis(texture[:, None], cuts, 2).reshape(-1, 3))
        owner.append(np.repeat(start[:, 2], corners - 2))
        order.append(np.repeat(numbers, corners - 2))
    if not v:
        return np.zeros((0, 3), np.int64), np.zeros((0, 3), np.int64), np.zeros(0, np.int64)
    sort = np.argsort(np.concatenate(order), kind="stable")
    return np.concatenate(v)[sort], np.concatenate(t)[sort], np.concatenate(owner)[sort]


def _framed(vertices: F32, model: Model) -> F32:
    """In the object's frame, as large as the catalogue says, in metres: the catalogue scales each axis by itself."""
    points = vertices @ np.array(model.rotation, np.float32).reshape(3, 3).T
    points = np.stack([points[:, 0], -points[:, 2], points[:, 1]], 1)  # y up, front to +z -> z up, front to -y
    extent = points.max(0) - points.min(0)
    scale = np.where(extent > 0, np.array(model.size_m, np.float32) / np.maximum(extent, 1e-9), 1)
    return (points * scale).astype(np.float32)


def _split(triangles: F32, uv: F32, longest: float) -> tuple[F32, F32]:
    """Cut triangles with a side over `longest` in four, so that colours of faces can show a texture."""
    for _ in range(SPLITS):
        sides = np.linalg.norm(triangles - np.roll(triangles, 1, axis=1), axis=2).max(1)
        long = sides > longest
        if not long.any() or len(triangles) + 3 * long.sum() > MOST_FACES:
            break
        triangles, uv = (np.concatenate([each[~long], _quartered(each[long])]) for each in (triangles, uv))
    return triangles, uv


def _quartered(corners: F32) -> F32:
    a, b, c = (corners[:, k] for k in range(3))
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.concatenate([np.stack(quarter, 1) for quarter in quarters])


def _welded(triangles: F32, colours: NDArray[np.uint8]) -> Mesh:
    """Corners at the same place become one vertex; faces without an area, and second copies of a face, are dropped."""
    vertices, index = np.unique(triangles.reshape(-1, 3), axis=0, return_inverse=True)
    faces = index.reshape(-1, 3)
    kept = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    first = np.zeros(len(faces), bool)
    first[np.unique(np.sort(faces, axis=1), axis=0, return_index=True)[1]] = True
    kept &= first
    return Mesh(vertices.astype(np.float32), faces[kept].astype(np.int32), colours[kept])
