"""Training in two stages: an autoencoder of shapes, then a flow from noise to its latents that heeds a sentence.

The shapes and their captions are all there before, so that both cores are the networks'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from hive_recipe_shape_corpus.corpus import Corpus
from hive_runner.data_parallel import mean_gradients, part
from hive_runner.fitting import Fitting, adamw
from numpy.typing import NDArray
from torch import Tensor, nn

from . import flow
from .autoencoder import Autoencoder
from .captions import captions
from .choose import choose
from .encoder import SentenceEncoder
from .evaluate import Taught, evaluate
from .lessons import Lesson, draw_lessons, latents_of
from .make import Maker
from .shapes import read_shapes

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 50
EMA_DECAY = 0.998
LATENT_STREAM, FLOW_STREAM, LESSON_STREAM, FURTHER_STREAM = 1, 2, 3, 4  # of random numbers
SHARES = 2  # of a batch, each seen by its own process where there are cores for it
FURNITURE = 0.2  # share of the lessons of each step


def train(run: Run) -> None:
    params = run.params
    corpus = Corpus(run.deps["shape-corpus"])
    items = spread(corpus.items, params.shapes)
    run.phase("read and draw shapes", total=len(items) + params.further)
    shapes = read_shapes(corpus, items, params.further, (run.seed, FURTHER_STREAM), run.cpus, run.progress)
    run.log(
        f"{len(shapes.training)} shapes to train on; held out: {len(shapes.held_out)} of unseen combinations, "
        f"{len(shapes.validation)} to choose by, {len(shapes.test)} of unseen names, "
        f"{len(shapes.strange)} of unseen families"
    )
    state = run.resume() or {"stage": "autoencoder", "step": 0}

    torch.manual_seed(run.seed)
    encoder = Autoencoder().to(run.device, memory_format=torch.channels_last_3d)
    average = state.get("autoencoder")
    if average is None:

        def of_shapes(step: int, share: int) -> Tensor:
            rng = share_rng(run, LATENT_STREAM, step, share)
            count = len(part(params.autoencoder_batch, share, SHARES))
            return encoder(shapes.disturbed(rng.choice(shapes.training, count), rng).to(run.device))

        average = fit(
            run, "autoencoder", encoder, of_shapes, params.autoencoder_steps, params.autoencoder_rate, state, {}
        )
        state = {"stage": "flow", "step": 0}
    encoder.load_state_dict(average)
    encoder.eval()

    run.phase("encode shapes and captions")
    rng = run.rng(LESSON_STREAM)
    lessons = draw_lessons(shapes, params.repaints, rng)
    latents = latents_of(lambda some: encoder.encode(some.to(run.device)).cpu(), shapes, lessons, run.cpus)
    torch.manual_seed(run.seed + 1)
    basis = flow.Basis.of(latents, params.components)
    numbers = basis.inward(latents)
    run.log(f"{numbers.shape[1]} components say {basis.said(latents):.1%} of what {len(lessons)} latents differ in")
    del latents
    told = [captions(lesson.seen, params.captions, rng) for lesson in lessons]
    sentences = SentenceEncoder().encode([caption for each in told for caption in each])
    taught = Taught(lessons, told, sentences)

    guide = flow.Flow(numbers.shape[1], params.width, params.layers).to(run.device)
    chances = chances_of(lessons)

    def of_latents(step: int, share: int) -> Tensor:
        rng = share_rng(run, FLOW_STREAM, step, share)
        which = rng.choice(len(lessons), len(part(params.flow_batch, share, SHARES)), p=chances)
        said = sentences.pick(torch.from_numpy(which * params.captions + rng.integers(0, params.captions, len(which))))
        return flow.loss(guide, numbers[torch.from_numpy(which)].to(run.device), said.to(run.device), params.unheeded)

    guided = fit(run, "flow", guide, of_latents, params.flow_steps, params.flow_rate, state, {"autoencoder": average})
    tensors = {f"autoencoder.{name}": tensor for name, tensor in average.items()}
    tensors |= {f"flow.{name}": tensor for name, tensor in guided.items()}
    tensors |= {f"basis.{name}": getattr(basis, name) for name in ("centre", "axes", "scale")}
    config = {"width": params.width, "layers": params.layers, "heights": shapes.heights.table}
    maker = Maker(tensors, config)
    chosen, tensors["concepts"] = choose(run, maker, shapes, taught)
    run.save_weights(tensors, {**config, **chosen})
    evaluate(run, maker, corpus, shapes, taught, chosen)


def share_rng(run: Run, stream: int, step: int, share: int) -> np.random.Generator:
    """The random numbers of a share of a step, torch's too: they are the same after a resume, in whatever process."""
    rng = run.rng(stream, step, share)
    torch.manual_seed(int(rng.integers(1 << 62)))
    return rng


def chances_of(lessons: list[Lesson]) -> NDArray[np.float64]:
    """How likely each lesson is to be drawn: FURNITURE of them are furniture, if there is any."""
    furniture = np.array([not lesson.seen.attributes for lesson in lessons])
    if furniture.all() or not furniture.any():
        return np.full(len(lessons), 1 / len(lessons))
    return np.where(furniture, FURNITURE / furniture.sum(), (1 - FURNITURE) / (~furniture).sum())


def spread(items: tuple[Any, ...], most: int) -> tuple[Any, ...]:
    """At most so many items, evenly from all of the corpus; 0: all."""
    if not 0 < most < len(items):
        return items
    return tuple(items[each] for each in np.linspace(0, len(items) - 1, most).round().astype(int))


def fit(
    run: Run, stage: str, model: nn.Module, loss: Callable[[int, int], Tensor], steps: int, rate: float,
    state: dict[str, Any], earlier: dict[str, Any],
) -> dict[str, Tensor]:  # fmt: skip
    """Train `model` from where `state` says; the moving average of its weights.

    loss: of a step and a share of its batch. earlier: of a stage before, kept.
    """
    optimiser = adamw(model, rate, weight_decay=0.02, fused=True)
    before = 0 if stage == "autoencoder" else run.params.autoencoder_steps
    kept = {**earlier, "stage": stage}
    fitting = Fitting(run, model, optimiser, steps, WARMUP_STEPS, EMA_DECAY, earlier_steps=before, kept=kept)
    run.log(f"{stage}: {sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")
    to_do = range(fitting.resume(state), steps)
    run.phase(f"train the {stage}", total=steps)

    def shares(share: int) -> Iterator[tuple[int, int]]:
        return ((step, share) for step in to_do)

    def losses(which: tuple[int, int]) -> dict[str, Tensor]:
        return {"loss": loss(*which)}

    with mean_gradients(model, losses, [partial(shares, share) for share in range(SHARES)], run.cpus) as gradients:
        for parts in gradients:
            fitting.follow(**parts)
    return fitting.weights()
