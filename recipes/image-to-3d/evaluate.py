"""The figures: decoding chosen on validation objects, then everything measured on objects held out by name or family.

All shapes are compared in the camera's frame, in units of the true object's longest side. Sideways the picture says
where a shape is; along the optical axis every shape, the true one too, has the mean of its visible front at 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hive_recipe_shape_corpus.corpus import Corpus, Item
from hive_recipe_shape_corpus.measure import Likeness, compare, compare_points, iou, sample_points
from hive_recipe_shape_corpus.mesh import F32, Mesh
from hive_recipe_shape_corpus.render import render
from numpy.typing import NDArray

from .baselines import FOV_DEG, Entry, entries, inflated, retrieved
from .colour import turned_to_back
from .data import View, generator, look, opened
from .decode import Decoding, Field, calibrated, placed, surface
from .frustum import PITCH, SIZE_PX, Frustum
from .model import ShapeNet
from .reconstruct import Reconstruction, Sight, decoded, promised_iou, see, shaped
from .simplify import watertight

if TYPE_CHECKING:
    from hive_runner.run import Run

SCALES, LOWS, HIGHS = (0.7, 0.85, 1.0, 1.15, 1.3, 1.5), (0.05, 0.15, 0.3), (0.45, 0.6, 0.8, 0.95)
INSETS = (0.0, 0.15, 0.3)  # more would thin legs enough for the outline to suffer
BULGES = (0.3, 0.5, 0.7, 1.0, 1.4)
GUESSES = (0.0, 0.25, 0.5, 0.75, 1.0)
POINTS = 20_000
SHIFTS = np.linspace(-0.3, 0.3, 25, dtype=np.float32)  # tried along the optical axis, longest sides
VALIDATION, HELD_OUT = 10, 11  # streams of random numbers
CHUNK = 50
SETS = ("furniture", "families")  # names never seen, and families of the grammar never seen


@dataclass(frozen=True)
class Judged:
    """One held-out view and how the methods did on it."""

    item: Item
    view: View
    made: Reconstruction
    scores: dict[str, dict[str, float]]  # by method


def held_out(folder: Path, split: str, kind: str, most: int) -> list[Item]:
    """At most so many objects, spread over the list of all."""
    items = [item for item in opened(folder).items if item.split == split and item.kind == kind]
    return items if len(items) <= most else [items[int(k)] for k in np.linspace(0, len(items) - 1, most)]


def choose(run: Run, folder: Path, net: ShapeNet) -> tuple[Decoding, float, float]:
    """The decoding, the balloon's bulge, and the confidence that 19 of 20 validation views exceed."""
    most = run.params.validation_objects
    items = [item for kind in ("furniture", "grammar") for item in held_out(folder, "validation", kind, most // 2)]
    if not items:  # a corpus of very few objects
        items = list(opened(folder).items[:2])
    run.phase("choose the decoding", total=2 * len(items))
    settings = [Decoding(*each) for each in itertools.product(SCALES, LOWS, HIGHS)]
    totals, bulges, guesses, sights = np.zeros(len(settings)), np.zeros(len(BULGES)), np.zeros(len(GUESSES)), []
    for done, item in enumerate(items, start=1):
        view = look(opened(folder), item, generator(run.seed, VALIDATION, item.index))
        sight = see(net, view.rgba)
        sights.append((sight, view))
        totals += [agreement(calibrated(sight.logits, view.wanted, each), view) for each in settings]
        bulges += [agreement(inflated(view.rgba, bulge).cells, view) for bulge in BULGES]
        plain = turned_to_back(view.rgba)
        guesses += [_colour_error(g * sight.behind + (1 - g) * plain, view) for g in GUESSES]
        run.progress(done)
    best = replace(settings[int(totals.argmax())], guess=GUESSES[int(guesses.argmin())])
    bulge = BULGES[int(bulges.argmax())]
    best = _with_inset(run, folder, items, sights, best)
    overlaps = [_promise_and_truth(sight, view, best) for sight, view in sights]
    best = replace(best, promise=kept(overlaps))
    sure = [best.confidence(promised) for promised, _ in overlaps]
    run.log(f"{best}, balloon of {bulge}")
    return best, bulge, round(float(np.quantile(sure, 0.05)), 3)


def _promise_and_truth(sight: Sight, view: View, decoding: Decoding) -> tuple[float, float]:
    """The overlap along the rays that the network promises, and that there is."""
    cells = calibrated(sight.logits, view.wanted, decoding)
    return promised_iou(sight.logits, cells, view.wanted), iou(cells[view.wanted] > 0, view.occupancy[view.wanted])


def kept(overlaps: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Offset and slope of the line from overlaps promised to overlaps found, by least squares; it never falls."""
    promised, found = np.array(overlaps).T
    off = promised - promised.mean()
    slope = max(0.0, float(off @ found) / max(float(off @ off), 1e-9))
    return round(float(found.mean() - slope * promised.mean()), 3), round(slope, 3)


def _with_inset(
    run: Run, folder: Path, items: Sequence[Item], sights: Sequence[tuple[Sight, View]], decoding: Decoding
) -> Decoding:
    """The decoding with the inset whose shapes are most like the truth: overlap and F-scores at 2 and 5 % summed."""
    choices = [replace(decoding, inset=inset) for inset in INSETS]
    totals = np.zeros(len(choices))
    for done, (item, (sight, view)) in enumerate(zip(items, sights, strict=True), start=1):
        truth = Truth(opened(folder).mesh(item), opened(folder).solid(item), view.frustum)
        for number, choice in enumerate(choices):
            field, frustum = shaped(sight.logits, view.rgba, choice, sight.elevation_deg, sight.fov_deg)
            scores = truth.score(of_field(field, frustum, surface(field, frustum)))
            totals[number] += scores["iou"] + scores["f2"] + scores["f5"]
        run.progress(len(items) + done)
    means = ", ".join(f"{each:.4f}" for each in totals / (3 * len(items)))
    run.log(f"mean of overlap, F2 and F5 with insets of {INSETS}: {means}")
    return choices[int(totals.argmax())]


def _colour_error(behind: F32, view: View) -> float:
    return float(np.abs(behind - view.behind / np.float32(255))[view.wanted].mean())


def agreement(cells: F32, view: View) -> float:
    """Overlap with the truth along the rays, and the share of fronts and backs within 5 % of the longest side."""
    inside, truth = cells[view.wanted] > 0, view.occupancy[view.wanted]
    both = inside.any(1) & truth.any(1)
    near = 0.05 / view.frustum.unit / PITCH  # bins
    hits = 0.0
    for turned in (slice(None), slice(None, None, -1)):
        off = np.abs(inside[both][:, turned].argmax(1) - truth[both][:, turned].argmax(1))
        hits += float((off <= near).sum())
    return iou(inside, truth) + hits / max(2 * len(inside), 1)


@dataclass(frozen=True)
class Candidate:
    """A shape in camera space of the view's frustum, half widths."""

    mesh: Mesh
    inside: Callable[[F32], NDArray[np.bool_]]  # of points (n, 3) there


def of_field(field: Field, frustum: Frustum, mesh: Mesh) -> Candidate:
    return Candidate(replace(mesh, vertices=frustum.from_object(mesh.vertices)), lambda points: field.at(points) > 0)


def of_entry(folder: Path, known: Entry) -> Candidate:
    mesh, solid = opened(folder).mesh(known.item), opened(folder).solid(known.item)
    seen = replace(mesh, vertices=known.frustum.from_object(mesh.vertices))
    return Candidate(seen, lambda points: in_solid(solid, known.frustum.to_object(points)))


def in_solid(solid: NDArray[np.bool_], points: F32) -> NDArray[np.bool_]:
    n = len(solid)
    at = np.floor((points + 0.5) * n).astype(int)
    within = ((at >= 0) & (at < n)).all(1)
    i, j, k = np.clip(at, 0, n - 1).T
    return np.asarray(solid[i, j, k] & within)


class Truth:
    """A view's object, ready to be compared with."""

    def __init__(self, mesh: Mesh, solid: NDArray[np.bool_], frustum: Frustum) -> None:
        self.frustum = frustum
        unit = np.float32(frustum.unit)
        seen = replace(mesh, vertices=frustum.from_object(mesh.vertices) * unit)
        self.points, self.normals = sample_points(seen, POINTS, generator(0))
        middle = ((np.arange(64) + 0.5) / 64 - 0.5).astype(np.float32)
        grid = np.stack([axis.ravel() for axis in np.meshgrid(middle, middle, middle, indexing="ij")], 1)
        self.grid = frustum.from_object(grid)
        self.solid = in_solid(solid, grid)

    def score(self, shape: Candidate) -> dict[str, float]:
        unit = np.float32(self.frustum.unit)
        scaled = replace(shape.mesh, vertices=shape.mesh.vertices * unit)
        points, normals = sample_points(scaled, POINTS, generator(1))
        raw = compare_points(points, normals, self.points, self.normals)
        shift = self._shift(points)
        aligned = compare_points(points + shift, normals, self.points, self.normals)
        return {
            "iou": iou(shape.inside(self.grid), self.solid), **vars(raw),
            "f5_aligned": aligned.f5, "chamfer_aligned": aligned.chamfer,
        }  # fmt: skip

    def _shift(self, points: F32) -> F32:
        """The move along the optical axis that brings the points nearest."""
        some, true = points[::10], self.points[::10]
        blank = np.zeros_like(some)
        moves = [np.array([0, 0, shift], np.float32) for shift in SHIFTS]
        far = [compare_points(some + move, blank, true, blank).chamfer for move in moves]
        return moves[int(np.argmin(far))]


def delivered(made: Reconstruction, mesh: Mesh, azimuth_deg: float) -> Likeness:
    """The mesh as a user gets it, upright and normalised, against the object turned to the viewer and normalised."""
    a = np.radians(azimuth_deg)
    turn = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]], np.float32)
    return compare(made.mesh.normalised(), replace(mesh, vertices=mesh.vertices @ turn.T).normalised(), POINTS)


def outline_kept(made: Reconstruction) -> float:
    """IoU of the picture's outline with that of the mesh seen by the camera that is reported with it."""
    again = render(made.mesh, made.camera, SIZE_PX)
    return iou(again.rgba[..., 3] > 127, made.rgba[..., 3] > 127)


def judge_view(
    seed: int, folder: Path, net: ShapeNet, decoding: Decoding, bulge: float, gallery: list[Entry], item: Item
) -> Judged:
    corpus = opened(folder)
    view = look(corpus, item, generator(seed, HELD_OUT, item.index), faults=False)
    made, scores = scores_of(corpus, folder, net, decoding, bulge, gallery, view, item)
    return Judged(item, view, made, scores)


def scores_of(
    corpus: Corpus, folder: Path, net: ShapeNet, decoding: Decoding, bulge: float, gallery: list[Entry], view: View,
    item: Item | None = None,
) -> tuple[Reconstruction, dict[str, dict[str, float]]]:  # fmt: skip
    """How the three methods do on a view of an item of `corpus`. folder: of the corpus that the gallery is from."""
    mesh, solid = corpus.mesh(item), corpus.solid(item)
    made = decoded(see(net, view.rgba), view.rgba, decoding)
    truth = Truth(mesh, solid, view.frustum)
    balloon = inflated(view.rgba, bulge)
    upright = placed(balloon, view.wanted, 0.0, FOV_DEG)
    scores = {
        "network": truth.score(of_field(made.frustum_field, made.frustum, made.mesh)),
        "inflation": truth.score(of_field(balloon, upright, surface(balloon, upright))),
        "retrieval": truth.score(of_entry(folder, retrieved(gallery, view.rgba))),
    }
    file = delivered(made, mesh, view.frustum.camera.azimuth_deg)
    scores["network"] |= {
        "f5_file": file.f5, "chamfer_file": file.chamfer, "outline_iou": outline_kept(made),
        "watertight": float(watertight(made.mesh)), "confidence": made.confidence,
        "elevation_error": abs(made.elevation_deg - view.frustum.camera.elevation_deg),
    }  # fmt: skip
    return made, scores


def judge(run: Run, folder: Path, net: ShapeNet, decoding: Decoding, bulge: float) -> list[Judged]:
    """Measure and report every figure of the card."""
    params = run.params
    items = [*held_out(folder, "test", "furniture", params.held_out_furniture),
             *held_out(folder, "test", "grammar", params.held_out_grammar)]  # fmt: skip
    with ProcessPoolExecutor(run.cpus, mp_context=get_context("fork"), initializer=_one_thread) as pool:
        run.phase("render a gallery", total=params.gallery_views)
        ranges = [range(k, min(k + CHUNK, params.gallery_views)) for k in range(0, params.gallery_views, CHUNK)]
        gallery: list[Entry] = []
        for part in pool.map(partial(entries, run.seed, folder), ranges):
            gallery += part
            run.progress(len(gallery))
        run.phase("evaluate", total=len(items))
        judged: list[Judged] = []
        one = partial(judge_view, run.seed, folder, net, decoding, bulge, gallery)
        for each in pool.map(one, items):
            judged.append(each)
            run.progress(len(judged))
    for name, kind in zip(SETS, ("furniture", "grammar"), strict=True):
        if some := [each for each in judged if each.item.kind == kind]:
            report(run, name, some)
    report_all(run, judged)
    return judged


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def report(run: Run, name: str, judged: Sequence[Judged]) -> None:
    """Figures of one set, beside those of the baselines. Spread: standard error over objects."""
    prefix = "" if name == "furniture" else f"{name}_"
    dataset = {"furniture": "furniture of names held out", "families": "families of the grammar held out"}[name]
    for metric in ("iou", "f1", "f2", "f5", "chamfer", "normal_consistency", "f5_aligned", "chamfer_aligned"):
        run.report(
            f"{prefix}{metric}", **_mean(judged, metric), dataset=dataset,
            better="lower" if "chamfer" in metric else "higher",
            baselines={other: _mean(judged, metric, other)["value"] for other in ("inflation", "retrieval")},
        )  # fmt: skip
    for metric, better in (("f5_file", "higher"), ("chamfer_file", "lower")):
        run.report(f"{prefix}{metric}", **_mean(judged, metric), dataset=dataset, better=better)
    for other in ("inflation", "retrieval"):
        won = [each.scores["network"]["chamfer"] < each.scores[other]["chamfer"] for each in judged]
        run.report(f"{prefix}better_than_{other}", float(np.mean(won)), dataset=dataset)


def report_all(run: Run, judged: Sequence[Judged]) -> None:
    """What is asked of every view alike."""
    dataset = "all held out"
    for metric in ("outline_iou", "watertight"):
        run.report(metric, **_mean(judged, metric), dataset=dataset)
    run.report("empty", float(np.mean([not len(each.made.mesh.faces) for each in judged])), "lower", dataset=dataset)
    run.report("elevation_error", **_mean(judged, "elevation_error"), better="lower", unit="deg", dataset=dataset)
    sure = [each.scores["network"]["confidence"] for each in judged]
    right = [each.scores["network"]["iou"] for each in judged]
    error = np.abs(np.subtract(sure, right))
    run.report("confidence_error", float(error.mean()), better="lower", dataset=dataset)
    if len(judged) > 4:
        run.report("confidence_correlation", float(np.corrcoef(sure, right)[0, 1]), dataset=dataset)


def _mean(judged: Sequence[Judged], metric: str, method: str = "network") -> dict[str, float]:
    values = np.array([each.scores[method][metric] for each in judged])
    return {"value": float(values.mean()), "spread": float(values.std() / np.sqrt(len(values)))}
