"""A stored artifact is reused only while it still passes the gates, which may have risen since."""

from __future__ import annotations

import shutil
from pathlib import Path

from hive_cli import RECIPES, HiveCli


def test_a_risen_gate_refuses_what_was_built_before(hive: HiveCli, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(RECIPES / "trivial", source / "trivial")
    hive.environment["HIVE_SOURCES"] = str(source)
    hive.ok("install", "trivial")
    hive.ok("remove", "trivial")

    settings = source / "trivial" / "recipe.toml"
    settings.write_text(settings.read_text().replace("quality >= 0.5", "quality >= 2"))
    refused = hive("install", "trivial")
    assert refused.code == 5, refused
    assert "quality >= 2" in refused.err

    settings.write_text(settings.read_text().replace("quality >= 2", "quality >= 1"))
    assert "reused" in hive.ok("install", "trivial").err
