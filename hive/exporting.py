"""`hive export`: a model with what it depends on in one file (bundle.py), for a machine without a network.

Equal artifacts of one class of machines make equal files.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hive_runner.frozen import frozen

from hive import installed, modelpack, tarball
from hive.bundle import Meter, Progress, check_layers, copy
from hive.db import Database
from hive.errors import DamageFound, NoCapacity, RequestError
from hive.model import Artifact
from hive.modelpack import Blob, DocumentError, Layer
from hive.recipe import read_recipe
from hive.runners.base import open_plain
from hive.store import MANIFEST, Store
from hive.tarball import CutShort


@frozen
class File:
    """A file of an artifact in the store."""

    path: Path
    size_bytes: int  # as its manifest has it

    def open(self) -> BinaryIO:
        try:
            return open_plain(self.path)
        except OSError as error:
            raise self.damage() from error

    def damage(self) -> DamageFound:
        return DamageFound(
            f"{self.path.name} was not exported", f"{self.path} is not what was installed", "hive verify"
        )


def with_dependencies(db: Database, store: Store, artifact: Artifact) -> list[Artifact]:
    """The artifact and all that it was built on, what is needed first. Raises RequestError if one is gone."""
    found: dict[str, Artifact] = {}

    def visit(each: Artifact) -> None:
        for name, key in sorted(each.build.dependencies.items()):
            needed = installed.artifact_by_key(db, key)
            if needed is None or not store.has(needed.digest):
                raise RequestError(
                    f"{artifact.name} cannot be exported", f"{each.name} was built on {name}, which is gone",
                    f"hive install --rebuild {artifact.name}",
                )  # fmt: skip
            visit(needed)
        found.setdefault(each.digest, each)

    visit(artifact)
    return list(found.values())


def write(store: Store, artifacts: Iterable[Artifact], target: Path, on_progress: Progress) -> int:
    """Write a bundle of `artifacts`; its size in bytes. The file appears when it is whole.

    Raises RequestError, DamageFound for an artifact that is not what it was, NoCapacity.
    """
    contents: dict[str, bytes | File] = {}
    images: list[tuple[str, Blob]] = []
    for artifact in artifacts:
        images.append((f"{artifact.name}:{artifact.version}", _pack(store, artifact, contents)))
    contents[modelpack.INDEX_FILE] = modelpack.index_of(images)
    contents[modelpack.LAYOUT_FILE] = modelpack.LAYOUT
    first = (modelpack.LAYOUT_FILE, modelpack.INDEX_FILE)
    names = [*first, *sorted(contents.keys() - set(first))]
    meter = Meter(sum(map(_size, contents.values())), on_progress)
    try:
        with _new_file(target) as file:
            for name in names:
                content = contents[name]
                file.write(tarball.header(name, _size(content)))
                if isinstance(content, bytes):
                    file.write(content)
                    meter.add(len(content))
                else:
                    _put_file(content, name, file, meter)
                file.write(tarball.padding(_size(content)))
            file.write(tarball.END)
            return file.tell()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoCapacity(
                f"there is no room for {target}", f"it takes {meter.total:,} bytes", "-o on another disk"
            ) from error
        raise RequestError(f"cannot write {target}", error.strerror or str(error), "-o another file") from error


def _put_file(source: File, name: str, target: BinaryIO, meter: Meter) -> None:
    """Copy a file of an artifact. Raises DamageFound unless it is the blob called `name`."""
    try:
        with source.open() as reader:
            if modelpack.BLOBS + copy(reader, source.size_bytes, target, meter) == name and not reader.read(1):
                return
    except CutShort:
        pass
    raise source.damage()


def _pack(store: Store, artifact: Artifact, contents: dict[str, bytes | File]) -> Blob:
    """Add what makes an artifact an image to `contents`; the blob of its image manifest."""
    folder = store.path(artifact.digest)
    facts = store.manifest(artifact.digest)
    listed = Blob(artifact.digest, (folder / MANIFEST).stat().st_size)
    layers = [Layer(MANIFEST, listed)]
    layers += [Layer(each["path"], Blob(f"sha256:{each['sha256']}", each["size_bytes"])) for each in facts["files"]]
    try:
        check_layers(layers)
    except DocumentError as error:
        raise RequestError(f"{artifact.name} cannot be exported", str(error)) from error
    for layer in layers:
        contents[layer.blob.name] = File(folder / layer.path, layer.blob.size_bytes)
    recipe = read_recipe(folder / "recipe", "installed")
    weights = folder / "weights.safetensors"
    config = _document(modelpack.config_of(artifact.name, artifact.version, recipe, layers, weights), contents)
    return _document(modelpack.image_of(config, layers, artifact.determinism), contents)


def _document(raw: bytes, contents: dict[str, bytes | File]) -> Blob:
    blob = Blob("sha256:" + hashlib.sha256(raw).hexdigest(), len(raw))
    contents[blob.name] = raw
    return blob


def _size(content: bytes | File) -> int:
    return len(content) if isinstance(content, bytes) else content.size_bytes


@contextmanager
def _new_file(target: Path) -> Iterator[BinaryIO]:
    """A file that takes its name when all of it is on the disk."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    os.umask(mask := os.umask(0o077))
    return mask
