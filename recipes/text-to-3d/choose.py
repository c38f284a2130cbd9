"""What is chosen on validation shapes, before any held-out one is looked at."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from hive_recipe_shape_corpus.measure import iou
from torch import Tensor

from .captions import captions, telling
from .concepts import STRANGE, best_bound, distinct, similarities
from .encoder import SentenceEncoder
from .evaluate import STEPS, Made, Taught, answers_of, plain, share_right, some_of
from .lessons import latents_of
from .make import Field, Maker
from .shapes import SUBCELLS, Shapes

if TYPE_CHECKING:
    from hive_runner.run import Run

SEED = 10_000
LEVELS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
GUIDANCES = (1.0, 1.5, 2.5, 4.0)
CANDIDATES = (1, 4, 16)
MARGINS = (0.0, 0.02, 0.05, 0.1, 0.2)
SLACK = 0.02  # of shares told rightly: three answers of 130


def choose(run: Run, maker: Maker, shapes: Shapes, taught: Taught) -> tuple[dict[str, Any], Tensor]:
    """What is chosen, and the rows of what is known: the level where a copy's surface is; guidance, candidates, margin
    and level of what is made, which `maker` has from then on; the bound of similarity, and the names of what is known.
    """
    rng = run.rng(SEED)
    some = some_of(shapes.validation or shapes.training, run.params.evaluated, rng)
    run.phase("choose the level of copies", total=len(some))
    copy_level = maker.level = level_of_copies(run, maker, shapes, some)

    described = [each for each in shapes.validation if shapes.seen[each].attributes] or list(shapes.training)
    asked = some_of(tuple(described), run.params.evaluated, rng)
    trials = (GUIDANCES, CANDIDATES, MARGINS, LEVELS)
    run.phase("choose how shapes are made", total=sum(map(len, trials)))
    said = SentenceEncoder().encode([telling(shapes.seen[each], rng) for each in asked])
    seeds = [SEED + k for k in range(len(asked))]
    done = itertools.count(1)

    def complied(fields: list[Field]) -> float:
        made = [Made(maker.solid(field), maker.mesh(field)) for field in fields]
        run.progress(next(done))
        return share_right([answers_of(shapes, each, one) for each, one in zip(asked, made, strict=True)])

    guided = [complied(maker.fields(said, seeds, STEPS, guidance, 1)) for guidance in GUIDANCES]
    maker.guidance = GUIDANCES[alike(guided)[0]]  # more guidance makes seeds more alike
    matched = [complied(maker.fields(said, seeds, STEPS, candidates=candidates)) for candidates in CANDIDATES]
    maker.candidates = CANDIDATES[alike(matched)[0]]
    within, made = [], []
    for maker.margin in MARGINS:
        made.append(maker.fields(said, seeds, STEPS))
        within.append(complied(made[-1]))
    widest = alike(within)[-1]  # a narrow one makes seeds more alike
    maker.margin = MARGINS[widest]
    at_level = []
    for maker.level in LEVELS:
        at_level.append(complied(made[widest]))
    maker.level = min((LEVELS[each] for each in alike(at_level)), key=lambda level: abs(level - copy_level))
    for tried, values, scores in (
        ("guidance", GUIDANCES, guided), ("candidates", CANDIDATES, matched), ("margin", MARGINS, within),
        ("level", LEVELS, at_level),
    ):  # fmt: skip
        run.log(f"told rightly by {tried} {dict(zip(values, np.round(scores, 3).tolist(), strict=True))}")

    names, bank = distinct(taught.told, taught.sentences.sentence)
    known = [captions(shapes.seen[each], 1, rng)[0] for each in some]
    heard = SentenceEncoder().encode([*known, *STRANGE[: len(STRANGE) // 2]]).sentence
    near = similarities(bank, heard)
    bound = best_bound(near[: len(known)], near[len(known) :])
    chosen = {
        "level": maker.level, "copy_level": copy_level, "guidance": maker.guidance, "candidates": maker.candidates,
        "margin": maker.margin, "bound": bound,
    }  # fmt: skip
    run.log(f"chosen: {chosen}")
    return {**chosen, "concept_names": names}, bank


def alike(scores: Sequence[float]) -> list[int]:
    """Those that are as good as the best, as far as so few prompts tell."""
    return [each for each, score in enumerate(scores) if score >= max(scores) - SLACK]


def level_of_copies(run: Run, maker: Maker, shapes: Shapes, some: list[int]) -> float:
    """The level at which what the autoencoder gives back overlaps best with what it was given."""
    fields = maker.decode(latents_of(maker.autoencoder.encode, shapes, plain(shapes, some)))
    scores = np.zeros(len(LEVELS))
    for number, (each, field) in enumerate(zip(some, fields, strict=True)):
        truth = shapes.grids([each]).filled[0] * 2 >= SUBCELLS
        scores += [iou(field.filled > level, truth) for level in LEVELS]
        run.progress(number + 1)
    return LEVELS[int(np.argmax(scores))]
