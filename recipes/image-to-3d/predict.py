"""Make a mesh of a picture: `predict` for `hive run`, `load` for `hive.load`, `sample` for `hive run --sample`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hive_recipe_shape_corpus import export
from hive_recipe_shape_corpus.render import render
from hive_runner.errors import InputError

from . import matte
from .frustum import fitted
from .reconstruct import Reconstruction, Reconstructor

if TYPE_CHECKING:
    from hive_runner.run import Run

HIGH_DEG = 55.0  # seen from above this the network has learned nothing
SAMPLE_PX = 512


def load(artifact: Path, threads: int = 1, device: str = "cpu") -> Reconstructor:
    """`reconstruct(rgba)` takes (h, w, 4) bytes, the object cut out by its alpha."""
    return Reconstructor(artifact, threads)


def predict(run: Run) -> None:
    [source] = run.inputs
    target = _target(run.output)
    elevation_deg = number("elevation", run.options.elevation, -20, 80)
    fov_deg = number("fov", run.options.fov, 5, 60)
    run.phase("cut out")
    cut = matte.read(source)
    run.phase("reconstruct")
    reconstructor = Reconstructor(run.artifact, run.threads)
    made = reconstructor.reconstruct(cut.rgba, elevation_deg, fov_deg, run.options.faces)
    run.phase("write")
    mesh = made.mesh.normalised()
    export.write(mesh, target, run.options.size)
    export.turntable(mesh, target.with_name(f"{target.stem}-views.png"))
    words = describe(made, cut, float(reconstructor.config["usual_confidence"]))
    target.with_suffix(".json").write_text(json.dumps(words, indent=2) + "\n")
    run.summary.update(
        {
            "triangles": len(mesh.faces),
            "confidence": words["confidence"],
            "camera looked down": made.elevation_deg,
            "hidden side": "a guess",
            "warnings": words["warnings"],
        }
    )


def _target(output: Path) -> Path:
    """The mesh to write; in a folder, model.glb. Raises InputError."""
    suffix = output.suffix.lower()
    if suffix and suffix not in export.SUFFIXES:
        raise InputError(
            f"cannot write {output.name}", "a mesh is wanted", f"-o NAME with {', '.join(export.SUFFIXES)}"
        )
    if suffix:
        return output
    output.mkdir()
    return output / "model.glb"


def number(name: str, given: str, least: float, most: float) -> float | None:
    """An option that is `auto`, which is None, or a number. Raises InputError."""
    if given == "auto":
        return None
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise InputError(f"--{name} {given} makes no sense", hint=f"auto, or degrees from {least:g} to {most:g}")
    return value


def describe(made: Reconstruction, cut: matte.Cutout, usual_confidence: float) -> dict[str, Any]:
    """What a user should know of the mesh, as JSON."""
    warnings = list(cut.warnings)
    if made.confidence < usual_confidence:
        warnings.append(
            "the network is less sure of this than of 19 in 20 pictures like those it was trained on: "
            "expect a poor shape"
        )
    if made.elevation_deg > HIGH_DEG:
        warnings.append("the camera looks down steeper than in any picture of the training")
    low, high = made.mesh.vertices.min(0), made.mesh.vertices.max(0)
    sides = [round(float(side), 3) for side in (high - low) / (high - low).max()]
    return {
        "elevation_deg": round(made.elevation_deg, 1),
        "field_of_view_deg": round(made.fov_deg, 1),
        "confidence": round(made.confidence, 3),
        "confidence_means": "overlap (IoU) with the true shape that the network expects",
        "hidden_side": "a guess: one picture does not show it",
        "frame": "upright; its front is the side that the camera saw; the longest side is 1 before scaling",
        "proportions": dict(zip(("width", "depth", "height"), sides, strict=True)),
        "triangles": len(made.mesh.faces),
        "cut_out_by": cut.by,
        "warnings": warnings,
    }


def sample(run: Run) -> None:
    """A shape of a family that was held out from training, as a picture with transparency."""
    from hive_recipe_shape_corpus.grammar import HELD_OUT_FAMILIES, make_shape
    from PIL import Image

    rng = run.rng(7)
    shape = make_shape(rng, HELD_OUT_FAMILIES[int(rng.integers(len(HELD_OUT_FAMILIES)))])
    camera = fitted(shape.mesh.vertices, float(rng.uniform(-60, 60)), 22.0, 30.0)
    Image.fromarray(np.asarray(render(shape.mesh, camera, SAMPLE_PX).rgba)).save(run.output, format="PNG")
