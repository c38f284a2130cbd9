"""The trained network on a whole object, and when it is believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from .model import LIFTED, RefineNet
from .volume import F32, REACH, SIDE


@dataclass(frozen=True)
class Trust:
    """How far the network is believed. Chosen on validation objects, apart for shapes and for the base's answers."""

    strength: float = 1.0  # share of the change that is made
    level: float = 0.0  # depth at which the surface is taken, cells
    most_change: float = 1.0  # of solids (1 - IoU), above which the coarse shape is left as it is; below 0: always
    core: float = 0.0  # cells that each part keeps around its middle; 0: parts may vanish


@dataclass(frozen=True)
class Refined:
    field: F32  # (SIDE,)*3 depths, cells
    change: float  # 1 - IoU of the coarse and the refined solid
    kept: bool  # too much was to be changed: take the coarse shape


class Refiner:
    def __init__(self, tensors: dict[str, Tensor], shape: Trust, picture: Trust, threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self.net = RefineNet()
        self.net.load_state_dict(tensors)
        self.net.eval().to(memory_format=torch.channels_last_3d)
        self.shape, self.picture = shape, picture

    def __reduce__(self) -> tuple[Any, ...]:
        """To workers by value: torch would send tensors through shared memory, and there may be little of it."""
        return _of_arrays, (
            {name: each.numpy() for name, each in self.net.state_dict().items()},
            self.shape,
            self.picture,
        )

    def change(self, coarse: F32, lifted: NDArray[np.int8] | None) -> F32:
        """What the network would add to the depths (SIDE,)*3 of a coarse shape."""
        half = SIDE // 2
        if lifted is None:
            lifted = np.zeros((LIFTED, half, half, half), np.int8)
        with torch.inference_mode():
            answer = self.net(torch.from_numpy(coarse)[None, None], torch.from_numpy(lifted)[None].float() / 127)
        return np.asarray(answer[0, 0].numpy(), np.float32)

    def refine(self, coarse: F32, lifted: NDArray[np.int8] | None = None) -> Refined:
        """Refine a shape given by its depths, (SIDE,)*3. lifted: of the picture it was made of, see lift.py."""
        trust = self.shape if lifted is None else self.picture
        return applied(coarse, self.change(coarse, lifted), trust)


def _of_arrays(arrays: dict[str, NDArray[np.float32]], shape: Trust, picture: Trust) -> Refiner:
    return Refiner({name: torch.from_numpy(each) for name, each in arrays.items()}, shape, picture)


def applied(coarse: F32, change: F32, trust: Trust) -> Refined:
    field = np.clip(coarse + np.float32(trust.strength) * change, -REACH, REACH) - np.float32(trust.level)
    if trust.core:
        middle = ndimage.maximum_filter(coarse, 5)  # depth of the middle of the part that is nearest
        field = np.maximum(field, coarse - np.maximum(middle - np.float32(trust.core), 0))
    before, after = coarse > 0, field > 0
    changed = 1 - float((before & after).sum()) / max(float((before | after).sum()), 1.0)
    return Refined(field, changed, changed > trust.most_change or not after.any())


def trusts(config: dict[str, Any]) -> tuple[Trust, Trust]:
    return Trust(**config["shape"]), Trust(**config["picture"])
