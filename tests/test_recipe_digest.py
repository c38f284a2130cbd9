"""What of a recipe reaches its build key, and what may be mended without training anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hive_cli import RECIPES

from hive.recipe import digest_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return Path(shutil.copytree(RECIPES / "trivial", tmp_path / "trivial"))


@pytest.mark.parametrize("name", ["recipe.toml", "README.md", "test_recipe.py", "__pycache__/train.cpython-311.pyc"])
def test_what_cannot_change_the_weights_leaves_the_digest_alone(recipe: Path, name: str) -> None:
    before = digest_recipe(recipe)
    (recipe / name).parent.mkdir(exist_ok=True)
    with open(recipe / name, "a") as file:
        file.write("\n# another word\n")
    assert digest_recipe(recipe) == before


@pytest.mark.parametrize("name", ["train.py", "helper.py", "data/table.csv"])
def test_what_can_change_the_weights_changes_the_digest(recipe: Path, name: str) -> None:
    before = digest_recipe(recipe)
    (recipe / name).parent.mkdir(exist_ok=True)
    with open(recipe / name, "a") as file:
        file.write("\n# another word\n")
    assert digest_recipe(recipe) != before
