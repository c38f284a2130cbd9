"""Depths and outlines of magnetic bodies: hive's model beside what one would otherwise run, on grids made by harmonica.

    python benchmarks/geophysics_magnetic.py [--model ARTIFACT] [--grids 60] [--simpeg 2] [-o table.md]

Each grid: 64 x 64 cells of 50 m, one to five prisms of harmonica (axis-aligned, some leaning), 1 to 2 % noise, a
regional plane. A body is found when a solution lies within 1.5 cells of its outline (Euler deconvolution, tilt depth,
hive's table) or a map marks a quarter of it (hive's map, the inversion); its depth is the median of these.
`pip install harmonica simpeg`; the inversion takes a minute or more a grid, so it runs on a few.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hive_runner.recipe_module import load
from numpy.typing import NDArray

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "geophysics-magnetic"
scenes = load("geophysics-magnetic", RECIPE, "scenes")
forward = load("geophysics-magnetic", RECIPE, "forward")
baselines = load("geophysics-magnetic", RECIPE, "baselines")
evaluate = load("geophysics-magnetic", RECIPE, "evaluate")
predict = load("geophysics-magnetic", RECIPE, "predict")

CELL_M = 50.0
SEED = 20_260
Scene = Any
Judge = Callable[[Any, Scene], None]  # (tally, scene)


def harmonica_scene(seed: int, index: int, kind: str) -> Scene:
    """A scene whose prisms stand along the axes and whose field is harmonica's."""
    import harmonica

    rng = np.random.default_rng([SEED, seed, index])
    drawn = scenes.draw_scene(rng, kind)
    main = forward.unit_vector(drawn.inclination_deg, drawn.declination_deg)
    size = scenes.WINDOW
    east, north = np.meshgrid(np.arange(size) * CELL_M, np.arange(size) * CELL_M)
    label = np.zeros((size, size), np.int16)
    kept, boxes, magnetisations = [], [], []
    for each in drawn.prisms:
        prism = replace(each, strike=float(np.pi / 2 * round(2 * each.strike / np.pi)))
        cells = prism.cells()
        if not cells.any() or (label[cells] > 0).any():
            continue
        kept.append(prism)
        label[cells] = len(kept)
        for box in _slabs(prism):
            boxes.append(np.array(box) * CELL_M)
            magnetisations.append(prism.susceptibility * 50e-6 / (4e-7 * np.pi) * prism.magnetisation * [1, 1, -1])
    coordinates = (east.ravel(), north.ravel(), np.zeros(east.size))
    field = harmonica.prism_magnetic(coordinates, boxes, tuple(np.array(magnetisations).T), field="b")
    anomaly = harmonica.total_field_anomaly(field, drawn.inclination_deg, drawn.declination_deg).reshape(east.shape)
    spread = anomaly.std()
    slope = rng.normal(0, 0.5 * spread, 2)
    anomaly = anomaly + rng.normal(0, spread * rng.uniform(0.01, 0.02), anomaly.shape)
    anomaly += slope[0] * (2 * north / north.max() - 1) + slope[1] * (2 * east / east.max() - 1)
    assert np.dot(main, main) > 0.999
    return replace(drawn, field=(48_000 + anomaly).astype(np.float32), prisms=tuple(kept), label=label)


def _slabs(prism: Any) -> list[tuple[float, ...]]:
    """(west, east, south, north, bottom, top) in cells, heights: a leaning prism as scenes.py has it."""
    turned = bool(round(2 * prism.strike / np.pi) % 2)
    sign = -1.0 if turned else 1.0
    half_east, half_north = prism.half[::-1] if turned else prism.half
    count = scenes.SLABS if prism.lean else 1
    boxes = []
    for n in range(count):
        high, low = (prism.top + prism.thickness * (n + i) / count for i in (0, 1))
        shift = sign * prism.lean * ((high + low) / 2 - prism.top)
        east, north = (prism.east + shift, prism.north) if turned else (prism.east, prism.north + shift)
        boxes.append((east - half_east, east + half_east, north - half_north, north + half_north, -low, -high))
    return boxes


# --- methods


def euler(tally: Any, scene: Scene) -> None:
    evaluate.judge_points(tally, scene, baselines.euler(scene.field - np.median(scene.field)))


def tilt_depth(tally: Any, scene: Scene) -> None:
    main = forward.unit_vector(scene.inclination_deg, scene.declination_deg)
    evaluate.judge_points(tally, scene, baselines.tilt_depth(scene.field - np.median(scene.field), main))


def model_maps(artifact: Path) -> Judge:
    network = predict.load(artifact)

    def judge(tally: Any, scene: Scene) -> None:
        answer = network.interpret(scene.field, CELL_M, scene.inclination_deg, scene.declination_deg)
        evaluate.judge_maps(tally, scene, answer)

    return judge


def model_table(artifact: Path) -> Judge:
    network = predict.load(artifact)

    def judge(tally: Any, scene: Scene) -> None:
        answer = network.interpret(scene.field, CELL_M, scene.inclination_deg, scene.declination_deg)
        points = [(body.east, body.north, body.top) for body in answer.solutions]
        evaluate.judge_points(tally, scene, np.array(points).reshape(-1, 3))

    return judge


def simpeg_inversion(tally: Any, scene: Scene) -> None:
    """Smooth positive susceptibility in 3-D, depth-weighted (Li and Oldenburg 1996), every second datum each way."""
    with contextlib.redirect_stdout(io.StringIO()):
        depth, mask = _invert(scene)
    for number, prism in enumerate(scene.prisms, start=1):
        cells = scene.label == number
        inside = cells & mask
        found = bool(inside.sum() >= evaluate.FOUND_SHARE * cells.sum())
        tally.add(found, float(np.median(depth[inside])) / prism.top if found else np.nan)
    body = scene.label > 0
    tally.both += int((mask & body).sum())
    tally.either += int((mask | body).sum())


def _invert(scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Depth in cells to where a column has half of its largest susceptibility; where that is 30 % of the grid's."""
    import discretize
    from simpeg import data, data_misfit, directives, inverse_problem, inversion, maps, optimization, regularization
    from simpeg.potential_fields import magnetics

    size = scenes.WINDOW
    take = np.arange(0, size, 2)
    east, north = np.meshgrid(take * CELL_M, take * CELL_M)
    places = np.stack([east.ravel(), north.ravel(), np.zeros(east.size)], axis=1)
    plane = np.stack([np.ones(size * size), *(axis.ravel() for axis in np.mgrid[:size, :size])], axis=1)
    flat = scene.field.ravel() - plane @ np.linalg.lstsq(plane, scene.field.ravel(), rcond=None)[0]
    values = flat.reshape(size, size)[np.ix_(take, take)].ravel()
    receivers = magnetics.receivers.Point(places, components="tmi")
    source = magnetics.sources.UniformBackgroundField(
        [receivers], amplitude=50_000, inclination=scene.inclination_deg, declination=scene.declination_deg
    )
    survey = magnetics.survey.Survey(source)
    wide = np.full(size // 2 + 4, 2 * CELL_M)
    high = CELL_M * 1.15 ** np.arange(14)
    mesh = discretize.TensorMesh([wide, wide, high[::-1]], origin=[-4.5 * CELL_M, -4.5 * CELL_M, -high.sum() - CELL_M])
    simulation = magnetics.simulation.Simulation3DIntegral(
        survey=survey, mesh=mesh, chiMap=maps.IdentityMap(nP=mesh.nC), active_cells=np.ones(mesh.nC, bool),
        sensitivity_dtype=np.float32,
    )  # fmt: skip
    measured = data.Data(survey, dobs=values, standard_deviation=np.full(values.size, 0.02 * values.std()))
    misfit = data_misfit.L2DataMisfit(data=measured, simulation=simulation)
    smooth = regularization.WeightedLeastSquares(mesh, alpha_s=1e-3)
    optimiser = optimization.ProjectedGNCG(maxIter=15, lower=0.0, upper=1.0, cg_maxiter=20)
    problem = inverse_problem.BaseInvProblem(misfit, smooth, optimiser)
    steps = [
        directives.UpdateSensitivityWeights(every_iteration=False), directives.BetaEstimate_ByEig(beta0_ratio=10.0),
        directives.BetaSchedule(coolingFactor=3.0, coolingRate=1), directives.TargetMisfit(chifact=1.0),
    ]  # fmt: skip
    model = inversion.BaseInversion(problem, steps).run(np.full(mesh.nC, 1e-4))
    columns = model.reshape(mesh.shape_cells, order="F")[:, :, ::-1]  # from the top
    strongest = columns.max(2)
    first = np.argmax(columns >= 0.5 * strongest[..., None], axis=2)
    depth_m = -mesh.cell_centers_z[::-1][first] - high[first] / 2
    row = np.clip((np.arange(size) * CELL_M + 4.5 * CELL_M) // (2 * CELL_M), 0, len(wide) - 1).astype(int)
    at = np.ix_(row, row)
    return depth_m.T[at] / CELL_M, (strongest > 0.3 * strongest.max()).T[at]


# --- the table


def measure(judge: Judge, found: list[Scene]) -> tuple[Any, float]:
    """Tally over the scenes, and seconds a grid."""
    tally = evaluate.Tally()
    begin = time.perf_counter()
    for scene in found:
        judge(tally, scene)
    return tally, (time.perf_counter() - begin) / len(found)


def line(kind: str, name: str, tally: Any, seconds: float) -> str:
    iou = f"{tally.iou:.2f}" if tally.either else ""
    residual = f"{tally.mean_residual:.1%}" if tally.residual else ""
    coverage = f"{tally.coverage:.2f}" if tally.covered else ""
    return (
        f"| {kind} | {name} | {len(tally.found)} | {tally.found_share:.2f} | {tally.depth_error:.3f} | "
        f"{tally.within_25:.2f} | {iou} | {residual} | {coverage} | {seconds:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="folder of the installed artifact (hive info geophysics-magnetic)")
    parser.add_argument("--grids", type=int, default=60)
    parser.add_argument("--simpeg", type=int, default=0, help="grids that SimPEG inverts")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    methods: dict[str, Judge] = {"Euler, index 1": euler, "tilt depth": tilt_depth}
    if options.model:
        methods |= {"hive, maps": model_maps(options.model), "hive, table": model_table(options.model)}
    lines = [
        "| grids | method | bodies | found | median dz/z | within 25 % | IoU | residual | interval covers | s a grid |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for number, kind in enumerate(scenes.KINDS):
        made = [harmonica_scene(number, index, kind) for index in range(options.grids)]
        for name, judge in methods.items():
            judge(evaluate.Tally(), made[0])  # what is compiled or cached is not what is timed
            lines.append(line(kind, name, *measure(judge, made)))
        if options.simpeg and kind == "induced":
            for name, judge in methods.items() if options.model else ():
                lines.append(line(f"first {options.simpeg}", name, *measure(judge, made[: options.simpeg])))
            lines.append(line(f"first {options.simpeg}", "SimPEG", *measure(simpeg_inversion, made[: options.simpeg])))
    table = "\n".join(lines)
    print(table)
    if options.output:
        options.output.write_text(table + "\n")


if __name__ == "__main__":
    main()
