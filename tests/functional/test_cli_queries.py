"""list, search, info, verify, doctor, config, lock: what can be asked."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from pathlib import Path

import pytest
from hive_cli import HiveCli

QUESTIONS = [
    ("list",),
    ("search",),
    ("status",),
    ("queue", "status"),
    ("queue", "list"),
    ("config",),
    ("verify",),
    ("info", "tiny"),
]


@pytest.mark.parametrize("arguments", QUESTIONS, ids=" ".join)
def test_questions_create_nothing_and_are_json_when_asked(hive: HiveCli, arguments: tuple[str, ...]) -> None:
    hive.ok(*arguments)
    answer = hive.ok(*arguments, "--json")
    answer.json()
    assert answer.err == ""
    assert not hive.home.exists()


def test_list_of_nothing_leaves_stdout_empty(hive: HiveCli) -> None:
    nothing = hive.ok("list")
    assert nothing.out == "" and "nothing is installed" in nothing.err


def test_list_shows_what_is_installed(tiny: HiveCli) -> None:
    head, line = tiny.ok("list").out.splitlines()
    assert head.split() == ["NAME", "VERSION", "PROFILE", "SIZE", "ARTIFACT", "INSTALLED"]
    assert line.split()[:3] == ["tiny", "1.0.0", "standard"]
    [package] = tiny.ok("list", "--json").json()
    assert set(package) >= {"name", "version", "artifact", "profile", "real", "size_bytes", "installed_at", "automatic"}


def test_list_while_another_process_makes_the_database(hive: HiveCli) -> None:
    hive.home.mkdir()
    hive.paths.database.touch()
    assert "nothing is installed" in hive.ok("list").err


def test_database_of_another_program_is_left_alone(hive: HiveCli) -> None:
    import sqlite3

    hive.home.mkdir()
    with sqlite3.connect(hive.paths.database) as other:
        other.execute("CREATE TABLE theirs (id)")
    for arguments in (("list",), ("install", "trivial")):
        refused = hive(*arguments)
        assert refused.code == 1 and "is not hive's" in refused.err


def test_search_needs_every_word(tiny: HiveCli) -> None:
    found = tiny.ok("search", "-q", "TEST", "fails").out.split()
    assert "raises" in found and "tiny" not in found
    [recipe] = tiny.ok("search", "--json", "logistic").json()
    assert recipe["name"] == "tiny" and recipe["installed"] is True
    missed = tiny("search", "tyny")
    assert missed.code == 1 and "did you mean tiny?" in missed.err


def test_info_of_what_is_installed_and_of_what_is_not(tiny: HiveCli) -> None:
    told = tiny.ok("info", "tiny").out
    for line in ("artifact", "build key", "seed", "LEVEL", "accuracy ↑"):
        assert line in told
    facts = tiny.ok("info", "--json", "tiny").json()
    assert facts["installed"]["artifact"]["metrics"][0]["name"] == "accuracy"
    assert "torch==" in str(facts["installed"]["artifact"]["pins"])
    assert tiny.ok("info", "--json", "trivial").json()["installed"] is None
    unknown = tiny("info", "tyny")
    assert unknown.code == 1 and "did you mean tiny?" in unknown.err


def test_card_of_the_installed_model_holds_its_figures(tiny: HiveCli) -> None:
    card = tiny.ok("info", "--card", "tiny").out
    assert card.startswith("# tiny") and "| accuracy (higher is better) |" in card
    assert tiny("info", "--card", "trivial").code == 1


def test_package_outlives_its_recipe(tiny: HiveCli, tmp_path: Path) -> None:
    empty = {"HIVE_SOURCES": str(tmp_path / "none")}
    assert "build key" in tiny.ok("info", "tiny", **empty).out
    assert tiny.ok("verify", **empty).code == 0
    tiny.ok("remove", "tiny", **empty)


# verify


def flip(path: Path) -> None:
    """Change one bit of a file."""
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_flipped_bit_is_found_named_and_mended(hive: HiveCli) -> None:
    hive.ok("install", "trivial")
    assert hive.ok("verify").err == "trivial 1.0.0: ok\n"
    folder = Path(hive.ok("info", "--json", "trivial").json()["installed"]["path"])
    flip(folder / "weights.json")
    found = hive("verify")
    assert found.code == 7 and found.out == "trivial: weights.json: changed\n"
    assert "hive repair trivial" in found.err
    [checked] = hive("verify", "--json").json()
    assert checked["damaged"] == [{"file": "weights.json", "reason": "changed"}]
    hive.ok("install", "--rebuild", "trivial")
    assert hive.ok("verify").err == "trivial 1.0.0: ok\n"


@pytest.mark.parametrize("harm", ["missing", "unexpected", "manifest"])
def test_other_damage_is_found_and_mended(hive: HiveCli, harm: str) -> None:
    hive.ok("install", "trivial")
    folder = Path(hive.ok("info", "--json", "trivial").json()["installed"]["path"])
    if harm == "missing":
        (folder / "weights.json").unlink()
    elif harm == "unexpected":
        (folder / "more").write_text("x")
    else:
        flip(folder / "manifest.json")
    found = hive("verify", "trivial")
    assert found.code == 7 and ("changed" if harm == "manifest" else harm) in found.out
    hive.ok("install", "--rebuild", "trivial")
    hive.ok("verify", "trivial")


def test_verify_of_what_is_not_installed(tiny: HiveCli) -> None:
    assert tiny("verify", "trivial").code == 1


# system


def test_doctor_finds_the_sandbox_and_the_recipes(hive: HiveCli) -> None:
    checks = {check["name"]: check for check in json.loads(hive("doctor", "--json").out)}
    assert set(checks) >= {"python", "home", "disk", "sqlite", "isolation", "supervisor", "recipes", "training"}
    assert checks["home"]["status"] == checks["recipes"]["status"] == "ok"
    assert not hive.home.exists()
    table = hive("doctor").out
    assert "NETWORK" in table and "PROBLEM" not in table.split("disk")[0]


def test_doctor_names_a_home_that_cannot_be_written(hive: HiveCli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = hive("doctor", HIVE_HOME=str(tmp_path / "file"))
    assert found.code == 1 and "PROBLEM" in found.out and "problem(s): home" in found.err


def test_config_tells_where_each_value_comes_from(hive: HiveCli) -> None:
    hive.home.mkdir()
    (hive.home / "config.toml").write_text('cpus = 1\nmax_memory = "2GiB"\n')
    settings = hive.ok("config", "--json", MAX_RUNNERS="3", HIVE_MAX_MEMORY="1GiB").json()
    assert settings["cpus"] == {"value": "1", "origin": "config.toml"}
    assert settings["max_memory"] == {"value": str(1 << 30), "origin": "environment HIVE_MAX_MEMORY"}
    assert settings["max_runners"] == {"value": "3", "origin": "environment MAX_RUNNERS"}
    assert settings["offline"]["origin"] == "default"


@pytest.mark.parametrize(
    ("variable", "value"), [("HIVE_CPUS", "many"), ("HIVE_CPUS", "0"), ("HIVE_MAX_RUNNERS", "0"), ("MAX_MEMORY", "-1")]
)
def test_unusable_setting_is_named(hive: HiveCli, variable: str, value: str) -> None:
    refused = hive("list", **{variable: value})
    assert refused.code == 1 and f"environment {variable} says {value!r}" in refused.err


def test_unknown_setting_in_the_file_is_named(hive: HiveCli) -> None:
    hive.home.mkdir()
    (hive.home / "config.toml").write_text("cpu = 1\n")
    refused = hive("list")
    assert refused.code == 1 and "unknown setting 'cpu'" in refused.err


def test_lock_is_written_checked_and_found_stale(hive: HiveCli) -> None:
    missing = hive("lock", "--check")
    assert missing.code == 6 and "there is no hive.lock" in missing.err
    hive.ok("lock")
    file = hive.cwd / "hive.lock"
    written = file.read_text()
    hive.ok("lock")
    assert file.read_text() == written
    assert "up to date" in hive.ok("lock", "--check").err
    first = tomllib.loads(written)["model"][0]
    file.write_text(written.replace(f'version = "{first["version"]}"', 'version = "0.0.1"', 1))
    stale = hive("lock", "--check")
    assert stale.code == 6 and f"{first['name']}.version: locked '0.0.1', now '{first['version']}'" in stale.err
    file.write_text("not toml")
    assert hive("lock", "--check").code == 6


# a home that cannot be used


@pytest.mark.parametrize("place", ["/proc/hive", "file"])
def test_home_that_cannot_be_made_is_told_and_questions_still_work(hive: HiveCli, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    home = {"HIVE_HOME": str(tmp_path / place)}  # an absolute place stays as it is
    refused = hive("install", "trivial", **home)
    assert refused.code == 1 and "error: cannot create" in refused.err and "set HIVE_HOME" in refused.err
    for question in (("list",), ("search",), ("queue", "status"), ("info", "tiny")):
        hive.ok(*question, **home)


# the command itself


def test_typo_of_a_command_gets_a_guess(hive: HiveCli) -> None:
    wrong = hive("instal")
    assert wrong.code == 2 and "did you mean install" in wrong.err


def test_unknown_option_is_a_usage_error(hive: HiveCli) -> None:
    assert hive("list", "--jsn").code == 2


@pytest.mark.parametrize("arguments", [("--help",), ("install", "--help"), ("queue", "--help"), ("--version",)])
def test_help_goes_to_stdout(hive: HiveCli, arguments: tuple[str, ...]) -> None:
    told = hive.ok(*arguments)
    assert "hive" in told.out and told.err == ""


@pytest.mark.parametrize("arguments", [("list",), ("search",), ("config", "--json"), ("--help",), ("info", "tiny")])
def test_reader_that_has_gone_is_no_error(hive: HiveCli, arguments: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*hive.command, *arguments],
        cwd=hive.cwd,
        env=hive.variables(),
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr and "Broken" not in done.stderr


def test_completion_knows_models_and_installs_itself(hive: HiveCli) -> None:
    completed = hive.ok(_HIVE_COMPLETE="bash_complete", COMP_WORDS="hive install ti", COMP_CWORD="2")
    assert completed.out == "plain,tiny\n"
    told = hive.ok("--install-completion", SHELL="/bin/bash")
    script = Path(os.environ["HOME"], ".local/share/bash-completion/completions/hive")
    assert str(script) in told.out and "_HIVE_COMPLETE" in script.read_text()
    breaks = subprocess.run(
        ["bash", "-c", """COMP_WORDBREAKS=' @><='; . "$1"; echo "$COMP_WORDBREAKS" """, "bash", script],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert breaks.stdout == " ><=\n", "NAME@VERSION is one word"


def test_no_command_is_slow_to_import_what_it_does_not_use(hive: HiveCli) -> None:
    code = (
        "import sys; sys.argv = ['hive', 'list']\n"
        "from hive.cli import app; app.main(standalone_mode=False)\n"
        "print(sorted({'rich', 'torch', 'numpy', 'packaging'} & set(sys.modules)))"
    )
    done = subprocess.run([*hive.command[:1], "-c", code], env=hive.variables(), capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
