"""hive install and remove, as a script uses them: through pipes."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hive_cli import RECIPES, HiveCli, until

SLOW = ("install", "hangs", "--param", "seconds=4")  # needs no libraries, and succeeds


def test_a_runner_that_is_mistyped_is_told_even_where_nothing_is_built(tiny: HiveCli) -> None:
    refused = tiny("install", "--runner", "proces", "tiny")
    assert refused.code == 1 and "there is no runner 'proces'" in refused.err and "did you mean process" in refused.err


def test_memory_that_is_asked_for_stands_above_the_setting_and_below_the_machine(hive: HiveCli) -> None:
    asked = ("install", "--dry-run", "trivial", "--memory")
    assert "6.0 GiB memory" in hive.ok(*asked, "6GiB", HIVE_MAX_MEMORY="4GiB").err
    assert "100000.0 GiB memory asked for" in hive.ok(*asked, "100000GiB").err


def test_install_tells_each_phase_on_a_line_and_leaves_stdout_to_data(hive: HiveCli) -> None:
    done = hive.ok("install", "tiny")
    assert done.out == ""
    assert "\x1b" not in done.err
    told = done.err.splitlines()
    for line in ("tiny: queued as job 1", "tiny: train (of 200)", "tiny: evaluate", "  gate passed: accuracy >= 0.8"):
        assert told.count(line) == 1, done
    assert any(line.startswith("installed tiny 1.0.0 (") for line in told)
    assert "  runner: process (asked for)" in told
    assert any(line.split()[:2] == ["RUNNER", "LEVEL"] for line in told)


def test_install_again_keeps_what_is_there(tiny: HiveCli) -> None:
    again = tiny.ok("install", "tiny")
    assert again.err.startswith("tiny 1.0.0 is already installed (standard, ")
    assert len(tiny.service().jobs(10)) == 1


def test_first_of_two_names_may_be_installed_already(tiny: HiveCli) -> None:
    done = tiny.ok("install", "tiny", "trivial", "--json").json()
    assert [step["action"] for step in done["plan"]] == ["keep", "build"]
    assert {package["name"] for package in done["packages"]} == {"tiny", "trivial"}


def test_json_is_one_document_with_all_that_happened(hive: HiveCli) -> None:
    result = hive.ok("install", "--json", "trivial")
    done = result.json()
    [job], [package] = done["jobs"], done["packages"]
    assert job["state"] == "succeeded" and job["artifact"] == package["artifact"]
    assert result.err == ""


def test_json_of_a_failure_is_on_stderr(hive: HiveCli) -> None:
    import json

    failed = hive("install", "--json", "bad-gate")
    assert failed.code == 5 and failed.out == ""
    assert json.loads(failed.err)["error"]["exit_code"] == 5


def test_quiet_prints_names_only(hive: HiveCli) -> None:
    done = hive.ok("install", "-q", "trivial")
    assert (done.out, done.err) == ("trivial\n", "")
    assert hive.ok("install", "-q", "trivial").out == "trivial\n"


def test_quiet_and_no_wait_print_each_its_own_job(hive: HiveCli) -> None:
    done = hive.ok("install", "-q", "--no-wait", "hangs", "trivial")
    assert done.out == "1\n2\n"


def test_no_wait_returns_and_the_same_command_attaches(hive: HiveCli) -> None:
    begun = hive.ok(*SLOW, "--no-wait")
    assert "hangs: job 1, queued. Follow it: hive logs -f 1" in begun.err
    hive.until_running()
    assert "note: asked for before: job 1, running" in hive.ok(*SLOW, "--dry-run").err
    attached = hive.ok(*SLOW)
    assert "hangs: job 1 is building it already, following" in attached.err
    assert "installed hangs 1.0.0" in attached.err
    assert len(hive.service().jobs(10)) == 1


def test_interrupt_detaches_and_the_build_goes_on(hive: HiveCli) -> None:
    process = hive.start(*SLOW)
    until(lambda: hive.service().jobs(1), "the job is queued")
    hive.until_running()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "detached: the build of hangs (job 1) goes on" in told
    assert "cancel it: hive queue cancel 1" in told
    assert hive.until_over().state == "succeeded"
    assert hive.ok("list", "-q").out == "hangs\n"


def test_dry_run_shows_the_plan_and_changes_nothing(hive: HiveCli) -> None:
    shown = hive.ok("install", "--dry-run", "tiny", "--profile", "smoke", "--seed", "3")
    assert "tiny 1.0.0: to be built (smoke, " in shown.err and "seed 3)" in shown.err
    assert "NO REAL MODEL" in shown.err
    plan = hive.ok("install", "--dry-run", "--json", "trivial").json()
    assert plan["dry_run"] and [step["action"] for step in plan["plan"]] == ["build"]
    assert hive.service().jobs(10) == [] and hive.service().packages() == []
    assert not hive.supervisors()


def test_remove_then_install_trains_nothing(tiny: HiveCli) -> None:
    before = tiny.ok("list", "--json").json()[0]["artifact"]
    assert tiny.ok("remove", "tiny").err == "removed tiny 1.0.0\n"
    assert tiny.ok("list", "-q").out == ""
    again = tiny.ok("install", "tiny")
    assert "built before with the same key, reused" in again.err
    assert tiny.ok("list", "--json").json()[0]["artifact"] == before
    assert len(tiny.service().jobs(10)) == 1


def test_remove_dry_run_says_what_remove_would(tiny: HiveCli) -> None:
    assert tiny.ok("remove", "--dry-run", "tiny").err == "would remove tiny 1.0.0\n"
    assert tiny.ok("remove", "--dry-run", "--json", "tiny").json()["dry_run"] is True
    assert tiny.ok("list", "-q").out == "tiny\n"
    for arguments in (("remove", "trivial"), ("remove", "--dry-run", "trivial")):
        refused = tiny(*arguments)
        assert refused.code == 1 and "trivial is not installed" in refused.err


def test_remove_where_nothing_was_ever_installed_makes_no_home(hive: HiveCli) -> None:
    assert hive("remove", "tiny").code == 1
    assert not hive.home.exists()


def test_list_quiet_feeds_remove(tiny: HiveCli) -> None:
    tiny.ok("install", "trivial")
    tiny.ok("remove", "-y", *tiny.ok("list", "-q").out.split())
    assert tiny.ok("list", "--json").json() == []


def test_profile_that_is_no_real_model_says_so_and_is_replaced(hive: HiveCli) -> None:
    smoke = hive.ok("install", "trivial", "--profile", "smoke")
    assert "NO REAL MODEL" in smoke.err
    assert "smoke (no real model)" in hive.ok("list").out
    assert "installed trivial" in hive.ok("install", "trivial").err
    assert hive.ok("list", "--json").json()[0]["real"] is True


def test_seed_and_parameter_reach_the_build(hive: HiveCli) -> None:
    hive.ok("install", "trivial", "--seed", "7", "--param", "size=2")
    installed = hive.ok("info", "--json", "trivial").json()["installed"]
    assert Path(installed["path"], "weights.json").read_text() == "[7, 8]"
    assert installed["artifact"]["build"]["params"] == {"size": 2}


def test_rebuild_builds_again_to_the_same_bytes(hive: HiveCli) -> None:
    hive.ok("install", "trivial")
    hive.ok("install", "trivial", "--rebuild")
    first, second = hive.job(1), hive.job(2)
    assert first.artifact == second.artifact is not None


def test_dependency_is_built_first_and_cannot_be_removed_alone(hive: HiveCli, tmp_path: Path) -> None:
    source = tmp_path / "source"
    copy_recipe("trivial", source / "upper", extra='[depends]\npackages = ["trivial"]\n')
    hive.environment["HIVE_SOURCES"] = f"{source}:{RECIPES}"
    hive.ok("install", "upper")
    assert [job.name for job in hive.service().jobs(10)] == ["upper", "trivial"]
    assert [p["automatic"] for p in hive.ok("list", "--json").json()] == [True, False]
    refused = hive("remove", "trivial")
    assert refused.code == 1 and "upper needs it" in refused.err
    hive.ok("remove", "trivial", "upper")


def test_foreign_data_needs_a_recipe_that_takes_it(hive: HiveCli) -> None:
    refused = hive("install", "trivial", "--data", str(RECIPES))
    assert refused.code == 1 and "does not train on data of your own" in refused.err
    missing = hive("install", "trivial", "--data", "nowhere")
    assert missing.code == 1 and "--data wants a file or folder that exists" in missing.err


def copy_recipe(name: str, target: Path, extra: str = "", **changes: str) -> None:
    """A fixture recipe under another name, with `changes` of its limits."""
    import re
    import shutil

    shutil.copytree(RECIPES / name, target)
    file = target / "recipe.toml"
    text = file.read_text().replace(f'name = "{name}"', f'name = "{target.name}"')
    for key, value in changes.items():
        text, found = re.subn(rf'(?m)^{key} = ".*"$', f'{key} = "{value}"', text)
        assert found, f"{name} has no {key}"
    file.write_text(text + extra)


UNKNOWN = [
    (("trvial",), 1, "there is no model called 'trvial'", "did you mean trivial?"),
    (("Trivial",), 1, "'Trivial' is not a model's name", "hive search"),
    (("../trivial",), 1, "is not a model's name", "hive search"),
    (("trivial@9",), 1, "no source has trivial ==9", "hive info trivial"),
    (("tiny", "--param", "stps=1"), 1, "tiny has no parameter 'stps'", "did you mean steps?"),
    (("tiny", "--param", "steps=few"), 1, "steps cannot be 'few'", "optimiser steps"),
    (("tiny", "--param", "steps=0"), 1, "steps cannot be '0'", "at least 1"),
    (("tiny", "--profile", "smke"), 1, "tiny has no profile 'smke'", "did you mean smoke?"),
    (("trivial", "--runner", "dockr"), 1, "there is no runner 'dockr'", "known are auto"),
    (("tiny", "--param", "steps"), 2, "--param wants NAME=VALUE", ""),
    (("trivial", "--seed", "x"), 2, "--seed", "not a valid integer"),
    (("trivial", "--seed", "-1"), 2, "--seed", ""),
    (("trivial", "--priority", "urgent"), 2, "--priority", "high"),
    (("trivial", "--memory", "lots"), 2, "'lots' is not a size such as 4GiB", ""),
    (("trivial", "--memory", "0"), 2, "'0' is not a size", ""),
    (("trivial", "--memory", "4 parsecs"), 2, "unknown unit 'parsecs'", ""),
    (("trivial", "--time-limit", "soon"), 2, "'soon' is not a time such as 90min", ""),
    (("trivial", "--time-limit", "-5"), 2, "'-5' is not a time", ""),
    (("trivial", "--time-limit", "nan"), 2, "'nan' is not a time", ""),
    ((), 2, "NAMES", ""),
]


@pytest.mark.parametrize(("arguments", "code", "what", "hint"), UNKNOWN, ids=lambda value: str(value)[:30])
def test_what_cannot_be_asked_is_refused_before_anything_is_queued(
    hive: HiveCli, arguments: tuple[str, ...], code: int, what: str, hint: str
) -> None:
    refused = hive("install", *arguments)
    assert refused.code == code, refused
    assert what in refused.err and hint in refused.err, refused
    assert "Traceback" not in refused.err and refused.out == ""
    assert hive.service().jobs(10) == []


FAILURES = [
    ("bad-gate", (), 5, "bad-gate missed 1 of 1 quality gates"),
    ("raises", (), 3, "ZeroDivisionError: division by zero"),
    ("nan", (), 3, "loss became nan"),
    ("pickles", (), 3, "the recipe wrote a pickle: weights.pkl"),
    ("no-output", (), 3, "the recipe wrote nothing"),
    ("eats-memory", (), 4, "it needed more memory than its limit"),
    ("hangs", ("--time-limit", "1s"), 4, "it ran longer than its time limit"),
]


@pytest.mark.parametrize(("name", "options", "code", "why"), FAILURES, ids=[case[0] for case in FAILURES])
def test_failed_build_ends_with_its_own_exit_code_and_installs_nothing(
    hive: HiveCli, name: str, options: tuple[str, ...], code: int, why: str
) -> None:
    failed = hive("install", name, *options)
    assert failed.code == code, failed
    assert f"error: {name} 1.0.0 was not installed: {why}" in failed.err
    assert failed.out == ""
    assert hive.service().packages() == []
    assert hive.job().attempt == 1, "a failure of the build itself is not tried again"


def test_refused_model_shows_the_figures_that_it_missed(hive: HiveCli) -> None:
    told = hive("install", "bad-gate").err
    assert "accuracy ↑  0.6" in told
    assert "why: accuracy >= 0.9: 0.6" in told


def test_larger_memory_limit_lets_the_same_build_pass(hive: HiveCli) -> None:
    hive.ok("install", "eats-memory", "--param", "mebibytes=300", "--memory", "1GiB")


def test_build_that_cannot_fit_the_disk_is_refused_before_it_starts(hive: HiveCli, tmp_path: Path) -> None:
    copy_recipe("trivial", tmp_path / "source" / "huge", disk="900TiB")
    refused = hive("install", "huge", HIVE_SOURCES=str(tmp_path / "source"))
    assert refused.code == 4 and "not enough disk to build huge" in refused.err
    assert hive.service().jobs(10) == []


def test_recipe_for_another_python_is_refused(hive: HiveCli, tmp_path: Path) -> None:
    copy_recipe("trivial", tmp_path / "source" / "future", python=">=4")
    refused = hive("install", "future", HIVE_SOURCES=str(tmp_path / "source"))
    assert refused.code == 4 and "future needs Python >=4" in refused.err


def test_high_priority_overtakes(hive: HiveCli) -> None:
    limits = {"HIVE_MAX_RUNNERS": "1"}
    hive.ok(*SLOW, "--no-wait", **limits)
    hive.ok("install", "--no-wait", "trivial", "--seed", "1", "--priority", "low", **limits)
    hive.ok("install", "--no-wait", "trivial", "--seed", "2", "--priority", "high", **limits)
    low, high = hive.until_over(2), hive.until_over(3)
    assert (high.started_at or 0) < (low.started_at or 0)


def test_one_build_serves_all_who_ask_at_once(hive: HiveCli) -> None:
    asking = [hive.start(*SLOW) for _ in range(4)]
    ends = [process.communicate(timeout=100) for process in asking]
    assert [process.returncode for process in asking] == [0] * 4, ends
    assert len(hive.service().jobs(10)) == 1


def test_supervisor_leaves_when_nothing_is_left(hive: HiveCli) -> None:
    hive.ok("install", "trivial")
    until(lambda: not hive.supervisors(), "the supervisor has left")
    assert not hive.shims()


def test_edit_of_the_recipe_during_the_build_does_not_reach_it(hive: HiveCli, tmp_path: Path) -> None:
    target = tmp_path / "source" / "edited"
    copy_recipe("trivial", target)
    hive.environment["HIVE_SOURCES"] = str(tmp_path / "source")
    hive.ok("install", "--no-wait", "edited")
    (target / "train.py").write_text("raise SystemExit('an edit')\n")
    assert hive.until_over().state == "succeeded"
    kept = hive.ok("install", "edited")
    assert "its recipe has changed since" in kept.err


def test_a_failure_does_not_leave_the_others_unwatched(hive: HiveCli) -> None:
    result = hive("install", "raises", "trivial")
    assert result.code == 3, result
    assert "raises 1.0.0 was not installed" in result.err
    assert "installed trivial" in result.err
    assert "trivial" in hive.ok("list", "-q").out
