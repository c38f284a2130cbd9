"""The content-addressed store: immutable artifact folders, named by the digest of their manifest.

An artifact comes in by copy, never by rename: a process that kept a descriptor open could still change a file it had
written. Hashed while copied, made durable, renamed into place; only then may the database name it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from hive_runner.frozen import frozen

from hive import locks
from hive.errors import HiveError, NoCapacity, RequestError
from hive.model import canonical_json

DIGEST = re.compile(r"sha256:[a-f0-9]{64}")
MANIFEST = "manifest.json"
CHUNK_BYTES = 1 << 20
MAX_ENTRIES = 10_000
SYNCS_AT_ONCE = 4

Document = Callable[[list[dict[str, Any]]], bytes]


class BadOutput(HiveError):
    """What a run left behind cannot become an artifact."""

    exit_code = 3


@frozen
class Damage:
    file: str
    reason: str  # "missing", "changed", "unexpected", ...


@frozen
class Stored:
    digest: str
    size_bytes: int


class Store:
    def __init__(self, folder: Path, staging: Path) -> None:
        self.folder = folder
        self.staging = staging

    def path(self, digest: str) -> Path:
        """Where an artifact lies. Raises RequestError for anything that is not a digest."""
        if not DIGEST.fullmatch(digest):
            raise RequestError(f"{digest!r} is not an artifact digest")
        return self.folder / digest.removeprefix("sha256:")

    def add(
        self, sources: dict[str, Path], facts: dict[str, Any], documents: Mapping[str, Document] | None = None
    ) -> Stored:
        """Copy folders in as one artifact. sources: prefix in the artifact ("" for its top) -> folder.

        `facts` go into the manifest and so into the digest. documents: what hive itself writes, in place of what a
        source holds there: path -> its content, given the entries of the files that were copied. Raises BadOutput for
        anything but plain files and folders, NoCapacity when the disk is full.
        """
        own = documents or {}
        with self.stage() as stage:
            files: list[dict[str, Any]] = []
            for prefix, source in sources.items():
                reserved = {MANIFEST, *sources} if not prefix else set()
                self._copy_folder(source, stage, prefix, files, reserved, own.keys())
            files.sort(key=lambda entry: entry["path"])
            files += [{"path": path, **_write(stage / path, write(files))} for path, write in own.items()]
            manifest = manifest_of(facts, files)
            digest = "sha256:" + hashlib.sha256(manifest).hexdigest()
            _write(stage / MANIFEST, manifest)
            size_bytes = len(manifest) + sum(entry["size_bytes"] for entry in files)
            self.keep(stage, digest)
        return Stored(digest, size_bytes)

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """A new folder to put an artifact together in. It is locked, so that nobody sweeps it, and gone at the end,
        whatever happens. Raises NoCapacity when the disk is full.
        """
        stage = self.staging / os.urandom(16).hex()
        held: int | None = None
        try:
            self.staging.mkdir(parents=True, exist_ok=True)
            with _locked(self.staging, fcntl.LOCK_SH):  # not swept before it is locked itself
                stage.mkdir()
                held = os.open(stage, os.O_RDONLY | os.O_CLOEXEC)
                fcntl.flock(held, fcntl.LOCK_EX)
            yield stage
        except OSError as error:
            _refuse_full_disk(error)
            raise
        finally:
            shutil.rmtree(stage, ignore_errors=True)
            if held is not None:
                os.close(held)

    def keep(self, stage: Path, digest: str) -> None:
        """Move what was staged to its place under `digest`, durably, unless it is there and whole."""
        target = self.path(digest)
        if target.exists() and self.verify(digest):
            self.quarantine(digest)
        if target.exists():
            return
        _make_durable(stage)
        try:
            os.rename(stage, target)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # the same artifact, stored meanwhile by another
                return
            raise
        fsync(self.folder)

    def put(self, digest: str, manifest: bytes, files: dict[str, Path]) -> None:
        """Copy files in as the artifact that `manifest` describes, in the place of one that is damaged.

        files: place in the artifact -> where it is copied from. Raises BadOutput for a file that is not as the manifest
        says, NoCapacity when the disk is full.
        """
        with self.stage() as stage:
            for entry in json.loads(manifest)["files"]:
                target = stage / entry["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                if _copy_file(files[entry["path"]], target, entry["path"])["sha256"] != entry["sha256"]:
                    raise BadOutput(f"{entry['path']} changed while it was copied")
            _write(stage / MANIFEST, manifest)
            self.keep(stage, digest)

    def _copy_folder(
        self,
        source: Path,
        stage: Path,
        prefix: str,
        files: list[dict[str, Any]],
        reserved: set[str],
        replaced: Set[str],
    ) -> None:
        if source.is_symlink() or not source.is_dir():  # a hostile run may link its output folder to another
            raise BadOutput(f"{source.name} is not a folder", "an artifact holds only plain files and folders")
        pending, entries = [(source, prefix)], 0
        while pending:
            folder, place = pending.pop()
            (stage / place).mkdir(parents=True, exist_ok=True)
            for entry in sorted(os.scandir(folder), key=lambda e: e.name):
                relative = f"{place}/{entry.name}" if place else entry.name
                entries += 1
                if entries > MAX_ENTRIES:
                    raise BadOutput("the result has too many files", f"more than {MAX_ENTRIES}")
                if relative in replaced:
                    continue
                if relative in reserved:
                    raise BadOutput(f"the result holds {relative}", "hive itself writes that part of an artifact")
                if entry.is_dir(follow_symlinks=False):
                    pending.append((Path(entry.path), relative))
                else:
                    files.append({"path": relative, **_copy_file(Path(entry.path), stage / relative, relative)})

    def manifest(self, digest: str) -> dict[str, Any]:
        """The manifest of a stored artifact. Raises RequestError if there is none."""
        try:
            document: dict[str, Any] = json.loads((self.path(digest) / MANIFEST).read_text())
        except (OSError, ValueError) as error:
            raise RequestError(f"artifact {digest} is not in the store", str(error), "see: hive verify") from error
        return document

    def digests(self) -> Iterator[str]:
        """Of all that lies in the store, damaged or not."""
        for entry in os.scandir(self.folder):
            if DIGEST.fullmatch(digest := f"sha256:{entry.name}"):
                yield digest

    def sound_manifest(self, digest: str) -> dict[str, Any] | None:
        """The manifest of a stored artifact if it is the one that the digest names, else None."""
        try:
            with _open_plain(self.path(digest) / MANIFEST) as file:
                raw = file.read()
        except OSError:
            return None
        if "sha256:" + hashlib.sha256(raw).hexdigest() != digest:
            return None
        document: dict[str, Any] = json.loads(raw)
        return document

    def has(self, digest: str) -> bool:
        return (self.path(digest) / MANIFEST).is_file()

    def verify(self, digest: str) -> list[Damage]:
        """Hash every file again; what differs from the manifest, and the manifest from its own name."""
        folder = self.path(digest)
        try:
            with _open_plain(folder / MANIFEST) as file:
                raw = file.read()
        except OSError as error:
            return [Damage(MANIFEST, _reason(error))]
        if "sha256:" + hashlib.sha256(raw).hexdigest() != digest:
            return [Damage(MANIFEST, "changed")]
        damaged: list[Damage] = []
        expected = {entry["path"]: entry for entry in json.loads(raw)["files"]}
        for path, entry in expected.items():
            try:
                if file_sha256(folder / path) != entry["sha256"]:
                    damaged.append(Damage(path, "changed"))
            except OSError as error:
                damaged.append(Damage(path, _reason(error)))
        for found in folder.rglob("*"):
            relative = found.relative_to(folder).as_posix()
            is_folder = found.is_dir() and not found.is_symlink()
            if not is_folder and relative != MANIFEST and relative not in expected:
                damaged.append(Damage(relative, "unexpected"))
        return damaged

    def quarantine(self, digest: str) -> None:
        """Take a damaged artifact out of its place, so that the same digest can be stored again."""
        target = self.staging / f"damaged-{os.urandom(16).hex()}"
        folder = self.path(digest)
        if folder.exists():
            folder.chmod(0o700)
            os.rename(folder, target)

    def sweep(self) -> None:
        """Remove what interrupted copies left in staging. What somebody holds is still being copied."""
        with _locked(self.staging, fcntl.LOCK_EX):
            for entry in os.scandir(self.staging):
                if re.fullmatch(r"[a-f0-9]{32}", entry.name) and not locks.is_held(Path(entry.path)):
                    shutil.rmtree(entry.path, ignore_errors=True)


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def manifest_of(facts: dict[str, Any], files: list[dict[str, Any]]) -> bytes:
    """The bytes whose digest names an artifact. files: path, sha256 and size_bytes of each."""
    ordered = sorted(files, key=lambda entry: str(entry["path"]))
    return canonical_json({**facts, "files": ordered, "format": 1}).encode()


def _refuse_full_disk(error: OSError) -> None:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise NoCapacity(
            "the disk is full: the artifact was not stored",
            str(error),
            "make room, then try again (a build: hive queue retry)",
        ) from error


def _open_plain(path: Path) -> BufferedReader:
    """Open a plain file for reading. Raises OSError for anything else, without following or waking it."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    file = open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # it was swapped in between
        file.close()
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return file


def plain_files(folder: Path) -> Iterator[Path]:
    """The plain files below a folder, in order. No link is followed, to a file or to a folder."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                yield path


def file_sha256(path: Path) -> str:
    """Raises OSError, also for anything but a plain file."""
    with _open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: OSError) -> str:
    return "missing" if isinstance(error, FileNotFoundError) else (error.strerror or str(error)).lower()


def _copy_file(source: Path, target: Path, name: str) -> dict[str, Any]:
    """Copy one plain file, hashing on the way. Raises BadOutput for links, devices, pipes and sockets."""
    try:
        reader = _open_plain(source)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ELOOP):
            raise BadOutput(f"{name} is not a plain file", "an artifact holds only plain files and folders") from error
        raise
    with reader, open(target, "wb") as writer:
        digest, size_bytes = _copy_and_hash(reader, writer)
        seal(writer)
    return {"sha256": digest, "size_bytes": size_bytes}


def _write(target: Path, content: bytes) -> dict[str, Any]:
    with open(target, "wb") as file:
        file.write(content)
        seal(file)
    return {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}


def _copy_and_hash(reader: BinaryIO, writer: BinaryIO) -> tuple[str, int]:
    total, size_bytes = hashlib.sha256(), 0
    while block := reader.read(CHUNK_BYTES):
        total.update(block)
        writer.write(block)
        size_bytes += len(block)
    return total.hexdigest(), size_bytes


def seal(file: BinaryIO) -> None:
    """It is complete: take write permission from it, and have the kernel begin to write it to the disk."""
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # it can be let go of only when it is written


def _make_durable(folder: Path) -> None:
    """fsync every file and folder below `folder`, some at a time: so the file system commits them together, not one by
    one. The files are being written already. Raises OSError.
    """
    from threading import Thread

    paths = [os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in ("", *names)]
    errors: list[BaseException] = []

    def work(mine: list[str]) -> None:
        try:
            for path in mine:
                fsync(path)
        except BaseException as error:  # raised below, where somebody hears of it
            errors.append(error)

    threads = [Thread(target=work, args=(paths[first::SYNCS_AT_ONCE],)) for first in range(1, SYNCS_AT_ONCE)]
    for thread in threads:
        thread.start()
    work(paths[::SYNCS_AT_ONCE])
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def fsync(path: str | Path) -> None:
    """Make a file, or the names in a folder, durable: a rename alone may not survive power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
