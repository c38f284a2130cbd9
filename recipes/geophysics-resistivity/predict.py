"""Invert one line of readings: a section, its uncertainty and depth of investigation, the misfit of each reading."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hive_runner.errors import InputError
from numpy.typing import NDArray

from . import formats, report
from .grid import Floats
from .interpret import Interpreter, Result, percent
from .inversion import SMOOTH_SPREAD
from .prepare import Prepared, prepare

if TYPE_CHECKING:
    from hive_runner.run import Run

KNOWN_SHARE = 0.5  # of the variance of smooth ground: where the readings leave more, they do not reach
SHOWN_DEPTH = 1.4  # of the deepest reading's median depth


@dataclass(frozen=True)
class Answer:
    """A section and what it was made from; the arrays are (layers, columns) of the cells that are shown."""

    prepared: Prepared
    result: Result
    log_rho: Floats  # decades, ohm m
    spread: Floats  # decades, standard deviation
    reached: NDArray[np.bool_]  # within the depth of investigation
    x_edges: Floats  # (columns + 1,) spacings
    z_edges: Floats  # (layers + 1,) spacings
    warnings: list[str]

    @property
    def chi2(self) -> float:
        return self.result.fit.chi2

    @property
    def misfit_percent(self) -> float:
        """Root mean square misfit of the readings that were not set apart."""
        off = (self.prepared.data - self.result.fit.predicted)[~self.result.outliers]
        return float(100 * np.sqrt(np.mean((10**off - 1) ** 2)))


class Model:
    """A trained model for lines in memory and in files."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter

    def invert_file(self, path: Path, spacing_m: float = 0.0, error_percent: float = 0.0) -> Answer:
        """Raises InputError."""
        return self.invert(formats.read(path, spacing_m), error_percent)

    def invert(self, line: formats.FieldLine, error_percent: float = 0.0) -> Answer:
        """Raises InputError."""
        prepared = prepare(line, error_percent)
        survey = prepared.survey
        result = self._interpreter.interpret(survey, prepared.data, estimate_error=error_percent <= 0)
        warnings = [*prepared.warnings, *self._interpreter.unusual(survey, prepared.data, result)]
        grid = survey.solver.grid
        x_edges, z_edges = grid.edges(), report.layer_edges()
        first, last = np.searchsorted(x_edges, [grid.stations[0] - 0.6, grid.stations[-1] + 0.6])
        columns = slice(int(first), int(last) - 1)
        layers = slice(0, int(np.searchsorted(z_edges[1:-1], SHOWN_DEPTH * survey.depths.max())) + 1)
        shown = layers, columns
        left = survey.linear.variance[shown] / SMOOTH_SPREAD**2
        return Answer(
            prepared, result, result.fit.log_rho[shown], result.fit.spread[shown], left < KNOWN_SHARE,
            x_edges[columns.start : columns.stop + 1], z_edges[: layers.stop + 1], warnings,
        )  # fmt: skip


def load(artifact: Path, threads: int = 1, device: str = "cpu") -> Model:
    """The trained model of an installed artifact."""
    import torch
    from hive_runner.export import load_weights

    torch.set_num_threads(threads)
    tensors, config = load_weights(artifact)
    return Model(Interpreter(tensors, config))


def predict(run: Run) -> None:
    """Invert run.inputs[0]; write the folder run.output, or the one file of a known kind that it names."""
    if len(run.inputs) != 1:
        raise InputError(f"{len(run.inputs)} inputs", "one line is inverted at a time", "run hive once a file")
    source = run.inputs[0]
    kind = run.output.suffix.lower()
    if kind and kind not in report.WRITERS:
        raise InputError(
            f"{run.output.name} is of no kind that is written", f"it writes {', '.join(report.WRITERS)}",
            "a name without a suffix gives a folder with everything",
        )  # fmt: skip
    run.phase("read")
    line = formats.read(source, run.options.spacing)
    run.phase("invert")
    answer = load(run.artifact, run.threads).invert(line, run.options.error)
    run.phase("write")
    if kind:
        report.WRITERS[kind](answer, line, source.stem, run.output)
    else:
        run.output.mkdir(exist_ok=True)
        report.write_all(answer, line, source.stem, run.output)
    run.summary.update(summarise(answer, line))


def summarise(answer: Answer, line: formats.FieldLine) -> dict[str, Any]:
    prepared, inside = answer.prepared, answer.reached
    values = 10 ** answer.log_rho[inside] if inside.any() else 10**answer.log_rho
    return {
        "format": line.format,
        "electrodes": len(line.positions),
        "readings": len(prepared.data),
        "readings_left_out": len(line.abmn) - len(prepared.data),
        "readings_set_apart": int(answer.result.outliers.sum()),
        "spacing_m": round(prepared.unit_m, 3),
        "resistivity_ohm_m": " to ".join(f"{v:.3g}" for v in np.quantile(values, [0.02, 0.98])),
        "depth_of_investigation_m": round(report.deepest_m(answer), 1),
        "chi2": round(answer.chi2, 2),
        "misfit_percent": round(answer.misfit_percent, 2),
        "error_percent": round(float(np.median(percent(answer.result.error))), 2),
        "notes": prepared.notes,
        "warnings": answer.warnings,
    }


def sample(run: Run) -> None:
    """Readings over made-up ground, as pyGIMLi writes them: 48 electrodes 2 m apart, Schlumberger and dipole-dipole."""
    from .arrays import layout
    from .earth import draw_section, on_cells
    from .grid import Grid
    from .solver import Solver

    count, spacing_m, share = 48, 2.0, 0.03
    abmn = np.concatenate([layout("schlumberger", count, 40), layout("dipole-dipole", count, 12)])
    solver = Solver(Grid.even(count), refine=2)
    for index in range(100):  # the first that looks like ground one would measure over
        model = on_cells(draw_section(run.rng(7, index), solver.grid.length), solver.grid)
        apparent = solver.forward(model, abmn)
        if 20 < apparent.min() < apparent.max() < 1500 and np.std(np.log10(apparent)) > 0.2:
            break
    noisy = apparent * (1 + share * run.rng(8).standard_normal(len(abmn)))
    report.write_unified(run.output, np.arange(count) * spacing_m, abmn, noisy, np.full(len(abmn), share))
    run.summary.update(electrodes=count, readings=len(abmn), noise_percent=100 * share)
