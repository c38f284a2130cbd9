"""Cells along rays, decoding, baselines and training, on shapes whose answers are known."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

torch = pytest.importorskip("torch", reason="the network is torch's")
pytest.importorskip("numba", reason="pictures are rendered by numba's code")
trimesh = pytest.importorskip("trimesh", reason="meshes are written by trimesh")
pytest.importorskip("skimage", reason="surfaces come from scikit-image")
pytest.importorskip("fast_simplification", reason="triangles are collapsed by it")

from hive_runner.ahead import made_ahead  # noqa: E402
from hive_runner.contract import JobSpec  # noqa: E402
from hive_runner.recipe_module import load  # noqa: E402
from hive_runner.run import Run  # noqa: E402

HERE = Path(__file__).parent
CORPUS = HERE.parent / "shape-corpus"
Mesh = load("shape-corpus", CORPUS, "mesh").Mesh
render = load("shape-corpus", CORPUS, "render")
corpus_ = load("shape-corpus", CORPUS, "corpus")
measure = load("shape-corpus", CORPUS, "measure")
frustum_ = load("image-to-3d", HERE, "frustum")
truth_ = load("image-to-3d", HERE, "truth")
data = load("image-to-3d", HERE, "data")
given = load("image-to-3d", HERE, "given")
bodies = load("image-to-3d", HERE, "bodies")
parts = load("image-to-3d", HERE, "parts")
lumps = load("image-to-3d", HERE, "lumps")
colour = load("image-to-3d", HERE, "colour")
decode = load("image-to-3d", HERE, "decode")
model = load("image-to-3d", HERE, "model")
reconstruct = load("image-to-3d", HERE, "reconstruct")
baselines = load("image-to-3d", HERE, "baselines")
evaluate = load("image-to-3d", HERE, "evaluate")
simplify = load("image-to-3d", HERE, "simplify")
train = load("image-to-3d", HERE, "train")

SIZE = np.float32([1.0, 0.6, 0.4])  # of the box
FRONT, BACK = (200, 60, 50), (40, 60, 200)


def box() -> Any:
    """Red where it faces -y or up, blue elsewhere."""
    made = trimesh.creation.box(SIZE)
    red = (made.face_normals[:, 1] < -0.5) | (made.face_normals[:, 2] > 0.5)
    colours = np.where(red[:, None], FRONT, BACK).astype(np.uint8)
    return Mesh(made.vertices.astype(np.float32), made.faces.astype(np.int32), colours)


def solid_box() -> np.ndarray:
    at = np.abs((np.arange(128) + 0.5) / 128 - 0.5)
    return (at[:, None, None] < SIZE[0] / 2) & (at[None, :, None] < SIZE[1] / 2) & (at[None, None, :] < SIZE[2] / 2)


class FewShapes:
    """A corpus of one box."""

    def mesh(self, item: Any) -> Any:
        return box()

    def solid(self, item: Any) -> np.ndarray:
        return solid_box()


@pytest.fixture(scope="module")
def view() -> Any:
    return data.look(FewShapes(), None, data.generator(3), faults=False)


def perfect(view: Any) -> Any:
    """What a network would say that knows the truth."""
    camera = view.frustum.camera
    logits = np.where(view.occupancy, 6.0, -6.0).astype(np.float32)
    return reconstruct.Sight(logits, view.depth, view.behind / np.float32(255), camera.elevation_deg, camera.fov_deg)


@pytest.mark.parametrize("azimuth", [0, 35, -140])
def test_the_object_fills_the_picture_it_is_fitted_to(azimuth: float) -> None:
    camera = frustum_.fitted(box().vertices, azimuth, 25, 35)
    rows, columns = np.nonzero(render.render(box(), camera, 128).rgba[..., 3] > 127)
    for axis in (rows, columns):
        assert (axis.min() + axis.max()) / 2 == pytest.approx(63.5, abs=1)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(0.9 * 128, abs=1.5)


def test_points_go_along_rays_and_back(view: Any) -> None:
    rng = np.random.default_rng(0)
    u, v, s = rng.uniform(-0.9, 0.9, (3, 40)).astype(np.float32)
    points = view.frustum.points(u, v, s)
    pixels = view.frustum.camera.pixels(points, 128)
    assert np.allclose(pixels[:, 0], (u + 1) * 64 - 0.5, atol=1e-2)
    assert np.allclose(pixels[:, 1], (1 - v) * 64 - 0.5, atol=1e-2)
    there = view.frustum.from_object(points)
    assert np.allclose(there[:, 2], s, atol=1e-4)
    assert np.allclose(view.frustum.to_object(there), points, atol=1e-5)


def test_the_truth_of_a_view_agrees_with_its_picture(view: Any) -> None:
    inside = view.wanted & view.occupancy.any(2)
    assert inside.sum() > 0.93 * view.wanted.sum()
    front = frustum_.NEAR + view.occupancy.argmax(2) * frustum_.PITCH
    off = (front - view.depth)[inside & np.isfinite(view.depth)]
    assert np.abs(np.median(off)) < 0.03 and np.quantile(np.abs(off), 0.9) < 0.08
    assert np.nanmean(view.depth) == pytest.approx(0, abs=0.03)
    flipped = data.mirrored(view)
    assert np.array_equal(flipped.occupancy[:, ::-1], view.occupancy)


def test_behind_the_box_is_its_other_colour() -> None:
    camera = frustum_.fitted(box().vertices, 0, 10, 30)
    behind = truth_.colours_behind(camera, box())
    assert np.array_equal(np.unique(behind[behind.any(2)], axis=0), [BACK])
    assert render.render(box(), camera, 64).rgba[32, 32, 0] > 100  # and its front is red


def test_a_perfect_answer_becomes_the_shape_that_was_seen(view: Any) -> None:
    made = reconstruct.decoded(perfect(view), view.rgba, decode.Decoding())
    assert np.ptp(made.mesh.vertices, axis=0).max() == pytest.approx(1, abs=0.02)
    assert np.abs(made.mesh.vertices.max(0) + made.mesh.vertices.min(0)).max() < 0.03
    assert simplify.watertight(made.mesh) and 1000 < len(made.mesh.faces) <= 20_000
    assert evaluate.outline_kept(made) > 0.97
    likeness = evaluate.delivered(made, box(), view.frustum.camera.azimuth_deg)
    assert likeness.f5 > 0.97 and likeness.chamfer < 0.02
    truth = evaluate.Truth(box(), solid_box(), view.frustum)
    score = truth.score(evaluate.of_field(made.frustum_field, made.frustum, made.mesh))
    assert score["iou"] > 0.9 and score["f5"] > 0.97
    assert made.field.shape == (64, 64, 64)
    share = np.prod(np.ptp(made.mesh.vertices, axis=0)) * 64**3
    assert 0.3 * share < (made.field > 0).sum() <= share
    seen = np.isfinite(made.depth)
    off = made.depth[seen] - render.render(made.mesh, made.camera, 128).depth[seen]
    assert np.abs(np.median(off[np.isfinite(off)])) < 0.02


def test_what_is_seen_has_the_pictures_colour_and_what_is_not_the_guess(view: Any) -> None:
    picture = view.rgba.copy()
    picture[..., :3] = (10, 250, 10)
    sight = replace(perfect(view), behind=np.full((64, 64, 3), (0.9, 0.1, 0.9), np.float32))
    made = reconstruct.decoded(sight, picture, decode.Decoding(guess=1.0))
    again = render.render(made.mesh, made.camera, 64, ambient=1.0).rgba
    assert np.abs(again[again[..., 3] == 255][:, :3] - np.float32([10, 250, 10])).mean() < 30
    other = render.render(made.mesh, replace(made.camera, azimuth_deg=180, target=(0, 0, 0)), 64, ambient=1.0).rgba
    hidden = other[other[..., 3] == 255][:, :3].astype(float).mean(0)
    assert hidden[0] > 150 and hidden[1] < 100
    painted = colour.turned_to_back(picture)[view.wanted]
    assert painted.argmax(1).tolist() == [1] * len(painted)  # without a guess, the colours of the front


def test_every_column_of_the_outline_holds_matter_however_faint() -> None:
    logits = np.full((64, 64, 80), -5.0, np.float32)
    logits[20:40, 20:40, 30:34] = -3.0  # never above .05
    logits[20:40, 30:40, 30:50] = 4.0
    wanted = np.zeros((64, 64), bool)
    wanted[20:40, 20:40] = True
    cells = decode.calibrated(logits, wanted, decode.Decoding())
    assert (cells[wanted] > 0).any(1).all()
    assert cells[30, 24].argmax() in range(30, 34)
    assert (cells[30, 38] > 0).sum() == pytest.approx(20, abs=2)


def test_the_outline_is_found_between_pixels() -> None:
    alpha = np.zeros((128, 128), np.float32)
    alpha[:, 40:80] = 1
    alpha[:, 80] = 0.75  # the edge is three quarters into the pixel
    edge = decode.outline(alpha)
    assert edge[64, 60] > 15 and edge[64, 20] < -15
    here, beyond = edge[64, 80], edge[64, 81]
    assert 80 + here / (here - beyond) == pytest.approx(80.25, abs=0.3) and (np.diff(edge[64, 60:100]) <= 0).all()
    alpha[:, 20] = 1  # a wire of one pixel is kept
    assert (decode.outline(alpha)[20:100, 20] > 0).all()


def test_fewer_triangles_stay_closed_and_near() -> None:
    at = (np.arange(48) + 0.5) / 48 - 0.5
    ball = 0.4 - np.sqrt(at[:, None, None] ** 2 + at[None, :, None] ** 2 + at[None, None, :] ** 2)
    whole = load("shape-corpus", CORPUS, "surface").extract(ball.astype(np.float32), 0.0)
    fewer = simplify.simplified(whole, 3000)
    assert simplify.watertight(whole) and simplify.watertight(fewer)
    assert len(fewer.faces) <= 3000 < len(whole.faces)
    assert measure.compare(fewer, whole).chamfer < 0.012
    torn = replace(fewer, faces=fewer.faces[1:])
    assert not simplify.watertight(torn)


def test_two_sheets_on_one_edge_are_parted_where_they_stand() -> None:
    """Two tetrahedra that share an edge and, with opposite triangles, a face: a flake that goes."""
    corners = np.float32([[0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]])
    solid = np.int32([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    for other in ([0, 1, 4, 5], [0, 1, 2, 4]):
        faces = np.concatenate([solid, np.int32(other)[solid]])
        vertices, mended = simplify.mended(corners, faces)
        colours = np.zeros((len(mended), 3), np.uint8)
        assert simplify.watertight(Mesh(vertices, mended, colours))
        made, given_ = (trimesh.Trimesh(v, f, process=False) for v, f in ((vertices, mended), (corners, faces)))
        assert made.volume == pytest.approx(given_.volume) and made.is_watertight
        assert set(map(tuple, corners[np.unique(faces)])) <= set(map(tuple, vertices))


def test_thin_sheets_stay_closed_and_come_down_to_what_is_asked() -> None:
    """A gyroid a few cells thick, of a rough surface: its sheets come together as edges collapse."""
    x, y, z = np.mgrid[:64, :64, :64] / 5
    gyroid = np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)
    field = 0.3 - np.abs(gyroid) + np.random.default_rng(4).normal(0, 0.15, gyroid.shape)
    field[[0, -1]] = field[:, [0, -1]] = field[:, :, [0, -1]] = -1
    whole = load("shape-corpus", CORPUS, "surface").extract(field.astype(np.float32), 0.0)
    for faces in (20_000, 4000):
        fewer = simplify.simplified(whole, faces)
        assert len(fewer.faces) <= faces < len(whole.faces)
        read = trimesh.Trimesh(fewer.vertices, fewer.faces)  # corners in the same place become one
        assert simplify.watertight(fewer) and read.is_watertight


def test_the_balloon_is_round_and_retrieval_knows_its_own(view: Any) -> None:
    rgba = np.zeros((128, 128, 4), np.uint8)
    rows, columns = np.mgrid[:128, :128] - 63.5
    rgba[np.hypot(rows, columns) < 57] = 255
    thick = (baselines.inflated(rgba, 1.0).cells > 0).sum(2) * frustum_.PITCH / 2
    assert thick[32, 32] == pytest.approx(57 / 64, abs=0.08) and thick[32, 6] < 0.6
    entries = [baselines.Entry(k, None, baselines.likeness(picture)) for k, picture in enumerate((rgba, view.rgba))]
    assert baselines.retrieved(entries, view.rgba).item == 1


def test_what_is_given_of_a_mirror_image_is_the_mirror_image(view: Any) -> None:
    channels = given.given(view.rgba)
    assert channels.shape == (given.CHANNELS, 128, 128) and channels.dtype == np.float32
    assert np.array_equal(given.given(view.rgba[:, ::-1]), channels[..., ::-1])
    assert channels[5, 0, 0] == 1 and channels[5, -1, 0] == -1


def test_an_untrained_network_paints_the_back_as_the_front_and_learns_shapes_little_by_views(view: Any) -> None:
    torch.manual_seed(0)
    net = model.ShapeNet()
    answer = net(torch.from_numpy(given.given(view.rgba)[None]))
    red = np.isclose(answer.behind[0].detach().permute(1, 2, 0), view.rgba[::2, ::2, :3] / 255, atol=0.1).all(-1)
    assert red[view.wanted].mean() > 0.6  # shades of neighbours are mixed
    (answer.elevation_deg + answer.fov_deg).sum().backward()
    assert 0 < net.stem.weight.grad.norm() < net.view[0].weight.grad.norm()


def test_an_inset_moves_surfaces_inwards_and_leaves_something_of_what_is_thin() -> None:
    at = np.moveaxis(np.indices((40, 40, 80)), 0, -1) - (20.3, 19.8, 40)
    ball = 3 * (12 - np.linalg.norm(at, axis=-1)).astype(np.float32)  # logits
    radii = [np.cbrt((field > 0).sum() * 3 / (4 * np.pi)) for field in (ball, decode._thinner(ball, 0.5))]
    assert radii[0] - radii[1] == pytest.approx(0.5, abs=0.05)
    sheet = (2 - 4 * np.abs(at[..., 2])).astype(np.float32)  # one cell thick
    assert ((decode._thinner(sheet, 0.5) > 0) == (sheet > 0)).all()


def test_a_lump_is_closed_normalised_and_as_its_solid() -> None:
    for number in range(4):
        lump = lumps.lump(number)
        mesh, solid = lump.mesh(None), lump.solid(None)
        assert np.ptp(mesh.vertices, axis=0).max() == pytest.approx(1, abs=1e-5)
        assert trimesh.Trimesh(mesh.vertices, mesh.faces).is_watertight
        filled = solid.mean() / trimesh.Trimesh(mesh.vertices, mesh.faces).volume
        assert filled == pytest.approx(1, abs=0.05)
        at = np.argwhere(solid)
        assert np.abs((at.min(0) + at.max(0) + 1) / 2 / 128 - 0.5).max() < 0.02
    assert np.array_equal(lumps.lump.__wrapped__(1).bits, lumps.lump(1).bits)


def test_a_part_turns_about_an_axis_as_its_points_do() -> None:
    rod = parts.limb(np.array([0.2, 0, 0]), np.array([0.8, 0.1, 0]), 0.05)
    for axis, there in ((0, (0.5, 0, 0.05)), (1, (0, 0.05, -0.5)), (2, (-0.05, 0.5, 0))):
        turned = rod.turned(90, axis)
        assert turned.middle == pytest.approx(there, abs=1e-6)
        assert turned.depth(turned.middle[:, None] + 0.2 * turned.axes[:1].T) > 0


def test_people_and_heads_are_nearly_always_in_one_piece() -> None:
    for kind in (bodies.person, bodies.head, bodies.creature):
        pieces = []
        for seed in range(6):
            body = kind(data.generator(seed, 9))
            points = np.concatenate([part.middle[:, None] for part in body.parts], 1)
            touching = np.stack([part.depth(points) > -0.1 for part in body.parts])
            pieces.append(connected_components(touching)[0])
        assert pieces.count(1) >= 4, (kind, pieces)


def test_some_lumps_are_drilled_through() -> None:
    genus = []
    for number in range(24):
        mesh = lumps.lump(number).mesh(None)
        solid = trimesh.Trimesh(mesh.vertices, mesh.faces)
        genus.append(solid.body_count - solid.euler_number // 2)
    assert any(each > 0 for each in genus) and genus.count(0) > 12


def test_a_part_is_a_ball_a_cylinder_or_a_block() -> None:
    steps = (np.arange(100, dtype=np.float32) + 0.5) / 50 - 1
    points = np.stack([axis.ravel() for axis in np.meshgrid(steps, steps, steps, indexing="ij")])
    radii = np.float32([0.5, 0.8, 0.8])
    for exponent, across, volume in ((2, 2, np.pi / 6), (8, 2, np.pi / 4), (8, 8, 1)):
        part = parts.Part(np.zeros(3, np.float32), np.eye(3, dtype=np.float32), radii, exponent, across)
        assert (part.depth(points) > 0).mean() == pytest.approx(volume * 0.5 * 0.8 * 0.8, rel=0.08)


def test_a_creature_has_two_like_sides_and_a_head_before_it() -> None:
    for seed in range(8):
        parts = bodies.creature(data.generator(seed)).parts
        middles = np.array([part.middle for part in parts])
        mirrored = middles * (-1, 1, 1)
        assert np.abs(middles[:, None] - mirrored).max(2).min(1).max() < 1e-6
        assert middles[:, 1].min() < 0 < middles[:, 1].max()


def test_a_limb_reaches_from_end_to_end() -> None:
    start, end = np.array([0.1, 0.2, 0.3]), np.array([0.4, -0.2, 0.9])
    part = bodies.limb(start, end, 0.1, flat=0.5)
    assert (part.depth(np.stack([start, end], 1).astype(np.float32)) > 0).all()
    assert np.linalg.det(part.axes.astype(np.float64)) == pytest.approx(1, abs=1e-5)
    aside = np.outer(part.axes[1], np.float32([0.04, 0.06])) + part.middle[:, None]
    assert (part.depth(aside) > 0).tolist() == [True, False]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_bored_is_bored_on_both_sides(seed: int) -> None:
    holes = bodies.machine_part(data.generator(seed)).holes
    for one, other in zip(holes[::2], holes[1::2], strict=True):
        assert np.abs(one.middle) == pytest.approx(np.abs(other.middle)) and np.array_equal(one.radii, other.radii)


def test_a_matrix_between_places_interpolates_and_lasts_at_the_ends() -> None:
    line = np.arange(lumps.GRID, dtype=np.float32) ** 2
    found = lumps._between(np.array([-3.0, 2.0, 4.5, lumps.GRID + 5.0])) @ line
    assert found == pytest.approx([0, 4, 20.5, (lumps.GRID - 1) ** 2])


def test_thick_and_thin_things_count_alike(corpus: Path) -> None:
    torch.manual_seed(0)
    net = model.ShapeNet()
    apart = [train.losses(net, "float32", "cpu", data.make_batch(0, corpus, range(k, k + 1))) for k in range(2)]
    together = train.losses(net, "float32", "cpu", data.make_batch(0, corpus, range(2)))
    for name in ("entropy_loss", "dice_loss"):
        assert together[name].item() == pytest.approx(np.mean([each[name].item() for each in apart]), rel=1e-5)


def test_a_front_at_another_distance_has_the_same_slopes() -> None:
    off = torch.full((1, 8, 8), 0.3)
    known = torch.ones(1, 8, 8, dtype=torch.bool)
    known[0, 2] = False
    assert train._slopes(off * known, known).item() == pytest.approx(0, abs=1e-6)
    tilted = (torch.arange(8.0) * 0.1).expand(1, 8, 8) * known
    assert train._slopes(tilted, known).item() == pytest.approx(0.1 + 0.2 + 0.4, rel=1e-5)  # over 1, 2 and 4 cells
    assert train._slopes(tilted, torch.zeros_like(known)).item() == 0  # nothing is known


def test_confidence_is_what_promises_were_worth() -> None:
    offset, slope = evaluate.kept([(0.4, 0.2), (0.6, 0.4), (0.8, 0.6)])
    assert (offset, slope) == pytest.approx((-0.2, 1.0))
    decoding = decode.Decoding(promise=(offset, slope))
    assert [decoding.confidence(promised) for promised in (0.1, 0.5, 1.3)] == pytest.approx([0, 0.3, 1])
    assert evaluate.kept([(0.4, 0.6), (0.8, 0.2)]) == pytest.approx((0.4, 0.0))  # a line that falls says nothing
    assert evaluate.kept([(0.5, 0.3), (0.5, 0.3)]) == pytest.approx((0.3, 0.0))


def test_views_are_the_same_from_any_worker(corpus: Path) -> None:
    make = partial(data.make_batch, 5, corpus)
    alone = make(range(8, 16))
    [_, there] = made_ahead(make, [range(8), range(8, 16)], 2)
    for name in ("given", "wanted", "occupancy", "depth", "behind", "elevation_deg", "fov_deg"):
        assert np.array_equal(getattr(alone, name), getattr(there, name), equal_nan=name == "depth"), name


def test_the_network_learns_one_batch(corpus: Path) -> None:
    torch.manual_seed(0)
    net = model.ShapeNet()
    batch = data.make_batch(0, corpus, range(2))
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3)
    found = []
    for _ in range(6):
        total = torch.stack(list(train.losses(net, "float32", "cpu", batch).values())).sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        found.append(total.item())
    assert found[-1] < 0.85 * found[0]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boxes of three splits."""
    folder = tmp_path_factory.mktemp("corpus")
    kinds = [("furniture", "train"), ("grammar", "train"), ("furniture", "validation"), ("grammar", "test")]
    items = [
        corpus_.Item(k, kind, f"box {k}", "box", (), (1.0, 0.6, 0.4), {}, split, "MIT", "nobody")
        for k, (kind, split) in enumerate(kinds)
    ]
    with pytest.MonkeyPatch.context() as patch:  # no view needs the grid of colours, and it is slow to compile
        patch.setattr(corpus_, "surface_colours", lambda mesh: (np.zeros((64,) * 3, bool), np.zeros((64, 64, 64, 3))))
        blob = corpus_.pack(box(), solid_box())
    corpus_.write(folder, items, [blob] * len(items))
    return folder


def test_a_training_gives_an_artifact_that_reconstructs(tmp_path: Path, corpus: Path) -> None:
    for name in ("out", "checkpoints", "scratch"):
        (tmp_path / name).mkdir()
    params = {
        "steps": 2, "batch": 2, "learning_rate": 1e-3, "matrix_rate": 0.01, "validation_objects": 2,
        "held_out_furniture": 1, "held_out_grammar": 1, "gallery_views": 4,
    }  # fmt: skip
    spec = JobSpec(
        action="train", recipe="image-to-3d", version="1", recipe_path=str(HERE), out=str(tmp_path / "out"),
        checkpoints=str(tmp_path / "checkpoints"), events=str(tmp_path / "events"), result=str(tmp_path / "result"),
        params=params, deps={"shape-corpus": str(corpus)},
    )  # fmt: skip
    run = Run(spec)
    train.train(run)
    metrics = {metric.name: metric for metric in run.metrics}
    assert set(metrics["families_f5"].baselines) == {"inflation", "retrieval"}
    assert metrics["families_iou"].baselines["retrieval"] > 0.3  # a box among boxes
    assert metrics["outline_iou"].value > 0.9 and metrics["watertight"].value == 1 and metrics["empty"].value == 0
    assert (tmp_path / "out/figures/held_out.png").is_file()
    assert json.loads((tmp_path / "out/config.json").read_text())["decoding"]
    view = data.look(data.opened(corpus), data.opened(corpus).items[0], data.generator(1))
    made = reconstruct.Reconstructor(tmp_path / "out", 1).reconstruct(view.rgba)
    assert len(made.mesh.faces) > 100 and 0 <= made.confidence <= 1
