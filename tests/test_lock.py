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


def test_a_part_of_it_can_be_synced(hive: HiveCli) -> None:
    """With the built-in recipes, not the tests' own: that is what a checkout of this repository would install."""
    pytest.importorskip("obspy", reason="the phase picker reads with ObsPy")
    synced = hive.ok(
        "sync", "--locked", "--file", str(LOCK), "--profile", "smoke", "--runner", "process", "geophysics-seismic", "-q"
    )
    assert synced.out == "geophysics-seismic\n"
    [package] = hive.ok("list", "--json").json()
    assert (package["name"], package["profile"]) == ("geophysics-seismic", "smoke")
    assert hive.ok("verify").code == 0
