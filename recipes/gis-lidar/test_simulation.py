"""The simulator must be repeatable, label what it hits, and obey the geometry of a flight."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="beams are marched in numba")

from hive_runner.recipe_module import load

HERE = Path(__file__).parent
world_module = load("gis-lidar", HERE, "world")
buildings = load("gis-lidar", HERE, "buildings")
plants = load("gis-lidar", HERE, "plants")
wires = load("gis-lidar", HERE, "wires")
terrain = load("gis-lidar", HERE, "terrain")
scene = load("gis-lidar", HERE, "scene")
scan = load("gis-lidar", HERE, "scan")

GROUND, VEGETATION, BUILDING, WIRE, BRIDGE = 2, 5, 6, 14, 17


@pytest.fixture(scope="module")
def clouds() -> list[Any]:
    return [scan.simulate(7, index, size_m=90.0, max_density=6.0) for index in range(30)]


@pytest.fixture
def flat() -> Any:
    return world_module.World(60.0, world_module.TRAIN)


def look(monkeypatch: pytest.MonkeyPatch, world: Any, lean: float = 0.0, step: float = 0.4, **changes: Any) -> Any:
    """Scans a world with parallel beams that move `lean` metres to the east a metre down."""
    axis = np.arange(-8.0, world.size_m + 8.0, step, dtype=np.float32)
    x, y = (q.ravel() for q in np.meshgrid(axis, axis))
    places = np.stack([x, y], 1)
    leans = np.tile(np.array([[lean, 0.0]], np.float32), (len(x), 1))
    monkeypatch.setattr(scan, "draw_pulses", lambda *_: (places, leans, np.zeros(len(x), np.int32)))
    rng = np.random.default_rng(3)
    flight = dataclasses.replace(
        scan.draw_flight(rng, world_module.TRAIN, 6.0),
        **{"strips": 1, "beam_m": 0.1, "detect": 0.15, "dead_m": 0.8, "most_returns": 5, "range_noise_m": 0.005},
        **{"strip_offset_m": 0.0, "keep": "all", "decimate": 1.0, "step_m": 0.001} | changes,
    )
    scene.grow(world)
    return scan.fly(rng, world, flight)


def test_a_scene_depends_on_seed_and_index_only(clouds: list[Any]) -> None:
    again = scan.simulate(7, 3, size_m=90.0, max_density=6.0)
    for name in again.__dataclass_fields__:
        assert getattr(again, name).tobytes() == getattr(clouds[3], name).tobytes()
    assert not np.array_equal(clouds[3].xyz[:100], clouds[4].xyz[:100])


def test_points_are_whole(clouds: list[Any]) -> None:
    for cloud in clouds:
        n = len(cloud.xyz)
        assert n > 500 and np.isfinite(cloud.xyz).all()
        assert cloud.xyz.dtype == np.float64 and cloud.intensity.dtype == np.uint16
        assert cloud.terrain_z.dtype == np.float32 and cloud.terrain_z.shape == (n,)
        assert (cloud.xyz[:, :2] >= 0).all() and (cloud.xyz[:, :2] <= 90).all()
        assert (cloud.return_number >= 1).all() and (cloud.return_number <= cloud.number_of_returns).all()
        assert set(np.unique(cloud.classification)) <= {1, 2, 5, 6, 7, 9, 14, 15, 17}


def test_every_class_turns_up(clouds: list[Any]) -> None:
    assert set(np.unique(np.concatenate([c.classification for c in clouds]))) == {1, 2, 5, 6, 7, 9, 14, 15, 17}


def test_ground_lies_on_the_terrain_and_the_rest_above(clouds: list[Any]) -> None:
    for cloud in clouds:
        height = cloud.xyz[:, 2] - cloud.terrain_z
        ground, wire = cloud.classification == GROUND, cloud.classification == WIRE
        assert np.percentile(np.abs(height[ground]), 98) < 0.6
        assert not wire.any() or np.percentile(height[wire], 2) > 1.5
        building = cloud.classification == BUILDING
        assert np.count_nonzero(building) < 500 or np.median(height[building]) > 1.5


def test_density_is_limited() -> None:
    for index in range(4):
        cloud = scan.simulate(8, index, size_m=60.0, max_density=2.0)
        assert np.count_nonzero(cloud.return_number == 1) < 3.0 * 60**2


def test_slopes_stay_below_the_limit() -> None:
    domain = world_module.TRAIN
    for seed in range(6):
        world = world_module.World(80.0, domain)
        terrain.draw_terrain(np.random.default_rng(seed), world, "suburb")
        gy, gx = np.gradient(world.terrain, world_module.COLUMN_M)
        assert np.percentile(np.hypot(gx, gy), 90) < np.tan(np.radians(domain.steepest_deg)) * 1.2


def test_oblique_beams_hit_the_near_wall_and_leave_a_shadow(flat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    box = buildings.Part(0, 0, 6, 6, 10.0, "flat")
    buildings.stamp_building(flat, world_module.Frame(30, 30), [box])
    cloud = look(monkeypatch, flat, lean=0.5)
    x, y, z = cloud.xyz.T
    wall = (cloud.classification == BUILDING) & (z > 1) & (z < 9)
    assert wall.sum() > 100 and np.median(x[wall]) == pytest.approx(24.0, abs=0.3)
    behind = (x > 36.5) & (x < 40.5) & (np.abs(y - 30) < 5)
    before = (x > 19.5) & (x < 23.5) & (np.abs(y - 30) < 5)
    assert behind.sum() < 0.05 * before.sum()
    roof = (cloud.classification == BUILDING) & (z > 9.5)
    assert np.percentile(np.abs(z[roof] - 10.0), 95) < 0.05


def test_a_pitched_roof_is_a_plane(flat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gable = buildings.Part(0, 0, 8, 6, 4.0, "gable", np.arctan(0.8))
    buildings.stamp_building(flat, world_module.Frame(30, 30, 0.4), [gable])
    cloud = look(monkeypatch, flat)
    roof = cloud.classification == BUILDING
    u, v = world_module.Frame(30, 30, 0.4).local(cloud.xyz[:, 0], cloud.xyz[:, 1])
    on = roof & (np.abs(u) < 7) & (np.abs(v) < 5.5) & (np.abs(v) > 0.5)
    assert np.percentile(np.abs(cloud.xyz[on, 2] - (4.0 + (6.0 - np.abs(v[on])) * 0.8)), 99) < 0.06


@pytest.mark.parametrize(("extinction", "bare", "least", "most"), [(2.5, False, 0.0, 0.35), (0.3, True, 0.5, 1.0)])
def test_crowns_let_through_what_their_leaves_leave(
    flat: Any, monkeypatch: pytest.MonkeyPatch, extinction: float, bare: bool, least: float, most: float
) -> None:
    rng = np.random.default_rng(1)
    for x in range(10, 51, 4):
        for y in range(10, 51, 4):
            plants.tree(rng, flat, x, y, 15.0, plants.ELLIPSOID, extinction, bare, 3.2, 0.2)
    cloud = look(monkeypatch, flat)
    under = (np.abs(cloud.xyz[:, :2] - 30) < 18).all(1)
    share = np.count_nonzero(under & (cloud.classification == GROUND)) / (36 / 0.4) ** 2
    assert least <= share <= most
    several = cloud.number_of_returns[under & (cloud.classification == VEGETATION)]
    assert several.max() >= 3


def test_wires_are_thin_and_hang(flat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wires.hang(flat, ((0.0, 30.0, 20.0), (60.0, 30.0, 20.0)), 4.0)
    cloud = look(monkeypatch, flat, lean=0.3, step=0.1)
    x, y, z = cloud.xyz[cloud.classification == WIRE].T
    assert len(x) > 60 and np.abs(y - 30).max() < 0.4
    assert z[np.abs(x - 30) < 3].mean() == pytest.approx(16.0, abs=0.3)
    assert (cloud.number_of_returns[cloud.classification == WIRE] > 1).mean() > 0.8


def test_a_bridge_has_water_below_its_deck(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_module.World(100.0, world_module.TRAIN)
    terrain.draw_bridge(np.random.default_rng(4), world, world_module.Line(50, 50, 0.3), 15.0, wet=True)
    cloud = look(monkeypatch, world)
    deck = cloud.classification == BRIDGE
    assert deck.sum() > 300
    assert np.median(cloud.xyz[deck, 2] - cloud.terrain_z[deck]) > 0.5
    assert (cloud.classification == GROUND).sum() > deck.sum()


@pytest.mark.parametrize(
    ("keep", "holds"),
    [
        ("first", lambda c: (c.return_number == 1).all()),
        ("last", lambda c: (c.return_number == c.number_of_returns).all()),
    ],
)
def test_first_and_last_only_files(
    flat: Any, monkeypatch: pytest.MonkeyPatch, keep: str, holds: Callable[[Any], bool]
) -> None:
    plants.tree(np.random.default_rng(2), flat, 30.0, 30.0, 18.0, plants.ELLIPSOID, 0.4, False, 6.0, 0.2)
    cloud = look(monkeypatch, flat, keep=keep)
    assert holds(cloud)
    assert cloud.number_of_returns.max() > 1


def test_a_shifted_domain_draws_other_scenes() -> None:
    train = scan.simulate(7, 0, size_m=60.0, max_density=4.0)
    shifted = scan.simulate(7, 0, size_m=60.0, max_density=4.0, domain=world_module.SHIFTED)
    assert len(train.xyz) != len(shifted.xyz)
