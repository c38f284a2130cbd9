"""Damaged artifacts are made whole from copies, wherever they lie, or left as they are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from hive.mending import mend
from hive.paths import Home
from hive.store import MANIFEST, Store

FACTS: dict[str, Any] = {"name": "model", "version": "1.0.0"}


@pytest.fixture
def store(home: Home) -> Store:
    return Store(home.store, home.staging)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    (folder / "figures").mkdir(parents=True)
    (folder / "weights").write_bytes(bytes(range(256)) * 40)
    (folder / "figures" / "loss.png").write_bytes(b"png")
    (folder / "empty").write_bytes(b"")
    return folder


@pytest.fixture
def digest(store: Store, out: Path) -> str:
    return store.add({"": out}, FACTS).digest


def spoil(path: Path) -> None:
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("harm", ["flipped", "missing", "unexpected", "folder", "link"])
def test_harm_is_mended_from_a_copy(store: Store, out: Path, digest: str, harm: str) -> None:
    folder = store.path(digest)
    if harm == "flipped":
        spoil(folder / "weights")
    elif harm == "missing":
        (folder / "weights").unlink()
    elif harm == "unexpected":
        (folder / "stranger").write_bytes(b"who?")
    elif harm == "folder":
        shutil.rmtree(folder / "figures")
    else:
        (folder / "weights").unlink()
        (folder / "weights").symlink_to(out / "weights")
    assert store.verify(digest)
    assert mend(store, digest, FACTS, [out]) == []
    assert store.verify(digest) == []
    assert not (folder / "weights").is_symlink() and (folder / "weights").stat().st_mode & 0o777 == 0o444


def test_a_copy_under_another_name_will_do_and_a_false_one_will_not(store: Store, out: Path, digest: str) -> None:
    spoil(store.path(digest) / "weights")
    elsewhere = out.parent / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "weights").write_bytes(bytes(256 * 40))
    assert mend(store, digest, FACTS, [elsewhere]) == ["weights"]
    assert [damage.file for damage in store.verify(digest)] == ["weights"], "left as it was"
    shutil.copy(out / "weights", elsewhere / "deep" / "old-weights")
    assert mend(store, digest, FACTS, [elsewhere]) == []
    assert store.verify(digest) == []


@pytest.mark.parametrize("harm", ["flipped", "missing"])
def test_a_lost_manifest_is_written_anew(store: Store, digest: str, harm: str) -> None:
    manifest = store.path(digest) / MANIFEST
    before = manifest.read_bytes()
    spoil(manifest) if harm == "flipped" else manifest.unlink()
    assert mend(store, digest, FACTS, []) == []
    assert store.verify(digest) == [] and manifest.read_bytes() == before


def test_a_manifest_cannot_be_written_anew_for_other_files(store: Store, digest: str) -> None:
    (store.path(digest) / MANIFEST).unlink()
    spoil(store.path(digest) / "weights")
    assert mend(store, digest, FACTS, []) == [MANIFEST]


def test_an_artifact_that_is_gone_is_made_from_copies_as_far_as_its_manifest_is_known(
    store: Store, out: Path, digest: str
) -> None:
    copy = out.parent / "copy"
    shutil.copytree(store.path(digest), copy)
    shutil.rmtree(store.path(digest))
    assert mend(store, digest, FACTS, [out]) == [MANIFEST]
