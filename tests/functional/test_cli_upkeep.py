"""history, rollback, gc, du, repair, rebuild, as a user calls them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hive_cli import HiveCli
from shelf import put


def artifact(hive: HiveCli, name: str) -> str:
    [package] = [each for each in hive.ok("list", "--json").json() if each["name"] == name]
    return str(package["artifact"])


def folder(hive: HiveCli, name: str) -> Path:
    return hive.paths.store / artifact(hive, name).removeprefix("sha256:")


def spoil(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_before_anything_was_installed(hive: HiveCli) -> None:
    assert hive.ok("history").err == "nothing was ever installed\n"
    assert hive.ok("history", "--json").json() == []
    refused = hive("rollback")
    assert refused.code == 1 and "nothing was ever installed" in refused.err
    assert hive.ok("gc").err == "nothing to collect\n"
    assert hive.ok("repair").err == "nothing is damaged\n"
    assert "hive gc would free" in hive.ok("du").out


def test_history_and_the_way_back(hive: HiveCli) -> None:
    hive.ok("install", "trivial")
    hive.ok("install", "trivial", "--seed", "7")
    second = artifact(hive, "trivial")
    hive.ok("remove", "trivial")
    told = hive.ok("history")
    assert "3 *" in told.out and "-trivial 1.0.0" in told.out and "trivial 1.0.0, another build" in told.out
    assert hive.ok("history", "-q").out == "3\n2\n1\n"
    assert hive.ok("history", "-n", "1", "--json").json()[0]["changes"] == ["-trivial 1.0.0"]
    planned = hive.ok("rollback", "--dry-run")
    assert planned.out == "+trivial 1.0.0\n" and planned.err == "would go back to generation 2\n"
    assert hive.ok("list", "-q").out == ""
    done = hive.ok("rollback")
    assert done.out == "+trivial 1.0.0\n" and done.err == "went back to generation 2 (now 4)\n"
    assert artifact(hive, "trivial") == second
    back = hive.ok("rollback", "--json").json()
    assert back["to"] == 1 and back["changes"] == ["trivial 1.0.0, another build"]
    assert hive.ok("history", "-n", "1", "--json").json()[0]["changes"] == back["changes"]
    assert artifact(hive, "trivial") != second
    assert "there is nothing to go back to" in hive("rollback").err
    hive.ok("rollback", "--to", "3")
    assert hive.ok("list", "-q").out == ""
    unknown = hive("rollback", "--to", "77")
    assert unknown.code == 1 and "known are 1 to 6" in unknown.err


def test_rollback_to_what_the_store_has_lost_is_refused_and_changes_nothing(hive: HiveCli) -> None:
    hive.ok("install", "trivial")
    place = folder(hive, "trivial")
    hive.ok("remove", "trivial")
    place.rename(hive.cwd / "elsewhere")
    refused = hive("rollback")
    assert refused.code == 1 and "the store has lost trivial 1.0.0" in refused.err
    assert hive.ok("history", "-q").out == "2\n1\n"


def test_gc_frees_what_no_generation_holds(hive: HiveCli) -> None:
    hive.ok("install", "trivial")
    place = folder(hive, "trivial")
    hive.ok("install", "trivial", "--seed", "7")
    assert hive.ok("gc").err == "nothing to collect\n", "one can still go back"
    use = hive.ok("du", "--json").json()
    assert [each["installed"] for each in use["artifacts"]] == [False, True] and use["gc_would_free_bytes"] == 0
    planned = hive.ok("gc", "--older-than", "0", "--dry-run", "--json").json()
    assert planned["generations"] == [1] and place.exists()
    done = hive.ok("gc", "--older-than", "0", "--json").json()
    assert done == {**planned, "dry_run": False} and done["freed_bytes"] > 0 and not place.exists()
    assert hive.ok("verify").code == 0 and "nothing to go back to" in hive("rollback").err
    assert not list(hive.paths.staging.iterdir())
    assert "generation" not in hive.ok("du").out
    assert hive("gc", "--older-than", "soon").code == 2


def test_du_adds_up(hive: HiveCli) -> None:
    hive.ok("install", "trivial")
    use = hive.ok("du", "--json").json()
    assert use["total_bytes"] == sum(use["parts"].values())
    assert use["artifacts"][0]["generations"] == [1] and use["parts"]["artifacts"] > 0
    told = hive.ok("du").out
    assert "installed" in told and "hive clean --older-than 0 would free" in told


def test_repair_restores_what_there_is_a_copy_of(hive: HiveCli) -> None:
    hive.ok("install", "trivial")
    spoil(folder(hive, "trivial") / "recipe" / "train.py")
    assert hive("verify").code == 7
    assert hive.ok("repair").err == "trivial 1.0.0: restored from copies\n"
    assert hive.ok("verify").err == "trivial 1.0.0: ok\n"
    assert hive.ok("queue", "list", "-q").out == "1\n", "nothing was built"


def test_repair_builds_anew_what_has_no_copy(hive: HiveCli) -> None:
    hive.ok("install", "trivial")
    before = artifact(hive, "trivial")
    shutil.rmtree(hive.paths.root / "jobs")
    (hive.paths.root / "jobs").mkdir()
    spoil(folder(hive, "trivial") / "weights.json")
    refused = hive("repair", "--no-build")
    assert refused.code == 7 and "there is no copy of weights.json" in refused.err
    done = hive.ok("repair", "trivial", "--json")
    assert done.json() == [
        {
            "name": "trivial",
            "damaged": [{"file": "weights.json", "reason": "changed"}],
            "outcome": "built again, to the same bytes",
        }
    ]
    assert artifact(hive, "trivial") == before and hive.ok("verify").code == 0


def test_rebuild_check_proves_a_build_and_installs_nothing(hive: HiveCli) -> None:
    hive.ok("install", "tiny", "--seed", "5", "--param", "steps=120")
    made = artifact(hive, "tiny")
    done = hive.ok("rebuild", "tiny", "--check")
    assert f"tiny is reproducible: the same bytes, {made}" in done.err
    assert hive.ok("history", "-q").out == "1\n"
    assert hive.ok("rebuild", "tiny", "--check", "--json").json()["same"] is True
    assert hive.ok("queue", "list", "-q").out == "3\n2\n1\n", "each was really built"


def test_the_class_of_machines_is_on_record_and_a_comparison_across_classes_is_told(hive: HiveCli) -> None:
    hive.ok("install", "trivial", "dice")
    installed = hive.ok("info", "trivial", "--json").json()["installed"]
    here = installed["class_here"]
    assert installed["artifact"]["determinism"] == here and here.startswith("cpu, 1 math thread, ")
    assert f"same bytes on  {here}\n" in hive.ok("info", "trivial").out
    within = hive.ok("rebuild", "trivial", "--check")
    assert "class" not in within.err
    for before, told in (("cpu, 1 math thread, no torch, x86_64 avx1024 Intel", "avx1024"), ("", "not known")):
        db = hive.service().db
        with db.write():
            db.connection.execute("UPDATE artifacts SET determinism = ?", (before,))
        line = next(line for line in hive.ok("info", "trivial").out.splitlines() if line.startswith("same bytes on"))
        assert told in line and f"(this machine: {here})" in line
        across = hive.ok("rebuild", "trivial", "--check")
        assert "note: it was built on" in across.err and told in across.err and here in across.err
        assert "the same bytes" in across.err
        facts = hive.ok("rebuild", "trivial", "--check", "--json").json()
        assert (facts["same"], facts["class"], facts["class_here"]) == (True, before or None, here)
        refused = hive("rebuild", "dice", "--check")
        assert refused.code == 8 and "why: " in refused.err and told in refused.err.partition("why: ")[2]


def test_rebuild_of_what_is_not_reproducible_names_the_tensor(hive: HiveCli) -> None:
    hive.ok("install", "dice")
    made = artifact(hive, "dice")
    refused = hive("rebuild", "dice", "--check")
    assert refused.code == 8 and "tensor thrown differs by up to" in refused.err
    assert artifact(hive, "dice") == made and hive.ok("history", "-q").out == "1\n"
    assert hive.ok("gc").err.startswith("freed "), "what was built to compare is on no record"
    assert hive("rebuild", "dice").code == 8
    assert artifact(hive, "dice") != made and hive.ok("history", "-q").out == "2\n1\n"


def test_a_model_that_is_built_again_goes_on_needing_what_it_needs(hive: HiveCli, tmp_path: Path) -> None:
    put(tmp_path / "source", "base", "1.0")
    put(tmp_path / "source", "top", "1.0", ["base>=1"])
    hive.environment["HIVE_SOURCES"] = str(tmp_path / "source")
    hive.ok("install", "top")
    needs = hive.service().details("top").artifact
    hive.ok("rebuild", "top")
    job = hive.job(3)
    assert needs is not None and job.work.depends == needs.depends == ("base>=1",)
    refused = hive("remove", "base")
    assert refused.code == 1 and "top needs it" in refused.err


@pytest.mark.parametrize("command", ["rebuild", "repair"])
def test_names_that_are_not_installed(hive: HiveCli, command: str) -> None:
    hive.ok("install", "trivial")
    refused = hive(command, "trival")
    assert refused.code == 1 and "did you mean trivial?" in refused.err
