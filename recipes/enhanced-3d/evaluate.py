"""Thresholds chosen on validation objects, and figures on held-out ones, beside what a user would do otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hive_recipe_shape_corpus.measure import Likeness
from hive_recipe_shape_corpus.mesh import Mesh
from hive_runner.ahead import made_ahead
from numpy.typing import NDArray

from .base import Known, known
from .data import open_corpus, pick, true_depths
from .degrade import ELSEWHERE, TRAIN, Coarse, Ranges, degrade
from .lift import lift
from .refine import Refiner, Trust, applied
from .score import Points, in_true_frame, score, taubin, true_points
from .volume import depths_of_field, surface

if TYPE_CHECKING:
    from hive_runner.run import Run

HELD_OUT_SEED, VALIDATION_SEED = 0x3D01, 0x3D02
WORSE = 0.003  # fall of F2 that counts as worse: sampling the same surface twice gives this much
LEVELS = (-0.2, 0.0, 0.2)  # cells
STRENGTHS = (0.25, 0.5, 1.0)
CORE = 0.7  # cells: what is thin in the base's shapes is most often there, if elsewhere
MOST_WORSE = 0.03  # share of validation pictures; of others it is two or three times as many, and the aim is 0.1


@dataclass(frozen=True)
class Places:
    """Where workers find what they need."""

    corpus: Path
    base: Path
    seed: int


@dataclass(frozen=True)
class Trial:
    """One object: how like the truth each way of making it is, and for pictures how much that way changed."""

    kind: str
    scores: dict[str, Likeness]
    changes: dict[str, float] = field(default_factory=dict)


def choose_trust(run: Run, refiner: Refiner, places: Places) -> tuple[Trust, Trust]:
    """(for shapes, for pictures): the level of the surface, the strength and the most change that is believed."""
    shapes, pictures = run.params.validation_shapes, run.params.validation_pictures
    run.phase("choose what to believe", total=shapes + pictures)
    level_trials = _all(run, partial(_level_trial, places, refiner), shapes, 0)
    gains = {level: np.mean([t.scores[str(level)].f1 for t in level_trials]) for level in LEVELS}
    shape = Trust(level=max(LEVELS, key=lambda level: gains[level]))
    run.log("F1 by level: " + ", ".join(f"{level:+.1f} {gain:.4f}" for level, gain in gains.items()))
    trials = _all(run, partial(_strength_trial, places, refiner), pictures, shapes)
    best, picture = 0.0, Trust(most_change=-1.0, core=CORE)  # nothing is believed
    for strength in STRENGTHS:
        gain, most_change, worse = _believable(trials, strength)
        run.log(f"strength {strength}: surely {gain:+.4f}, {worse:.0%} made worse, most change {most_change}")
        if gain > best:
            best, picture = gain, Trust(strength=strength, most_change=most_change, core=CORE)
    return shape, picture


def _believable(trials: Sequence[Trial], strength: float) -> tuple[float, float, float]:
    """(mean gain of F2 and normal consistency less its standard error, most change, share made worse), with the bound
    on the change that serves best. A gain of 0: none does."""
    name = f"{strength}"
    f2, normals = (
        np.array([getattr(t.scores[name], each) - getattr(t.scores["base"], each) for t in trials])
        for each in ("f2", "normal_consistency")
    )
    changes = np.array([t.changes[name] for t in trials])
    best = (0.0, 0.0, 0.0)
    for bound in np.quantile(changes, np.linspace(0.1, 1.0, 19)):
        taken = changes <= bound
        worse = float((taken & (f2 < -WORSE)).mean())
        gains = np.where(taken, f2 + normals, 0) / 2
        gain = float(gains.mean() - gains.std() / len(gains) ** 0.5)
        if worse <= MOST_WORSE and gain > best[0]:
            best = (gain, round(float(bound) + 0.0005, 3), worse)
    return best


def evaluate(run: Run, refiner: Refiner, places: Places) -> None:
    """Report figures of degraded shapes and of the base's answers, and draw some of them."""
    shapes, pictures = run.params.held_out_shapes, run.params.held_out_pictures
    run.phase("evaluate", total=shapes + pictures)
    trials = _all(run, partial(_shape_trial, places, refiner), shapes, 0)
    _report_shapes(run, trials)
    _report_pictures(run, _all(run, partial(_picture_trial, places, refiner), pictures, shapes))


def _report_shapes(run: Run, trials: Sequence[Trial]) -> None:
    for kind, prefix, of in (
        ("furniture", "", "furniture with held-out names"),
        ("grammar", "unseen_", "families not trained on"),
    ):
        chosen = [t for t in trials if t.kind == kind]
        if not chosen:
            continue
        dataset = f"{len(chosen)} degraded shapes: {of}"
        for name, figure in (
            ("f1", "f1"),
            ("f2", "f2"),
            ("normal_consistency", "normal_consistency"),
            ("chamfer", "chamfer"),
        ):
            _report(run, prefix + name, chosen, figure, "refined", ("trilinear", "trilinear + Taubin"), dataset)
    for name, figure in (("f1_gain", "f1"), ("normal_consistency_gain", "normal_consistency")):
        gains = [getattr(t.scores["refined"], figure) - getattr(t.scores["trilinear + Taubin"], figure) for t in trials]
        run.report(
            name,
            np.mean(gains),
            dataset=f"{len(trials)} degraded shapes, over trilinear + Taubin",
            spread=np.std(gains),
        )


def _report_pictures(run: Run, trials: Sequence[Trial]) -> None:
    dataset = f"{len(trials)} pictures of objects not trained on, reconstructed by image-to-3d"
    for name in ("f1", "f2", "f5", "normal_consistency", "chamfer"):
        _report(run, f"picture_{name}", trials, name, "refined", ("base",), dataset)
    for name in ("f2", "normal_consistency"):
        gains = np.array([getattr(t.scores["refined"], name) - getattr(t.scores["base"], name) for t in trials])
        run.report(f"picture_{name}_gain", gains.mean(), dataset=f"{dataset}, over its own mesh", spread=gains.std())
    f2 = np.array([t.scores["refined"].f2 - t.scores["base"].f2 for t in trials])
    run.report("made_worse", float((f2 < -WORSE).mean()), "lower", dataset=f"{dataset}: F2 falls by more than {WORSE}")
    run.report("left_alone", float((f2 == 0).mean()), "lower", dataset=f"{dataset}: the change was not believed")


def _report(
    run: Run, name: str, trials: Sequence[Trial], figure: str, way: str, others: Sequence[str], dataset: str
) -> None:
    values = {each: np.array([getattr(t.scores[each], figure) for t in trials]) for each in (way, *others)}
    better = "lower" if figure == "chamfer" else "higher"
    baselines = {each: values[each].mean() for each in others}
    run.report(name, values[way].mean(), better, dataset=dataset, spread=values[way].std(), baselines=baselines)


# One object each; run in worker processes


def _shape_trial(places: Places, refiner: Refiner, index: int) -> Trial:
    kind, coarse, truth, _ = _degraded(places, "test", HELD_OUT_SEED, ELSEWHERE, index)
    meshes = _shape_meshes(refiner, coarse)
    return Trial(kind, {name: score(mesh, truth) for name, mesh in meshes.items()})


def _shape_meshes(refiner: Refiner, coarse: Coarse) -> dict[str, Mesh]:
    simple_field = coarse.fine()
    simple = surface(simple_field)
    refined = refiner.refine(depths_of_field(simple_field))
    made = simple if refined.kept else surface(refined.field)
    return {"trilinear": simple, "trilinear + Taubin": taubin(simple), "refined": made}


def held_out_shape(places: Places, index: int) -> tuple[Coarse, Points]:
    """Held-out shape `index`, coarse, and points of the true surface."""
    _, coarse, truth, _ = _degraded(places, "test", HELD_OUT_SEED, ELSEWHERE, index)
    return coarse, truth


def drawn_shapes(places: Places, refiner: Refiner, count: int) -> Iterator[tuple[Mesh, Mesh, Mesh]]:
    """Coarse, refined and true meshes of the first held-out shapes."""
    for index in range(count):
        _, coarse, _, truth = _degraded(places, "test", HELD_OUT_SEED, ELSEWHERE, index)
        made = _shape_meshes(refiner, coarse)
        yield made["trilinear"], made["refined"], truth


def _level_trial(places: Places, refiner: Refiner, index: int) -> Trial:
    kind, coarse, truth, _ = _degraded(places, "validation", VALIDATION_SEED, TRAIN, index)
    depths = depths_of_field(coarse.fine())
    change = refiner.change(depths, None)
    fields = {level: applied(depths, change, Trust(level=level)).field for level in LEVELS}
    return Trial(kind, {str(level): score(surface(field), truth) for level, field in fields.items()})


def _degraded(places: Places, split: str, salt: int, ranges: Ranges, index: int) -> tuple[str, Coarse, Points, Mesh]:
    """(kind, a coarse version, points of the true surface, the true mesh) of one object of a split."""
    corpus, rng = open_corpus(places.corpus), _generator(places.seed, salt, index)
    item = pick(corpus, split, rng, grammar=0.4)
    depths = true_depths(corpus, item)
    while True:
        coarse = degrade(depths > 0, rng, ranges)
        if coarse.survives(depths > 0):
            break
    mesh = corpus.mesh(item)
    return item.kind, coarse, true_points(mesh, depths, index), mesh


def _picture_trial(places: Places, refiner: Refiner, index: int) -> Trial:
    found, truth = _pictured(places, "test", HELD_OUT_SEED, index)
    meshes, change = _picture_meshes(refiner, found)
    return Trial(found.item.kind, {name: score(mesh, truth) for name, mesh in meshes.items()}, {"refined": change})


def _picture_meshes(refiner: Refiner, found: Known) -> tuple[dict[str, Mesh], float]:
    """In the true object's frame."""
    refined = refiner.refine(found.coarse, lift(found.seen))
    own = found.seen.mesh
    made = own if refined.kept else surface(refined.field)
    meshes = {"base": own, "refined": made}
    return {
        name: in_true_frame(each, found.seen.frustum, found.frustum) for name, each in meshes.items()
    }, refined.change


def drawn_pictures(places: Places, refiner: Refiner, count: int) -> Iterator[tuple[NDArray[np.uint8], list[Mesh]]]:
    """The first held-out pictures; the base's, the refined and the true meshes, turned to the camera."""
    for index in range(count):
        found, _ = _pictured(places, "test", HELD_OUT_SEED, index)
        meshes, _ = _picture_meshes(refiner, found)
        truth = open_corpus(places.corpus).mesh(found.item)
        shown = [meshes["base"], meshes["refined"], truth]
        yield found.seen.rgba, [in_true_frame(mesh, found.frustum, found.seen.frustum) for mesh in shown]


def _strength_trial(places: Places, refiner: Refiner, index: int) -> Trial:
    found, truth = _pictured(places, "validation", VALIDATION_SEED, index)
    change = refiner.change(found.coarse, lift(found.seen))
    made = {f"{strength}": applied(found.coarse, change, Trust(strength=strength, core=CORE)) for strength in STRENGTHS}

    def scored(mesh: Mesh) -> Likeness:
        return score(in_true_frame(mesh, found.seen.frustum, found.frustum), truth)

    own = scored(found.seen.mesh)
    scores = {name: own if each.kept else scored(surface(each.field)) for name, each in made.items()}
    return Trial(found.item.kind, {"base": own, **scores}, {name: each.change for name, each in made.items()})


def _pictured(places: Places, split: str, salt: int, index: int) -> tuple[Known, Points]:
    corpus, rng = open_corpus(places.corpus), _generator(places.seed, salt, index)
    item = pick(corpus, split, rng, grammar=0.4)
    found = known(places.corpus, places.base, item, rng, faults=False, drawn=True)
    return found, true_points(corpus.mesh(item), found.depths, index)


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def _all(run: Run, trial: Callable[[int], Trial], count: int, done: int) -> list[Trial]:
    """trial(0) .. trial(count - 1), on all cores."""
    trials = []
    for each in made_ahead(trial, range(count), run.cpus):
        trials.append(each)
        run.progress(done + len(trials))
    return trials
