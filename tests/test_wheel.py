"""What users install: the wheel, in a virtual environment of its own, far from the checkout."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hive_cli import RECIPES, REPOSITORY, HiveCli

PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("build", reason="building a wheel needs build")
    pytest.importorskip("hatchling", reason="building a wheel needs hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY))
    [made] = folder.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with hive from the wheel; what hive depends on comes from this environment."""
    folder = tmp_path_factory.mktemp("venv")
    call(sys.executable, "-m", "venv", "--without-pip", str(folder))
    packages = folder / "lib" / PYTHON / "site-packages"
    # A plain path in a .pth file: the .pth files found there, such as the one of an editable hive, do not count.
    (packages / "below.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    call(sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet", "--no-deps",
         "--no-index", "--ignore-installed", "--disable-pip-version-check", str(wheel))  # fmt: skip
    return folder


@dataclass
class InstalledCli(HiveCli):
    """`hive` as a user has it: the script in the environment."""

    environment_folder: Path = Path()

    @property
    def command(self) -> list[str]:
        return [str(self.environment_folder / "bin" / "hive")]


@pytest.fixture
def user(installed: Path, tmp_path: Path) -> Iterator[InstalledCli]:
    """The installed command, used from outside the checkout, with a copy of one fixture recipe as its source."""
    shutil.copytree(RECIPES / "trivial", tmp_path / "source" / "trivial")
    (tmp_path / "cwd").mkdir()
    cli = InstalledCli(
        tmp_path / "hive", tmp_path / "cwd", {"HIVE_SOURCES": str(tmp_path / "source")}, environment_folder=installed
    )
    yield cli
    cli.end_processes()


def call(*argv: str) -> str:
    done = subprocess.run(argv, cwd="/", capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_wheel_holds_what_it_needs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"hive/cli/__init__.py", "hive/sql/schema.sql", "hive_runner/contract.py"} <= set(names)
    recipes = {path.parent.name for path in (REPOSITORY / "recipes").glob("*/recipe.toml")}
    assert {f"hive/recipes/{name}/recipe.toml" for name in recipes} <= set(names)
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"hive", "hive_runner"}
    unwanted = [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".safetensors", ".db"))]
    assert not unwanted


def test_wheel_is_what_runs_and_its_recipes_are_built_in(user: InstalledCli, installed: Path) -> None:
    python = str(installed / "bin" / "python")
    for module in ("hive", "hive_runner"):
        place = call(python, "-c", f"import {module}; print({module}.__path__[0])")
        assert Path(place.strip()).is_relative_to(installed)
    found = {recipe["name"]: recipe for recipe in user.ok("search", "--json").json()}
    builtin = {path.parent.name for path in (REPOSITORY / "recipes").glob("*/recipe.toml")}
    assert builtin and {name for name, recipe in found.items() if recipe["source"] == "built-in"} == builtin
    facts = user.ok("info", "--json", sorted(builtin)[0]).json()
    assert Path(facts["recipe"]["path"]).is_relative_to(installed)


def test_digest_of_a_recipe_is_that_of_the_checkout(user: InstalledCli, tmp_path: Path) -> None:
    """A wheel that lost or gained a file of a recipe would train another model."""
    from hive.index import Index

    for recipe in Index().recipes():
        assert user.ok("info", "--json", recipe.name).json()["recipe"]["digest"] == recipe.digest


def test_wheel_builds_the_runner_image_of_the_checkout(installed: Path) -> None:
    from hive.model import digest_of
    from hive.paths import runner_sources

    program = "from hive.model import digest_of; from hive.paths import runner_sources as r; "
    program += "print(digest_of({place: content.decode() for place, content in r().items()}))"
    files = {place: content.decode() for place, content in runner_sources().items()}
    assert {"Dockerfile.runner", "training-runner/hive_runner/contract.py"} <= set(files)
    assert call(str(installed / "bin" / "python"), "-c", program).strip() == digest_of(files)


def test_installed_hive_installs_and_runs_a_model(user: InstalledCli) -> None:
    user.ok("install", "trivial")
    (user.cwd / "text.txt").write_text("abc\n")
    user.ok("run", "trivial", "text.txt", "-o", "out.txt")
    assert (user.cwd / "out.txt").read_text() == "ABC\n[0, 1, 2]\n"
    user.ok("verify")
    assert json.loads(user.ok("list", "--json").out)[0]["name"] == "trivial"


def test_installed_hive_makes_a_recipe_to_start_from(user: InstalledCli) -> None:
    user.ok("new", "mine")
    assert user.ok("recipe", "check", "--no-build", "mine").out == ""


def test_second_name_of_the_program(user: InstalledCli, installed: Path) -> None:
    told = subprocess.run(
        [installed / "bin" / "hive-control", "--version"],
        cwd=user.cwd,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0 and told.stdout.startswith("hive ")
