"""A place drawn at random, as geometry, ready to be scanned from the air.

One of eight biomes sets the mix: streets and blocks (town, suburb, village, industry) or open country (forest,
farmland, river, hills). Rivers, roads and rails come first, then what is built, then what grows, then wires.
Ranges are wide on purpose (domain randomisation): a network that has seen flat polders and 35 degree slopes,
leaf-on and leaf-off crowns, sheds and towers needs no knowledge of the country that a tile comes from. One
season, one stand and one style of streets a scene keep it a place, not a mixture.
"""

from __future__ import annotations

import numpy as np

from .buildings import Part, church, free, hall, house, old_front, row_of_houses, shed, slab, stamp_building
from .furniture import boats, boundary, car, clutter, fill_boxes, pole
from .plants import draw_shape, fill_crowns, forest, scatter_trees, shrub, tree, undergrowth
from .terrain import (
    DITCH,
    carve,
    draw_bridge,
    draw_canal,
    draw_lake,
    draw_pond,
    draw_road,
    draw_terrain,
    draw_viaduct,
    draw_water,
    flood,
    profile,
    step_ground,
)
from .wires import draw_railway, mast, power_line, service_drops, street_wires
from .world import BUILT, LEVEL_M, OUTSIDE, SHIFTED, TRAIN, Domain, Flora, Frame, Line, World, draw_line, fractal

__all__ = ["SHIFTED", "TRAIN", "Domain", "build_world"]


def build_world(rng: np.random.Generator, size_m: float, domain: Domain = TRAIN, biome: str | None = None) -> World:
    """Draws a place. The same generator state gives the same world, bit for bit."""
    world = World(size_m, domain)
    names = list(domain.biomes)
    weights = np.array([domain.biomes[k] for k in names])
    drawn = str(rng.choice(names, p=weights / weights.sum()))
    biome = biome or drawn
    draw_terrain(rng, world, biome)
    low, high = np.log(domain.crown_extinction)
    world.flora = Flora(
        extinction=float(np.exp(rng.uniform(low, high))),
        bare=bool(rng.random() < domain.leaf_off),
        conifers=float(rng.choice([0.0, 0.1, 0.5, 1.0], p=[0.4, 0.3, 0.15, 0.15])),
    )

    cross_country(rng, world, biome)  # first: what is built later keeps off rivers, roads and rails
    if biome in ("town", "suburb", "village", "industry"):
        settle(rng, world, biome)
    else:
        open_country(rng, world, biome)
    finish(rng, world)
    grow(world)
    return world


def cross_country(rng: np.random.Generator, world: World, biome: str) -> None:
    """Rivers, roads, rails and ditches that run through the scene."""
    if rng.random() < (0.2 if biome in ("river", "farmland") else 0.03):
        draw_lake(rng, world)
    if biome in ("town", "industry", "suburb") and rng.random() < 0.13:
        draw_canal(rng, world)
    if biome == "river" or rng.random() < 0.12:
        river, half_width = draw_line(rng, world), rng.uniform(2, 30) if rng.random() < 0.8 else rng.uniform(30, 60)
        if rng.random() < 0.55:
            draw_bridge(rng, world, river, half_width, wet=True)
        else:
            draw_water(rng, world, river, half_width)
    if rng.random() < 0.08:
        draw_bridge(rng, world, draw_line(rng, world, straight=True), rng.uniform(4, 12), wet=False)
    if rng.random() < 0.05:
        draw_viaduct(rng, world)
    if rng.random() < 0.06:
        draw_railway(rng, world)
    if rng.random() < 0.2:
        draw_pond(rng, world)
    if rng.random() < 0.12:  # dike, embankment, sunken road
        draw_road(rng, world, draw_line(rng, world), rng.uniform(1.5, 6), rng.uniform(-4, 5))
    if biome in ("farmland", "river", "village", "suburb"):
        for _ in range(rng.integers(0, 4)):
            ditch = draw_line(rng, world, straight=True)
            along, across = ditch.local(world.x, world.y)
            bed = profile(world, ditch, along, 30.0) - np.float32(rng.uniform(0.3, 1.5))
            wet = carve(world, ditch, rng.uniform(0.2, 1.5), bed, rng.uniform(0.5, 1.5), (along, across))
            if rng.random() < 0.4:
                flood(world, wet, DITCH)


def open_country(rng: np.random.Generator, world: World, biome: str) -> None:
    """Fields, woods, single houses and a road."""
    road = draw_line(rng, world)
    if rng.random() < 0.6:
        draw_road(rng, world, road, rng.uniform(1.2, 6))
    if biome in ("farmland", "river", "hills"):
        fields(rng, world)
    for _ in range(rng.integers(0, 5) if biome != "forest" else rng.integers(0, 2)):
        x, y = rng.uniform(0, world.size_m, 2)
        house(rng, world, Frame(x, y, rng.uniform(0, 3.14)), "barn" if rng.random() < 0.4 else "house")
    share = {
        "forest": rng.uniform(0.55, 1.0),
        "farmland": rng.uniform(0, 0.15),
        "river": rng.uniform(0, 0.4),
        "hills": rng.uniform(0, 0.7),
    }[biome]
    patch = fractal(rng, len(world.terrain), 1.8)
    forest(rng, world, patch > np.quantile(patch, 1 - share))
    scatter_trees(rng, world, int(rng.integers(0, 40)), (3, 22))
    if biome != "forest":
        for _ in range(rng.integers(0, 4)):
            x0, y0 = rng.uniform(0, world.size_m, 2)
            turn, length = rng.uniform(0, 6.28), rng.uniform(10, 80)
            boundary(rng, world, x0, y0, x0 + length * np.cos(turn), y0 + length * np.sin(turn))


def finish(rng: np.random.Generator, world: World) -> None:
    """Thickets, boats, wires, and ground that swallows beams."""
    if rng.random() < 0.5:  # thickets
        thicket = (fractal(rng, len(world.terrain), 1.5) > rng.uniform(1.0, 2.5)) & (world.taken == 0)
        undergrowth(rng, world, thicket)
        world.low_height[thicket] = np.maximum(world.low_height[thicket], rng.uniform(0.3, 2.5))
        world.low_cover[thicket] = rng.uniform(0.4, 1.0)
    if world.water.sum() > 2000 and rng.random() < 0.5:
        boats(rng, world)
    if rng.random() < world.domain.wires:
        if rng.random() < 0.6:
            power_line(rng, world, draw_line(rng, world, straight=True))
        else:
            for _ in range(rng.integers(1, 4)):
                street_wires(rng, world, draw_line(rng, world, straight=True), rng.uniform(-4, 4))
            if rng.random() < 0.5:
                service_drops(rng, world)
    if rng.random() < 0.25:
        for _ in range(rng.integers(1, 4)):
            mast(rng, world, *rng.uniform(0, world.size_m, 2))
    if rng.random() < 0.3:  # wet or black ground
        world.keep[fractal(rng, len(world.terrain), 1.6) > rng.uniform(1, 2.5)] *= rng.uniform(0.1, 0.8)


def grow(world: World) -> None:
    """Fills the porous voxels from the lists of crowns and boxes."""
    crowns = np.array(world.crowns, np.float64).reshape(-1, 10)
    boxes = np.array(world.boxes, np.float64).reshape(-1, 6)
    tallest = max(crowns[:, 2].max(initial=1.0) + 6.0, boxes[:, 3].max(initial=1.0) + 2.0)
    n = len(world.terrain)
    world.porous = np.zeros((n, n, int(min(tallest, 70.0) / LEVEL_M) + 1), np.uint8)
    fill_crowns(world.porous, world.terrain, crowns)
    fill_boxes(world.porous, world.terrain, boxes)


def settle(rng: np.random.Generator, world: World, biome: str) -> None:
    """Streets in a turned grid, blocks between them, cars and lamps along them."""
    angle = rng.uniform(0, np.pi / 2)
    centre = world.size_m / 2
    old = float(rng.random() < 0.45)  # an old centre, or a town of other kinds of blocks
    world.town_mix = np.array([0.7, 0.1, 0.03, 0.05, 0.01, 0.04, 0.01, 0.06]) * old + (1 - old) * np.array(
        [0.04, 0.38, 0.19, 0.16, 0.06, 0.07, 0.05, 0.05]
    )
    block_m = {"town": (45, 95), "suburb": (50, 120), "village": (60, 140), "industry": (60, 150)}[biome]
    pitch_u = rng.uniform(*block_m)
    pitch_v = rng.uniform(38, 80) if biome != "industry" else rng.uniform(50, 110)
    street = rng.uniform(4 if old else 7, 20) if biome == "town" else rng.uniform(6, 13)
    shift_u, shift_v = rng.uniform(0, pitch_u), rng.uniform(0, pitch_v)
    c, s = np.cos(angle), np.sin(angle)
    reach = world.extent_m * 0.75
    lines = []
    for k in np.arange(-reach + shift_u, reach, pitch_u):
        bend = rng.uniform(2, 8) if rng.random() < 0.25 else 0.0
        lines.append(
            Line(centre + c * k, centre + s * k, angle + np.pi / 2, bend, rng.uniform(25, 60), rng.uniform(0, 6.28))
        )
    for k in np.arange(-reach + shift_v, reach, pitch_v):
        lines.append(Line(centre - s * k, centre + c * k, angle))
    for line in lines:
        _, across = line.local(world.x, world.y)
        if np.abs(across).min() < street:
            draw_road(rng, world, line, street / 2 * 0.8)
    for line in lines:
        for t in np.arange(-reach, reach, 6.0):
            for side in (-1, 1):
                x, y = (float(q[0]) for q in line.points(np.array([t], np.float32), side * street * 0.36))
                if world.taken_at(x, y) == OUTSIDE:
                    continue
                pick = rng.random()
                if pick < 0.22:
                    car(rng, world, Frame(x, y, line.angle))
                elif pick < 0.27:
                    pole(rng, world, x, y, rng.uniform(3.5, 10))
                elif pick < 0.31:
                    clutter(rng, world, x, y)
        if rng.random() < 0.35:  # an avenue
            h, gap = rng.uniform(5, 18), rng.uniform(5, 14)
            shape, bare = draw_shape(rng, world.flora)
            for t in np.arange(-reach, reach, gap):
                for side in (-1, 1):
                    x, y = (float(q[0]) for q in line.points(np.array([t], np.float32), side * street * 0.42))
                    if world.taken_at(x, y) not in (OUTSIDE, BUILT) and rng.random() < 0.9:
                        tree(rng, world, x, y, h * rng.uniform(0.8, 1.2), shape, world.flora.extinction, bare)
    for ku in np.arange(-reach + shift_u + pitch_u / 2, reach, pitch_u):
        for kv in np.arange(-reach + shift_v + pitch_v / 2, reach, pitch_v):
            x, y = Frame(centre, centre, angle).at(ku, kv)
            if max(abs(x - centre), abs(y - centre)) < world.extent_m / 2 + 0.7 * max(pitch_u, pitch_v):
                draw_block(rng, world, biome, Frame(x, y, angle), (pitch_u - street) / 2, (pitch_v - street) / 2)


def draw_block(rng: np.random.Generator, world: World, biome: str, frame: Frame, a: float, b: float) -> None:
    """Fills one block between streets. a, b: half sizes."""
    kinds = {
        "town": (
            ["old", "perimeter", "rows", "slab", "detached", "park", "hall", "square"],
            world.town_mix,
        ),
        "suburb": (["detached", "rows", "slab", "park", "hall", "field"], [0.5, 0.3, 0.07, 0.05, 0.04, 0.04]),
        "village": (
            ["detached", "rows", "field", "park", "hall", "farm", "old"],
            [0.37, 0.1, 0.16, 0.09, 0.02, 0.16, 0.1],
        ),
        "industry": (["hall", "slab", "square", "field", "park"], [0.58, 0.14, 0.16, 0.06, 0.06]),
    }[biome]
    kind = str(rng.choice(kinds[0], p=kinds[1]))
    if kind == "old":
        old_block(rng, world, frame, a, b, low=biome == "village")
    elif kind == "perimeter":
        inset = rng.uniform(0, 3) + 5.5
        row_of_houses(rng, world, frame.moved(0, b - inset), a - 1, "urban")
        row_of_houses(rng, world, frame.moved(0, -b + inset, np.pi), a - 1, "urban")
        if rng.random() < 0.8 and b > 24:
            row_of_houses(rng, world, frame.moved(a - inset, 0, -np.pi / 2), b - 13, "urban")
            row_of_houses(rng, world, frame.moved(-a + inset, 0, np.pi / 2), b - 13, "urban")
        yard(rng, world, frame, a - 14, b - 14)
    elif kind == "rows":
        inset = rng.uniform(6, 11)
        for side, turn in ((1, 0.0), (-1, np.pi)):
            u = -a + 2
            while u < a - 12:
                half = min(rng.uniform(10, 32), (a - u) / 2 - 1)
                if half > 5:
                    row_of_houses(rng, world, frame.moved(u + half, side * (b - inset), turn), half, "house")
                u += 2 * half + rng.uniform(2, 8)
        yard(rng, world, frame, a - 2, max(b - 18, 3))
    elif kind == "detached":
        plot = rng.uniform(12, 26)
        for u in np.arange(-a + plot / 2, a - plot / 2 + 0.1, plot):
            for side in (-1, 1) if b > 18 else (1,):
                if rng.random() < 0.9:
                    v = side * (b - rng.uniform(7, 13)) if b > 18 else rng.uniform(-3, 3)
                    turn = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.04)
                    house(rng, world, frame.moved(u + rng.uniform(-2, 2), v, turn))
                if rng.random() < 0.15:  # gardens lie a step higher or lower than their neighbours
                    step_ground(world, frame.moved(u, side * b / 2), plot / 2, b / 2, rng.uniform(-0.5, 0.5))
                if rng.random() < 0.4:
                    back = (u + rng.uniform(-0.4, 0.4) * plot, side * b * rng.uniform(0.05, 0.5))
                    shed(rng, world, frame.moved(*back, rng.normal(0, 0.2)))
                boundary(rng, world, *frame.at(u - plot / 2, 0), *frame.at(u - plot / 2, side * b))
        if rng.random() < 0.7:
            boundary(rng, world, *frame.at(-a, 0), *frame.at(a, 0))
        garden(rng, world, frame, a, b)
        beds(rng, world, frame, a, b)
    elif kind == "slab":
        for _ in range(rng.integers(1, 4)):
            ha, hb = rng.uniform(8, min(a * 0.9, 35) + 0.1) if a > 9 else 8, rng.uniform(5, 9)
            u, v = rng.uniform(-1, 1) * max(a - ha, 0), rng.uniform(-1, 1) * max(b - hb, 0)
            site = frame.moved(u, v, rng.choice([0, np.pi / 2]))
            if free(world, site, ha, hb, 2.0):
                slab(rng, world, site, ha, hb)
        garden(rng, world, frame, a, b, 0.6)
    elif kind == "hall":
        for _ in range(rng.integers(1, 4)):
            ha, hb = rng.uniform(0.25, 0.95) * a, rng.uniform(0.25, 0.9) * b
            site = frame.moved(rng.uniform(-1, 1) * (a - ha), rng.uniform(-1, 1) * (b - hb))
            if free(world, site, ha, hb, 1.0):
                hall(rng, world, site, ha, hb)
        parking(rng, world, frame, a, b)
        garden(rng, world, frame, a, b, 0.2)
    elif kind == "square":
        u, v = frame.local(world.x, world.y)
        world.taken[np.maximum(np.abs(u) / a, np.abs(v) / b) < 0.8] |= 2
        parking(rng, world, frame, a, b)
        if rng.random() < 0.3:  # a filling station, a platform roof
            canopy = Part(0, 0, rng.uniform(4, 20), rng.uniform(2, 7), rng.uniform(3, 6), open=True)
            stamp_building(world, frame.moved(rng.uniform(-0.5, 0.5) * a, rng.uniform(-0.5, 0.5) * b), [canopy])
        if rng.random() < 0.4:
            church(rng, world, frame)
    elif kind == "farm":
        for _ in range(rng.integers(2, 6)):
            site = frame.moved(rng.uniform(-0.7, 0.7) * a, rng.uniform(-0.7, 0.7) * b, rng.choice([0, np.pi / 2]))
            house(rng, world, site, "barn" if rng.random() < 0.6 else "house")
        garden(rng, world, frame, a, b, 0.4)
    elif kind == "park":
        garden(rng, world, frame, a, b, 1.2, big=True)
        if rng.random() < 0.15:
            church(rng, world, frame)


def old_block(rng: np.random.Generator, world: World, frame: Frame, a: float, b: float, low: bool) -> None:
    """A block of an old town: fronts on all sides, court buildings and trees between them, little ground in sight."""
    storeys = rng.uniform(1.5, 3) if low else rng.uniform(2.5, 5.5)
    bend = rng.uniform(-4, 6) if rng.random() < 0.4 else 0.0
    inset = max(bend, 0.0) + 0.3
    old_front(rng, world, frame.moved(0, b - inset), a, storeys, bend)
    old_front(rng, world, frame.moved(0, -b + 0.3, np.pi), a, storeys * rng.uniform(0.8, 1.2))
    if rng.random() < 0.8:
        old_front(rng, world, frame.moved(a - 0.3, 0, -np.pi / 2), max(b - 10, 4), storeys)
        old_front(rng, world, frame.moved(-a + 0.3, 0, np.pi / 2), max(b - 10, 4), storeys)
    for _ in range(rng.poisson(a * b / rng.uniform(40, 160))):  # court buildings
        site = frame.moved(
            rng.uniform(-1, 1) * max(a - 10, 2), rng.uniform(-1, 1) * max(b - 10, 2), rng.choice([0, 1.571])
        )
        ha, hb = rng.uniform(1.5, 6), rng.uniform(1.5, 4)
        if free(world, site, ha * 0.7, hb * 0.7, 0.0):
            roof = str(rng.choice(["flat", "shed", "gable"], p=[0.5, 0.25, 0.25]))
            stamp_building(
                world, site, [Part(0, 0, ha, hb, rng.uniform(2.3, 2.0 + 2.5 * storeys), roof, rng.uniform(0.2, 0.8))]
            )
    yard(rng, world, frame, a - 8, b - 8)


def yard(rng: np.random.Generator, world: World, frame: Frame, a: float, b: float) -> None:
    """Back yards: sheds, trees, walls between them."""
    if a < 3 or b < 2:
        return
    for _ in range(rng.poisson(a * b / 60)):
        shed(rng, world, frame.moved(rng.uniform(-a, a), rng.uniform(-b, b)))
    for u in np.arange(-a, a, rng.uniform(5, 9)):
        if rng.random() < 0.6:
            boundary(rng, world, *frame.at(u, -b), *frame.at(u, b))
    garden(rng, world, frame, a, b, 0.7)
    beds(rng, world, frame, a, b)


def beds(rng: np.random.Generator, world: World, frame: Frame, a: float, b: float) -> None:
    """Flower beds, vegetables, brambles, ground cover: low plants of 0.2-2 m in patches of gardens."""
    u, v = frame.local(world.x, world.y)
    inside = (np.abs(u) < a) & (np.abs(v) < b) & (world.taken == 0)
    if rng.random() < 0.3 or not inside.any():
        return
    patch = np.roll(world.patches(rng), rng.integers(0, len(u), 2), (0, 1))
    where = inside & (patch > rng.uniform(0.5, 2.0))
    world.low_height[where] = rng.uniform(0.3, 2.0)
    world.low_cover[where] = rng.uniform(0.4, 1.0)


def garden(
    rng: np.random.Generator, world: World, frame: Frame, a: float, b: float, amount: float = 1.0, big: bool = False
) -> None:
    for _ in range(rng.poisson(4 * a * b / (90 if not big else 70) * amount * rng.uniform(0.2, 2.0))):
        x, y = frame.at(rng.uniform(-a, a), rng.uniform(-b, b))
        if world.taken_at(x, y) & 7:
            continue
        pick = rng.random()
        if pick < 0.5:
            shrub(rng, world, x, y)
        elif pick < 0.62:  # clipped or evergreen: a smooth outline that few beams get into
            h = rng.uniform(2.0, 11.0)
            form, radius = int(rng.choice([0, 1, 2])), min(h * rng.uniform(0.15, 0.55), 3.5)
            tree(
                rng,
                world,
                x,
                y,
                h,
                form,
                rng.uniform(1.5, 4.0),
                False,
                radius,
                rng.uniform(0, 0.3),
                gaps=rng.uniform(0, 0.2),
            )
        else:
            shape, bare = draw_shape(rng, world.flora)
            tree(
                rng,
                world,
                x,
                y,
                rng.uniform(2.5, 24 if big else 14),
                shape,
                world.flora.extinction * rng.uniform(0.5, 1.5),
                bare,
            )


def parking(rng: np.random.Generator, world: World, frame: Frame, a: float, b: float) -> None:
    for v in np.arange(-b * 0.7, b * 0.7, rng.uniform(6, 12)):
        for u in np.arange(-a * 0.8, a * 0.8, rng.uniform(2.4, 2.9)):
            if rng.random() < 0.3:
                car(rng, world, frame.moved(u, v, np.pi / 2 + rng.normal(0, 0.03)))


def fields(rng: np.random.Generator, world: World) -> None:
    """Crops, meadows and stubble in strips with one height each; what is below 0.2 m counts as ground."""
    line = draw_line(rng, world, straight=True)
    along, across = line.local(world.x, world.y)
    u, v = np.floor(along / rng.uniform(30, 120)), np.floor(across / rng.uniform(30, 120))
    for i in np.unique(u):
        for j in np.unique(v):
            where = (u == i) & (v == j) & (world.taken == 0)
            pick = rng.random()
            height = (
                rng.uniform(0.0, 0.18) if pick < 0.6 else rng.uniform(0.2, 1.1) if pick < 0.9 else rng.uniform(1.0, 2.8)
            )
            world.low_height[where] = height * (1 + 0.1 * np.sin(across[where] * rng.uniform(2, 8)))
            world.low_cover[where] = rng.uniform(0.3, 0.98)
    if rng.random() < 0.5:
        k, depth = rng.uniform(0.5, 3), rng.uniform(0.05, 0.25)
        world.terrain += (depth * 0.5 * np.sin(across * k) * (world.taken == 0)).astype(np.float32)
