"""Damaged artifacts made whole from copies of their files: in other artifacts, in recipes, in what lies in staging.

A copy counts if it has the digest that the manifest names, wherever it lies. A lost manifest is written anew from the
record and the files, and counts if it has the artifact's own digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hive.store import MANIFEST, Store, file_sha256, manifest_of, plain_files


def mend(store: Store, digest: str, facts: dict[str, Any], copies: Iterable[Path]) -> list[str]:
    """Put a whole artifact in the place of a damaged one, if every file is to be had; the files that are not.

    facts: what the manifest says besides its files. copies: folders that may hold copies of the files.
    Raises NoCapacity when the disk is full.
    """
    folder = store.path(digest)
    manifest = _manifest(folder, digest, facts)
    if manifest is None:
        return [MANIFEST]
    wanted = {entry["path"]: entry for entry in json.loads(manifest)["files"]}
    sizes = {entry["size_bytes"] for entry in wanted.values()}
    found: dict[str, Path] = {}
    for place in (folder, *copies):
        missing = {entry["sha256"] for entry in wanted.values()} - set(found)
        if not missing:
            break
        for path in plain_files(place):
            if path.lstat().st_size in sizes and (sha256 := _sha256(path)) in missing:
                found.setdefault(sha256, path)
    lacking = [path for path, entry in wanted.items() if entry["sha256"] not in found]
    if not lacking:
        store.put(digest, manifest, {path: found[entry["sha256"]] for path, entry in wanted.items()})
    return lacking


def _manifest(folder: Path, digest: str, facts: dict[str, Any]) -> bytes | None:
    """The bytes of the manifest: as they lie there, else as they must have been."""
    try:
        raw = (folder / MANIFEST).read_bytes()
    except OSError:
        raw = b""
    if _digest(raw) == digest:
        return raw
    files = [
        {"path": path.relative_to(folder).as_posix(), "sha256": _sha256(path), "size_bytes": path.lstat().st_size}
        for path in plain_files(folder)
        if path != folder / MANIFEST
    ]
    raw = manifest_of(facts, files)
    return raw if _digest(raw) == digest else None


def _digest(raw: bytes) -> str:
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def _sha256(path: Path) -> str:
    """ "" for a file that cannot be read: the disk may be what is damaged."""
    try:
        return file_sha256(path)
    except OSError:
        return ""
