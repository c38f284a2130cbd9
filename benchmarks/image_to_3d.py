"""image-to-3d on meshes from elsewhere, beside inflation of the outline and retrieval from the training objects.

    python benchmarks/image_to_3d.py --model ARTIFACT --corpus ARTIFACT [--meshes FOLDER] [-o table.md]

The meshes come with two packages, which are fetched (apt-get download, pip download) and unpacked into a temporary
folder unless --meshes says where they lie already: Debian's libcgal-demo (scans, animals and machine parts that CGAL is
shown with) and PyPI's pyvista (an airplane, an ant, a nut). None of them, nor anything like most of them, was trained
on. Each is seen from some random sides, in a random plain colour; a solid of it is carved for the overlap.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
import trimesh
from hive_runner.recipe_module import load

REPOSITORY = Path(__file__).resolve().parents[1]
GALLERY = 6000
Y_UP = (
    "bunny00", "diplodocus", "armadillo", "bear", "ChineseDragon-10kv", "camel", "bull", "homer", "cow", "triceratops",
    "elephant", "elk", "cactus", "nefertiti", "knot1", "head", "ant", "nut",
)  # fmt: skip
Z_UP = (
    "man", "mannequin-devil", "lion-head", "dino", "femur", "anchor", "rotor", "spool", "eight", "fandisk",
    "couplingdown", "hand", "airplane",
)  # fmt: skip
METRICS = ("iou", "f2", "f5", "chamfer", "normal_consistency", "f5_aligned")


def module(recipe: str, name: str) -> ModuleType:
    return load(recipe, REPOSITORY / "recipes" / recipe, name)


def fetch(folder: Path) -> None:
    """Download the two packages and unpack what is needed of them."""
    subprocess.run(["apt-get", "download", "libcgal-demo"], cwd=folder, check=True)
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "pyvista"], cwd=folder, check=True)
    [deb], [wheel] = folder.glob("libcgal-demo_*.deb"), folder.glob("pyvista-*.whl")
    subprocess.run(["dpkg-deb", "-x", deb.name, "."], cwd=folder, check=True)
    with tarfile.open(folder / "usr/share/doc/libcgal-dev/data.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.endswith(".ply")])


def read(folder: Path, name: str) -> Any:
    """The mesh of that name, upright and normalised."""
    [path] = [each for suffix in (".off", ".ply") for each in folder.rglob(f"{name}{suffix}")][:1]
    read = trimesh.load(path, force="mesh")
    x, y, z = np.asarray(read.vertices, np.float32).T
    vertices = np.stack([x, -z, y] if name in Y_UP else [x, y, z], 1)
    grey = np.full((len(read.faces), 3), 180, np.uint8)
    return module("shape-corpus", "mesh").Mesh(vertices, np.asarray(read.faces, np.int32), grey).normalised()


class Elsewhere:
    """A corpus of one mesh."""

    def __init__(self, mesh: Any) -> None:
        self._mesh, self._solid = mesh, module("shape-corpus", "carve").solid(mesh)

    def mesh(self, item: Any) -> Any:
        return self._mesh

    def solid(self, item: Any) -> Any:
        return self._solid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="artifact of image-to-3d")
    parser.add_argument("--corpus", type=Path, required=True, help="artifact of shape-corpus")
    parser.add_argument("--meshes", type=Path, help="folder with the packages unpacked")
    parser.add_argument("--views", type=int, default=3, help="sides that each mesh is seen from")
    parser.add_argument("-o", type=Path, help="write the table here too")
    options = parser.parse_args()
    torch.set_num_threads(1)
    load("shape-corpus", REPOSITORY / "recipes" / "shape-corpus", "mesh")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.meshes or Path(scratch)
        if options.meshes is None:
            fetch(folder)
        meshes = {name: read(folder, name) for name in sorted(Y_UP + Z_UP)}
    table = measure(options.model, options.corpus, meshes, options.views)
    print(table)
    if options.o:
        options.o.write_text(table + "\n")


def measure(model: Path, corpus: Path, meshes: dict[str, Any], views: int) -> str:
    baselines, evaluate, data = (module("image-to-3d", name) for name in ("baselines", "evaluate", "data"))
    reconstructor = module("image-to-3d", "reconstruct").Reconstructor(model, 1)
    net, decoding, bulge = reconstructor.net, reconstructor.decoding, reconstructor.config["bulge"]
    gallery = baselines.entries(0, corpus, range(GALLERY))
    rows: list[tuple[str, dict[str, dict[str, float]]]] = []
    for name, mesh in meshes.items():
        for view in range(views):
            rng = data.generator(view, len(mesh.faces), 4)
            painted = np.broadcast_to(rng.integers(40, 230, 3), mesh.colours.shape).astype(np.uint8)
            one = Elsewhere(type(mesh)(mesh.vertices, mesh.faces, painted))
            looked = data.look(one, None, rng, faults=False)
            rows.append((name, evaluate.scores_of(one, corpus, net, decoding, bulge, gallery, looked)[1]))
        print(name, {k: round(v, 3) for k, v in rows[-1][1]["network"].items()}, file=sys.stderr, flush=True)
    return tabulated(rows)


def tabulated(rows: list[tuple[str, dict[str, dict[str, float]]]]) -> str:
    """Means over views, with the standard error over objects."""
    lines = ["| | network | inflation | retrieval |", "|---|---|---|---|"]
    names = sorted({name for name, _ in rows})
    for metric in METRICS:
        cells = []
        for method in ("network", "inflation", "retrieval"):
            means = np.array([np.mean([s[method][metric] for n, s in rows if n == name]) for name in names])
            cells.append(f"{means.mean():.3f} ± {means.std() / np.sqrt(len(means)):.3f}")
        lines.append(f"| {metric} | {' | '.join(cells)} |")
    won = np.mean([s["network"]["chamfer"] < s["inflation"]["chamfer"] for _, s in rows])
    kept = np.mean([s["network"]["outline_iou"] for _, s in rows])
    shut = np.mean([s["network"]["watertight"] for _, s in rows])
    lines.append(f"\n{len(names)} meshes, {len(rows)} views: nearer than inflation on {won:.0%}; ")
    return "\n".join(lines) + f"outline kept to an IoU of {kept:.3f}; {shut:.0%} watertight."


if __name__ == "__main__":
    main()
