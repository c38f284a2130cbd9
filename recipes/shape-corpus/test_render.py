"""Pictures, surfaces, likeness and files of meshes whose answers are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="the renderer is compiled by numba")
trimesh = pytest.importorskip("trimesh", reason="meshes are written by trimesh")
pytest.importorskip("skimage", reason="surfaces come from scikit-image")

from hive_runner.recipe_module import load  # noqa: E402
from PIL import Image  # noqa: E402

HERE = Path(__file__).parent
Mesh = load("shape-corpus", HERE, "mesh").Mesh
render = load("shape-corpus", HERE, "render")
surface = load("shape-corpus", HERE, "surface")
measure = load("shape-corpus", HERE, "measure")
export = load("shape-corpus", HERE, "export")

RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 200, 30), (30, 30, 220), (128, 128, 128)


def box(size: tuple[float, float, float] = (1, 1, 1), centre: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    """Red in front (-y), green on the right (+x), blue on top, the rest grey."""
    made = trimesh.creation.box(size)
    colours = np.array([_colour_of(normal) for normal in made.face_normals], np.uint8)
    return Mesh((made.vertices + centre).astype(np.float32), made.faces.astype(np.int32), colours)


def _colour_of(normal: np.ndarray) -> tuple[int, int, int]:
    return RED if normal[1] < -0.5 else GREEN if normal[0] > 0.5 else BLUE if normal[2] > 0.5 else GREY


def main_colour(picture: object) -> int:
    return int(np.argmax(picture.rgba[picture.rgba[..., 3] == 255][:, :3].mean(0)))


@pytest.mark.parametrize(("azimuth", "elevation", "channel"), [(0, 0, 0), (90, 0, 1), (0, 89, 2)])
def test_the_camera_stands_where_it_says(azimuth: float, elevation: float, channel: int) -> None:
    assert main_colour(render.render(box(), render.Camera(azimuth, elevation, 30, 4.0), 64)) == channel


def test_a_face_has_its_depth_size_and_normal() -> None:
    camera = render.Camera(0, 0, 40, 3.0)
    picture = render.render(box(), camera, 100)
    assert picture.depth[50, 50] == pytest.approx(2.5, abs=1e-4)
    assert np.isinf(picture.depth[0, 0]) and picture.rgba[0, 0, 3] == 0
    assert np.allclose(picture.normal[50, 50], (0, -1, 0), atol=1e-5)
    wide = 1 / 2.5 / (2 * np.tan(np.radians(20))) * 100  # of the front face, px
    assert (picture.rgba[50, :, 3] / 255).sum() == pytest.approx(wide, abs=0.6)


def test_edges_are_smooth_and_the_target_is_in_the_middle() -> None:
    camera = render.Camera(30, 20, 40, 3.0)
    picture = render.render(box(), camera, 128)
    assert ((picture.rgba[..., 3] > 0) & (picture.rgba[..., 3] < 255)).sum() > 50
    moved = replace(box(), vertices=box().vertices + np.float32([0.2, -0.1, 0.3]))
    again = render.render(moved, replace(camera, target=(0.2, -0.1, 0.3)), 128)
    assert np.abs(again.rgba.astype(int) - picture.rgba).max() <= 2


def test_points_go_to_the_camera_and_back() -> None:
    camera = render.Camera(-50, 33, 35, 2.7, (0.1, 0.2, -0.3))
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3)).astype(np.float32)
    assert np.allclose(camera.placed(camera.seen(points)), points, atol=1e-5)
    assert np.linalg.det(camera.axes) == pytest.approx(-1, abs=1e-5)  # right, up, forward: left-handed as pictures are


def test_what_is_nearer_hides_what_is_behind() -> None:
    small = box((0.2, 0.2, 0.2), (0, -1, 0))
    big = replace(box(), colours=np.full((12, 3), BLUE, np.uint8))
    both = load("shape-corpus", HERE, "mesh").join([small, big])
    picture = render.render(both, render.Camera(0, 0, 40, 5), 65)
    assert np.argmax(picture.rgba[32, 32, :3]) == 0 and np.argmax(picture.rgba[32, 25, :3]) == 2


def ball(cells: int = 48, radius: float = 0.4) -> np.ndarray:
    at = (np.arange(cells) + 0.5) / cells - 0.5
    x, y, z = np.meshgrid(at, at, at, indexing="ij")
    return (radius - np.sqrt(x**2 + y**2 + z**2)).astype(np.float32)


def test_a_ball_comes_out_closed_where_it_was() -> None:
    field = ball()
    field[1, 1, 1] = 0.01  # a crumb
    mesh = surface.extract(field, 0.0)
    made = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert made.is_watertight and made.body_count == 1
    assert made.volume == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.01)
    assert np.linalg.norm(mesh.vertices, axis=1) == pytest.approx(0.4, abs=0.003)


def test_a_solid_that_fills_the_cube_is_closed_and_nothing_is_refused() -> None:
    mesh = surface.extract(np.ones((8, 8, 8), np.float32), 0.5)
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).is_watertight
    with pytest.raises(ValueError, match="no cell"):
        surface.extract(np.zeros((8, 8, 8), np.float32), 0.5)


def test_likeness_of_boxes_is_what_geometry_says() -> None:
    same = measure.compare(box(), box())
    assert same.f2 > 0.95 and same.f5 == 1 and same.chamfer < 0.008 and same.normal_consistency > 0.98
    moved = measure.compare(box((1, 1, 0.02)), box((1, 1, 0.02), (0, 0, 0.08)))
    assert moved.f5 == 0 and moved.chamfer == pytest.approx(0.07, abs=0.012)
    a, b = np.zeros((2, 4, 4, 4), bool)
    a[:2], b[1:3] = True, True
    assert measure.iou(a, b) == pytest.approx(1 / 3)


def test_points_lie_evenly_on_the_surface() -> None:
    points, normals = measure.sample_points(box((1, 1, 0.5)), 40_000, np.random.default_rng(0))
    assert (points[:, 2] > 0.249).mean() == pytest.approx(1 / 4, abs=0.01)
    assert np.allclose(np.abs((points * normals).sum(1)), np.where(np.abs(normals[:, 2]) > 0.5, 0.25, 0.5), atol=1e-5)


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".ply", ".stl"])
def test_a_file_opens_upright_with_its_colours(tmp_path: Path, suffix: str) -> None:
    mesh = surface.extract(ball(24), 0.0)
    tall = replace(
        mesh, vertices=mesh.vertices * np.float32([0.5, 0.25, 1]), colours=np.full((len(mesh.faces), 3), BLUE, np.uint8)
    )
    path = tmp_path / f"tall{suffix}"
    export.write(tall, path, size_m=2.0)
    read = trimesh.load(path, force="mesh")
    assert read.is_watertight and read.volume > 0
    long = np.ptp(tall.vertices, axis=0) * 2
    assert np.allclose(read.extents, long[[0, 2, 1]] if suffix in (".glb", ".obj") else long, rtol=1e-3)
    if suffix != ".stl":
        [only] = trimesh.load_scene(path).geometry.values()
        colours = only.visual.vertex_attributes["color"] if suffix == ".glb" else only.visual.vertex_colors
        shown = np.asarray(colours)[:, :3]
        assert (shown.argmax(1) == 2).all()
    export.write(tall, tmp_path / f"again{suffix}", size_m=2.0)
    assert path.read_bytes() == (tmp_path / f"again{suffix}").read_bytes()


def test_the_turntable_begins_in_front(tmp_path: Path) -> None:
    export.turntable(box(), tmp_path / "views.png", size_px=48)
    with Image.open(tmp_path / "views.png") as file:
        strip = np.asarray(file)
    assert strip.shape == (48, 8 * 48, 3)
    assert strip[30, 24].argmax() == 0 and strip[30, 24 + 2 * 48].argmax() == 1
