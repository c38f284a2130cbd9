"""hive new and hive recipe check: what a recipe's author gets told."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hive_cli import HiveCli
from shelf import put

CARD = "# base\n## How it works\n## Measured\n<!-- metrics -->\n## Where it fails\n"
TEST = "def test_nothing():\n    pass\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe without mistakes that needs nothing."""
    folder = put(tmp_path / "source", "base", "1.0")
    (folder / "README.md").write_text(CARD)
    (folder / "test_recipe.py").write_text(TEST)
    return folder


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_a_new_recipe_passes_its_check_and_its_test_and_trains(hive: HiveCli) -> None:
    told = hive.ok("new", "my-model")
    assert "hive recipe check my-model" in told.err
    made = {path.name for path in (hive.cwd / "my-model").iterdir()}
    assert made == {"recipe.toml", "model.py", "train.py", "predict.py", "test_recipe.py", "README.md", "LICENSE"}
    checked = hive.ok("recipe", "check", "my-model")
    assert checked.out == "" and "are the same, byte for byte" in checked.err
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "my-model"],
        cwd=hive.cwd, capture_output=True, text=True,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout
    hive.ok("source", "add", "mine", ".")
    hive.ok("install", "my-model")
    hive.ok("run", "my-model", "--sample")
    [package] = hive.ok("list", "--json").json()
    assert package["real"] and package["version"] == "0.1.0"
    assert "accuracy" in hive.ok("info", "--card", "my-model").out


def test_new_never_overwrites(hive: HiveCli, tmp_path: Path) -> None:
    hive.ok("new", "mine", "--path", str(tmp_path / "deep" / "er"))
    assert (tmp_path / "deep" / "er" / "mine" / "train.py").is_file()
    again = hive("new", "mine", "--path", str(tmp_path / "deep" / "er"))
    assert again.code == 1 and "is there already" in again.err
    assert hive("new", "My Model").code == 1
    assert hive.ok("new", "--dry-run", "other").err.startswith("would write") and not (hive.cwd / "other").exists()


def test_a_recipe_without_mistakes_says_so(hive: HiveCli, recipe: Path) -> None:
    done = hive.ok("recipe", "check", str(recipe))
    assert done.out == "" and "is fine: two builds" in done.err
    assert hive.service().jobs(10) == [] and hive.service().packages() == [], "nothing is queued or installed"
    assert not list((hive.home / "runs").iterdir())
    told = hive.ok("recipe", "check", "--json", str(recipe)).json()
    assert told == {"findings": [], "built": True, "difference": None}


def test_every_mistake_is_told_with_its_line(hive: HiveCli, recipe: Path) -> None:
    file = recipe / "recipe.toml"
    edit(file, 'licence = "MIT"\n', 'licnce = "MIT"\n')
    edit(file, "cpus = 1", "cpsu = 1")
    edit(file, '["quality >= 0.5"]', '["quality is fine"]')
    refused = hive("recipe", "check", str(recipe))
    assert refused.code == 1 and "has 3 errors" in refused.err
    lines = file.read_text().splitlines()
    told = {int(line.split(":")[1]): line for line in refused.out.splitlines()}
    assert "no licence" in told[lines.index("[recipe]") + 1]
    assert "did you mean cpus" in told[lines.index("cpsu = 1") + 1]
    assert "quality is fine" in told[next(i for i, line in enumerate(lines) if line.startswith("gates")) + 1]


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("recipe.toml", "[recipe]", "[recipe", r"recipe.toml:2: error: .*at line 2"),
        (
            "recipe.toml",
            'name = "base"',
            'name = "bass"',
            r"recipe.toml:3: error: the folder is base, the recipe 'bass'",
        ),
        ("README.md", CARD, "# base\n", "no section on what was measured"),
        ("train.py", "def train(run):", "def train(run:", r"train.py:\d+: error: Python cannot read it"),
        ("train.py", "def train(run):", "def learn(run):", r"train.py: error: it has no function train\(run\)"),
        ("train.py", "def train", "import click\ndef train", r"train.py:2: error: it imports click, which \[requ"),
        (
            "train.py",
            "def train",
            "import hive_recipe_a_b.words\ndef train",
            r"train.py:2: error: it imports the code of a-b",
        ),
    ],
)
def test_mistakes_beside_the_schema(hive: HiveCli, recipe: Path, file: str, old: str, new: str, told: str) -> None:
    edit(recipe / file, old, new)
    refused = hive("recipe", "check", "--no-build", str(recipe))
    assert refused.code == 1 and re.search(told, refused.out), refused


def test_a_missing_card_is_an_error_a_missing_test_a_warning(hive: HiveCli, recipe: Path) -> None:
    (recipe / "test_recipe.py").unlink()
    told = hive.ok("recipe", "check", "--no-build", str(recipe))
    assert "test_recipe.py: warning: there is no test" in told.out
    (recipe / "README.md").unlink()
    assert "README.md: error: there is no model card" in hive("recipe", "check", "--no-build", str(recipe)).out
    assert hive("recipe", "check", str(hive.cwd)).code == 1


def test_builds_that_differ_are_told_with_the_first_tensor(hive: HiveCli, recipe: Path) -> None:
    pytest.importorskip("safetensors", reason="writes tensors")
    edit(recipe / "recipe.toml", "[limits]", '[requirements]\npackages = ["numpy", "safetensors"]\n[limits]')
    (recipe / "train.py").write_text(
        "import time\n\nimport numpy\n\n\ndef train(run):\n"
        '    run.report("quality", 1.0)\n'
        "    clock = numpy.array([1.0, time.time()], dtype=numpy.float64)\n"
        '    run.save_weights({"a.fixed": numpy.zeros(3), "b.clock": clock}, {})\n'
    )
    refused = hive("recipe", "check", str(recipe))
    assert refused.code == 8, refused
    assert re.search(r"weights.safetensors: tensor b.clock differs by up to [\d.e+-]+", refused.err)
    assert not list((hive.home / "runs").iterdir())


def test_a_smoke_build_that_fails_ends_as_an_install_would(hive: HiveCli, recipe: Path) -> None:
    edit(recipe / "train.py", "    run.report", '    raise RuntimeError("broken")\n    run.report')
    failed = hive("recipe", "check", str(recipe))
    assert failed.code == 3 and "broken" in failed.err
    edit(recipe / "train.py", '    raise RuntimeError("broken")\n', "")
    edit(recipe / "recipe.toml", "real = false", 'real = false\ngates = ["quality >= 2"]')
    assert hive("recipe", "check", str(recipe)).code == 5


def test_the_built_in_recipes_have_no_errors(hive: HiveCli) -> None:
    from hive_cli import REPOSITORY

    for folder in sorted(path.parent for path in (REPOSITORY / "recipes").glob("*/recipe.toml")):
        hive.ok("recipe", "check", "--no-build", str(folder))
