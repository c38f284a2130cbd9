"""enhanced-3d beside what a user would otherwise do with a coarse mesh: leave it, smooth it, shrink it (these coarse
shapes are rather fat), reconstruct it anew.

    python benchmarks/enhanced_3d.py ARTIFACT --corpus CORPUS [--shapes 40] [-o table.md]

ARTIFACT and CORPUS: folders of the installed enhanced-3d and shape-corpus (`hive info NAME` tells). The shapes are the
degraded held-out ones that the model's own figures are measured on. Needs `pip install pymeshlab`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from hive_runner.recipe_module import load

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
FIGURES = ("f1", "f2", "normal_consistency", "chamfer")
POISSON_DEPTH = 8  # 256 cells, twice as fine as the model's grid


def recipe(name: str, module: str) -> ModuleType:
    return load(name, RECIPES / name, module)


def poisson(mesh: Any) -> Any:
    """Screened Poisson reconstruction from the mesh's vertices and normals (Kazhdan & Hoppe 2013), by MeshLab."""
    import pymeshlab

    lab = pymeshlab.MeshSet()
    lab.add_mesh(pymeshlab.Mesh(mesh.vertices.astype(float), mesh.faces))
    lab.compute_normal_per_vertex()
    lab.generate_surface_reconstruction_screened_poisson(depth=POISSON_DEPTH, pointweight=1.0)
    made = lab.current_mesh()
    faces = made.face_matrix().astype(np.int32)
    return type(mesh)(made.vertex_matrix().astype(np.float32), faces, np.zeros((len(faces), 3), np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--shapes", type=int, default=40)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()

    recipe("shape-corpus", "mesh")
    recipe("image-to-3d", "frustum")
    evaluate, score, volume = (recipe("enhanced-3d", name) for name in ("evaluate", "score", "volume"))
    refiner = recipe("enhanced-3d", "predict").load(arguments.artifact)
    ways: dict[str, Callable[[Any, Any], Any]] = {
        "as it is": lambda mesh, field: mesh,
        "Taubin": lambda mesh, field: score.taubin(mesh),
        "shrunk by half a cell": lambda mesh, field: volume.surface(volume.depths_of_field(field), 0.5),
        "screened Poisson": lambda mesh, field: poisson(mesh),
        "enhanced-3d": lambda mesh, field: volume.surface(refiner.refine(volume.depths_of_field(field)).field),
    }
    found: dict[str, list[list[float]]] = {name: [] for name in ways}
    for index in range(arguments.shapes):
        coarse, truth = evaluate.held_out_shape(evaluate.Places(arguments.corpus, arguments.corpus, 0), index)
        for name, way in ways.items():
            started = time.process_time()
            made = way(volume.surface(coarse.fine()), coarse.fine())
            cpu_s = time.process_time() - started
            likeness = score.score(made, truth)
            found[name].append([*(getattr(likeness, figure) for figure in FIGURES), cpu_s])

    lines = ["| way | F1 | F2 | normal consistency | Chamfer | CPU seconds |", "|---|---|---|---|---|---|"]
    for name, rows in found.items():
        f1, f2, normals, chamfer, cpu_s = np.mean(rows, 0)
        lines.append(f"| {name} | {f1:.3f} | {f2:.3f} | {normals:.3f} | {chamfer:.4f} | {cpu_s:.1f} |")
    print("\n".join(lines))
    if arguments.output:
        arguments.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
