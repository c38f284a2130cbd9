"""Score a classified point cloud against the same cloud classified by its producer.

    python benchmarks/lidar_score.py PREDICTED TRUTH

Both files hold the same points in the same order. Prints ground total error, building IoU, vegetation IoU and wire F1.

Producers differ in what they call 1. Where the truth has vegetation (3-5), as in IGN LiDAR HD, 1 is "not decided" and
not scored; where it has none, as in AHN, 1 is everything that is no ground, building or water, so it counts as not
ground and not building, and vegetation is not scored. Noise (7, 18), never classified (0), water and national classes
(19 up) are not scored: what a ground filter should do there is a matter of taste.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

VEGETATION = (3, 4, 5)
NOT_SCORED = (0, 7, 9, 12, 18)
FIRST_NATIONAL = 19


@dataclass(frozen=True)
class Score:
    """Shares, 0 to 1; None where the truth has no such class."""

    ground_error: float | None  # (ground missed + other called ground) / points scored
    ground_missed: float | None  # share of the truth's ground
    ground_wrong: float | None  # share of the truth's other points
    building_iou: float | None
    vegetation_iou: float | None
    wire_f1: float | None
    water_recall: float | None
    points: int  # scored


def score(predicted: NDArray[np.uint8], truth: NDArray[np.uint8], ground_only: bool = False) -> Score:
    """Compare (N,) ASPRS classes. `ground_only`: the method knows no other class, so nothing else is scored."""
    has_vegetation = bool(np.isin(truth, VEGETATION).any())
    scored = ~np.isin(truth, NOT_SCORED) & (truth < FIRST_NATIONAL)
    if has_vegetation:
        scored &= truth != 1
    water = truth == 9
    water_recall = float((predicted[water] == 9).mean()) if water.sum() > 500 and not ground_only else None
    predicted, truth = predicted[scored], truth[scored]
    ground, said_ground = truth == 2, predicted == 2
    return Score(
        ground_error=_mean(ground != said_ground),
        ground_missed=_mean(~said_ground[ground]),
        ground_wrong=_mean(said_ground[~ground]),
        building_iou=None if ground_only else _iou(predicted == 6, truth == 6),
        vegetation_iou=None if ground_only else _iou(np.isin(predicted, VEGETATION), np.isin(truth, VEGETATION)),
        wire_f1=None if ground_only else _f1(predicted == 14, truth == 14),
        water_recall=water_recall,
        points=len(truth),
    )


def _mean(values: NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None


def _iou(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> float | None:
    return float((said & true).sum() / (said | true).sum()) if true.any() else None


def _f1(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> float | None:
    return float(2 * (said & true).sum() / (said.sum() + true.sum())) if true.any() else None


def main() -> None:
    import laspy

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("predicted")
    parser.add_argument("truth")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    files = [laspy.read(path) for path in (arguments.predicted, arguments.truth)]
    if len(files[0].points) != len(files[1].points) or not np.array_equal(files[0].X[:1000], files[1].X[:1000]):
        parser.error("the files do not hold the same points in the same order")
    result = asdict(score(*(np.asarray(file.classification) for file in files)))
    if arguments.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:16s}", "-" if value is None else f"{value:,}" if name == "points" else f"{value:.4f}")


if __name__ == "__main__":
    main()
