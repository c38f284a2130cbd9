"""A bias for each rare class, chosen on simulated validation scenes and never on what is reported.

The network learns the classes' true frequencies, and under doubt it answers with the frequent one. That is right for
the total error, but a rare class is judged by its intersection over union, for which a little less certainty will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .classify import Classifier
from .data import CLASSES, CODE_TO_CLASS, NAMES
from .scan import simulate

if TYPE_CHECKING:
    from hive_runner.run import Run

VALIDATION_SEED = 0x7A11  # apart from training and held-out seeds
POINTS_PER_SCENE = 30_000
RARE = ("water", "wire", "tower", "bridge", "noise", "other")
STEPS = np.arange(-1.0, 2.01, 0.25)  # biases tried, in logits
GROUND_WEIGHT = 6.0  # what a point of ground error costs against a point of mean IoU


def choose_biases(run: Run, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> list[float]:
    """One bias a class, 0 for ground, vegetation and buildings: the best of a coordinate search, twice around."""
    scenes = run.params.validation_scenes
    run.phase("calibrate", total=scenes)
    classifier = Classifier(tensors, config, run.threads)
    logits, truths = [], []
    for index in range(scenes):
        cloud = simulate(VALIDATION_SEED + (run.seed << 32), index)
        count = len(cloud.xyz)
        wanted = np.sort(run.rng(VALIDATION_SEED, index).permutation(count)[:POINTS_PER_SCENE])
        probability, _ = classifier.probabilities(
            cloud.xyz, cloud.return_number, cloud.number_of_returns, wanted
        )  # fmt: skip
        logits.append(np.log(np.maximum(probability, 1e-9)))
        truths.append(CODE_TO_CLASS[cloud.classification[wanted]])
        run.progress(index + 1)
    logit, truth = np.concatenate(logits), np.concatenate(truths)
    bias = np.zeros(len(CLASSES))
    for _ in range(2):
        for name in RARE:
            k = NAMES.index(name)
            if (truth == k).sum() < 20:
                continue
            scores = []
            for step in STEPS:
                tried = bias.copy()
                tried[k] = step
                scores.append(_worth(logit, truth, tried) - 0.002 * abs(step))
            bias[k] = STEPS[int(np.argmax(scores))]
    return [float(value) for value in bias]


def _worth(logit: NDArray[np.float32], truth: NDArray[np.int64], bias: NDArray[np.float64]) -> float:
    """Mean IoU of the classes present, less the weighted ground error."""
    guess = (logit + bias.astype(np.float32)).argmax(axis=1)
    n = len(CLASSES)
    counts = np.bincount(truth * n + guess, minlength=n * n).reshape(n, n)
    union = counts.sum(0) + counts.sum(1) - np.diag(counts)
    present = counts.sum(1) > 0
    iou = np.diag(counts)[present] / np.maximum(union[present], 1)
    return float(iou.mean() - GROUND_WEIGHT * np.mean((truth == 0) != (guess == 0)))
