"""A page of held-out objects: the picture given, the truth, the reconstruction from the same and from another side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hive_recipe_shape_corpus.export import on_paper
from hive_recipe_shape_corpus.mesh import Mesh
from hive_recipe_shape_corpus.render import Camera, render
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .evaluate import Judged

TILE_PX = 128
ROWS = 10
PAPER = 245


def draw(path: Path, judged: Sequence[Judged], truths: Sequence[Mesh]) -> None:
    """The worst ROWS views by F-score at 5 %, and ROWS of the middle, side by side."""
    from PIL import Image, ImageDraw

    order = np.argsort([each.scores["network"]["f5"] for each in judged])
    half = max(len(order) // 2 - ROWS // 2, 0)
    columns = [order[:ROWS], order[half : half + ROWS]]
    width, head = 5 * TILE_PX + 16, 34
    page = Image.new("RGB", (width * 2, head + ROWS * (TILE_PX + 14)), (255, 255, 255))
    pen = ImageDraw.Draw(page)
    for side, (title, chosen) in enumerate(zip(("worst", "typical"), columns, strict=True)):
        pen.text((side * width + 6, 4), f"{title}: held-out objects by F-score at 5 %", fill=(0, 0, 0))
        for k, label in enumerate(("given", "truth behind", "made, same side", "made, behind", "made, above")):
            pen.text((side * width + 6 + k * TILE_PX, 18), label, fill=(90, 90, 90))
        for row, index in enumerate(chosen):
            top = head + row * (TILE_PX + 14)
            each = judged[int(index)]
            strip = np.concatenate(tiles(each, truths[int(index)]), 1)
            page.paste(Image.fromarray(strip), (side * width + 4, top))
            score = each.scores["network"]
            text = f"{each.item.name}  F5 {score['f5']:.2f}  IoU {score['iou']:.2f}  CD {score['chamfer']:.3f}"
            pen.text((side * width + 6, top + TILE_PX), text, fill=(60, 60, 60))
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path)


def tiles(each: Judged, truth: Mesh) -> list[NDArray[np.uint8]]:
    camera, own = each.view.frustum.camera, each.made.camera
    behind = replace(camera, azimuth_deg=camera.azimuth_deg + 140, target=(0, 0, 0))
    own_behind = replace(own, azimuth_deg=140.0, target=(0, 0, 0))
    above = Camera(30.0, 50.0, 30.0, 3.0)
    shown = [(truth, behind), (each.made.mesh, own), (each.made.mesh, own_behind), (each.made.mesh, above)]
    return [on_paper(each.view.rgba, PAPER), *(on_paper(render(m, c, TILE_PX).rgba, PAPER) for m, c in shown)]
