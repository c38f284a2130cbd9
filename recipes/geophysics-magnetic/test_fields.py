"""The forward models against an analytic answer, an independent program and each other; what is done with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="fields are computed with scipy")

from hive_runner.recipe_module import load

HERE = Path(__file__).parent
forward = load("geophysics-magnetic", HERE, "forward")
prism = load("geophysics-magnetic", HERE, "prism")
direction = load("geophysics-magnetic", HERE, "direction")
reforward = load("geophysics-magnetic", HERE, "reforward")
survey = load("geophysics-magnetic", HERE, "survey")
baselines = load("geophysics-magnetic", HERE, "baselines")

MAIN = forward.unit_vector(40, 25)
OTHER = forward.unit_vector(-20, 120)
BOX = (-8.5, 7.5, -5.5, 5.5, 3.0, 9.0)  # west, east, south, north, top, bottom
NORTH, EAST = np.mgrid[-32.0:32.0, -32.0:32.0]


def test_a_small_prism_is_a_dipole() -> None:
    box = (-0.5, 0.5, -0.5, 0.5, 9.5, 10.5)
    field = prism.prism_field(EAST, NORTH, box, MAIN, OTHER)
    away = np.stack([EAST, NORTH, np.full_like(EAST, -10.0)], axis=-1)
    r = np.linalg.norm(away, axis=-1, keepdims=True)
    dipole = (3 * (away @ OTHER)[..., None] * away / r**5 - OTHER / r**3) @ MAIN / (4 * np.pi)
    assert np.abs(field - dipole).max() < 0.003 * np.abs(dipole).max()


CHOCLO = """
import json, sys
from choclo.prism import magnetic_field
places, rest = json.load(sys.stdin)
json.dump([magnetic_field(east, north, 0.0, *rest) for east, north in places], sys.stdout)
"""


def test_the_closed_form_is_that_of_choclo() -> None:
    pytest.importorskip("choclo", reason="choclo is the independent program")
    field = prism.prism_field(EAST, NORTH, BOX, MAIN, OTHER)
    magnetisation = OTHER * [1, 1, -1] / (4e-7 * np.pi)  # choclo's third axis goes up
    cells = [(0, 0), (20, 31), (32, 32), (40, 12), (63, 50)]
    places = [(EAST[cell], NORTH[cell]) for cell in cells]
    answer = subprocess.run(  # not compiled: that takes ten seconds, five places none
        [sys.executable, "-c", CHOCLO], env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, check=True,
        text=True, input=json.dumps([places, [*BOX[:4], -BOX[5], -BOX[4], *magnetisation]]),
    )  # fmt: skip
    for cell, (east, north, up) in zip(cells, json.loads(answer.stdout), strict=True):
        assert field[cell] == pytest.approx(np.dot([east, north, -up], MAIN), rel=1e-6)


@pytest.mark.parametrize("magnetisation", [MAIN, OTHER], ids=["induced", "remanent"])
def test_the_fourier_field_is_that_of_the_closed_form(magnetisation: np.ndarray) -> None:
    exact = prism.prism_field(EAST, NORTH, BOX, MAIN, magnetisation)
    cover = np.zeros((256, 256), np.float32)
    cover[123:134, 120:136] = 1
    fourier = forward.body_field(cover, 3.0, 6.0, MAIN, magnetisation)[96:160, 96:160]
    difference = (fourier - exact) - np.mean(fourier - exact)  # the transform knows no mean
    assert np.std(difference) < 0.01 * np.std(exact)


def test_a_leaning_body_is_a_stack_of_shifted_slabs() -> None:
    cover = np.zeros((256, 256), np.float32)
    cover[123:134, 120:136] = 1
    leaning = forward.body_field(cover, 3.0, 6.0, MAIN, MAIN, lean=(0.5, 0.0))[96:160, 96:160]
    slabs = 0.0
    for depth in np.arange(3.0, 9.0, 0.25):
        shift = 0.5 * (depth + 0.125 - 3.0)
        box = (BOX[0] + shift, BOX[1] + shift, BOX[2], BOX[3], depth, depth + 0.25)
        slabs = slabs + prism.prism_field(EAST, NORTH, box, MAIN, MAIN)
    difference = (leaning - slabs) - np.mean(leaning - slabs)
    assert np.std(difference) < 0.01 * np.std(slabs)


def test_a_rasterised_outline_gives_the_field_of_the_outline() -> None:
    """A block that ends between cells, 1.5 cells deep: where cells would show."""
    body = survey.Body(64.3, 63.8, (7.9, 2.6), 0.0, 50.0, (), 1.5, 6.0, (0.0, 0.0), MAIN, False)
    share, patch = survey.coverage(body)
    cover = np.zeros((survey.DOMAIN, survey.DOMAIN), np.float32)
    cover[patch] = share
    fourier = forward.body_field(cover, body.top, body.thickness, MAIN, MAIN)[32:96, 32:96]
    box = (0.3 - 7.9, 0.3 + 7.9, -0.2 - 2.6, -0.2 + 2.6, 1.5, 7.5)
    exact = prism.prism_field(EAST, NORTH, box, MAIN, MAIN)
    difference = (fourier - exact) - np.mean(fourier - exact)
    assert np.std(difference) < 0.04 * np.std(exact)


@pytest.mark.parametrize(("inclination", "declination"), [(50, 10), (-35, -70), (20, 160), (-80, 100), (0, -135)])
def test_mirrors_bring_every_direction_into_one_octant_and_keep_the_field(inclination: int, declination: int) -> None:
    main = forward.unit_vector(inclination, declination)
    mirror, turned = direction.canonical(main)
    east, north, down = turned
    assert down >= 0 and 0 <= east <= north and np.linalg.norm(turned) == pytest.approx(1)
    cover = np.zeros((96, 96), np.float32)
    cover[40:50, 30:60] = 1
    cover[45:60, 55:60] = 1
    field = forward.body_field(cover, 3.0, 6.0, main, main)
    mirrored = forward.body_field(mirror.apply(cover), 3.0, 6.0, turned, turned)
    np.testing.assert_allclose(mirror.apply(field), mirrored, atol=1e-5)
    np.testing.assert_array_equal(mirror.undo(mirror.apply(field)), field)


def columns_of(axes: list[np.ndarray]) -> object:
    rng = np.random.default_rng(0)
    top = np.exp(rng.uniform(0.5, 2.5, (40, 50))).astype(np.float32)
    thickness = np.exp(rng.uniform(0, 3, (40, 50))).astype(np.float32)
    return reforward.Columns(top, thickness, rng.random((40, 50)) < 0.2, MAIN, axes)


@pytest.mark.parametrize("axes", [[MAIN], list(np.eye(3))], ids=["along the field", "free"])
def test_the_adjoint_of_the_columns_is_their_transpose(axes: list[np.ndarray]) -> None:
    columns = columns_of(axes)
    rng = np.random.default_rng(1)
    moment = rng.normal(size=(len(axes), len(columns.spread(np.zeros((40, 50)))))).astype(np.float32)
    field = rng.normal(size=(40, 50)).astype(np.float32)
    assert np.vdot(columns.field(moment), field) == pytest.approx(np.vdot(moment, columns.adjoint(field)), rel=1e-3)


def block_survey(magnetisation: np.ndarray) -> tuple[np.ndarray, ...]:
    """Field in nT of a block of 0.02 SI in 50,000 nT, on a slope, with a gap; and the truth in maps."""
    field = 1000 * prism.prism_field(EAST, NORTH, BOX, MAIN, magnetisation) + 48_000 + 0.5 * EAST
    field[5:9, 40:60] = np.nan
    mask = np.zeros(EAST.shape, bool)
    mask[27:38, 24:40] = True
    maps = [np.full(EAST.shape, value, np.float32) for value in (6000.0, 3.0, 6.0)]
    return (field - 48_000).astype(np.float32), *maps, mask


def test_true_columns_leave_nothing_of_the_field() -> None:
    field, moment, top, thickness, mask = block_survey(MAIN)
    fitted = reforward.fit(field, moment, top, thickness, mask, MAIN)
    assert fitted.raw_share < 0.03 and fitted.share < 0.02 and fitted.vector is None
    assert np.isnan(fitted.residual[6, 50]) and np.isfinite(fitted.residual).sum() == 64 * 64 - 80
    assert np.median(fitted.moment[mask]) == pytest.approx(6000, rel=0.1)


def test_wrong_susceptibilities_are_mended_and_wrong_depths_show() -> None:
    field, moment, top, thickness, mask = block_survey(MAIN)
    mended = reforward.fit(field, 0.3 * moment, top, thickness, mask, MAIN)
    assert mended.raw_share > 0.5 and mended.share < 0.03
    assert mended.moment[mask].sum() == pytest.approx(6000 * mask.sum(), rel=0.1)
    deep = reforward.fit(field, moment, 3 * top, thickness, mask, MAIN)
    assert deep.share > 3 * mended.share


def test_a_remanent_block_is_fitted_with_its_own_direction() -> None:
    field, moment, top, thickness, mask = block_survey(OTHER)
    fitted = reforward.fit(field, moment, top, thickness, mask, MAIN)
    assert fitted.share < 0.08 and fitted.vector is not None
    towards = fitted.vector[:, mask].mean(1)
    assert towards @ OTHER / np.linalg.norm(towards) > 0.97


def test_euler_and_tilt_depth_find_a_block_where_they_are_exact() -> None:
    """Euler: a line of dipoles has index 2; the tilt depth: a steep contact in a vertical field."""
    vertical = np.array([0.0, 0.0, 1.0])
    rod = prism.prism_field(EAST, NORTH, (-300.0, 300.0, -0.5, 0.5, 5.5, 6.5), vertical, vertical)
    solutions = baselines.euler(rod.astype(np.float32), index=2.0)
    near = np.abs(solutions[:, 1] - 32) < 2
    assert near.sum() > 20 and np.median(solutions[near, 2]) == pytest.approx(6.0, rel=0.15)
    contact = prism.prism_field(EAST, NORTH, (0.0, 900.0, -900.0, 900.0, 4.0, 900.0), vertical, vertical)
    depths = baselines.tilt_depth(contact.astype(np.float32), vertical)
    near = (np.abs(depths[:, 0] - 32) < 2) & (np.abs(depths[:, 1] - 32) < 16)
    assert near.any() and np.median(depths[near, 2]) == pytest.approx(4.0, rel=0.25)
