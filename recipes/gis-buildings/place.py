"""A place drawn at random as rasters: bare ground, what stands on it, and which of that is a building.

Everything lies on a grid of 0.5 m. Ranges are wide on purpose: a network that has seen flat and steep ground, sheds and
perimeter blocks, hedges, haystacks and viaducts needs no knowledge of the country that a height model comes from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

F32 = NDArray[np.float32]
Bool = NDArray[np.bool_]
Local = Callable[[F32, F32], F32]  # heights over a frame's own coordinates, metres

CELL_M = 0.5
LEAST_RISE_M = 1.0  # of a roof over the ground: what rises less is not told from it
CLUMP_M, CLUMPINESS_M = (0.4, 1.0), (0.2, 0.9)  # radius of a crown's branches, and how far they lift its top


@dataclass(frozen=True)
class Domain:
    """How places may differ. Two numbers are the ends of a range."""

    styles: dict[str, float] = field(
        default_factory=lambda: {"town": 0.3, "suburb": 0.3, "village": 0.15, "industry": 0.15, "open": 0.1}
    )
    roofs: dict[str, float] = field(
        default_factory=lambda: {"flat": 0.3, "gable": 0.35, "hip": 0.2, "shed": 0.1, "mansard": 0.05}
    )
    slope: tuple[float, float] = (0.005, 0.35)  # of the ground, log-uniform
    pitch: tuple[float, float] = (0.25, 1.2)  # of roofs, tangent
    storey_m: tuple[float, float] = (2.5, 3.6)
    tree_m: tuple[float, float] = (3.0, 24.0)
    trees_per_ha: tuple[float, float] = (1.0, 90.0)  # log-uniform
    points_per_m2: tuple[float, float] = (0.25, 40.0)  # of a laser scan, log-uniform


TRAIN = Domain()
# What the figures are measured on: steeper ground and roofs, another mixture, more and taller trees.
SHIFTED = Domain(
    styles={"town": 0.2, "suburb": 0.25, "village": 0.3, "industry": 0.1, "open": 0.15},
    roofs={"flat": 0.2, "gable": 0.3, "hip": 0.3, "shed": 0.1, "mansard": 0.1},
    slope=(0.01, 0.5),
    pitch=(0.2, 1.5),
    storey_m=(2.3, 4.0),
    tree_m=(2.5, 30.0),
    trees_per_ha=(2.0, 130.0),
    points_per_m2=(1.0, 40.0),
)


@dataclass
class Place:
    """N x N cells of CELL_M; row and column are y and x. Heights in metres."""

    ground: F32
    surface: F32  # the highest of all that is solid: ground, roofs, walls, vehicles, bridges
    crown: F32  # top of the vegetation, NaN where there is none
    building: Bool

    @property
    def cells(self) -> int:
        return len(self.ground)


@dataclass(frozen=True)
class Frame:
    """A rectangle: centre x, y and half length, half width in metres, turned by `turn` radians."""

    x: float
    y: float
    half_length: float
    half_width: float
    turn: float

    def moved(self, u: float, v: float, half_length: float, half_width: float) -> Frame:
        """A rectangle in this one's own coordinates."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        return Frame(self.x + u * cos - v * sin, self.y + u * sin + v * cos, half_length, half_width, self.turn)

    def window(self, cells: int, margin_m: float = 1.0) -> tuple[slice, slice]:
        """The cells around it."""
        cos, sin = abs(np.cos(self.turn)), abs(np.sin(self.turn))
        reach_x = self.half_length * cos + self.half_width * sin + margin_m
        reach_y = self.half_length * sin + self.half_width * cos + margin_m
        return _span(self.y, reach_y, cells), _span(self.x, reach_x, cells)

    def local(self, window: tuple[slice, slice]) -> tuple[F32, F32]:
        """Coordinates u (along) and v (across) of the window's cell centres."""
        y, x = (np.arange(part.start, part.stop, dtype=np.float32) * CELL_M + CELL_M / 2 for part in window)
        dx, dy = (x - np.float32(self.x))[None, :], (y - np.float32(self.y))[:, None]
        cos, sin = np.float32(np.cos(self.turn)), np.float32(np.sin(self.turn))
        return dx * cos + dy * sin, dy * cos - dx * sin


def _span(centre_m: float, reach_m: float, cells: int) -> slice:
    first = int(np.clip((centre_m - reach_m) / CELL_M, 0, cells))
    return slice(first, max(first, int(np.clip((centre_m + reach_m) / CELL_M + 1, 0, cells))))


def draw_place(rng: np.random.Generator, size_m: float, domain: Domain = TRAIN) -> Place:
    """A square place. The same generator state gives the same place."""
    cells = round(size_m / CELL_M)
    ground = _terrain(rng, cells, domain)
    place = Place(ground, ground.copy(), np.full((cells, cells), np.nan, np.float32), np.zeros((cells, cells), bool))
    style = _choice(rng, domain.styles)
    _earthworks(rng, place)
    if style != "open":
        _settle(rng, place, domain, style)
    elif rng.random() < 0.7:
        for _ in range(rng.integers(1, 5)):
            _building(rng, place, domain, _anywhere(rng, place, rng.uniform(4, 25), rng.uniform(3, 10)), storeys=1)
    _furnish(rng, place, style)
    _grow(rng, place, domain, style)
    return place


# --- the ground


def fractal(rng: np.random.Generator, cells: int, exponent: float) -> F32:
    """A random field (cells, cells) of mean 0 and deviation 1, whose amplitude falls as frequency^-exponent."""
    fy, fx = np.fft.fftfreq(cells)[:, None], np.fft.rfftfreq(cells)[None, :]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = 1.0
    shape = frequency.shape
    spectrum = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) * frequency**-exponent
    spectrum[0, 0] = 0.0
    noise = np.fft.irfft2(spectrum, s=(cells, cells))
    return (noise / max(noise.std(), 1e-9)).astype(np.float32)


def _terrain(rng: np.random.Generator, cells: int, domain: Domain) -> F32:
    slope = np.exp(rng.uniform(*np.log(domain.slope)))
    turn = rng.uniform(0, 2 * np.pi)
    along = np.arange(cells, dtype=np.float32) * np.float32(CELL_M)
    plane = np.float32(slope * np.cos(turn)) * along[None, :] + np.float32(slope * np.sin(turn)) * along[:, None]
    bumps = fractal(rng, cells, rng.uniform(1.6, 2.4)) * np.float32(rng.uniform(0.1, 0.15) * slope * cells * CELL_M)
    rough = fractal(rng, cells, 1.0) * np.float32(rng.uniform(0.01, 0.08))
    return (plane * np.float32(rng.random()) + bumps + rough).astype(np.float32)


def _earthworks(rng: np.random.Generator, place: Place) -> None:
    """Terraces cut into the slope, dikes, cuttings and pits: steps that are no walls of a building."""
    for _ in range(rng.poisson(0.7)):
        frame = _anywhere(rng, place, rng.uniform(20, 150), rng.uniform(2, 25))
        window = frame.window(place.cells, 12.0)
        u, v = frame.local(window)
        outside = np.maximum(np.maximum(np.abs(u) - frame.half_length, np.abs(v) - frame.half_width), 0)
        share = np.clip(1 - outside / np.float32(rng.uniform(0.5, 10)), 0, 1)
        level = np.float32(rng.uniform(-4, 4))
        place.ground[window] += share * level
    place.surface[:] = place.ground


# --- buildings


def _settle(rng: np.random.Generator, place: Place, domain: Domain, style: str) -> None:
    """Buildings along parallel streets, turned a little from place to place."""
    size_m = place.cells * CELL_M
    turn = rng.uniform(0, np.pi)
    block, depth = {
        "town": (rng.uniform(35, 90), rng.uniform(9, 15)),
        "suburb": (rng.uniform(24, 50), rng.uniform(7, 12)),
        "village": (rng.uniform(30, 80), rng.uniform(6, 14)),
        "industry": (rng.uniform(50, 110), rng.uniform(18, 45)),
    }[style]
    full = {"town": 0.9, "suburb": 0.85, "village": 0.5, "industry": 0.7}[style]
    rows = style in ("town", "suburb") and rng.random() < (0.6 if style == "town" else 0.35)
    storeys = {"town": rng.integers(2, 7), "suburb": 2, "village": 2, "industry": rng.integers(2, 5)}[style]
    roof = _choice(rng, domain.roofs)
    middle = Frame(size_m / 2, size_m / 2, 1, 1, turn)
    reach = 0.75 * size_m
    across = -reach
    while across < reach:
        along = -reach
        while along < reach:
            length = depth * rng.uniform(0.7, 2.2) * (1.0 if not rows else 0.7)
            step = length + (0.0 if rows and rng.random() < 0.85 else rng.uniform(2, 12))
            if rng.random() < full:
                sway = 0.0 if rows else rng.uniform(-3, 3)
                frame = middle.moved(along + length / 2, across + sway, length / 2, depth * rng.uniform(0.8, 1.2) / 2)
                if not rows:
                    frame = Frame(frame.x, frame.y, frame.half_length, frame.half_width, turn + rng.normal(0, 0.05))
                kind = roof if rng.random() < 0.7 else _choice(rng, domain.roofs)
                _building(rng, place, domain, frame, int(max(1, storeys + rng.integers(-1, 2))), kind)
                if style != "industry" and rng.random() < 0.45:  # a shed or garage behind it
                    back = frame.moved(
                        rng.uniform(-4, 4), depth * rng.uniform(0.9, 1.4), rng.uniform(1.2, 4), rng.uniform(1.2, 3)
                    )
                    _building(rng, place, domain, back, 1)
            along += step
        across += block * rng.uniform(0.4, 0.6) if rng.random() < 0.5 else block
    if style == "town" and rng.random() < 0.5:  # a perimeter block around a yard
        _courtyard(rng, place, domain, turn, storeys=int(storeys))


def _courtyard(rng: np.random.Generator, place: Place, domain: Domain, turn: float, storeys: int) -> None:
    length, width, depth = rng.uniform(25, 60), rng.uniform(20, 45), rng.uniform(8, 14)
    middle = Frame(*rng.uniform(0, place.cells * CELL_M, 2), 1, 1, turn)
    kind = _choice(rng, domain.roofs)
    for u, v, half_length, half_width in (
        (0, width / 2, length / 2, depth / 2), (0, -width / 2, length / 2, depth / 2),
        (length / 2 - depth / 2, 0, depth / 2, width / 2), (depth / 2 - length / 2, 0, depth / 2, width / 2),
    ):  # fmt: skip
        _building(rng, place, domain, middle.moved(u, v, half_length, half_width), storeys, kind)


def _building(
    rng: np.random.Generator, place: Place, domain: Domain, frame: Frame, storeys: int, kind: str = ""
) -> None:
    """One building: a main part, often with wings, its roof, and what stands on that."""
    eaves = max(2.1, storeys * rng.uniform(*domain.storey_m))
    kind = kind or _choice(rng, domain.roofs)
    parts = [frame]
    if min(frame.half_length, frame.half_width) > 3 and rng.random() < 0.4:
        for _ in range(rng.integers(1, 3)):
            u, v = rng.uniform(-1, 1) * frame.half_length, rng.choice([-1, 1]) * frame.half_width
            parts.append(
                frame.moved(u, v, rng.uniform(0.2, 0.6) * frame.half_length, rng.uniform(0.3, 0.9) * frame.half_width)
            )
    window = frame.window(place.cells)
    if not place.ground[window].size:
        return
    floor = float(np.quantile(place.ground[window], rng.uniform(0.4, 0.9)))
    pitch = float(rng.uniform(*domain.pitch)) * (0.3 if max(frame.half_width, 0) > 14 else 1.0)
    for number, part in enumerate(parts):
        lower = 0.0 if number == 0 or rng.random() < 0.4 else rng.uniform(0, eaves - 2.0)
        _raise(place, part, floor + eaves - lower, roof_shape(rng, kind, part, pitch))
    if kind == "flat":
        for _ in range(rng.poisson(frame.half_length * frame.half_width / 60)):  # lift shafts, plant, skylights
            u, v = rng.uniform(-0.8, 0.8) * frame.half_length, rng.uniform(-0.8, 0.8) * frame.half_width
            box = frame.moved(u, v, rng.uniform(0.4, 3), rng.uniform(0.4, 2))
            _raise(place, box, floor + eaves + rng.uniform(0.4, 3), _flat)
    else:
        for _ in range(rng.poisson(1.0)):  # chimneys and dormers
            u, v = rng.uniform(-0.7, 0.7) * frame.half_length, rng.uniform(-0.5, 0.5) * frame.half_width
            box = frame.moved(u, v, rng.uniform(0.3, 1.5), rng.uniform(0.3, 1.0))
            _raise(
                place,
                box,
                floor + eaves + pitch * frame.half_width * rng.uniform(0.5, 1.2),
                _flat,
            )


def roof_shape(rng: np.random.Generator, kind: str, frame: Frame, pitch: float) -> Local:
    """Height of a roof over its eaves, over the frame's coordinates."""
    length, width = np.float32(frame.half_length), np.float32(frame.half_width)
    t = np.float32(pitch)
    along_u = width <= length  # the ridge runs along the longer side
    if kind == "gable":
        return lambda u, v: t * ((width - np.abs(v)) if along_u else (length - np.abs(u))) + 0 * (u + v)
    if kind == "hip":
        return lambda u, v: t * np.minimum(width - np.abs(v), length - np.abs(u))
    if kind == "shed":
        s = np.float32(pitch * 0.4)
        return lambda u, v: s * (v + width) + 0 * u
    if kind == "mansard":
        top = np.float32(rng.uniform(1.5, 3.5))
        return lambda u, v: np.minimum(np.float32(2.0) * np.minimum(width - np.abs(v), length - np.abs(u)), top)
    rim, height = np.float32(rng.uniform(0.2, 0.6)), np.float32(rng.uniform(0, 1.0) * (rng.random() < 0.5))
    return lambda u, v: height * ((width - np.abs(v) < rim) | (length - np.abs(u) < rim))


def _raise(place: Place, frame: Frame, eaves: float, roof: Local, is_building: bool = True) -> None:
    """Put a solid with a roof on the frame: it hides what is lower. On a slope, ground may hide a part of it."""
    window = frame.window(place.cells)
    u, v = frame.local(window)
    inside = (np.abs(u) <= frame.half_length) & (np.abs(v) <= frame.half_width)
    top = np.float32(eaves) + roof(u, v)
    part = place.surface[window]
    part[inside] = np.maximum(part, top)[inside]
    if is_building:
        place.building[window] |= inside & (top > place.ground[window] + LEAST_RISE_M)


# --- what is no building


def _furnish(rng: np.random.Generator, place: Place, style: str) -> None:
    """Vehicles, containers, walls, heaps, tanks, and now and then a bridge."""
    hectares = (place.cells * CELL_M) ** 2 / 1e4
    turn = rng.uniform(0, np.pi)
    for _ in range(rng.poisson(hectares * {"town": 25, "suburb": 12, "village": 4, "industry": 15, "open": 1}[style])):
        lorry = rng.random() < (0.4 if style == "industry" else 0.06)
        size = (rng.uniform(3, 8), 1.25) if lorry else (rng.uniform(1.8, 2.6), rng.uniform(0.8, 1.0))
        _thing(
            rng,
            place,
            _anywhere(rng, place, *size, turn + rng.choice([0.0, np.pi / 2])),
            (2.5, 4.0) if lorry else (1.3, 2.1),
        )
    for _ in range(rng.poisson(hectares * 2)):  # walls, fences
        _thing(rng, place, _anywhere(rng, place, rng.uniform(4, 30), 0.3), (0.8, 2.6))
    for _ in range(rng.poisson(0.5 * hectares * (style in ("industry", "open")))):  # heaps, tanks, stacks
        frame = _anywhere(rng, place, rng.uniform(2, 12), rng.uniform(2, 8))
        heap = _heap(frame, rng.uniform(1.5, 7), rng.uniform(0.5, 1.0))
        _raise(place, frame, _foot(place, frame), heap, is_building=False)
    if rng.random() < 0.12:
        frame = _anywhere(rng, place, place.cells * CELL_M, rng.uniform(3, 12))
        _raise(place, frame, float(np.median(place.ground)) + rng.uniform(4, 9), _flat, False)


def _heap(frame: Frame, height: float, slope: float) -> Local:
    """Something poured: sides that lean, and a flat top where they reach `height`."""
    length, width = np.float32(frame.half_length), np.float32(frame.half_width)
    return lambda u, v: np.minimum(
        np.float32(height), np.float32(slope) * np.minimum(length - np.abs(u), width - np.abs(v))
    )


def _flat(u: F32, v: F32) -> F32:
    return np.zeros_like(u + v)


def _thing(rng: np.random.Generator, place: Place, frame: Frame, height: tuple[float, float]) -> None:
    window = frame.window(place.cells)
    if place.building[window].size and not place.building[window].any():
        _raise(place, frame, _foot(place, frame) + rng.uniform(*height), _flat, False)


def _foot(place: Place, frame: Frame) -> float:
    part = place.ground[frame.window(place.cells)]
    return float(np.median(part)) if part.size else 0.0


def _grow(rng: np.random.Generator, place: Place, domain: Domain, style: str) -> None:
    """Single trees, rows, hedges, and woods."""
    hectares = (place.cells * CELL_M) ** 2 / 1e4
    for _ in range(rng.poisson(hectares * np.exp(rng.uniform(*np.log(domain.trees_per_ha))))):
        _tree(rng, place, *rng.uniform(0, place.cells * CELL_M, 2), rng.uniform(*domain.tree_m))
    if rng.random() < (0.7 if style == "open" else 0.25):
        wood = fractal(rng, place.cells, 1.8) > rng.uniform(-0.5, 1.2)
        spots = np.argwhere(wood & ~place.building)
        height = rng.uniform(6, domain.tree_m[1])
        for index in rng.integers(0, max(len(spots), 1), min(int(hectares * 220), len(spots))):
            y, x = spots[index] * CELL_M
            _tree(rng, place, x, y, height * rng.uniform(0.7, 1.2))
    for _ in range(rng.poisson(hectares * (3 if style in ("suburb", "village") else 0.7))):
        frame = _anywhere(rng, place, rng.uniform(3, 30), rng.uniform(0.4, 1.5))
        window = frame.window(place.cells)
        u, v = frame.local(window)
        inside = (np.abs(u) <= frame.half_length) & (np.abs(v) <= frame.half_width) & ~place.building[window]
        top = place.ground[window] + np.float32(rng.uniform(0.8, 4.0))
        place.crown[window] = np.where(inside, np.fmax(place.crown[window], top), place.crown[window])
    clumps = ndimage.gaussian_filter(rng.standard_normal(place.crown.shape), rng.uniform(*CLUMP_M) / CELL_M)
    place.crown += np.float32(rng.uniform(*CLUMPINESS_M) / clumps.std()) * clumps.astype(np.float32)


def _tree(rng: np.random.Generator, place: Place, x: float, y: float, height: float) -> None:
    radius = float(np.clip(height * rng.uniform(0.15, 0.4), 0.8, 9.0))
    window = Frame(x, y, radius, radius, 0.0).window(place.cells)
    if not place.ground[window].size:
        return
    u, v = Frame(x, y, radius, radius, 0.0).local(window)
    far = np.sqrt(u * u + v * v) / np.float32(radius)
    if rng.random() < 0.3:  # a cone
        top = np.float32(height) * (1 - np.float32(0.8) * far)
    else:
        top = np.float32(height) - np.float32(radius * rng.uniform(0.6, 1.4)) * (
            1 - np.sqrt(np.clip(1 - far * far, 0, 1))
        )
    top = top + place.ground[window] + rng.normal(0, 0.25, far.shape).astype(np.float32)
    grows = (far <= 1) & ~(place.building[window] & (rng.random() < 0.85))
    place.crown[window] = np.where(grows, np.fmax(place.crown[window], top), place.crown[window])


def _anywhere(
    rng: np.random.Generator, place: Place, half_length: float, half_width: float, turn: float | None = None
) -> Frame:
    x, y = rng.uniform(0, place.cells * CELL_M, 2)
    return Frame(x, y, half_length, half_width, rng.uniform(0, np.pi) if turn is None else turn)


def _choice(rng: np.random.Generator, shares: dict[str, float]) -> str:
    weights = np.array(list(shares.values()))
    return str(rng.choice(list(shares), p=weights / weights.sum()))
