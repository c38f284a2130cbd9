"""Pick P and S in records: QuakeML, CSV and a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hive_runner.errors import InputError
from numpy.typing import ArrayLike, NDArray

from . import figure, picks_file
from .conditioning import high_passed
from .picker import Pick, Picker
from .records import RATE_HZ, Notes, stretches
from .unusual import COMMON, strange_share

if TYPE_CHECKING:
    from hive_runner.run import Run

EDGE_S = 0.3  # at the ends of a stretch, where the beginning of a record looks like an onset
CSV, QUAKEML, FIGURE = (".csv",), (".xml", ".qml", ".quakeml"), (".png",)
LEAST, MOST = 0.05, 0.95

Progress = Callable[[float], None]  # seconds of record done


def _quiet(seconds: float) -> None:
    """Progress that nobody sees."""


class Model:
    """A trained picker for arrays and files."""

    def __init__(self, tensors: dict[str, Any], config: dict[str, Any], threads: int = 1, name: str = "") -> None:
        self.picker = Picker(tensors, config, threads)
        self.name = name or "geophysics-seismic"
        self._usual = config["usual"]

    def pick(self, waves: ArrayLike, thresholds: dict[str, float] | None = None) -> list[Pick]:
        """Picks in one record without gaps. waves: (3, N) at 100 Hz, vertical, north, east, any unit; absent
        components 0. thresholds: of a phase, in place of the model's own. Raises InputError."""
        array = np.asarray(waves, np.float32)
        if array.ndim != 2 or array.shape[0] != 3 or array.shape[1] < 100:
            raise InputError("waves must be an array of (3, N), N at least 100", f"it is {array.shape}")
        if not np.isfinite(array).all():
            raise InputError("some samples are not finite", hint="cut the record there")
        return self._picks(high_passed(array), thresholds)[1]

    def _picks(
        self, filtered: NDArray[np.float32], thresholds: dict[str, float] | None
    ) -> tuple[NDArray[np.float32], list[Pick]]:
        answers = self.picker.answers(filtered)
        length_s = filtered.shape[1] / RATE_HZ
        picks = self.picker.peaks(filtered, answers, {**self.picker.thresholds_for(filtered), **(thresholds or {})})
        return answers, [pick for pick in picks if EDGE_S <= pick.second <= length_s - EDGE_S]

    def pick_files(
        self,
        paths: Sequence[Path],
        target: Path,
        thresholds: dict[str, float] | None = None,
        progress: Progress = _quiet,
    ) -> dict[str, Any]:
        """Write the picks of files or folders to `target`: a file (.csv, .xml, .png) or a folder with all three.

        Returns a summary. Raises InputError.
        """
        notes = Notes()
        found: list[picks_file.StationPick] = []
        collected = figure.Collector()
        instruments: dict[str, float] = {}
        strange: list[tuple[float, float]] = []  # share of windows unlike the training's, seconds they stand for
        for stretch in stretches(paths, notes):
            filtered = high_passed(stretch.waves)
            answers, picks = self._picks(filtered, thresholds)
            kept = picks_file.of_stretch(stretch, picks)
            found += kept
            collected.add(stretch, filtered, answers, picks, kept)
            length_s = filtered.shape[1] / RATE_HZ
            own_s = max(min(stretch.keep_to_s, length_s) - max(stretch.keep_from_s, 0), 0)
            instruments[stretch.instrument] = instruments.get(stretch.instrument, 0.0) + own_s
            strange.append((strange_share(filtered, self._usual), own_s))
            progress(sum(instruments.values()))
        if not instruments:
            raise InputError(
                "there is nothing to pick in", "; ".join(notes.lines) or "no stretch of record is long enough",
                "give records of at least some seconds without gaps",
            )  # fmt: skip
        found.sort(key=lambda each: (each.time.ns, each.station, each.pick.phase))
        counts = {phase: sum(each.pick.phase == phase for each in found) for phase in ("P", "S")}
        seconds = sum(instruments.values())
        summary = {
            "picks_p": counts["P"],
            "picks_s": counts["S"],
            "instruments": sorted(instruments),
            "hours": round(seconds / 3600, 4),
            "gaps": notes.gaps,
            "rates_hz": sorted(notes.rates_hz),
            "thresholds": {**self.picker.thresholds, **(thresholds or {})},
            "thresholds_alone": {**self.picker.thresholds_alone, **(thresholds or {})},
            "warnings": [*notes.lines, *_judge(strange, counts, seconds)],
        }
        start = collected.begin.strftime("%Y-%m-%d %H:%M")
        title = f"{counts['P']} P and {counts['S']} S picks in {_duration(seconds)} of record from {start} UTC"
        self._write(target, found, collected, title)
        return summary

    def _write(
        self, target: Path, found: list[picks_file.StationPick], collected: figure.Collector, title: str
    ) -> None:  # fmt: skip
        suffix = target.suffix.lower()
        if suffix not in CSV + QUAKEML + FIGURE:
            target.mkdir(parents=True, exist_ok=True)
            for name in ("picks.csv", "picks.xml", "picks.png"):
                self._write(target / name, found, collected, title)
        elif suffix in CSV:
            picks_file.write_csv(target, found)
        elif suffix in QUAKEML:
            picks_file.write_quakeml(target, found, self.name)
        else:
            figure.draw(target, collected, title)


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 600
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _judge(strange: list[tuple[float, float]], counts: dict[str, int], seconds: float) -> list[str]:
    warnings = []
    total = sum(own_s for _, own_s in strange)
    share = sum(part * own_s for part, own_s in strange) / max(total, 1e-9)
    if share > COMMON:
        warnings.append(
            f"{share:.0%} of the record is unlike anything the model was trained on (by its spectrum and spikes): "
            "do not trust these picks without looking"
        )
    if seconds > 1800 and counts["P"] / (seconds / 3600) > 200:
        warnings.append("more than 200 P picks an hour: a swarm, or a disturbance that looks like one")
    return warnings


def load(artifact: Path, threads: int = 1, device: str = "cpu") -> Model:
    """The trained model of an installed artifact."""
    from hive_runner.export import load_weights

    tensors, config = load_weights(artifact)
    return Model(tensors, config, threads)


def predict(run: Run) -> None:
    """Pick in run.inputs, into the folder run.output or the one file that its suffix names."""
    wanted = {"P": float(run.options.threshold_p), "S": float(run.options.threshold_s)}
    model = load(run.artifact, max(1, run.cpus))
    model.name = f"geophysics-seismic/{run.version}"
    thresholds = {phase: given for phase, given in wanted.items() if given}
    for phase, given in thresholds.items():
        if not LEAST <= given <= MOST:
            raise InputError(
                f"--threshold-{phase.lower()} {given:g} is no threshold", f"it is a probability from {LEAST} to {MOST}",
                "lower finds more and is wrong more often",
            )  # fmt: skip
    if run.output.suffix.lower() in (".json", ".txt", ".pdf", ".svg", ".mseed", ".sac"):
        raise InputError(
            f"{run.output.name} cannot be written",
            f"picks are written as {', '.join(CSV + QUAKEML + FIGURE)}, or as a folder with one of each kind",
            "-o picks.csv, -o picks.xml, or -o picks",
        )
    run.phase("pick")
    summary = model.pick_files(run.inputs, run.output, thresholds, lambda seconds: run.progress(round(seconds)))
    run.summary.update(summary)


def sample(run: Run) -> None:
    """Half a minute of four made-up stations, 100 Hz, three components, with a simulated earthquake at each."""
    from obspy import Stream, Trace, UTCDateTime

    from .simulate import TRAINED, simulate

    domain = replace(TRAINED, vertical_only=0.0, nuisances=0.0, peak_to_noise=(20.0, 300.0), s_minus_p_s=(1.5, 9.0))
    stream = Stream()
    index = 0
    while len(stream) < 12:
        window = simulate(run.seed, index, domain, "one")
        index += 1
        shown = [onset.phase for onset in window.onsets if onset.visible and 4 < onset.second < 26]
        if shown != ["P", "S"] or not np.ptp(window.waves, axis=1).all():
            continue
        header = {"network": "XX", "station": f"HIVE{len(stream) // 3 + 1}", "sampling_rate": RATE_HZ}
        for code, wave in zip("ZNE", window.waves, strict=True):
            place = {"channel": f"HH{code}", "starttime": UTCDateTime(2024, 5, 1, 12)}
            stream.append(Trace(np.round(wave).astype(np.int32), {**header, **place}))
    stream.write(str(run.output), format="MSEED")
    run.summary.update(seconds=30.0, stations=len(stream) // 3, rate_hz=RATE_HZ)
