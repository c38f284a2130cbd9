"""The electrode arrays that people measure with, as lists of stations A, B, M, N."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Abmn = NDArray[np.int64]  # (N, 4) stations; -1: a pole at infinity

KINDS = ("wenner", "schlumberger", "dipole-dipole", "pole-dipole", "pole-pole", "gradient", "mixed")


def wenner(count: int, longest: int) -> Abmn:
    """A M N B, all `a` apart, for a up to longest / 3."""
    rows = [(i, i + 3 * a, i + a, i + 2 * a) for a in range(1, longest // 3 + 1) for i in range(count - 3 * a)]
    return _table(rows)


def schlumberger(count: int, longest: int) -> Abmn:
    """A ... M N ... B: M and N widen once A and B are six times as far apart as they could be."""
    rows = []
    for a in (1, 2, 3, 5):
        for n in range(1, 7):
            span = (2 * n + 1) * a
            if span > longest:
                break
            rows += [(i, i + span, i + n * a, i + (n + 1) * a) for i in range(count - span)]
    return _table(rows)


def dipole_dipole(count: int, longest: int) -> Abmn:
    """B A ... M N, dipoles of 1 to 5 spacings, up to 7 of their lengths apart."""
    rows = []
    for a in (1, 2, 3, 5):
        for n in range(1, 8):
            span = (n + 2) * a
            if span > longest:
                break
            rows += [(i + a, i, i + (n + 1) * a, i + span) for i in range(count - span)]
    return _table(rows)


def pole_dipole(count: int, longest: int) -> Abmn:
    """A ... M N to the right, and as many to the left."""
    rows = []
    for a in (1, 2, 4):
        for n in range(1, 8):
            span = (n + 1) * a
            if span > longest:
                break
            rows += [(i, -1, i + n * a, i + span) for i in range(count - span)]
            rows += [(i + span, -1, i + a, i) for i in range(count - span)]
    return _table(rows)


def pole_pole(count: int, longest: int) -> Abmn:
    return _table([(i, -1, i + a, -1) for a in range(1, longest + 1) for i in range(count - a)])


def gradient(count: int, longest: int) -> Abmn:
    """Many dipoles M N inside of few wide pairs A B (Dahlin and Zhou 2006)."""
    rows = []
    for a, s in ((1, 9), (2, 9), (3, 9), (5, 9)):
        span = (s + 2) * a
        if span > longest:
            break
        for i in range(0, count - span, max(a, 2)):
            rows += [(i, i + span, i + a * (1 + j), i + a * (2 + j)) for j in range(s)]
    return _table(rows)


def mixed(count: int, longest: int) -> Abmn:
    return np.concatenate([wenner(count, longest), dipole_dipole(count, longest)[::2]])


_LAYOUTS: dict[str, Callable[[int, int], Abmn]] = {
    "wenner": wenner, "schlumberger": schlumberger, "dipole-dipole": dipole_dipole, "pole-dipole": pole_dipole,
    "pole-pole": pole_pole, "gradient": gradient, "mixed": mixed,
}  # fmt: skip


def layout(kind: str, count: int, longest: int = 0) -> Abmn:
    """Every reading of an array over `count` stations that spans at most `longest` of them (0: all)."""
    return _LAYOUTS[kind](count, min(longest or count - 1, count - 1))


def draw_layout(rng: np.random.Generator, count: int, most: int) -> Abmn:
    """One of the arrays as a survey has it: to some depth, with gaps, dead electrodes, at most `most` readings."""
    kind = KINDS[int(rng.choice(len(KINDS), p=[0.2, 0.22, 0.22, 0.12, 0.04, 0.08, 0.12]))]
    abmn = layout(kind, count, int(count * rng.uniform(0.6, 1.0)))
    if rng.random() < 0.5:
        abmn = abmn[rng.random(len(abmn)) > rng.uniform(0, 0.25)]
    if rng.random() < 0.2:
        dead = rng.choice(count, max(1, count // 24), replace=False)
        abmn = abmn[~np.isin(abmn, dead).any(1)]
    if len(abmn) > most:
        abmn = abmn[np.sort(rng.choice(len(abmn), most, replace=False))]
    return abmn


def _table(rows: list[tuple[int, int, int, int]]) -> Abmn:
    return np.array(rows, np.int64).reshape(-1, 4)
