"""The store: what goes in comes out, by its digest, or not at all."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_disk import small_disk

from hive import store as store_module
from hive.errors import NoCapacity, RequestError
from hive.paths import Home
from hive.store import MANIFEST, BadOutput, Store

FACTS: dict[str, Any] = {"name": "model", "version": "1.0.0"}

# A tree: name -> content, or -> another tree. Names as a file system takes them.
NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)
TREES = st.recursive(
    st.dictionaries(NAMES, st.binary(max_size=300), min_size=1, max_size=4),
    lambda below: st.dictionaries(NAMES, below | st.binary(max_size=300), min_size=1, max_size=4),
    max_leaves=12,
)
Tree = dict[str, Any]


def plant(tree: Tree, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, content in tree.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            plant(content, folder / name)
    return folder


def read(folder: Path) -> Tree:
    return {p.name: p.read_bytes() if p.is_file() else read(p) for p in folder.iterdir() if p.name != MANIFEST}


def without_empty_folders(tree: Tree) -> Tree:
    return {n: c if isinstance(c, bytes) else without_empty_folders(c) for n, c in tree.items() if c != {}}


@pytest.fixture
def store(home: Home) -> Store:
    return Store(home.store, home.staging)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return plant({"weights": b"\x00" * 3000, "sub": {"config.json": b"{}"}}, tmp_path / "out")


# In and out


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=TREES)
def test_any_tree_comes_back_as_it_was(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    store = Store(folder / "store", folder / "staging")
    store.folder.mkdir()
    if MANIFEST in tree:
        return  # the next test
    stored = store.add({"": plant(tree, folder / "out")}, FACTS)
    assert without_empty_folders(read(store.path(stored.digest))) == without_empty_folders(tree)
    assert store.verify(stored.digest) == []
    again = store.add({"": folder / "out"}, FACTS)
    assert again == stored
    assert list(store.staging.iterdir()) == []


def test_a_file_called_like_the_manifest_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BadOutput, match=MANIFEST):
        store.add({"": plant({MANIFEST: b"mine", "weights": b"1"}, tmp_path / "out")}, FACTS)
    assert list(store.folder.iterdir()) == []


def test_sources_that_want_the_same_place_are_refused(store: Store, tmp_path: Path) -> None:
    out = plant({"recipe": {"train.py": b"not the recipe"}}, tmp_path / "out")
    recipe = plant({"train.py": b"the recipe"}, tmp_path / "recipe")
    with pytest.raises(BadOutput, match=r"recipe"):
        store.add({"": out, "recipe": recipe}, FACTS)
    assert list(store.folder.iterdir()) == []


def test_the_digest_depends_on_content_names_and_facts_only(store: Store, tmp_path: Path) -> None:
    trees: list[Tree] = [{"a": b"1", "b": b"2"}, {"b": b"2", "a": b"1"}, {"a": b"2", "b": b"1"}, {"a": b"1", "c": b"2"}]
    digests = [store.add({"": plant(tree, tmp_path / str(n))}, FACTS).digest for n, tree in enumerate(trees)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    assert store.add({"": tmp_path / "0"}, {**FACTS, "version": "2"}).digest != digests[0]


def test_files_and_their_size_are_on_the_manifest(store: Store, out: Path) -> None:
    stored = store.add({"": out}, FACTS)
    manifest = store.manifest(stored.digest)
    assert manifest["name"] == "model"
    assert [(f["path"], f["size_bytes"]) for f in manifest["files"]] == [("sub/config.json", 2), ("weights", 3000)]
    folder = store.path(stored.digest)
    assert stored.size_bytes == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_stored_files_are_copies_that_nobody_may_write(store: Store, out: Path) -> None:
    with open(out / "weights", "r+b") as kept_open:
        stored = store.add({"": out}, FACTS)
        kept_open.write(b"changed later")
    assert store.verify(stored.digest) == []
    for path in store.path(stored.digest).rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_a_hard_link_becomes_a_file_of_its_own(store: Store, out: Path) -> None:
    os.link(out / "weights", out.parent / "kept")
    stored = store.add({"": out}, FACTS)
    (out.parent / "kept").write_bytes(b"changed")
    assert store.verify(stored.digest) == []


def test_twenty_store_the_same_at_once(store: Store, out: Path) -> None:
    with ThreadPoolExecutor(20) as pool:
        digests = {made.digest for made in pool.map(lambda _: store.add({"": out}, FACTS), range(20))}
    assert len(digests) == 1
    assert store.verify(digests.pop()) == []
    assert [path for path in store.staging.iterdir() if not path.name.startswith("damaged")] == []


def test_no_digest_leads_out_of_the_store(store: Store) -> None:
    for name in (
        "../../etc",
        "sha256:../x",
        "",
        "sha256:" + "A" * 64,
        "sha256:" + "a" * 64 + "\n",
        "sha256:" + "a" * 63,
    ):
        with pytest.raises(RequestError):
            store.path(name)


# What may not come in


def link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def folder_link(path: Path) -> None:
    path.symlink_to("/etc")


def dangling(path: Path) -> None:
    path.symlink_to("/nowhere/at/all")


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's path is short
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


@pytest.mark.parametrize("make", [link, folder_link, dangling, os.mkfifo, unix_socket])
@pytest.mark.parametrize("place", ["evil", "sub/evil"])
def test_only_plain_files_and_folders(store: Store, out: Path, make: Any, place: str) -> None:
    make(out / place)
    with pytest.raises(BadOutput, match="evil"):
        store.add({"": out}, FACTS)
    assert list(store.folder.iterdir()) == []
    assert list(store.staging.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_devices_are_refused(store: Store, out: Path) -> None:
    try:
        os.mknod(out / "evil", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this container may not make devices")
    with pytest.raises(BadOutput, match="evil"):
        store.add({"": out}, FACTS)


def test_too_many_files(store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_ENTRIES", 1)
    with pytest.raises(BadOutput, match="too many"):
        store.add({"": out}, FACTS)


def test_too_many_folders(store: Store, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_ENTRIES", 20)
    for number in range(30):
        (out / str(number)).mkdir()
    with pytest.raises(BadOutput, match="too many"):
        store.add({"": out}, FACTS)


def test_a_file_that_nobody_may_read_is_an_error_of_the_output(store: Store, out: Path) -> None:
    (out / "weights").chmod(0)
    if os.geteuid() == 0:
        store.add({"": out}, FACTS)  # root reads it all the same
    else:
        with pytest.raises((BadOutput, PermissionError)):
            store.add({"": out}, FACTS)


# Damage


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)


def grow(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"x")


def replace_by_link(path: Path) -> None:
    """The same content, but elsewhere, where it may change."""
    elsewhere = path.parents[3] / "elsewhere"
    elsewhere.write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(elsewhere)


@pytest.mark.parametrize("harm", [flip, grow, replace_by_link, os.unlink])
@pytest.mark.parametrize("name", ["weights", "sub/config.json", MANIFEST])
def test_damage_is_found_and_mended_by_storing_again(store: Store, out: Path, harm: Any, name: str) -> None:
    stored = store.add({"": out}, FACTS)
    path = store.path(stored.digest) / name
    harm(path)
    assert [damage.file for damage in store.verify(stored.digest)] == [name]
    assert store.add({"": out}, FACTS) == stored
    assert store.verify(stored.digest) == []


def test_a_file_too_many_is_damage(store: Store, out: Path) -> None:
    stored = store.add({"": out}, FACTS)
    (store.path(stored.digest) / "sub" / "planted.py").write_text("import os")
    [damage] = store.verify(stored.digest)
    assert (damage.file, damage.reason) == ("sub/planted.py", "unexpected")


@pytest.mark.parametrize("target", ["/etc", "/nowhere/at/all"])
def test_a_link_too_many_is_damage(store: Store, out: Path, target: str) -> None:
    stored = store.add({"": out}, FACTS)
    (store.path(stored.digest) / "planted").symlink_to(target)
    assert [damage.file for damage in store.verify(stored.digest)] == ["planted"]


def test_a_missing_artifact_is_damage_and_has_no_manifest(store: Store) -> None:
    digest = "sha256:" + "a" * 64
    assert store.verify(digest)
    assert not store.has(digest)
    with pytest.raises(RequestError):
        store.manifest(digest)


# Interrupted, full


def test_sweep_removes_interrupted_copies_and_keeps_what_is_damaged(store: Store, out: Path) -> None:
    stored = store.add({"": out}, FACTS)
    plant({"half": b"x"}, store.staging / ("0123456789abcdef" * 2))
    store.quarantine(stored.digest)
    store.sweep()
    assert [path.name.startswith("damaged-") for path in store.staging.iterdir()] == [True]
    assert store.add({"": out}, FACTS) == stored


def test_a_folder_without_a_manifest_is_no_artifact(store: Store, out: Path) -> None:
    """A rename made durable before the files were: not from this code, but a store outlives its code."""
    stored = store.add({"": out}, FACTS)
    (store.path(stored.digest) / MANIFEST).unlink()
    assert not store.has(stored.digest)
    assert store.add({"": out}, FACTS) == stored
    assert store.has(stored.digest)


def test_all_of_an_artifact_is_durable_before_it_is_in_its_place(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its place after that."""
    right_fsync, right_rename, done = os.fsync, os.rename, list[str]()

    def fsync(descriptor: int) -> None:
        done.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        right_fsync(descriptor)

    def rename(source: Path, target: Path) -> None:
        there = {str(source), *map(str, source.rglob("*"))}
        assert len(there) > 10 and there == set(done)
        done.clear()
        right_rename(source, target)

    parts = plant({f"part{number}": b"x" for number in range(5)}, tmp_path / "parts")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    store.add({"": parts, "recipe": parts}, FACTS)
    assert done == [str(store.folder)]


@pytest.mark.parametrize("which", range(6))
def test_what_cannot_be_made_durable_is_not_stored(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    left = iter(range(100))

    def fsync(descriptor: int) -> None:
        if next(left) == which:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    parts = plant({f"part{number}": b"x" for number in range(5)}, tmp_path / "parts")
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output"):
        store.add({"": parts, "recipe": parts}, FACTS)
    assert list(store.folder.iterdir()) == list(store.staging.iterdir()) == []


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small") as folder:
        yield folder


def test_full_disk_is_said_and_leaves_nothing(full_disk: Path, tmp_path: Path) -> None:
    store = Store(full_disk / "store", full_disk / "staging")
    store.folder.mkdir()
    big = plant({"weights": b"x" * (2 << 20)}, tmp_path / "big")
    with pytest.raises(NoCapacity, match="disk is full"):
        store.add({"": big}, FACTS)
    assert list(store.folder.iterdir()) == list(store.staging.iterdir()) == []
    small = plant({"weights": b"x" * (400 << 10)}, tmp_path / "small-enough")
    assert store.verify(store.add({"": small}, FACTS).digest) == []
