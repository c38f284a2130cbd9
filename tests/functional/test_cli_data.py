"""Recipes that train on data packages: fetched before the build, outside the sandbox, or done without."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hive_cli import HiveCli

CONTENT = b"12 34 56\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()

RECIPE = """
[recipe]
name = "{name}"
version = "1.0.0"
summary = "adds numbers up"
licence = "MIT"
[depends]
packages = [{depends}]
[limits]
cpus = 1
disk = "10MiB"
[profiles.standard]
{data}
[profiles.without]
[profiles.smoke]
real = false
"""
DATA = """
[data.numbers]
file = "numbers.txt"
urls = ["{url}/numbers.txt"]
sha256 = "{digest}"
size = {size}
licence = "CC0-1.0"
help = "some numbers"
"""
TRAIN = """
def train(run):
    text = run.data["numbers"].read_text() if "numbers" in run.data else "0"
    (run.out / "weights").write_text(str(sum(map(int, text.split()))))
"""
TRAIN_UPON = """
def train(run):
    (run.out / "weights").write_text(run.profile + (run.deps["adds"] / "weights").read_text())
"""


@pytest.fixture
def served(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "numbers.txt").write_bytes(CONTENT)
    return folder


@pytest.fixture
def hive(hive: HiveCli, tmp_path: Path, served: Path) -> Iterator[HiveCli]:
    source = tmp_path / "source"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(served))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        asks = 'data = ["numbers"]\notherwise = "without"'
        data = DATA.format(url=f"http://127.0.0.1:{server.server_port}", digest=DIGEST, size=len(CONTENT))
        for name, depends, wants, train in (("adds", "", asks, TRAIN), ("upon", '"adds"', "", TRAIN_UPON)):
            (source / name).mkdir(parents=True)
            text = RECIPE.format(name=name, depends=depends, data=wants) + data * bool(wants)
            (source / name / "recipe.toml").write_text(text)
            (source / name / "train.py").write_text(train)
        hive.environment["HIVE_SOURCES"] = str(source)
        yield hive
        server.shutdown()


def weights(hive: HiveCli, name: str) -> str:
    folder = hive.service().details(name).folder
    assert folder is not None
    return (folder / "weights").read_text()


def test_it_is_fetched_and_given_to_the_run_and_looking_fetches_nothing(hive: HiveCli) -> None:
    looked = hive.ok("install", "--dry-run", "adds")
    assert "fetches numbers.txt first" in looked.err and not (hive.home / "data").exists()
    done = hive.ok("install", "adds")
    assert "fetching numbers.txt" in done.err and weights(hive, "adds") == "102"
    info = hive.ok("info", "adds").out
    assert "numbers.txt" in info and "CC0-1.0" in info and DIGEST[:12] in info
    assert "fetch" not in hive.ok("install", "--rebuild", "adds").err


def test_without_it_the_other_profile_is_built_and_what_needs_it_follows(hive: HiveCli, served: Path) -> None:
    (served / "numbers.txt").unlink()
    done = hive.ok("install", "upon")
    assert "cannot be had" in done.err and "profile without does without" in done.err, done.err
    assert {each.name: each.profile for each in hive.service().packages()} == {"adds": "without", "upon": "without"}
    assert weights(hive, "upon") == "without0"
    (served / "numbers.txt").write_bytes(CONTENT)
    hive.ok("install", "--rebuild", "adds", "upon")
    assert weights(hive, "upon") == "standard102", "once it can be had"


def test_a_profile_that_was_asked_for_is_not_exchanged(hive: HiveCli) -> None:
    refused = hive("install", "--offline", "--profile", "standard", "adds")
    assert refused.code == 1
    assert "hive is offline" in refused.err and "--profile without does without" in refused.err
    assert hive.ok("list", "-q").out == ""


def test_offline_it_serves_once_it_is_there(hive: HiveCli) -> None:
    assert "hive is offline" in hive.ok("install", "adds", HIVE_OFFLINE="1").err
    assert weights(hive, "adds") == "0"
    hive.ok("install", "--profile", "standard", "adds")
    hive.ok("install", "--rebuild", "adds", HIVE_OFFLINE="1")
    assert weights(hive, "adds") == "102"


def test_a_lock_names_it(hive: HiveCli) -> None:
    (hive.cwd / "hive.toml").write_text('[models]\nadds = "*"\n')
    hive.ok("lock")
    assert f'packages = {{ "numbers" = "sha256:{DIGEST}" }}' in (hive.cwd / "hive.lock").read_text()
    hive.ok("lock", "--check")


def test_a_rebuild_fetches_it_again(hive: HiveCli) -> None:
    hive.ok("install", "adds")
    (hive.home / "data" / DIGEST / "numbers.txt").unlink()
    again = hive.ok("rebuild", "adds", "--check")
    assert "fetching numbers.txt" in again.err


def test_gc_takes_it_when_nothing_was_trained_on_it(hive: HiveCli) -> None:
    hive.ok("install", "adds")
    folder = hive.home / "data" / DIGEST
    long_ago = time.time() - 86_400
    os.utime(folder, (long_ago, long_ago))
    assert hive.ok("gc", "--json").json()["data"] == [] and folder.is_dir()
    hive.ok("remove", "adds")
    looked = hive.ok("gc", "--older-than", "0", "--dry-run", "--json").json()
    assert looked["data"] == ["numbers.txt"] and folder.is_dir()
    assert "numbers.txt" in hive.ok("gc", "--older-than", "0").out and not folder.exists()
