"""hive run and hive.load: using what is installed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hive_cli import HiveCli


@pytest.fixture
def numbers(tiny: HiveCli) -> Path:
    path = tiny.cwd / "numbers.txt"
    path.write_text("1\n2\n")
    return path


def test_run_writes_a_file_named_after_input_and_model(tiny: HiveCli, numbers: Path) -> None:
    done = tiny.ok("run", "tiny", "numbers.txt")
    assert (tiny.cwd / "numbers-tiny.txt").read_text() == "2.0\n4.0\n"
    assert done.out == "numbers: 2\nsum: 6\n"
    assert f"wrote {tiny.cwd / 'numbers-tiny.txt'} (" in done.err


def test_run_takes_an_output_and_options_of_the_recipe(tiny: HiveCli, numbers: Path) -> None:
    target = tiny.cwd / "result.txt"
    for options, first in ((("--factor", "3"), "3.0"), (("--factor=0.5",), "0.5"), (("--factor", "-2"), "-2.0")):
        tiny.ok("run", "tiny", *options, "numbers.txt", "-o", "result.txt")
        assert target.read_text().splitlines()[0] == first


def test_a_flag_before_the_input_does_not_take_it_for_its_value(tiny: HiveCli, numbers: Path) -> None:
    for option, first in (("--negate", "-2.0"), ("--negate=no", "2.0")):
        tiny.ok("run", "tiny", option, "numbers.txt", "-o", "result.txt")
        assert (tiny.cwd / "result.txt").read_text().splitlines()[0] == first


def test_json_of_a_run(tiny: HiveCli, numbers: Path) -> None:
    result = tiny.ok("run", "tiny", "numbers.txt", "--json")
    done = result.json()
    assert done["summary"] == {"numbers": 2, "sum": 6.0} and done["inputs"] == [str(numbers)]
    assert Path(done["output"]).is_file()
    assert result.err == ""


def test_folder_as_output_gets_the_file(tiny: HiveCli, numbers: Path) -> None:
    (tiny.cwd / "out").mkdir()
    tiny.ok("run", "tiny", "numbers.txt", "-o", "out")
    assert [path.name for path in (tiny.cwd / "out").iterdir()] == ["numbers-tiny.txt"]


def test_model_that_writes_a_folder_leaves_alone_what_else_is_in_it(hive: HiveCli) -> None:
    hive.ok("install", "report")
    folder = hive.cwd / "text-report"

    def written() -> dict[str, str]:
        return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}

    (hive.cwd / "text.txt").write_text("a\nb\n")
    hive.ok("run", "report", "text.txt")
    assert written() == {"letters.csv": "4\n", "pages/lines.csv": "2\n"}
    (folder / "pages" / "mine.txt").write_text("notes")
    (hive.cwd / "text.txt").write_text("abc\n")
    hive.ok("run", "report", "text.txt", "-o", "text-report/")
    assert written() == {"letters.csv": "4\n", "pages/lines.csv": "1\n", "pages/mine.txt": "notes"}
    hive.ok("run", "report", "text.txt", "-o", "alone.csv")
    assert (hive.cwd / "alone.csv").read_text() == "4\n"
    (hive.cwd / "taken").write_text("a file")
    refused = hive("run", "report", "text.txt", "-o", "taken")
    assert refused.code == 1 and "the result is a folder, and a file of that name is there" in refused.err
    assert (hive.cwd / "taken").read_text() == "a file"


def test_sample_of_a_model_that_writes_a_folder_is_what_it_reads(hive: HiveCli) -> None:
    hive.ok("install", "report")
    hive.ok("run", "report", "--sample")
    assert (hive.cwd / "report-sample.txt").read_text() == "one\ntwo\n"
    assert (hive.cwd / "report-sample-report" / "letters.csv").read_text() == "8\n"


def test_sample_needs_no_file(tiny: HiveCli) -> None:
    done = tiny.ok("run", "tiny", "--sample", "--factor", "10")
    assert "made a sample input" in done.err
    assert (tiny.cwd / "tiny-sample-tiny.txt").read_text() == "10.0\n20.0\n35.0\n"


REFUSED = [
    (("tiny",), 2, "wants an input (or --sample"),
    (("tiny", "numbers.txt", "--sample"), 2, "--sample makes an input"),
    (("tiny", "numbers.txt", "-x"), 2, "there is no option -x"),
    (("tiny", "nothing.txt"), 1, "there is no file nothing.txt"),
    (("tiny", "numbers.csv"), 1, "tiny does not read '.csv' files"),
    (("tiny", "words.txt"), 1, "words.txt is not a list of numbers"),
    (("tiny", "numbers.txt", "--factr", "3"), 1, "did you mean factor?"),
    (("tiny", "numbers.txt", "--factor", "x"), 1, "factor cannot be 'x'"),
    (("tiny", "numbers.txt", "-o", "numbers.txt"), 1, "numbers.txt is the input itself"),
    (("tiny", "numbers.txt", "-o", "link.txt"), 1, "link.txt is the input itself"),
    (("tiny", "numbers.txt", "-o", "result.csv"), 1, "tiny cannot write result.csv"),
    (("tiny", "numbers.txt", "-o", "nowhere/result.txt"), 1, "there is no folder"),
    (("tiny", ""), 1, "there is no file ''"),
    (("tiny", "numbers.txt", "-o", "/proc/result.txt"), 1, "cannot write to /proc"),
    (("trivial", "numbers.txt"), 1, "trivial is not installed"),
    (("tyny", "numbers.txt"), 1, "did you mean tiny?"),
]


@pytest.mark.parametrize(("arguments", "code", "why"), REFUSED, ids=lambda value: str(value)[:40])
def test_refused_run_says_why_and_leaves_nothing(
    tiny: HiveCli, numbers: Path, arguments: tuple[str, ...], code: int, why: str
) -> None:
    (tiny.cwd / "numbers.csv").write_text("1\n")
    (tiny.cwd / "words.txt").write_text("one\n")
    (tiny.cwd / "link.txt").symlink_to(numbers)
    before = sorted(os.listdir(tiny.cwd))
    refused = tiny("run", *arguments)
    assert refused.code == code and why in refused.err, refused
    assert refused.out == "" and "Traceback" not in refused.err
    assert sorted(os.listdir(tiny.cwd)) == before
    assert numbers.read_text() == "1\n2\n"
    assert not list(tiny.home.glob("runs/*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_run_without_permission(tiny: HiveCli, numbers: Path) -> None:
    locked = tiny.cwd / "locked"
    locked.mkdir(mode=0o500)
    assert "permission denied" in tiny("run", "tiny", "numbers.txt", "-o", "locked/x.txt").err
    numbers.chmod(0)
    assert "cannot be read" in tiny("run", "tiny", "numbers.txt").err


def test_failed_run_keeps_the_result_of_the_last(tiny: HiveCli, numbers: Path) -> None:
    tiny.ok("run", "tiny", "numbers.txt", "-o", "result.txt")
    (tiny.cwd / "words.txt").write_text("one\n")
    assert tiny("run", "tiny", "words.txt", "-o", "result.txt").code == 1
    assert (tiny.cwd / "result.txt").read_text() == "2.0\n4.0\n"


def test_result_is_a_plain_file_of_the_user(tiny: HiveCli, numbers: Path) -> None:
    tiny.ok("run", "tiny", "numbers.txt")
    facts = (tiny.cwd / "numbers-tiny.txt").stat()
    assert stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid() and facts.st_mode & 0o600 == 0o600


def test_input_with_a_strange_name(tiny: HiveCli) -> None:
    name = "a b'\"$(c)\n.txt"
    (tiny.cwd / name).write_text("1\n")
    told = tiny.ok("run", "tiny", name, "-o", "result.txt")
    assert (tiny.cwd / "result.txt").read_text() == "2.0\n"
    assert "numbers: 1" in told.out


def test_model_that_is_none_warns(hive: HiveCli) -> None:
    hive.ok("install", "trivial", "--profile", "smoke")
    (hive.cwd / "text.txt").write_text("abc")
    assert "NO REAL MODEL" in hive.ok("run", "trivial", "text.txt").err


# hive.load


def python(hive: HiveCli, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=hive.cwd, env=without_bytecode_setting(hive), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def without_bytecode_setting(hive: HiveCli) -> dict[str, str]:
    return {name: value for name, value in hive.variables().items() if name != "PYTHONDONTWRITEBYTECODE"}


def test_load_gives_the_object_and_leaves_the_artifact_as_it_was(tiny: HiveCli) -> None:
    assert python(tiny, "import hive; print(hive.load('tiny').scale([1.0, 2.0], 2))") == "[2.0, 4.0]\n"
    tiny.ok("verify")


def test_load_of_what_is_not_installed(tiny: HiveCli) -> None:
    code = "import hive, hive.errors\ntry: hive.load('tyny')\nexcept hive.errors.RequestError as e: print(e, e.hint)"
    assert python(tiny, code) == "tyny is not installed did you mean tiny?\n"


def test_load_after_another_install_is_the_new_model_with_its_own_code(hive: HiveCli, tmp_path: Path) -> None:
    from test_cli_install import copy_recipe

    source = tmp_path / "source"
    copy_recipe("trivial", source / "changing")
    hive.environment["HIVE_SOURCES"] = str(source)
    hive.ok("install", "changing")
    code = f"""
import hive, pathlib, subprocess, sys
print(hive.load("changing"), flush=True)
path = pathlib.Path({str(source / "changing" / "predict.py")!r})
path.write_text(path.read_text().replace("return json.loads", "return 'new', json.loads"))
subprocess.run([sys.executable, "-m", "hive", "install", "-q", "--rebuild", "changing"], check=True)
print(hive.load("changing"))
"""
    assert python(hive, code).splitlines() == ["[0, 1, 2]", "changing", "('new', [0, 1, 2])"]
