"""What a height model is made to look like, what the network is fed, and outlines: on geometry one can reckon."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

torch = pytest.importorskip("torch", reason="the network is torch's")
shapely = pytest.importorskip("shapely", reason="outlines are shapely's")
pytest.importorskip("contourpy", reason="contours are contourpy's")
rasterio_features = pytest.importorskip("rasterio.features", reason="outlines are burnt by rasterio")

from hive_runner.recipe_module import load  # noqa: E402

HERE = Path(__file__).parent
place_ = load("gis-buildings", HERE, "place")
sensor = load("gis-buildings", HERE, "sensor")
features = load("gis-buildings", HERE, "features")
data = load("gis-buildings", HERE, "data")
model = load("gis-buildings", HERE, "model")
classify = load("gis-buildings", HERE, "classify")
polygons = load("gis-buildings", HERE, "polygons")
evaluate = load("gis-buildings", HERE, "evaluate")


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def test_a_place_is_drawn_again_the_same_and_roofs_stand_on_the_ground() -> None:
    one, other = (place_.draw_place(generator(4), 96.0) for _ in range(2))
    assert np.array_equal(one.surface, other.surface) and np.array_equal(one.building, other.building)
    assert 0.05 < one.building.mean() < 0.8
    rise = (one.surface - one.ground)[one.building]
    assert np.median(rise) > 2.0 and (rise >= -0.01).mean() > 0.9
    assert (one.surface >= one.ground - 0.01).all()


@pytest.mark.parametrize("kind", ["gable", "hip"])
def test_a_roof_is_as_high_as_its_pitch_says(kind: str) -> None:
    frame = place_.Frame(0, 0, 6.0, 4.0, 0.0)
    roof = place_.roof_shape(generator(0), kind, frame, 0.5)
    at = lambda u, v: float(roof(np.float32([[u]]), np.float32([[v]]))[0, 0])  # noqa: E731
    assert at(0, 0) == pytest.approx(0.5 * 4.0) and at(0, 4) == pytest.approx(0.0)
    assert at(6, 0) == pytest.approx(2.0 if kind == "gable" else 0.0)


def test_both_kinds_of_height_model_stay_near_what_is_there() -> None:
    place = place_.draw_place(generator(4), 96.0)
    open_ground = ~place.building & ~np.isfinite(place.crown) & (place.surface == place.ground)
    open_ground = ndimage.binary_erosion(open_ground, iterations=8)
    for seed in range(6):
        heights, truth = sensor.observe(generator(seed), place, place_.SHIFTED)
        off = np.abs(heights - place.ground)[open_ground & np.isfinite(heights)]
        assert np.median(off) < 0.5
        assert np.isfinite(heights).mean() > 0.3
        assert set(np.unique(truth)) <= {-1, 0, 1} and (truth == 1).sum() > 0.8 * place.building.sum()


def test_a_sparse_scan_leaves_most_cells_without_a_height() -> None:
    place, sparse = place_.draw_place(generator(4), 96.0), replace(place_.TRAIN, points_per_m2=(0.3, 0.3))
    known = [np.isfinite(sensor.observe(generator(seed), place, sparse)[0]).mean() for seed in range(12)]
    assert min(known) < 0.1 < max(known), "holes, unless it is interpolated or photographed"


def test_what_the_network_sees_knows_neither_height_above_the_sea_nor_direction() -> None:
    heights, _ = sensor.observe(generator(1), place_.draw_place(generator(1), 96.0))
    seen = features.describe(heights)
    assert seen.shape == (features.CHANNELS, *heights.shape) and np.isfinite(seen).all()
    assert np.allclose(features.describe(heights + 100), seen, atol=0.02)
    turned = features.describe(np.ascontiguousarray(np.rot90(heights)))
    assert np.allclose(np.rot90(turned, -1, (1, 2)), seen, atol=0.02)


def test_the_ground_is_found_under_a_hall() -> None:
    rows, columns = np.mgrid[:256, :256]
    heights = (0.05 * rows * place_.CELL_M).astype(np.float32)
    hall = (np.abs(rows - 128) < 20) & (np.abs(columns - 128) < 30)  # 20 x 30 m
    heights[hall] += 6
    above = np.sinh(2 * features.describe(heights)[1])
    assert np.median(above[hall]) == pytest.approx(6, abs=1.0)
    assert np.median(above[~hall]) < 1.0


def test_the_same_crops_come_after_a_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "PLACE_M", 96.0)
    make = partial(data.make_views, 3)
    whole = list(data.batches(make, places=3, first_step=0, steps=18, share=1, workers=1))
    again = list(data.batches(make, places=3, first_step=5, steps=18, share=1, workers=2))
    assert len(whole) == 18 and len(again) == 13
    for a, b in zip(whole[5:], again, strict=True):
        assert np.array_equal(a.channels, b.channels) and np.array_equal(a.truth, b.truth)
    assert whole[0].channels.shape == (2, features.CHANNELS, data.CROP, data.CROP)


def numbered(index: int) -> list[data.Crops]:
    return [data.Crops(np.full((1, 1, 1, 1), index), np.full((1, 1, 1), view)) for view in range(data.VIEWS)]


def test_the_shares_have_the_places_of_a_batch_between_them() -> None:
    shares = [
        list(data.batches(numbered, places=3, first_step=15, steps=18, share=share, workers=1)) for share in range(2)
    ]
    for step, parts in enumerate(zip(*shares, strict=True), start=15):
        group, turn = divmod(step, data.VIEWS)
        assert np.concatenate([part.channels.ravel() for part in parts]).tolist() == [3 * group + k for k in range(3)]
        assert np.concatenate([part.truth.ravel() for part in parts]).tolist() == [(turn + k) % 16 for k in range(3)]


def test_windows_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = model.HeightNet()
    for parameter in net.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    classifier = classify.Classifier(net.state_dict(), 0.5)
    heights, _ = sensor.observe(generator(2), place_.draw_place(generator(2), 320.0))

    def read(row: int, column: int, rows: int, columns: int) -> np.ndarray:
        padded = np.pad(heights, classify.HALO, constant_values=np.nan)
        return padded[row + classify.HALO :, column + classify.HALO :][:rows, :columns]

    monkeypatch.setattr(classify, "CORE", 320)
    cells = len(heights)
    stitched = np.concatenate(list(classifier.strips(cells, cells, read)))
    monkeypatch.setattr(classify, "CORE", cells)
    [whole] = classifier.strips(cells, cells, read)
    assert np.abs(stitched - whole).max() < 0.02


# Outlines


def l_shaped(turn: float) -> shapely.Polygon:
    """24 x 24 m less a quarter, about (40, 40) m."""
    shape = shapely.Polygon([(0, 0), (24, 0), (24, 12), (12, 12), (12, 24), (0, 24)])
    shape = shapely.affinity.translate(shape, 28, 28)
    return shapely.affinity.rotate(shape, turn, origin=(40, 40))


def probability_of(shape: shapely.Polygon, cells: int = 160, noise: float = 0.15) -> np.ndarray:
    scaled = shapely.affinity.scale(shape, 2, 2, origin=(0, 0))  # metres to cells
    burnt = rasterio_features.rasterize([(scaled, 1)], out_shape=(cells, cells), dtype="uint8").astype(np.float32)
    soft = ndimage.gaussian_filter(burnt, 1.0)
    edge = ndimage.gaussian_gradient_magnitude(burnt, 1.5)
    return np.clip(soft + noise * edge * generator(0).standard_normal(soft.shape), 0, 1).astype(np.float32)


def outlines(probability: np.ndarray) -> list[shapely.Polygon]:
    return [shapely.affinity.scale(each, 0.5, 0.5, origin=(0, 0)) for each in polygons.outlined(probability, 0.5)]


@pytest.mark.parametrize("turn", [0, 17, 45, 73])
def test_a_turned_house_gets_its_six_corners_back(turn: float) -> None:
    shape = l_shaped(turn)
    [found] = outlines(probability_of(shape))
    assert len(found.exterior.coords) == 7
    assert found.intersection(shape).area / found.union(shape).area > 0.94
    edges = np.diff(np.asarray(found.exterior.coords), axis=0)
    angles = np.arctan2(edges[:, 1], edges[:, 0]) % (np.pi / 2)
    assert np.ptp(np.exp(4j * angles).real) < 1e-6, "walls meet at right angles"


def test_a_yard_stays_open_and_a_round_tank_round() -> None:
    ring = shapely.box(20, 20, 60, 60).difference(shapely.box(32, 32, 48, 48))
    [found] = outlines(probability_of(ring))
    assert len(found.interiors) == 1
    assert found.intersection(ring).area / found.union(ring).area > 0.94
    tank = shapely.Point(40, 40).buffer(12)
    [found] = outlines(probability_of(tank))
    assert found.intersection(tank).area / found.union(tank).area > 0.9


def test_what_is_too_small_is_left_out() -> None:
    assert outlines(probability_of(shapely.box(20, 20, 22, 24))) == []
    assert outlines(np.zeros((40, 40), np.float32)) == []


def test_pieces_cut_at_a_seam_become_one_again() -> None:
    probability = np.pad(probability_of(l_shaped(30)), 1)
    whole = polygons.joined(polygons.contours(probability, 0.5))
    parts = polygons.contours(probability[:81], 0.5) + polygons.contours(probability[80:], 0.5, row=80)
    assert len(parts) > len(whole) == 1
    [joined] = polygons.joined(parts, seams=[80.5])
    assert joined.symmetric_difference(whole[0]).area < 1e-6
    assert len(polygons.joined(parts, seams=[70.5])) == len(parts)


def test_scores_count_what_they_say() -> None:
    truth = np.zeros((128, 128), np.int8)
    truth[40:60, 40:60] = 1
    truth[70:90, 40:60] = 1
    guess = np.zeros((128, 128), bool)
    guess[40:60, 40:70] = True
    counts = evaluate.counts(truth, guess)
    assert counts.tolist() == [400, 200, 400] and evaluate.iou(counts) == pytest.approx(0.4)
    assert evaluate.matched(truth, guess).tolist() == [1, 0, 1]
    speck = np.zeros((128, 128), bool)
    speck[100:106, 100:106] = True  # 9 m2
    assert evaluate.matched(np.where(speck, 1, truth), guess).tolist() == [1, 0, 1], "as small as is not outlined"
    assert evaluate.matched(truth, guess | speck).tolist() == [1, 0, 1]
    assert evaluate.f1(np.array([1, 0, 1])) == pytest.approx(2 / 3)


def test_polis_is_the_mean_distance_of_corners() -> None:
    square = shapely.box(0, 0, 10, 10)
    assert polygons.polis(square, square) == 0
    assert polygons.polis(square, shapely.box(1, 0, 11, 10)) == pytest.approx(0.5)
    truth = np.zeros((128, 128), np.int8)
    truth[40:60, 40:60] = 1
    probability = np.zeros((128, 128), np.float32)
    probability[40:60, 42:62] = 1
    [off] = evaluate.corners_off_m(truth, probability, 0.5)
    assert off == pytest.approx(0.5, abs=0.1), (
        "two cells to the side: half the corners are 1 m off, the others on the outline"
    )
