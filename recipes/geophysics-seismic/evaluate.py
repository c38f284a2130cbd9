"""Thresholds and spreads from simulated validation windows; the figures from windows of other generator parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from . import unusual
from .baselines import kurtosis_aic, sta_lta_aic
from .conditioning import high_passed, is_alone
from .model import PHASES
from .picker import Pick, Picker
from .score import Tally
from .simulate import KINDS, SAMPLES, SHARES, SHIFTED, TRAINED, Domain, Onset, Window, simulate
from .user_picks import Excerpt

if TYPE_CHECKING:
    from hive_runner.run import Run

VALIDATION_SEED, HELD_OUT_SEED = 0x5E15_0001, 0x5E15_0002  # no training seed, by the size of their second word
TOLERANCE_S = 0.1
LOOSE_S = 0.5  # what is matched to judge spreads: what is further away is another onset
LOWEST = {"P": 0.05, "S": 0.05}
TRIALS = np.round(np.arange(0.10, 0.90, 0.02), 2)
FALSE_AN_HOUR = 8.0  # of each phase that the threshold may let through in simulated noise
FORGONE_F1 = 0.01  # for fewer false picks: about the standard deviation of F1 over draws of windows
SPREAD_SHARE = 0.683  # of true onsets within the spread that is told
HOURS_PER_WINDOW = SAMPLES / 100.0 / 3600.0
BASELINES: dict[str, Callable[..., dict[str, list[float]]]] = {
    "STA/LTA + AIC": sta_lta_aic,
    "kurtosis + AIC": kurtosis_aic,
}
BASELINE_EVERY = 3  # one window in so many is given to the baselines


@dataclass(frozen=True)
class Answered:
    kind: str
    onsets: tuple[Onset, ...]
    picks: list[Pick]

    def truth(self, phase: str) -> list[float]:
        return [o.second for o in self.onsets if o.phase == phase and o.visible]

    def unasked(self, phase: str) -> list[float]:
        return [o.second for o in self.onsets if o.phase == phase and not o.visible]


def tally(
    answered: Sequence[Answered], phase: str, threshold: float = 0.0, tolerance_s: float = TOLERANCE_S, kind: str = ""
) -> Tally:
    result = Tally(tolerance_s)
    for each in answered:
        if kind in ("", each.kind):
            picks = [p for p in each.picks if p.phase == phase and p.probability >= threshold]
            result.add(each.truth(phase), [p.second for p in picks], each.unasked(phase), [p.spread_s for p in picks])
    return result


def windows(seed: int, count: int, domain: Domain) -> Iterator[Window]:
    """`count` windows, the kinds in turn as often as in training."""
    kinds = np.repeat(KINDS, np.round(np.array(SHARES) * 50).astype(int))
    for index in range(count):
        yield simulate(seed, index, domain, str(kinds[(index * 7) % len(kinds)]))


def calibrate(run: Run, picker: Picker, count: int) -> dict[str, Any]:
    """Thresholds, factors of the spreads, and what usual records look like, from windows of the training's own kind."""
    run.phase("validate", total=count)
    answered: dict[bool, list[Answered]] = {False: [], True: []}  # by whether the vertical is alone
    seen = []
    seed = VALIDATION_SEED + (run.seed << 32)
    for index, window in enumerate(windows(seed, count, TRAINED)):
        seen.append(high_passed(window.waves))
        picks = picker.peaks(seen[-1], picker.answers(seen[-1]), LOWEST)
        answered[is_alone(window.waves)].append(Answered(window.kind, window.onsets, picks))
        run.progress(index + 1)
    of_three, of_one = (
        {phase: choose_threshold(rows, phase) for phase in PHASES} for rows in (answered[False], answered[True])
    )
    factors = {}
    for phase in PHASES:
        loose = [
            tally(answered[alone], phase, own[phase], LOOSE_S) for alone, own in ((False, of_three), (True, of_one))
        ]
        off = np.concatenate([np.abs(each.residual_s) for each in loose])
        ratio = off / np.maximum(np.concatenate([each.spread_s for each in loose]), 1e-6)
        factors[phase] = round(float(np.quantile(ratio, SPREAD_SHARE)), 4) if len(ratio) else 1.0
    run.log(f"thresholds {of_three}, of a vertical component alone {of_one}, factors of the spread {factors}")
    return {
        "thresholds": of_three, "thresholds_alone": of_one, "spread_factor": factors, "usual": unusual.learn(seen)
    }  # fmt: skip


def choose_threshold(answered: Sequence[Answered], phase: str) -> float:
    """Of those that let few enough picks through where there is only noise, the highest with an F1 near the best one:
    earthquakes are rarer in records than in these windows.
    """
    hours = HOURS_PER_WINDOW * sum(each.kind == "noise" for each in answered)
    allowed = [
        float(t) for t in TRIALS if tally(answered, phase, t, kind="noise").false <= FALSE_AN_HOUR * max(hours, 1e-9)
    ]  # fmt: skip
    f1 = {t: tally(answered, phase, t).f1 for t in allowed or [float(TRIALS[-1])]}
    return max(t for t in f1 if f1[t] >= max(f1.values()) - FORGONE_F1)


def evaluate(run: Run, picker: Picker, count: int) -> None:
    """Figures on simulated windows of other generator parameters."""
    run.phase("evaluate", total=count)
    answered: list[Answered] = []
    peers: dict[str, list[Answered]] = {name: [] for name in BASELINES}
    for index, window in enumerate(windows(HELD_OUT_SEED + (run.seed << 32), count, SHIFTED)):
        answered.append(Answered(window.kind, window.onsets, picker.picks(window.waves)))
        if index % BASELINE_EVERY == 0:
            for name, method in BASELINES.items():
                found = [Pick(phase, s, 1.0, 0.0) for phase, times in method(window.waves).items() for s in times]
                peers[name].append(Answered(window.kind, window.onsets, found))
        run.progress(index + 1)
    dataset = f"{count} simulated windows of 30 s of other generator parameters"
    report(run, answered, peers, "", dataset)
    noise_hours = HOURS_PER_WINDOW * sum(each.kind == "noise" for each in answered)
    false = {
        name: sum(tally(rows, phase, kind="noise").false for phase in PHASES)
        / max(HOURS_PER_WINDOW * sum(each.kind == "noise" for each in rows), 1e-9)
        for name, rows in peers.items()
    }  # fmt: skip
    run.report(
        "false_picks_per_hour",
        sum(tally(answered, phase, kind="noise").false for phase in PHASES) / max(noise_hours, 1e-9),
        better="lower", dataset=f"{noise_hours:.1f} hours of simulated noise", baselines=false,
    )  # fmt: skip
    for phase in PHASES:
        run.report(
            f"swarm_recall_{phase.lower()}", tally(answered, phase, kind="swarm").recall,
            dataset="those of them with 3 to 10 earthquakes",
            baselines={name: tally(rows, phase, kind="swarm").recall for name, rows in peers.items()},
        )  # fmt: skip


def report(run: Run, answered: Sequence[Answered], peers: dict[str, list[Answered]], prefix: str, dataset: str) -> None:
    """F1, residuals, and how often the truth lies within the spread."""
    for phase in PHASES:
        strict, loose = tally(answered, phase), tally(answered, phase, tolerance_s=LOOSE_S)
        name = f"{prefix}{{}}_{phase.lower()}"
        run.report(
            name.format("f1"), strict.f1, dataset=dataset, spread=_bootstrap(answered, phase),
            baselines={peer: tally(rows, phase).f1 for peer, rows in peers.items()},
        )  # fmt: skip
        if not loose.residual_s:
            continue
        run.report(name.format("median_residual"), abs(float(np.median(loose.residual_s))), "lower", "s", dataset)
        run.report(
            name.format("median_absolute_residual"), float(np.median(np.abs(loose.residual_s))), "lower", "s", dataset
        )
        within = np.abs(loose.residual_s) <= np.array(loose.spread_s)
        run.report(name.format("coverage_of_68_percent"), float(within.mean()), dataset=dataset)


def _bootstrap(answered: Sequence[Answered], phase: str, rounds: int = 50) -> float:
    """Standard deviation of F1 over draws of as many windows."""
    rng = np.random.default_rng(0)
    counts = np.array([[t.found, t.missed, t.false] for t in (tally([each], phase) for each in answered)])
    drawn = [counts[rng.integers(0, len(counts), len(counts))].sum(0) for _ in range(rounds)]
    return float(np.std([2 * f / max(2 * f + m + w, 1) for f, m, w in drawn]))


def evaluate_excerpts(run: Run, picker: Picker, excerpts: Sequence[Excerpt]) -> None:
    """Figures on the user's held-out records, if there are any."""
    if not excerpts:
        return
    run.phase("evaluate on your picks", total=len(excerpts))
    answered: list[Answered] = []
    peers: dict[str, list[Answered]] = {name: [] for name in BASELINES}
    for index, excerpt in enumerate(excerpts):
        waves = np.load(excerpt.waves)
        onsets = tuple(Onset(phase, second, True) for phase, second in excerpt.onsets)
        answered.append(Answered("user", onsets, picker.picks(waves)))
        for name, method in BASELINES.items():
            found = [Pick(phase, s, 1.0, 0.0) for phase, times in method(waves).items() for s in times]
            peers[name].append(Answered("user", onsets, found))
        run.progress(index + 1)
    report(run, answered, peers, "user_", f"{len(excerpts)} held-out excerpts of your records")
