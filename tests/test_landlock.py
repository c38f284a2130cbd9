"""Landlock by itself: what a process that put it on can still reach."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hive.runners.isolation import kernel, landlock

pytestmark = pytest.mark.skipif(
    landlock.abi() < landlock.ENOUGH, reason=f"Landlock {landlock.abi()} here, {landlock.ENOUGH} is needed"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("readable", "writable", "listed", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("text")
    return tmp_path


def behind(folder: Path, deed: Callable[[], object], network: bool = False) -> int:
    """Do something behind Landlock, in a process of its own: its error, 0 for none."""
    pid = os.fork()
    if pid == 0:
        try:
            kernel.refuse_new_privileges()
            readable = [folder / "readable", folder / "not-there"]
            landlock.restrict(readable, [folder / "writable"], [folder / "listed"], network)
            deed()
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 255)
        finally:
            os._exit(254)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_files(folder: Path) -> None:
    def allowed() -> None:
        (folder / "readable" / "file").read_text()
        (folder / "writable" / "new").write_text("new")
        (folder / "writable" / "below").mkdir()
        os.rename(folder / "writable" / "new", folder / "writable" / "below" / "new")
        os.listdir(folder / "listed")

    assert behind(folder, allowed) == 0
    for refused in (
        lambda: (folder / "other" / "file").read_text(),
        lambda: os.listdir(folder),
        lambda: (folder / "listed" / "file").read_text(),
        lambda: (folder / "readable" / "file").write_text(""),
        lambda: (folder / "readable" / "new").touch(),
        lambda: os.truncate(folder / "readable" / "file", 0),
        lambda: (folder / "other" / "file").unlink(),
    ):
        assert behind(folder, refused) == errno.EACCES
    assert (folder / "readable" / "file").read_text() == "text"


@pytest.mark.skipif(landlock.abi() < 4, reason="this kernel's Landlock knows no TCP")
def test_tcp(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def connect() -> None:
            socket.socket().connect(server.getsockname())

        assert behind(folder, connect) == errno.EACCES
        assert behind(folder, connect, network=True) == 0


@pytest.mark.skipif(landlock.abi() < 6, reason="this kernel's Landlock knows no signals")
def test_signals_stay_inside(folder: Path) -> None:
    assert behind(folder, lambda: os.kill(os.getppid(), 0)) == errno.EPERM
    assert behind(folder, lambda: os.kill(os.getpid(), signal.SIGCONT)) == 0
