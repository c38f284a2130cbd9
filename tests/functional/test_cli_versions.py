"""Versions side by side, what depends on what, and upgrades: through the real command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hive_cli import HiveCli
from shelf import put


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """base 1.0 and 1.1, and top 1.0 on base<2."""
    folder = tmp_path / "source"
    put(folder, "base", "1.0")
    put(folder, "base", "1.1")
    put(folder, "top", "1.0", ["base>=1,<2"])
    return folder


@pytest.fixture
def hive(hive: HiveCli, source: Path) -> HiveCli:
    hive.environment["HIVE_SOURCES"] = str(source)
    return hive


def active(hive: HiveCli) -> dict[str, str]:
    return {package["name"]: package["version"] for package in hive.ok("list", "--json").json()}


def weights(hive: HiveCli, request: str) -> str:
    return Path(hive.ok("info", "--json", request).json()["installed"]["path"], "weights").read_text()


def generations(hive: HiveCli) -> int:
    return len(hive.service().db.all("packages.generations"))


# side by side


def test_versions_stand_side_by_side_and_one_is_active(hive: HiveCli) -> None:
    hive.ok("install", "base@1.0")
    hive.ok("install", "base>=1.1,<2")
    assert active(hive) == {"base": "1.1"}
    (hive.cwd / "in.txt").write_text("")
    for request, told in (("base", "base 1.1"), ("base@1.0", "base 1.0"), ("base<1.1", "base 1.0")):
        hive.ok("run", request, "in.txt", "-o", "out.txt")
        assert (hive.cwd / "out.txt").read_text() == told
    assert weights(hive, "base@1.0") == "base 1.0" and weights(hive, "base") == "base 1.1"
    facts = hive.ok("info", "--json", "base").json()
    assert facts["versions"] == ["1.1", "1.0"] and [each["version"] for each in facts["inactive"]] == ["1.0"]
    assert "1.0 (not active)" in hive.ok("info", "base").out
    assert hive.ok("list", "--all", "-q").out.split() == ["base@1.1", "base@1.0"]
    hive.ok("verify", "base@1.0")


def test_each_version_says_of_itself_what_it_is(hive: HiveCli) -> None:
    hive.ok("install", "base@1.0")
    hive.ok("install", "base@1.1")
    for request, version in (("base", "1.1"), ("base@1.1", "1.1"), ("base@1.0", "1.0"), ("base<1.1", "1.0")):
        statement = hive.ok("info", request, "--provenance").json()
        assert statement["predicate"]["buildDefinition"]["externalParameters"]["version"] == version
        assert hive.ok("info", request, "--bom").json()["metadata"]["component"]["version"] == version
        facts = hive.ok("info", request, "--json").json()
        assert facts["name"] == "base" and facts["installed"]["version"] == version
        assert facts["installed"]["active"] is (version == "1.1")
        assert (
            Path(facts["installed"]["path"], "README.md").read_text().endswith(hive.ok("info", request, "--card").out)
        )
    assert "1.0 (in the store: 1.0)" in hive.ok("info", "base@1.0").out
    assert "1.1 (installed: 1.1)" in hive.ok("info", "base").out


def test_a_version_that_nothing_has_is_told(hive: HiveCli, source: Path) -> None:
    put(source, "base", "2.0")
    hive.ok("install", "base@1.0")
    for document in ("--provenance", "--bom"):
        for request in ("base@1.1", "base@9"):
            refused = hive("info", request, document)
            assert refused.code == 1 and "in the store are 1.0" in refused.err, refused
    assert hive.ok("info", "base@2.0", "--json").json()["installed"] is None
    for request in ("base@1.1.1.x", "base>=x", "base@"):
        refused = hive("info", request)
        assert refused.code == 1 and "is not" in refused.err, refused
    refused = hive("info", "bsae@1.0")
    assert refused.code == 1 and "did you mean base?" in refused.err


def test_a_version_in_the_store_alone_can_be_asked_about(hive: HiveCli, source: Path) -> None:
    hive.ok("install", "base@1.0")
    hive.ok("remove", "base")
    (source / "base").rename(source.parent / "gone")
    assert "in the store are 1.0" in hive("info", "base@9").err
    refused = hive("info", "base")
    assert refused.code == 1 and "hive info base@1.0" in refused.err
    told = hive.ok("info", "base@1.0").out
    assert "base 1.0" in told or "1.0 (in the store: 1.0)" in told
    assert hive.ok("info", "base@1.0", "--bom").json()["metadata"]["component"]["version"] == "1.0"


def test_a_version_that_is_not_active_is_repaired_by_what_verify_says(hive: HiveCli) -> None:
    hive.ok("install", "base@1.0")
    hive.ok("install", "base@1.1")

    def spoil(request: str, file: str) -> None:
        path = Path(hive.ok("info", request, "--json").json()["installed"]["path"], file)
        path.chmod(0o600)
        path.write_text("not it")
        damaged = hive("verify", request)
        assert damaged.code == 7 and f"try: hive repair {request}\n" in damaged.err

    spoil("base@1.0", "weights")
    refused = hive("repair", "base@1.0")
    assert refused.code == 7 and "hive install base@1.0 --rebuild" in refused.err
    assert active(hive) == {"base": "1.1"}
    hive.ok("install", "base@1.0", "--rebuild")
    hive.ok("verify", "base@1.0")
    assert active(hive) == {"base": "1.0"}
    spoil("base@1.1", "recipe/train.py")
    assert "base 1.1: restored from copies" in hive.ok("repair", "base@1.1").err
    hive.ok("verify", "base@1.1")
    assert active(hive) == {"base": "1.0"}


def test_versions_are_completed(hive: HiveCli) -> None:
    hive.ok("install", "base@1.0")

    def completed(words: str) -> list[str]:
        count = str(len(words.split()) - 1)
        told = hive.ok(_HIVE_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=count).out
        return [line.removeprefix("plain,") for line in told.split()]

    assert completed("hive info b") == ["base"]
    assert completed("hive info base@") == completed("hive install base@1") == ["base@1.1", "base@1.0"]
    for command in ("run", "verify", "export"):
        assert completed(f"hive {command} base@") == ["base@1.0"]
    assert completed("hive verify b") == ["base"] and completed("hive verify nothing@") == []


def test_a_version_is_loaded_by_name(hive: HiveCli, monkeypatch: pytest.MonkeyPatch) -> None:
    import hive as library

    hive.ok("install", "base@1.0")
    hive.ok("install", "base@1.1")
    monkeypatch.setenv("HIVE_HOME", str(hive.home))
    assert (library.load("base"), library.load("base@1.0")) == ("base 1.1", "base 1.0")


def test_what_is_installed_satisfies_a_plain_request_and_going_back_trains_nothing(hive: HiveCli) -> None:
    hive.ok("install", "base@1.0")
    assert "base 1.0 is already installed" in hive.ok("install", "base").err
    hive.ok("install", "base@1.1")
    assert "base 1.1 -> 1.0: built before" in hive.ok("install", "base@1.0").err
    assert active(hive) == {"base": "1.0"} and len(hive.service().jobs(10)) == 2


def test_a_version_that_is_not_there_is_told_with_those_that_are(hive: HiveCli) -> None:
    refused = hive("install", "base@3")
    assert refused.code == 1 and "has 1.1, 1.0" in refused.err
    hive.ok("install", "base@1.0")
    for command in (("run", "base@1.1", "x.txt"), ("verify", "base@1.1")):
        refused = hive(*command)
        assert refused.code == 1 and "in the store are 1.0" in refused.err and "hive install 'base@1.1'" in refused.err
    assert hive("info", "base@9").code == 1


def test_an_installed_version_outlives_its_recipe(hive: HiveCli, source: Path) -> None:
    hive.ok("install", "base@1.0")
    (source / "base" / "1.0").rename(source.parent / "gone")
    assert "already installed" in hive.ok("install", "base").err
    hive.ok("install", "top")
    assert weights(hive, "top") == "top 1.0 on base 1.0"


def test_pre_releases_only_when_asked_for(hive: HiveCli, source: Path) -> None:
    put(source, "base", "2.0rc1")
    hive.ok("install", "base")
    assert active(hive) == {"base": "1.1"} and hive.ok("outdated", "-q").out == ""
    assert hive.ok("outdated", "--pre", "-q").out == "base\n"
    hive.ok("install", "base@2.0rc1")
    assert active(hive) == {"base": "2.0rc1"}


# remove, autoremove


def test_remove_refuses_while_something_needs_it_unless_both_go(hive: HiveCli) -> None:
    hive.ok("install", "top")
    refused = hive("remove", "base")
    assert refused.code == 1 and "top needs it" in refused.err and "--cascade removes top too" in refused.err
    gone = hive.ok("remove", "--cascade", "--dry-run", "--json", "base").json()["removed"]
    assert [package["name"] for package in gone] == ["base", "top"] and active(hive) != {}
    hive.ok("remove", "--cascade", "base")
    assert active(hive) == {}


def test_what_nobody_needs_any_more_goes_and_what_was_asked_for_stays(hive: HiveCli) -> None:
    hive.ok("install", "top")
    assert hive.ok("autoremove").err == "nothing to remove\n"
    assert "no longer needed: base (hive autoremove)" in hive.ok("remove", "top").err
    assert hive.ok("autoremove", "--dry-run").err == "would remove base 1.1\n"
    hive.ok("autoremove")
    assert active(hive) == {}
    hive.ok("install", "top", "base")
    assert "no longer" not in hive.ok("remove", "top").err
    hive.ok("autoremove")
    assert active(hive) == {"base": "1.1"}


# upgrade, outdated, pin


def test_upgrade_of_one_leaves_the_others_alone(hive: HiveCli, source: Path) -> None:
    put(source, "alone", "1.0")
    hive.ok("install", "base@1.0", "alone")
    put(source, "alone", "2.0")
    assert hive.ok("outdated", "-q").out.split() == ["alone", "base"]
    told = hive.ok("outdated", "--json").json()
    assert [(each["name"], each["version"], each["newest"]) for each in told] == [
        ("alone", "1.0", "2.0"), ("base", "1.0", "1.1"),
    ]  # fmt: skip
    shown = hive.ok("upgrade", "--dry-run", "alone")
    assert "alone 1.0 -> 2.0: to be built" in shown.err and "base" not in shown.err
    assert active(hive) == {"alone": "1.0", "base": "1.0"}
    hive.ok("upgrade", "alone")
    assert active(hive) == {"alone": "2.0", "base": "1.0"}
    hive.ok("upgrade")
    assert active(hive) == {"alone": "2.0", "base": "1.1"}
    before = generations(hive)
    assert "nothing to upgrade" in hive.ok("upgrade").err and generations(hive) == before


def test_upgrade_moves_what_a_new_version_needs_and_says_why(hive: HiveCli, source: Path) -> None:
    hive.ok("install", "top")
    put(source, "base", "2.0")
    assert "base stays at 1.1, though there is 2.0: top 1.0 (installed) needs base >=1,<2" in hive.ok(
        "upgrade", "base").err.replace("the request is base ==2.0; ", "")  # fmt: skip
    put(source, "top", "2.0", ["base>=2"])
    told = hive.ok("upgrade", "top").err
    assert "base 1.1 -> 2.0" in told and "note: because top 2.0 needs base>=2" in told
    assert active(hive) == {"base": "2.0", "top": "2.0"}
    assert [package["automatic"] for package in hive.ok("list", "--json").json()] == [True, False]


def test_what_is_pinned_is_left_alone_and_named(hive: HiveCli, source: Path) -> None:
    hive.ok("install", "base@1.0")
    assert hive.ok("pin", "base").err == "pinned base at 1.0\n"
    assert "pinned" in hive.ok("list").out and hive.ok("pin").out == "base 1.0\n"
    told = hive.ok("upgrade", "--json").json()
    assert told["stays"] == [{"name": "base", "version": "1.0", "newest": "1.1", "why": "it is pinned"}]
    assert "hive unpin base" in hive.ok("upgrade", "base").err and active(hive) == {"base": "1.0"}
    refused = hive("install", "base@1.1")
    assert refused.code == 1 and "base is pinned at 1.0" in refused.err
    assert hive("pin", "nobody").code == 1
    hive.ok("unpin", "base")
    hive.ok("upgrade", "base")
    assert active(hive) == {"base": "1.1"}


def test_upgrade_builds_with_what_was_said_then(hive: HiveCli) -> None:
    hive.ok("install", "base@1.0", "--seed", "7", "--param", "size=4", "--profile", "smoke")
    hive.ok("upgrade")
    build: dict[str, Any] = hive.ok("info", "--json", "base").json()["installed"]["artifact"]["build"]
    assert (build["version"], build["seed"], build["params"], build["profile"]) == ("1.1", 7, {"size": 4}, "smoke")


def test_a_gate_that_is_missed_keeps_the_old_version_and_says_why(hive: HiveCli, source: Path) -> None:
    hive.ok("install", "base")
    put(source, "base", "1.2", gate=2.0)
    refused = hive("upgrade")
    assert refused.code == 5
    assert "base 1.2 was not installed" in refused.err and "base 1.1 stays active" in refused.err
    assert "quality >= 2: 1" in refused.err
    assert active(hive) == {"base": "1.1"}


def test_what_a_refused_version_needed_does_not_become_active_either(hive: HiveCli, source: Path) -> None:
    """top 2.0 needs base 2.0, which top 1.0 cannot live with: both, or neither."""
    hive.ok("install", "top")
    put(source, "base", "2.0")
    put(source, "top", "2.0", ["base>=2"], gate=2.0)
    refused = hive("upgrade", "top")
    assert refused.code == 5 and "base 2.0 is built and in the store; 1.1 stays active" in refused.err
    assert active(hive) == {"base": "1.1", "top": "1.0"}
    put(source, "top", "2.1", ["base>=2"])
    hive.ok("upgrade", "top")
    assert active(hive) == {"base": "2.0", "top": "2.1"}
    assert len([job for job in hive.service().jobs(10) if job.name == "base"]) == 2, "2.0 was not built again"


def test_two_that_need_the_same_new_base_change_together(hive: HiveCli, source: Path) -> None:
    put(source, "twin", "1.0", ["base<2"])
    hive.ok("install", "top", "twin")
    put(source, "base", "2.0")
    for name in ("top", "twin"):
        put(source, name, "2.0", ["base>=2"])
    assert hive.ok("upgrade", "--dry-run", "top").err.count("->") == 0, "twin keeps its say"
    hive.ok("upgrade")
    assert active(hive) == {"base": "2.0", "top": "2.0", "twin": "2.0"}


def test_needs_that_exclude_each_other_are_told(hive: HiveCli, source: Path) -> None:
    put(source, "base", "2.0")
    put(source, "modern", "1.0", ["base>=2"])
    hive.ok("install", "top")
    refused = hive("install", "modern")
    assert refused.code == 1 and "no version of base suits everybody" in refused.err
    assert "modern 1.0 needs base >=2" in refused.err and "top 1.0 (installed) needs base >=1,<2" in refused.err
    assert not [job for job in hive.service().jobs(10) if job.name == "modern"]
