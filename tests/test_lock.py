"""The repository's own hive.lock."""

from __future__ import annotations

from pathlib import Path

import pytest
from hive_cli import REPOSITORY, HiveCli

LOCK = REPOSITORY / "hive.lock"


@pytest.mark.skipif(not LOCK.exists(), reason="hive.lock has not been written yet")
def test_lock_of_the_repository_is_what_hive_lock_writes(hive: HiveCli, tmp_path: Path) -> None:
    hive.ok("lock", "--check", "--file", str(LOCK))
    hive.ok("lock", "--file", str(tmp_path / "hive.lock"))
    assert (tmp_path / "hive.lock").read_text() == LOCK.read_text()
