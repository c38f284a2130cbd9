"""An install on a disk that is too small: a clear error, nothing half done, and with more room it works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from crashing import Figure, check
from hive_cli import HiveCli
from small_disk import remount, small_disk

BALLAST = ("--param", "ballast_kib=6000")  # needs twice as much: where it was built, and in the store


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "1m") as folder:
        yield folder


@pytest.mark.parametrize("size", ["1m", "11m"])
def test_a_clear_error_and_then_it_works(hive: HiveCli, disk: Path, size: str, figure: Figure) -> None:
    """It is refused before it starts; or it starts, and there is no room in the store."""
    hive.home = disk / "hive"
    remount(disk, f"size={size}")
    refused = hive("install", "counter", *BALLAST)
    assert refused.code in (1, 3, 4), refused
    assert "error: " in refused.err and "Traceback" not in refused.err
    assert hive.service().packages() == []
    hive.ok("list")
    remount(disk, "size=64m")
    hive.ok("install", "counter", *BALLAST)
    check(hive)
    figure(f"install on a disk of {size.removesuffix('m')} MB", f"clear error ({refused.code}), retry works")
