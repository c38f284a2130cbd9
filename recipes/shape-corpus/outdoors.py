"""Makers of houses, animals and trees."""

from __future__ import annotations

import numpy as np

from .drawing import Made, between, chance, painted
from .palette import COLOURS, coat, darker, near
from .primitives import Blob, Part, blob, box, column, limb
from .vehicles import GLASS


def house(rng: np.random.Generator) -> Made:
    wall, roof = coat(rng, "painted", "stone", "wooden"), coat(rng, "painted")
    width, depth, floors = between(rng, 5, 12), between(rng, 5, 9), int(rng.integers(1, 4))
    eaves = floors * between(rng, 2.5, 3.0)
    style = str(rng.choice(["gabled", "hipped", "flat", "pyramid"]))
    parts = [box((0, 0, eaves / 2), (width, depth, eaves), wall.rgb)]
    over, rise, thick = between(rng, 1.04, 1.12), between(rng, 0.25, 0.5) * depth, 0.3
    if style == "flat":
        parts.append(box((0, 0, eaves + thick / 2), (width * over, depth * over, thick), roof.rgb))
    else:
        taper = {"gabled": (1.0, 0.0), "hipped": (max(1 - depth / width, 0.1), 0.0), "pyramid": (0.0, 0.0)}[style]
        parts.append(box((0, 0, eaves + rise / 2), (width * over, depth * over, rise), roof.rgb, taper=taper))
    chimney = style != "flat" and chance(rng, 0.5)
    if chimney:
        high = rise * between(rng, 0.95, 1.15)
        parts.append(
            box(
                (width * between(rng, -0.32, 0.32), depth * 0.16, eaves + high / 2),
                (0.6, 0.6, high),
                darker(COLOURS["red"], 0.7),
            )
        )
    windows = max(int(width // 2.6), 2)
    door = int(rng.integers(windows))
    for level in range(floors):
        z = (level + 0.5) * eaves / floors
        for k in range(windows):
            x = (k + 0.5 - windows / 2) * width / windows
            if level == 0 and k == door:
                parts.append(
                    box(
                        (x, -depth / 2, eaves / floors * 0.38),
                        (1.0, 0.24, eaves / floors * 0.76),
                        darker(COLOURS["brown"]),
                    )
                )
            else:
                parts += [box((x, sy * depth / 2, z), (1.1, 0.24, 1.1), GLASS) for sy in (-1, 1)]
    annex = chance(rng, 0.35)
    if annex:
        side, wide, tall = (1 if chance(rng, 0.5) else -1), width * between(rng, 0.35, 0.6), eaves / floors * 0.95
        parts.append(box((side * (width + wide) / 2, depth * 0.08, tall / 2), (wide, depth * 0.75, tall), wall.rgb))
        parts.append(
            box(
                (side * (width + wide) / 2, depth * 0.08, tall + 0.45),
                (wide * 1.05, depth * 0.82, 0.9),
                roof.rgb,
                taper=(1.0, 0.05),
            )
        )
    return parts, painted(wall, roof) | {
        "n_floors": floors,
        "has_chimney": chimney,
        "style": style + (" annexed" if annex else ""),
    }


def animal(rng: np.random.Generator) -> Made:
    style = str(rng.choice(["dog", "horse", "elephant", "giraffe", "pig"]))
    hue = {"elephant": "grey", "giraffe": "yellow", "pig": "pink"}.get(style) or str(
        rng.choice(["brown", "black", "white", "grey", "beige"])
    )
    rgb = near(rng, COLOURS[hue])
    length = {"dog": 0.7, "horse": 1.7, "elephant": 3.0, "giraffe": 2.0, "pig": 1.1}[style] * between(rng, 0.85, 1.15)
    leg = (
        length
        * {"dog": 0.5, "horse": 0.62, "elephant": 0.5, "giraffe": 1.0, "pig": 0.28}[style]
        * between(rng, 0.9, 1.1)
    )
    girth = (
        length
        * {"dog": 0.17, "horse": 0.19, "elephant": 0.28, "giraffe": 0.19, "pig": 0.25}[style]
        * between(rng, 0.9, 1.1)
    )
    thick = length * {"elephant": 0.1, "pig": 0.07}.get(style, 0.055)
    body = leg + girth * 0.75
    parts = [Part(Blob(2.5), (0, 0, body), (girth, length / 2, girth * 1.05), rgb)]
    for sx in (-1, 1):
        for sy in (-1, 1):
            parts.append(
                limb(
                    (sx * girth * 0.6, sy * length * 0.36, 0),
                    (sx * girth * 0.55, sy * length * 0.33, body),
                    thick * 0.8,
                    rgb,
                    top=thick * 1.3,
                    sides=12,
                )
            )
    neck = length * {"dog": 0.22, "horse": 0.48, "elephant": 0.12, "giraffe": 1.15, "pig": 0.06}[style]
    up = neck * {"giraffe": 0.92, "horse": 0.8, "dog": 0.8}.get(style, 0.5)
    root = (0.0, -length * 0.4, body + girth * 0.3)
    top = (0.0, -length * 0.4 - neck * 0.5 - length * 0.05, body + girth * 0.4 + up)
    parts.append(limb(root, top, girth * 0.55, rgb, top=girth * 0.4))
    head = length * {"elephant": 0.2, "pig": 0.17, "giraffe": 0.14}.get(style, 0.16)
    parts.append(blob((top[0], top[1] - head * 0.4, top[2]), (head * 1.15, head * 2.0, head * 1.25), rgb))
    if style == "elephant":
        y, z = top[1] - head * 1.2, top[2] - head * 0.2
        parts.append(limb((0, y, z), (0, y - head * 0.7, z - leg * 0.55), head * 0.34, rgb, top=head * 0.22))
        parts.append(
            limb(
                (0, y - head * 0.7, z - leg * 0.55),
                (0, y - head * 0.9, z - leg * 0.95),
                head * 0.22,
                rgb,
                top=head * 0.16,
            )
        )
        parts += [
            blob(
                (sx * head * 1.1, top[1] + head * 0.2, top[2]), (head * 1.5, head * 0.35, head * 1.9), darker(rgb, 0.9)
            )
            for sx in (-1, 1)
        ]
    else:
        parts.append(
            blob(
                (0, top[1] - head * 1.2, top[2] - head * 0.25),
                (head * 0.75, head * 1.1, head * 0.7),
                darker(rgb, 0.85),
                3.0,
            )
        )
        ear = head * between(rng, 0.5, 0.9)
        parts += [
            limb(
                (sx * head * 0.4, top[1], top[2] + head * 0.4),
                (sx * head * 0.5, top[1] + 0.1 * head, top[2] + head * 0.5 + ear),
                head * 0.24,
                rgb,
                top=head * 0.1,
                sides=10,
            )
            for sx in (-1, 1)
        ]
    rump = (0.0, length * 0.47, body + girth * 0.4)
    drop = 0.5 if style != "dog" or chance(rng, 0.5) else -0.5
    parts.append(
        limb(
            rump,
            (0, length * 0.62, rump[2] - drop * leg * 0.8),
            thick * 0.6,
            darker(rgb, 0.8),
            top=thick * 0.35,
            sides=10,
        )
    )
    return parts, {"colour": hue, "n_legs": 4, "style": style}


def tree(rng: np.random.Generator) -> Made:
    style = str(rng.choice(["conifer", "round", "bushy", "palm"]))
    hue = (
        str(rng.choice(["green", "green", "green", "orange", "yellow", "red", "pink"])) if style != "palm" else "green"
    )
    leaf, bark = near(rng, COLOURS[hue]), near(rng, COLOURS["brown"])
    height = between(rng, 2.5, 9.0)
    thick, bare = height * between(rng, 0.025, 0.05), between(rng, 0.18, 0.4)
    parts = [column((0, 0, 0), height * (bare + 0.25), thick, bark, top=thick * 0.6)]
    if style == "conifer":
        tiers, wide = int(rng.integers(1, 5)), height * between(rng, 0.16, 0.28)
        tall = height * (1 - bare * 0.6)
        for k in range(tiers):
            z, share = height * bare * 0.6 + tall * 0.72 * k / tiers, 1 - k / (tiers + 0.6)
            parts.append(
                column((0, 0, z), min(tall * (0.6 if tiers > 1 else 1.0), height - z), wide * share, leaf, top=0.0)
            )
    elif style == "round":
        size = height * between(rng, 0.45, 0.7)
        parts.append(
            blob((0, 0, height * (bare + 0.3)), (size, size, height * (1 - bare)), leaf, between(rng, 2.0, 3.0))
        )
    elif style == "bushy":
        for _ in range(int(rng.integers(4, 9))):
            size, turn, out = (
                height * between(rng, 0.22, 0.4),
                between(rng, 0, 2 * np.pi),
                height * between(rng, 0.05, 0.2),
            )
            parts.append(
                blob(
                    (out * np.cos(turn), out * np.sin(turn), height * between(rng, bare + 0.15, 0.85)),
                    (size, size, size * 0.8),
                    near(rng, leaf),
                )
            )
    else:
        parts[0] = column((0, 0, 0), height * 0.9, thick, bark, top=thick * 0.6)
        fronds = int(rng.integers(5, 9))
        for k in range(fronds):
            turn, reach = 2 * np.pi * k / fronds + between(rng, -0.2, 0.2), height * between(rng, 0.25, 0.36)
            c, s = float(np.cos(turn)), float(np.sin(turn))
            middle = (c * reach * 0.6, s * reach * 0.6, height * 0.96)
            parts.append(limb((0, 0, height * 0.88), middle, thick * 0.6, leaf, top=thick * 0.9, sides=8))
            parts.append(
                limb(
                    middle,
                    (c * reach, s * reach, height * between(rng, 0.72, 0.86)),
                    thick * 0.9,
                    leaf,
                    top=thick * 0.3,
                    sides=8,
                )
            )
    return parts, {"colour": hue, "style": style}


MAKERS = {"house": house, "animal": animal, "tree": tree}
