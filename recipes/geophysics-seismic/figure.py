"""The figure of a run: each instrument's record with its picks, and the surest picks near by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .picker import Pick
from .picks_file import StationPick
from .records import Stretch

RATE_HZ = 100.0
COLOURS = {"P": "#c1272d", "S": "#0062b1"}
COMPONENT_COLOURS = ("#1a1a1a", "#5a5a5a", "#8a8a8a")
MOST_INSTRUMENTS = 8
MOST_DETAILS = 6
COLUMNS = 1500  # points that a trace of the overview is drawn with
DETAIL_BEFORE_S, DETAIL_S = 3.0, 15.0
APART_S = 20.0  # between two details of one instrument


@dataclass(frozen=True)
class Detail:
    """15 s around a P pick (or an S where there is no P)."""

    title: str
    waves: NDArray[np.float32]  # (3, N) high-passed
    probabilities: NDArray[np.float32]  # (2, N)
    components: str
    picks: tuple[Pick, ...]  # seconds from the beginning of the detail
    probability: float


@dataclass
class Collector:
    """Gathers what the figure shows while a record goes by, and keeps no more than that."""

    envelopes: dict[str, list[tuple[float, float, NDArray[np.float32]]]] = field(default_factory=dict)
    picks: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    details: list[Detail] = field(default_factory=list)
    begin: Any = None
    end: Any = None
    left_out: set[str] = field(default_factory=set)

    def add(
        self, stretch: Stretch, filtered: NDArray[np.float32], answers: NDArray[np.float32], picks: Sequence[Pick],
        kept: Sequence[StationPick],
    ) -> None:  # fmt: skip
        length = filtered.shape[1]
        first = max(round(max(stretch.keep_from_s, 0) * RATE_HZ), 0)
        last = min(round(min(stretch.keep_to_s, length / RATE_HZ) * RATE_HZ), length)
        if last <= first:
            return
        start, end = stretch.start + first / RATE_HZ, stretch.start + last / RATE_HZ
        self.begin = start if self.begin is None else min(self.begin, start)
        self.end = end if self.end is None else max(self.end, end)
        name = stretch.instrument
        if name not in self.envelopes and len(self.envelopes) >= MOST_INSTRUMENTS:
            self.left_out.add(name)
        else:
            self.envelopes.setdefault(name, []).append(
                (start.timestamp, end.timestamp, _thinned(filtered[0, first:last]))
            )
            self.picks.setdefault(name, []).extend((each.time.timestamp, each.pick.phase) for each in kept)
        self._details(stretch, filtered, answers, picks)

    def _details(
        self, stretch: Stretch, filtered: NDArray[np.float32], answers: NDArray[np.float32], picks: Sequence[Pick]
    ) -> None:  # fmt: skip
        own = [p for p in picks if stretch.keep_from_s <= p.second < stretch.keep_to_s]
        wanted = [p for p in own if p.phase == "P"] or own
        taken: list[float] = []
        for pick in sorted(wanted, key=lambda p: -p.probability)[:MOST_DETAILS]:
            if any(abs(pick.second - other) < APART_S for other in taken):
                continue
            taken.append(pick.second)
            later = [p.second for p in own if p.phase == "S" and 0 < p.second - pick.second < 60]
            span_s = max(DETAIL_S, min(later, default=0) - pick.second + 8)
            begin = max(round((pick.second - DETAIL_BEFORE_S) * RATE_HZ), 0)
            part = slice(begin, begin + round(span_s * RATE_HZ))
            near = tuple(
                Pick(p.phase, p.second - begin / RATE_HZ, p.probability, p.spread_s)
                for p in picks if begin <= p.second * RATE_HZ < part.stop
            )  # fmt: skip
            title = f"{stretch.instrument}  {(stretch.start + begin / RATE_HZ).strftime('%Y-%m-%d %H:%M:%S.%f')[:-4]}"
            self.details.append(
                Detail(
                    title,
                    filtered[:, part].copy(),
                    answers[1:3, part].copy(),
                    stretch.components,
                    near,
                    pick.probability,
                )
            )
        self.details = sorted(self.details, key=lambda d: -d.probability)[:MOST_DETAILS]


def _thinned(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2, COLUMNS at most): lowest and highest of each run of samples."""
    size = max(len(wave) // COLUMNS, 1)
    blocks = wave[: len(wave) // size * size].reshape(-1, size)
    return np.stack([blocks.min(1), blocks.max(1)])


def draw(path: Path, collected: Collector, title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    instruments, details = list(collected.envelopes), collected.details
    rows = -(-len(details) // 2)
    overview = 0.95 + 0.75 * len(instruments)
    figure = pyplot.figure(figsize=(12, overview + 0.6 + 3.1 * rows), dpi=120)
    height = figure.get_figheight()
    figure.suptitle(title, x=0.07, y=1 - 0.12 / height, ha="left", va="top", fontsize=11, weight="bold")
    _overview(figure.add_axes((0.07, 1 - overview / height, 0.91, (overview - 0.5) / height)), collected)
    for index, detail in enumerate(details):
        row, column = divmod(index, 2)
        bottom = height - overview - 0.55 - 3.1 * (row + 1) + 0.5
        axes = figure.add_axes((0.07 + 0.48 * column, bottom / height, 0.43, 2.45 / height))
        _detail(axes, detail)
    figure.savefig(path)
    pyplot.close(figure)


def _overview(axes: Any, collected: Collector) -> None:
    span_s = collected.end - collected.begin
    unit, name = (1.0, "s") if span_s < 600 else (60.0, "min") if span_s < 3 * 3600 else (3600.0, "h")
    origin = collected.begin.timestamp
    for row, (instrument, parts) in enumerate(collected.envelopes.items()):
        loud = np.concatenate([np.abs(part).max(0) for *_, part in parts])
        scale = 0.42 / (max(float(np.quantile(loud, 0.998)), 1e-30) if len(loud) else 1)
        for start, end, part in parts:
            x = (np.linspace(start, end, part.shape[1]) - origin) / unit
            low, high = np.clip(part * scale, -0.48, 0.48)
            axes.fill_between(x, low - row, high - row, color="#333333", linewidth=0.4)
        for phase, colour in COLOURS.items():
            seconds = np.array([second for second, each in collected.picks[instrument] if each == phase])
            if len(seconds):
                many = len(seconds) > 60
                axes.vlines(
                    (seconds - origin) / unit,
                    -row - 0.46,
                    -row + 0.46,
                    color=colour,
                    lw=0.5 if many else 1.1,
                    alpha=0.8,
                )
    axes.set_yticks([])
    for row, instrument in enumerate(collected.envelopes):
        axes.text(-0.005, -row, instrument.replace("..", ".\n."), transform=axes.get_yaxis_transform(), fontsize=7,
                  ha="right", va="center")  # fmt: skip
    axes.set_xlim(0, span_s / unit)
    axes.set_ylim(0.55 - len(collected.envelopes), 0.55)
    axes.tick_params(axis="x", labelsize=8)
    more = f"; {len(collected.left_out)} more instruments are not drawn" if collected.left_out else ""
    axes.set_xlabel(f"{name} after {collected.begin.strftime('%Y-%m-%d %H:%M:%S')} UTC{more}", fontsize=8)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _detail(axes: Any, detail: Detail) -> None:
    seconds = np.arange(detail.waves.shape[1]) / RATE_HZ
    alive = [row for row in range(3) if detail.waves[row].any()]
    for place, row in enumerate(alive):
        wave = detail.waves[row] / (2.1 * np.abs(detail.waves[row]).max())
        axes.plot(seconds, wave - place, color=COMPONENT_COLOURS[row], lw=0.6)
    floor = -len(alive) - 0.35
    for row, (phase, colour) in enumerate(COLOURS.items()):
        axes.fill_between(seconds, floor, floor + 0.75 * detail.probabilities[row], color=colour, alpha=0.35, lw=0)
        for pick in detail.picks:
            if pick.phase == phase:
                axes.axvline(pick.second, color=colour, lw=1.0)
                axes.axvspan(pick.second - pick.spread_s, pick.second + pick.spread_s, color=colour, alpha=0.15, lw=0)
                words = f"{phase} {pick.probability:.2f}\n±{pick.spread_s:.2f} s"
                axes.text(pick.second, 0.98 - 0.42 * row, words, color=colour, fontsize=7, ha="left", va="bottom")
    labels = list(detail.components) if len(detail.components) == len(alive) else ["ZNE"[row] for row in alive]
    axes.set_yticks([*range(0, -len(alive), -1), floor], [*labels, "prob."], fontsize=8)
    axes.set_xlim(0, seconds[-1])
    axes.set_ylim(floor - 0.05, 1.42)
    axes.set_title(detail.title, fontsize=8, loc="left", pad=3)
    axes.set_xlabel("s", fontsize=8, labelpad=1)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
