"""`hive run` writes what was asked for, and nothing else of what a recipe leaves behind."""

from __future__ import annotations

from hive_cli import HiveCli


def test_only_the_output_leaves_the_run(hive: HiveCli) -> None:
    hive.ok("install", "litters")
    (hive.cwd / "in.txt").write_text("x\n")
    (hive.cwd / "neighbour.txt").write_text("mine\n")
    hive.ok("run", "litters", "in.txt", "-o", "out.txt")
    assert (hive.cwd / "out.txt").read_text() == "asked for\n"
    assert (hive.cwd / "neighbour.txt").read_text() == "mine\n"


def test_a_link_is_no_output(hive: HiveCli) -> None:
    hive.ok("install", "litters")
    (hive.cwd / "in.txt").write_text("x\n")
    refused = hive("run", "litters", "in.txt", "-o", "out.txt", "--link")
    assert refused.code != 0
    assert sorted(path.name for path in hive.cwd.iterdir()) == ["in.txt"]


def test_a_failure_speaks_of_inputs_as_the_user_does(hive: HiveCli) -> None:
    hive.ok("install", "litters")
    (hive.cwd / "folder").mkdir()
    (hive.cwd / "folder" / "in.txt").touch()
    refused = hive("run", "litters", "folder/in.txt", "-o", "out.txt")
    assert refused.code == 1
    assert "nothing in folder/in.txt" in refused.err and "write to folder/in.txt" in refused.err, refused.err
