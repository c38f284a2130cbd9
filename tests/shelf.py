"""A source on disk for tests: recipes of several versions that need nothing and take no time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

RECIPE = """
[recipe]
name = "{name}"
version = "{version}"
summary = "{summary}"
licence = "MIT"
[depends]
packages = {depends}
[limits]
cpus = 1
memory = "256MiB"
disk = "10MiB"
[params.size]
default = 1
[profiles.standard]
gates = ["quality >= {gate}"]
[profiles.smoke]
real = false
[run]
inputs = [".txt"]
output = ".txt"
"""

TRAIN = """
def train(run):
    needed = " on " + ", ".join((path / "weights").read_text() for _, path in sorted(run.deps.items()))
    run.report("quality", 1.0)
    (run.out / "weights").write_text(f"{run.recipe} {run.version}" + needed * bool(run.deps))
"""

PREDICT = """
def load(artifact, threads=1, device="cpu"):
    return (artifact / "weights").read_text()


def predict(run):
    run.output.write_text(load(run.artifact))
"""


def put(
    source: Path, name: str, version: str, depends: Iterable[str] = (), gate: float = 0.5, summary: str = "a model"
) -> Path:
    """Another version of a recipe, at source/NAME/VERSION."""
    folder = source / name / version
    folder.mkdir(parents=True)
    texts = "[" + ", ".join(f'"{text}"' for text in depends) + "]"
    (folder / "recipe.toml").write_text(
        RECIPE.format(name=name, version=version, depends=texts, gate=gate, summary=summary)
    )
    (folder / "train.py").write_text(TRAIN)
    (folder / "predict.py").write_text(PREDICT)
    return folder
