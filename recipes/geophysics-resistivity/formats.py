"""The files that resistivity lines come in: BERT/pyGIMLi, Res2DInv, UBC/SimPEG, tables as of Syscal's Prosys.

Each reader returns a `FieldLine` of metres, ohm metres and shares, with a note for everything that it had to decide.
What cannot be told from the file is an InputError that says what is missing.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile
from pathlib import Path

import numpy as np
from hive_runner.errors import InputError
from numpy.typing import NDArray

from .arrays import Abmn
from .grid import Floats
from .solver import geometric_factors

FARAWAY = 20.0  # lines; an electrode further off stands for infinity
IMPLAUSIBLE_ERROR = 0.3  # a median share above it is no standard deviation of the readings
LARGEST_FILE_BYTES = 50_000_000


@dataclass
class FieldLine:
    """positions: (E, 2) along the line and height, metres; abmn: (N, 4) electrodes, -1 at infinity; apparent: (N,)
    ohm m, of flat ground where the file gives resistances; error: (N,) shares, or None if the file gives none."""

    format: str
    positions: Floats
    abmn: Abmn
    apparent: Floats
    error: Floats | None = None
    notes: list[str] = field(default_factory=list)


def read(path: Path, spacing_m: float = 0.0) -> FieldLine:
    """The line in a file, whatever its format. spacing_m: needed where electrodes are numbered, not placed."""
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise InputError(f"{path.name} is larger than any line's file", f"{path.stat().st_size / 1e6:.0f} MB")
    raw = path.read_bytes()
    if b"\0" in raw[:4096]:
        raise InputError(
            f"{path.name} is no text", "resistivity lines are read as text", "export it as BERT, Res2DInv, UBC or CSV"
        )
    lines = raw.decode("utf-8-sig", errors="replace").splitlines()
    if not any(line.strip() for line in lines):
        raise InputError(f"{path.name} is empty", "there is no reading in it")
    name, reader = _reader_of(path, lines)
    try:
        line = reader(lines, spacing_m)
    except (ValueError, IndexError) as error:
        raise InputError(
            f"{path.name} cannot be read as {name}",
            str(error) or "it ends too early",
            "check the file, or export it again",
        ) from error
    return line


def _reader_of(path: Path, lines: Sequence[str]) -> tuple[str, object]:
    content = [line.strip() for line in lines if line.strip()]
    first = next((line for line in content if not line.startswith("#")), content[0])
    if re.match(r"^\d+\s*(#|$)", first) and any(re.match(r"^\s*#?\s*a\s+b\s+m\s+n\b", line, re.I) for line in content):
        return "BERT/pyGIMLi", read_unified
    if _table_header(content) is not None:
        return "a table", read_table
    if len(content) > 6 and len(_tokens(content[1])) == 1 and None not in map(_number, content[1:3]):
        return "Res2DInv", read_res2dinv
    if first.upper().startswith(("!", "#", "COMMON", "IPTYPE")) or len(_numbers(first)) in (3, 5, 6):
        return "UBC", read_ubc
    raise InputError(
        f"the format of {path.name} is not known",
        f"it begins with {first[:60]!r}",
        "BERT/pyGIMLi, Res2DInv, UBC or SimPEG, or a table with a header such as a,b,m,n,rhoa,err",
    )


# --- BERT and pyGIMLi


def read_unified(lines: Sequence[str], spacing_m: float = 0.0) -> FieldLine:
    """pyGIMLi's unified data format: electrodes, then readings by the electrodes' numbers from 1, 0 for none."""
    rows = list(dropwhile(lambda row: row.startswith("#"), (line.strip() for line in lines if line.strip())))
    count = int(_tokens(rows[0].split("#")[0])[0])
    cursor = 1
    names = ["x", "y", "z"]
    named = rows[cursor].startswith("#")
    if named:
        names = _tokens(rows[cursor].lstrip("# ").lower())
        cursor += 1
    places = np.array([_numbers(row.split("#")[0]) for row in rows[cursor : cursor + count]])
    cursor += count
    if places.ndim != 2 or len(places) != count:
        raise ValueError(f"{count} electrodes are promised, with as many columns each")
    if not named and places.shape[1] == 2:
        names = ["x", "z"]
    notes: list[str] = []
    present = names[: places.shape[1]]
    x, y, z = (places[:, present.index(c)] if c in present else np.zeros(count) for c in "xyz")
    positions = _along(x, y, z, notes)
    readings = int(_tokens(rows[cursor].split("#")[0])[0])
    if not readings:
        raise InputError(
            "the file holds no readings", "it says itself that there are 0", "were all marked as not valid?"
        )
    columns = _tokens(rows[cursor + 1].lstrip("# "))
    body = rows[cursor + 2 : cursor + 2 + readings]
    table = np.array([_numbers(row.split("#")[0])[: len(columns)] for row in body])
    if len(table) != readings:
        raise ValueError(f"{readings} readings are promised, {len(table)} follow")
    values = {_unified_name(c): table[:, i] * _unit(c) for i, c in enumerate(columns)}
    abmn = np.stack([values[c] for c in "abmn"], 1).astype(np.int64) - 1
    if abmn.max() >= count or abmn.min() < -1:
        raise ValueError(f"a reading names electrode {abmn.max() + 1} of {count}")
    keep = values.get("valid", np.ones(readings)) > 0
    if not keep.all():
        notes.append(f"{int((~keep).sum())} readings are marked as not valid: left out")
    factor = values.get("k", geometric_factors(positions[:, 0], abmn))
    if "rhoa" in values and np.any(values["rhoa"] != 0):
        apparent = values["rhoa"]
    elif "r" in values and np.any(values["r"] != 0):
        apparent = factor * values["r"]
    elif {"u", "i"} <= set(values):
        apparent = factor * values["u"] / values["i"]
    else:
        raise InputError(
            "the file holds no readings", f"its columns are {', '.join(columns)}", "rhoa, r, or u and i are needed"
        )
    error = values.get("err")
    if error is not None and not np.any(error > 0):
        error = None
    if error is not None and np.median(error) > 1:
        notes.append("errors are above 1: they are taken for per cent")
        error = error / 100
    shares = None if error is None else error[keep]
    return FieldLine("BERT/pyGIMLi", positions, abmn[keep], apparent[keep], shares, notes)


def _unified_name(column: str) -> str:
    plain = column.split("/")[0].lower()
    other = {"rho": "r", "rho_a": "rhoa", "ra": "rhoa", "error": "err", "std": "err", "v": "u", "volt": "u"}
    return other.get(plain, plain)


def _unit(column: str) -> float:
    unit = column.split("/")[1].lower() if "/" in column else ""
    return {"%": 0.01, "mv": 1e-3, "ma": 1e-3}.get(unit, 1.0)


# --- Res2DInv

_RES2DINV_ARRAYS = {
    1: "Wenner", 2: "pole-pole", 3: "dipole-dipole", 4: "Wenner beta", 5: "Wenner gamma", 6: "pole-dipole",
    7: "Wenner-Schlumberger", 11: "general",
}  # fmt: skip


def read_res2dinv(lines: Sequence[str], spacing_m: float = 0.0) -> FieldLine:
    """Res2DInv's .dat: arrays by place, spacing and n, or the general array by coordinates (Loke's manual, 2.2)."""
    rows = [line.strip() for line in lines[1:] if line.strip()]  # the title may be empty
    kind = int(_number(rows[1]) or 0)
    if kind not in _RES2DINV_ARRAYS:
        raise InputError(
            f"Res2DInv array {kind} is not supported",
            "it reads " + ", ".join(f"{code} {name}" for code, name in _RES2DINV_ARRAYS.items()),
            "export the line in the general array format (11), or as UBC or BERT",
        )
    cursor = 2
    resistances = False
    notes: list[str] = []
    if kind == 11:
        marks = [i for i in range(2, min(7, len(rows))) if "type" in rows[i].lower()]
        resistances = bool(marks) and int(_number(rows[marks[0] + 1]) or 0) == 1
        cursor = marks[0] + 2 if marks else 3
    count = int(_number(rows[cursor]) or 0)
    by_middle = int(_number(rows[cursor + 1]) or 0)
    chargeability = int(_number(rows[cursor + 2]) or 0)
    cursor += 3
    if chargeability:
        notes.append("the file has induced polarisation too: not used")
        cursor += 3
    body = [_numbers(row) for row in rows[cursor : cursor + count]]
    if len(body) < count or min(map(len, body)) < 3:
        raise ValueError(f"{count} readings are promised, {sum(len(b) >= 3 for b in body)} follow")
    rest = [_numbers(row) for row in rows[cursor + count :]]
    heights = _topography(rest, notes)
    if kind == 11:
        places, values, tops = [], [], {}
        for row in body:
            electrodes = int(row[0])
            xz = np.array(row[1 : 1 + 2 * electrodes]).reshape(electrodes, 2)
            for x, z in xz:
                tops[float(x)] = float(z)
            c = list(map(float, xz[:, 0]))
            places.append({4: c, 3: [c[0], np.nan, *c[1:]], 2: [c[0], np.nan, c[-1], np.nan]}[electrodes])
            values.append(row[1 + 2 * electrodes])
        if heights is None and len(set(tops.values())) > 1:
            x = np.array(sorted(tops))
            heights = np.stack([x, np.array([tops[float(i)] for i in x])], 1)
    else:
        has_n = kind in (3, 6, 7)
        places = [_res2dinv_places(kind, row[0], row[1], row[2] if has_n else 1.0, by_middle == 1) for row in body]
        values = [row[3 if has_n else 2] for row in body]
    name = "Res2DInv " + _RES2DINV_ARRAYS[kind]
    return _from_places(name, np.array(places, float), np.array(values), resistances, None, heights, notes)


def _res2dinv_places(kind: int, x: float, a: float, n: float, by_middle: bool) -> list[float]:
    """A, B, M, N in metres, NaN at infinity. n < 0: the pole-dipole array the other way round."""
    none = float("nan")
    reverse, n = n < 0, abs(n)
    left_first = {  # along the line from the leftmost electrode
        1: [0, 3 * a, a, 2 * a],
        2: [0, none, a, none],
        3: [a, 0, (n + 1) * a, (n + 2) * a],
        4: [a, 0, 2 * a, 3 * a],
        5: [0, 2 * a, a, 3 * a],
        6: [(n + 1) * a, none, a, 0] if reverse else [0, none, n * a, (n + 1) * a],
        7: [0, (2 * n + 1) * a, n * a, (n + 1) * a],
    }[kind]
    span = np.nanmax(left_first)
    return [x + place - (span / 2 if by_middle else 0.0) for place in left_first]


def _topography(rest: list[list[float]], notes: list[str]) -> Floats | None:
    """(T, 2) distance and height from what follows the readings, or None."""
    if not rest or not rest[0] or rest[0][0] not in (1.0, 2.0) or len(rest) < 3 or len(rest[0]) != 1:
        return None
    count = int(rest[1][0])
    points = np.array([row[:2] for row in rest[2 : 2 + count]])
    return points if points.ndim == 2 and len(points) == count else None


# --- UBC and SimPEG


def read_ubc(lines: Sequence[str], spacing_m: float = 0.0) -> FieldLine:
    """UBC-GIF's DCIP2D observations, as SimPEG writes them: a line a reading, or one a source and its receivers."""
    rows = []
    for line in lines:
        text = re.split(r"[!#]", line)[0].strip()
        if text and not re.match(r"(?i)(common|iptype)", text):
            numbers = _numbers(text)
            if not numbers:
                raise ValueError(f"no number in {text[:40]!r}")
            rows.append(numbers)
    grouped = _ubc_groups(rows)
    notes: list[str] = []
    if grouped is not None:
        table, heights = grouped
    else:
        width = min(map(len, rows))
        if width < 5:
            raise ValueError(f"a line holds {width} numbers; A, B, M, N and the reading are needed")
        table, heights = np.array([row[: min(width, 6)] for row in rows]), None
    places = table[:, :4].copy()
    places[places[:, 0] == places[:, 1], 1] = np.nan  # both electrodes in one place: there is but one
    places[places[:, 2] == places[:, 3], 3] = np.nan
    reading = table[:, 4]
    error = table[:, 5] if table.shape[1] > 5 else None
    if error is not None and np.any(error > 0):
        share = np.abs(error) / np.maximum(np.abs(reading), 1e-30)
        if np.median(share[error > 0]) > IMPLAUSIBLE_ERROR:
            notes.append("errors are too large for volts: they are taken for per cent of the reading")
            share = np.abs(error) / 100
        error = share
    else:
        error = None
    return _from_places("UBC", places, reading, True, error, heights, notes)


def _ubc_groups(rows: list[list[float]]) -> tuple[Floats, Floats | None] | None:
    """Readings (N, 5 or 6) of a file with a line a source: A B n, or Ax Az Bx Bz n with heights; None for others."""
    for places in (2, 4):
        table: list[list[float]] = []
        tops: dict[float, float] = {}
        cursor = 0
        while cursor < len(rows):
            source = rows[cursor]
            whole = len(source) == places + 1 and source[-1] == int(source[-1])
            if not whole or not 0 < source[-1] <= len(rows) - cursor - 1:
                break
            count = int(source[-1])
            for row in rows[cursor + 1 : cursor + 1 + count]:
                if not places + 1 <= len(row) <= places + 2:
                    break
                both = [*source[:places], *row[:places]]
                if places == 4:
                    tops.update(zip(both[::2], both[1::2], strict=True))
                    both = both[::2]
                table.append([*both, *row[places:]])
            cursor += 1 + count
        else:
            width = min(map(len, table), default=0)
            if width >= 5:
                top = np.array(sorted(tops.items())) if len(set(tops.values())) > 1 else None
                return np.array([row[:width] for row in table]), top
    return None


# --- tables

_COLUMNS = {
    "a": r"^(x\s*)?(a|c1|spa\.?1|tx1?|el\.?a)(\s*\(?x?\)?)?$", "b": r"^(x\s*)?(b|c2|spa\.?2|tx2|el\.?b)(\s*\(?x?\)?)?$",
    "m": r"^(x\s*)?(m|p1|spa\.?3|rx1?|el\.?m)(\s*\(?x?\)?)?$", "n": r"^(x\s*)?(n|p2|spa\.?4|rx2|el\.?n)(\s*\(?x?\)?)?$",
    "rhoa": r"^(rho|rhoa|rho_a|app.*res.*|apparent.*|res.*app.*|ra|resistivity)$",
    "r": r"^(r|res|resistance|v/i|u/i)$",
    "u": r"^(u|v|vp|vmn|v ?mn|voltage)$", "i": r"^(i|in|iab|i ?ab|current)$",
    "err": r"^(err|error|dev|dev\.|dev.*rho|std|stdev|q|uncertainty|dev\. ?rho)$",
}  # fmt: skip


def _table_header(content: Sequence[str]) -> tuple[int, str, dict[str, tuple[int, str]]] | None:
    """(row, separator, columns by name with their unit) of the first line that names electrodes and readings."""
    for index, line in enumerate(content[:40]):
        for separator in (";", "\t", ",", None):
            cells = [cell.strip().strip('"').lower() for cell in line.split(separator)]
            found: dict[str, tuple[int, str]] = {}
            for position, cell in enumerate(cells):
                name, unit = re.sub(r"\s*[\[(](.*?)[\])]\s*$", "", cell).strip(), ""
                if match := re.search(r"[\[(](.*?)[\])]\s*$", cell):
                    unit = match[1].strip()
                for column, pattern in _COLUMNS.items():
                    if column not in found and re.match(pattern, name):
                        found[column] = (position, unit if not name.startswith(("x", "spa")) else "m")
                        break
            if {"a", "m"} <= set(found) and ({"rhoa"} <= set(found) or {"r"} <= set(found) or {"u", "i"} <= set(found)):
                return index, separator or " ", found
    return None


def read_table(lines: Sequence[str], spacing_m: float = 0.0) -> FieldLine:
    """A table with a header: electrodes by place or number; apparent resistivity, resistance, or voltage, current."""
    content = [line for line in lines if line.strip()]
    header = _table_header([line.strip() for line in content])
    assert header is not None
    index, separator, columns = header
    rows: Iterable[list[str]] = (
        (line.split() for line in content[index + 1 :])
        if separator == " "
        else csv.reader(content[index + 1 :], delimiter=separator, skipinitialspace=True)
    )
    width = max(position for position, _ in columns.values())
    cells = [row for row in rows if len(row) > width and _cell(row[columns["a"][0]]) is not None]
    if not cells:
        raise ValueError("no row below the header holds numbers")
    values = {
        name: np.array([v if (v := _cell(row[position])) is not None else np.nan for row in cells])
        for name, (position, _) in columns.items()
    }
    notes: list[str] = []
    none = np.full(len(cells), np.nan)
    places = np.stack([values.get(name, none) for name in "abmn"], 1)
    placed = columns["a"][1] in ("m", "ft") or np.any(places[np.isfinite(places)] % 1 != 0)
    if columns["a"][1] == "ft":
        notes.append("electrodes are placed in feet: turned into metres")
        places *= 0.3048
    if not placed and not spacing_m:
        raise InputError(
            "the electrodes have numbers, not places",
            "columns a, b, m, n hold whole numbers and their header names no unit",
            "--spacing 5 for electrodes 5 m apart, or name the columns xa, xb, xm, xn if they are metres",
        )
    if not placed:
        places = np.where(places > 0, places * spacing_m, np.nan)
        notes.append(f"electrodes have numbers: taken to stand {spacing_m:g} m apart")
    resistances = "rhoa" not in values
    if not resistances:
        reading = values["rhoa"]
    elif "r" in values:
        reading = values["r"] * {"mohm": 1e-3, "mω": 1e-3}.get(columns["r"][1], 1.0)
    else:
        reading = values["u"] / values["i"]
        reading *= {"v": 1.0, "mv": 1e-3, "": 1e-3}.get(columns["u"][1], 1e-3)
        reading /= {"a": 1.0, "ma": 1e-3, "": 1e-3}.get(columns["i"][1], 1e-3)
        if not columns["u"][1]:
            notes.append("voltage and current name no unit: taken for mV and mA")
    error = values.get("err")
    if error is not None:
        stacked = "dev" in content[index].lower()  # Syscal's deviation of the stacks is per cent
        percent = columns["err"][1] == "%" or stacked or np.nanmedian(error) > IMPLAUSIBLE_ERROR
        error = np.abs(np.nan_to_num(error)) / (100 if percent else 1)
        notes.append("errors are taken for " + ("per cent" if percent else "shares") + " of the readings")
    return _from_places("a table", places, reading, resistances, error, None, notes)


# --- what they share


def _from_places(
    name: str,
    places: Floats,
    reading: Floats,
    resistances: bool,
    error: Floats | None,
    heights: Floats | None,
    notes: list[str],
) -> FieldLine:
    """A line from places (N, 4) along it, metres, NaN at infinity, and readings in ohm or ohm m."""
    finite = np.isfinite(places)
    if not (finite[:, 0] & finite[:, 2]).all():
        raise ValueError("a reading has no electrode A or M")
    present = places[:, [0, 2]]  # A and M are never at infinity
    middle, length = np.median(present), np.ptp(np.quantile(present, [0.02, 0.98]))
    far = finite & (np.abs(places - middle) > FARAWAY * max(length, 1e-9))
    if far.any():
        notes.append(f"{int(far.any(1).sum())} readings have an electrode far off the line: taken for infinity")
        places = np.where(far, np.nan, places)
    for current, other in ((0, 1), (2, 3)):  # the electrode that there is comes first; turned round, the sign changes
        swap = np.isnan(places[:, current]) & np.isfinite(places[:, other])
        places[swap, current], places[swap, other] = places[swap, other], np.nan
        reading = np.where(swap, -reading if resistances else reading, reading)
    x, index = np.unique(np.round(places, 6), return_inverse=True)
    index = index.reshape(places.shape)
    abmn = np.where(np.isfinite(places), index, -1).astype(np.int64)
    x = x[np.isfinite(x)]
    height = np.zeros(len(x)) if heights is None else np.interp(x, heights[:, 0], heights[:, 1])
    factor = geometric_factors(x, abmn)
    apparent = factor * reading if resistances else reading
    if resistances and np.mean(reading > 0) > 0.95:
        sure = (reading > 0) & np.isfinite(factor)
        even = float(np.std(np.log(reading[sure]))) < 0.5 * float(np.std(np.log(np.abs(apparent[sure]))))
        if even:
            notes.append("readings are positive and vary little: taken for apparent resistivities, not voltages")
            apparent = reading
        elif np.mean(apparent[sure] > 0) < 0.5:
            notes.append("voltages are given without their sign: taken for positive apparent resistivities")
            apparent = np.abs(apparent)
    elif resistances and np.mean(apparent < 0) > 0.9:
        notes.append("nearly all apparent resistivities would be negative: M and N are taken the other way round")
        apparent = -apparent
    return FieldLine(name, np.stack([x, height], 1), abmn, apparent, error, notes)


def _along(x: Floats, y: Floats, z: Floats, notes: list[str]) -> Floats:
    """(E, 2) distance along a line on the map, from its first electrode's x, and height."""
    if np.ptp(y) == 0:
        return np.stack([x, z], 1)
    if np.ptp(z) == 0 and np.ptp(x) > 0 and np.ptp(y) < 0.3 * np.ptp(x) and np.unique(x).size == len(x):
        notes.append("y varies and z does not: y is taken for the height, as pyGIMLi writes it")
        return np.stack([x, y], 1)
    step = np.hypot(np.diff(x), np.diff(y))
    distance = np.concatenate([[0.0], np.cumsum(step)])
    straight = np.hypot(x[-1] - x[0], y[-1] - y[0])
    notes.append("the line is laid out on the map: distances are reckoned from electrode to electrode")
    if straight < 0.9 * distance[-1]:
        notes.append("the line is crooked: what is shown is unrolled, and readings round a corner do not fit")
    return np.stack([distance, z], 1)


def _tokens(text: str) -> list[str]:
    return [token for token in re.split(r"[\s,;]+", text.strip()) if token]


def _numbers(text: str) -> list[float]:
    found = []
    for token in _tokens(text):
        value = _cell(token)
        if value is None:
            break
        found.append(value)
    return found


def _number(text: str) -> float | None:
    """The number that a line begins with: Res2DInv's lines may end in words."""
    numbers = _numbers(text)
    return numbers[0] if numbers else None


def _cell(text: str) -> float | None:
    text = text.strip().strip('"')
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def unused(electrodes: int, abmn: Abmn) -> NDArray[np.bool_]:
    """(E,) whether no reading uses an electrode."""
    used = np.zeros(electrodes, bool)
    used[abmn[abmn >= 0]] = True
    return ~used
