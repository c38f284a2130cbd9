"""Refine a mesh or a picture: `predict` for `hive run`, `load` for `hive.load`, `sample` for `hive run --sample`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hive_recipe_image_to_3d import matte
from hive_recipe_image_to_3d.reconstruct import Reconstructor
from hive_recipe_shape_corpus.export import turntable, write
from hive_recipe_shape_corpus.mesh import Mesh
from hive_runner.export import load_weights
from numpy.typing import NDArray

from . import files
from .degrade import ELSEWHERE, degrade
from .lift import depths_of, lift
from .refine import Refined, Refiner, trusts
from .volume import CELLS, SIDE, Bool, depths_of_mesh, is_closed, surface

if TYPE_CHECKING:
    from hive_runner.run import Run

MESHES = (".glb", ".obj", ".ply", ".stl")
NOT_BELIEVED = "the network wanted to change too much to be believed: the shape is as it was"


def load(artifact: Path, threads: int = 1, device: str = "cpu") -> Refiner:
    """The network: `refine(depths)` takes (144, 144, 144) float32, see volume.py."""
    tensors, config = load_weights(artifact)
    return Refiner(tensors, *trusts(config), threads)


def predict(run: Run) -> None:
    [source] = run.inputs
    refiner = load(run.artifact, run.cpus)
    if source.suffix.lower() in MESHES:
        made, about = _of_mesh(run, refiner, source)
    else:
        made, about = _of_picture(run, refiner, source)
    if run.options.faces:
        made = files.simplified(made, run.options.faces)
    run.phase("write")
    write(made, run.output)
    stem = run.output.with_suffix("")
    turntable(made.normalised(), stem.with_name(stem.name + "-views.png"))
    about = {"triangles": len(made.faces), "closed": is_closed(made), **about}
    stem.with_name(stem.name + ".json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    run.summary.update(about)


def _of_mesh(run: Run, refiner: Refiner, source: Path) -> tuple[Mesh, dict[str, Any]]:
    coarse, place = files.read(source)
    run.phase("refine")
    refined = refiner.refine(depths_of_mesh(coarse))
    made = coarse if refined.kept else files.painted(surface(refined.field), coarse)
    warnings = _warnings(refined)
    if not is_closed(coarse):
        warnings.append("the mesh has holes: what is inside was found by looking at it from 80 sides")
    return place.back(made), _about(refined, warnings)


def _of_picture(run: Run, refiner: Refiner, source: Path) -> tuple[Mesh, dict[str, Any]]:
    cut = matte.read(source)
    run.phase("reconstruct")
    seen = Reconstructor(run.deps["image-to-3d"], run.cpus).reconstruct(cut.rgba)
    run.phase("refine")
    refined = refiner.refine(depths_of(seen), lift(seen))
    made = seen.mesh if refined.kept else files.painted(surface(refined.field), seen.mesh)
    about = _about(refined, [*cut.warnings, *_warnings(refined), "the hidden side is a guess"])
    return made, {
        **about, "cut out by": cut.by, "elevation_deg": round(seen.elevation_deg, 1), "fov_deg": round(seen.fov_deg, 1),
        "confidence of image-to-3d": round(seen.confidence, 2),
    }  # fmt: skip


def _warnings(refined: Refined) -> list[str]:
    return [NOT_BELIEVED] if refined.kept else []


def _about(refined: Refined, warnings: list[str]) -> dict[str, Any]:
    return {
        "changed": round(refined.change, 3),
        "refined": not refined.kept,
        "cell": round(1 / CELLS, 4),
        "warnings": warnings,
    }


def sample(run: Run) -> None:
    """A coarse stool: four legs and a seat, blurred and noisy."""
    write(surface(degrade(_stool(), run.rng(7), ELSEWHERE).fine()), run.output)


def _stool() -> Bool:
    solid: NDArray[np.bool_] = np.zeros((SIDE,) * 3, bool)
    solid[32:112, 32:112, 122:136] = True
    for x in (36, 96):
        for y in (36, 96):
            solid[x : x + 12, y : y + 12, 8:122] = True
    return solid
