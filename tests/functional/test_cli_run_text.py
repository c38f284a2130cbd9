"""Models that read a text, and models that write more than one file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hive_cli import HiveCli

RECIPE = """
[recipe]
name = "says"
version = "1.0.0"
summary = "says it again"
licence = "MIT"
[limits]
cpus = 1
disk = "10MiB"
[profiles.standard]
[run]
inputs = [".txt", ".json"]
input_help = "a sentence"
text = true
output = ".out"
beside = [".json", "-*.out"]
[run.options.count]
default = 1
"""
PREDICT = """
def predict(run):
    text = run.inputs[0].read_text()
    run.output.write_text(text)
    run.output.with_suffix(".json").write_text("{}")
    for number in range(2, run.options.count + 1):
        run.output.with_name(f"{run.output.stem}-{number}.out").write_text(text * number)
    run.output.with_name("other.out").write_text("nobody asked for this")
    run.output.with_suffix(".log").write_text("nor for this")
"""


@pytest.fixture
def says(hive: HiveCli, tmp_path: Path) -> HiveCli:
    folder = tmp_path / "source" / "says"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "train.py").write_text("def train(run):\n    (run.out / 'weights').write_text('')\n")
    (folder / "predict.py").write_text(PREDICT)
    hive.environment["HIVE_SOURCES"] = str(folder.parent)
    assert 'use it: hive run says "A TEXT" -o RESULT.out' in hive.ok("install", "says").err
    return hive


def test_a_text_is_an_input(says: HiveCli) -> None:
    done = says.ok("run", "says", "A low, round table", "--json").json()
    assert done["inputs"] == ["A low, round table"]
    assert Path(done["output"]) == says.cwd / "a-low-round-table-says.out"
    assert Path(done["output"]).read_text() == "A low, round table\n"
    says.ok("run", "says", "x" * 5000, "-o", "long.out")
    says.ok("run", "says", "../up", "-o", "up.out")
    assert (says.cwd / "up.out").read_text() == "../up\n"


def test_a_file_of_texts_is_too_and_one_that_is_not_there_is_no_text(says: HiveCli) -> None:
    (says.cwd / "prompts.txt").write_text("one\ntwo\n")
    says.ok("run", "says", "prompts.txt", "-o", "a.out")
    assert (says.cwd / "a.out").read_text() == "one\ntwo\n"
    for argument, why in (
        ("promts.txt", "there is no file promts.txt"),
        (" ", "the text is empty"),
        ("", "the text is empty"),
    ):
        refused = says("run", "says", argument, "-o", "b.out")
        assert refused.code == 1 and why in refused.err
    assert not (says.cwd / "b.out").exists()


def test_a_folder_of_that_name_makes_no_file_of_a_word(says: HiveCli) -> None:
    (says.cwd / "chair").mkdir()
    says.ok("run", "says", "chair", "-o", "a.out")
    assert (says.cwd / "a.out").read_text() == "chair\n"


def test_what_the_recipe_says_it_writes_beside_is_handed_over_and_nothing_else(says: HiveCli) -> None:
    done = says.ok("run", "says", "word", "--count", "3", "-o", "t.out")
    assert sorted(path.name for path in says.cwd.iterdir()) == ["t-2.out", "t-3.out", "t.json", "t.out"]
    assert (says.cwd / "t-3.out").read_text() == "word\n" * 3
    assert "t.out, t-2.out, t-3.out, t.json" in done.err


def test_what_is_written_beside_does_not_replace_the_input(says: HiveCli) -> None:
    (says.cwd / "t.json").write_text("mine")
    refused = says("run", "says", "t.json", "-o", "t.out")
    assert refused.code == 1 and "t.json is the input itself" in refused.err, refused
    assert (says.cwd / "t.json").read_text() == "mine"
