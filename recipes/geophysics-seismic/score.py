"""How picks compare with true onsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


def match(truth_s: Sequence[float], picked_s: Sequence[float], tolerance_s: float) -> list[tuple[int, int]]:
    """Pairs (index of onset, index of pick) no further apart than the tolerance, the closest first, each once."""
    if not len(truth_s) or not len(picked_s):
        return []
    away = np.abs(np.subtract.outer(np.asarray(truth_s, float), np.asarray(picked_s, float)))
    pairs, onsets, picks = [], set(), set()
    for flat in np.argsort(away, axis=None, kind="stable"):
        onset, pick = divmod(int(flat), away.shape[1])
        if away[onset, pick] > tolerance_s:
            break
        if onset not in onsets and pick not in picks:
            onsets.add(onset)
            picks.add(pick)
            pairs.append((onset, pick))
    return pairs


@dataclass
class Tally:
    """Counts and residuals of one phase over many records."""

    tolerance_s: float = 0.1
    found: int = 0
    missed: int = 0
    false: int = 0
    residual_s: list[float] = field(default_factory=list)  # pick minus onset, of the found
    spread_s: list[float] = field(default_factory=list)

    def add(
        self,
        truth_s: Sequence[float],
        picked_s: Sequence[float],
        unasked_s: Sequence[float] = (),
        spread_s: Sequence[float] = (),
    ) -> None:
        """`unasked_s`: onsets that may be picked or not."""
        pairs = match(truth_s, picked_s, self.tolerance_s)
        taken = {pick for _, pick in pairs}
        others = [second for k, second in enumerate(picked_s) if k not in taken]
        excused = len(match(unasked_s, others, max(self.tolerance_s, 0.5)))
        self.found += len(pairs)
        self.missed += len(truth_s) - len(pairs)
        self.false += len(others) - excused
        self.residual_s += [picked_s[pick] - truth_s[onset] for onset, pick in pairs]
        self.spread_s += [spread_s[pick] for _, pick in pairs] if len(spread_s) else []

    @property
    def precision(self) -> float:
        return self.found / max(self.found + self.false, 1)

    @property
    def recall(self) -> float:
        return self.found / max(self.found + self.missed, 1)

    @property
    def f1(self) -> float:
        return 2 * self.found / max(2 * self.found + self.missed + self.false, 1)
