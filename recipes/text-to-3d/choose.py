"""What is chosen on validation shapes, before any held-out one is looked at."""

from __future__ import annotations

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
from .make import Maker
from .shapes import SUBCELLS, Shapes

if TYPE_CHECKING:
    from hive_runner.run import Run

SEED = 10_000
LEVELS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
GUIDANCES = (1.0, 1.5, 2.5, 4.0)
SLACK = 0.02  # of shares told rightly: three answers of 130


def choose(run: Run, maker: Maker, shapes: Shapes, taught: Taught) -> tuple[dict[str, Any], Tensor]:
    """The level where a copy's surface is; guidance and level of what is made, which `maker` has from then on; the
    bound of similarity, with the names of what is known, and their rows."""
    rng = run.rng(SEED)
    some = some_of(shapes.validation or shapes.training, run.params.evaluated, rng)
    run.phase("choose the level of copies", total=len(some))
    copy_level = maker.level = level_of_copies(run, maker, shapes, some)

    described = [each for each in shapes.validation if shapes.seen[each].attributes] or list(shapes.training)
    asked = some_of(tuple(described), run.params.evaluated, rng)
    run.phase("choose guidance and level", total=len(GUIDANCES) + len(LEVELS))
    said = SentenceEncoder().encode([telling(shapes.seen[each], rng) for each in asked])
    fields, complied = [], []
    for number, guidance in enumerate(GUIDANCES):
        fields.append(maker.fields(said, [SEED + k for k in range(len(asked))], STEPS, guidance))
        complied.append(_complied(maker, shapes, asked, fields[-1]))
        run.progress(number + 1)
    best = alike(complied)[0]  # more guidance makes seeds more alike
    at_level = []
    for number, level in enumerate(LEVELS):
        maker.level = level
        at_level.append(_complied(maker, shapes, asked, fields[best]))
        run.progress(len(GUIDANCES) + number + 1)
    maker.guidance = GUIDANCES[best]
    maker.level = min((LEVELS[each] for each in alike(at_level)), key=lambda level: abs(level - copy_level))
    run.log(f"told rightly by guidance {dict(zip(GUIDANCES, np.round(complied, 3).tolist(), strict=True))}")
    run.log(f"... and by level {dict(zip(LEVELS, np.round(at_level, 3).tolist(), strict=True))}")

    names, bank = distinct(taught.told, taught.sentences.sentence)
    known = [captions(shapes.seen[each], 1, rng)[0] for each in some]
    heard = SentenceEncoder().encode([*known, *STRANGE[: len(STRANGE) // 2]]).sentence
    near = similarities(bank, heard)
    bound = best_bound(near[: len(known)], near[len(known) :])
    run.log(f"level {maker.level} (copies {copy_level}), guidance {maker.guidance}, stranger below {bound}")
    chosen = {"level": maker.level, "copy_level": copy_level, "guidance": maker.guidance, "bound": bound}
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


def _complied(maker: Maker, shapes: Shapes, asked: list[int], fields: list[Any]) -> float:
    made = [Made(maker.solid(field), maker.mesh(field)) for field in fields]
    return share_right([answers_of(shapes, each, one) for each, one in zip(asked, made, strict=True)])
