"""What the network is fed and taught with, and that a trained classifier answers: on geometry one can reckon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="points are described in numba")
torch = pytest.importorskip("torch", reason="the network is torch's")

from hive_runner.errors import InputError  # noqa: E402
from hive_runner.recipe_module import load  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

HERE = Path(__file__).parent
features = load("gis-lidar", HERE, "features")
data = load("gis-lidar", HERE, "data")
model = load("gis-lidar", HERE, "model")
classify = load("gis-lidar", HERE, "classify")
choose = load("gis-lidar", HERE, "choose")
scores = load("gis-lidar", HERE, "scores")
user_tiles = load("gis-lidar", HERE, "user_tiles")


def hall_on_a_slope(density: float, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """80 x 80 m of a 10 % slope with a hall of 16 x 20 m, 6 m high -> points, whether each is ground."""
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(0, 80, (round(density * 6400), 3))
    hall = (np.abs(xyz[:, 0] - 40) < 8) & (np.abs(xyz[:, 1] - 40) < 10)
    xyz[:, 2] = 0.1 * xyz[:, 0] + 6.0 * hall + rng.normal(0, 0.03, len(xyz))
    return xyz + np.array([500_000.0, 5_400_000.0, 100.0]), ~hall


@pytest.mark.parametrize("density", [0.4, 2.0, 12.0])
def test_the_ground_estimate_finds_the_slope_under_a_hall_at_any_density(density: float) -> None:
    xyz, ground = hall_on_a_slope(density)
    ones = np.ones(len(xyz), np.uint8)
    block = features.describe(xyz, ones, ones, np.arange(len(xyz)))
    assert np.isfinite(block.grid).all() and np.isfinite(block.points).all()
    assert np.abs(block.height[ground]).max() < 1.0
    assert np.abs(block.height[~ground] - 6.0).max() < 1.2
    assert np.mean(features.smrf_ground(xyz) != ground) < 0.02


def test_a_low_echo_does_not_pull_the_ground_down() -> None:
    xyz, ground = hall_on_a_slope(6.0)
    xyz[np.flatnonzero(ground)[100], 2] -= 9.0
    assert np.mean(features.smrf_ground(xyz) != ground) < 0.02


def test_nor_do_low_echoes_that_come_in_a_cluster() -> None:
    xyz, ground = hall_on_a_slope(6.0)
    near = np.argsort(np.hypot(xyz[:, 0] - xyz[:, 0].min() - 15.0, xyz[:, 1] - xyz[:, 1].min() - 15.0))[:40:12]
    xyz[near, 2] -= np.array([7.0, 7.2, 6.9, 7.1])
    assert ground[near].all() and np.mean(features.smrf_ground(xyz) != ground) < 0.02


def test_what_a_gpu_reads_between_cells_is_what_a_processor_reads() -> None:
    generator = torch.Generator().manual_seed(0)
    grid = torch.randn(2, 3, 5, 7, generator=generator, requires_grad=True)
    row, column = (torch.rand(2, 200, generator=generator) * (side + 2) - 1 for side in (5, 7))  # some lie outside
    gradients = []
    for read in (model.sample_cells, model._gather_cells):
        found = read(grid, row, column)
        assert found.shape == (2, 200, 3)
        gradients.append((found, *torch.autograd.grad(found.square().sum(), grid)))
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_thinning_keeps_one_point_a_voxel_and_spares_what_stands_alone() -> None:
    xyz = np.random.default_rng(1).uniform(0, 10, (40_000, 3)) * [1, 1, 0.01]
    wire = np.stack([np.arange(0, 10, 0.3), np.full(34, 5.0), np.full(34, 20.0)], axis=1)
    kept = features.thin(np.concatenate([xyz, wire]))
    assert (kept < 40_000).sum() < 14 * 100
    assert (kept >= 40_000).sum() >= 33


def test_local_features_tell_a_wire_from_a_roof() -> None:
    rng = np.random.default_rng(2)
    floor = rng.uniform(0, 30, (9000, 3)) * [1, 1, 0]
    wire = np.stack([rng.uniform(0, 30, 150), np.full(150, 15.0), np.full(150, 8.0)], axis=1)
    xyz = np.concatenate([floor, wire])
    ones = np.ones(len(xyz), np.uint8)
    place = features.layout(xyz)
    found = features.local_features(xyz, xyz, ones, place)
    on_wire, on_floor = np.median(found[9000:], axis=0), np.median(found[:9000], axis=0)
    assert on_wire[8] > 0.9 and on_floor[8] < 0.4  # linearity
    assert on_floor[9] > 0.5 and on_wire[9] < 0.1  # planarity
    assert on_wire[25] == pytest.approx(np.log(8.3), abs=0.05)  # the step down to what lies below


def test_a_sample_depends_on_seed_and_index_only() -> None:
    first, again, other = data.make_views(3, 5), data.make_views(3, 5), data.make_views(3, 6)
    for name in data.Batch.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(first[0], name), getattr(again[0], name))
    assert not np.array_equal(first[0].grid, other[0].grid)
    assert len(first) == data.VIEWS


@pytest.mark.slow
def test_batches_are_the_same_from_any_number_of_workers_and_from_any_step() -> None:
    def grids(first: int, workers: int) -> list[Any]:
        return [batch.points for batch in data.batches(1, first, 8, 2, workers, (), 0.0)]

    whole, shared = grids(0, 1), grids(0, 2)
    np.testing.assert_array_equal(np.stack(whole), np.stack(shared))
    np.testing.assert_array_equal(np.stack(whole[5:]), np.stack(grids(5, 1)))


def test_each_network_has_crops_of_its_own() -> None:
    crops = data.make_views(3, 0)
    parts = data.stack(crops).shares(2)
    for part, own in zip(parts, (crops[:4], crops[4:]), strict=True):
        np.testing.assert_array_equal(part.points, np.concatenate([crop.points for crop in own]))
        np.testing.assert_array_equal(part.log_share, np.concatenate([crop.log_share for crop in own]))


def test_sampling_repeats_the_points_of_a_rare_class_and_says_how_often_it_took_those_of_each() -> None:
    label = np.array([0] * 50_000 + [1] * 20_000 + [4] * 10)
    chosen, log_share = data.balanced_sample(np.arange(len(label)), label, np.random.default_rng(0))
    counts = np.bincount(label[chosen], minlength=9)
    assert len(chosen) <= data.CROP_POINTS and len(np.unique(chosen[label[chosen] != 4])) == counts[0] + counts[1]
    assert counts[4] == 10 * data.REPEATS and np.exp(log_share[4]) == pytest.approx(data.REPEATS)
    assert np.exp(log_share[0]) == pytest.approx(counts[0] / 50_000)
    assert np.exp(log_share[3]) == pytest.approx(data.REPEATS)  # absent: what a point of it would have counted


def test_sampling_cells_is_bilinear_in_training_and_in_prediction() -> None:
    grid = torch.rand(1, 5, 32, 48)
    row, column = torch.rand(100) * 32, torch.rand(100) * 48
    trained = model.sample_cells(grid, row[None], column[None])[0]
    predicted = classify._gather_cells(grid[0].permute(1, 2, 0).contiguous().numpy(), row.numpy(), column.numpy())
    np.testing.assert_allclose(trained.numpy(), predicted, atol=1e-5)


def test_an_untrained_classifier_answers_where_it_is_asked_and_a_distant_origin_changes_little() -> None:
    torch.manual_seed(0)
    net = model.Committee(len(data.CLASSES))
    classifier = classify.Classifier(net.state_dict(), {"classes": list(data.CLASSES)})
    xyz, _ = hall_on_a_slope(4.0)
    ones = np.ones(len(xyz), np.uint8)
    core = xyz[:, 0] < xyz[:, 0].min() + 40
    classes, confidence = classifier.classify(xyz, ones, ones, core)
    assert (classes[~core] == 0).all() and (classes[core] > 0).all()
    assert ((confidence[core] > 0.1) & (confidence[core] <= 1)).all()
    wanted = np.flatnonzero(core)
    here, _ = classifier.probabilities(xyz, ones, ones, wanted)
    there, _ = classifier.probabilities(xyz + np.array([64_000.0, -32_000.0, 900.0]), ones, ones, wanted)
    assert np.abs(here - there).mean() < 0.005


def test_networks_that_began_differently_decide_by_their_mean() -> None:
    torch.manual_seed(0)
    both = model.Committee(len(data.CLASSES))
    xyz, _ = hall_on_a_slope(1.0)
    ones, every = np.ones(len(xyz), np.uint8), np.arange(len(xyz))
    config = {"classes": list(data.CLASSES)}
    first, second = (net.state_dict() for net in both)
    answers = []
    for pair in ((first, second), (first, first), (second, second)):
        tensors = {f"members.{i}.{name}": tensor for i, net in enumerate(pair) for name, tensor in net.items()}
        answers.append(classify.Classifier(tensors, config).probabilities(xyz, ones, ones, every))
    (mean, height), (one, low), (other, high) = answers
    np.testing.assert_allclose(mean, (one + other) / 2, atol=1e-6)
    np.testing.assert_allclose(height, (low + high) / 2, atol=1e-5)
    assert np.abs(one - other).max() > 0.01
    named = [name for name, _ in both.named_parameters() if name.startswith(model.PLAIN)]
    assert len(named) == 2 * len([name for name in first if name.startswith(("stem", "offset", "head"))])


def test_intersection_over_union_of_a_confusion() -> None:
    counts = scores.confusion(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))
    iou = scores.intersection_over_union(counts)
    assert iou[0] == 0.5 and iou[1] == pytest.approx(2 / 3) and np.isnan(iou[2])


def test_a_rare_class_is_favoured_where_that_finds_more_of_it_than_it_costs() -> None:
    vegetation, tower = data.NAMES.index("vegetation"), data.NAMES.index("tower")
    truth = np.full(1000, vegetation)
    truth[:20] = tower
    logs = np.full((1000, len(data.CLASSES)), -9.0, np.float32)
    logs[:, vegetation] = -0.1
    logs[:, tower] = -7.0
    logs[:25, tower] = -2.5  # like a tower, but less so than like a tree; five trees are too
    favour = choose.favour_of(truth, logs)
    assert 2.4 < favour[tower] < 6.9 and not any(favour[:tower] + favour[tower + 1 :])
    logs[:25, tower] = -7.0  # not to be told apart
    assert not any(choose.favour_of(truth, logs))


def test_what_is_favoured_is_answered_and_keeps_its_probability() -> None:
    torch.manual_seed(0)
    net = model.Committee(len(data.CLASSES))
    xyz, _ = hall_on_a_slope(1.0)
    ones = np.ones(len(xyz), np.uint8)
    every = np.arange(len(xyz))
    favour = [0.0] * 5 + [20.0] + [0.0] * 3
    config = {"classes": list(data.CLASSES)}
    plain = classify.Classifier(net.state_dict(), config)
    fond = classify.Classifier(net.state_dict(), {**config, "favour": favour})
    probability, _ = plain.probabilities(xyz, ones, ones, every)
    best, _, confidence = fond.decide(xyz, ones, ones, every)
    assert (best == 5).all() and np.array_equal(confidence, probability[:, 5])


def test_the_users_codes_are_mapped_and_a_bad_map_is_named() -> None:
    table = user_tiles.parse_class_map("26=17, 64=15")
    assert table[26] == 17 and table[64] == 15 and table[2] == 2 and table[1] == 0
    assert user_tiles.parse_class_map("1=1")[1] == 1
    with pytest.raises(InputError, match="class_map"):
        user_tiles.parse_class_map("twenty=2")
