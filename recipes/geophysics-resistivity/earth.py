"""Made-up ground: layers that dip, bend and break, bodies in them, and the unevenness of everything natural.

A section is a function of place, in electrode spacings, so that a solver's cells and a finite-element mesh can ask it
for the same ground. What is drawn, and from which ranges, is a `Domain`: intervals are set on VARIED and figures are
measured on SHIFTED, each unlike TRAINED in its own way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .grid import Floats, Grid, layer_depths

Shape = Callable[[Floats, Floats], Floats]  # x, z -> share of a body there, 0 to 1


@dataclass(frozen=True)
class Domain:
    """Ranges of the generator. Lengths in electrode spacings unless they are shares of the line's length."""

    layers: tuple[float, ...] = (0.15, 0.25, 0.3, 0.2, 0.1)  # probability of 1, 2, ... layers
    contrast: float = 0.5  # decades between layers, standard deviation
    body_contrast: float = 0.65
    bodies: float = 2.0  # mean number
    deepest: float = 0.22  # of the line, for interfaces and bodies
    dip: float = 0.12  # slope of interfaces, standard deviation
    wave: float = 0.35  # undulation of interfaces as a share of their depth
    faults: float = 0.2  # probability
    soft: float = 0.3  # probability that a boundary is gradual
    texture: float = 0.5  # probability of random unevenness
    field: float = 0.15  # probability that there is nothing but a random field
    patches: float = 0.35  # probability of uneven top soil


TRAINED = Domain()
VARIED = Domain(
    layers=(0.3, 0.3, 0.2, 0.1, 0.1), contrast=0.6, body_contrast=0.8, bodies=3.0, deepest=0.26, dip=0.18, wave=0.5,
    faults=0.1, soft=0.45, texture=0.7, field=0.25, patches=0.5,
)  # fmt: skip
SHIFTED = Domain(
    layers=(0.05, 0.25, 0.4, 0.3), contrast=0.42, body_contrast=0.5, bodies=1.5, deepest=0.18, dip=0.06, wave=0.2,
    faults=0.35, soft=0.15, texture=0.3, field=0.05, patches=0.2,
)  # fmt: skip

LOWEST, HIGHEST = -0.5, 4.7  # log10 ohm m


@dataclass
class Section:
    """Ground below a line: log10 of its resistivity in ohm m, of x along the line and z downwards, in spacings."""

    base: float
    parts: list[Callable[[Floats, Floats, Floats], Floats]] = field(default_factory=list)

    def __call__(self, x: Floats, z: Floats) -> Floats:
        value = np.full(np.broadcast(x, z).shape, self.base)
        for part in self.parts:
            value = part(x, z, value)
        return np.clip(value, LOWEST, HIGHEST)


def on_cells(section: Section, grid: Grid, samples: int = 2) -> Floats:
    """(LAYERS, columns) log10 ohm m: means over the cells of a grid, from `samples` x `samples` places in each."""
    inside = (np.arange(samples) + 0.5) / samples
    x_edges, z_edges = grid.edges(), layer_depths()
    x = (x_edges[:-1, None] + np.diff(x_edges)[:, None] * inside).ravel()
    z = (z_edges[:-1, None] + np.diff(z_edges)[:, None] * inside).ravel()
    value = section(x[None, :], z[:, None])
    return np.asarray(value.reshape(len(z) // samples, samples, -1, samples).mean((1, 3)))


def draw_section(rng: np.random.Generator, length: float, domain: Domain = TRAINED) -> Section:
    """A section under a line of `length` spacings."""
    section = Section(base=rng.uniform(0.7, 3.3))
    deepest = domain.deepest * length
    if rng.random() < domain.field:
        section.parts.append(_random_field(rng, rng.uniform(0.2, 0.6), length, waves=40))
        return section
    count = 1 + int(rng.choice(len(domain.layers), p=domain.layers))
    tops = np.sort(_log_uniform(rng, 0.5, deepest, count - 1))
    for top in tops:
        section.parts.append(_layer(rng, float(top), section.base + rng.normal(0, domain.contrast), length, domain))
    for _ in range(rng.poisson(domain.bodies)):
        section.parts.append(_body(rng, length, deepest, domain))
    if rng.random() < domain.patches:
        section.parts.append(_top_soil(rng, length))
    if rng.random() < domain.texture:
        section.parts.append(_random_field(rng, rng.uniform(0.02, 0.15), length, waves=20))
    return section


def _log_uniform(rng: np.random.Generator, low: float, high: float, size: int | None = None) -> Floats:
    return np.asarray(np.exp(rng.uniform(np.log(low), np.log(max(high, low * 1.01)), size)))


def _edge(distance: Floats, softness: float) -> Floats:
    """1 inside (distance > 0), 0 outside, with a ramp `softness` wide; 0: sharp."""
    if softness <= 0:
        return (distance > 0).astype(float)
    return np.clip(0.5 + distance / softness, 0.0, 1.0)


def _layer(rng: np.random.Generator, top: float, value: float, length: float, domain: Domain) -> Callable[..., Floats]:
    """Everything below an interface becomes `value`, log10 ohm m."""
    middle = rng.uniform(0.2, 0.8) * length
    slope = rng.normal(0, domain.dip) * (rng.random() < 0.6)
    amplitudes = rng.normal(0, domain.wave * top, 3) / np.array([1.0, 2.0, 3.0]) * (rng.random() < 0.6)
    waves = 2 * np.pi / (length * rng.uniform(0.2, 1.2, 3))
    phases = rng.uniform(0, 2 * np.pi, 3)
    throw = rng.normal(0, 0.6 * top) if rng.random() < domain.faults else 0.0
    fault, lean = rng.uniform(0.15, 0.85) * length, rng.normal(0, 0.5)
    softness = rng.uniform(0.2, 1.0) * top if rng.random() < domain.soft else 0.0

    def below(x: Floats, z: Floats, before: Floats) -> Floats:
        depth = top + slope * (x - middle) + throw * (x + lean * z > fault)
        for amplitude, wave, phase in zip(amplitudes, waves, phases, strict=True):
            depth = depth + amplitude * np.cos(wave * x + phase)
        share = _edge(z - np.maximum(depth, 0.15 * top), softness)
        return before + share * (value - before)

    return below


def _body(rng: np.random.Generator, length: float, deepest: float, domain: Domain) -> Callable[..., Floats]:
    """A block, an ellipse, a dyke or a basin, in contrast to what is there."""
    kind = rng.choice(4, p=[0.35, 0.35, 0.15, 0.15])
    depth = float(_log_uniform(rng, 0.8, 0.95 * deepest))
    half_height = float(rng.uniform(0.25, 0.8)) * depth
    half_width = half_height * float(_log_uniform(rng, 0.6, 5.0))
    x0 = rng.uniform(0.05, 0.95) * length
    if kind == 2:  # a dyke reaches from some depth far down
        half_width, depth, half_height = rng.uniform(0.5, 3.0), depth + 50.0, 50.0
    if kind == 3:  # a basin, a channel or a landfill begins at the surface
        depth, half_height = 0.0, rng.uniform(0.5, 1.0) * depth
    tilt = rng.normal(0, 0.5) if kind == 2 else rng.normal(0, 0.35)
    step = rng.normal(0, domain.body_contrast)
    step += np.sign(step) * 0.15
    softness = rng.uniform(0.2, 1.0) * min(half_height, half_width) if rng.random() < domain.soft else 0.0

    def body(x: Floats, z: Floats, before: Floats) -> Floats:
        if kind == 2:
            u, w = (x - x0 - tilt * z) / half_width, (z - depth) / half_height
        else:
            cos, sin = np.cos(tilt), np.sin(tilt)
            u = ((x - x0) * cos + (z - depth) * sin) / half_width
            w = ((z - depth) * cos - (x - x0) * sin) / half_height
        reach = np.hypot(u, w) if kind in (1, 3) else np.maximum(np.abs(u), np.abs(w))
        return before + _edge((1 - reach) * min(half_width, half_height), softness) * step

    return body


def _top_soil(rng: np.random.Generator, length: float) -> Callable[..., Floats]:
    """Unevenness of the uppermost spacing, which every line suffers from."""
    count = max(2, int(length / rng.uniform(1.5, 8)))
    knots, values = np.linspace(-2, length + 2, count), rng.normal(0, rng.uniform(0.05, 0.3), count)
    thickness = rng.uniform(0.3, 1.5)

    def soil(x: Floats, z: Floats, before: Floats) -> Floats:
        return before + np.interp(x, knots, values) * np.clip(1.5 - z / thickness, 0, 1)

    return soil


def _random_field(rng: np.random.Generator, spread: float, length: float, waves: int) -> Callable[..., Floats]:
    """A sum of cosines with a red spectrum, longer along the line than down, longer still at depth."""
    long_x = float(_log_uniform(rng, 2.0, 0.3 * length))
    flat = rng.uniform(1.0, 4.0)
    scale = rng.standard_gamma(0.8, waves) + 0.1
    angle, phase = rng.uniform(0, 2 * np.pi, (2, waves))

    def field(x: Floats, z: Floats, before: Floats) -> Floats:
        u, w = x / long_x, flat * np.asinh(z / long_x)
        total = np.zeros(before.shape)
        for s, a, p in zip(scale, angle, phase, strict=True):
            kx, kz = s * np.cos(a), s * np.sin(a)
            # cos(kx u + kz w + p) from sums of one-dimensional cosines: a quarter of the time
            total += np.cos(kx * u + p) * np.cos(kz * w) - np.sin(kx * u + p) * np.sin(kz * w)
        return before + spread * np.sqrt(2 / waves) * total

    return field
