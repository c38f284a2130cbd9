"""The forward problem against answers on paper, against pyGIMLi's finite elements, and against itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="the solver is compiled")
pytest.importorskip("scipy", reason="the solver factors bands")

from hive_runner.recipe_module import load
from numpy.typing import NDArray

HERE = Path(__file__).parent
NAME = "geophysics-resistivity"
grid = load(NAME, HERE, "grid")
solver = load(NAME, HERE, "solver")
arrays = load(NAME, HERE, "arrays")
earth = load(NAME, HERE, "earth")

COUNT = 24
LINE = solver.Solver(grid.Grid.even(COUNT))
PLACES = np.arange(COUNT, dtype=float)
KINDS = [kind for kind in arrays.KINDS if kind != "pole-pole"]


def on_paper(potential: Callable[[float, float], float], abmn: NDArray[np.int64]) -> NDArray[np.float64]:
    """Apparent resistivities from the potential of one ampere at x, measured at x'."""
    table = np.array([[0.0 if i == j else potential(i, j) for j in range(COUNT)] for i in range(COUNT)])
    return np.asarray(solver.resistances(table, abmn) * solver.geometric_factors(PLACES, abmn))


def two_layers(upper: float, lower: float, depth: float) -> Callable[[float, float], float]:
    """Images at 2 n depth; Telford et al. 1990, eq. 8.38."""
    k, n = (lower - upper) / (lower + upper), np.arange(1, 2000)
    return lambda i, j: (
        upper / (2 * np.pi) * (1 / abs(i - j) + 2 * float(np.sum(k**n / np.hypot(i - j, 2 * n * depth))))
    )


def contact(left: float, right: float, x: float) -> Callable[[float, float], float]:
    """A vertical contact at x: one image across it; Telford et al. 1990, eq. 8.34."""
    k = (right - left) / (right + left)

    def potential(i: float, j: float) -> float:
        if (i < x) == (j < x):
            here, sign = (left, 1.0) if i < x else (right, -1.0)
            return here / (2 * np.pi) * (1 / abs(i - j) + sign * k / abs(2 * x - i - j))
        return (1 + k) * left / (2 * np.pi) / abs(i - j)

    return potential


@pytest.mark.parametrize("kind", KINDS)
def test_a_half_space_has_its_own_resistivity_whatever_the_array(kind: str) -> None:
    abmn = arrays.layout(kind, COUNT)
    np.testing.assert_allclose(LINE.forward(np.full(LINE.grid.shape, 1.7), abmn), 10**1.7, rtol=1e-9)


def test_before_any_ratio_the_grid_itself_errs_little_over_a_half_space() -> None:
    abmn = arrays.layout("mixed", COUNT)
    error = solver.resistances(LINE.half_space, abmn) * solver.geometric_factors(PLACES, abmn) - 1
    assert np.median(np.abs(error)) < 0.01 and np.abs(error).max() < 0.04


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("upper", "lower", "layers"), [(100.0, 10.0, 6), (10.0, 100.0, 6), (30.0, 300.0, 10)])
def test_two_layers_agree_with_their_images(kind: str, upper: float, lower: float, layers: int) -> None:
    model = np.full(LINE.grid.shape, np.log10(lower))
    model[:layers] = np.log10(upper)
    abmn = arrays.layout(kind, COUNT)
    error = LINE.forward(model, abmn) / on_paper(two_layers(upper, lower, grid.layer_depths()[layers]), abmn) - 1
    assert np.median(np.abs(error)) < 0.012
    assert np.abs(error).max() < 0.04


@pytest.mark.parametrize("kind", ["wenner", "dipole-dipole"])
def test_a_vertical_contact_agrees_with_its_image(kind: str) -> None:
    edges = LINE.grid.edges()
    model = np.full(LINE.grid.shape, np.log10(20.0))
    side = int(np.argmin(np.abs(edges - 10.5)))
    model[:, side:] = np.log10(200.0)
    abmn = arrays.layout(kind, COUNT)
    error = LINE.forward(model, abmn) / on_paper(contact(20.0, 200.0, edges[side]), abmn) - 1
    assert np.median(np.abs(error)) < 0.01 and np.quantile(np.abs(error), 0.95) < 0.05


@pytest.mark.parametrize("layers", [1, 2])
def test_finer_columns_and_rows_come_nearer_to_thin_top_soil(layers: int) -> None:
    model = np.full(LINE.grid.shape, 1.0)
    model[:layers] = 2.0
    abmn = arrays.layout("dipole-dipole", COUNT)
    truth = on_paper(two_layers(100.0, 10.0, grid.layer_depths()[layers]), abmn)
    cells = (1, 1), (2, 1), (4, 4)
    coarse, fine, finest = (
        np.abs(solver.Solver(LINE.grid, *each).forward(model, abmn) / truth - 1).max() for each in cells
    )
    assert fine < 0.6 * coarse and finest < 0.03


def test_reciprocity() -> None:
    model = earth.on_cells(earth.draw_section(np.random.default_rng(3), LINE.grid.length), LINE.grid)
    there = arrays.layout("dipole-dipole", COUNT)
    np.testing.assert_allclose(LINE.forward(model, there), LINE.forward(model, there[:, [2, 3, 0, 1]]), rtol=1e-8)


@pytest.mark.parametrize("refine", [1, 2])
def test_the_jacobian_is_what_a_small_change_does_and_its_rows_add_up_to_one(refine: int) -> None:
    """A change of all cells by a factor changes every reading by that factor."""
    line = solver.Solver(grid.Grid.even(12), refine)
    model = earth.on_cells(earth.draw_section(np.random.default_rng(5), 11.0), line.grid)
    abmn = np.concatenate([arrays.layout("schlumberger", 12), arrays.layout("pole-dipole", 12)])
    apparent, jacobian = line.jacobian(model, abmn)
    np.testing.assert_allclose(apparent, line.forward(model, abmn), rtol=1e-10)
    np.testing.assert_allclose(jacobian.sum((1, 2)), 1.0, atol=2e-3)
    for cell in ((0, 9), (4, 14), (grid.LAYERS - 1, 0), (9, line.grid.columns - 1)):
        outermost = cell[0] == grid.LAYERS - 1 or cell[1] == line.grid.columns - 1
        share = 0.06 if outermost else 0.002  # what the far boundary conducts is left out of the jacobian
        up, down = model.copy(), model.copy()
        up[cell] += 0.01
        down[cell] -= 0.01
        slope = (np.log10(line.forward(up, abmn)) - np.log10(line.forward(down, abmn))) / 0.02
        np.testing.assert_allclose(jacobian[:, *cell], slope, atol=2e-5 + share * np.abs(slope).max())


def test_stations_need_not_be_even() -> None:
    """The same places as a part of an even line, with a gap of two spacings in the middle."""
    whole = np.arange(16.0)
    kept = np.r_[0:7, 8:16]
    uneven = solver.Solver(grid.Grid(tuple(whole[kept])))
    even = solver.Solver(grid.Grid.even(16))
    layers = np.where(grid.layer_depths()[:-1, None] < 1.5, 1.5, 2.2)
    abmn = arrays.layout("dipole-dipole", 15)
    seen = uneven.forward(np.broadcast_to(layers, uneven.grid.shape), abmn)
    np.testing.assert_allclose(
        seen, even.forward(np.broadcast_to(layers, even.grid.shape), kept[abmn]), rtol=0.02
    )  # fmt: skip


def test_a_block_agrees_with_the_finite_elements_of_pygimli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pygimli = pytest.importorskip("pygimli", reason="the independent simulator is not installed")
    model = np.full(LINE.grid.shape, np.log10(50.0))
    model[4:12, 16:26] = np.log10(5.0)  # 1.2 to 5.5 deep, 6 to 11 along
    abmn = np.concatenate([arrays.layout("wenner", COUNT)[::5], arrays.layout("dipole-dipole", COUNT)[::9]])
    theirs = of_pygimli(pygimli, model, abmn) / of_pygimli(pygimli, np.zeros(LINE.grid.shape), abmn)
    error = LINE.forward(model, abmn) / theirs - 1
    assert np.abs(theirs / 50.0 - 1).max() > 0.3  # the block is seen
    assert np.median(np.abs(error)) < 0.006 and np.abs(error).max() < 0.04


def of_pygimli(pygimli: Any, model: NDArray[np.float64], abmn: NDArray[np.int64]) -> NDArray[np.float64]:
    """Apparent resistivities by finite elements on a mesh of quadrangles that has nothing of the solver's padding."""
    from pygimli.physics import ert

    x = np.unique(
        np.r_[-np.geomspace(3, 160, 9)[::-1], np.arange(-2, COUNT + 1.01, 0.25), COUNT + np.geomspace(3, 160, 9)]
    )
    z = -np.unique(np.r_[grid.layer_depths(), (grid.layer_depths()[:14] + grid.layer_depths()[1:15]) / 2, 40, 70, 120])
    mesh = pygimli.createGrid(x=x, y=z[::-1])
    data = pygimli.DataContainerERT()
    for place in PLACES:
        data.createSensor([place, 0.0, 0.0])
    data.resize(len(abmn))
    for name, column in zip("abmn", abmn.T, strict=True):
        data[name] = column.astype(float)
    data["k"] = solver.geometric_factors(PLACES, abmn)
    edges, depths = LINE.grid.edges(), grid.layer_depths()
    centres = np.array(mesh.cellCenters())
    column = np.clip(np.searchsorted(edges, centres[:, 0]) - 1, 0, len(edges) - 2)
    row = np.clip(np.searchsorted(depths, -centres[:, 1]) - 1, 0, len(depths) - 2)
    forward = ert.ERTModelling(sr=False, verbose=False)
    forward.setThreadCount(1)
    forward.setData(data)
    forward.setMesh(mesh, ignoreRegionManager=True)
    return np.array(forward.response(10 ** model[row, column]))
