"""Training in three stages: an autoencoder of shapes, a flow from noise to its latents that heeds a sentence, and a
matcher that chooses among what the flow makes.

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
from hive_runner.precision import autocast, has_bfloat16
from numpy.typing import NDArray
from torch import Tensor, nn

from . import flow, match
from .autoencoder import Autoencoder
from .captions import captions
from .choose import choose
from .encoder import Encoded, SentenceEncoder
from .evaluate import Taught, evaluate
from .lessons import Lesson, draw_lessons, latents_of
from .make import Maker
from .shapes import read_shapes

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 50
EMA_DECAY = 0.998
LATENT_STREAM, FLOW_STREAM, LESSON_STREAM, FURTHER_STREAM, MATCHER_STREAM = 1, 2, 3, 4, 5  # of random numbers
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
    precision = "bfloat16" if has_bfloat16(run.device) else "float32"
    run.log(f"autoencoder and flow learn in {precision}")
    state = run.resume() or {"stage": "autoencoder", "step": 0}

    torch.manual_seed(run.seed)
    encoder = Autoencoder().to(run.device, memory_format=torch.channels_last_3d)
    average = state.get("autoencoder")
    if average is None:

        def of_shapes(step: int, share: int) -> Tensor:
            rng = share_rng(run, LATENT_STREAM, step, share)
            count = len(part(params.autoencoder_batch, share, SHARES))
            voxels = shapes.disturbed(rng.choice(shapes.training, count), rng).to(run.device)
            with autocast(precision, run.device):
                return encoder(voxels)

        average = fit(run, "autoencoder", encoder, of_shapes, state, {})
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

    chances = chances_of(lessons)

    def some(stream: int, step: int, share: int, batch: int) -> tuple[Tensor, Encoded]:
        """Shapes of a share of a step, and a caption of each."""
        rng = share_rng(run, stream, step, share)
        which = rng.choice(len(lessons), len(part(batch, share, SHARES)), p=chances)
        said = sentences.pick(torch.from_numpy(which * params.captions + rng.integers(0, params.captions, len(which))))
        return numbers[torch.from_numpy(which)].to(run.device), said.to(run.device)

    guided = state.get("flow")
    if guided is None:
        guide = flow.Flow(numbers.shape[1], params.width, params.layers).to(run.device)

        def of_latents(step: int, share: int) -> Tensor:
            lessons_of_share = some(FLOW_STREAM, step, share, params.flow_batch)
            with autocast(precision, run.device):
                return flow.loss(guide, *lessons_of_share, params.unheeded)

        guided = fit(run, "flow", guide, of_latents, state, {"autoencoder": average})
        state = {"stage": "matcher", "step": 0}

    torch.manual_seed(run.seed + 2)
    matcher = match.Matcher(numbers.shape[1]).to(run.device)

    def of_pairs(step: int, share: int) -> Tensor:
        return match.loss(matcher, *some(MATCHER_STREAM, step, share, params.matcher_batch))

    matched = fit(run, "matcher", matcher, of_pairs, state, {"autoencoder": average, "flow": guided})
    networks = {"autoencoder": average, "flow": guided, "matcher": matched}
    tensors = {f"{kind}.{name}": tensor for kind, own in networks.items() for name, tensor in own.items()}
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
    run: Run, stage: str, model: nn.Module, loss: Callable[[int, int], Tensor], state: dict[str, Any],
    earlier: dict[str, dict[str, Tensor]],
) -> dict[str, Tensor]:  # fmt: skip
    """Train `model` from where `state` says; the moving average of its weights.

    loss: of a step and a share of its batch. earlier: the weights of the stages before, by their names, kept.
    """
    params = vars(run.params)
    steps = params[f"{stage}_steps"]
    before = sum(params[f"{name}_steps"] for name in earlier)
    optimiser = adamw(model, params[f"{stage}_rate"], weight_decay=0.02, fused=True)
    kept = {**earlier, "stage": stage}
    fitting = Fitting(run, model, optimiser, steps, WARMUP_STEPS, EMA_DECAY, earlier_steps=before, kept=kept)
    to_do = range(fitting.resume(state), steps)
    run.phase(f"train the {stage}", total=steps)
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")

    def shares(share: int) -> Iterator[tuple[int, int]]:
        return ((step, share) for step in to_do)

    def losses(which: tuple[int, int]) -> dict[str, Tensor]:
        return {"loss": loss(*which)}

    with mean_gradients(model, losses, [partial(shares, share) for share in range(SHARES)], run.cpus) as gradients:
        for parts in gradients:
            fitting.follow(**parts)
    return fitting.weights()
