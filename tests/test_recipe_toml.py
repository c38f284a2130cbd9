"""recipe.toml -> Recipe; and whatever is wrong with one is said with its file and the reason."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hive_cli import RECIPES, REPOSITORY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hive.errors import RequestError
from hive.index import Index
from hive.model import DataPackage, Gate, Limits, Param
from hive.recipe import RecipeError, digest_recipe, mistakes, parse_value, read_recipe, snapshot

SMALLEST = """
[recipe]
name = "model"
version = "1.0.0"
summary = "a model"
licence = "MIT"
"""

COMPLETE = """
[recipe]
name = "model"
version = "1.2.0"
summary = "a model"
licence = "Apache-2.0"
task = "segmentation"
keywords = ["lidar", "ground"]

[requirements]
python = ">=3.11"
packages = ["torch>=2.6", "numpy"]

[depends]
packages = ["base>=1"]

[limits]
cpus = 1
threads = 2
memory = "2GiB"
disk = "500MB"
wall = "90min"
heartbeat = "30s"
pids = 64
network = true

[params.steps]
default = 100
help = "optimiser steps"
minimum = 1
maximum = 1000

[params.mode]
default = "a"
choices = ["a", "b"]

[profiles.standard]
gates = ["miou >= 0.65", "error < 2"]
expected = "20min"
data = ["shapes"]
otherwise = "smoke"

[profiles.smoke]
real = false
params = { steps = 5 }
wall = "1min"

[run]
inputs = [".laz", ".las"]
output = ".laz"
outputs = [".las"]
input_help = "a point cloud"
beside = [".json", "-*.las"]
text = true

[run.options.tile]
default = 50.0
help = "metres"

[data.user]
help = "a folder of tiles"

[data.shapes]
file = "shapes_1.8-1_all.deb"
urls = ["https://example.org/shapes.deb", "http://example.com/s"]
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
size = 120
licence = "CC-BY-3.0"
help = "shapes"
"""


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.toml").write_text(text)
    return folder


def test_the_smallest_recipe_gets_all_defaults(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, SMALLEST), "test")
    assert (recipe.name, recipe.version, recipe.source, recipe.path) == ("model", "1.0.0", "test", tmp_path)
    assert recipe.limits == Limits()
    assert list(recipe.profiles) == ["standard"]
    assert recipe.profiles["standard"].real
    assert not recipe.is_builtin


def test_every_field(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, COMPLETE), "built-in")
    assert recipe.is_builtin
    assert (recipe.task, recipe.keywords, recipe.licence) == ("segmentation", ("lidar", "ground"), "Apache-2.0")
    assert (recipe.python, recipe.requirements, recipe.depends) == (">=3.11", ("torch>=2.6", "numpy"), ("base>=1",))
    assert recipe.limits == Limits(1, 2, 2 << 30, 500_000_000, 5400, 30, 64, True)
    assert recipe.params == (Param("steps", 100, "optimiser steps", 1, 1000), Param("mode", "a", choices=("a", "b")))
    standard, smoke = recipe.profiles["standard"], recipe.profiles["smoke"]
    assert standard.gates == (Gate("miou", ">=", 0.65), Gate("error", "<", 2))
    assert (standard.real, standard.expected_s, standard.wall_s) == (True, 1200, None)
    assert (smoke.real, smoke.params, smoke.wall_s) == (False, {"steps": 5}, 60)
    assert (recipe.run.inputs, recipe.run.output, recipe.run.outputs) == ((".laz", ".las"), ".laz", (".las",))
    assert recipe.run.options == (Param("tile", 50.0, "metres"),)
    assert (recipe.run.beside, recipe.run.text) == ((".json", "-*.las"), True)
    assert recipe.data_help == "a folder of tiles"
    assert (standard.data, standard.otherwise, smoke.data, smoke.otherwise) == (("shapes",), "smoke", (), "")
    urls = ("https://example.org/shapes.deb", "http://example.com/s")
    digest = "sha256:" + "0123456789abcdef" * 4
    assert recipe.data == (DataPackage("shapes", "shapes_1.8-1_all.deb", urls, digest, 120, "CC-BY-3.0", "shapes"),)


def changed(old: str, new: str) -> str:
    assert old in COMPLETE
    return COMPLETE.replace(old, new, 1)


MALFORMED = {
    "empty": "",
    "no-toml": "[recipe",
    "no-recipe-table": SMALLEST.replace("[recipe]", "[limits]"),
    "no-name": SMALLEST.replace('name = "model"', ""),
    "no-version": SMALLEST.replace('version = "1.0.0"', ""),
    "no-summary": SMALLEST.replace('summary = "a model"', ""),
    "no-licence": SMALLEST.replace('licence = "MIT"', ""),
    "recipe-is-a-number": "recipe = 4",
    "recipe-is-a-list": "[[recipe]]\nname = 'a'",
    "name-upper-case": changed('"model"', '"Model"'),
    "name-path": changed('"model"', '"../model"'),
    "name-empty": changed('"model"', '""'),
    "name-long": changed('"model"', f'"{"m" * 65}"'),
    "name-newline": changed('"model"', '"model\\n"'),
    "name-number": changed('"model"', "7"),
    "version-words": changed('"1.2.0"', '"latest"'),
    "version-not-canonical": changed('"1.2.0"', '"1.2.0-beta"'),
    "version-leading-zero": changed('"1.2.0"', '"2024.01"'),
    "version-local": changed('"1.2.0"', '"1.2.0+cpu"'),
    "version-number": changed('"1.2.0"', "1.2"),
    "version-newline": changed('"1.2.0"', '"1.2.0\\n"'),
    "summary-number": changed('"a model"', "7"),
    "licence-list": changed('"Apache-2.0"', '["MIT"]'),
    "task-number": changed('"segmentation"', "7"),
    "keywords-text": changed('["lidar", "ground"]', '"lidar"'),
    "keywords-numbers": changed('["lidar", "ground"]', "[1]"),
    "unknown-table": COMPLETE + "\n[limit]\ncpus = 1",
    "unknown-key-in-recipe": changed('task = "', 'taks = "'),
    "unknown-limit": changed("memory =", "memroy ="),
    "unknown-key-in-requirements": changed("packages = [\"torch", "package = [\"torch"),
    "unknown-key-in-a-param": changed("minimum", "minumum"),
    "unknown-key-in-a-profile": changed("gates =", "gate ="),
    "unknown-key-in-run": changed("input_help", "inputs_help"),
    "unknown-key-in-data": changed("[data.user]\nhelp", "[data.user]\nhlep"),
    "packages-text": changed('["torch>=2.6", "numpy"]', '"torch"'),
    "requirement-unreadable": changed('"numpy"', '"numpy >>> 2"'),
    "python-unreadable": changed('">=3.11"', '"three"'),
    "depends-unreadable": changed('"base>=1"', '"Base!"'),
    "cpus-none": changed("cpus = 1", "cpus = 0"),
    "cpus-negative": changed("cpus = 1", "cpus = -1"),
    "cpus-text": changed("cpus = 1", 'cpus = "two"'),
    "cpus-half": changed("cpus = 1", "cpus = 1.5"),
    "threads-none": changed("threads = 2", "threads = 0"),
    "pids-none": changed("pids = 64", "pids = 0"),
    "memory-words": changed('"2GiB"', '"lots"'),
    "memory-none": changed('"2GiB"', "0"),
    "memory-list": changed('"2GiB"', "[2]"),
    "disk-negative": changed('"500MB"', '"-1MB"'),
    "wall-words": changed('"90min"', '"long"'),
    "wall-none": changed('"90min"', "0"),
    "heartbeat-negative": changed('"30s"', "-30"),
    "network-text": changed("network = true", 'network = "no"'),
    "limits-is-a-number": SMALLEST + "\nlimits = 4".replace("\n", "\n", 1),
    "param-without-default": changed("default = 100", ""),
    "param-default-list": changed("default = 100", "default = [100]"),
    "param-default-out-of-range": changed("default = 100", "default = 0"),
    "param-default-not-a-choice": changed('default = "a"', 'default = "c"'),
    "param-minimum-text": changed("minimum = 1", 'minimum = "one"'),
    "param-is-a-number": changed("[params.steps]", "[params]\nrate = 4\n[params.steps]"),
    "param-name-with-blanks": changed("[params.steps]", '[params."my steps"]'),
    "param-choices-number": changed('["a", "b"]', "4"),
    "no-standard-profile": changed("[profiles.standard]", "[profiles.normal]"),
    "profile-sets-unknown-param": changed("{ steps = 5 }", "{ step = 5 }"),
    "profile-sets-param-out-of-range": changed("{ steps = 5 }", "{ steps = 0 }"),
    "profile-sets-param-of-another-type": changed("{ steps = 5 }", '{ steps = "five" }'),
    "profile-real-text": changed("real = false", 'real = "no"'),
    "profile-wall-none": changed('wall = "1min"', "wall = 0"),
    "profile-expected-words": changed('"20min"', '"a while"'),
    "gate-unreadable": changed('"miou >= 0.65"', '"miou is good"'),
    "gate-number": changed('["miou >= 0.65", "error < 2"]', "[0.65]"),
    "gates-text": changed('["miou >= 0.65", "error < 2"]', '"miou >= 0.65"'),
    "gate-bound-unreadable": changed('"error < 2"', '"error < 2-2"'),
    "run-inputs-text": changed('[".laz", ".las"]', '".laz"'),
    "run-input-without-a-dot": changed('[".laz", ".las"]', '["laz"]'),
    "run-output-number": changed('output = ".laz"', "output = 4"),
    "run-option-without-default": changed("default = 50.0", ""),
    "run-beside-a-path": changed('"-*.las"', '"/../x.las"'),
    "run-beside-anything": changed('"-*.las"', '"*"'),
    "run-text-a-word": changed("text = true", 'text = "yes"'),
    "data-is-a-number": SMALLEST + "\ndata = 4".replace("\n", "\n", 1),
    "data-package-without-a-digest": changed("sha256 =", "# sha256 ="),
    "data-package-with-a-short-digest": changed('"0123456789abcdef', '"'),
    "data-package-without-an-address": changed('urls = ["https://example.org/shapes.deb", "http://example.com/s"]', ""),
    "data-package-from-a-file": changed("http://example.com/s", "file:///etc/passwd"),
    "data-package-outside-its-folder": changed('"shapes_1.8-1_all.deb"', '"../shapes.deb"'),
    "data-package-without-a-licence": changed('licence = "CC-BY-3.0"', ""),
    "data-package-without-a-size": changed("size = 120", ""),
    "data-package-no-name-in-python": changed("[data.shapes]", "[data.my-shapes]"),
    "profile-wants-unknown-data": changed('data = ["shapes"]', 'data = ["shape"]'),
    "profile-otherwise-nothing": changed('otherwise = "smoke"', 'otherwise = "tiny"'),
    "profile-otherwise-no-better": changed('otherwise = "smoke"', 'otherwise = "standard"'),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(MALFORMED))
def test_a_malformed_recipe_is_said_with_its_file_and_the_reason(tmp_path: Path, case: str) -> None:
    folder = write(tmp_path / "model", MALFORMED[case])
    with pytest.raises(RecipeError) as caught:
        read_recipe(folder, "test")
    assert str(folder / "recipe.toml") in caught.value.message
    assert caught.value.why
    assert "object has no attribute" not in caught.value.why, "words for a recipe's author, not for hive's"


def test_no_recipe_at_all(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is not a recipe"):
        read_recipe(tmp_path, "test")
    (tmp_path / "recipe.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(tmp_path, "test")


TOML_VALUES = st.sampled_from(
    ['""', '"x"', "0", "-1", "1.5", "nan", "true", "[]", "[1]", '["x"]', "{}", "{ a = 1 }", "1979-05-27"]
)
LINES = [line for line in COMPLETE.splitlines() if " = " in line]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(line=st.sampled_from(LINES), value=TOML_VALUES)
def test_any_other_value_is_a_recipe_or_a_recipe_error(tmp_path: Path, line: str, value: str) -> None:
    text = COMPLETE.replace(line, f"{line.partition(' = ')[0]} = {value}", 1)
    try:
        read_recipe(write(tmp_path, text), "test")
    except RecipeError as error:
        assert "recipe.toml" in error.message
        assert error.why


# Sources


@pytest.mark.parametrize("folder", [RECIPES, REPOSITORY / "recipes"], ids=["fixtures", "built-in"])
def test_every_recipe_here_is_valid(folder: Path) -> None:
    index = Index((str(folder),))
    assert [recipe.name for recipe in index.recipes()] == index.names()


def test_earlier_sources_win_and_the_built_in_one_is_last(tmp_path: Path) -> None:
    for number, name in enumerate(("first", "second")):
        write(tmp_path / name / "model", SMALLEST.replace("1.0.0", f"{number}.0.0"))
    index = Index((str(tmp_path / "first"), str(tmp_path / "second")))
    assert index.recipe("model").version == "0.0.0"
    assert index.sources[-1].name == "built-in"


def test_a_folder_and_its_recipe_have_one_name(tmp_path: Path) -> None:
    write(tmp_path / "other", SMALLEST)
    with pytest.raises(RecipeError, match="calls itself 'model'"):
        Index((str(tmp_path),)).recipe("other")


def test_a_broken_recipe_does_not_hide_the_others(tmp_path: Path) -> None:
    write(tmp_path / "model", SMALLEST)
    write(tmp_path / "broken", "[recipe")
    index = Index((str(tmp_path),))
    assert "model" in [recipe.name for recipe in index.recipes()]
    with pytest.raises(RecipeError, match="broken"):
        index.recipe("broken")


def test_an_unknown_name_gets_a_guess(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no model called 'trivail'") as caught:
        Index((str(RECIPES),)).recipe("trivail")
    assert caught.value.hint == "did you mean trivial?"


def test_a_source_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    assert Index((str(tmp_path / "nowhere"),)).sources[0].names() == []


def test_several_versions_lie_in_folders_of_their_own(tmp_path: Path) -> None:
    for version in ("1.0.0", "1.10.0", "1.9.0", "2.0.0rc1"):
        write(tmp_path / "model" / version, SMALLEST.replace("1.0.0", version))
    (tmp_path / "model" / "notes").mkdir()
    index = Index((str(tmp_path),))
    assert [release.version for release in index.releases("model")] == ["2.0.0rc1", "1.10.0", "1.9.0", "1.0.0"]
    assert index.recipe("model").version == "1.10.0", "a pre-release only if asked for"
    assert index.recipe("model", "1.9.0").path == tmp_path / "model" / "1.9.0"
    with pytest.raises(RequestError, match=r"no source has model 3\.0"):
        index.recipe("model", "3.0")


def test_what_nobody_asks_for_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "model" / "1.0.0", SMALLEST)
    write(tmp_path / "model" / "2.0.0", "[recipe")
    write(tmp_path / "other", "[recipe")
    index = Index((str(tmp_path),))
    assert [release.version for release in index.releases("model")] == ["2.0.0", "1.0.0"]
    assert index.recipe("model", "1.0.0").version == "1.0.0"
    with pytest.raises(RecipeError):
        index.recipe("model")


def test_a_folder_and_its_recipe_have_one_version(tmp_path: Path) -> None:
    write(tmp_path / "model" / "1.1.0", SMALLEST)
    with pytest.raises(RecipeError, match=r"says it is version 1\.0\.0"):
        Index((str(tmp_path),)).recipe("model")


@pytest.mark.parametrize(
    "text",
    [
        '[depends]\npackages = ["base>=1"]\n',
        '[depends]  # more\npackages = [\n  "base>=1",  # why\n]\n[limits]\ncpus = 1\n',
        '[ depends ]\npackages = ["base>=1"]',
        '["depends"]\r\npackages = ["base>=1"]\r\n',
        'depends = { packages = ["base>=1"] }\n',
        'depends.packages = ["base>=1"]\n',
        '[data.user]\nhelp = """\n[depends]\npackages = ["wrong>=9"]\n"""\n[depends]\npackages = ["base>=1"]\n',
    ],
)
def test_a_glance_sees_what_a_reader_sees(tmp_path: Path, text: str) -> None:
    top = text.startswith("depends")
    folder = write(tmp_path / "model", text + SMALLEST if top else SMALLEST + text)
    index = Index((str(tmp_path),))
    [release] = index.releases("model")
    assert index.depends(release) == read_recipe(folder, "test").depends == ("base>=1",)


@pytest.mark.parametrize("case", sorted(set(MALFORMED) - {"empty", "no-toml"}))
def test_every_mistake_has_a_line(tmp_path: Path, case: str) -> None:
    folder = write(tmp_path / "model", MALFORMED[case])
    found = mistakes(folder)
    assert found and all(1 <= line <= MALFORMED[case].count("\n") + 1 and message for line, message in found)


# Digest and snapshot


def test_the_digest_changes_with_what_can_change_the_weights(tmp_path: Path) -> None:
    write(tmp_path, SMALLEST)
    (tmp_path / "train.py").write_text("x = 1\n")
    before = digest_recipe(tmp_path)
    for name in ("README.md", "test_recipe.py", ".hidden", "__pycache__/train.pyc"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("anything")
        assert digest_recipe(tmp_path) == before, f"{name} cannot change the weights"
    (tmp_path / "train.py").write_text("x = 2\n")
    after = digest_recipe(tmp_path)
    assert after != before
    (tmp_path / "train.py").rename(tmp_path / "trian.py")
    assert digest_recipe(tmp_path) != after


def test_names_and_contents_cannot_be_confused(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "ab").write_text("c")
    (tmp_path / "two" / "a").write_text("bc")
    assert digest_recipe(tmp_path / "one") != digest_recipe(tmp_path / "two")


def test_a_snapshot_does_not_change_with_its_recipe(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", SMALLEST)
    (folder / "train.py").write_text("x = 1\n")
    (folder / "README.md").write_text("card\n")
    (folder / "parts").mkdir()
    (folder / "parts" / "more.py").write_text("y = 1\n")
    (tmp_path / "snapshots").mkdir()
    recipe = read_recipe(folder, "test")
    first = snapshot(recipe, tmp_path / "snapshots")
    assert snapshot(recipe, tmp_path / "snapshots") == first
    (folder / "train.py").write_text("x = 2\n")
    second = snapshot(recipe, tmp_path / "snapshots")
    assert second != first
    assert (first / "train.py").read_text() == "x = 1\n"
    assert (first / "parts" / "more.py").read_text() == "y = 1\n"
    assert (first / "README.md").is_file()
    assert digest_recipe(first) == recipe.digest
    assert sorted(os.listdir(tmp_path / "snapshots")) == sorted((first.name, second.name))


# Values of parameters


STEPS = Param("steps", 100, "how many", 1, 1000)
FLAG = Param("flag", False)
RATE = Param("rate", 0.5, minimum=0)
MODE = Param("mode", "a", choices=("a", "b"))
COUNT = Param("count", 1, choices=(1, 2, 4))


@pytest.mark.parametrize(
    ("param", "text", "value"),
    [
        (STEPS, "7", 7),
        (STEPS, "1000", 1000),
        (RATE, "1", 1.0),
        (RATE, "1e-3", 0.001),
        (MODE, "b", "b"),
        (COUNT, "4", 4),
        (FLAG, "yes", True),
        (FLAG, "0", False),
        (FLAG, "True", True),
        (Param("text", ""), "any thing", "any thing"),
    ],
)
def test_values(param: Param, text: str, value: Any) -> None:
    parsed = parse_value(param, text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("param", "text", "why"),
    [
        (STEPS, "0", "at least 1"),
        (STEPS, "1001", "at most 1000"),
        (STEPS, "many", "whole number"),
        (STEPS, "1.5", "whole number"),
        (STEPS, "", "whole number"),
        (RATE, "-1", "at least 0"),
        (RATE, "nan", "number"),
        (RATE, "inf", "number"),
        (RATE, "half", "number"),
        (MODE, "c", "choose from a, b"),
        (COUNT, "3", "choose from 1, 2, 4"),
        (FLAG, "maybe", "true or false"),
    ],
)
def test_values_that_cannot_be(param: Param, text: str, why: str) -> None:
    with pytest.raises(RequestError, match=f"{param.name} cannot be") as caught:
        parse_value(param, text)
    assert why in caught.value.why
