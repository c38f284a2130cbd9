"""What a hostile run leaves in its folder is read as data or not at all: no link is followed, no pipe waited for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hive_cli import RECIPES, HiveCli

from hive.progress import EventTail, tail_log
from hive.publish import last_words, metrics_of, verdict
from hive.runners.base import Ending
from hive.store import BadOutput, Store

LEFT = ("result.json", "exit.json", "events.jsonl", "log.txt")


@pytest.fixture(params=["pipe", "link", "device", "folder"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A contract folder whose every file is something else."""
    made = tmp_path / "attempt"
    made.mkdir()
    secret = tmp_path / "secret"
    secret.write_text('{"status": "succeeded", "exit_code": 0}')
    for name in LEFT:
        if request.param == "pipe":
            os.mkfifo(made / name)
        elif request.param == "folder":
            (made / name).mkdir()
        else:
            (made / name).symlink_to(secret if request.param == "link" else "/dev/zero")
    return made


def test_nothing_is_read(folder: Path) -> None:
    assert Ending.read(folder) is None
    assert EventTail().read(folder) == []
    assert list(tail_log(folder, None, False, lambda: True)) == []
    assert metrics_of(folder) == []
    assert last_words(folder) == ""


def test_it_is_no_result(folder: Path) -> None:
    result, failure = verdict(folder, None)
    assert result is None
    assert failure is not None and failure.kind == "bad_output"


def test_an_output_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    home, out = tmp_path / "private", tmp_path / "out"
    home.mkdir()
    (home / "id_ed25519").write_text("secret")
    out.symlink_to(home)
    store = Store(tmp_path / "store", tmp_path / "staging")
    store.folder.mkdir()
    with pytest.raises(BadOutput):
        store.add({"": out}, {})
    assert list(store.folder.iterdir()) == []


def test_a_build_that_links_its_output_to_a_home_installs_nothing(hive: HiveCli, tmp_path: Path) -> None:
    recipe = tmp_path / "recipes" / "thief"
    recipe.mkdir(parents=True)
    text = (RECIPES / "trivial" / "recipe.toml").read_text().replace('"trivial"', '"thief"')
    (recipe / "recipe.toml").write_text(text)
    private = tmp_path / "private"
    private.mkdir()
    (private / "id_ed25519").write_text("secret")
    (recipe / "train.py").write_text(
        "import os, shutil\nfrom hive_runner.contract import Metric, RunResult\n"
        "def train(run):\n"
        "    work = os.path.dirname(run._spec.result)\n"
        "    shutil.rmtree(f'{work}/out')\n"
        f"    os.symlink('{private}', f'{{work}}/out')\n"
        "    from pathlib import Path\n"
        "    RunResult('succeeded', metrics=[Metric('quality', 1.0)]).write(Path(run._spec.result))\n"
        "    os._exit(0)\n"
    )
    result = hive("install", "thief", HIVE_SOURCES=str(recipe.parent))
    assert result.code == 3, result
    assert "is not a folder" in result.err
    assert not list(hive.paths.store.iterdir())
