"""A trained network on a record of any length: windows that overlap, and the peaks of what they say together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import signal

from .aic import aic_onset
from .conditioning import channels, high_passed, is_alone
from .model import PHASES, Committee

RATE_HZ = 100.0
WINDOW = 3000  # samples
HOP = 1000
BATCH = 16
NEAREST_S = {"P": 0.4, "S": 0.4}  # between two picks of one phase
# A P is moved half the way to where AIC parts the vertical near it. On windows like the training's it is as good
# without; on others the network is late, and AIC does not depend on what was trained on.
AIC_BEFORE_S, AIC_AFTER_S, AIC_NEAR_S, AIC_SHARE = 0.6, 0.3, 0.06, 0.5
AIC_LEAST = 30  # samples
# How much a window says about each of its samples: little at its ends
WEIGHT = np.clip(np.minimum(np.arange(WINDOW) + 1, np.arange(WINDOW, 0, -1)) / 600, 0.02, 1.0).astype(np.float32)


@dataclass(frozen=True)
class Pick:
    phase: str  # "P" | "S"
    second: float  # after the first sample of the trace
    probability: float
    spread_s: float  # the true onset is within this of `second` in 68 % of the picks


class Picker:
    """tensors, config: of an artifact."""

    def __init__(self, tensors: Mapping[str, Any], config: Mapping[str, Any], threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self._net = Committee()
        self._net.load_state_dict(dict(tensors), strict=False)
        self._net.eval()
        self.thresholds: dict[str, float] = dict(config.get("thresholds", {"P": 0.3, "S": 0.3}))
        self.thresholds_alone: dict[str, float] = dict(config.get("thresholds_alone", self.thresholds))
        self.spread_factor: dict[str, float] = dict(config.get("spread_factor", {"P": 1.0, "S": 1.0}))

    def answers(self, filtered: NDArray[np.float32]) -> NDArray[np.float32]:
        """(3, N) high-passed, without gaps -> (7, N): noise, P, S probability; offsets and log spreads in s."""
        length = filtered.shape[1]
        total = max(WINDOW, -(-(length - WINDOW) // HOP) * HOP + WINDOW)
        padded = np.pad(filtered, ((0, 0), (0, total - length)))
        starts = list(range(0, total - WINDOW + 1, HOP))
        summed, weights = np.zeros((7, total), np.float32), np.zeros(total, np.float32)
        for k in range(0, len(starts), BATCH):
            chosen = starts[k : k + BATCH]
            windows = np.stack([padded[:, start : start + WINDOW] for start in chosen])
            with torch.inference_mode():
                each = self._net(torch.from_numpy(channels(windows)))
                each[:, :, :3] = torch.softmax(each[:, :, :3], dim=2)
                out = each.mean(0)
            for start, answer in zip(chosen, out.numpy(), strict=True):
                summed[:, start : start + WINDOW] += WEIGHT * answer
                weights[start : start + WINDOW] += WEIGHT
        return (summed / weights)[:, :length]

    def thresholds_for(self, waves: NDArray[np.float32]) -> dict[str, float]:
        """Of a vertical component alone S is told with less certainty, and a threshold for three would miss most."""
        return self.thresholds_alone if is_alone(waves) else self.thresholds

    def picks(self, waves: NDArray[np.float32]) -> list[Pick]:
        filtered = high_passed(waves)
        return self.peaks(filtered, self.answers(filtered), self.thresholds_for(waves))

    def peaks(
        self, filtered: NDArray[np.float32], answers: NDArray[np.float32], thresholds: Mapping[str, float]
    ) -> list[Pick]:
        """Picks in order of time. filtered: what the answers are about, (3, N)."""
        found = []
        for row, phase in enumerate(PHASES):
            probability = answers[1 + row]
            apart = int(NEAREST_S[phase] * RATE_HZ)
            tops, _ = signal.find_peaks(np.pad(probability, 1), height=thresholds[phase], distance=apart)
            for top in tops - 1:
                offset, log_spread = float(answers[3 + row, top]), float(answers[5 + row, top])
                second = top / RATE_HZ + float(np.clip(offset, -0.4, 0.4))
                found.append(
                    Pick(
                        phase, _nearer_to_aic(filtered[0], second) if phase == "P" else second, float(probability[top]),
                        self.spread_factor[phase] * float(np.exp(np.clip(log_spread, -5.3, 1.0))),
                    )
                )  # fmt: skip
        return sorted(found, key=lambda pick: pick.second)


def _nearer_to_aic(vertical: NDArray[np.float32], second: float) -> float:
    begin, end = round((second - AIC_BEFORE_S) * RATE_HZ), round((second + AIC_AFTER_S) * RATE_HZ)
    near = vertical[max(begin, 0) : max(end, 0)]
    if len(near) < AIC_LEAST or not near.any():
        return second
    off = (max(begin, 0) + aic_onset(near.astype(float))) / RATE_HZ - second
    return second + AIC_SHARE * off if abs(off) <= AIC_NEAR_S else second
