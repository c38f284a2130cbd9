"""Resolving among many recipes, and what a large source costs whoever asks for one name.

    python benchmarks/resolve.py [--rounds 10] [--recipes 1000]

A source of 1,000 recipes with 5 versions each, each of which needs 3 others in ranges. Resolved are: all of it at once;
one name alone; and a case that needs a search; in CPU time, which a busy machine disturbs less. Bars: all of it within
300 ms; `hive install --dry-run` of a recipe without needs in that source within 1.2 times what it takes in a source of
one; `hive list` with 1,000 installed packages within 15 times a bare interpreter (aim: 6).
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from pathlib import Path
from statistics import median

from side_by_side import HIVE, INTERPRETER, Contestant, command, interleave, judge, new_home, prepare, ratios, show
from startup import install_some

from hive.index import Index
from hive.resolve import resolve
from hive.service import Hive

VERSIONS = ("1.0.0", "1.1.0", "1.2.0", "2.0.0", "2.1.0")
RANGES = (">=1", ">=1.1", "<2.1", ">=1,<3", ">=2", "")
RECIPE = """[recipe]
name = "{name}"
version = "{version}"
summary = "one of many"
licence = "MIT"
task = "test"

[requirements]
python = ">=3.11"

[depends]
packages = [{depends}]

[limits]
cpus = 1
memory = "1GiB"
disk = "10MiB"

[params.steps]
default = 100

[profiles.standard]
gates = ["quality >= 0.5"]
"""


def write_recipe(source: Path, name: str, version: str, depends: list[str]) -> None:
    folder = source / name / version
    folder.mkdir(parents=True)
    texts = ", ".join(f'"{text}"' for text in depends)
    (folder / "recipe.toml").write_text(RECIPE.format(name=name, version=version, depends=texts))
    (folder / "train.py").write_text("def train(run):\n    pass\n")


def make_source(folder: Path, recipes: int) -> None:
    """Recipes that need three of lower numbers each, the newest versions of which can live with one another."""
    random.seed(0)
    for number in range(recipes):
        for version in VERSIONS:
            below = random.sample(range(number), min(3, number))
            write_recipe(folder, f"n{number}", version, [f"n{each}{random.choice(RANGES)}" for each in below])
    write_recipe(folder, "alone", "1.0.0", [])


def make_search(folder: Path) -> None:
    """The newest versions of `top` lead into dead ends, one step further down each."""
    for number in range(8):
        for version in VERSIONS:
            oldest = version == VERSIONS[0]
            write_recipe(folder, f"p{number}", version, ["shared<2" if oldest or number else "shared>=2"])
    for version in VERSIONS:
        write_recipe(folder, "shared", version, [])
    write_recipe(folder, "top", "1.0.0", [f"p{number}" for number in range(8)])


def resolving(source: Path, requests: list[str], pinned: int) -> Contestant:
    """Resolve in a fresh index, that has looked at nothing yet."""

    def run() -> float:
        index = Index((str(source),))
        began = time.process_time()
        found = resolve(requests, index)
        took = time.process_time() - began
        assert len(found) == pinned, len(found)
        return took

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--recipes", type=int, default=1000)
    chosen = parser.parse_args()
    prepare()
    with new_home() as home, tempfile.TemporaryDirectory(prefix="hive-bench-") as scratch:
        large, small, search = Path(scratch, "large"), Path(scratch, "small"), Path(scratch, "search")
        make_source(large, chosen.recipes)
        write_recipe(small, "alone", "1.0.0", [])
        make_search(search)
        everything = [f"n{number}" for number in range(chosen.recipes)]
        contestants = {
            "interpreter": INTERPRETER,
            f"resolve all {chosen.recipes:,}": resolving(large, everything, chosen.recipes),
            "resolve one, alone": resolving(large, ["alone"], 1),
            "resolve by search": resolving(search, ["top"], 10),
        }
        plan = ("install", "--dry-run", "--runner", "process", "alone")
        for name, source in (("large source", large), ("source of one", small)):
            environment = {**os.environ, "HIVE_SOURCES": str(source)}
            contestants[f"install --dry-run, {name}"] = command(HIVE, *plan, environment=environment)
        db = Hive.open().db
        install_some(db, chosen.recipes)
        db.close()
        contestants[f"hive list, {chosen.recipes:,} packages"] = command(HIVE, "list", environment=dict(os.environ))
        figures = interleave(contestants, chosen.rounds)
        show("resolving, ratio to a bare interpreter", figures, "interpreter")
        all_ms = median(figures[f"resolve all {chosen.recipes:,}"]) * 1e3
        judge(f"resolve {chosen.recipes:,} recipes of 5 versions and 3 needs", all_ms, 300, "ms")
        ratio = ratios(figures, "install --dry-run, large source", "install --dry-run, source of one")
        judge("one name in a large source", median(ratio), 1.2, "x of a source of one")
        listed = ratios(figures, f"hive list, {chosen.recipes:,} packages", "interpreter")
        judge(f"hive list with {chosen.recipes:,} packages", median(listed), 15, aim=6)
        assert home.exists()


if __name__ == "__main__":
    main()
