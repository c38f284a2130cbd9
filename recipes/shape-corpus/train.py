"""Builds the corpus: furniture is read, carved and packed; shapes of the grammar are drawn. Nothing is learnt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import Generator, Philox, SeedSequence
from numpy.typing import NDArray

from . import attribution, furniture
from .carve import flooded, solid
from .corpus import Blob, Item, pack, split_of, write
from .furniture import Model
from .grammar import FAMILIES, HELD_OUT_FAMILIES, describe, make_shape
from .mesh import Mesh

if TYPE_CHECKING:
    from hive_runner.run import Run

FEWEST_CELLS = 100  # a carved solid of fewer is taken for broken
FLATTEST = 0.004  # thickness over the longest side; what is flatter is a picture of a thing
PUNCTURED = 0.02  # share of the faces taken out to see what a hole does to a carved solid


@dataclass(frozen=True)
class Task:
    """One item to make: a model of a library, or the shape of the grammar with this number."""

    library: Path | None
    model: Model | None
    number: int


@dataclass(frozen=True)
class Made:
    item: Item | None  # None: the model was skipped
    blob: Blob | None
    figures: dict[str, float]


def train(run: Run) -> None:
    tasks: list[Task] = []
    if "furniture" in run.data:
        run.phase("unpack furniture")
        for library in furniture.unpack(run.data["furniture"], run.scratch / "libraries"):
            tasks += [Task(library, model, 0) for model in furniture.catalogue(library)]
        tasks = tasks[: run.params.furniture_items] if run.params.furniture_items else tasks
        run.log(f"{len(tasks)} models of furniture")
    tasks += [Task(None, None, number) for number in range(run.params.grammar_items)]

    done: list[Made] = [_restored(made) for made in (run.resume() or {"done": []})["done"]]
    make_once = partial(make, run.seed, run.params.checks)
    run.phase("make shapes", total=len(tasks))
    for made in _in_order(run.cpus, make_once, tasks[len(done) :]):
        done.append(made)
        run.progress(len(done))
        run.checkpoint(len(done), lambda: {"done": [asdict(each) for each in done]})

    items = [made.item for made in done if made.item]
    write(run.out, _numbered(items), [made.blob for made in done if made.blob])
    (run.out / "ATTRIBUTION.md").write_text(attribution.text(items))
    _report(run, tasks, done)


def make(seed: int, checks: int, task: Task) -> Made:
    """The shape of a task. checks: of how many grammar shapes to carve one too, to see how well that goes; 0: none."""
    if task.model and task.library:
        return _make_furniture(task.library, task.model)
    rng = Generator(Philox(SeedSequence([seed, task.number])))
    family = FAMILIES[task.number % len(FAMILIES)]
    shape = make_shape(rng, family)
    name = describe(shape.attributes)
    split = "test" if family in HELD_OUT_FAMILIES else split_of(name)
    item = Item(0, "grammar", name, family, (), shape.size_m, shape.attributes, split, "CC0-1.0", "")
    checked = checks and task.number % checks == 0
    return Made(item, pack(shape.mesh, shape.solid), _check(rng, shape.mesh, shape.solid) if checked else {})


def _make_furniture(library: Path, model: Model) -> Made:
    try:
        full = furniture.read(library, model)
    except ValueError:  # no faces
        return Made(None, None, {})
    if np.ptp(full.vertices, axis=0).min() < FLATTEST:
        return Made(None, None, {})
    carved = solid(full)
    if carved.sum() < FEWEST_CELLS:
        return Made(None, None, {})
    mesh = furniture.oriented(furniture.simplified(full), carved)
    source = {"library": model.library, "model": model.path}
    item = Item(
        0, "furniture", model.name, model.category, model.tags, model.size_m, source, split_of(model.name),
        model.licence, model.creator,
    )  # fmt: skip
    return Made(item, pack(mesh, carved), {})


def _check(rng: Generator, mesh: Mesh, exact: NDArray[np.bool_]) -> dict[str, float]:
    """IoU with the exact solid: of what is carved and of what is flood-filled, of the mesh and of one with holes."""
    kept = np.sort(rng.permutation(len(mesh.faces))[: int(np.ceil(len(mesh.faces) * (1 - PUNCTURED)))])
    holed = Mesh(mesh.vertices, mesh.faces[kept], mesh.colours[kept])
    return {
        "carved": _iou(solid(mesh), exact),
        "flooded": _iou(flooded(mesh, len(exact)), exact),
        "carved_holed": _iou(solid(holed), exact),
        "flooded_holed": _iou(flooded(holed, len(exact)), exact),
    }


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def _in_order(workers: int, make_one: partial[Made], tasks: list[Task]) -> Iterator[Made]:
    """What becomes of each task, in their order, made by as many processes as there are cores."""
    solid(_TETRAHEDRON, 8, 1), pack(_TETRAHEDRON, np.zeros((8, 8, 8), bool))  # compiled here once, not in each worker
    if workers == 1:
        yield from map(make_one, tasks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        for start in range(0, len(tasks), 64):  # so that little waits to be taken, and little is lost when stopped
            yield from pool.map(make_one, tasks[start : start + 64], chunksize=2)


_TETRAHEDRON = Mesh(
    np.array([[-0.5, -0.5, -0.5], [0.5, -0.5, -0.5], [0, 0.5, -0.5], [0, 0, 0.5]], np.float32),
    np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], np.int32),
    np.full((4, 3), 128, np.uint8),
)


def _numbered(items: list[Item]) -> list[Item]:
    return [Item(**(asdict(item) | {"index": index})) for index, item in enumerate(items)]


def _restored(made: dict[str, Any]) -> Made:
    """From a checkpoint."""
    item, blob = made["item"], made["blob"]
    return Made(Item(**item) if item else None, Blob(**blob) if blob else None, made["figures"])


def _report(run: Run, tasks: list[Task], done: list[Made]) -> None:
    items = [made.item for made in done if made.item]
    kinds = Counter(item.kind for item in items)
    of_furniture = sum(task.model is not None for task in tasks)
    run.report("items", len(items), dataset="whole corpus")
    if of_furniture:
        run.report("furniture", kinds["furniture"], dataset="whole corpus")
        run.report(
            "furniture_names", len({item.name for item in items if item.kind == "furniture"}), dataset="whole corpus"
        )
        run.report("furniture_skipped", of_furniture - kinds["furniture"], "lower", dataset="flat or empty models")
    run.report(
        "grammar_families", len({item.family for item in items if item.kind == "grammar"}), dataset="whole corpus"
    )
    checked = [made.figures for made in done if made.figures]
    if not checked:
        return
    for name, of in (("carve_iou", ""), ("carve_iou_holed", "_holed")):
        carved, flood = (np.array([figures[how + of] for figures in checked]) for how in ("carved", "flooded"))
        dataset = f"{len(checked)} grammar shapes, against their exact solids"
        if of:
            dataset += f", {PUNCTURED:.0%} of the faces taken out"
        run.report(name, carved.mean(), dataset=dataset, spread=carved.std(), baselines={"flood fill": flood.mean()})
