"""What the network is taught with, that it learns, and how its answers are judged."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the network is torch's")

from hive_runner.recipe_module import load  # noqa: E402

HERE = Path(__file__).parent
forward = load("geophysics-magnetic", HERE, "forward")
survey = load("geophysics-magnetic", HERE, "survey")
scenes = load("geophysics-magnetic", HERE, "scenes")
channels = load("geophysics-magnetic", HERE, "channels")
data = load("geophysics-magnetic", HERE, "data")
model = load("geophysics-magnetic", HERE, "model")
train = load("geophysics-magnetic", HERE, "train")
estimate = load("geophysics-magnetic", HERE, "estimate")
calibrate = load("geophysics-magnetic", HERE, "calibrate")
evaluate = load("geophysics-magnetic", HERE, "evaluate")
solutions = load("geophysics-magnetic", HERE, "solutions")
unusual = load("geophysics-magnetic", HERE, "unusual")


def drawn(index: int) -> object:
    return survey.simulate(np.random.default_rng([5, index]))


def test_surveys_hold_what_their_bodies_say() -> None:
    for index in range(12):
        each = drawn(index)
        assert each.field.shape == each.label.shape == (survey.WINDOW, survey.WINDOW)
        assert each.label.max() <= len(each.bodies) == len(each.visible)
        assert each.direction[2] >= 0 and 0 <= each.direction[0] <= each.direction[1] + 1e-12
        for body in each.bodies:
            assert np.linalg.norm(body.magnetisation) == pytest.approx(1) and body.top >= 1
            assert body.remanent or abs(body.magnetisation @ each.direction) == pytest.approx(1)


def test_truth_tells_each_bodys_depth_where_it_is() -> None:
    each = next(found for found in map(drawn, range(50)) if all(found.visible) and found.label.max() >= 2)
    body, core, known, weight, top, _, thickness = data.truth(each, 1.0)
    assert known.all() and (body == (each.label > 0)).all() and not (core & ~body).any()
    for number in np.unique(each.label[each.label > 0]):
        cells = each.label == number
        np.testing.assert_allclose(np.exp(top[cells]), each.bodies[number - 1].top, rtol=1e-5)
        np.testing.assert_allclose(np.exp(thickness[cells]), each.bodies[number - 1].thickness, rtol=1e-5)
        assert weight[cells].sum() == pytest.approx(np.sqrt(cells.sum()), rel=1e-4)


def test_what_the_network_sees_depends_on_neither_unit_nor_level_nor_slope_of_the_field() -> None:
    each = drawn(3)
    field = np.nan_to_num(each.field)
    north, east = np.mgrid[:64, :64]
    other = 37.0 * field + 500.0 + 3.0 * east - 2.0 * north
    first, second = channels.look(field, each.direction), channels.look(other, each.direction)
    np.testing.assert_allclose(first.channels, second.channels, atol=0.05)
    assert second.scale == pytest.approx(37.0 * first.scale, rel=1e-3)


def test_gaps_are_filled_from_beside_them() -> None:
    north, _ = np.mgrid[:64, :64]
    smooth = np.sin(north / 9.0).astype(np.float32)
    valid = np.ones((64, 64), bool)
    valid[20:26, 10:50] = False
    filled = channels.fill(np.where(valid, smooth, 0).astype(np.float32), valid)
    assert (filled[valid] == smooth[valid]).all() and np.abs(filled - smooth).max() < 0.25


def test_a_sample_depends_on_seed_and_index_only() -> None:
    first, again, other = data.make_sample(3, 5), data.make_sample(3, 5), data.make_sample(3, 6)
    for name in data.Batch.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.channels, other.channels)


@pytest.mark.slow
def test_batches_are_the_same_from_any_number_of_workers_and_from_any_step() -> None:
    def tops(first: int, workers: int) -> list[np.ndarray]:
        return [batch.top for batch in data.batches(1, first, 4, 4, 0, workers)]

    whole, shared = tops(0, 1), tops(0, 2)
    np.testing.assert_array_equal(np.stack(whole), np.stack(shared))
    np.testing.assert_array_equal(np.stack(whole[2:]), np.stack(tops(2, 1)))


@pytest.mark.slow
def test_the_shares_of_a_batch_are_the_batch() -> None:
    shares = [next(iter(data.batches(1, 3, 4, 3, share, 1))) for share in range(data.SHARES)]
    np.testing.assert_array_equal(data.stack(shares).channels, data.make_batch(1, range(9, 12)).channels)


@pytest.mark.slow
def test_the_network_learns_what_it_is_shown() -> None:
    torch.manual_seed(0)
    net = model.DepthNet()
    batch = data.make_batch(0, range(4))
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3)
    history = []
    for _ in range(25):
        parts = train.losses(net, "float32", "cpu", batch)
        optimiser.zero_grad()
        sum(parts.values()).backward()
        optimiser.step()
        history.append({name: part.item() for name, part in parts.items()})
    for name in ("body_loss", "depth_loss", "moment_loss", "thickness_loss"):
        assert history[-1][name] < 0.8 * history[0][name], name


def test_the_pinball_loss_is_least_at_the_quantile() -> None:
    truth = torch.linspace(0, 1, 1001)
    losses = [train.pinball(truth - guess, 0.9).mean().item() for guess in (0.8, 0.9, 1.0)]
    assert losses[1] < min(losses[0], losses[2])


def test_intervals_are_stretched_until_they_cover_what_they_should() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 1, 4000)
    below, above = calibrate.interval_factors(np.stack([truth, *np.full((3, 4000), [[-0.5], [0.0], [2.0]])], axis=1))
    assert below == pytest.approx(1.2816 / 0.5, rel=0.1) and above == pytest.approx(1.2816 / 2.0, rel=0.1)


class Quiet:
    """What calibration needs of a run, and nothing that is shown."""

    params, threads = SimpleNamespace(validation_surveys=24, steps=1), 1

    def rng(self, *index: int) -> np.random.Generator:
        return np.random.default_rng([7, *index])

    def phase(self, name: str, total: int = 0) -> None: ...

    def progress(self, step: int, **metrics: float) -> None: ...


@pytest.mark.slow
def test_calibration_copes_with_surveys_of_nothing() -> None:
    torch.manual_seed(0)
    empty = [not survey.simulate(Quiet().rng(calibrate.VALIDATION_SEED, index)).bodies for index in range(0, 24, 2)]
    assert any(empty)
    config = calibrate.calibrate(Quiet(), model.DepthNet().state_dict())
    assert config["threshold"] in calibrate.THRESHOLDS.round(3) and config["usual"]["limit"] > 0
    assert config["below"] > 0 and config["above"] > 0


def estimator() -> object:
    torch.manual_seed(0)
    return estimate.Estimator(model.DepthNet().state_dict(), {"below": 2.0, "above": 3.0, "threshold": 0.5})


def test_maps_of_any_shape_and_direction_are_whole_and_ordered() -> None:
    rng = np.random.default_rng(0)
    net = estimator()
    for shape in [(20, 33), (64, 64), (70, 130)]:
        field = rng.normal(size=shape).astype(np.float32)
        field[2:6, 3:9] = np.nan
        maps = net.maps(field, forward.unit_vector(-50, 200))
        for name in estimate.Maps.__dataclass_fields__:
            assert getattr(maps, name).shape == shape and np.isfinite(getattr(maps, name)).all(), name
        assert (maps.top_low <= maps.top).all() and (maps.top <= maps.top_high).all()


def plain_maps(shape: tuple[int, int], probability: float, top: float) -> object:
    grids = {name: np.ones(shape, np.float32) for name in estimate.Maps.__dataclass_fields__}
    grids |= {"probability": np.full(shape, probability, np.float32), "top": np.full(shape, top, np.float32)}
    return estimate.Maps(**grids)


def test_depths_come_from_the_coarse_grid_where_they_are_large_and_nothing_shallow_is_above() -> None:
    shape, coarse_shape = (100, 121), (50, 61)
    deep, shallow = (estimate._refined(plain_maps(coarse_shape, 0.9, top), shape) for top in (10.0, 1.0))
    assert deep.top.shape == shape and deep.top[50, 50] == 20.0 and deep.moment[50, 50] == 2.0
    for fine, coarse, expected in [
        (plain_maps(shape, 0.0, 3.0), deep, 20.0),
        (plain_maps(shape, 0.9, 12.0), deep, 20.0),
        (plain_maps(shape, 0.9, 2.0), deep, 2.0),
        (plain_maps(shape, 0.9, 3.0), shallow, 3.0),
    ]:
        assert estimate._merged(fine, coarse).top[50, 50] == pytest.approx(expected, rel=0.1)


def test_a_few_values_far_from_all_others_are_no_body() -> None:
    field = np.full((64, 160), np.nan, np.float32)
    field[:, :60] = np.random.default_rng(0).normal(size=(64, 60))
    field[30:33, 150:153] = 1.0
    maps = estimator().maps(field, forward.unit_vector(60, 20))
    assert maps.probability[31, 151] < 1e-6 and maps.probability[:, :60].min() > 1e-4


def test_maps_turn_with_the_survey() -> None:
    """The same survey in a mirror, under the field in the same mirror, has the same maps in that mirror."""
    net, field = estimator(), np.nan_to_num(drawn(3).field)
    straight = net.maps(field, forward.unit_vector(60, 20))
    mirrored = net.maps(field[:, ::-1], forward.unit_vector(60, -20))
    np.testing.assert_allclose(straight.top, mirrored.top[:, ::-1], rtol=1e-3)
    southern = net.maps(field[::-1], forward.unit_vector(-60, -20))
    np.testing.assert_allclose(straight.top, southern.top[::-1], rtol=1e-3)


def block_maps(cores: list[tuple[slice, slice]]) -> object:
    """Maps of a mask of 10 x 24 cells with these cores, 4 cells deep in its west and 8 in its east."""
    grids = {name: np.zeros((64, 64), np.float32) for name in estimate.Maps.__dataclass_fields__}
    grids["probability"][20:30, 10:34] = 0.9
    for core in cores:
        grids["core"][core] = 0.9
    grids["top"][:] = 8.0
    grids["top"][:, :22] = 4.0
    grids["top_low"], grids["top_high"] = grids["top"] * 0.8, grids["top"] * 1.3
    return estimate.Maps(**grids)


def test_a_mask_is_parted_into_as_many_bodies_as_it_has_cores() -> None:
    one = block_maps([])
    assert solutions.label_bodies(one, one.probability > 0.5).max() == 1
    two = block_maps([(slice(22, 28), slice(13, 19)), (slice(22, 28), slice(26, 31))])
    label = solutions.label_bodies(two, two.probability > 0.5)
    assert label.max() == 2 and (label[20:30, 10:34] > 0).all() and (label > 0).sum() == 240
    west, east = sorted(solutions.solve(two, label, two.top, np.ones((64, 64), bool)), key=lambda body: body.east)
    assert west.top == pytest.approx(4.0) and east.top == pytest.approx(8.0)
    assert label[int(west.north), int(west.east)] and not west.touches_rim
    assert east.top_low == pytest.approx(6.4) and east.top_high == pytest.approx(10.4)


def test_a_bodys_length_width_and_strike() -> None:
    maps = block_maps([])
    label = solutions.label_bodies(maps, maps.probability > 0.5)
    (body,) = solutions.solve(maps, label, maps.top, np.ones((64, 64), bool))
    assert body.length == pytest.approx(24, rel=0.03) and body.width == pytest.approx(10, rel=0.05)
    assert body.strike_deg == pytest.approx(90, abs=1)
    cut = np.ones((64, 64), bool)
    cut[:, 34:] = False
    assert solutions.solve(maps, label, maps.top, cut)[0].touches_rim


def test_judging_counts_what_was_found_and_how_deep() -> None:
    scene = scenes.draw_scene(np.random.default_rng(4), "induced")
    tally = evaluate.Tally()
    truth = [(prism.east, prism.north, prism.top * 1.1) for prism in scene.prisms]
    evaluate.judge_points(tally, scene, np.array(truth))
    assert tally.found_share == 1 and tally.depth_error == pytest.approx(0.1) and tally.within_25 == 1
    nowhere = evaluate.Tally()
    evaluate.judge_points(nowhere, scene, np.zeros((0, 3)))
    assert nowhere.found_share == 0 and nowhere.within_25 == 0 and nowhere.depth_error == 1


def test_held_out_scenes_are_of_their_kind() -> None:
    for kind in scenes.KINDS:
        scene = scenes.draw_scene(np.random.default_rng(4), kind)
        main = forward.unit_vector(scene.inclination_deg, scene.declination_deg)
        assert np.isfinite(scene.field).all() and scene.label.max() == len(scene.prisms) > 0
        assert (abs(scene.inclination_deg) < 30) == (kind == "low inclination")
        assert all((prism.magnetisation @ main > 1 - 1e-9) == (kind != "remanent") for prism in scene.prisms)


@pytest.mark.slow
def test_what_is_unlike_the_training_is_told_and_what_is_like_it_is_not() -> None:
    seen = [each for each in map(drawn, range(80)) if each.bodies]
    config = {"usual": unusual.usual([unusual.describe(channels.look(each.field, each.direction)) for each in seen])}
    fresh = [each for each in map(drawn, range(100, 120)) if each.bodies]
    warned = sum(bool(unusual.unusual(each.field, each.direction, config)) for each in fresh)
    assert warned <= 3
    main = forward.unit_vector(60, 3)
    rng = np.random.default_rng(0)
    assert unusual.unusual(rng.normal(size=(64, 64)), main, config)  # noise and nothing else
    checks = np.indices((64, 64)).sum(0) // 8 % 2 * 100.0
    assert unusual.unusual(checks, main, config)
    photograph = np.cumsum(rng.integers(-3, 4, (64, 64)), axis=1) * (rng.random((64, 64)) < 0.5)
    assert unusual.unusual(photograph.astype(float), main, config)
