"""A user's data, pinned by content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hive.data import pin
from hive.errors import RequestError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    (made / "sub").mkdir(parents=True)
    (made / "a.las").write_bytes(b"1")
    (made / "sub" / "b.las").write_bytes(b"2")
    return made


def test_the_pin_holds_names_and_contents_wherever_they_lie(folder: Path) -> None:
    before = pin(str(folder))
    assert before.path == str(folder)
    moved = folder.rename(folder.with_name("elsewhere"))
    assert pin(str(moved)).digest == before.digest
    (moved / "a.las").rename(moved / "c.las")
    renamed = pin(str(moved)).digest
    (moved / "c.las").write_bytes(b"3")
    assert len({before.digest, renamed, pin(str(moved)).digest}) == 3


def test_one_file_is_data_too(folder: Path) -> None:
    assert pin(str(folder / "a.las")).digest != pin(str(folder / "sub" / "b.las")).digest


def test_a_path_is_made_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert pin("data").path == str(folder)


def test_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="there is no"):
        pin(str(tmp_path / "nowhere"))
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    with pytest.raises(RequestError, match="is empty"):
        pin(str(tmp_path / "empty"))


def test_a_pipe_among_the_data_does_not_hang(folder: Path) -> None:
    before = pin(str(folder)).digest
    os.mkfifo(folder / "pipe")
    assert pin(str(folder)).digest == before
    with pytest.raises(RequestError):
        pin(str(folder / "pipe"))
