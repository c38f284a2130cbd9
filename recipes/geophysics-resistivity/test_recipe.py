"""What the network is taught with, the inversion around it, and what a user gets: on ground one can draw.

An untrained network corrects nothing, so it stands for Gauss-Newton from a linear start: enough to find a block.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="the solver is compiled")
torch = pytest.importorskip("torch", reason="the network is torch's")

from hive_runner.contract import JobSpec  # noqa: E402
from hive_runner.errors import InputError  # noqa: E402
from hive_runner.export import save_weights  # noqa: E402
from hive_runner.recipe_module import load  # noqa: E402
from hive_runner.run import Run  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

HERE = Path(__file__).parent
NAME = "geophysics-resistivity"
arrays = load(NAME, HERE, "arrays")
data = load(NAME, HERE, "data")
earth = load(NAME, HERE, "earth")
evaluate = load(NAME, HERE, "evaluate")
formats = load(NAME, HERE, "formats")
grid = load(NAME, HERE, "grid")
interpret = load(NAME, HERE, "interpret")
inversion = load(NAME, HERE, "inversion")
invert = load(NAME, HERE, "invert")
model = load(NAME, HERE, "model")
predict = load(NAME, HERE, "predict")
prepare = load(NAME, HERE, "prepare")
report = load(NAME, HERE, "report")
solver = load(NAME, HERE, "solver")

COUNT, SPACING_M = 24, 4.0
LINE = solver.Solver(grid.Grid.even(COUNT))
ABMN = arrays.layout("dipole-dipole", COUNT, 18)
ERROR = np.full(len(ABMN), 0.02 / data.LN10)


def with_a_block() -> NDArray[np.float64]:
    """100 ohm m, and 10 between 9 and 12 spacings along, 1 to 2.7 down."""
    ground = np.full(LINE.grid.shape, 2.0)
    ground[3:7, 22:28] = 1.0
    return ground


@pytest.fixture(scope="module")
def survey() -> Any:
    return data.Survey.plan(LINE, ABMN, ERROR)


@pytest.fixture(scope="module")
def readings() -> NDArray[np.float64]:
    noise = 1 + 0.02 * np.random.default_rng(1).standard_normal(len(ABMN))
    return np.asarray(LINE.forward(with_a_block(), ABMN) * noise)


def untrained(**config: Any) -> Any:
    torch.manual_seed(0)
    return interpret.Interpreter(model.SectionNet(data.CHANNELS).state_dict(), config)


@pytest.fixture()
def line_file(tmp_path: Path, readings: NDArray[np.float64]) -> Path:
    path = tmp_path / "block.dat"
    report.write_unified(path, np.arange(COUNT) * SPACING_M, ABMN, readings, np.full(len(ABMN), 0.02))
    return path


# --- what is learned from


@pytest.fixture()
def short_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of four sections under 24 electrodes, also in workers, which are forked."""
    for name, value in {"BATCH": 2, "GROUP": 4, "COUNTS": (24,), "SHARES": (1.0,)}.items():
        monkeypatch.setattr(data, name, value)


@pytest.mark.usefixtures("short_lines")
def test_a_group_depends_on_seed_and_index_only() -> None:
    first, again, other = data.make_group(3, 5), data.make_group(3, 5), data.make_group(3, 6)
    np.testing.assert_array_equal(first.inputs, again.inputs)
    np.testing.assert_array_equal(first.target, again.target)
    assert np.isfinite(first.inputs).all() and first.inputs.shape[:3] == (data.GROUP, data.CHANNELS, grid.LAYERS)
    assert first.target.shape != other.target.shape or not np.array_equal(first.target, other.target)


@pytest.mark.usefixtures("short_lines")
def test_batches_are_the_same_from_any_number_of_workers_and_from_any_step() -> None:
    def targets(first: int, workers: int) -> list[Any]:
        return [batch.target for batch in data.batches(1, first, 10, workers)]

    whole = targets(0, 1)
    for one, other in zip(whole, targets(0, 2), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(whole[5:], targets(5, 1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_ground_is_what_is_asked_for_at_any_place_and_on_cells() -> None:
    section = earth.draw_section(np.random.default_rng(4), 23.0)
    cells = earth.on_cells(section, LINE.grid, samples=4)
    x, z = LINE.grid.centres()
    here = section(x[None, :], z[:, None])
    assert cells.shape == LINE.grid.shape and np.median(np.abs(cells - here)) < 0.02
    assert cells.min() >= earth.LOWEST and cells.max() <= earth.HIGHEST


def test_the_trapezoid_narrows_downwards_and_readings_lie_at_their_median_depth(survey: Any) -> None:
    width = survey.inside.sum(1)
    assert width[0] >= 2 * (COUNT - 1) - 2 and (np.diff(width) <= 0).all() and width[-1] == 0
    pair = np.array([[0, 3, 1, 2]])  # Wenner, a = 1: Edwards 1977 gives 0.519 a
    alone = data.Survey.plan(LINE, np.concatenate([pair, ABMN]), np.full(len(ABMN) + 1, 0.01))
    assert alone.depths[0] == pytest.approx(0.519, rel=0.08) and alone.middles[0] == pytest.approx(1.5, abs=0.05)


# --- the inversion


def test_uniform_ground_looks_uniform(survey: Any) -> None:
    level, start, inputs = data.describe(survey, np.full((1, len(ABMN)), 1.3))
    np.testing.assert_allclose(start, 1.3, atol=1e-3)
    assert level[0] == 1.3 and np.isfinite(inputs).all()


def test_gauss_newton_fits_to_the_noise_and_is_surest_near_the_electrodes(survey: Any, readings: Any) -> None:
    fit = interpret.without_network(survey, np.log10(readings))
    assert 0.4 < fit.chi2 < 1.2
    error = evaluate.rmse(fit.log_rho, with_a_block(), survey.inside)
    assert error < 0.7 * evaluate.rmse(np.full(LINE.grid.shape, 2.0), with_a_block(), survey.inside)
    top, bottom = fit.spread[1, 20:30].mean(), fit.spread[-1, 20:30].mean()
    assert top < 0.5 * bottom


def test_a_sure_prior_stays_and_an_unsure_one_gives_way(survey: Any, readings: Any) -> None:
    observed, flat = np.log10(readings), np.full(LINE.grid.shape, 2.0)
    close = inversion.Correlation(LINE.grid, inversion.CLOSE)
    for spread, low, high in ((1e-3, 0.0, 0.1), (0.5, 0.3, 1.5)):
        fit = inversion.gauss_newton(LINE, ABMN, observed, ERROR, flat, np.full(flat.shape, spread), close)
        assert low <= np.abs(fit.log_rho - flat).max() <= high
        assert (fit.spread <= spread * 1.001).all()


def test_three_bad_readings_are_set_apart_and_hardly_matter(survey: Any, readings: Any) -> None:
    bad = readings.copy()
    worst = [20, 60, 100]
    bad[worst] *= [3.0, 0.3, 2.5]
    clean = untrained().interpret(survey, np.log10(readings))
    robust = untrained().interpret(survey, np.log10(bad))
    assert robust.outliers[worst].all() and robust.outliers.sum() <= 5 and not clean.outliers.any()
    assert np.abs(robust.fit.log_rho - clean.fit.log_rho)[survey.inside].mean() < 0.05


def test_what_is_fitted_over_rough_ground_fits_on_a_finer_grid_too() -> None:
    ground = np.full(LINE.grid.shape, 2.0)
    ground[:3] += np.random.default_rng(3).choice([-0.6, 0.6], (3, LINE.grid.columns))
    fine = solver.Solver(LINE.grid, *interpret.FINER)
    observed = np.log10(fine.forward(ground, ABMN))
    exact = data.Survey.plan(LINE, ABMN, np.full(len(ABMN), 0.01 / data.LN10))
    with_network = untrained().interpret(exact, observed).fit
    for fit in (with_network, interpret.without_network(exact, observed)):
        finer = np.log10(fine.forward(fit.log_rho, ABMN))
        assert inversion.misfit(observed, finer, exact.error) < 8  # 26 without the finer solver in the last step
        assert inversion.misfit(fit.predicted, finer, exact.error) < 1  # 22 to 28


def test_errors_that_are_too_small_are_raised_where_they_are_a_guess(readings: Any) -> None:
    noisy = np.log10(readings) + 0.06 * np.random.default_rng(2).standard_normal(len(readings))
    guess = data.Survey.plan(LINE, ABMN, np.full(len(ABMN), 0.01 / data.LN10))
    raised = untrained().interpret(guess, noisy, estimate_error=True)
    kept = untrained().interpret(guess, noisy, estimate_error=False)
    assert np.median(raised.error) > 2 * np.median(kept.error)
    assert raised.fit.chi2 < 2.0
    given = np.hypot(guess.error, inversion.SOLVER_ERROR)
    assert np.mean(kept.error > 1.2 * given) < 0.1  # a misfit that is typical makes no reading an outlier


def test_the_network_takes_any_width_and_begins_with_the_linear_answer() -> None:
    net = model.SectionNet(data.CHANNELS)
    for columns in (30, 54, 101):
        inputs = torch.randn(2, data.CHANNELS, grid.LAYERS, columns)
        mean, spread = net(inputs)
        assert mean.shape == spread.shape == (2, grid.LAYERS, columns) and (spread > 0).all()
        torch.testing.assert_close(mean, inputs[:, model.START])


# --- what a user gets


def test_a_conductive_block_is_found_and_written_for_other_tools(line_file: Path, tmp_path: Path) -> None:
    line = formats.read(line_file)
    answer = invert.Model(untrained()).invert(line)
    where = np.unravel_index(np.argmin(np.where(answer.reached, answer.log_rho, 9.0)), answer.log_rho.shape)
    x_m = SPACING_M * answer.x_edges[where[1]]
    depth_m = SPACING_M * answer.z_edges[where[0]]
    assert 34 < x_m < 50 and 3 < depth_m < 12
    assert 0.3 < answer.chi2 < 1.3

    report.write_all(answer, line, "block", tmp_path)
    rows = list(csv.DictReader((tmp_path / "section.csv").open()))
    assert len(rows) == answer.log_rho.size
    assert all(float(r["rho_low_ohm_m"]) < float(r["rho_ohm_m"]) < float(r["rho_high_ohm_m"]) for r in rows)
    misfits = list(csv.DictReader((tmp_path / "misfit.csv").open()))
    assert [int(row["reading"]) for row in misfits] == list(range(1, len(ABMN) + 1))
    assert np.std([float(row["misfit_percent"]) for row in misfits]) < 4
    assert (tmp_path / "section.png").read_bytes()[:4] == b"\x89PNG"
    words = (tmp_path / "section.vtk").read_text().split()
    assert int(words[words.index("CELLS") + 1]) == answer.log_rho.size
    first = words.index("default") + 1
    np.testing.assert_allclose(np.array(words[first : first + 5], float), 10 ** answer.log_rho[0, :5], rtol=1e-4)


def test_topography_is_draped_and_said(line_file: Path, tmp_path: Path) -> None:
    line = formats.read(line_file)
    line.positions[:, 1] = 300 + 5 * np.sin(line.positions[:, 0] / 30)
    answer = invert.Model(untrained()).invert(line)
    assert any("draped" in note for note in answer.prepared.notes)
    report.write_section(answer, line, "hill", tmp_path / "s.csv")
    top = [row for row in csv.DictReader((tmp_path / "s.csv").open()) if float(row["depth_m"]) < 1]
    for row in top:
        hill = 300 + 5 * np.sin(float(row["x_m"]) / 30)
        assert float(row["elevation_m"]) + float(row["depth_m"]) == pytest.approx(hill, abs=0.7)
    line.positions[:, 1] *= np.where(np.arange(COUNT) % 2, 1.01, 1.0)
    assert any("artefacts" in warning for warning in prepare.prepare(line).warnings)


def test_readings_that_cannot_be_used_are_left_out_and_listed(line_file: Path, tmp_path: Path) -> None:
    line = formats.read(line_file)
    line.apparent[3], line.apparent[5] = -4.0, np.nan
    line.abmn[7, 1] = line.abmn[7, 0]
    prepared = prepare.prepare(line)
    assert len(prepared.data) == len(ABMN) - 3 and not {3, 5, 7} & set(prepared.kept.tolist())
    told = " ".join(prepared.notes)
    assert "negative" in told and "no number" in told and "twice" in told


def test_a_line_with_a_gap_and_uneven_places_is_inverted_where_it_stands(line_file: Path) -> None:
    line = formats.read(line_file)
    gone = (line.abmn == 11).any(1)
    line.abmn, line.apparent, line.error = line.abmn[~gone], line.apparent[~gone], line.error[~gone]
    prepared = prepare.prepare(line)
    assert len(prepared.stations) == COUNT  # the place of the missing electrode is kept
    np.testing.assert_allclose(prepared.stations[:, 1], np.arange(COUNT) * SPACING_M, atol=1e-9)


@pytest.mark.parametrize("electrodes", [6, 11])
def test_too_few_electrodes_are_refused(electrodes: int) -> None:
    abmn = arrays.layout("wenner", electrodes)
    places = np.stack([np.arange(electrodes) * 2.0, np.zeros(electrodes)], 1)
    with pytest.raises(InputError, match="too little"):
        prepare.prepare(formats.FieldLine("test", places, abmn, np.full(len(abmn), 50.0)))


def test_what_is_unlike_the_training_is_warned_of_and_the_like_is_not(line_file: Path) -> None:
    ranges = {"traits_low": [0.5, 0.0, 0.0, 0.0, 0.0], "traits_high": [3.5, 0.8, 1.5, 60.0, 2.0]}
    line = formats.read(line_file)
    assert invert.Model(untrained(**ranges)).invert(line).warnings == []
    line.apparent = line.apparent * 10 ** (2.5 + np.random.default_rng(3).normal(0, 1.0, len(line.apparent)))
    warnings = invert.Model(untrained(**ranges)).invert(line).warnings
    assert any("unlike what the model learned from" in warning for warning in warnings)


@pytest.mark.parametrize("name", ["result", "cells.csv"])
def test_a_run_writes_a_folder_or_the_file_that_is_named(name: str, line_file: Path, tmp_path: Path) -> None:
    run = a_run(tmp_path, [line_file], name)
    predict.predict(run)
    assert run.output.is_dir() == ("." not in name)
    assert run.summary["format"] == "BERT/pyGIMLi" and run.summary["electrodes"] == COUNT
    if run.output.is_dir():
        written = sorted(path.name for path in run.output.iterdir())
        assert written == ["misfit.csv", "section.csv", "section.png", "section.vtk"]


def test_a_result_of_no_known_kind_is_refused(line_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no kind"):
        predict.predict(a_run(tmp_path, [line_file], "section.docx"))


def test_the_sample_can_be_read(tmp_path: Path) -> None:
    run = a_run(tmp_path, [], "line.dat")
    predict.sample(run)
    line = formats.read(run.output)
    assert len(line.positions) == 48 and (line.apparent > 0).all()


def a_run(folder: Path, inputs: list[Path], output: str) -> Run:
    """A run of an untrained network, as hive would start it."""
    artifact, out = folder / "artifact", folder / "out"
    artifact.mkdir(parents=True)
    out.mkdir()
    torch.manual_seed(0)
    save_weights(artifact, model.SectionNet(data.CHANNELS).state_dict(), {})
    spec = JobSpec(
        "predict", NAME, "1.0.0", str(HERE), str(out), str(folder), str(folder / "events.jsonl"),
        str(folder / "result.json"), artifact=str(artifact), inputs=[str(path) for path in inputs], output=output,
        options={"spacing": 0.0, "error": 0.0},
    )  # fmt: skip
    return Run(spec)
