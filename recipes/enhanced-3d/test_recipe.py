"""What the grid makes of meshes, what coarse shapes are made of, and what is believed: on shapes one can reckon."""

from __future__ import annotations

import json
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network is torch's")
trimesh = pytest.importorskip("trimesh", reason="meshes are read and written by trimesh")
pytest.importorskip("numba", reason="voxels are numba's")
pytest.importorskip("skimage", reason="surfaces are scikit-image's")
pytest.importorskip("fast_simplification", reason="triangles are saved with it")

from hive_runner.contract import JobSpec  # noqa: E402
from hive_runner.errors import InputError  # noqa: E402
from hive_runner.export import save_weights  # noqa: E402
from hive_runner.recipe_module import load  # noqa: E402
from hive_runner.run import Run  # noqa: E402

HERE = Path(__file__).parent
corpus_ = load("shape-corpus", HERE.parent / "shape-corpus", "corpus")
mesh_ = load("shape-corpus", HERE.parent / "shape-corpus", "mesh")
render = load("shape-corpus", HERE.parent / "shape-corpus", "render")
frustum = load("image-to-3d", HERE.parent / "image-to-3d", "frustum")
volume = load("enhanced-3d", HERE, "volume")
degrade = load("enhanced-3d", HERE, "degrade")
data = load("enhanced-3d", HERE, "data")
model = load("enhanced-3d", HERE, "model")
refine = load("enhanced-3d", HERE, "refine")
lift = load("enhanced-3d", HERE, "lift")
score = load("enhanced-3d", HERE, "score")
files = load("enhanced-3d", HERE, "files")
evaluate = load("enhanced-3d", HERE, "evaluate")
predict = load("enhanced-3d", HERE, "predict")

CELLS, SIDE, MARGIN = volume.CELLS, volume.SIDE, volume.MARGIN


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def box_mesh(extents: tuple[float, float, float], at: tuple[float, float, float] = (0, 0, 0)) -> mesh_.Mesh:
    box = trimesh.creation.box(extents)
    colours = np.tile(np.array([[200, 40, 40]], np.uint8), (len(box.faces), 1))
    return mesh_.Mesh((box.vertices + at).astype(np.float32), box.faces.astype(np.int32), colours)


def box_cells(*sides: int) -> np.ndarray:
    """A box of so many cells in the middle of the grid."""
    solid = np.zeros((SIDE,) * 3, bool)
    solid[tuple(slice(SIDE // 2 - side // 2, SIDE // 2 - side // 2 + side) for side in sides)] = True
    return solid


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    solid = box_cells(120, 80, 90)
    solid[20:124, 40:104, 20:108] = False
    return solid


# On the grid


def test_a_closed_mesh_fills_its_cells_and_parts_that_overlap_are_one() -> None:
    one, other = box_mesh((1, 0.5, 0.25)), box_mesh((0.5, 0.5, 0.5))
    assert volume.fill(one).sum() == 128 * 64 * 32
    both = volume.fill(mesh_.join([one, other]))
    assert both.sum() == 128 * 64 * 32 + 64 * 64 * 64 - 64 * 64 * 32
    assert volume.is_closed(one)
    torn = mesh_.Mesh(one.vertices, one.faces[1:], one.colours[1:])
    assert not volume.is_closed(torn)


def test_depths_are_distances_and_a_sheet_one_cell_thick_stays() -> None:
    depths = volume.distance(box_cells(40, 40, 40))
    middle, surface = SIDE // 2, SIDE // 2 + 20  # first cell outside
    assert depths[middle, middle, middle] == pytest.approx(volume.REACH)
    assert depths[middle, middle, surface - 2] == pytest.approx(1.5, abs=0.05)
    assert depths[middle, middle, surface + 1] == pytest.approx(-1.5, abs=0.05)
    sheet = box_cells(60, 60, 1)
    assert np.array_equal(volume.distance(sheet) > 0, sheet)


def test_a_mesh_comes_off_the_grid_where_it_was() -> None:
    mesh = box_mesh((1, 0.5, 0.25))
    found = volume.surface(volume.depths_of_mesh(mesh))
    assert volume.is_closed(found)
    assert np.abs(found.vertices.max(0) - [0.5, 0.25, 0.125]).max() < 0.2 / CELLS
    assert score.score(found, score.true_points(mesh, volume.distance(volume.fill(mesh)), 0)).f1 > 0.99


def test_a_turned_object_is_what_its_turned_mesh_fills(table: np.ndarray) -> None:
    depths = volume.distance(table)
    mesh = volume.surface(depths)
    scale, centre = volume.box_after_turn(table, 30.0)
    a = np.radians(30.0)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]], np.float32)
    vertices = ((mesh.vertices @ turn.T - centre) * scale).astype(np.float32)
    assert np.ptp(vertices, axis=0).max() == pytest.approx(1, abs=0.02)
    filled = volume.fill(mesh_.Mesh(vertices, mesh.faces, mesh.colours))
    turned = volume.turned(depths, 30.0, scale, centre) > 0
    assert (filled & turned).sum() / (filled | turned).sum() > 0.97


def test_what_looks_alike_in_the_picture_lies_in_one_place(table: np.ndarray) -> None:
    depths = volume.distance(table)
    true = frustum.Frustum(render.Camera(0.0, 20.0, 30.0, 2.5), 2.5)
    assert np.abs(lift.in_frame_of(depths, true, true) - depths).max() < 1e-3
    found = frustum.Frustum(render.Camera(0.0, 20.0, 30.0, 2.0), 2.0)  # nearer: the object's unit is longer there
    mesh = volume.surface(depths)
    there = score.in_true_frame(mesh, true, found).vertices
    assert np.allclose(found.camera.pixels(there, 128)[:, :2], true.camera.pixels(mesh.vertices, 128)[:, :2], atol=0.01)
    again = volume.surface(lift.in_frame_of(depths, true, found))
    assert np.allclose(again.vertices.max(0), there.max(0), atol=0.01)


# Coarse shapes


def test_a_degraded_solid_is_drawn_again_the_same_and_stays_near_it(table: np.ndarray) -> None:
    one, other = (degrade.degrade(table, generator(3)) for _ in range(2))
    assert np.array_equal(one.occupancy, other.occupancy) and one.level == other.level
    solid = one.fine() > 0
    assert (solid & table).sum() / (solid | table).sum() > 0.5
    assert not np.array_equal(solid, table)


def test_a_high_level_loses_thin_parts_and_a_low_one_fattens() -> None:
    leg = box_cells(4, 4, 100)
    clean = {"resolution": (40, 40), "blur": (0.5, 0.5), "noise": (0, 0), "bits": 0.0}
    sizes = [
        (degrade.degrade(leg, generator(1), degrade.Ranges(level=(level, level), **clean)).fine() > 0).sum()
        for level in (0.1, 0.4, 0.8)
    ]
    assert sizes[0] > leg.sum() > sizes[2] and sizes[0] > sizes[1] > sizes[2]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, table: np.ndarray) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    inner = (slice(MARGIN, -MARGIN),) * 3
    items = [
        corpus_.Item(index, "grammar", "a table", "table", (), (1, 1, 1), {}, split, "MIT", "nobody")
        for index, split in enumerate(("train", "validation", "test"))
    ]
    blob = corpus_.Blob(b"", zlib.compress(np.packbits(table[inner]).tobytes()), b"")  # solids are all that is read
    corpus_.write(folder, items, [blob] * 3)
    return folder


def test_the_same_crops_come_after_a_resume(corpus: Path) -> None:
    make = partial(data.make_crops, 3, corpus=corpus)
    last = data.GROUP * data.VIEWS  # the first step of the second group
    whole = list(data.batches(range(last + 1), 1, range(1), 1, make))
    again = list(data.batches(range(last, last + 1), 1, range(1), 2, make))
    assert len(whole) == last + 1 and len(again) == 1
    for name in ("coarse", "truth", "lifted"):
        assert np.array_equal(getattr(whole[last], name), getattr(again[0], name))
    assert whole[0].truth.shape == (1, 1, *[data.CROP] * 3)
    assert all((crop.truth > 0).any() and (crop.truth < 0).any() for crop in whole), "each has a surface in it"


def crops_with_the_number(number: int) -> list[object]:
    return [data.Crops(*[np.full((1, 1), number)] * 3)] * data.VIEWS


def test_shares_of_a_batch_see_other_objects() -> None:
    steps = range(2 * data.GROUP * data.VIEWS)

    def numbers(share: range) -> list[list[int]]:
        return [batch.coarse[:, 0].tolist() for batch in data.batches(steps, 3, share, 1, crops_with_the_number)]

    whole = numbers(range(3))
    assert whole == [one + other for one, other in zip(numbers(range(1)), numbers(range(1, 3)), strict=True)]
    assert {number for batch in whole for number in batch} == set(range(2 * data.GROUP * 3))


def test_crops_of_a_picture_keep_its_channels_with_the_cells(tmp_path: Path, table: np.ndarray) -> None:
    """However the cube is laid, what was lifted stays with its cells."""
    depths = data.in_bytes(volume.distance(table))
    lifted = np.broadcast_to(depths[::2, ::2, ::2], (model.LIFTED, *[SIDE // 2] * 3))
    data.save_view(tmp_path / "view.npz", data.View(depths, depths, np.ascontiguousarray(lifted)))
    crops = data.make_crops(0, 0, tmp_path, (tmp_path / "view.npz",), 1.0)
    corners = [[crop.coarse[0, 0, i::2, j::2, k::2] for i in (0, 1) for j in (0, 1) for k in (0, 1)] for crop in crops]
    for crop, parts in zip(crops, corners, strict=True):
        assert any(np.array_equal(crop.lifted[0, 0], part) for part in parts)
    assert len({crop.coarse.tobytes() for crop in crops}) > 1


# The network, and whether it is believed


def test_cells_come_together_as_they_were_taken_apart() -> None:
    fine = torch.arange(2 * 8**3, dtype=torch.float32).reshape(2, 1, 8, 8, 8)
    assert torch.equal(model.together(model.apart(fine)), fine)
    assert torch.equal(model.apart(fine)[0, :, 0, 0, 0], fine[0, 0, :2, :2, :2].ravel())


def test_an_untrained_network_changes_nothing_and_a_wild_one_is_not_believed(table: np.ndarray) -> None:
    net = model.RefineNet()
    plain = refine.Refiner(net.state_dict(), refine.Trust(most_change=0.2), refine.Trust())
    depths = volume.distance(table)
    same = plain.refine(depths)
    assert same.change == 0 and not same.kept and np.array_equal(same.field > 0, table)
    net.answer.bias.data.fill_(3.0)
    wild = refine.Refiner(net.state_dict(), refine.Trust(most_change=0.2), refine.Trust()).refine(depths)
    assert wild.kept and wild.change > 0.2
    net.answer.bias.data.zero_()
    assert refine.Refiner(net.state_dict(), refine.Trust(most_change=-1.0), refine.Trust()).refine(depths).kept
    net.answer.bias.data.fill_(-9.0)
    assert refine.Refiner(net.state_dict(), refine.Trust(), refine.Trust()).refine(depths).kept, "nothing was left"


def test_a_part_keeps_its_core_where_the_network_would_take_all_of_it() -> None:
    from_middle = np.abs(np.arange(volume.SIDE) - 70.0)
    plate = np.broadcast_to(np.clip(2.5 - from_middle, -4, 4), (volume.SIDE,) * 3).astype(np.float32)
    gone = np.full_like(plate, -3)
    assert refine.applied(plate, gone, refine.Trust()).kept, "nothing was left"
    field = refine.applied(plate, gone, refine.Trust(core=0.7)).field
    assert np.array_equal(field[9, 9] > 0, from_middle < 0.7)


def test_the_bound_on_change_leaves_out_what_gets_worse() -> None:
    def trial(gain: float, change: float) -> evaluate.Trial:
        like = [evaluate.Likeness(0.5, f2, 0.5, 0.1, 0.5) for f2 in (0.5, 0.5 + gain)]
        return evaluate.Trial("furniture", {"base": like[0], "1.0": like[1]}, {"1.0": change})

    trials = [trial(0.1, 0.1 + 0.001 * k) for k in range(15)] + [trial(-0.2, 0.5 + 0.01 * k) for k in range(5)]
    gain, most_change, worse = evaluate._believable(trials, 1.0)
    assert gain == pytest.approx(0.0375 - 0.0217 / 20**0.5, abs=1e-4) and worse == 0 and 0.11 < most_change < 0.5


def test_a_gain_within_its_standard_error_is_not_believed() -> None:
    like = [evaluate.Likeness(0.5, f2, 0.5, 0.1, 0.5) for f2 in (0.5, 0.498, 0.5021)]
    trials = [evaluate.Trial("furniture", {"base": like[0], "1.0": like[1 + k % 2]}, {"1.0": 0.1}) for k in range(20)]
    assert evaluate._believable(trials, 1.0) == (0.0, 0.0, 0.0)


def test_what_is_inside_of_the_true_object_does_not_count() -> None:
    outer, inner = box_mesh((1, 1, 1)), box_mesh((0.5, 0.5, 0.5))
    depths = volume.distance(volume.fill(outer))
    points, normals = score.true_points(mesh_.join([outer, inner]), depths, 0)
    assert len(points) > score.POINTS / 2 and np.abs(points).max(1).min() > 0.48
    assert np.allclose(np.abs(normals).max(1), 1)


# Files


def test_a_file_is_read_with_its_colours_and_put_back_where_it_was(tmp_path: Path) -> None:
    from hive_recipe_shape_corpus.export import write

    for suffix in (".glb", ".obj", ".ply", ".stl"):
        given = box_mesh((4, 2, 1), at=(10, 20, 30))
        path = tmp_path / f"box{suffix}"
        write(given, path)
        mesh, place = files.read(path)
        assert np.allclose(mesh.vertices.max(0), [0.5, 0.25, 0.125], atol=1e-4) and volume.is_closed(mesh)
        back = place.back(mesh).vertices
        assert np.allclose([back.min(0), back.max(0)], [[8, 19, 29.5], [12, 21, 30.5]], atol=1e-3)
        if suffix != ".stl":
            assert np.abs(mesh.colours.astype(int) - [200, 40, 40]).max() <= 2, suffix


def test_what_is_no_mesh_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.glb"
    bad.write_bytes(b"no mesh")
    with pytest.raises(InputError, match="cannot be read as a mesh"):
        files.read(bad)
    cloud = tmp_path / "cloud.ply"
    trimesh.PointCloud(np.eye(3)).export(cloud)
    with pytest.raises(InputError):
        files.read(cloud)


def test_fewer_triangles_keep_shape_and_colours() -> None:
    mesh = volume.surface(volume.distance(box_cells(100, 60, 40)))
    colours = np.where(mesh.vertices[mesh.faces].mean(1)[:, :1] > 0, [[255, 0, 0]], [[0, 0, 255]]).astype(np.uint8)
    fewer = files.simplified(mesh_.Mesh(mesh.vertices, mesh.faces, colours), 500)
    assert 100 < len(fewer.faces) <= 500
    assert np.allclose(fewer.vertices.max(0), mesh.vertices.max(0), atol=0.01)
    right = fewer.vertices[fewer.faces].mean(1)[:, 0]
    assert (fewer.colours[right > 0.05, 0] > 200).all() and (fewer.colours[right < -0.05, 2] > 200).all()


def test_fewer_triangles_of_thin_sheets_stay_closed_and_an_open_mesh_has_fewer_too() -> None:
    x, y, z = np.mgrid[:SIDE, :SIDE, :SIDE] / 6
    sheets = np.abs(np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)) < 0.3
    mesh = volume.surface(volume.distance(sheets & box_cells(90, 90, 90)))
    fewer = files.simplified(mesh, 8000)
    assert len(fewer.faces) <= 8000 and trimesh.Trimesh(fewer.vertices, fewer.faces).is_watertight
    torn = files.simplified(mesh_.Mesh(mesh.vertices, mesh.faces[9:], mesh.colours[9:]), 8000)
    assert 1000 < len(torn.faces) <= 8000


def test_a_coarse_mesh_is_refined_with_what_is_told_beside_it(tmp_path: Path) -> None:
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    trust = {"strength": 1.0, "level": 0.0, "most_change": 1.0}
    save_weights(artifact, model.RefineNet().state_dict(), {"shape": trust, "picture": trust})

    def run_of(action: str, output: str, source: str = "") -> Run:
        folder = tmp_path / action
        (folder / "out").mkdir(parents=True)
        paths = {name: str(folder / name) for name in ("out", "checkpoints", "events", "result")}
        return Run(
            JobSpec(
                action, "enhanced-3d", "1", str(HERE), **paths, artifact=str(artifact), output=output,
                inputs=[source] if source else [], options={"faces": 2000}, cpus=1,
            )
        )  # fmt: skip

    sample = run_of("sample", "stool.glb")
    predict.sample(sample)
    run = run_of("predict", "fine.obj", str(sample.output))
    predict.predict(run)
    about = json.loads((run.out / "fine.json").read_text())
    assert about["triangles"] <= 2000 and about["refined"] and (run.out / "fine-views.png").stat().st_size > 1000
    given, found = (trimesh.load_scene(path).to_mesh() for path in (sample.output, run.output))
    assert np.allclose(found.bounds, given.bounds, atol=0.02)
