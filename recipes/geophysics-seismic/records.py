"""Records as networks keep them -> stretches without gaps at 100 Hz, of one instrument each.

ObsPy reads them: miniSEED, SAC, GSE2, SEG-Y, Seisan, Win, ... Long archives are read in parts, so that memory stays
small.
"""

from __future__ import annotations

import itertools
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hive_runner.errors import InputError
from numpy.typing import NDArray
from scipy import signal

if TYPE_CHECKING:
    from obspy import Stream, Trace, UTCDateTime

RATE_HZ = 100.0
LOWEST_RATE_HZ = 10.0
COARSE_RATE_HZ = 40.0  # below, onsets are less sharp than the model was made for
HIGHEST_RATE_HZ = 20_000.0
PART_S = 2 * 3600.0  # of an archive that is in memory at once
MARGIN_S = 60.0  # that parts overlap by
SHORTEST_S = 4.0
VERTICAL, NORTH, EAST = 0, 1, 2
AXIS = {
    "Z": VERTICAL, "U": VERTICAL, "V": VERTICAL, "3": VERTICAL,
    "N": NORTH, "1": NORTH, "R": NORTH, "X": NORTH,
    "E": EAST, "2": EAST, "T": EAST, "Y": EAST,
}  # fmt: skip


@dataclass(frozen=True)
class Stretch:
    """One instrument, no gaps."""

    network: str
    station: str
    location: str
    channel: str  # band and instrument code, without the component: "HH"
    start: UTCDateTime
    waves: NDArray[np.float32]  # (3, N) at 100 Hz: vertical, north, east; absent components are 0
    components: str  # as they are called in the file, those that are there: "ZNE", "Z"
    keep_from_s: float  # picks outside these belong to the part of the archive before or after
    keep_to_s: float

    @property
    def instrument(self) -> str:
        return f"{self.network}.{self.station}.{self.location}.{self.channel}"


@dataclass
class Notes:
    """What was odd about the records, and what was done about it: each once."""

    lines: list[str] = field(default_factory=list)
    gaps: int = 0
    rates_hz: set[float] = field(default_factory=set)

    def add(self, line: str) -> None:
        if line not in self.lines:
            self.lines.append(line)


@dataclass(frozen=True)
class _File:
    path: Path
    start: Any
    end: Any


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Files, and the files of folders, by name."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        found += [p for p in inside if path.is_file() or not p.name.startswith(".")]
    return found


def stretches(paths: Sequence[Path], notes: Notes) -> Iterator[Stretch]:
    """Every stretch of every instrument in the files (or folders), part by part in order of time. Raises InputError."""
    files = _headers(files_of(paths), strict=all(path.is_file() for path in paths), notes=notes)
    begin, end = min(file.start for file in files), max(file.end for file in files)
    part = begin
    while part < end:
        last = part + PART_S >= end
        stream = _read_part([f.path for f in files if f.start <= part + PART_S + MARGIN_S and f.end >= part - MARGIN_S],
                            part - MARGIN_S, part + PART_S + MARGIN_S)  # fmt: skip
        keep = (part if part > begin else begin - 1, end + 1 if last else part + PART_S)
        for traces in _by_instrument(stream).values():
            yield from _stretches_of(traces, keep, notes)
        part += PART_S


def _headers(paths: list[Path], strict: bool, notes: Notes) -> list[_File]:
    import obspy

    found = []
    for path in paths:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                traces = obspy.read(str(path), headonly=True, check_compression=False).traces
        except Exception as error:  # each of ObsPy's readers fails in its own way
            if strict:
                raise InputError(
                    f"{path.name} is no seismic record that ObsPy can read", str(error).split("\n")[0] or repr(error),
                    "give miniSEED, SAC, GSE2, SEG-Y, ...; a damaged file may be mended by copying it again",
                ) from error  # fmt: skip
            notes.add(f"{path.name} was passed over: ObsPy cannot read it")
            continue
        if traces:
            found.append(_File(path, min(t.stats.starttime for t in traces), max(t.stats.endtime for t in traces)))
    if not found:
        raise InputError(
            "there is nothing to pick in", f"none of {len(paths)} files holds a seismic record", "give miniSEED or SAC"
        )
    return found


def _read_part(paths: list[Path], begin: Any, end: Any) -> Stream:
    import obspy

    whole = obspy.Stream()
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                whole += obspy.read(str(path), starttime=begin, endtime=end, check_compression=False)
            except Exception as error:
                raise InputError(
                    f"{path.name} is damaged", str(error).split("\n")[0], "copy or download it again"
                ) from error
    return whole


def _by_instrument(stream: Stream) -> dict[tuple[str, ...], list[Trace]]:
    groups: dict[tuple[str, ...], list[Trace]] = defaultdict(list)
    for trace in stream:
        s = trace.stats
        if s.npts:
            groups[s.network, s.station, s.location, s.channel.strip()[:-1]].append(trace)
    return dict(sorted(groups.items()))


def _stretches_of(traces: list[Trace], keep: tuple[Any, Any], notes: Notes) -> Iterator[Stretch]:
    pieces = [piece for trace in traces for piece in _pieces(trace, notes)]
    pieces = _joined(pieces)
    if not pieces:
        return
    name = pieces[0].id.rsplit(".", 1)[0]
    axes = _axes(sorted({piece.stats.channel.strip()[-1:] for piece in pieces}), name, notes)
    marks = sorted({t.ns for p in pieces for t in (p.stats.starttime, p.stats.endtime + p.stats.delta)})
    marks = [
        mark for mark, before in zip(marks, [None, *marks[:-1]], strict=True) if before is None or mark - before > 20e6
    ]
    gaps = -1
    for begin_ns, end_ns in itertools.pairwise(marks):
        here = [
            p
            for p in pieces
            if p.stats.starttime.ns < begin_ns + 20e6 and (p.stats.endtime + p.stats.delta).ns > end_ns - 20e6
        ]
        gaps += bool(here)
        if not here or end_ns - begin_ns < SHORTEST_S * 1e9:
            if here:
                notes.add(f"stretches shorter than {SHORTEST_S:.0f} s were passed over")
            continue
        yield _stretch(here, axes, begin_ns, end_ns, keep)
    notes.gaps += max(gaps, 0)


def _pieces(trace: Trace, notes: Notes) -> Iterator[Trace]:
    """The parts of a trace that hold something, at 100 Hz."""
    rate = float(trace.stats.sampling_rate)
    if not LOWEST_RATE_HZ <= rate <= HIGHEST_RATE_HZ:
        limits = f"{LOWEST_RATE_HZ:g} to {HIGHEST_RATE_HZ:g}"
        notes.add(f"{trace.id} was passed over: {rate:g} samples a second, onsets are picked in {limits}")
        return
    if rate < COARSE_RATE_HZ:
        notes.add(f"{trace.id} has {rate:g} samples a second: picks are less sharp than the model was made for")
    notes.rates_hz.add(round(rate, 3))
    data = np.ma.getdata(trace.data).astype(float)
    known = np.isfinite(data) & ~np.ma.getmaskarray(trace.data)
    if not known.all():
        notes.add(f"{trace.id} holds values that are no numbers: they are taken as gaps")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(int)))
    for begin, end in edges.reshape(-1, 2):
        values = data[begin:end]
        if np.ptp(values) == 0:
            notes.add(f"{trace.id} is dead (one value) for a while: taken as a gap")
            continue
        piece = trace.copy()
        piece.data = _resampled(values, rate)
        piece.stats.sampling_rate = RATE_HZ
        piece.stats.starttime = trace.stats.starttime + begin / rate
        yield piece


def _resampled(values: NDArray[np.float64], rate_hz: float) -> NDArray[np.float64]:
    """To 100 Hz by a linear-phase filter, which moves no onset."""
    ratio = Fraction(RATE_HZ / rate_hz).limit_denominator(1000)
    if ratio == 1:
        return values
    start = values[0]  # the filter takes what is beyond the ends as 0
    return np.asarray(signal.resample_poly(values - start, ratio.numerator, ratio.denominator, padtype="edge") + start)


def _joined(pieces: list[Trace]) -> list[Trace]:
    """Pieces that follow each other without a gap become one; of what is there twice the earlier file counts."""
    done: list[Trace] = []
    for piece in sorted(pieces, key=lambda p: (p.stats.channel, p.stats.starttime, -p.stats.npts)):
        last = done[-1] if done and done[-1].stats.channel == piece.stats.channel else None
        if last is None:
            done.append(piece)
            continue
        away = round((piece.stats.starttime - last.stats.endtime) * RATE_HZ) - 1  # missing samples; < 0: overlap
        if away > 0:
            done.append(piece)
        elif -away < piece.stats.npts:
            last.data = np.concatenate([last.data, piece.data[-away:]])
    return done


def _axes(codes: list[str], name: str, notes: Notes) -> dict[str, int]:
    """Which component each code stands for."""
    if len(codes) == 1 and AXIS.get(codes[0], -1) != VERTICAL:
        notes.add(f"{name} has one component, {codes[0] or 'without a name'}: it is taken as the vertical")
        return {codes[0]: VERTICAL}
    axes: dict[str, int] = {}
    for code in sorted(codes, key=lambda c: "ZUV3NE12RTXY".find(c) % 99):
        axis = AXIS.get(code)
        if axis is None or axis in axes.values():
            notes.add(f"{name}: component {code!r} was passed over (known are Z N E, Z 1 2, 1 2 3, Z R T, X Y Z)")
        else:
            axes[code] = axis
    if VERTICAL not in axes.values():
        notes.add(f"{name} has no vertical component: P picks will be few")
    return axes


def _stretch(pieces: list[Trace], axes: dict[str, int], begin_ns: int, end_ns: int, keep: tuple[Any, Any]) -> Stretch:
    from obspy import UTCDateTime

    length = round((end_ns - begin_ns) * 1e-9 * RATE_HZ)
    waves = np.zeros((3, length), np.float32)
    codes = []
    for piece in pieces:
        code = piece.stats.channel.strip()[-1:]
        if code not in axes:
            continue
        codes.append(code)
        skip = max(round((begin_ns - piece.stats.starttime.ns) * 1e-9 * RATE_HZ), 0)
        part = piece.data[skip : skip + length]
        part = part - part[:1]  # counts of a large offset would lose digits in single precision
        waves[axes[code], : len(part)] = part
        waves[axes[code], len(part) :] = part[-1:]
    stats = pieces[0].stats
    start = UTCDateTime(ns=begin_ns)
    return Stretch(
        stats.network, stats.station, stats.location, stats.channel.strip()[:-1], start, waves,
        "".join(sorted(codes, key=lambda c: axes[c])), keep[0] - start, keep[1] - start,
    )  # fmt: skip
