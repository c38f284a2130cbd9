"""Training: views of what the base package makes, then one pass over coarse shapes and those, then the figures."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hive_runner.ahead import made_ahead
from hive_runner.data_parallel import makers

from .base import make_base_view, open_base
from .data import batches, make_crops, open_corpus
from .evaluate import Places, choose_trust, evaluate
from .figure import draw_figures
from .fit import SHARES, fit
from .refine import Refiner, Trust
from .volume import distance

if TYPE_CHECKING:
    from hive_runner.run import Run


def train(run: Run) -> None:
    params = run.params
    corpus, base = run.deps["shape-corpus"], run.deps["image-to-3d"]
    state = run.resume() or {"step": 0}

    warm_up(corpus, base)
    run.phase("reconstruct training pictures", total=params.base_views)
    views = reconstruct(run, corpus, base)
    make = partial(make_crops, run.seed, corpus=corpus, base_views=views, share=params.base_share)
    workers = makers(run.device, run.cpus, SHARES)
    tensors = fit(run, lambda steps, share: batches(steps, params.objects, share, workers, make), state)

    places = Places(corpus, base, run.seed)
    refiner = Refiner(tensors, Trust(), Trust(), run.threads)
    refiner.shape, refiner.picture = choose_trust(run, refiner, places)
    run.log(f"believed of shapes: {refiner.shape}; of pictures: {refiner.picture}")
    trusted = {"shape": asdict(refiner.shape), "picture": asdict(refiner.picture)}
    run.save_weights(tensors, {**trusted, "steps": params.steps})
    evaluate(run, refiner, places)
    draw_figures(run, refiner, places)


def warm_up(corpus: Path, base: Path) -> None:
    """Open and compile what all workers need: they are forked, and need not do it again."""
    open_corpus(corpus)
    open_base(base)
    distance(np.zeros((4, 4, 4), bool))


def reconstruct(run: Run, corpus: Path, base: Path) -> tuple[Path, ...]:
    """Training pictures, reconstructed by the base: files in run.scratch. View i depends on (seed, i) alone."""
    folder = run.scratch / "base-views"
    folder.mkdir(parents=True, exist_ok=True)
    make = partial(make_base_view, run.seed, corpus, base, folder)
    views = []
    for path in made_ahead(make, range(run.params.base_views), run.cpus):
        views.append(path)
        run.progress(len(views))
    return tuple(views)
