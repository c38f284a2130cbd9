"""Training: one pass over an endless stream of simulated height models, then the figures on held-out ones.

With --data, the user's height models are mixed in, and a second network is trained on the user's images: simulation
alone does not carry over to pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from hive_runner.data_parallel import makers, mean_gradients
from hive_runner.fitting import Fitting
from hive_runner.muon import muon
from hive_runner.precision import autocast, fastest
from torch import Tensor
from torch.nn import functional

from . import features, images
from .classify import Classifier
from .data import SHARES, Crops, batches, make_image_views, make_views
from .evaluate import choose_threshold, evaluate, evaluate_squares
from .labelled import Squares, cut_squares
from .model import HeightNet

if TYPE_CHECKING:
    from hive_runner.run import Run

WARMUP_STEPS = 50
EMA_DECAY = 0.998


def train(run: Run) -> None:
    params = run.params
    of_heights, of_images = Squares(), Squares()
    if "user" in run.data:
        run.phase("read labelled places")
        of_heights, of_images = cut_squares(run.data["user"], run.scratch)
        for name, squares in (("height models", of_heights), ("images", of_images)):
            run.log(f"{name}: {len(squares.training)} squares to train on, {len(squares.held_out)} held out")
    state = run.resume() or {"stage": "heights", "step": 0}

    make = partial(make_views, run.seed, squares=of_heights.training, share=params.user_share)
    heights = state.get("heights")
    if heights is None:
        heights = fit(run, "heights", features.CHANNELS, make, params.steps, state, {})
    tensors = {f"heights.{name}": tensor for name, tensor in heights.items()}

    image_net: dict[str, Tensor] = {}
    if of_images.training:
        if state["stage"] != "images":
            state = {"stage": "images", "step": 0}
        make = partial(make_image_views, run.seed, squares=of_images.training)
        channels = of_images.bands + images.MORE_CHANNELS
        image_net = fit(run, "images", channels, make, params.image_steps, state, {"heights": heights})
        tensors |= {f"images.{name}": tensor for name, tensor in image_net.items()}

    run.phase("choose the threshold", total=params.validation_places)
    threshold = choose_threshold(run, Classifier(heights, 0.5, run.threads))
    run.log(f"a building is where the probability is above {threshold}")
    run.save_weights(tensors, {"threshold": threshold, "image_bands": of_images.bands, "steps": params.steps})
    evaluate(run, Classifier(heights, threshold, run.threads))
    if of_heights.held_out:
        evaluate_squares(run, "user_", Classifier(heights, threshold, run.threads), of_heights.held_out)
    if of_images.held_out:
        evaluate_squares(run, "image_", Classifier(image_net, 0.5, run.threads, of_images.bands), of_images.held_out)


def fit(
    run: Run, stage: str, channels: int, make: Callable[[int], list[Crops]], steps: int, state: dict[str, Any],
    earlier: dict[str, Any],
) -> dict[str, Tensor]:  # fmt: skip
    """Train a network from where `state` says; the moving average of its weights.

    make: the views of a place, by its number. earlier: of a stage before, kept.
    """
    precision = fastest(run.device)
    torch.manual_seed(run.seed)
    model = HeightNet(channels).to(run.device, memory_format=torch.channels_last)
    plain = ("stem.", "refine", "answer")
    optimiser = muon(model, run.params.learning_rate, 0.02, plain, precision, run.params.matrix_rate)
    fitting = Fitting(
        run, model, optimiser, steps, WARMUP_STEPS, EMA_DECAY,
        earlier_steps=0 if stage == "heights" else run.params.steps, kept={**earlier, "stage": stage},
    )  # fmt: skip
    run.log(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, {precision}")
    first = fitting.resume(state)
    run.phase(f"train on {stage}", total=steps)
    workers = makers(run.device, run.cpus, SHARES)
    streams = [partial(batches, make, run.params.places, first, steps, share, workers) for share in range(SHARES)]
    with mean_gradients(model, partial(losses, model, precision, run.device), streams, run.cpus) as gradients:
        for parts in gradients:
            fitting.follow(**parts)
    return fitting.weights()


def losses(model: HeightNet, precision: str, device: str, batch: Crops) -> dict[str, Tensor]:
    """Cross-entropy of the known cells, and the soft Dice overlap that they lack (Milletari et al. 2016)."""
    channels, truth = torch.from_numpy(batch.channels).to(device).float(), torch.from_numpy(batch.truth).to(device)
    with autocast(precision, device):
        logits = model(channels)
    known = truth >= 0
    target = truth.clamp(min=0).float()
    entropy = functional.binary_cross_entropy_with_logits(logits[known], target[known])
    share = torch.sigmoid(logits) * known
    dice = 1 - (2 * (share * target).sum() + 1) / (share.sum() + target[known].sum() + 1)
    return {"entropy_loss": entropy, "dice_loss": 0.5 * dice}
