"""Primitives, grammar, carving, furniture and the corpus' files: on shapes whose answers are known."""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="carving is compiled by numba")
pytest.importorskip("fast_simplification", reason="large meshes are simplified by it")

from hive_runner.recipe_module import load
from PIL import Image

HERE = Path(__file__).parent
mesh_ = load("shape-corpus", HERE, "mesh")
primitives = load("shape-corpus", HERE, "primitives")
grammar = load("shape-corpus", HERE, "grammar")
carve = load("shape-corpus", HERE, "carve")
furniture = load("shape-corpus", HERE, "furniture")
polygons = load("shape-corpus", HERE, "polygons")
corpus = load("shape-corpus", HERE, "corpus")
train = load("shape-corpus", HERE, "train")
attribution = load("shape-corpus", HERE, "attribution")

RED = (200, 30, 30)
PARTS = {
    "box": primitives.box((0, 0, 0), (1.0, 0.6, 0.4), RED),
    "roof": primitives.box((0, 0, 0), (1.0, 0.6, 0.4), RED, taper=(0.5, 0.0), shear=(0.2, 0.0)),
    "ball": primitives.blob((0, 0, 0), (1.0, 1.0, 1.0), RED),
    "cushion": primitives.blob((0, 0, 0), (1.0, 0.6, 0.3), RED, 5.0),
    "column": primitives.column((0, 0, 0), 1.0, 0.3, RED, top=0.1),
    "pot": primitives.turned(
        (0, 0, 0), 1.0, ((0, 0), (0.4, 0), (0.4, 1), (0.3, 1), (0.3, 0.2), (0, 0.2)), RED, sides=6
    ),
    "limb": primitives.limb((0, 0, 0), (0.3, 0.5, 0.8), 0.1, RED, sides=4),
    "ring": primitives.ring((0, 0, 0), 0.4, 0.1, RED, primitives.turn_about("x", 90)),
}


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def volume(mesh: mesh_.Mesh) -> float:
    """By the divergence theorem; positive if faces turn counter-clockwise seen from outside."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(float) for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("name", PARTS)
def test_the_inside_of_a_primitive_is_what_its_triangles_enclose(name: str) -> None:
    mesh = PARTS[name].mesh()
    scale = float(np.ptp(mesh.vertices, axis=0).max())
    cells = primitives.fill([PARTS[name]], mesh, 64).sum()
    assert volume(mesh) > 0
    assert cells / 64**3 * scale**3 == pytest.approx(volume(mesh), rel=0.03)
    sides = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
    places = np.round(mesh.vertices, 5)
    ends = np.unique(places, axis=0, return_inverse=True)[1].reshape(-1)[sides]
    ends = np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1)
    assert (np.unique(ends, axis=0, return_counts=True)[1] % 2 == 0).all()  # no side of a triangle is open


@pytest.mark.parametrize("family", grammar.FAMILIES)
def test_a_shape_is_drawn_again_the_same_and_fits_its_cube(family: str) -> None:
    one, other = (grammar.make_shape(generator(3), family) for _ in range(2))
    assert np.array_equal(one.solid, other.solid) and np.array_equal(one.mesh.vertices, other.mesh.vertices)
    assert np.ptp(one.mesh.vertices, axis=0).max() == pytest.approx(1, abs=1e-5)
    assert one.attributes["family"] == family and one.attributes == other.attributes
    assert np.allclose(one.attributes["ratios"], np.array(one.size_m) / max(one.size_m), atol=2e-3)
    filled = np.argwhere(one.solid)
    extent = (filled.max(0) + 1 - filled.min(0)) / 128
    assert np.allclose(extent, one.attributes["ratios"], atol=0.04)
    assert family.split()[0] in grammar.describe(one.attributes) or one.attributes["style"] in grammar.NOUNS


def test_attributes_say_what_was_built() -> None:
    counts = set()
    for seed in range(40):
        shape = grammar.make_shape(generator(seed), "table")
        legs = shape.attributes["n_legs"]
        if shape.attributes["leg_shape"] != "panel" and not shape.attributes["n_shelves"]:
            low = np.argwhere(shape.solid)[:, 2].min()
            from scipy import ndimage

            assert ndimage.label(shape.solid[:, :, low + 4], np.ones((3, 3)))[1] == legs
            counts.add(legs)
    assert {1, 3, 4} <= counts


def test_there_are_enough_families_and_some_are_held_out() -> None:
    assert len(grammar.FAMILIES) >= 14
    assert len(grammar.HELD_OUT_FAMILIES) >= 3 and set(grammar.HELD_OUT_FAMILIES) < set(grammar.FAMILIES)


def test_carving_agrees_with_the_exact_solid_and_does_not_leak() -> None:
    shape = grammar.make_shape(generator(1), "sofa")
    assert iou(carve.solid(shape.mesh), shape.solid) > 0.95
    kept = generator(0).permutation(len(shape.mesh.faces))[: int(len(shape.mesh.faces) * 0.98)]
    holed = mesh_.Mesh(shape.mesh.vertices, shape.mesh.faces[kept], shape.mesh.colours[kept])
    assert iou(carve.solid(holed), shape.solid) > 0.85
    assert iou(carve.flooded(holed), shape.solid) < 0.6


def test_a_sheet_becomes_one_cell_thick_and_a_cup_stays_open() -> None:
    corners = np.array([[-0.5, 0, -0.5], [0.5, 0, -0.5], [0.5, 0, 0.5], [-0.5, 0, 0.5]], np.float32)
    sheet = mesh_.Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32), np.zeros((2, 3), np.uint8))
    assert 0.9 < carve.solid(sheet, 64, 40).sum() / 64**2 < 1.6
    pot = carve.solid(PARTS["pot"].mesh().normalised(), 64, 80)
    assert not pot[32, 32, 40:].any() and pot[32, 32, 2:10].all()


def cube_library(folder: Path) -> Path:
    """A package as Debian makes them: one library with one model, a cube whose front (+z in the file) is green."""
    texture = io.BytesIO()
    Image.new("RGB", (4, 4), (0, 160, 0)).save(texture, "PNG")
    corners = "".join(f"v {x} {y} {z}\n" for z in (0, 1) for y in (0, 1) for x in (0, 1))
    library = io.BytesIO()
    with zipfile.ZipFile(library, "w") as archive:
        archive.writestr("cube/cube.obj", (
            "mtllib cube.mtl\n" + corners + "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
            "usemtl front\nf 5/1 6/2 8/3 7/4\nusemtl plain\n"
            "f 1 3 4 2\nf 1//1 5//1 7//1 3//1\nf -7 -5 -1 -3\nf 3 7 8 4\nf 1 2 6 5\n"
        ))  # fmt: skip
        archive.writestr("cube/cube.mtl", "newmtl front\nKd 1 1 1\nmap_Kd green.png\nnewmtl plain\nKd 0.5 0.25 0\n")
        archive.writestr("cube/green.png", texture.getvalue())
        archive.writestr("PluginFurnitureCatalog.properties", (
            "id=x\nid#1=a\nname#1=Caf\\u00e9 box 2\ntags#1=Blend Swap, Seat\ncategory#1=Kitchen\n"
            "model#1=/cube/cube.obj\n"
            "width#1=40\ndepth#1=20\nheight#1=80\ncreator#1=Ann\n"
        ))  # fmt: skip
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        entry = tarfile.TarInfo("./usr/share/sweethome3d/furniture/Scopia.sh3f")
        entry.size = len(library.getvalue())
        archive.addfile(entry, io.BytesIO(library.getvalue()))
    package = folder / "furniture.deb"
    with open(package, "wb") as file:
        file.write(b"!<arch>\n")
        for name, content in (("debian-binary", b"2.0"), ("data.tar.xz", lzma.compress(data.getvalue()))):
            file.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode())
            file.write(content + b"\n" * (len(content) % 2))
    return package


def test_a_model_of_the_package_stands_upright_with_its_front_to_the_front(tmp_path: Path) -> None:
    [library] = furniture.unpack(cube_library(tmp_path), tmp_path / "libraries")
    [model] = furniture.catalogue(library)
    assert (model.name, model.category, model.tags, model.creator) == ("Café box 2", "Kitchen", ("Seat",), "Ann")
    assert model.size_m == pytest.approx((0.4, 0.2, 0.8)) and model.licence == "CC-BY-3.0"
    mesh = furniture.read(library, model)
    assert np.ptp(mesh.vertices, axis=0) == pytest.approx((0.5, 0.25, 1.0))
    assert volume(mesh) == pytest.approx(0.125, rel=1e-4)
    green = (mesh.colours == (0, 160, 0)).all(1)
    assert green.sum() > 2  # split, to show its texture
    assert np.allclose(mesh.vertices[mesh.faces[green]][..., 1], -0.125)
    assert (mesh.colours[~green] == (128, 64, 0)).all()


def test_faces_that_look_inwards_are_turned() -> None:
    mesh = PARTS["box"].mesh().normalised()
    turned = mesh.faces.copy()
    turned[::2] = turned[::2, ::-1]
    wrong = mesh_.Mesh(mesh.vertices, turned, mesh.colours)
    right = furniture.oriented(wrong, carve.solid(wrong, 64))
    assert volume(right) == pytest.approx(volume(mesh))


def test_a_large_mesh_is_simplified_and_keeps_its_colours() -> None:
    mesh = PARTS["ball"].mesh().normalised()
    colours = np.where(mesh.vertices[mesh.faces].mean(1)[:, 2:] > 0, RED, (0, 0, 250)).astype(np.uint8)
    small = furniture.simplified(mesh_.Mesh(mesh.vertices, mesh.faces, colours), 300)
    assert len(small.faces) <= 310 and volume(small) == pytest.approx(volume(mesh), rel=0.1)
    above = small.vertices[small.faces].mean(1)[:, 2] > 0.1
    assert (small.colours[above] == RED).all()


def test_a_corpus_reads_what_was_written(tmp_path: Path) -> None:
    make = lambda number: train.make(0, 0, train.Task(None, None, number))  # noqa: E731
    made = [make(number) for number in (3, 17)]
    corpus.write(tmp_path, train._numbered([each.item for each in made]), [each.blob for each in made])
    read = corpus.Corpus(tmp_path)
    assert [item.index for item in read.items] == [0, 1]
    item = read.items[1]
    exact = grammar.make_shape(np.random.Generator(np.random.Philox(np.random.SeedSequence([0, 17]))), item.family)
    mesh = read.mesh(item)
    assert np.abs(mesh.vertices - exact.mesh.vertices).max() < 2e-5
    assert np.array_equal(mesh.faces, exact.mesh.faces) and np.array_equal(mesh.colours, exact.mesh.colours)
    assert np.array_equal(read.solid(item), exact.solid)
    colour = read.colour(item)
    centre = exact.mesh.vertices[exact.mesh.faces].mean(1)
    at = np.clip(((centre + 0.5) * 64).astype(int), 0, 63)
    near = np.abs(colour[at[:, 0], at[:, 1], at[:, 2]].astype(int) - exact.mesh.colours).max(1)
    assert np.median(near) < 12
    assert item.attributes == exact.attributes | {"ratios": item.attributes["ratios"]}


def test_variants_of_a_name_share_a_split_and_shares_are_as_said() -> None:
    assert len({corpus.split_of(name) for name in ("Chair 1", "chair 22", "CHAIR", "Chair-3")}) == 1
    splits = [
        corpus.split_of(f"{'abcdefghij'[k % 10]}{chr(97 + k // 10 % 26)}{chr(97 + k // 260)}") for k in range(3000)
    ]
    assert splits.count("test") / 3000 == pytest.approx(0.1, abs=0.02)
    assert splits.count("train") / 3000 == pytest.approx(0.8, abs=0.03)


def test_the_attribution_names_every_creator() -> None:
    source = {"library": "Scopia", "model": "scopia/x.obj"}
    item = corpus.Item(0, "furniture", "Chair", "Kitchen", (), (1, 1, 1), source, "train", "CC-BY-3.0", "Ann")
    text = attribution.text([item])
    assert "Chair, Ann, CC-BY-3.0" in text and attribution.SHA256 in text


def test_a_polygon_with_a_notch_is_cut_into_its_own_area() -> None:
    u = np.array([[0, 0], [3, 0], [3, 3], [2, 3], [2, 1], [1, 1], [1, 3], [0, 3]], np.float32)  # 7 of 9 squares
    star = np.array([(r * np.cos(t), r * np.sin(t)) for r, t in zip([2, 1] * 4, np.arange(8) * np.pi / 4, strict=True)])
    for flat, area in ((u, 7.0), (star.astype(np.float32), 4 * np.sqrt(2.0) * 1.0)):
        for polygon in (flat, flat[::-1]):
            corners = np.concatenate([polygon, polygon[:, :1] * 0.5], 1).astype(np.float32)[None]  # on a slope
            a, b, c = np.moveaxis(corners[0][polygons.cut_polygons(corners)[0]], 1, 0)
            pieces = np.cross(b - a, c - a)
            assert (pieces[:, 2] * np.sign(pieces[0, 2]) >= 0).all()
            assert np.abs(pieces[:, 2]).sum() / 2 == pytest.approx(area, rel=1e-5)
