"""gis-buildings beside what a user would otherwise do, on classified lidar tiles: its height mode has to find in the
bare heights what the tile calls building.

    python benchmarks/buildings_baselines.py TILE.laz ... --model ARTIFACT [--classified FOLDER] [-o table.md]

The truth is the share of a cell's points that are of class 6. A tile that has none is left out. Each method gets the
highest point of each cell of 0.5 m and nothing else. The random forest learns from simulated places, as the model did.
FOLDER holds the same tiles, under the same names, as gis-lidar has classified them: then what gis-buildings makes of
those classes is scored as well.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
from hive_runner.export import load_weights
from hive_runner.recipe_module import load
from numpy.typing import NDArray
from scipy import ndimage

REPOSITORY = Path(__file__).resolve().parents[1]
FOREST_PLACES = 10
FOREST_CELLS = 6_000  # drawn from each
Method = Callable[[NDArray[np.float32]], NDArray[np.bool_]]


def recipe(name: str) -> ModuleType:
    return load("gis-buildings", REPOSITORY / "recipes" / "gis-buildings", name)


def forest() -> Method:
    """A random forest on the same channels and their means over 2.5 and 7.5 m: a tree does not look around."""
    from sklearn.ensemble import RandomForestClassifier

    evaluate, features, place = recipe("evaluate"), recipe("features"), recipe("place")

    def described(heights: NDArray[np.float32]) -> NDArray[np.float32]:
        channels = features.describe(heights)
        wider = [ndimage.uniform_filter(channels, (0, width, width)) for width in (5, 15)]
        return np.concatenate([channels, *wider]).reshape(3 * len(channels), -1).T

    rng = np.random.default_rng(0)
    seen, known = [], []
    for index in range(FOREST_PLACES):
        heights, truth = evaluate.scored(index, 1, place.TRAIN)
        chosen = rng.choice(np.flatnonzero(truth.ravel() >= 0), FOREST_CELLS, replace=False)
        seen.append(described(heights)[chosen])
        known.append(truth.ravel()[chosen])
    trees = RandomForestClassifier(40, min_samples_leaf=5, max_features=0.3, random_state=0, n_jobs=1)
    trees.fit(np.concatenate(seen), np.concatenate(known))
    return lambda heights: ndimage.binary_opening(
        trees.predict_proba(described(heights))[:, 1].reshape(heights.shape) > 0.5, np.ones((3, 3))
    )


def network(artifact: Path) -> Method:
    classify, polygons = recipe("classify"), recipe("polygons")
    tensors, config = load_weights(artifact)
    own = {name.removeprefix("heights."): each for name, each in tensors.items() if name.startswith("heights.")}
    classifier = classify.Classifier(own, float(config["threshold"]))
    return lambda heights: polygons.mask_of(classifier.probability(heights), classifier.threshold)


def by_class(classified: Path) -> Method:
    """What the recipe does with a tile whose buildings are classified."""
    points, polygons = recipe("points"), recipe("polygons")
    share = points.Tile(classified, "auto").share

    def found(heights: NDArray[np.float32]) -> NDArray[np.bool_]:
        rim = [(0, length - known) for length, known in zip(heights.shape, share.shape, strict=True)]
        mask: NDArray[np.bool_] = np.pad(polygons.mask_of(share, 0.5), rim)
        return mask

    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tiles", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, help="folder of a trained artifact")
    parser.add_argument("--classified", type=Path, help="folder of the tiles as gis-lidar has classified them")
    parser.add_argument("-o", "--output", type=Path)
    given = parser.parse_args()
    evaluate, points = recipe("evaluate"), recipe("points")
    methods: dict[str, Method] = {"height threshold": evaluate.higher_than}
    try:
        methods["random forest"] = forest()
    except ImportError:
        print("random forest: left out, scikit-learn is not installed", file=sys.stderr)
    if given.model:
        methods["gis-buildings"] = network(given.model)
    lines = ["| tile | method | IoU | block F1 | s | megapixels/s |", "|---|---|---|---|---|---|"]
    pooled: dict[str, NDArray[np.int64]] = defaultdict(lambda: np.zeros(3, np.int64))
    for path in given.tiles:
        tile = points.Tile(path, "auto")
        if not tile.is_classified:
            print(f"{path.name}: left out, it calls nothing a building", file=sys.stderr)
            continue
        rows, columns = (-(-length // 4) * 4 for length in tile.top.shape)
        rim = ((0, rows - tile.top.shape[0]), (0, columns - tile.top.shape[1]))
        heights = np.pad(tile.top, rim, constant_values=np.nan)
        truth = np.pad((tile.share > 0.5).astype(np.int8), rim, constant_values=-1)
        classes = {"classes of gis-lidar": by_class(given.classified / path.name)} if given.classified else {}
        for name, method in (methods | classes).items():
            method(heights)  # the first call loads and compiles
            begin = time.perf_counter()
            found = method(heights)
            wall_s = time.perf_counter() - begin
            total = evaluate.counts(truth, found, rim=0)
            pooled[name] += total
            f1 = evaluate.f1(evaluate.matched(truth, found))
            speed = heights.size / 1e6 / wall_s
            lines.append(
                f"| {path.stem} | {name} | {evaluate.iou(total):.2f} | {f1:.2f} | {wall_s:.2f} | {speed:.2f} |"
            )
    lines += [f"| all, pooled | {name} | {evaluate.iou(total):.2f} | | | |" for name, total in pooled.items()]
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if given.output:
        given.output.write_text(text)


if __name__ == "__main__":
    main()
