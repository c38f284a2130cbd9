"""Shows what is in the corpus: `predict` for `hive run`, `load` for `hive.load`, `sample` for `hive run --sample`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hive_runner.errors import InputError
from PIL import Image, ImageDraw

from .corpus import Corpus, Item
from .export import PAPER, on_paper
from .export import write as write_mesh
from .render import Camera, render

if TYPE_CHECKING:
    from hive_runner.run import Run

TILE_PX = 200
CAPTION_PX = 14
COLUMNS = 6
VIEW = Camera(25, 20, 30, 3.1)


def load(artifact: Path, threads: int = 1, device: str = "cpu") -> Corpus:
    """The corpus: `items`, and of an item `mesh(item)`, `solid(item)`, `colour(item)`."""
    return Corpus(artifact)


def predict(run: Run) -> None:
    """Write a folder with a picture of the items that are asked for, and each as GLB."""
    corpus = Corpus(run.artifact)
    [source] = run.inputs
    lines = [line.strip() for line in source.read_text("utf-8").splitlines() if line.strip()]
    if not lines:
        raise InputError(
            f"{source.name} is empty", "words are looked for, one line after the other", "hive run shape-corpus chair"
        )
    if run.output.suffix:
        raise InputError(
            f"cannot write {run.output.name}", "the answer is a folder with a picture and GLB files", "-o out/"
        )
    found = [item for line in lines for item in search(corpus, line)[: run.options.most]]
    if not found:
        common = ", ".join(sorted({item.family for item in corpus.items}))
        raise InputError(
            f"nothing in the corpus is called {lines[0]!r}", f"families: {common}", "hive run shape-corpus chair"
        )
    run.output.mkdir()
    run.phase("draw", total=len(found))
    for done, item in enumerate(found, start=1):
        # GLB is in metres: the object is as large as it says it is
        write_mesh(corpus.mesh(item), run.output / f"{item.index:04d}-{_plain(item.name)}.glb", max(item.size_m))
        run.progress(done)
    sheet(corpus, found).save(run.output / "items.png")
    run.summary.update(
        {"items": len(found), "of": len(corpus.items), "names": sorted({item.name for item in found})[:12]}
    )


def sample(run: Run) -> None:
    run.output.write_text("chair\n")


def search(corpus: Corpus, words: str) -> list[Item]:
    """The items whose name, family or tags hold all the words, in the corpus' order."""
    wanted = [word.lower() for word in words.split()]
    return [
        item
        for item in corpus.items
        if set(wanted) <= set(re.findall(r"\w+", " ".join([item.name, item.family, *item.tags]).lower()))
    ]


def sheet(corpus: Corpus, items: list[Item]) -> Image.Image:
    """One small picture of each, with its name."""
    rows = -(-len(items) // COLUMNS)
    columns = min(len(items), COLUMNS)
    picture = Image.new("RGB", (columns * TILE_PX, rows * (TILE_PX + CAPTION_PX)), (PAPER,) * 3)
    draw = ImageDraw.Draw(picture)
    for number, item in enumerate(items):
        x, y = number % COLUMNS * TILE_PX, number // COLUMNS * (TILE_PX + CAPTION_PX)
        tile = on_paper(render(corpus.mesh(item), VIEW, TILE_PX, samples=3).rgba)
        picture.paste(Image.fromarray(np.ascontiguousarray(tile)), (x, y))
        draw.text(
            (x + 3, y + TILE_PX), item.name.encode("latin-1", "replace").decode("latin-1")[:32], fill=(40, 40, 40)
        )
    return picture


def _plain(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower()).strip("-")[:60]
