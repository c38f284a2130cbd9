"""How fast a phase of a run goes, by the run's own clock: whoever attaches late reads its past at once."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hive_runner.contract import RunEvent

WINDOW_S = 120.0


class Pace:
    def __init__(self) -> None:
        self.seen: deque[tuple[float, float]] = deque()  # (at, step) of the last WINDOW_S
        self.phase = ""
        self.resumed = False

    def take(self, event: RunEvent) -> None:
        """A phase begins at its step 0, unless the run goes on from a checkpoint: then nobody knows where."""
        if event.kind == "resume":
            self.resumed = True
        if event.kind not in ("phase", "progress"):
            return
        if event.kind == "phase" or event.phase != self.phase:
            self.phase = event.phase
            self.seen.clear()
        if event.kind == "progress" or not self.resumed:
            self.seen.append((event.at, event.step))
            while len(self.seen) > 2 and self.seen[1][0] < event.at - WINDOW_S:
                self.seen.popleft()

    def left_s(self, total: float) -> float | None:
        """Seconds from the last report to the end of the phase, if that can be told."""
        if not self.seen:
            return None
        (since, before), (at, now) = self.seen[0], self.seen[-1]
        if not (total > 0 and now > before and at - since >= 1):
            return None
        left_s = (total - now) * (at - since) / (now - before)
        return left_s if 0 <= left_s < math.inf else None
