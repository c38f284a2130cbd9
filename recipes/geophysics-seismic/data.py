"""Training samples: conditioned windows with, for every sample, the class that the network shall answer.

A sample depends on (seed, index) alone, so worker processes may make them in any order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .conditioning import channels, high_passed
from .simulate import RATE_HZ, SAMPLES, Window, simulate
from .user_picks import UserWindows

PHASES = ("P", "S")
LABEL_WIDTH_S = {"P": 0.08, "S": 0.12}  # of the Gaussian around an onset that a probability shall have
REACH_S = 0.4  # around an onset, where offset and spread are learned
UNASKED_S = 0.6  # around an onset too weak to see, where nothing is asked
TIME_S = np.arange(SAMPLES) / RATE_HZ


@dataclass(frozen=True)
class Batch:
    """B windows."""

    waves: NDArray[np.float32]  # (B, 6, 3000)
    share: NDArray[np.float32]  # (B, 3, 3000) of noise, P and S
    asked: NDArray[np.float32]  # (B, 3000) 1, or 0 where the answer does not count
    offset: NDArray[np.float32]  # (B, 2, 3000) seconds from each sample to the P, S onset near it; NaN elsewhere


def describe(window: Window) -> Batch:
    """A batch of one."""
    share = np.zeros((3, SAMPLES))
    asked = np.ones(SAMPLES)
    offset = np.full((2, SAMPLES), np.nan)
    for onset in window.onsets:
        row = PHASES.index(onset.phase)
        away = onset.second - TIME_S
        if not onset.visible:
            asked[np.abs(away) < UNASKED_S] = 0
            continue
        bell = np.exp(-0.5 * (away / LABEL_WIDTH_S[onset.phase]) ** 2)
        share[1 + row] = np.maximum(share[1 + row], np.where(bell > 0.01, bell, 0))
        closer = (np.abs(away) < REACH_S) & ~(np.abs(offset[row]) < np.abs(away))
        offset[row, closer] = away[closer]
    share /= np.maximum(share.sum(0), 1)
    share[0] = 1 - share[1:].sum(0)
    asked[share[0] < 0.99] = 1
    return Batch(channels(high_passed(window.waves))[None], *(
        part[None].astype(np.float32) for part in (share, asked, offset)
    ))  # fmt: skip


def make_batch(seed: int, first: int, count: int, user: UserWindows, user_share: float) -> Batch:
    """Samples `first` to `first + count - 1`; with probability `user_share` one is a window of the user's records."""
    parts = []
    for index in range(first, first + count):
        rng = np.random.default_rng(np.random.SeedSequence([seed, index, 1]))
        if user and rng.random() < user_share:
            parts.append(describe(user.window(rng)))
        else:
            parts.append(describe(simulate(seed, index)))
    return Batch(*(np.concatenate([getattr(part, name) for part in parts]) for name in Batch.__dataclass_fields__))
