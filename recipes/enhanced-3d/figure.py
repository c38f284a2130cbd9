"""Figures of an artifact: shapes before and after, and the truth beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hive_recipe_shape_corpus.export import on_paper
from hive_recipe_shape_corpus.mesh import Mesh
from hive_recipe_shape_corpus.render import Camera, render
from numpy.typing import NDArray

from .evaluate import Places, drawn_pictures, drawn_shapes
from .refine import Refiner

if TYPE_CHECKING:
    from hive_runner.run import Run

TILE_PX = 224
ACROSS = 2  # objects beside each other
FONT_PX = 15


def draw_figures(run: Run, refiner: Refiner, places: Places) -> None:
    """out/figures: the first held-out objects."""
    run.phase("draw")
    folder = run.out / "figures"
    folder.mkdir(exist_ok=True)
    shapes = drawn_shapes(places, refiner, min(4, run.params.held_out_shapes))
    sheet(folder / "shapes.png", ("coarse", "refined", "truth"), [[tile(mesh) for mesh in row] for row in shapes])
    pictures = drawn_pictures(places, refiner, min(4, run.params.held_out_pictures))
    rows = [[framed(rgba), *(tile(mesh) for mesh in meshes)] for rgba, meshes in pictures]
    sheet(folder / "pictures.png", ("picture", "image-to-3d", "refined", "truth"), rows)


def tile(mesh: Mesh, azimuth_deg: float = 30.0, elevation_deg: float = 20.0) -> NDArray[np.uint8]:
    """(TILE_PX, TILE_PX, 3), all of one clay, so that the shape is what one sees."""
    clay = Mesh(mesh.vertices, mesh.faces, np.broadcast_to(np.array([206, 190, 168], np.uint8), mesh.faces.shape))
    return on_paper(render(clay, Camera(azimuth_deg, elevation_deg, 30.0, 2.3), TILE_PX, 3).rgba)


def framed(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(Image.fromarray(on_paper(rgba)).resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS))


def sheet(path: Path, heads: tuple[str, ...], rows: list[list[NDArray[np.uint8]]]) -> None:
    """Write a PNG: a row of tiles for each object, ACROSS objects beside each other, headed once."""
    from PIL import Image, ImageDraw, ImageFont

    strips = [np.concatenate(row, 1) for row in rows]
    lines = [np.concatenate(strips[k : k + ACROSS], 1) for k in range(0, len(strips) - ACROSS + 1, ACROSS)]
    width = lines[0].shape[1]
    picture = Image.new("RGB", (width, FONT_PX * 2 + TILE_PX * len(lines)), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(FONT_PX)
    for k, head in enumerate(heads * ACROSS):
        pen.text((TILE_PX * k + TILE_PX / 2, FONT_PX), head, fill=(60, 60, 60), font=font, anchor="mm")
    for k, line in enumerate(lines):
        picture.paste(Image.fromarray(line), (0, FONT_PX * 2 + TILE_PX * k))
    picture.save(path)
