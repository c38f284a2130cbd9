"""Pictures of prompts beside what was made of them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hive_recipe_shape_corpus.export import PAPER, on_paper
from hive_recipe_shape_corpus.mesh import Mesh
from hive_recipe_shape_corpus.render import Camera, render
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

TILE_PX = 180
WORDS_PX = 260
HEAD_PX = 26
COLUMNS = ("made", "other side", "nearest caption's", "true shape")


@dataclass(frozen=True)
class Row:
    prompt: str
    made: Mesh
    fetched: Mesh
    truth: Mesh
    right: float | None  # share of the questions that it answers as told


def draw_rows(rows: list[Row], path: Path) -> None:
    """A row a prompt: its words, what was made from two sides, what retrieval finds, and the shape it was said of."""
    width = WORDS_PX + len(COLUMNS) * TILE_PX
    sheet = Image.new("RGB", (width, HEAD_PX + TILE_PX * len(rows)), (PAPER,) * 3)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for column, name in enumerate(COLUMNS):
        pen.text((WORDS_PX + (column + 0.5) * TILE_PX, HEAD_PX / 2), name, (110, 110, 110), font, "mm")
    for number, row in enumerate(rows):
        top = HEAD_PX + number * TILE_PX
        words = textwrap.fill(row.prompt, 32)
        if row.right is not None:
            words += f"\n\n{row.right:.0%} as told"
        pen.multiline_text((14, top + TILE_PX / 2), words, (30, 30, 30), font, "lm", spacing=5)
        looks = [look(row.made, 30), look(row.made, 210), look(row.fetched, 30), look(row.truth, 30)]
        for column, picture in enumerate(looks):
            sheet.paste(Image.fromarray(picture), (WORDS_PX + column * TILE_PX, top))
    sheet.save(path, optimize=True)


def look(mesh: Mesh, azimuth_deg: float, size_px: int = TILE_PX) -> NDArray[np.uint8]:
    """(size, size, 3)."""
    fov_deg = 30.0
    radius = float(np.linalg.norm(mesh.vertices, axis=1).max())
    distance = radius / np.sin(np.radians(fov_deg) / 2) * 1.04
    return on_paper(render(mesh, Camera(azimuth_deg, 22.0, fov_deg, distance), size_px).rgba)
