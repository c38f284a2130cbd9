"""Data packages: files that recipes train on, fetched once, outside the sandbox, and shared by all that name them.

Each lies below HIVE_HOME/data, in a folder named by its digest, and is there under its own name only when it is whole.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from hive import locks
from hive.errors import NoCapacity, RequestError
from hive.model import Build, DataPackage, DataSource, Recipe

if TYPE_CHECKING:
    from http.client import HTTPResponse

Say = Callable[[str], None]
TIMEOUT_S = 30.0  # without a byte
CHUNK_BYTES = 1 << 20
TELL_S = 5.0
FRESH_S = 3600.0
LOCK = "lock"


def source(folder: Path, package: DataPackage) -> DataSource:
    """Where a package lies, or will. folder: that of all data packages."""
    return DataSource(str(folder / package.digest.removeprefix("sha256:") / package.file), package.digest)


def named(recipe: Recipe, names: Collection[str]) -> list[DataPackage]:
    """The recipe's data packages among these names."""
    return [package for package in recipe.data if package.name in names]


def sources(folder: Path, recipe: Recipe, names: Collection[str]) -> dict[str, DataSource]:
    """Where the recipe's data packages among these names lie, or will."""
    return {package.name: source(folder, package) for package in named(recipe, names)}


def is_there(folder: Path, package: DataPackage) -> bool:
    """Whether a package has been fetched, as far as its size tells."""
    try:
        return os.path.getsize(source(folder, package).path) == package.size_bytes
    except OSError:
        return False


def fetch(folder: Path, package: DataPackage, offline: bool, say: Say) -> None:
    """Make sure that a package is there, every byte of it. One process fetches, others wait for it.

    Raises RequestError when it cannot be had, NoCapacity without room for it.
    """
    path = Path(source(folder, package).path)

    def is_whole() -> bool:
        return is_there(folder, package) and _digest(path) == package.digest

    if is_whole():
        return
    if offline:
        raise RequestError(
            f"{package.name} ({package.file}) is not here, and hive is offline", f"it comes from {package.urls[0]}",
            "once with a network: unset HIVE_OFFLINE and install again",
        )  # fmt: skip
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locks.waited_for(path.parent / LOCK, lambda: say(f"another hive fetches {package.file}; waiting for it")):
            if not is_whole():
                _fetch(path, package, say)
    except OSError as error:
        raise NoCapacity(f"{package.file} cannot be kept", error.strerror or str(error), "make room") from error


def _fetch(path: Path, package: DataPackage, say: Say) -> None:
    """From the first address that gives the right bytes. Raises RequestError, and OSError of the disk."""
    free_bytes = os.statvfs(path.parent)
    if free_bytes.f_bavail * free_bytes.f_frsize < package.size_bytes:
        raise NoCapacity(f"no room for {package.file}", f"it takes {package.size_bytes / 2**20:,.0f} MiB", "make room")
    reasons = []
    for url in package.urls:
        say(f"fetching {package.file} ({package.size_bytes / 2**20:,.0f} MiB, {package.licence}) from {_host(url)}")
        part = path.with_name(f".{package.file}.part")
        why = _download(url, part, package, say)
        if not why:
            os.replace(part, path)
            return
        with suppress(FileNotFoundError):
            part.unlink()
        reasons.append(f"{_host(url)}: {why}")
        say(f"  {why}")
    raise RequestError(
        f"{package.name} ({package.file}) cannot be had", "; ".join(reasons), f"later, or put it at {path} yourself"
    )


def _download(url: str, target: Path, package: DataPackage, say: Say) -> str:
    """Why what lies at `url` is not the package; "" if it is, and now in `target`. Raises OSError of the disk."""
    import http.client
    import urllib.request

    total, size_bytes, told = hashlib.sha256(), 0, time.monotonic()
    try:
        reply: HTTPResponse = urllib.request.urlopen(url, timeout=TIMEOUT_S)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return _words(error)
    with reply, open(target, "wb") as file:
        while True:
            try:
                chunk = reply.read(CHUNK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                return _words(error)
            if not chunk:
                break
            size_bytes += len(chunk)
            if size_bytes > package.size_bytes:
                return f"it is longer than {package.size_bytes:,} bytes"
            file.write(chunk)
            total.update(chunk)
            if time.monotonic() - told > TELL_S:
                told = time.monotonic()
                say(f"  {size_bytes / 2**20:,.0f} of {package.size_bytes / 2**20:,.0f} MiB")
        file.flush()
        os.fsync(file.fileno())
    if size_bytes < package.size_bytes:
        return f"it ends after {size_bytes:,} of {package.size_bytes:,} bytes"
    return "" if f"sha256:{total.hexdigest()}" == package.digest else "it is another file: its sha256 differs"


def strays(folder: Path, builds: Callable[[], Iterable[Build]]) -> list[Path]:
    """The folders of packages that none of the builds was, or will be, trained on. builds: asked if there are any.

    What came within the last hour stays: its build may not be queued yet.
    """
    try:
        there = [Path(entry.path) for entry in os.scandir(folder) if time.time() - entry.stat().st_mtime > FRESH_S]
    except FileNotFoundError:
        return []
    if not there:
        return []
    needed = {source.digest.removeprefix("sha256:") for build in builds() for source in build.data.values()}
    return sorted(path for path in there if path.name not in needed and not locks.is_held(path / LOCK))


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _host(url: str) -> str:
    return url.split("/")[2]


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(getattr(reason, "strerror", None) or reason or type(error).__name__)
