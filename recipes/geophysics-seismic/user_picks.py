"""The user's own picks (--data): a folder of records, and of picks as CSV or QuakeML.

Each group of picks of one instrument becomes a stretch of record around them. Every fifth group is held out.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hive_runner.errors import InputError
from numpy.typing import NDArray

from .records import RATE_HZ, Notes, Stretch, files_of, stretches
from .simulate import SAMPLES, Onset, Window

if TYPE_CHECKING:
    from obspy import UTCDateTime

HELD_OUT_EVERY = 5
AROUND_S = 35.0  # of record kept before the first and after the last pick of a group
APART_S = 60.0  # between groups
PICK_SUFFIXES = (".csv", ".xml", ".qml", ".quakeml")
FEWEST_GROUPS = 2


@dataclass(frozen=True)
class Excerpt:
    """A stretch of record with all its picks."""

    waves: Path  # .npy, (3, N) at 100 Hz
    onsets: tuple[tuple[str, float], ...]  # phase, seconds from its beginning


@dataclass(frozen=True)
class UserWindows:
    training: tuple[Excerpt, ...] = ()
    held_out: tuple[Excerpt, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.training)

    def window(self, rng: np.random.Generator) -> Window:
        """30 s of a random excerpt around one of its picks, at times turned upside down."""
        excerpt = self.training[int(rng.integers(len(self.training)))]
        waves = np.load(excerpt.waves)
        about = excerpt.onsets[int(rng.integers(len(excerpt.onsets)))][1]
        latest = max(waves.shape[1] - SAMPLES, 0)
        begin = int(np.clip(round((about - rng.uniform(1, 29)) * RATE_HZ), 0, latest))
        cut = waves[:, begin : begin + SAMPLES]
        cut = np.pad(cut, ((0, 0), (0, SAMPLES - cut.shape[1]))) * rng.choice([-1.0, 1.0])
        onsets = [(phase, second - begin / RATE_HZ) for phase, second in excerpt.onsets]
        inside = tuple(Onset(phase, second, True) for phase, second in onsets if 0 <= second < SAMPLES / RATE_HZ)
        return Window(cut.astype(np.float32), inside, "user")


Station = tuple[str, str]  # network ("" where it isn't told), station


def read_picks(paths: list[Path]) -> dict[Station, list[tuple[str, UTCDateTime]]]:
    """Picks of P and S by station. Raises InputError."""
    picks: dict[Station, list[tuple[str, UTCDateTime]]] = defaultdict(list)
    for path in paths:
        rows = _csv_picks(path) if path.suffix.lower() == ".csv" else _quakeml_picks(path)
        for station, phase, time in rows:
            if phase[:1].upper() in ("P", "S"):
                picks[station].append((phase[0].upper(), time))
    return picks


def _csv_picks(path: Path) -> Iterator[tuple[Station, str, UTCDateTime]]:
    """Columns station, phase, time (ISO 8601) and, if need be, network: as `hive run` writes them."""
    from obspy import UTCDateTime

    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = {"station", "phase", "time"} - set(reader.fieldnames or ())
        if missing:
            raise InputError(
                f"{path.name} holds no picks", f"it has no column {', '.join(sorted(missing))}",
                "the columns are station, phase (P or S), time (ISO 8601) and, if you like, network",
            )  # fmt: skip
        for number, row in enumerate(reader, 2):
            try:
                time = UTCDateTime(row["time"])
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"{path.name} line {number} has no time", repr(row["time"]), "write 2024-05-01T12:00:00.00"
                ) from error
            yield (
                ((row.get("network") or "").strip(), (row["station"] or "").strip()),
                (row["phase"] or "").strip(),
                time,
            )


def _quakeml_picks(path: Path) -> Iterator[tuple[Station, str, UTCDateTime]]:
    import obspy

    try:
        events = obspy.read_events(str(path))
    except Exception:  # StationXML and others end in .xml as well
        return
    for event in events:
        for pick in event.picks:
            if pick.waveform_id is not None:
                code = pick.waveform_id
                yield (code.network_code or "", code.station_code or ""), pick.phase_hint or "", pick.time


def cut_excerpts(source: Path, scratch: Path) -> UserWindows:
    """Excerpts around every group of picks, written below `scratch`. Raises InputError."""
    files = files_of([source])
    picks = read_picks([path for path in files if path.suffix.lower() in PICK_SUFFIXES])
    if not picks:
        raise InputError(
            f"{source} holds no picks", f"of {len(files)} files none is a CSV or QuakeML with P or S picks",
            "put picks.csv (station,phase,time) or a QuakeML file beside the records",
        )  # fmt: skip
    folder = scratch / "excerpts"
    folder.mkdir(parents=True, exist_ok=True)
    excerpts: list[Excerpt] = []
    records = [path for path in files if path.suffix.lower() not in PICK_SUFFIXES]
    for stretch in stretches(records, Notes()):
        for waves, onsets in _around(stretch, picks):
            path = folder / f"{len(excerpts):06d}.npy"
            np.save(path, waves)
            excerpts.append(Excerpt(path, onsets))
    if len(excerpts) < FEWEST_GROUPS:
        raise InputError(
            f"{source} has too few picks on its records", f"{len(excerpts)} groups of picks lie on a record",
            "stations and times of picks and records must agree; records need 30 s before a pick",
        )  # fmt: skip
    held_out = excerpts[HELD_OUT_EVERY // 2 :: HELD_OUT_EVERY] or excerpts[-1:]
    return UserWindows(tuple(e for e in excerpts if e not in held_out), tuple(held_out))


def _around(
    stretch: Stretch, picks: dict[Station, list[tuple[str, Any]]]
) -> Iterator[tuple[NDArray[np.float32], tuple[tuple[str, float], ...]]]:
    known = [*picks.get((stretch.network, stretch.station), ()), *picks.get(("", stretch.station), ())]
    length_s = stretch.waves.shape[1] / RATE_HZ
    seconds = sorted({(round(float(time - stretch.start), 4), phase) for phase, time in known})
    inside = [
        (second, phase) for second, phase in seconds
        if max(stretch.keep_from_s, 0) <= second < min(stretch.keep_to_s, length_s)
    ]  # fmt: skip
    group: list[tuple[float, str]] = []
    for second, phase in [*inside, (float("inf"), "")]:
        if group and second - group[-1][0] > APART_S:
            begin = max(round((group[0][0] - AROUND_S) * RATE_HZ), 0)
            end = round((group[-1][0] + AROUND_S) * RATE_HZ)
            yield stretch.waves[:, begin:end], tuple((name, at - begin / RATE_HZ) for at, name in group)
            group = []
        group.append((second, phase))
