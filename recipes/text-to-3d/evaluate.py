"""Held-out figures: shapes of unseen names, prompts of unseen combinations, prompts that name nothing known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hive_recipe_shape_corpus.measure import compare, iou, sample_points
from hive_recipe_shape_corpus.mesh import F32, Mesh
from hive_recipe_shape_corpus.surface import extract
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .captions import captions, telling
from .concepts import STRANGE, distinct, similarities
from .encoder import Encoded, SentenceEncoder
from .figure import Row, draw_rows
from .lessons import Lesson, latents_of, voxels_of
from .make import Maker, painted, surface
from .probes import Answers, Bool, answers
from .shapes import SUBCELLS, Shapes

if TYPE_CHECKING:
    from hive_recipe_shape_corpus.corpus import Corpus
    from hive_runner.run import Run

STEPS = 25
TRUE_LEVEL = 0.3  # of a true share: a leg of half a cell is one
CLOUD = 512  # points a shape is for Chamfer distances
HELD_OUT_SEED, NAMES_SEED, OTHER_SEED = 20_000, 30_000, 40_000
COARSE = 16  # cells of the grid that holds as many numbers as a latent
SHOWN = 6


@dataclass(frozen=True)
class Made:
    solid: Bool  # (64, 64, 64)
    mesh: Mesh


@dataclass(frozen=True)
class Taught:
    """What the flow was taught, and as many captions of each lesson."""

    lessons: list[Lesson]
    told: list[list[str]]
    sentences: Encoded  # of all captions, in order


def evaluate(run: Run, maker: Maker, corpus: Corpus, shapes: Shapes, taught: Taught, chosen: Mapping[str, Any]) -> None:
    """chosen: as `choose` gives it."""
    (run.out / "figures").mkdir()
    evaluate_autoencoder(run, maker, corpus, shapes, chosen["copy_level"])
    evaluate_combinations(run, maker, shapes, taught)
    evaluate_names(run, maker, shapes, taught)
    evaluate_strangers(run, shapes, taught, chosen["bound"])


def evaluate_autoencoder(run: Run, maker: Maker, corpus: Corpus, shapes: Shapes, level: float) -> None:
    """There and back again, against the solid of 128^3. level: where a copy's surface is."""
    kinds = {"": shapes.test or shapes.training, "_families": shapes.strange}
    for kind, index in kinds.items():
        some = some_of(index, run.params.evaluated, run.rng(1))
        if not some:
            continue
        run.phase("evaluate the autoencoder", total=len(some))
        fields = maker.decode(latents_of(maker.autoencoder.encode, shapes, plain(shapes, some)))
        likeness, coarse, overlap = [], [], []
        for number, (each, field) in enumerate(zip(some, fields, strict=True)):
            solid = corpus.solid(shapes.items[each])
            truth = extract(solid.astype(np.float32), 0.5)
            likeness.append(compare(surface(field, level), truth, points=10_000).f2)
            coarse.append(compare(_coarse(solid), truth, points=10_000).f2)
            overlap.append(iou(field.filled > level, shapes.grids([each]).filled[0] * 2 >= SUBCELLS))
            run.progress(number + 1)
        dataset = f"{len(some)} shapes of {'unseen families' if kind else _names(shapes)}"
        run.report(
            f"autoencoder_f2{kind}", float(np.mean(likeness)), dataset=dataset, spread=float(np.std(likeness)),
            baselines={"grid of 16^3": float(np.mean(coarse))},
        )  # fmt: skip
        run.report(f"autoencoder_iou{kind}", float(np.mean(overlap)), dataset=dataset, spread=float(np.std(overlap)))


def _coarse(solid: Bool) -> Mesh:
    """The baseline: as many numbers as a latent has, spent on a grid of shares."""
    side = solid.shape[0] // COARSE
    shares = solid.reshape(COARSE, side, COARSE, side, COARSE, side).mean((1, 3, 5))
    return extract(shares.astype(np.float32), min(0.5, float(shares.max()) / 2))


def evaluate_combinations(run: Run, maker: Maker, shapes: Shapes, taught: Taught) -> None:
    """Do they have the legs, the height and the colour that the sentence asks for?"""
    rng = run.rng(HELD_OUT_SEED)
    some = some_of(shapes.held_out or shapes.training, 2 * run.params.evaluated, rng)
    run.phase("evaluate unseen combinations")
    prompts = [telling(shapes.seen[each], rng) for each in some]
    made = make_all(maker, prompts, HELD_OUT_SEED)
    first = make_all(maker, prompts, HELD_OUT_SEED, 1)
    others = make_all(maker, prompts[: run.params.evaluated // 2], OTHER_SEED)
    fetched = [_of_corpus(shapes, lesson) for lesson in _retrieve(taught, prompts)]
    truth = [_of_corpus(shapes, lesson) for lesson in plain(shapes, some)]
    of_model, of_first, of_fetched, of_truth = (
        [answers_of(shapes, each, one) for each, one in zip(some, ones, strict=True)]
        for ones in (made, first, fetched, truth)
    )
    dataset = f"{len(some)} prompts of {'unseen combinations' if shapes.held_out else 'training shapes'}"
    for name, part in (("compliance", ""), ("legs", "legs"), ("height", "height"), ("colour", "colour")):
        shares = [share_right(each, part) for each in (of_model, of_first, of_fetched, of_truth)]
        if not np.isfinite(shares).all():
            continue
        each = [np.mean(one.asked()) for one in of_model if one.asked()]
        run.report(
            name, shares[0], dataset=dataset, spread=float(np.std(each)) if not part else None,
            baselines={"no choice": shares[1], "caption retrieval": shares[2], "the true shapes": shares[3]},
        )  # fmt: skip
    alike = [iou(one.solid, other.solid) for one, other in zip(made, others, strict=False)]
    run.report("iou_of_two_seeds", float(np.mean(alike)), "lower", dataset=dataset, spread=float(np.std(alike)))
    right = np.array([np.mean(one.asked()) if one.asked() else 0.5 for one in of_model])
    order = np.argsort(-right, kind="stable")
    for name, chosen in (("as-told", order[:SHOWN]), ("not-as-told", order[::-1][:SHOWN])):
        rows = [Row(prompts[k], made[k].mesh, fetched[k].mesh, truth[k].mesh, right[k]) for k in chosen]
        draw_rows(rows, run.out / "figures" / f"{name}.png")


def evaluate_names(run: Run, maker: Maker, shapes: Shapes, taught: Taught) -> None:
    """Whether what is made can be told from real shapes of unseen names, by the nearest neighbour of each."""
    rng = run.rng(NAMES_SEED)
    some = some_of(shapes.test or shapes.training, run.params.evaluated, rng)
    run.phase("evaluate unseen names")
    prompts = [captions(shapes.seen[each], 1, rng)[0] for each in some]
    made = make_all(maker, prompts, NAMES_SEED)
    fetched = [_of_corpus(shapes, lesson) for lesson in _retrieve(taught, prompts)]
    truth = [_of_corpus(shapes, lesson) for lesson in plain(shapes, some)]
    clouds = [[sample_points(one.mesh, CLOUD, rng)[0] for one in ones] for ones in (truth, made, fetched)]
    (alike, covered), (alike_fetched, covered_fetched) = (
        set_figures(chamfer_table(clouds[0] + other), len(some)) for other in clouds[1:]
    )
    dataset = f"{len(some)} captions of {_names(shapes)}"
    run.report("one_nna", alike, "lower", dataset=dataset, baselines={"caption retrieval": alike_fetched})
    run.report("coverage", covered, dataset=dataset, baselines={"caption retrieval": covered_fetched})
    rows = [Row(prompts[k], made[k].mesh, fetched[k].mesh, truth[k].mesh, None) for k in range(min(SHOWN, len(some)))]
    draw_rows(rows, run.out / "figures" / "unseen-names.png")


def chamfer_table(clouds: list[F32]) -> NDArray[np.float64]:
    """(n, n) mean distances between clouds, both ways."""
    trees = [cKDTree(cloud) for cloud in clouds]
    one_way = np.array([[tree.query(cloud)[0].mean() for tree in trees] for cloud in clouds])
    return (one_way + one_way.T) / 2


def set_figures(table: NDArray[np.float64], count: int) -> tuple[float, float]:
    """The first `count` are real, the rest made. 1-NN accuracy (Yang et al. 2019; 0.5 is best) and the share of the
    real ones that are the nearest real one of something made (coverage, Achlioptas et al. 2018)."""
    apart = table + np.diag(np.full(len(table), np.inf))
    real = np.arange(len(table)) < count
    accuracy = float((real[apart.argmin(1)] == real).mean())
    covered = np.unique(table[count:, :count].argmin(1))
    return accuracy, len(covered) / count


def evaluate_strangers(run: Run, shapes: Shapes, taught: Taught, bound: float) -> None:
    """Prompts that name nothing known are to be warned of, and captions of unseen names are not."""
    run.phase("evaluate strangers")
    rng = run.rng(NAMES_SEED, 1)
    known = [captions(shapes.seen[each], 1, rng)[0] for each in some_of(shapes.test or shapes.training, 200, rng)]
    _, bank = distinct(taught.told, taught.sentences.sentence)
    strange = STRANGE[len(STRANGE) // 2 :]
    near = similarities(bank, SentenceEncoder().encode([*known, *strange]).sentence)
    run.report(
        "strangers_warned",
        float((near[len(known) :] < bound).float().mean()),
        dataset=f"{len(strange)} strange prompts",
    )
    run.report(
        "known_warned", float((near[: len(known)] < bound).float().mean()), "lower",
        dataset=f"{len(known)} captions of {_names(shapes)}",
    )  # fmt: skip


def _names(shapes: Shapes) -> str:
    return "unseen names" if shapes.test else "training names"


def make_all(maker: Maker, prompts: list[str], seed: int, candidates: int | None = None) -> list[Made]:
    seeds = [seed + k for k in range(len(prompts))]
    fields = maker.fields(SentenceEncoder().encode(prompts), seeds, STEPS, candidates=candidates)
    return [Made(maker.solid(field), maker.mesh(field)) for field in fields]


def plain(shapes: Shapes, some: Sequence[int]) -> list[Lesson]:
    return [Lesson(each, shapes.seen[each]) for each in some]


def _of_corpus(shapes: Shapes, lesson: Lesson) -> Made:
    """A true shape by the same way as one that is made: 64^3 cells, colours of 32^3."""
    voxels = voxels_of(shapes, [lesson])
    share = voxels.filled[0].numpy()
    level = min(TRUE_LEVEL, float(share.max()) / 2)
    return Made(share > level, painted(extract(share, level), voxels.colour[0].numpy()).normalised())


def _retrieve(taught: Taught, prompts: list[str]) -> list[Lesson]:
    """The baseline: the training shape whose caption the encoder finds nearest."""
    heard = SentenceEncoder().encode(prompts).sentence
    row = (heard @ taught.sentences.sentence.T).argmax(1)
    return [taught.lessons[int(each) // len(taught.told[0])] for each in row]


def answers_of(shapes: Shapes, each: int, made: Made) -> Answers:
    return answers(shapes.seen[each], shapes.heights, made.solid, made.mesh)


def share_right(given: list[Answers], part: str = "") -> float:
    asked = [getattr(one, part) for one in given] if part else [each for one in given for each in one.asked()]
    return float(np.mean([each for each in asked if each is not None])) if any(e is not None for e in asked) else np.nan


def some_of(index: tuple[int, ...], most: int, rng: np.random.Generator) -> list[int]:
    return sorted(int(each) for each in rng.permutation(np.array(index, np.int64))[:most])
