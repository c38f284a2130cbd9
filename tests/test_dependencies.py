"""Models that need other models: built in order, found by the run, kept while needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hive_cli import HiveCli

BASE = """
[recipe]
name = "base"
version = "1.0.0"
summary = "what another model starts from"
licence = "MIT"
[limits]
cpus = 1
disk = "10MiB"
[params.fail]
default = false
[params.seconds]
default = 0
"""

TRAIN_BASE = """
import time

def train(run):
    time.sleep(run.params.seconds)
    assert not run.params.fail, "asked to fail"
    (run.out / "weights").write_text(str(run.seed))
"""

TOP = """
[recipe]
name = "top"
version = "1.0.0"
summary = "starts from base"
licence = "MIT"
[depends]
packages = ["base>=1"]
[limits]
cpus = 1
disk = "10MiB"
"""

TRAIN_TOP = """
def train(run):
    (run.out / "weights").write_text("on " + (run.deps["base"] / "weights").read_text())
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for name, text, train in (("base", BASE, TRAIN_BASE), ("top", TOP, TRAIN_TOP)):
        (folder / name).mkdir(parents=True)
        (folder / name / "recipe.toml").write_text(text)
        (folder / name / "train.py").write_text(train)
    return folder


def edit(source: Path, name: str, old: str, new: str) -> None:
    recipe = source / name / "recipe.toml"
    assert old in recipe.read_text()
    recipe.write_text(recipe.read_text().replace(old, new))


@pytest.fixture
def hive(hive: HiveCli, source: Path) -> HiveCli:
    hive.environment["HIVE_SOURCES"] = str(source)
    return hive


def weights(hive: HiveCli, name: str) -> str:
    folder = hive.service().details(name).folder
    assert folder is not None
    return (folder / "weights").read_text()


def test_what_is_needed_is_built_first_and_given_to_the_run(hive: HiveCli) -> None:
    hive.ok("install", "top")
    assert weights(hive, "top") == "on 0"
    assert [job.name for job in reversed(hive.service().jobs(10))] == ["base", "top"]
    automatic = {package.name: package.automatic for package in hive.service().packages()}
    assert automatic == {"base": True, "top": False}


def test_code_of_what_is_needed_can_be_imported_in_training_and_use(hive: HiveCli, source: Path) -> None:
    (source / "base" / "words.py").write_text("WORD = 'shared'\n")
    (source / "top" / "train.py").write_text(
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from hive_recipe_base.words import WORD\n"
        "def word(number):\n    return WORD * number\n"
        "def train(run):\n"
        "    with ProcessPoolExecutor(1, get_context('spawn')) as pool:\n"
        "        (run.out / 'weights').write_text(pool.submit(word, 2).result())\n"
    )
    (source / "top" / "predict.py").write_text(
        "from hive_recipe_base.words import WORD\n"
        "def load(artifact, threads=1, device='cpu'):\n    return WORD + (artifact / 'weights').read_text()\n"
        "def predict(run):\n"
        "    run.output.write_text(load(run.artifact) + (run.deps['base'] / 'weights').read_text())\n"
    )
    edit(source, "top", "[limits]", "[run]\noutput = '.txt'\n[limits]")
    hive.ok("install", "top")
    assert weights(hive, "top") == "sharedshared"
    (hive.cwd / "in.txt").write_text("")
    hive.ok("run", "top", "in.txt", "-o", "out.txt")
    assert (hive.cwd / "out.txt").read_text() == "sharedsharedshared0"
    code = "import hive; print(hive.load('top'))"
    done = subprocess.run([sys.executable, "-c", code], env=hive.variables(), capture_output=True, text=True)
    assert done.stdout == "sharedsharedshared\n", done.stderr


def test_code_of_what_is_needed_may_import_what_it_needs_itself(hive: HiveCli, source: Path) -> None:
    (source / "base" / "words.py").write_text("WORD = 'far'\n")
    (source / "top" / "more.py").write_text("from hive_recipe_base.words import WORD\n")
    (source / "over").mkdir()
    recipe = TOP.replace('name = "top"', 'name = "over"').replace("base>=1", "top>=1")
    (source / "over" / "recipe.toml").write_text(recipe)
    (source / "over" / "train.py").write_text(
        "from hive_recipe_top.more import WORD\ndef train(run):\n    (run.out / 'weights').write_text(WORD)\n"
    )
    hive.ok("install", "over")
    assert weights(hive, "over") == "far"


def test_a_smoke_build_is_built_on_smoke(hive: HiveCli, source: Path) -> None:
    for name in ("base", "top"):
        edit(source, name, "[limits]", "[profiles.standard]\n[profiles.smoke]\nreal = false\n[limits]")
    hive.ok("install", "--profile", "smoke", "top")
    assert {each.name: each.profile for each in hive.service().packages()} == {"base": "smoke", "top": "smoke"}
    assert len(hive.service().jobs(10)) == 2
    hive.ok("install", "--profile", "smoke", "top")
    assert len(hive.service().jobs(10)) == 2, "nothing to do"
    hive.ok("install", "top")
    assert {each.name: each.profile for each in hive.service().packages()} == {"base": "standard", "top": "standard"}
    hive.ok("install", "--profile", "smoke", "top")
    assert {each.name: each.profile for each in hive.service().packages()} == {"base": "standard", "top": "smoke"}


def test_asked_for_by_name_it_is_no_longer_automatic(hive: HiveCli) -> None:
    hive.ok("install", "top")
    hive.ok("install", "base")
    assert not any(package.automatic for package in hive.service().packages())


def test_what_is_installed_serves(hive: HiveCli) -> None:
    hive.ok("install", "base", "--seed", "5")
    hive.ok("install", "top")
    assert weights(hive, "top") == "on 5"
    assert len(hive.service().jobs(10)) == 2


def test_another_base_is_another_build(hive: HiveCli) -> None:
    hive.ok("install", "top")
    first = hive.service().details("top").package
    hive.ok("install", "base", "--seed", "5")
    hive.ok("install", "--rebuild", "top")
    second = hive.service().details("top").package
    assert first is not None
    assert second is not None
    assert weights(hive, "top") == "on 5"
    assert first.artifact != second.artifact


def test_another_base_offers_to_build_anew_what_needs_it(hive: HiveCli) -> None:
    hive.ok("install", "top")
    changed = hive.ok("install", "base", "--seed", "5")
    assert "top was built on the base before. To build it anew:\n  hive install --rebuild top\n" in changed.err
    told = hive.ok("info", "top").out
    assert "another build of base than is installed" in told
    assert "base (build " in next(line for line in told.splitlines() if line.startswith("trained on"))
    assert "built on" not in hive.ok("install", "--rebuild", "top").err
    assert "another build" not in hive.ok("info", "top").out


def test_what_is_needed_is_not_removed(hive: HiveCli) -> None:
    hive.ok("install", "top")
    refused = hive("remove", "base")
    assert refused.code == 1
    assert "top needs it" in refused.err
    hive.ok("remove", "base", "top")
    assert hive.ok("list", "-q").out == ""


def test_what_needs_a_failed_build_fails_and_names_it(hive: HiveCli, source: Path) -> None:
    edit(source, "base", "default = false", "default = true")
    failed = hive("install", "top")
    assert failed.code == 3, failed
    assert "asked to fail" in failed.err, "the reason, not only that something else failed"
    base, top = hive.job(1), hive.until_over(2)
    assert (base.name, base.state, top.name, top.state) == ("base", "failed", "top", "failed")
    assert top.failure is not None
    assert "base (job 1), which failed" in top.failure.message
    [listed] = [line for line in hive.ok("queue", "list").out.splitlines() if " top " in line]
    assert listed.endswith("it needs base (job 1), which failed")
    assert hive.ok("list", "-q").out == ""


def test_a_whole_chain_can_be_tried_again(hive: HiveCli, source: Path) -> None:
    edit(source, "base", "default = 0", "default = 2")
    hive.ok("install", "--no-wait", "top")
    hive.ok("queue", "cancel", "1")
    assert hive.until_over(2).state == "failed"
    assert "it needs base (job 1), which was cancelled" in hive.ok("queue", "show", "2").out
    hive.ok("queue", "retry", "2")
    hive.ok("queue", "cancel", "2", "1")
    hive.ok("queue", "retry", "2", "1")
    assert hive.until_over(2).state == "succeeded"
    assert weights(hive, "top") == "on 0"


def test_a_range_that_no_source_meets(hive: HiveCli, source: Path) -> None:
    edit(source, "top", "base>=1", "base>=2")
    refused = hive("install", "top")
    assert refused.code == 1
    assert "top 1.0.0 needs base >=2" in refused.err
    assert not hive.service().jobs(10)
