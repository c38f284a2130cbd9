"""From readings to a section, how sure it is, and how deep the readings reach."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .formats import FieldLine, read
from .grid import Floats, layer_depths
from .interpret import Interpreter, Result
from .inversion import SMOOTH_SPREAD
from .prepare import Prepared, prepare

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
        return self.invert(read(path, spacing_m), error_percent)

    def invert(self, line: FieldLine, error_percent: float = 0.0) -> Answer:
        """Raises InputError."""
        prepared = prepare(line, error_percent)
        survey = prepared.survey
        result = self._interpreter.interpret(survey, prepared.data, estimate_error=error_percent <= 0)
        warnings = [*prepared.warnings, *self._interpreter.unusual(survey, prepared.data, result)]
        grid = survey.solver.grid
        x_edges, z_edges = grid.edges(), layer_depths()
        first, last = np.searchsorted(x_edges, [grid.stations[0] - 0.6, grid.stations[-1] + 0.6])
        columns = slice(int(first), int(last) - 1)
        layers = slice(0, int(np.searchsorted(z_edges[1:-1], SHOWN_DEPTH * survey.depths.max())) + 1)
        shown = layers, columns
        left = survey.linear.variance[shown] / SMOOTH_SPREAD**2
        return Answer(
            prepared, result, result.fit.log_rho[shown], result.fit.spread[shown], left < KNOWN_SHARE,
            x_edges[columns.start : columns.stop + 1], z_edges[: layers.stop + 1], warnings,
        )  # fmt: skip
