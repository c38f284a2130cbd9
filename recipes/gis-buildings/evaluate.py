"""Held-out figures: places of other generator parameters, beside what a user would otherwise do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from .classify import Classifier
from .features import COARSE, opened
from .picture import FOUND, TRUE, draw, relief, write_png
from .place import CELL_M, F32, SHIFTED, TRAIN, Bool, Domain, draw_place
from .polygons import MINIMUM_AREA_M2, contours, large_parts, mask_of, outlined, polis
from .sensor import filled, observe

if TYPE_CHECKING:
    from hive_runner.run import Run

HELD_OUT_SEED = 0xB1D6  # apart from every training seed by the size of its second word
VALIDATION_SEED = 0xB1D7
PLACE_M = 256.0
SHOWN = 6  # places in the figure of the artifact
RIM = 32  # cells at the rim that are not scored: their buildings are cut
LEAST_HEIGHT_M = 2.5  # of the threshold baseline
THRESHOLDS = np.arange(0.2, 0.81, 0.05)


def higher_than(heights: F32) -> Bool:
    """The baseline: higher than 2.5 m over an opening 40 m wide, opened by 2.5 m, at least 10 m2."""
    whole = filled(heights)
    rows, columns = whole.shape
    coarse = whole.reshape(rows // COARSE, COARSE, columns // COARSE, COARSE).min((1, 3))
    high = ndimage.binary_opening(whole - opened(coarse, 40.0, whole.shape) > LEAST_HEIGHT_M, np.ones((5, 5)))
    return large_parts(high)


def scored(index: int, seed: int, domain: Domain) -> tuple[F32, NDArray[np.int8]]:
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    return observe(rng, draw_place(rng, PLACE_M, domain), domain)


def counts(truth: NDArray[np.int8], guess: Bool, rim: int = RIM) -> NDArray[np.int64]:
    """True positives, false positives, false negatives, away from the rim and where the truth is known."""
    inner = (slice(rim, -rim or None), slice(rim, -rim or None))
    truth, guess = truth[inner], guess[inner]
    known = truth >= 0
    return np.array([np.sum(known & guess & (truth == 1)), np.sum(known & guess & (truth == 0)),
                     np.sum(known & ~guess & (truth == 1))])  # fmt: skip


def iou(total: NDArray[np.int64]) -> float:
    return float(total[0] / max(total.sum(), 1))


def matched(truth: NDArray[np.int8], guess: Bool) -> NDArray[np.int64]:
    """True positives, false positives, false negatives of whole blocks: joined buildings that overlap by half (IoU).

    Blocks smaller than the least that is outlined, or of which no more is known, do not count.
    """
    known = truth >= 0
    real, real_count = ndimage.label(truth == 1)
    found, found_count = ndimage.label(guess & known)
    pairs = (real.astype(np.int64) * (found_count + 1) + found).ravel()
    overlap = np.bincount(pairs, minlength=(real_count + 1) * (found_count + 1)).reshape(real_count + 1, -1)
    union = overlap.sum(1)[:, None] + overlap.sum(0)[None] - overlap
    hit = (overlap / np.maximum(union, 1))[1:, 1:] >= 0.5  # above a half, one block has one partner at most
    of_real, of_found = (overlap.sum(axis)[1:] * CELL_M**2 >= MINIMUM_AREA_M2 for axis in (1, 0))
    hits = hit[of_real].sum()
    return np.array([hits, (of_found & ~hit.any(0)).sum(), of_real.sum() - hits])


def choose_threshold(run: Run, classifier: Classifier) -> float:
    """The probability above which the pooled IoU is best, on places of the training's own kind that it has not seen."""
    totals = np.zeros((len(THRESHOLDS), 3), np.int64)
    for index in range(run.params.validation_places):
        heights, truth = scored(index, VALIDATION_SEED + (run.seed << 32), TRAIN)
        probability = classifier.probability(heights)
        totals += [counts(truth, probability > threshold) for threshold in THRESHOLDS]
        run.progress(index + 1)
    return round(float(THRESHOLDS[np.argmax([iou(total) for total in totals])]), 2)


def evaluate(run: Run, classifier: Classifier) -> None:
    """Figures on simulated places of other generator parameters."""
    places = run.params.held_out_places
    run.phase("evaluate", total=places)
    of_model, of_threshold, blocks, blocks_threshold = [], [], [], []
    corners: list[float] = []
    shown: list[F32] = []
    for index in range(places):
        heights, truth = scored(index, HELD_OUT_SEED + (run.seed << 32), SHIFTED)
        probability = classifier.probability(heights)
        guess, simple = mask_of(probability, classifier.threshold), higher_than(heights)
        of_model.append(counts(truth, guess))
        of_threshold.append(counts(truth, simple))
        blocks.append(matched(truth, guess))
        blocks_threshold.append(matched(truth, simple))
        corners += corners_off_m(truth, probability, classifier.threshold)
        if index < SHOWN:
            shown.append(_shown(heights, truth, outlined(probability, classifier.threshold)))
        run.progress(index + 1)
    dataset = f"{places} simulated height models of other generator parameters"
    each = [iou(total) for total in of_model if total[[0, 2]].sum() > 400]
    run.report(
        "iou", iou(np.sum(of_model, axis=0)), dataset=dataset, spread=float(np.std(each)),
        baselines={"height threshold": iou(np.sum(of_threshold, axis=0))},
    )  # fmt: skip
    run.report(
        "block_f1", f1(np.sum(blocks, axis=0)), dataset=dataset,
        baselines={"height threshold": f1(np.sum(blocks_threshold, axis=0))},
    )  # fmt: skip
    (run.out / "figures").mkdir()
    halves = (
        [np.concatenate(shown[:3], axis=2), np.concatenate(shown[3:], axis=2)] if len(shown) == SHOWN else shown[:1]
    )
    write_png(run.out / "figures" / "held-out-places.png", np.concatenate(halves, axis=1))
    if corners:
        run.report("polis", float(np.mean(corners)), "lower", "m", dataset, spread=float(np.std(corners)))


def _shown(heights: F32, truth: NDArray[np.int8], found: list[shapely.Polygon]) -> F32:
    """Relief with the true outlines in blue and those found in red."""
    picture = relief(heights)
    draw(picture, contours(np.pad((truth == 1).astype(np.float32), 1), 0.5, -1, -1), TRUE)
    draw(picture, found, FOUND)
    return picture


def corners_off_m(truth: NDArray[np.int8], probability: F32, threshold: float) -> list[float]:
    """PoLiS of each outline with the block that it overlaps by half (IoU), metres; of blocks all of which is known."""
    real = outlined((truth == 1).astype(np.float32), 0.5, simplify_m=CELL_M)
    unknown = truth < 0
    tree, off = shapely.STRtree(real), []
    for outline in outlined(probability, threshold):
        for number in tree.query(outline, predicate="intersects"):
            block = real[number]
            left, top, right, bottom = (int(edge) for edge in block.bounds)
            if unknown[top : bottom + 1, left : right + 1].any() or block.interiors:
                continue
            if outline.intersection(block).area >= 0.5 * outline.union(block).area:
                off.append(polis(outline, block) * CELL_M)
    return off


def evaluate_squares(run: Run, prefix: str, classifier: Classifier, squares: tuple[Path, ...]) -> None:
    """Figures on the user's held-out squares, if there are any."""
    run.phase(f"evaluate on labelled {'images' if classifier.image_bands else 'height models'}", total=len(squares))
    of_model, of_simple, blocks = [], [], []
    for number, path in enumerate(squares):
        with np.load(path) as square:
            seen, truth = square["seen"], square["truth"]
        guess = mask_of(classifier.probability(seen), classifier.threshold)
        of_model.append(counts(truth, guess, rim=0))
        of_simple.append(counts(truth, not_green(seen) if classifier.image_bands else higher_than(seen), rim=0))
        blocks.append(matched(truth, guess))
        run.progress(number + 1)
    dataset = f"{len(squares)} held-out squares of the labelled places"
    simple = "excess green" if classifier.image_bands else "height threshold"
    run.report(
        f"{prefix}iou", iou(np.sum(of_model, axis=0)), dataset=dataset,
        baselines={simple: iou(np.sum(of_simple, axis=0))},
    )  # fmt: skip
    run.report(f"{prefix}block_f1", f1(np.sum(blocks, axis=0)), dataset=dataset)


def not_green(bands: F32) -> Bool:
    """The baseline for images: what is bright and no plant, opened and closed by 2.5 m."""
    red, green, blue = np.nan_to_num(bands[:3], nan=-1.0)
    mask = (2 * green - red - blue < 0.1) & ((red + green + blue) / 3 > 0.0)
    mask = ndimage.binary_closing(ndimage.binary_opening(mask, np.ones((5, 5))), np.ones((5, 5)))
    found: Bool = mask
    return found


def f1(total: NDArray[np.int64]) -> float:
    return float(2 * total[0] / max(2 * total[0] + total[1] + total[2], 1))
