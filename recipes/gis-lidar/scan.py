"""The flight over a `World`: strips, scan pattern, beams, returns and noise -> labelled points.

A beam is marched cell by cell through the world from above. Crowns take energy from it voxel by voxel, and a
return is noted when what was scattered since the last one passes the receiver's threshold; solids and the
ground end it. So gaps, shadows behind buildings, points on walls, several returns in crowns, on wires and at
roof edges all follow from the geometry of the flight.

Drawn a scene: flying height 300-3000 m (log), half scan angle 8-30 degrees and where in the swath the scene
lies, parallel, zigzag or elliptical (two looks) pattern with point and line spacing unequal by up to 3, 1-4
strips, 0.3-80 pulses/m2 (log, then limited), up to 1-7 returns, range noise 0.5-4 cm (at times 15), strip
offsets up to 4.5 cm, beams 12-90 cm wide, first-only and last-only files, files decimated at random to as little
as 0.3 points/m2, heights rounded to 1 mm or 1 cm, files cut to 45-100 m. Edges of roofs and ledges of walls split
beams, so that 4-25 % of the points of buildings come from pulses with several returns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .scene import build_world
from .world import (
    BUILDING,
    CELL_M,
    COLUMN_M,
    EXTINCTION_STEP,
    FIRST_BUILDING,
    FIRST_OTHER,
    FIRST_TOWER,
    GROUND,
    LEVEL_M,
    MARGIN_M,
    NOISE,
    OTHER,
    TOWER,
    TRAIN,
    VEGETATION,
    WATER,
    WIRE,
    Domain,
    Floats,
    World,
    scramble,
)

__all__ = ["Cloud", "simulate"]


@dataclass(frozen=True)
class Cloud:
    """Labelled points of one scene, in the order of the scan; x and y are 0..size_m."""

    xyz: NDArray[np.float64]  # (N, 3) metres
    intensity: NDArray[np.uint16]
    return_number: NDArray[np.uint8]
    number_of_returns: NDArray[np.uint8]
    classification: NDArray[np.uint8]  # ASPRS
    terrain_z: NDArray[np.float32]  # height of the bare earth below each point


@dataclass(frozen=True)
class Flight:
    """One draw of the instrument and the flight."""

    density: float  # pulses a square metre, all strips together
    strips: int
    flying_height_m: float
    half_scan_deg: float
    pattern: str
    stretch: float  # line spacing over point spacing
    beam_m: float  # radius of the beam's footprint
    detect: float
    dead_m: float  # closest two returns of a pulse can be
    most_returns: int
    range_noise_m: float
    strip_offset_m: float
    keep: str  # all, first or last returns
    decimate: float  # share of the points that stays
    step_m: float  # rounding of coordinates
    lowest_plant_m: float  # what is lower is labelled ground


def draw_flight(rng: np.random.Generator, domain: Domain, max_density: float) -> Flight:
    low, high = np.log(domain.density)
    wanted = float(np.exp(rng.uniform(low, high)))
    density = min(wanted, max_density * rng.uniform(0.6, 1.0))
    decimate = 1.0
    if density < 3 and rng.random() < 0.6:  # a dense flight, thinned afterwards
        decimate = density / rng.uniform(3, 8)
        density /= decimate
    low, high = np.log(domain.flying_height_m)
    flying_height = float(np.exp(rng.uniform(low, high)))
    low, high = np.log(domain.range_noise_m)
    noise = float(np.exp(rng.uniform(low, high)))
    return Flight(
        density=density,
        strips=int(rng.choice([1, 2, 3, 4], p=[0.35, 0.4, 0.15, 0.1])),
        flying_height_m=flying_height,
        half_scan_deg=rng.uniform(*domain.half_scan_deg),
        pattern=str(rng.choice(["parallel", "zigzag", "elliptical"], p=[0.5, 0.25, 0.25])),
        stretch=float(np.exp(rng.uniform(-0.7, 1.1))),
        beam_m=float(np.clip(flying_height * rng.uniform(0.00012, 0.0004), 0.06, 0.45)),
        detect=float(np.exp(rng.uniform(*np.log(domain.detect)))),
        dead_m=float(np.exp(rng.uniform(np.log(0.4), np.log(2.5)))),
        most_returns=int(rng.choice([1, 2, 3, 4, 5, 7, 15], p=[0.03, 0.07, 0.1, 0.2, 0.3, 0.2, 0.1])),
        range_noise_m=noise if rng.random() < 0.95 else rng.uniform(0.05, 0.15),
        strip_offset_m=max(rng.uniform(-0.02, 0.045), 0.0),
        keep=str(rng.choice(["all", "first", "last"], p=[0.9, 0.04, 0.06])),
        decimate=decimate,
        step_m=float(rng.choice([0.001, 0.01])),
        lowest_plant_m=rng.uniform(0.1, 0.2),
    )


def draw_pulses(
    rng: np.random.Generator, world: World, flight: Flight, z: float
) -> tuple[Floats, Floats, NDArray[np.int32]]:
    """-> (N, 2) where a pulse meets the plane at height z, (N, 2) how far it moves aside a metre down, (N,) strip."""
    size, centre = world.size_m, world.size_m / 2
    reach = size * 0.71 + 6.0
    heading = rng.uniform(0, 2 * np.pi)
    shares = rng.dirichlet(np.full(flight.strips, 6.0)) if flight.strips > 1 else np.ones(1)
    limit = np.tan(np.radians(flight.half_scan_deg))
    places, leans, strips = [], [], []
    for strip, share in enumerate(shares):
        turn = heading + rng.choice([0.0, np.pi]) + (np.pi / 2 if rng.random() < 0.05 else 0.0) + rng.normal(0, 0.02)
        nadir = (
            rng.uniform(-1, 1) * limit * flight.flying_height_m
        )  # across-track distance of the scene's centre from the track
        looks = 2 if flight.pattern == "elliptical" else 1
        spacing = 1 / np.sqrt(flight.density * share / looks)
        along_step, across_step = spacing * np.sqrt(flight.stretch), spacing / np.sqrt(flight.stretch)
        for look in range(looks):
            lines = np.arange(-reach, reach, along_step)
            columns = np.arange(-reach, reach, across_step)
            across, along = np.meshgrid(columns + rng.uniform(0, across_step), lines + rng.uniform(0, along_step))
            across, along = across.ravel(), along.ravel()
            if flight.pattern == "zigzag":
                odd = np.repeat(np.arange(len(lines)) % 2, len(columns))
                along = along + (odd * 2 - 1) * across / reach * along_step * 0.5
            shake = 0.12 * min(along_step, across_step)
            across = across + rng.normal(0, shake, across.shape)
            along = along + rng.normal(0, shake, along.shape)
            if flight.pattern == "elliptical":
                radius = limit * flight.flying_height_m
                side = np.clip((across + nadir) / radius, -0.98, 0.98)
                forward = np.sqrt(1 - side**2) * (1 if look == 0 else -1)
                along = along + radius * (
                    forward - np.sqrt(1 - np.clip(nadir / radius, -0.98, 0.98) ** 2) * (1 if look == 0 else -1)
                )
                lean_across, lean_along = side * limit, forward * limit
            else:
                lean_across = (across + nadir) / flight.flying_height_m
                lean_along = np.full_like(across, rng.normal(0, 0.02))
                shown = np.abs(lean_across) < limit * 1.15  # the strip's edge may run through the scene
                across, along, lean_across, lean_along = (q[shown] for q in (across, along, lean_across, lean_along))
            c, s = np.cos(turn), np.sin(turn)
            x, y = centre - s * across + c * along, centre + c * across + s * along
            inside = (np.abs(x - centre) < centre + 8) & (np.abs(y - centre) < centre + 8)
            strips.append(np.full(np.count_nonzero(inside), strip, np.int32))
            places.append(np.stack([x, y], 1)[inside].astype(np.float32))
            leans.append(
                np.stack([-s * lean_across + c * lean_along, c * lean_across + s * lean_along], 1)[inside].astype(
                    np.float32
                )
            )
    return np.concatenate(places), np.concatenate(leans), np.concatenate(strips)


def hang_wires(world: World) -> tuple[Floats, NDArray[np.int32], NDArray[np.int32], Floats]:
    """-> pieces (M, 7: ends, wire), lists a column: head (n, n), entries (K, 2: next entry, piece); tops (n, n)."""
    n = len(world.terrain)
    head = np.full((n, n), -1, np.int32)
    tops = np.full((n, n), -1e4, np.float32)
    pieces = [
        np.concatenate([w[:-1], w[1:], np.full((len(w) - 1, 1), k, np.float32)], 1) for k, w in enumerate(world.wires)
    ]
    if not pieces:
        return np.zeros((0, 7), np.float32), head, np.zeros((0, 2), np.int32), tops
    table = np.concatenate(pieces).astype(np.float32)
    entries = np.zeros((len(table) * 60, 2), np.int32)
    count = index_wires(table, head, entries, tops)
    return table, head, entries[:count], tops


@njit(cache=False)
def index_wires(pieces, head, entries, tops):  # type: ignore[no-untyped-def]
    """Notes each piece in the columns within 0.5 m of it."""
    n = head.shape[0]
    count = 0
    for p in range(pieces.shape[0]):
        x0, y0, x1, y1 = pieces[p, 0], pieces[p, 1], pieces[p, 3], pieces[p, 4]
        for iy in range(int((min(y0, y1) + MARGIN_M) / COLUMN_M) - 1, int((max(y0, y1) + MARGIN_M) / COLUMN_M) + 2):
            for ix in range(int((min(x0, x1) + MARGIN_M) / COLUMN_M) - 1, int((max(x0, x1) + MARGIN_M) / COLUMN_M) + 2):
                if ix < 0 or iy < 0 or ix >= n or iy >= n or count >= entries.shape[0]:
                    continue
                x, y = (ix + 0.5) * COLUMN_M - MARGIN_M, (iy + 0.5) * COLUMN_M - MARGIN_M
                t = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2 + 1e-9)
                t = min(max(t, 0.0), 1.0)
                if (x0 + t * (x1 - x0) - x) ** 2 + (y0 + t * (y1 - y0) - y) ** 2 < 0.6:
                    entries[count, 0] = head[iy, ix]
                    entries[count, 1] = p
                    head[iy, ix] = count
                    count += 1
                    tops[iy, ix] = max(tops[iy, ix], max(pieces[p, 2], pieces[p, 5]))
    return count


@njit(cache=False)
def column_tops(terrain, top, porous, wire_tops):  # type: ignore[no-untyped-def]
    """Height above which a column holds nothing, metres (n, n). Terrain is interpolated, so neighbours count."""
    n, levels = terrain.shape[0], porous.shape[2]
    out = np.empty((n, n), np.float32)
    for iy in range(n):
        for ix in range(n):
            z = wire_tops[iy, ix]
            for jy in range(max(iy - 1, 0), min(iy + 2, n)):
                for jx in range(max(ix - 1, 0), min(ix + 2, n)):
                    z = max(z, terrain[jy, jx])
            for k in range(4):
                z = max(z, top[2 * iy + k // 2, 2 * ix + k % 2] + 0.8)
            for iz in range(levels - 1, -1, -1):
                if porous[iy, ix, iz] > 0:
                    z = max(z, terrain[iy, ix] + (iz + 1) * LEVEL_M)
                    break
            out[iy, ix] = z
    return out


@njit(cache=False)
def ground_height(terrain, x, y):  # type: ignore[no-untyped-def]
    """Bilinear in the column centres, clamped at the rim. x, y: metres from the raster's corner."""
    n = terrain.shape[0]
    fx = min(max(x / COLUMN_M - 0.5, 0.0), n - 1.001)
    fy = min(max(y / COLUMN_M - 0.5, 0.0), n - 1.001)
    ix, iy = int(fx), int(fy)
    fx -= ix
    fy -= iy
    return (terrain[iy, ix] * (1 - fx) + terrain[iy, ix + 1] * fx) * (1 - fy) + (
        terrain[iy + 1, ix] * (1 - fx) + terrain[iy + 1, ix + 1] * fx
    ) * fy


@njit(cache=False)
def ground_heights(terrain, x, y):  # type: ignore[no-untyped-def]
    out = np.empty(x.shape[0], np.float32)
    for i in range(x.shape[0]):
        out[i] = ground_height(terrain, x[i] + MARGIN_M, y[i] + MARGIN_M)
    return out


@njit(cache=False)
def trace(  # type: ignore[no-untyped-def]
    places,
    leans,
    wet,
    plane_z,
    terrain,
    tops,
    water,
    low_height,
    low_cover,
    keep,
    top,
    base,
    slope_x,
    slope_y,
    kind,
    passing,
    porous,
    wires,
    wire_head,
    wire_next,
    beam,
    detect,
    dead,
    most,
    wire_reach,
    lowest_plant,
    panes,
    ragged,
    relief,
    seed,
):
    """Marches each pulse down through the world. wet: (N,) chance that water sends the pulse back.

    panes: share of the beams that pass a wall; ragged: share that a wall splits; relief: how far walls' patches stand
    out, metres. -> xyz (M, 3) float32 from the raster's corner; classes, return numbers, numbers of returns
    and pulses, each (M,).
    """
    cells = top.shape[0]
    levels = porous.shape[2]
    extent = cells * CELL_M
    highest = tops.max()
    lowest = terrain.min() - 1.0
    room = places.shape[0] * 3 + 1024
    xyz = np.empty((room, 3), np.float32)
    classes = np.empty(room, np.uint8)
    numbers = np.empty(room, np.uint8)
    totals = np.empty(room, np.uint8)
    pulses = np.empty(room, np.int32)
    count = 0
    for p in range(places.shape[0]):
        if count + 16 > room:
            break
        state = scramble(np.uint64(seed) + np.uint64(p) * np.uint64(2654435761))
        first = count
        ux, uy = leans[p, 0], leans[p, 1]
        longer = np.sqrt(1.0 + ux * ux + uy * uy)
        x_start = (
            places[p, 0] + MARGIN_M - ux * (highest - plane_z)
        )  # where it is at s = 0, s metres below the highest thing
        y_start = places[p, 1] + MARGIN_M - uy * (highest - plane_z)
        energy, scattered, last = 1.0, 0.0, -100.0
        threshold = detect * 0.7
        last_wire = -1
        s = 0.0
        s_end = highest - lowest
        alive = True
        shifts = 0
        while alive:
            # Enter the raster, then walk from cell to cell.
            if ux > 1e-6 and x_start + ux * s < 0:
                s = max(s, -x_start / ux + 1e-4)
            elif ux < -1e-6 and x_start + ux * s >= extent:
                s = max(s, (extent - x_start) / ux + 1e-4)
            if uy > 1e-6 and y_start + uy * s < 0:
                s = max(s, -y_start / uy + 1e-4)
            elif uy < -1e-6 and y_start + uy * s >= extent:
                s = max(s, (extent - y_start) / uy + 1e-4)
            ix, iy = int(np.floor((x_start + ux * s) / CELL_M)), int(np.floor((y_start + uy * s) / CELL_M))
            step_x, step_y = (1 if ux > 0 else -1), (1 if uy > 0 else -1)
            gap_x = CELL_M / abs(ux) if abs(ux) > 1e-6 else 1e9
            gap_y = CELL_M / abs(uy) if abs(uy) > 1e-6 else 1e9
            next_x = ((ix + (1 if ux > 0 else 0)) * CELL_M - x_start) / ux if abs(ux) > 1e-6 else 1e9
            next_y = ((iy + (1 if uy > 0 else 0)) * CELL_M - y_start) / uy if abs(uy) > 1e-6 else 1e9
            restart = False
            while s < s_end:
                if ix < 0 or iy < 0 or ix >= cells or iy >= cells:
                    break
                s_next = min(min(next_x, next_y), s_end)
                z_in, z_out = highest - s, highest - s_next
                cy, cx = iy >> 1, ix >> 1
                if z_out < tops[cy, cx]:
                    # 1. Where in this cell the beam meets something solid, if it does.
                    s_hit, hit = s_next, 0
                    xa, ya = x_start + ux * s, y_start + uy * s
                    xb, yb = x_start + ux * s_next, y_start + uy * s_next
                    ground_in, ground_out = ground_height(terrain, xa, ya), ground_height(terrain, xb, yb)
                    if z_out < ground_out:
                        above, below = z_in - ground_in, ground_out - z_out
                        s_hit = s + (s_next - s) * above / (above + below + 1e-9) if above > 0 else s
                        hit = 1
                    if kind[iy, ix] > 0:
                        state = scramble(state)
                        if passing[iy, ix] == 0 or (state >> np.uint64(56)) >= np.uint64(passing[iy, ix]):
                            mx, my = (ix + 0.5) * CELL_M, (iy + 0.5) * CELL_M
                            top_in = top[iy, ix] + slope_x[iy, ix] * (xa - mx) + slope_y[iy, ix] * (ya - my)
                            top_out = top[iy, ix] + slope_x[iy, ix] * (xb - mx) + slope_y[iy, ix] * (yb - my)
                            if z_in <= top_in:
                                if z_in >= base[iy, ix] and s <= s_hit:
                                    s_hit, hit = s, 3  # a wall
                            elif z_out < top_out:
                                t = s + (s_next - s) * (z_in - top_in) / (z_in - top_in + top_out - z_out + 1e-9)
                                if t < s_hit:
                                    s_hit, hit = t, 2  # a roof
                    # 2. Wires in the column.
                    entry = wire_head[cy, cx]
                    while entry >= 0:
                        w = wire_next[entry, 1]
                        entry = wire_next[entry, 0]
                        if int(wires[w, 6]) == last_wire:
                            continue
                        # Closest approach of beam and piece, in x and y shifted back along the beam.
                        ax = wires[w, 0] + MARGIN_M - (x_start + ux * (highest - wires[w, 2]))
                        ay = wires[w, 1] + MARGIN_M - (y_start + uy * (highest - wires[w, 2]))
                        bx = wires[w, 3] + MARGIN_M - (x_start + ux * (highest - wires[w, 5]))
                        by = wires[w, 4] + MARGIN_M - (y_start + uy * (highest - wires[w, 5]))
                        vx, vy = bx - ax, by - ay
                        t = -(ax * vx + ay * vy) / (vx * vx + vy * vy + 1e-9)
                        if t < 0.0 or t > 1.0:
                            continue
                        dx, dy = ax + t * vx, ay + t * vy
                        if dx * dx + dy * dy < wire_reach * wire_reach:
                            zw = wires[w, 2] + t * (wires[w, 5] - wires[w, 2])
                            sw = highest - zw
                            if sw < s_hit and sw > s - 1.0 and sw - last > dead and count - first < most:
                                last_wire = int(wires[w, 6])
                                xyz[count, 0], xyz[count, 1], xyz[count, 2] = (
                                    x_start + ux * sw + dx,
                                    y_start + uy * sw + dy,
                                    zw,
                                )
                                classes[count], pulses[count] = WIRE, p
                                count += 1
                                last = sw
                                energy *= 0.8
                    # 3. Porous voxels down to there.
                    z_floor = terrain[cy, cx]
                    level = min(int((z_in - z_floor) / LEVEL_M), levels - 1) if z_in > z_floor else -1
                    while level >= 0:
                        value = porous[cy, cx, level]
                        s_top = max(s, highest - (z_floor + (level + 1) * LEVEL_M))
                        s_low = min(s_hit, highest - (z_floor + level * LEVEL_M))
                        level -= 1
                        if s_top >= s_hit:
                            break
                        if value == 0 or s_low <= s_top:
                            continue
                        strength, cls = int(value), VEGETATION
                        if strength >= FIRST_BUILDING:
                            strength, cls = strength - FIRST_BUILDING, BUILDING
                        elif strength >= FIRST_OTHER:
                            strength, cls = strength - FIRST_OTHER, OTHER
                        elif strength >= FIRST_TOWER:
                            strength, cls = strength - FIRST_TOWER, TOWER
                        if cls != VEGETATION:
                            strength *= 3
                        taken = energy * min((s_low - s_top) * longer * strength * EXTINCTION_STEP, 0.95)
                        energy -= taken
                        scattered += taken
                        if scattered > threshold:
                            state = scramble(state)
                            u = float(state >> np.uint64(40)) / 16777216.0
                            at = s_top + u * (s_low - s_top)
                            if at - last > dead and count - first < most:
                                xyz[count, 0], xyz[count, 1], xyz[count, 2] = (
                                    x_start + ux * at,
                                    y_start + uy * at,
                                    highest - at,
                                )
                                classes[count], pulses[count] = cls, p
                                count += 1
                                last = at
                                scattered = 0.0
                                threshold = detect * (0.5 + 1.5 * u)
                        if energy < 0.03:
                            alive = False
                            break
                    if not alive:
                        break
                    # 4. The solid.
                    if hit > 0:
                        state = scramble(state)
                        u = float(state >> np.uint64(40)) / 16777216.0
                        state = scramble(state)
                        v = float(state >> np.uint64(40)) / 16777216.0
                        alive = False
                        push_x, push_y = 0.0, 0.0
                        cls, chance, z = GROUND, keep[cy, cx], highest - s_hit
                        if hit == 1:
                            if water[cy, cx]:
                                cls, chance = WATER, wet[p]
                            elif v < low_cover[cy, cx]:
                                rise = low_height[cy, cx] * (u if low_cover[cy, cx] < 0.5 else np.sqrt(u))
                                z += rise
                                if rise > lowest_plant:
                                    cls = VEGETATION
                        else:
                            cls = int(kind[iy, ix])
                            if hit == 3 and cls == BUILDING and v < panes:  # through a window
                                s_hit = min(s_hit + u * u * 4.0, s_end)
                                z = max(highest - s_hit, ground_in)
                            elif hit == 3 and cls == BUILDING:
                                slant = np.sqrt(ux * ux + uy * uy) + 1e-6
                                if shifts < 3 and u < ragged:  # part of the beam passes the ledge and hits lower down
                                    back = beam * (0.4 + 1.6 * v)
                                    ox, oy = -ux / slant * back, -uy / slant * back
                                    restart = energy * (0.25 + 0.6 * v) > detect * 0.4
                                if relief > 0.0:  # bays, sills, frames: patches that stand out
                                    gx = x_start + ux * s_hit + uy / slant * 0.7
                                    gy = y_start + uy * s_hit - ux / slant * 0.7
                                    word = scramble(
                                        np.uint64(gx * 0.8) * np.uint64(73856093)
                                        + np.uint64(gy * 0.8) * np.uint64(19349663)
                                        + np.uint64(max(z + 500.0, 0.0) * 0.7)
                                    )
                                    out = relief * (float(word >> np.uint64(40)) / 16777216.0)
                                    push_x, push_y = -ux / slant * out, -uy / slant * out
                            elif hit == 2 and shifts < 3 and highest - s_hit - dead * 0.7 > lowest:
                                # The rim of the beam may miss the edge and go on.
                                wide = beam * (0.6 + 1.4 * u)
                                for turn in range(4):
                                    angle = 6.2831853 * v + 1.5707963 * turn
                                    ox, oy = wide * np.cos(angle), wide * np.sin(angle)
                                    jx, jy = (
                                        int((x_start + ux * s_hit + ox) / CELL_M),
                                        int((y_start + uy * s_hit + oy) / CELL_M),
                                    )
                                    if 0 <= jx < cells and 0 <= jy < cells and top[jy, jx] < z - dead - 0.1:
                                        restart = energy * (0.25 + 0.6 * v) > detect * 0.4
                                        break
                        if chance < 1.0:
                            state = scramble(state)
                            if float(state >> np.uint64(40)) / 16777216.0 > chance:
                                break
                        left = energy * (0.5 + 0.5 * u) + scattered
                        if left > threshold * 0.7 and (s_hit - last > dead or count == first) and count - first < most:
                            xyz[count, 0], xyz[count, 1], xyz[count, 2] = (
                                x_start + ux * s_hit + push_x,
                                y_start + uy * s_hit + push_y,
                                z,
                            )
                            classes[count], pulses[count] = cls, p
                            count += 1
                            last = s_hit
                        if restart:
                            alive = True
                            shifts += 1
                            energy *= 0.25 + 0.6 * v
                            scattered = 0.0
                            x_start += ox
                            y_start += oy
                            s = s_hit
                        break
                if next_x < next_y:
                    s = next_x
                    next_x += gap_x
                    ix += step_x
                else:
                    s = next_y
                    next_y += gap_y
                    iy += step_y
            if not restart:
                alive = False
        for i in range(first, count):
            numbers[i] = i - first + 1
            totals[i] = count - first
    return xyz[:count], classes[:count], numbers[:count], totals[:count], pulses[:count]


def water_echo(rng: np.random.Generator, places: Floats, leans: Floats) -> Floats:
    """Chance that water sends a pulse back: everywhere, nowhere, near nadir, or on one side of a line. -> (N,)."""
    pick = rng.random()
    count = len(places)
    if pick < 0.3:
        return np.full(count, rng.uniform(0.6, 1.0), np.float32)
    if pick < 0.5:
        return np.full(count, rng.uniform(0, 0.08), np.float32)
    if pick < 0.75:
        steep = np.hypot(leans[:, 0], leans[:, 1])
        return np.clip(1.2 - steep / rng.uniform(0.05, 0.35), 0.01, 1).astype(np.float32)
    turn = rng.uniform(0, 6.28)
    side = np.cos(turn) * places[:, 0] + np.sin(turn) * places[:, 1]
    return np.where(side > np.quantile(side, rng.random()), rng.uniform(0.5, 1), rng.uniform(0, 0.05)).astype(
        np.float32
    )


def simulate(
    seed: int,
    index: int,
    size_m: float = 160.0,
    *,
    max_density: float = 14.0,
    domain: Domain = TRAIN,
    biome: str | None = None,
) -> Cloud:
    """Draws a place and a flight over it: a function of (seed, index) and the keywords. max_density: pulses/m2."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index])))
    world_rng, flight_rng = rng.spawn(2)
    world = build_world(world_rng, size_m, domain, biome)
    return fly(flight_rng, world, draw_flight(flight_rng, domain, max_density))


def fly(rng: np.random.Generator, world: World, flight: Flight) -> Cloud:
    plane_z = float(np.median(world.terrain))
    places, leans, strips = draw_pulses(rng, world, flight, plane_z)
    wires, head, following, wire_tops = hang_wires(world)
    tops = column_tops(world.terrain, world.top, world.porous, wire_tops)
    wire_reach = flight.beam_m * rng.uniform(0.25, 1.0) + 0.03  # thin wires return little
    xyz, classes, numbers, totals, pulses = trace(
        places,
        leans,
        water_echo(rng, places, leans),
        plane_z,
        world.terrain,
        tops,
        world.water,
        world.low_height,
        world.low_cover,
        world.keep,
        world.top,
        world.base,
        world.slope_x,
        world.slope_y,
        world.kind,
        world.passing,
        world.porous,
        wires,
        head,
        following,
        flight.beam_m,
        flight.detect,
        flight.dead_m,
        flight.most_returns,
        wire_reach,
        flight.lowest_plant_m,
        rng.uniform(0.0, 0.2),
        float(rng.choice([0.0, 1.0], p=[0.15, 0.85])) * rng.uniform(0.1, 0.9),
        max(rng.uniform(-0.2, 0.5), 0.0),
        int(rng.integers(1 << 60)),
    )
    xyz[:, :2] -= np.float32(MARGIN_M)
    rim = 0.3  # the noise to come may push points over the edge
    inside = ((xyz[:, :2] >= rim) & (xyz[:, :2] < world.size_m - rim)).all(1)
    if flight.keep == "first":
        inside &= numbers == 1
    elif flight.keep == "last":
        inside &= numbers == totals
    if rng.random() < 0.22:  # a small tile: its rim cuts buildings, crowns and banks
        side = np.minimum(rng.uniform(45.0, 100.0, 2), world.size_m)
        corner = rng.uniform(0.0, 1.0, 2) * (world.size_m - side)
        window = ((xyz[:, :2] >= corner) & (xyz[:, :2] < corner + side)).all(1)
        if np.count_nonzero(inside & window) > 4000:
            inside &= window
    if flight.decimate < 1:
        inside &= rng.random(len(xyz), dtype=np.float32) < flight.decimate
    xyz, classes, numbers, totals, pulses = (q[inside] for q in (xyz, classes, numbers, totals, pulses))

    noise = rng.standard_normal((len(xyz), 3), dtype=np.float32)
    along_beam = noise[:, 2] * np.float32(flight.range_noise_m)
    xyz[:, 2] -= along_beam
    offsets = rng.normal(0, 1, (flight.strips, 3)) * (
        2 * flight.strip_offset_m,
        2 * flight.strip_offset_m,
        flight.strip_offset_m,
    )
    xyz += np.clip(offsets, -0.1, 0.1).astype(np.float32)[strips[pulses]]
    xyz[:, :2] += leans[pulses] * along_beam[:, None] + noise[:, :2] * np.float32(0.15 * flight.beam_m + 0.01)
    xyz, classes, numbers, totals = add_noise(rng, world, xyz, classes, numbers, totals)
    terrain_z = ground_heights(world.terrain, xyz[:, 0], xyz[:, 1])
    exact = np.round(xyz.astype(np.float64) / flight.step_m) * flight.step_m
    bright = (
        rng.uniform(0.2, 1.0, 32)[classes]
        * rng.uniform(200, 40000)
        * np.exp(0.3 * rng.standard_normal(len(classes), dtype=np.float32))
        / totals
    )
    return Cloud(exact, np.clip(bright, 1, 65535).astype(np.uint16), numbers, totals, classes, terrain_z)


def add_noise(rng: np.random.Generator, world: World, xyz, classes, numbers, totals):  # type: ignore[no-untyped-def]
    """Isolated points: low ones (multipath), high ones (birds, haze), from none to hundreds a scene."""
    count = int(
        rng.choice([0, rng.integers(1, 20), rng.integers(10, 120), rng.integers(100, 900)], p=[0.3, 0.25, 0.3, 0.15])
    )
    count = min(count, len(xyz) // 50)
    if not count or len(xyz) < 100:
        return xyz, classes, numbers, totals
    spot = xyz[rng.integers(0, len(xyz), count)].copy()
    low = rng.random(count) < 0.6
    ground = ground_heights(world.terrain, spot[:, 0], spot[:, 1])
    spot[:, 2] = np.where(
        low, ground - 0.6 - rng.exponential(3.0, count), spot[:, 2] + 4 + rng.exponential(25.0, count)
    )
    spot[:, :2] = np.clip(spot[:, :2] + rng.normal(0, 0.3, (count, 2)), 0, world.size_m - 0.01)
    ones = np.ones(count, np.uint8)
    return (
        np.concatenate([xyz, spot]),
        np.concatenate([classes, ones * NOISE]),
        np.concatenate([numbers, ones]),
        np.concatenate([totals, ones]),
    )
