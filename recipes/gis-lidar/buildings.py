"""Buildings as unions of boxes with roofs, stamped into the raster of solids.

Footprints: oblongs, L, T, rings, rows, courtyards, halls, turned wings; 4-150 m long. Roofs: gable, hip,
half-hip, mansard, shed, butterfly, saw-tooth, barrel, dome and flat with parapets, pitched 12-65 degrees; eaves
at 1.8 m (sheds) to 57 m (towers); with chimneys, dormers, vents, balconies, carports and eaves that overhang,
because roofs that are planes only do not carry over to real ones. Old towns are fronts of narrow, deep houses,
no two alike, that step down to courts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .plants import draw_shape, tree
from .terrain import level_ground, step_ground
from .world import BUILDING, CELL_M, COLUMN_M, FIRST_BUILDING, MARGIN_M, Domain, Floats, Frame, World


@dataclass(frozen=True)
class Part:
    """A box with a roof in the building's frame, metres: centre, half sizes, eaves; ridge along u or turned."""

    u: float
    v: float
    a: float
    b: float
    eaves: float
    roof: str = "gable"
    pitch: float = 0.7
    turned: bool = False
    extra: float = 0.3
    parapet: float = 0.0
    overhang: float = 0.0
    round: bool = False
    hole: float = 0.0  # of a round part: share of the radius that is courtyard
    open: bool = False  # a roof on posts: beams pass below it


def roof_height(form: str, u: Floats, v: Floats, a: float, b: float, pitch: float, extra: float) -> Floats:
    """Height of a roof above its eaves. u, v: along and across the ridge; a, b: half length and half width."""
    t = np.float32(np.tan(pitch))
    du, dv = a - np.abs(u), b - np.abs(v)
    if form == "gable":
        return dv * t
    if form == "hip":
        return np.minimum(du, dv) * t
    if form == "half-hip":
        return np.minimum(dv * t, du * t * 1.2 + extra * b * t)
    if form == "mansard":
        d = np.minimum(du, dv)
        return np.minimum(d * 2.4, 2.2 + (d - 0.9) * 0.3)
    if form == "shed":
        return (v + b) * min(float(t), 0.45)
    if form == "butterfly":
        return np.abs(v) * min(float(t), 0.3)
    if form == "saw":
        return np.mod(v + b, 3.0 + 5.0 * extra) * 0.45
    if form == "barrel":
        return np.sqrt(np.maximum(1 - (v / b) ** 2, 0)) * b * min(float(t), 0.7)
    if form == "dome":
        return np.sqrt(np.maximum(1 - (v / b) ** 2 - (u / a) ** 2, 0)) * b * 0.8
    return np.zeros_like(u)


def gentler_slope(roof: Floats) -> Floats:
    """Slope along x: of two one-sided ones the smaller, zero at a step (a wall). roof: (h, w), NaN outside."""
    step = np.full((roof.shape[0], roof.shape[1] + 1), np.nan, np.float32)
    step[:, 1:-1] = np.diff(roof, axis=1) / CELL_M
    left, right = step[:, :-1], step[:, 1:]
    left, right = np.where(np.isnan(left), right, left), np.where(np.isnan(right), left, right)
    slope = np.where(np.abs(left) < np.abs(right), left, right)
    return np.where(np.abs(slope) < 3.0, slope, 0).astype(np.float32)


def raise_part(part: Part, u: Floats, v: Floats, top: Floats, base: Floats) -> None:
    """Raises top (and sets base) to the part where it is the higher. u, v: the part's own coordinates; all (h, w)."""
    a, b = part.a, part.b
    if part.round:
        r = np.hypot(u / a, v / b)
        inside = (r < 1) & (r >= part.hole)
    else:
        inside = (np.abs(u) < a) & (np.abs(v) < b)
    form = (v, u, b, a) if part.turned else (u, v, a, b)
    z = part.eaves + roof_height(part.roof, *form, part.pitch, part.extra)
    edge = np.minimum(a - np.abs(u), b - np.abs(v))
    if part.parapet:
        z = np.where(edge < 0.35, z + part.parapet, z)
    higher = inside & (z > top)
    top[higher] = z[higher]
    if part.open:
        base[higher] = part.eaves - 0.4
    elif part.overhang:
        base[higher] = np.where(edge < part.overhang, part.eaves - 0.25, -1e4)[higher]
    else:
        base[higher] = -1e4


def stamp_building(
    world: World,
    frame: Frame,
    parts: list[Part],
    kind: int = BUILDING,
    passing: int = 0,
    dark: float = 1.0,
    rough: Floats | None = None,
) -> None:
    """Raises the parts where nothing higher stands. Heights count from the mean ground below the whole building.

    rough: a square of unevenness in metres, repeated over the roof: tiles, slates, gravel, moss.
    """
    reach = max(np.hypot(abs(p.u) + p.a, abs(p.v) + p.b) for p in parts) + 1.0
    rows, cols = world.window(frame.x, frame.y, reach, CELL_M)
    height, width = rows.stop - rows.start, cols.stop - cols.start
    if height < 4 or width < 4:
        return
    px = (np.arange(cols.start, cols.stop, dtype=np.float32) + 0.5) * CELL_M - MARGIN_M
    py = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) * CELL_M - MARGIN_M
    u, v = frame.local(px[None, :], py[:, None])
    top = np.full((height, width), -1e4, np.float32)
    base = np.full((height, width), -1e4, np.float32)
    for part in parts:
        x, y = frame.at(part.u, part.v)
        near_rows, near_cols = world.window(x, y, float(np.hypot(part.a, part.b)) + CELL_M, CELL_M)
        near = (
            slice(max(near_rows.start - rows.start, 0), max(near_rows.stop - rows.start, 0)),
            slice(max(near_cols.start - cols.start, 0), max(near_cols.stop - cols.start, 0)),
        )
        raise_part(part, u[near] - part.u, v[near] - part.v, top[near], base[near])
    inside = top > -1e3
    if not inside.any():
        return
    rows2, cols2 = slice(rows.start // 2, (rows.stop + 1) // 2), slice(cols.start // 2, (cols.stop + 1) // 2)
    ground = np.repeat(np.repeat(world.terrain[rows2, cols2], 2, 0), 2, 1)
    ground = ground[rows.start % 2 :, cols.start % 2 :][:height, :width]
    floor = np.float32(ground[inside].mean())
    roof = np.where(inside, top, np.nan)
    slope_x, slope_y = gentler_slope(roof), gentler_slope(roof.T).T
    if rough is not None:
        times = (height // rough.shape[0] + 1, width // rough.shape[1] + 1)
        top = top + np.tile(rough, times)[:height, :width]
    put = inside & (top + floor > world.top[rows, cols])
    world.top[rows, cols][put] = (top + floor)[put]
    world.base[rows, cols][put] = np.where(base > -1e3, base + floor, -1e4)[put]
    world.slope_x[rows, cols][put] = slope_x[put]
    world.slope_y[rows, cols][put] = slope_y[put]
    world.kind[rows, cols][put] = kind
    world.passing[rows, cols][put] = passing
    if kind == BUILDING:
        coarse = put[rows.start % 2 :: 2, cols.start % 2 :: 2]
        r0, c0 = (rows.start + 1) // 2, (cols.start + 1) // 2
        area = world.taken[r0 : r0 + coarse.shape[0], c0 : c0 + coarse.shape[1]]
        coarse = coarse[: area.shape[0], : area.shape[1]]
        area[coarse] |= 1
        if dark < 1:
            world.keep[r0 : r0 + coarse.shape[0], c0 : c0 + coarse.shape[1]][coarse] = dark


def free(world: World, frame: Frame, a: float, b: float, gap: float, against: int = 7) -> bool:
    """Whether an oblong (half sizes a, b, plus a gap) stands on ground that is not taken."""
    us = np.linspace(-a - gap, a + gap, max(int((a + gap) / 1.5), 3))
    vs = np.linspace(-b - gap, b + gap, max(int((b + gap) / 1.5), 3))
    u, v = (q.ravel() for q in np.meshgrid(us, vs))
    px, py = frame.at(u, v)
    n = len(world.terrain)
    ix = ((px + MARGIN_M) / COLUMN_M).astype(int)
    iy = ((py + MARGIN_M) / COLUMN_M).astype(int)
    ok = (ix >= 0) & (iy >= 0) & (ix < n) & (iy < n)
    return bool(ok.mean() > 0.3 and not (world.taken[iy[ok], ix[ok]] & against).any())


def draw_roof(rng: np.random.Generator, domain: Domain, style: str, half_width: float) -> tuple[str, float]:
    forms = {
        "house": (
            ["gable", "hip", "half-hip", "mansard", "flat", "shed", "butterfly"],
            [0.5, 0.18, 0.07, 0.05, 0.13, 0.06, 0.01],
        ),
        "urban": (["gable", "hip", "mansard", "flat", "shed", "barrel"], [0.34, 0.1, 0.12, 0.38, 0.04, 0.02]),
        "hall": (["flat", "gable", "saw", "barrel", "shed", "dome"], [0.55, 0.22, 0.1, 0.06, 0.06, 0.01]),
    }[style]
    form = str(rng.choice(forms[0], p=forms[1]))
    low, high = np.radians(domain.roof_pitch_deg)
    pitch = low + (high - low) * rng.beta(1.6, 1.8) if style != "hall" else rng.uniform(np.radians(4), np.radians(20))
    limit = np.arctan(9.0 / max(half_width, 1.0))  # no roof higher than 9 m
    return form, float(min(pitch, limit))


def draw_dark(rng: np.random.Generator) -> float:
    """Share of beams a roof sends back: black, wet or glazed roofs lose many."""
    return 1.0 if rng.random() < 0.85 else rng.uniform(0.15, 0.9)


def draw_rough(rng: np.random.Generator) -> Floats | None:
    """Unevenness of a roof: in half of them none, else tiles or gravel, now and then what lies about on a roof."""
    if rng.random() < 0.5:
        return None
    rough = rng.normal(0, rng.uniform(0.01, 0.05), (32, 32))
    if rng.random() < 0.3:  # skylights, vents, snow guards, moss
        rough += (rng.random((32, 32)) < rng.uniform(0.005, 0.04)) * rng.uniform(0.1, 0.8)
    return rough.astype(np.float32)


def solar_panels(rng: np.random.Generator, p: Part) -> list[Part]:
    """Rows of tilted panels, or of pipes and ducts, on a flat roof."""
    pipes = rng.random() < 0.4
    gap, d = rng.uniform(1.2, 3.5) * (2.5 if pipes else 1.0), rng.uniform(0.15, 0.5) if pipes else rng.uniform(0.4, 1.0)
    rise = rng.uniform(0.3, 1.4) if pipes else rng.uniform(0.1, 0.4)
    long, low = rng.uniform(0.3, 0.9) * p.a, rng.uniform(-0.9, 0.2) * p.b
    u = rng.uniform(-1, 1) * (p.a - long)
    return [
        Part(p.u + u, p.v + v, long, d, p.eaves + rise, "flat" if pipes else "shed", 0.25)
        for v in np.arange(low, p.b - d, gap)[:14]
    ]


def masts(rng: np.random.Generator, world: World, frame: Frame, parts: list[Part]) -> None:
    """What is thin and stands on roofs: railings around terraces, aerials, gutters, parasols and plants."""
    for p in parts:
        if p.eaves > 45 or p.a * p.b < 6:
            continue
        half = p.a if p.turned else p.b
        if p.roof == "flat" and rng.random() < 0.35:
            value = FIRST_BUILDING + int(rng.integers(4, 20))
            for side in (-1, 1):
                for t in np.arange(-p.a, p.a, 0.5):
                    world.boxes.append(
                        (*frame.at(p.u + t, p.v + side * (p.b - 0.2)), p.eaves, p.eaves + 1.0, 0.2, value)
                    )
        rise = half * np.tan(p.pitch) if p.roof in ("gable", "hip", "half-hip") else 1.0
        for _ in range(rng.poisson(0.5)):
            x, y = frame.at(p.u + rng.uniform(-0.8, 0.8) * p.a, p.v + rng.uniform(-0.8, 0.8) * p.b)
            z, tall = p.eaves + (rise * 0.5 if p.roof != "flat" else 0.0), rng.uniform(1.0, 4.0) + rise * 0.5
            world.boxes.append((x, y, z, z + tall, rng.uniform(0.1, 0.5), FIRST_BUILDING + int(rng.integers(3, 25))))


def roof_clutter(rng: np.random.Generator, parts: list[Part], amount: float) -> list[Part]:
    """Chimneys, dormers, vents, lift houses: small boxes that stand on the roofs."""
    clutter: list[Part] = []
    for p in parts:
        if p.roof == "flat" and p.a * p.b > 15 and rng.random() < 0.25 * amount:
            clutter += solar_panels(rng, p)
        area = 4 * p.a * p.b
        if p.roof in ("gable", "hip", "half-hip", "mansard", "shed"):
            half = p.a if p.turned else p.b
            ridge = p.eaves + (half * np.tan(p.pitch) if p.roof not in ("mansard", "shed") else 2.8)
            if rng.random() < 0.7 * amount:
                for _ in range(rng.integers(1, 3)):
                    w = rng.uniform(0.3, 0.7)
                    u, v = rng.uniform(-0.8, 0.8) * p.a, rng.uniform(-0.5, 0.5) * p.b
                    clutter.append(
                        Part(p.u + u, p.v + v, w, w * rng.uniform(0.7, 1.5), ridge + rng.uniform(0.0, 1.2), "flat")
                    )
            if rng.random() < 0.5 * amount and half > 2.5 and p.roof != "shed":
                for _ in range(rng.integers(1, 4)):
                    side = rng.choice([-1, 1]) * rng.uniform(0.45, 0.65)
                    along = rng.uniform(-0.7, 0.7)
                    w, d = rng.uniform(0.8, 2.0), half * 0.3
                    z = p.eaves + half * np.tan(min(p.pitch, 0.9)) * rng.uniform(0.55, 0.8)
                    uv = (side * p.a, along * p.b, d, w) if p.turned else (along * p.a, side * p.b, w, d)
                    clutter.append(
                        Part(
                            p.u + uv[0],
                            p.v + uv[1],
                            uv[2],
                            uv[3],
                            z,
                            rng.choice(["flat", "gable"]),
                            0.5,
                            bool(rng.random() < 0.5),
                        )
                    )
        elif p.roof == "flat" and area > 40:
            for _ in range(rng.poisson(min(area / 120.0, 8) * amount)):
                w, d = rng.uniform(0.4, 3.0), rng.uniform(0.4, 3.0)
                if w < p.a * 0.6 and d < p.b * 0.6:
                    u, v = rng.uniform(-0.8, 0.8) * (p.a - w), rng.uniform(-0.8, 0.8) * (p.b - d)
                    clutter.append(Part(p.u + u, p.v + v, w, d, p.eaves + rng.uniform(0.3, 3.2), "flat"))
    return clutter


def trees_beside(
    rng: np.random.Generator, world: World, frame: Frame, a: float, b: float, top: float, count: float
) -> None:
    """Trees as high as the roof, a step from the wall: crowns that touch and overhang it."""
    for _ in range(rng.poisson(count)):
        gap = rng.uniform(0.5, 3.0)
        u, v = rng.uniform(-1, 1) * a, rng.choice([-1, 1]) * (b + gap)
        if rng.random() < a / (a + b) * 0.4:
            u, v = rng.choice([-1, 1]) * (a + gap), rng.uniform(-1, 1) * b
        x, y = frame.at(u, v)
        if world.taken_at(x, y) & 7:
            continue
        height = max(top * rng.uniform(0.5, 1.5), 2.5)
        shape, bare = draw_shape(rng, world.flora)
        dense = 1.0 if rng.random() < 0.6 else rng.uniform(1.0, 3.0)
        tree(
            rng,
            world,
            x,
            y,
            height,
            shape,
            world.flora.extinction * dense,
            bare,
            min(height * rng.uniform(0.2, 0.45), 6.0),
        )


def balconies(rng: np.random.Generator, world: World, frame: Frame, a: float, b: float, eaves: float) -> None:
    """Rows of balconies on one long side, a storey apart: porous, class building."""
    side = rng.choice([-1, 1]) * (b + 0.6)
    for u in np.arange(-a + 1.5, a - 1.5, rng.uniform(3.0, 6.0)):
        px, py = frame.at(u, side)
        for z in np.arange(2.8, eaves - 1, 2.9):
            world.boxes.append((px, py, z, z + 1.0, rng.uniform(0.7, 1.3), FIRST_BUILDING + 25))


def house(rng: np.random.Generator, world: World, frame: Frame, style: str = "house") -> bool:
    """One detached or semi-detached house, with wings, sheds' size upwards. -> whether it found room."""
    a, b = rng.uniform(4.0, 9.0), rng.uniform(3.2, 6.0)
    if style == "barn":
        a, b = rng.uniform(7, 25), rng.uniform(4, 12)
    if not free(world, frame, a, b, rng.uniform(0.3, 2.5)):
        return False
    form, pitch = draw_roof(rng, world.domain, "house" if style == "house" else "hall", b)
    eaves = rng.uniform(2.3, 3.4) if rng.random() < 0.5 else rng.uniform(3.0, 6.5)
    overhang = rng.choice([0.0, 0.3, 0.6])
    parts = [
        Part(
            0,
            0,
            a,
            b,
            eaves,
            form,
            pitch,
            False,
            rng.uniform(0.2, 0.6),
            rng.choice([0, 0.3, 0.6]) if form == "flat" else 0.0,
            overhang,
        )
    ]
    if rng.random() < 0.45:  # a wing makes L or T
        wa = rng.uniform(0.35, 0.7) * a
        wb = rng.uniform(1.5, 4.0)
        low = eaves * rng.choice([1.0, 1.0, 0.6])
        parts.append(
            Part(
                rng.uniform(-1, 1) * (a - wa),
                rng.choice([-1, 1]) * (b + wb * 0.8),
                wa,
                b * 0.2 + wb,
                low,
                form,
                pitch,
                True,
                0.3,
                0,
                overhang,
            )
        )
    if rng.random() < 0.5:  # garage, conservatory, lean-to
        wa, wb = rng.uniform(1.4, 3.2), rng.uniform(1.4, 3.5)
        parts.append(
            Part(
                rng.choice([-1, 1]) * (a + wa),
                rng.uniform(-0.6, 0.6) * b,
                wa,
                wb,
                rng.uniform(2.1, 3.1),
                rng.choice(["flat", "shed", "gable"]),
                0.4,
            )
        )
    if rng.random() < 0.6:
        level_ground(world, frame, max(a, b), rng.uniform(0.4, 1.0))
    if rng.random() < 0.35:  # a terrace, stairs, a sunken drive
        beside = frame.moved(rng.uniform(-1, 1) * a, rng.choice([-1, 1]) * (b + 1))
        step_ground(world, beside, rng.uniform(1.5, 5), rng.uniform(1.5, 4.5), rng.uniform(-1.2, 1.2))
    if rng.random() < 0.12:  # carport, awning, pergola
        wa = rng.uniform(1.3, 3.0)
        parts.append(
            Part(
                rng.choice([-1, 1]) * (a + wa),
                rng.uniform(-0.5, 0.5) * b,
                wa,
                rng.uniform(1.5, 3),
                rng.uniform(2.2, 2.9),
                open=True,
            )
        )
    stamp_building(world, frame, parts + roof_clutter(rng, parts, 1.0), dark=draw_dark(rng), rough=draw_rough(rng))
    if rng.random() < 0.3:
        masts(rng, world, frame, parts[:1])
    trees_beside(rng, world, frame, a, b, eaves + b * 0.6, 0.5)
    return True


def shed(rng: np.random.Generator, world: World, frame: Frame) -> None:
    a, b = rng.uniform(1.0, 3.5), rng.uniform(0.9, 2.8)
    if free(world, frame, a, b, 0.0):
        stamp_building(
            world,
            frame,
            [
                Part(
                    0, 0, a, b, rng.uniform(1.8, 2.9), str(rng.choice(["flat", "shed", "gable"])), rng.uniform(0.1, 0.6)
                )
            ],
        )


def row_of_houses(rng: np.random.Generator, world: World, frame: Frame, half_length: float, style: str) -> None:
    """Terraced houses or an urban street front: units side by side, roofs nearly alike, extensions at the back."""
    b = rng.uniform(3.8, 6.5)
    form, pitch = draw_roof(rng, world.domain, style, b)
    storeys = rng.integers(1, 4) if style == "house" else rng.integers(2, 7)
    eaves = 0.4 + 2.9 * storeys
    unit = rng.uniform(4.5, 9.0)
    vary = 0.0 if rng.random() < 0.5 else rng.uniform(0.2, 2.5)
    parts: list[Part] = []
    flooded = False  # a river or canal runs through the row
    edges = np.arange(-half_length, half_length - unit * 0.7, unit)
    for start in edges:
        u = start + unit / 2
        if world.wet_at(*frame.at(u, 0)):
            flooded = True
            continue
        e = eaves + (vary * rng.uniform(-1, 1) if vary else 0)
        if vary and style == "urban" and rng.random() < 0.4:
            form, pitch = draw_roof(rng, world.domain, style, b)
        turned = form == "gable" and vary > 1.5 and rng.random() < 0.4
        parts.append(
            Part(
                u,
                0,
                unit / 2 + 0.01,
                b,
                e,
                form,
                min(pitch, 0.9) if not turned else 0.8,
                turned,
                0.3,
                rng.choice([0.0, 0.3, 0.8]) if form == "flat" else 0.0,
            )
        )
        if rng.random() < 0.5:
            d = rng.uniform(1.0, 3.0)
            parts.append(
                Part(
                    u + rng.uniform(-0.2, 0.2) * unit,
                    -(b + d),
                    unit * rng.uniform(0.2, 0.48),
                    d,
                    rng.choice([2.7, 3.0, min(e, 5.8)]),
                    str(rng.choice(["flat", "shed"])),
                    0.3,
                )
            )
    if not parts:
        return
    joined = (
        [Part(0, 0, half_length, b, eaves, form, pitch)]
        if not vary and not flooded and form in ("gable", "flat", "shed")
        else []
    )
    stamp_building(
        world, frame, parts + joined + roof_clutter(rng, parts, 0.8), dark=draw_dark(rng), rough=draw_rough(rng)
    )
    if rng.random() < 0.4:
        masts(rng, world, frame, parts)
    trees_beside(rng, world, frame, half_length, b + 2, eaves + b * 0.6, half_length / 20)
    if style == "urban" and rng.random() < 0.4:
        balconies(rng, world, frame, half_length, b, eaves)


def old_house(rng: np.random.Generator, world: World, frame: Frame, half_width: float, storeys: float) -> float:
    """One narrow, deep house of an old town, its front at v = 0, with what was built on and behind it. -> its depth.

    Steep gables with the ridge along or across the street, mansards, flat roofs with terraces and stair houses;
    chimney stacks on the party walls, dormers, a crane beam or bell gable at the front; behind it extensions
    that step down to a court.
    """
    a, b = half_width, rng.uniform(4.0, 9.0)
    eaves = storeys * rng.uniform(2.8, 3.5)
    form = str(
        rng.choice(["gable", "mansard", "flat", "half-hip", "hip", "shed"], p=[0.42, 0.16, 0.26, 0.06, 0.05, 0.05])
    )
    turned = bool(rng.random() < 0.6) and form in ("gable", "half-hip")
    half = a if turned else b
    pitch = float(min(rng.uniform(0.5, 1.15), np.arctan(6.0 / half)))
    rise = {"flat": 0.0, "mansard": 2.8, "shed": 2.0}.get(form, half * float(np.tan(pitch)))
    low = rng.choice([0.0, 0.3, 0.9])
    parts = [Part(0, -b, a + 0.02, b, eaves, form, pitch, turned, 0.3, low if form == "flat" else 0.0)]
    if rng.random() < 0.3 and form != "flat":  # a gable of stone or a cornice that stands above the roof
        w = a * rng.uniform(0.3, 1.0)
        parts.append(Part(0, -0.25, w, 0.3, eaves + rise * rng.uniform(0.4, 1.0) * (1.1 - 0.7 * w / a) + 0.5, "flat"))
    for _ in range(rng.integers(0, 4)):  # chimney stacks
        w, d = rng.uniform(0.25, 0.5), rng.uniform(0.3, 1.2)
        parts.append(
            Part(
                rng.choice([-1, 1]) * (a - w),
                -rng.uniform(0.1, 1.9) * b,
                w,
                d,
                eaves + rise + rng.uniform(-0.5, 1.6),
                "flat",
            )
        )
    for _ in range(rng.integers(0, 4)):  # dormers, stair houses, glass, roof terraces on posts
        w, d = rng.uniform(0.6, min(2.0, 0.8 * a)), rng.uniform(0.6, 2.0)
        u, v = rng.uniform(-1, 1) * (a - w), -b + rng.uniform(-1, 1) * (b - d)
        z = eaves + rise * rng.uniform(0.5, 1.0) + rng.uniform(0.0, 2.4) * (form == "flat")
        parts.append(Part(u, v, w, d, z, str(rng.choice(["flat", "shed", "gable"])), 0.4, bool(rng.random() < 0.5)))
    depth, level = 2 * b, eaves
    for _ in range(rng.integers(0, 4)):  # behind: lower and lower
        d = rng.uniform(0.8, 4.0)
        level *= rng.uniform(0.35, 1.0)
        if level < 2.2:
            break
        w = a * rng.uniform(0.4, 1.0)
        back = str(rng.choice(["flat", "shed", "gable"], p=[0.6, 0.25, 0.15]))
        parts.append(
            Part(
                rng.uniform(-1, 1) * (a - w),
                -depth - d,
                w,
                d,
                level,
                back,
                0.4,
                False,
                0.3,
                rng.choice([0.0, 0.4, 1.0]),
            )
        )
        depth += 2 * d
    stamp_building(world, frame, parts, dark=draw_dark(rng), rough=draw_rough(rng))
    if rng.random() < 0.35:
        masts(rng, world, frame, parts)
    return depth


def old_front(
    rng: np.random.Generator, world: World, frame: Frame, half_length: float, storeys: float, bend: float = 0.0
) -> None:
    """A street front of an old town: narrow houses side by side, no two alike, straight or along an arc.

    The front faces +v. bend: how far the middle of the front lies ahead of its ends, metres.
    """
    u = -half_length
    wide = rng.uniform(4.5, 9.0)
    vary = rng.uniform(0.0, 0.35)
    while u < half_length - 2.0:
        w = min(wide * rng.uniform(0.7, 1.5), half_length - u) / 2
        t = (u + w) / half_length
        ahead, turn = bend * (1 - t * t), -2 * bend * t / half_length
        house_frame = frame.moved(u + w, ahead + rng.choice([0.0, 0.0, 0.3, -0.4]), float(np.arctan(turn)))
        if rng.random() < 0.96 and not world.wet_at(house_frame.x, house_frame.y):
            old_house(rng, world, house_frame, w, max(storeys * (1 + vary * rng.uniform(-1, 1)), 1.0))
        if bend == 0.0 and rng.random() < 0.02:
            u += rng.uniform(1, 4)  # an alley
        u += 2 * w


def slab(rng: np.random.Generator, world: World, frame: Frame, a: float, b: float) -> None:
    """A block of flats, office, school or tower: large, flat or pitched, stepped."""
    storeys = int(rng.choice([2, 3, 4, 5, 8, 12, 18], p=[0.2, 0.25, 0.22, 0.15, 0.1, 0.05, 0.03]))
    eaves = 3.1 * storeys + rng.uniform(0, 1.5)
    form, pitch = draw_roof(rng, world.domain, "urban", b)
    parapet = rng.choice([0.0, 0.3, 0.6, 1.1])
    parts = [
        Part(
            0,
            0,
            a,
            b,
            eaves,
            form,
            pitch,
            False,
            0.3,
            parapet if form == "flat" else 0.0,
            0.0,
            bool(rng.random() < 0.05),
        )
    ]
    if rng.random() < 0.06:  # a ring, a drum
        parts = [
            Part(0, 0, a, a, eaves, "flat", round=True, hole=rng.uniform(0, 0.8)),
            Part(0, 0, a, a, eaves + 3, "flat", round=True, hole=0.8),
        ]
    if rng.random() < 0.2:  # a way down to a basement or a loading dock
        step_ground(world, frame, a + rng.uniform(1, 6), rng.uniform(1.5, 4), rng.uniform(-2.5, -0.8))
    for _ in range(rng.integers(0, 3)):
        wa, wb = rng.uniform(0.25, 0.6) * a, rng.uniform(0.3, 1.0) * b
        parts.append(
            Part(
                rng.uniform(-0.9, 0.9) * a,
                rng.choice([-1, 1]) * b,
                wa,
                wb,
                eaves * rng.choice([0.3, 0.6, 1.0, 1.2]),
                "flat",
                0,
                False,
                0,
                parapet,
            )
        )
    stamp_building(world, frame, parts + roof_clutter(rng, parts, 1.0), dark=draw_dark(rng), rough=draw_rough(rng))
    masts(rng, world, frame, parts)
    if rng.random() < 0.25:
        wing = [
            Part(
                0,
                0,
                rng.uniform(0.5, 1.0) * a,
                rng.uniform(0.6, 1.0) * b,
                eaves * rng.choice([0.4, 0.7, 1.0]),
                form,
                pitch,
            )
        ]
        turned = frame.moved(*rng.uniform(-0.6, 0.6, 2) * a, rng.uniform(0.3, 1.2))
        stamp_building(world, turned, wing)
    trees_beside(rng, world, frame, a, b, min(eaves, 18.0), a / 12)
    if rng.random() < 0.5 and not parts[0].round:
        balconies(rng, world, frame, a, b, eaves)


def hall(rng: np.random.Generator, world: World, frame: Frame, a: float, b: float) -> None:
    form, pitch = draw_roof(rng, world.domain, "hall", b)
    parts = [
        Part(
            0,
            0,
            a,
            b,
            rng.uniform(3.5, 14.0),
            form,
            pitch,
            False,
            rng.random(),
            rng.choice([0.0, 0.4, 1.0]) if form == "flat" else 0.0,
        )
    ]
    for _ in range(rng.integers(0, 4)):
        wa, wb = rng.uniform(0.1, 0.5) * a, rng.uniform(0.1, 0.5) * b
        parts.append(
            Part(
                rng.uniform(-1, 1) * a,
                rng.uniform(-1, 1) * b,
                wa,
                wb,
                rng.uniform(3, 12),
                str(rng.choice(["flat", "gable"])),
                0.15,
            )
        )
    glass = rng.random() < 0.08
    stamp_building(
        world,
        frame,
        parts + roof_clutter(rng, parts, 1.0),
        passing=int(rng.integers(60, 200)) if glass else 0,
        dark=draw_dark(rng),
        rough=draw_rough(rng),
    )


def church(rng: np.random.Generator, world: World, frame: Frame) -> None:
    a, b = rng.uniform(9, 18), rng.uniform(4.5, 8)
    if not free(world, frame, a + 4, b, 1.0):
        return
    eaves, pitch = rng.uniform(6, 12), rng.uniform(0.8, 1.05)
    w = rng.uniform(2.2, 4)
    parts = [
        Part(0, 0, a, b, eaves, "gable", pitch),
        Part(a * 0.3, 0, b * 0.8, b * 1.6, eaves, "gable", pitch, True),
        Part(-a - w * 0.5, 0, w, w, eaves + rng.uniform(6, 16), "hip", rng.uniform(0.5, 1.3)),
    ]
    stamp_building(world, frame, parts)
