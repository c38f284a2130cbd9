"""Mounts that show root's files as another user's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hive.runners.isolation import idmap, kernel

UID = 65532


@pytest.fixture
def namespace(tmp_path: Path) -> int:
    if os.geteuid():
        pytest.skip("only root may make them")
    try:
        found = idmap.user_namespace(UID)
        idmap.check(tmp_path, found)
    except OSError as error:
        pytest.skip(str(error))
    return found


def as_other_user(paths: list[Path], namespace: int, deed: str) -> int:
    """Run a shell script as that user, the paths at their places; its exit code."""
    pid = os.fork()
    if pid == 0:
        try:
            idmap.stage(paths, namespace)
            kernel.become(UID)
            os.execv("/bin/sh", ["sh", "-c", deed])
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_other_user_owns_what_root_owns_there_and_nowhere_else(tmp_path: Path, namespace: int) -> None:
    tmp_path.chmod(0o700)
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir(0o700)
    file.write_text("secret")
    file.chmod(0o600)
    folder_there, file_there = idmap.staged(0), idmap.staged(1)
    script = f"""
        [ $(id -u) = {UID} ] && [ "$(cat {file_there})" = secret ] && echo text > {folder_there}/made &&
        ! cat {file} && ! touch /usr/made && ! ls {idmap.STAGE}
    """
    assert as_other_user([folder, file], namespace, script) == 0
    made = folder / "made"
    assert made.read_text() == "text\n" and made.stat().st_uid == made.stat().st_gid == 0
    assert (file.stat().st_uid, file.stat().st_mode & 0o777) == (0, 0o600)


def test_the_stage_is_seen_by_nobody_else(tmp_path: Path, namespace: int) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    assert as_other_user([tmp_path], namespace, "true") == 0
    assert Path("/proc/self/mountinfo").read_text() == before


def test_a_file_system_that_has_none_says_so(namespace: int) -> None:
    with pytest.raises(OSError, match="no idmapped mount"):
        idmap.check(Path("/proc"), namespace)


def test_the_namespace_is_made_once(namespace: int) -> None:
    assert idmap.user_namespace(UID) == namespace
    assert not os.get_inheritable(namespace)


def test_making_it_is_no_matter_of_luck(namespace: int) -> None:
    for _ in range(50):
        os.close(idmap.user_namespace.__wrapped__(UID))
