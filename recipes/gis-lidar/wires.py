"""Wires and what carries them: high-voltage lines (16-45 m, 3-13 wires), lines on poles (5.5-10 m), railways,
drops. What carries a high-voltage line is a tower (class 15); poles and masts of railways are class 1.
"""

from __future__ import annotations

import itertools

import numpy as np

from .furniture import pole
from .terrain import draw_road
from .world import FIRST_OTHER, FIRST_TOWER, OUTSIDE, Line, World


def hang(world: World, ends: tuple[tuple[float, float, float], tuple[float, float, float]], sag: float) -> None:
    (x0, y0, z0), (x1, y1, z1) = ends
    pieces = max(int(np.hypot(x1 - x0, y1 - y0) / 2.0), 2)
    t = np.linspace(0, 1, pieces + 1)
    z = z0 + t * (z1 - z0) - 4 * sag * t * (1 - t)
    world.wires.append(np.stack([x0 + t * (x1 - x0), y0 + t * (y1 - y0), z], 1).astype(np.float32))


def power_line(rng: np.random.Generator, world: World, line: Line) -> None:
    """A high-voltage line: lattice or tubular towers, cross-arms, three to twelve conductors, earth wire on top."""
    height = rng.uniform(16, 45)
    span = rng.uniform(120, 320)
    arms = rng.integers(1, 4)
    reach = rng.uniform(2.5, 7.0)
    start = rng.uniform(0, span) if rng.random() < 0.4 else rng.uniform(-0.4, 0.4) * world.size_m  # a tower in view
    lattice = rng.random() < 0.75
    stations = [start + k * span for k in range(-3, 3)]
    feet = [tuple(float(q[0]) for q in line.points(np.array([s], np.float32))) for s in stations]
    levels = [height - 1.0 - k * rng.uniform(3, 5) for k in range(arms)]
    c, s = np.cos(line.angle), np.sin(line.angle)
    offsets = [
        (side * reach * f, z)
        for z in levels
        for side in (-1, 1)
        for f in ((1.0,) if rng.random() < 0.6 else (0.5, 1.0))
    ] + [(0.0, height)]
    for (xa, ya), (xb, yb) in itertools.pairwise(feet):
        ga, gb = world.ground_at(xa, ya), world.ground_at(xb, yb)
        for off, z in offsets:
            hang(
                world,
                ((xa - s * off, ya + c * off, ga + z), (xb - s * off, yb + c * off, gb + z)),
                span**2 / 8 / rng.uniform(600, 1500),
            )
    value = FIRST_TOWER + (rng.integers(7, 28) if lattice else 31)
    for x, y in feet:
        if world.taken_at(x, y) == OUTSIDE:
            continue
        foot = rng.uniform(1.5, 4.0) if lattice else 0.5
        for z in np.arange(0, height, 1.0):
            half = max(foot * (1 - z / height) ** 1.2, 0.5)
            for side in ((-1, -1), (-1, 1), (1, -1), (1, 1)) if lattice and half > 0.8 else ((0, 0),):
                world.boxes.append((x + side[0] * half, y + side[1] * half, z, z + 1.0, 0.3, value))
            if lattice and int(z) % 3 == 0:
                for e in np.arange(-half, half, 0.5):
                    world.boxes.append((x + e, y + rng.choice([-1, 1]) * half, z, z + 0.5, 0.2, value))
        for z in levels:
            for off in np.arange(-reach, reach, 0.5):
                world.boxes.append((x - s * off, y + c * off, z + 0.5, z + 1.2, 0.3, value))


def mast(rng: np.random.Generator, world: World, x: float, y: float) -> None:
    """A tower without wires: for radio, floodlights or wind; lattice or tube."""
    if world.taken_at(x, y) & 7:
        return
    height, foot = rng.uniform(12, 55), rng.uniform(0.4, 2.0)
    value = FIRST_TOWER + int(rng.integers(6, 31))
    for z in np.arange(0, height, 1.0):
        half = max(foot * (1 - z / height), 0.3)
        for side in ((-1, -1), (-1, 1), (1, -1), (1, 1)) if half > 0.8 else ((0, 0),):
            world.boxes.append((x + side[0] * half, y + side[1] * half, z, z + 1.0, min(half, 0.5), value))
    for z in rng.uniform(0.6, 1.0, rng.integers(0, 4)) * height:  # dishes, platforms
        world.boxes.append((x, y, z, z + 1.0, rng.uniform(0.8, 2.0), value))


def street_wires(rng: np.random.Generator, world: World, line: Line, offset: float) -> None:
    """Wooden or concrete poles with one to five low wires: telephone, low voltage, or a railway's catenary."""
    height, span, count = rng.uniform(5.5, 10), rng.uniform(22, 60), rng.integers(1, 6)
    stations = np.arange(-world.extent_m, world.extent_m, span, dtype=np.float32) + rng.uniform(0, span)
    px, py = line.points(stations, offset)
    tops = [world.ground_at(x, y) + height for x, y in zip(px, py, strict=True)]
    for x, y in zip(px, py, strict=True):
        if world.taken_at(x, y) != OUTSIDE:
            pole(rng, world, x, y, height + 0.3, FIRST_OTHER + 25)
    gap = rng.uniform(0.25, 0.6)
    flat = rng.random() < 0.5
    c, s = np.cos(line.angle), np.sin(line.angle)
    for k in range(count):
        off, down = ((k - count / 2) * gap, 0.0) if flat else (0.0, k * gap)
        sag = rng.uniform(0.1, 1.0)
        for i in range(len(px) - 1):
            ends = [(float(px[j] - s * off), float(py[j] + c * off), tops[j] - down) for j in (i, i + 1)]
            hang(world, (ends[0], ends[1]), sag)


def draw_railway(rng: np.random.Generator, world: World) -> None:
    """Tracks on a bed of ballast; if electric, masts with brackets, messenger and contact wire over each track."""
    line = Line(*rng.uniform(0.2, 0.8, 2) * world.size_m, rng.uniform(0, np.pi))
    tracks = int(rng.integers(1, 5))
    half_width = 2.0 * tracks + 1.5
    _, across, _ = draw_road(rng, world, line, half_width, rng.uniform(-2, 3))
    rails = np.abs(np.mod(across + 2.0 * tracks, 4.0) - 2.0) < 0.9
    world.terrain[(np.abs(across) < 2.0 * tracks) & rails & (world.water == 0)] += np.float32(0.15)
    if rng.random() < 0.75:
        span = rng.uniform(45, 65)
        stations = np.arange(-world.extent_m, world.extent_m, span, dtype=np.float32)
        for k in range(tracks):
            centre = (k - (tracks - 1) / 2) * 4.0
            px, py = line.points(stations, centre)
            mx, my = line.points(stations, np.sign(centre + 0.1) * half_width)
            for x, y in zip(mx, my, strict=True):
                if world.taken_at(x, y) != OUTSIDE:
                    pole(rng, world, float(x), float(y), 7.2, FIRST_OTHER + 20)
            ground = [world.ground_at(x, y) for x, y in zip(px, py, strict=True)]
            for low, sag in ((5.5, 0.05), (6.9, 0.9)):
                for i in range(len(px) - 1):
                    ends = [(float(px[j]), float(py[j]), ground[j] + low) for j in (i, i + 1)]
                    hang(world, (ends[0], ends[1]), sag)


def service_drops(rng: np.random.Generator, world: World) -> None:
    """Single short wires between houses and poles."""
    for x, y in rng.uniform(0, world.size_m, (rng.integers(2, 15), 2)):
        turn, length = rng.uniform(0, 6.28), rng.uniform(8, 30)
        ends = ((x, y), (x + length * np.cos(turn), y + length * np.sin(turn)))
        a, b = ((px, py, world.ground_at(px, py) + rng.uniform(3.5, 8)) for px, py in ends)
        hang(world, (a, b), rng.uniform(0.1, 0.8))
