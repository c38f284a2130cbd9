"""Resistivity sections: hive's model beside pyGIMLi's inversion and its own without the network, on the same data.

    python benchmarks/geophysics_resistivity.py --model ARTIFACT [--sections 8] [--lines FILE ...] [-o table.md]

Simulated lines have 48 electrodes, 3 % noise and ground of other generator parameters than the model was trained on;
half of them come from pyGIMLi's finite elements, half from finer finite volumes than are inverted. The error is that of
log10 resistivity within the trapezoid that the array is sensitive to. chi2 is that of the method's own model sent
through pyGIMLi's finite elements on another mesh. `--lines` takes field data, of which only the misfit is known.
`pip install pygimli==1.6.1`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Section = Callable[[Floats, Floats], Floats]  # x, depth in spacings -> log10 ohm m

REPOSITORY = Path(__file__).resolve().parents[1]
STATIONS = 48
NOISE = 0.03
SEED = 0xBE4C
LAMBDA = 20.0  # pyGIMLi's default regularisation


def recipe(module: str) -> ModuleType:
    from hive_runner.recipe_module import load

    return load("geophysics-resistivity", REPOSITORY / "recipes" / "geophysics-resistivity", module)


# --- pyGIMLi


def container(positions: Floats, abmn: NDArray[np.int64]) -> Any:
    import pygimli

    data = pygimli.DataContainerERT()
    for place in positions:
        data.createSensor([float(place), 0.0, 0.0])
    data.resize(len(abmn))
    for name, column in zip("abmn", abmn.T, strict=True):
        data[name] = column.astype(float)
    data["k"] = recipe("solver").geometric_factors(positions, abmn)
    data["valid"] = np.ones(len(abmn))
    return data


class FiniteElements:
    """pyGIMLi's forward answer over any section, on triangles that know nothing of the model's cells."""

    def __init__(self, positions: Floats, abmn: NDArray[np.int64]) -> None:
        import pygimli.meshtools as tools
        from pygimli.physics import ert

        first, last = positions[0], positions[-1]
        spacing = float(np.median(np.diff(positions)))
        length = last - first
        world = tools.createWorld(
            start=[first - 4 * length, 0], end=[last + 4 * length, -4 * length], worldMarker=True, marker=1
        )
        deep = tools.createRectangle(
            start=[first - 4 * spacing, 0], end=[last + 4 * spacing, -0.3 * length], marker=2,
            area=0.09 * spacing**2, boundaryMarker=0,
        )  # fmt: skip
        shallow = tools.createRectangle(
            start=[first - 3 * spacing, 0], end=[last + 3 * spacing, -3 * spacing], marker=3,
            area=0.02 * spacing**2, boundaryMarker=0,
        )  # fmt: skip
        plan = world + deep + shallow
        for place in positions:
            plan.createNode([float(place), 0.0])
            plan.createNode([float(place), -0.12 * spacing])
        self.mesh = tools.createMesh(plan, quality=33.0)
        centres = np.array(self.mesh.cellCenters())
        self.x, self.depth = centres[:, 0], -centres[:, 1]
        self.forward = ert.ERTModelling(sr=False, verbose=False)
        self.forward.setThreadCount(1)
        self.forward.setData(container(positions, abmn))
        self.forward.setMesh(self.mesh, ignoreRegionManager=True)
        self.half_space = np.array(self.forward.response(np.ones(self.mesh.cellCount())))

    def apparent(self, log_rho: Floats) -> Floats:
        """log_rho: of the mesh's cells -> apparent resistivities, ohm m, as ratios to the mesh's own half-space."""
        return np.array(self.forward.response(10**log_rho)) / self.half_space


def pygimli_inversion(positions: Floats, abmn: NDArray[np.int64], data: Floats, error: Floats) -> tuple[Section, float]:
    """log10 data and errors -> pyGIMLi's section, with the settings that its manager comes with, and its chi2."""
    import pygimli
    from pygimli.physics import ert
    from scipy.spatial import cKDTree

    scheme = container(positions, abmn)
    scheme["rhoa"] = 10**data
    scheme["err"] = error * np.log(10)
    manager = ert.ERTManager(scheme, verbose=False, sr=False)
    manager.fop._core.setThreadCount(1)  # else its Jacobian may get no thread, and the start is the answer
    manager.invert(lam=LAMBDA, verbose=False)
    domain = manager.paraDomain
    values = np.log10(np.array(manager.paraModel()))
    centres = np.array(domain.cellCenters())[:, :2]
    nearest = cKDTree(centres)

    def section(x: Floats, depth: Floats) -> Floats:
        x, depth = np.broadcast_arrays(x, depth)
        found = np.empty(x.size)
        for index, (across, down) in enumerate(zip(x.ravel(), depth.ravel(), strict=True)):
            cell = domain.findCell(pygimli.Pos(float(across), -float(down)))
            found[index] = values[cell.id() if cell else nearest.query([across, -down])[1]]
        return found.reshape(x.shape)

    return section, float(manager.inv.chi2())


# --- what is compared

Answer = tuple[Floats, Floats | None, Section]  # log10 ohm m and spread of the survey's cells, and the same anywhere
Method = Callable[["Line"], Answer]
Row = tuple[str, str, float, float, float, float]  # by HEAD


@dataclass(frozen=True)
class Line:
    """One data set. `unit`: metres a spacing; truth: None in the field."""

    name: str
    survey: Any
    data: Floats
    truth: Floats | None


def simulated(sections: int) -> Iterator[Line]:
    """`sections` lines by finite elements and as many by finite volumes."""
    arrays, earth, grid, data, solver = map(recipe, ("arrays", "earth", "grid", "data", "solver"))
    even = grid.Grid.even(STATIONS)
    coarse, fine = solver.Solver(even), solver.Solver(even, *recipe("interpret").FINER)
    positions = np.arange(STATIONS, dtype=float)
    plans: dict[str, tuple[Any, FiniteElements]] = {}
    for index in range(sections):
        kind = ("schlumberger", "dipole-dipole")[index % 2]
        if kind not in plans:
            abmn = arrays.layout(kind, STATIONS)
            error = np.full(len(abmn), NOISE / np.log(10))
            plans[kind] = data.Survey.plan(coarse, abmn, error), FiniteElements(positions, abmn)
        survey, elements = plans[kind]
        rng = np.random.default_rng([SEED, index])
        while True:
            section = earth.draw_section(rng, even.length, earth.SHIFTED)
            seen = elements.apparent(section(elements.x, elements.depth))
            if (seen > 0).all():
                break
        noisy = np.log10(seen) + survey.error * rng.standard_normal(len(seen))
        yield Line(f"FE {index} {kind}", survey, noisy, earth.on_cells(section, even, 4))
        noisy, truth = data.draw_data(rng, replace(survey, solver=fine), earth.SHIFTED)
        yield Line(f"FV {index} {kind}", survey, noisy, truth)


def field_line(path: Path) -> Line:
    """Field data, with the errors that the model finds for them: both methods get the same."""
    formats, prepare = recipe("formats"), recipe("prepare")
    prepared = prepare.prepare(formats.read(path))
    return Line(path.stem[:28], prepared.survey, prepared.data, None)


def by_pygimli(line: Line) -> Answer:
    grid = line.survey.solver.grid
    section, _ = pygimli_inversion(np.array(grid.stations), line.survey.abmn, line.data, line.survey.error)
    x, z = grid.centres()
    return section(x[None, :], z[:, None]), None, section


def without_network(line: Line) -> Answer:
    fit = recipe("interpret").without_network(line.survey, line.data)
    return fit.log_rho, fit.spread, anywhere(line, fit.log_rho)


def installed(artifact: Path) -> dict[str, Method]:
    """The installed model, as it is used and its network alone."""
    from hive_runner.export import load_weights

    interpreter = recipe("interpret").Interpreter(*load_weights(artifact))

    def whole(line: Line) -> Answer:
        fit = interpreter.interpret(line.survey, line.data, estimate_error=False).fit
        return fit.log_rho, fit.spread, anywhere(line, fit.log_rho)

    def network(line: Line) -> Answer:
        look = interpreter.look(line.survey, line.data)
        return look.log_rho, look.spread, anywhere(line, look.log_rho)

    return {"network alone": network, "hive": whole}


def anywhere(line: Line, model: Floats) -> Section:
    """A model of cells as a function of place."""
    edges, depths = line.survey.solver.grid.edges(), recipe("grid").layer_depths()

    def section(x: Floats, depth: Floats) -> Floats:
        column = np.clip(np.searchsorted(edges, x) - 1, 0, model.shape[1] - 1)
        row = np.clip(np.searchsorted(depths, depth) - 1, 0, model.shape[0] - 1)
        return np.asarray(model[row, column])

    return section


HEAD = ("line", "method", "log10 RMSE", "chi2 by pyGIMLi", "80 % cover", "s")


def compare(lines: Iterator[Line], methods: dict[str, Method], judge: bool) -> Iterator[Row]:
    """A row a line and method. judge: send every model through finite elements; that takes seconds each."""
    elements: dict[int, FiniteElements] = {}
    for line in lines:
        survey = line.survey
        if judge and id(survey) not in elements:
            elements = {id(survey): FiniteElements(np.array(survey.solver.grid.stations), survey.abmn)} | elements
        for name, method in methods.items():
            begin = time.perf_counter()
            with _quiet():
                model, spread, section = method(line)
            seconds = time.perf_counter() - begin
            error = cover = chi2 = float("nan")
            if line.truth is not None:
                off = np.abs(model - line.truth)[survey.inside]
                error = float(np.sqrt(np.mean(off**2)))
                if spread is not None:
                    cover = float(np.mean(off < recipe("inversion").NORMAL_80 * spread[survey.inside]))
            if judge:
                mesh = elements[id(survey)]
                answered = np.log10(np.maximum(mesh.apparent(section(mesh.x, mesh.depth)), 1e-6))
                chi2 = float(np.mean(((line.data - answered) / survey.error) ** 2))
            yield line.name, name, error, chi2, cover, seconds


def table(rows: list[Row]) -> str:
    """Markdown, means by simulator and method last."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for row in rows:
        cells = ["-" if value != value else f"{value:.3f}" for value in row[2:]]
        lines.append(f"| {row[0]} | {row[1]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def means(rows: list[Row]) -> list[Row]:
    groups: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for row in rows:
        if row[0][:2] in ("FE", "FV") and row[0][2] == " ":
            groups.setdefault((f"mean {row[0][:2]}", row[1]), []).append(row[2:])
    return [(*key, *np.array(values).mean(0)) for key, values in groups.items()]


@contextlib.contextmanager
def _quiet() -> Any:
    """pyGIMLi prints from C++, past sys.stdout."""
    sys.stdout.flush()
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="artifact folder of geophysics-resistivity")
    parser.add_argument("--sections", type=int, default=8, help="simulated lines of either kind")
    parser.add_argument("--lines", nargs="*", type=Path, default=[], help="files of field data")
    parser.add_argument("--no-judge", action="store_true", help="without chi2 by finite elements, which takes longest")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    methods = {"pyGIMLi": by_pygimli, "Gauss-Newton": without_network} | installed(arguments.model)

    def every() -> Iterator[Line]:
        yield from simulated(arguments.sections)
        yield from map(field_line, arguments.lines)

    rows: list[Row] = []
    for row in compare(every(), methods, not arguments.no_judge):
        rows.append(row)
        print(table([row]).splitlines()[-1], flush=True)
        if arguments.output:
            arguments.output.write_text(table(rows + means(rows)) + "\n")
    print("\n".join(table(means(rows)).splitlines()[2:]))


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY / "training-runner"))
    with tempfile.TemporaryDirectory() as cache:
        os.environ.setdefault("XDG_CACHE_HOME", cache)
        main()
