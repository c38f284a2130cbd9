"""What is chosen on simulated scenes that are neither trained on nor measured on: which classes are favoured.

Where one point in a thousand is a tower, a tree that looks like one is a tree most of the time; by probability alone
hardly a point would be called a tower. A share of true points that is worth finding (IoU) asks for more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .classify import Classifier
from .data import CLASSES, CODE_TO_CLASS, IGNORE, NAMES
from .scan import simulate
from .scores import confusion, intersection_over_union

if TYPE_CHECKING:
    from hive_runner.run import Run

VALIDATION_SEED = 0x7A11  # apart from every training seed by the size of its second word
RARE = tuple(NAMES.index(name) for name in ("wire", "tower", "bridge"))  # one point in a hundred or fewer
FAVOURS = tuple(0.5 * step for step in range(11))  # added to the log of a probability: e^5 is 148 times
LEAST_GAIN = 0.002  # of the mean IoU: below it nothing is favoured


def choose_favour(run: Run, tensors: Mapping[str, Tensor], config: Mapping[str, Any], scenes: int) -> list[float]:
    """What is added to the log of each class's probability: of the rare classes, what makes the mean IoU largest."""
    run.phase("choose what to favour", total=scenes)
    classifier = Classifier(tensors, config, run.threads)
    truths, logs = [], []
    for index in range(scenes):
        cloud = simulate(VALIDATION_SEED + (run.seed << 32), index)
        known = CODE_TO_CLASS[cloud.classification] != IGNORE
        probability, _ = classifier.probabilities(
            cloud.xyz, cloud.return_number, cloud.number_of_returns, np.flatnonzero(known)
        )
        truths.append(CODE_TO_CLASS[cloud.classification[known]])
        logs.append(np.log(probability + 1e-9))
        run.progress(index + 1)
    favour = favour_of(np.concatenate(truths), np.concatenate(logs))
    run.log(f"favoured: { ({NAMES[each]: favour[each] for each in RARE}) }")
    return favour


def favour_of(truth: NDArray[np.int64], logs: NDArray[np.float32]) -> list[float]:
    """truth: (N,) classes; logs: (N, classes) of probabilities. One class after the other, from none."""
    favour = np.zeros(len(CLASSES), np.float32)
    for each in RARE:
        unit = np.eye(len(CLASSES), dtype=np.float32)[each]
        scores = [_mean_iou(truth, logs + (favour + tried * unit)) for tried in FAVOURS]
        if max(scores) > scores[0] + LEAST_GAIN:
            favour[each] = FAVOURS[int(np.argmax(scores))]
    return favour.tolist()


def _mean_iou(truth: NDArray[np.int64], logs: NDArray[np.float32]) -> float:
    counts = confusion(truth, logs.argmax(axis=1))
    return float(intersection_over_union(counts)[counts.sum(1) > 0].mean())
