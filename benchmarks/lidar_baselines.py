"""What a user would otherwise run on a point cloud, and hive's model beside it, on the same classified tiles.

    python benchmarks/lidar_baselines.py TILE.laz ... [--model ARTIFACT] [--methods csf,smrf] [-o table.md]

The tiles carry the classes to compare with (see lidar_score.py for what is scored). Each method gets coordinates and
returns only. A method whose package is not installed is left out with a line that says so:
`pip install cloth-simulation-filter pysmrf scikit-learn whitebox-workflows laspy[lazrs]`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from lidar_score import Score, score
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (N, 3) metres
Bytes = NDArray[np.uint8]  # (N,) classes, return numbers, numbers of returns
Method = Callable[[Points, Bytes, Bytes], Bytes]

REPOSITORY = Path(__file__).resolve().parents[1]
UNCLASSIFIED, GROUND = 1, 2
FOREST_SCENES = 24  # simulated scenes that the random forest learns from
FOREST_POINTS = 8_000  # drawn from each


# --- ground filters


def csf(xyz: Points, number: Bytes, count: Bytes) -> Bytes:
    """Cloth simulation filter, Zhang et al. 2016, with the defaults of its package."""
    import CSF

    with _quiet():
        filter_ = CSF.CSF()
        filter_.setPointCloud(xyz - xyz.min(0))
        ground, other = CSF.VecInt(), CSF.VecInt()
        filter_.do_filtering(ground, other, False)
    classes = np.full(len(xyz), UNCLASSIFIED, np.uint8)
    classes[np.array(ground, int)] = GROUND
    return classes


def smrf(xyz: Points, number: Bytes, count: Bytes) -> Bytes:
    """Simple morphological filter, Pingel et al. 2013, windows to 18 m, slope 0.15: PDAL's defaults."""
    import pysmrf

    with _quiet():
        *_, is_object = pysmrf.smrf(*xyz.T, cellsize=1.0, windows=18, slope_threshold=0.15)[:4]
    return np.where(is_object, UNCLASSIFIED, GROUND).astype(np.uint8)


def pmf(xyz: Points, number: Bytes, count: Bytes) -> Bytes:
    """Progressive morphological filter, Zhang et al. 2003, as PDAL's filters.pmf with its defaults.

    Cell 1 m, windows of 3, 5, 9, 17, 33 cells, slope 1, distance 0.15 m growing to 2.5 m; last and only returns.
    """
    from scipy import ndimage

    cell_m, slope, first_m, largest_m, largest_window = 1.0, 1.0, 0.15, 2.5, 33
    last = (number == count) | (count == 0)
    cell = np.floor((xyz[:, :2] - xyz[:, :2].min(0)) / cell_m).astype(int)
    lowest = np.full(cell.max(0) + 1, np.inf)
    np.minimum.at(lowest, (cell[last, 0], cell[last, 1]), xyz[last, 2])
    empty = ~np.isfinite(lowest)
    lowest = lowest[tuple(ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True))]
    ground = last.copy()
    window, before, step = 3, 0, 1
    while window <= largest_window:
        limit = first_m if not before else min(slope * (window - before) * cell_m + first_m, largest_m)
        lowest = ndimage.grey_opening(lowest, (window, window))
        ground &= xyz[:, 2] - lowest[cell[:, 0], cell[:, 1]] <= limit
        before, step = window, step + 1
        window = 2**step + 1
    return np.where(ground, GROUND, UNCLASSIFIED).astype(np.uint8)


# --- classifiers


def whitebox(xyz: Points, number: Bytes, count: Bytes) -> Bytes:
    """classify_lidar of whitebox-workflows with its defaults: ground, vegetation (5), buildings."""
    import laspy
    import whitebox_workflows

    header = laspy.LasHeader(point_format=1, version="1.2")
    header.scales, header.offsets = (0.001,) * 3, np.floor(xyz.min(0))
    cloud = laspy.LasData(header)
    cloud.x, cloud.y, cloud.z = xyz.T
    cloud.return_number, cloud.number_of_returns = np.minimum(number, 7), np.minimum(count, 7)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        cloud.write(f"{folder}/in.las")
        environment = whitebox_workflows.WbEnvironment()
        tools = environment.lidar.filtering_classification
        result = tools.classify_lidar(input=environment.read_lidar(f"{folder}/in.las"))
        environment.write_lidar(result, f"{folder}/out.las")
        return np.asarray(laspy.read(f"{folder}/out.las").classification, np.uint8)


def random_forest() -> Method:
    """100 trees on eigenfeatures of 12 and 48 neighbours and heights above the lowest points around.

    Trained on simulated scenes of the recipe, with seeds of their own. Weinmann et al. 2015 name the features.
    """
    from hive_runner.recipe_module import load
    from sklearn.ensemble import RandomForestClassifier

    simulate = load("gis-lidar", REPOSITORY / "recipes" / "gis-lidar", "scan").simulate
    rng = np.random.default_rng(11)
    features, classes = [], []
    for index in range(FOREST_SCENES):
        cloud = simulate(seed=990_011, index=index, size_m=120.0)
        chosen = rng.choice(len(cloud.xyz), min(FOREST_POINTS, len(cloud.xyz)), replace=False)
        features.append(_eigenfeatures(cloud.xyz, cloud.return_number, cloud.number_of_returns, chosen))
        classes.append(cloud.classification[chosen])
    forest = RandomForestClassifier(100, min_samples_leaf=5, class_weight="balanced_subsample", random_state=1)
    forest.fit(np.concatenate(features), np.concatenate(classes))

    def classify(xyz: Points, number: Bytes, count: Bytes) -> Bytes:
        parts = np.array_split(np.arange(len(xyz)), max(1, len(xyz) // 100_000))
        return np.concatenate([forest.predict(_eigenfeatures(xyz, number, count, part)) for part in parts])

    return classify


def _eigenfeatures(xyz: Points, number: Bytes, count: Bytes, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    """(M, 22): shape of two neighbourhoods, heights above the lowest point within 1 to 32 m, and the return."""
    from scipy import ndimage
    from scipy.spatial import cKDTree

    points = xyz[chosen]
    _, neighbours = cKDTree(xyz).query(points, 48)
    columns: list[NDArray[Any]] = []
    for size in (12, 48):
        around = xyz[neighbours[:, :size]]
        offsets = around - around.mean(1, keepdims=True)
        values, vectors = np.linalg.eigh(np.einsum("nki,nkj->nij", offsets, offsets) / size)
        small, middle, large = np.maximum(values, 1e-9).T
        columns += [(large - middle) / large, (middle - small) / large, small / large, small / (small + middle + large)]
        columns += [1 - np.abs(vectors[:, 2, 0]), np.sqrt(large), np.ptp(around[..., 2], axis=1)]
        columns += [points[:, 2] - around[..., 2].mean(1)]
    cell = np.floor(xyz[:, :2] - xyz[:, :2].min(0)).astype(int)
    lowest = np.full(cell.max(0) + 1, np.inf)
    np.minimum.at(lowest, (cell[:, 0], cell[:, 1]), xyz[:, 2])
    lowest[~np.isfinite(lowest)] = xyz[:, 2].max()
    for window in (1, 5, 15, 31):
        below = ndimage.minimum_filter(lowest, window)[cell[chosen, 0], cell[chosen, 1]]
        columns.append(points[:, 2] - below)
    columns += [number[chosen], count[chosen]]
    return np.stack(columns, 1).astype(np.float32)


def installed_model(artifact: Path) -> Method:
    """The model that hive installed, on one thread."""
    from hive_runner.recipe_module import load

    model = load("gis-lidar", REPOSITORY / "recipes" / "gis-lidar", "predict").load(artifact)
    model.warm_up()  # compiles kernels: not what is timed
    return lambda xyz, number, count: model.classify(xyz, number, count)[0]


# --- the table

GROUND_FILTERS: dict[str, Method] = {"csf": csf, "smrf": smrf, "pmf": pmf}
MAKERS: dict[str, Callable[[], Method]] = {"forest": random_forest, "whitebox": lambda: whitebox}


@contextlib.contextmanager
def _quiet() -> Any:
    """Some packages print from C++, past sys.stdout."""
    sys.stdout.flush()
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)


def read_tile(path: Path) -> tuple[Points, Bytes, Bytes, Bytes]:
    """Coordinates in metres (as the file has them), returns and classes."""
    import laspy

    tile = laspy.read(path)
    parts = (tile.return_number, tile.number_of_returns, tile.classification)
    return np.ascontiguousarray(tile.xyz), *(np.asarray(part, np.uint8) for part in parts)


def table(rows: list[tuple[str, str, Score, float]]) -> str:
    """A markdown table, one row a tile and method."""
    lines = ["| tile | method | ground error % | missed % | wrong % | building IoU | vegetation IoU | wire F1 | s |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for tile, method, figures, seconds in rows:
        percents = (figures.ground_error, figures.ground_missed, figures.ground_wrong)
        shares = (figures.building_iou, figures.vegetation_iou, figures.wire_f1)
        cells = ["-" if value is None else f"{100 * value:.2f}" for value in percents]
        cells += ["-" if value is None else f"{value:.3f}" for value in shares]
        lines.append(f"| {tile} | {method} | {' | '.join(cells)} | {seconds:.1f} |")
    return "\n".join(lines)


def methods(names: list[str], model: Path | None) -> dict[str, Method]:
    """Those that can run here; the others are named on stderr."""
    found: dict[str, Method] = dict.fromkeys(())
    makers = {name: (lambda method=method: method) for name, method in GROUND_FILTERS.items()} | MAKERS
    if model is not None:
        makers["hive"] = lambda: installed_model(model)
        names = [*names, "hive"]
    for name in names:
        try:
            found[name] = makers[name]()
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tiles", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, help="artifact folder of an installed gis-lidar")
    parser.add_argument("--methods", default=",".join([*GROUND_FILTERS, *MAKERS]))
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    rows: list[tuple[str, str, Score, float]] = []
    running = methods([name for name in arguments.methods.split(",") if name], arguments.model)
    for path in arguments.tiles:
        xyz, number, count, truth = read_tile(path)
        for name, method in list(running.items()):
            begin = time.perf_counter()
            try:
                predicted = method(xyz, number, count)
            except ImportError as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
                del running[name]
                continue
            seconds = time.perf_counter() - begin
            rows.append((path.stem, name, score(predicted, truth, name in GROUND_FILTERS), seconds))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
            if arguments.output:
                arguments.output.write_text(table(rows) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY / "training-runner"))
    main()
