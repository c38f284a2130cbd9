"""Drawn magnetic surveys: bodies in the ground, the field above them, and all that spoils it.

Lengths are in cells of the grid, depths count from the sensor. A survey depends on its generator only. Directions are
the canonical ones (see `direction.py`): inclination 0 to 90, declination 0 to 45 degrees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from .forward import Real, body_field, depth_integral, theta, unit_vector, wavenumbers

WINDOW = 64  # cells of a survey, each way
DOMAIN = 128  # cells in which bodies lie; it repeats itself, which is a survey like any other
MARGIN = (DOMAIN - WINDOW) // 2
FINE = 4  # sub-cells of a cell, each way, where outlines are rasterised
SMALLEST_COVER = 0.5  # of a cell, that counts as inside

Range = tuple[float, float]


@dataclass(frozen=True)
class Ranges:
    """What surveys are drawn from; pairs are ends of uniform, or (log) log-uniform, distributions."""

    bodies: float = 4.0  # mean number in the domain beyond the first
    empty_share: float = 0.08  # of surveys: nothing but what spoils others
    top: Range = (0.9, 20.0)  # log
    width: Range = (1.5, 24.0)  # log; of blocks and blobs
    elongation: Range = (1.0, 2.5)  # log
    dyke_share: float = 0.3
    dyke_width: Range = (1.0, 5.0)  # log
    dyke_length: Range = (8.0, 60.0)  # log
    thickness: Range = (0.5, 50.0)  # log
    lean: float = 1.0  # spread of the lean of dykes; of others a third of it
    aligned_share: float = 0.35  # outlines along the axes of the grid
    contrast: float = 0.7  # spread of log amplitude among bodies
    negative_share: float = 0.1
    remanent_share: float = 0.4
    inclination_deg: Range = (0.0, 90.0)
    noise: Range = (0.001, 0.08)  # log; of the field's spread
    geology_share: float = 0.35
    geology: Range = (0.005, 0.08)  # log; of the field's spread
    lines_share: float = 0.25
    deep_share: float = 0.25
    trend: float = 1.0  # of the field's spread
    gaps_share: float = 0.3


TRAINING = Ranges()
SIMPLE = Ranges(
    remanent_share=0.0, geology_share=0.1, lines_share=0.1, deep_share=0.1, gaps_share=0.1, noise=(0.005, 0.03)
)  # fmt: skip


@dataclass(frozen=True)
class Body:
    """One source. Its outline at the top is a superellipse, wobbled; its walls lean."""

    east: float
    north: float
    half: tuple[float, float]
    strike: float  # radians from east
    power: float  # of the superellipse: 2 ellipse, large: rectangle
    wobble: tuple[float, ...]  # amplitudes and phases of the radius
    top: float
    thickness: float
    lean: tuple[float, float]
    magnetisation: NDArray[np.float64]  # (3,) unit
    remanent: bool
    susceptibility: float = 0.0  # SI x nT of main field, of the whole magnetisation


@dataclass(frozen=True)
class Survey:
    """What is measured and what is true. Arrays are (WINDOW, WINDOW)."""

    field: Real  # nT of a kind; NaN in gaps
    direction: NDArray[np.float64]  # (3,) unit, of the main field
    label: NDArray[np.int16]  # 0: no body, else 1 + index of `bodies`, the shallowest where they overlap
    bodies: tuple[Body, ...]
    visible: tuple[bool, ...]  # by body: it can be told from noise


def coverage(body: Body) -> tuple[Real, tuple[slice, slice]]:
    """Share of each cell that lies inside the outline, and where in the domain this patch is."""
    reach = np.hypot(*body.half) * (1 + sum(abs(a) for a in body.wobble[::2])) + 1
    low = [max(int(np.floor(place - reach)), 0) for place in (body.north, body.east)]
    high = [min(int(np.ceil(place + reach)) + 1, DOMAIN) for place in (body.north, body.east)]
    rows, columns = (max(last - first, 1) for first, last in zip(low, high, strict=True))
    offset = (np.arange(FINE, dtype=np.float32) + 0.5) / FINE - 0.5
    north = (low[0] + np.arange(rows, dtype=np.float32)[:, None] + offset).ravel() - np.float32(body.north)
    east = (low[1] + np.arange(columns, dtype=np.float32)[:, None] + offset).ravel() - np.float32(body.east)
    cos, sin = np.float32(np.cos(body.strike)), np.float32(np.sin(body.strike))
    u = (cos * east[None, :] + sin * north[:, None]) / np.float32(body.half[0])
    v = (cos * north[:, None] - sin * east[None, :]) / np.float32(body.half[1])
    if body.wobble:
        angle = np.arctan2(v, u)
        swell = np.ones_like(u)
        for order, (amplitude, phase) in enumerate(zip(body.wobble[::2], body.wobble[1::2], strict=True), start=2):
            swell += np.float32(amplitude) * np.cos(order * angle + np.float32(phase))
        u, v = u / swell, v / swell
    if body.power > 10:
        inside = np.maximum(np.abs(u), np.abs(v)) <= 1
    elif body.power == 2:
        inside = u * u + v * v <= 1
    else:
        inside = np.abs(u) ** np.float32(body.power) + np.abs(v) ** np.float32(body.power) <= 1
    cells = inside.reshape(rows, FINE, columns, FINE).mean((1, 3), dtype=np.float32)
    return cells, (slice(low[0], low[0] + rows), slice(low[1], low[1] + columns))


def log_uniform(rng: np.random.Generator, ends: Range) -> float:
    return float(np.exp(rng.uniform(*np.log(ends))))


def random_unit(rng: np.random.Generator) -> NDArray[np.float64]:
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)


def draw_body(rng: np.random.Generator, ranges: Ranges, field: NDArray[np.float64], inside: bool) -> Body:
    edge = MARGIN + 3 if inside else MARGIN / 2
    east, north = rng.uniform(edge, DOMAIN - edge, 2)
    dyke = rng.random() < ranges.dyke_share
    if dyke:
        half = (log_uniform(rng, ranges.dyke_length) / 2, log_uniform(rng, ranges.dyke_width) / 2)
        power, wobble = 50.0, ()
    else:
        width = log_uniform(rng, ranges.width)
        half = (width * log_uniform(rng, ranges.elongation) / 2, width / 2)
        power = float(rng.choice([50.0, 50.0, 2.0, 4.0]))
        wobble = ()
        if rng.random() < 0.35:
            wobble = tuple(
                value for order in range(2, 6) for value in (rng.normal(0, 0.25 / order), rng.uniform(0, 2 * np.pi))
            )
    aligned = rng.random() < ranges.aligned_share
    strike = np.pi / 2 * int(rng.integers(2)) if aligned else rng.uniform(0, np.pi)
    steep = rng.random() < (0.4 if dyke else 0.75)
    across = 0.0 if steep else float(np.clip(rng.normal(0, ranges.lean if dyke else ranges.lean / 3), -2, 2))
    lean = (-np.sin(strike) * across, np.cos(strike) * across)
    magnetisation, remanent = field, rng.random() < ranges.remanent_share
    if remanent:
        vector = random_unit(rng)
        magnetisation = vector if rng.random() < 0.4 else field + vector * rng.uniform(0.2, 0.9)
        magnetisation = magnetisation / np.linalg.norm(magnetisation)
    elif rng.random() < ranges.negative_share:
        magnetisation = -field
    top, thickness = log_uniform(rng, ranges.top), log_uniform(rng, ranges.thickness)
    if rng.random() < 0.3:  # bottomless, as far as the field can tell
        thickness = max(thickness, top * rng.uniform(2.0, 6.0))
    return Body(
        float(east), float(north), half, float(strike), power, wobble, top, thickness, lean, magnetisation, remanent
    )  # fmt: skip


def simulate(rng: np.random.Generator, ranges: Ranges = TRAINING) -> Survey:
    """A survey of 64 x 64 cells above drawn bodies."""
    main = unit_vector(rng.uniform(*ranges.inclination_deg), rng.uniform(0, 45))
    alone = rng.random() < 0.7  # bodies that do not overlap
    by_peak = rng.random() < 0.5  # amplitudes are drawn, else susceptibilities
    inside_only = rng.random() < 0.5
    count = 1 + rng.poisson(ranges.bodies * (0.5 if inside_only else 1.0))
    if rng.random() < ranges.empty_share:
        count = 0
    label = np.zeros((DOMAIN, DOMAIN), np.int16)
    shallowest = np.full((DOMAIN, DOMAIN), np.inf)
    total = np.zeros((DOMAIN, DOMAIN), np.float32)
    bodies: list[Body] = []
    peaks: list[float] = []
    window = (slice(MARGIN, MARGIN + WINDOW),) * 2
    for number in range(count):
        body = draw_body(rng, ranges, main, inside_only or number == 0)
        share, patch = coverage(body)
        inside = share >= SMALLEST_COVER
        if not inside.any() or (alone and (label[patch] > 0)[inside].any()):
            continue
        whole = np.zeros((DOMAIN, DOMAIN), np.float32)
        whole[patch] = share
        anomaly = body_field(whole, body.top, body.thickness, main, body.magnetisation, body.lean)
        strength = float(np.exp(rng.normal(0, ranges.contrast)))
        if by_peak:
            strength /= float(np.abs(anomaly).max()) + 1e-9
        total += strength * anomaly
        peaks.append(strength * float(np.ptp(anomaly[window])))
        bodies.append(replace(body, susceptibility=strength))
        above = inside & (body.top < shallowest[patch])
        label[patch][above] = len(bodies)
        shallowest[patch][above] = body.top
    field = total[window].astype(np.float32)
    spread = float(field.std()) if count else 1.0
    field, rough = disturb(rng, ranges, field, spread, main)
    visible = tuple(peak > max(4.0 * rough, 0.08 * spread) for peak in peaks)
    return Survey(field, main, label[window].copy(), tuple(bodies), visible)


def disturb(
    rng: np.random.Generator, ranges: Ranges, field: Real, spread: float, main: NDArray[np.float64]
) -> tuple[Real, float]:
    """The field with geology, regional, noise, levelling errors and gaps; and the size of what is random in it."""
    noise = spread * log_uniform(rng, ranges.noise)
    rough = noise
    field = field + rng.normal(0, noise, field.shape).astype(np.float32)
    if rng.random() < ranges.geology_share:
        size = spread * log_uniform(rng, ranges.geology)
        field += size * _geology(rng, main)
        rough = float(np.hypot(rough, size))
    if rng.random() < ranges.lines_share:  # each line, or column of the grid, off by something
        steps = rng.normal(0, spread * log_uniform(rng, (0.002, 0.04)), WINDOW).astype(np.float32)
        steps = ndimage.gaussian_filter1d(steps, rng.uniform(0.3, 1.5))
        field = field + (steps[None, :] if rng.random() < 0.5 else steps[:, None])
    north, east = np.mgrid[-1 : 1 : WINDOW * 1j, -1 : 1 : WINDOW * 1j].astype(np.float32)
    slope = rng.normal(0, ranges.trend * spread, 2)
    field = field + np.float32(slope[0]) * north + np.float32(slope[1]) * east
    if rng.random() < ranges.deep_share:
        field = field + spread * rng.uniform(0.1, 0.8) * _deep(rng)
    if rng.random() < ranges.gaps_share:
        field[_gaps(rng)] = np.nan
    return field.astype(np.float32), rough


def _geology(rng: np.random.Generator, main: NDArray[np.float64]) -> Real:
    """The field of shallow random magnetisation, of spread 1."""
    k = wavenumbers(WINDOW, WINDOW)
    power = np.where(k.size > 0, np.maximum(k.size, 0.1) ** -rng.uniform(0.0, 1.5), 0)
    noise = fft.rfft2(rng.standard_normal((WINDOW, WINDOW)).astype(np.float32)) * power
    noise = noise * theta(k, main) ** 2 * depth_integral(k, rng.uniform(0.5, 4.0), 2.0)
    texture = fft.irfft2(noise, s=(WINDOW, WINDOW))
    return np.asarray(texture / (texture.std() + 1e-9), np.float32)


def _deep(rng: np.random.Generator) -> Real:
    """A smooth field of sources far below, of spread 1."""
    north, east = np.mgrid[-1 : 1 : WINDOW * 1j, -1 : 1 : WINDOW * 1j]
    turn = rng.uniform(0, np.pi)
    across = (np.cos(turn) * east + np.sin(turn) * north - rng.uniform(-1, 1)) / rng.uniform(0.7, 2.0)
    smooth = np.exp(-(across**2)) if rng.random() < 0.5 else np.arctan(2 * across)
    return np.asarray((smooth - smooth.mean()) / (smooth.std() + 1e-9), np.float32)


def _gaps(rng: np.random.Generator) -> NDArray[np.bool_]:
    """Cells without a value: the survey's rim, holes, or lines that were not flown."""
    gone = np.zeros((WINDOW, WINDOW), bool)
    kind = rng.integers(3)
    if kind == 0:  # a smaller grid
        rows, columns = rng.integers(24, WINDOW + 1, 2)
        gone[rows:, :] = gone[:, columns:] = True
        return np.roll(gone, (int(rng.integers(WINDOW - rows + 1)), int(rng.integers(WINDOW - columns + 1))), (0, 1))
    if kind == 1:
        for _ in range(int(rng.integers(1, 5))):
            height, width = rng.integers(1, 14, 2)
            top, left = rng.integers(0, WINDOW, 2)
            gone[top : top + height, left : left + width] = True
        return gone
    north, east = np.mgrid[-1 : 1 : WINDOW * 1j, -1 : 1 : WINDOW * 1j]
    turn = rng.uniform(0, 2 * np.pi)
    return np.asarray(np.cos(turn) * east + np.sin(turn) * north > rng.uniform(0.5, 1.2))
