"""What lies in a bundle, and how much of it is believed: nothing before it is proven.

A bundle is a tar (tarball.py) that holds an OCI image layout (modelpack.py). Each document is believed by its digest,
then each file by its artifact's manifest, then the recipe by what the build says of it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from hive_runner.contract import PICKLED
from hive_runner.frozen import frozen, replace

from hive import gates, manifest, modelpack, tarball
from hive.errors import DamageFound, GateRefused, RequestError
from hive.model import Artifact
from hive.modelpack import Blob, DocumentError, Image, Layer
from hive.recipe import NAME, VERSION, RecipeError, read_recipe, snapshot_files
from hive.runners.base import open_plain
from hive.store import MANIFEST, MAX_ENTRIES, seal
from hive.tarball import CutShort, TarError

Progress = Callable[[int, int], None]  # bytes done, bytes in all

CHUNK_BYTES = 1 << 20
MAX_MODELS = 1000
MAX_DOCUMENT_BYTES = 16 << 20
MAX_RECIPE_BYTES = 256 << 20  # a recipe is read into memory as a whole
MAX_RATIO = 10  # of what comes out to what came in: equal files are packed once
MAX_RECIPE_TOML_BYTES = 1 << 20
MAX_PATH_BYTES, MAX_NAME_BYTES, MAX_DEPTH = 1024, 255, 32
BLOB_NAME = re.compile(rf"{modelpack.BLOBS}[a-f0-9]{{64}}")
FOLDERS = frozenset(("blobs", "blobs/sha256"))


class BadBundle(RequestError):
    """The file is no bundle that hive takes."""


class DamagedBundle(DamageFound):
    """The file is a bundle, and not all there."""


class Meter:
    """Counts bytes, and tells somebody."""

    def __init__(self, total: int, on_progress: Progress) -> None:
        self.total = total
        self.done = 0
        self.on_progress = on_progress

    def add(self, count: int) -> None:
        self.done += count
        self.on_progress(self.done, self.total)


@frozen
class Packed:
    """A model in a bundle."""

    artifact: Artifact
    layers: tuple[Layer, ...]


@contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """A bundle with its documents proven, its files not yet. Raises BadBundle, DamagedBundle."""
    try:
        file = open_plain(path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise RequestError(f"there is no file {path}", hint="hive export NAME -o FILE makes one") from error
        raise RequestError(f"{path} cannot be read", error.strerror or str(error)) from error
    with file:
        try:
            yield Bundle(file, path.name)
        except CutShort as error:
            raise DamagedBundle(f"{path.name} is damaged", str(error), "copy it again") from error
        except (TarError, DocumentError) as error:
            raise BadBundle(f"{path.name} is no bundle that hive takes", str(error), "hive export makes one") from error


class Bundle:
    """An opened bundle: what it says it holds, and what it holds."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file = file
        self.name = name
        self.size_bytes = os.fstat(file.fileno()).st_size
        self.members = tarball.members(
            file,
            lambda each: each in (modelpack.LAYOUT_FILE, modelpack.INDEX_FILE) or bool(BLOB_NAME.fullmatch(each)),
            FOLDERS,
            MAX_MODELS + MAX_ENTRIES * 4,
        )
        modelpack.read_layout(self._named(modelpack.LAYOUT_FILE))
        self.named = {modelpack.LAYOUT_FILE, modelpack.INDEX_FILE}  # what something in the bundle refers to
        images = modelpack.read_index(self._named(modelpack.INDEX_FILE))
        if len(images) > MAX_MODELS:
            raise DocumentError(f"it holds more than {MAX_MODELS} models")
        self.models = _in_order([self._packed(modelpack.read_image(self._document(image))) for image in images])
        if stray := self.members.keys() - self.named:
            raise DocumentError(f"{min(stray)} belongs to no model")
        self.total_bytes = sum(packed.artifact.size_bytes for packed in self.models)
        self.depends: dict[str, tuple[str, ...]] = {}  # what the recipe of each artifact needs, once that is proven
        if self.total_bytes > MAX_RATIO * self.size_bytes:
            raise DocumentError(f"{self.size_bytes:,} bytes claim to be {self.total_bytes:,}")

    def unpack(self, packed: Packed, stage: Path, meter: Meter, only: str = "") -> None:
        """Write the files of a model to `stage`, each proven by its digest, and prove its recipe. only: a prefix of
        what is written; the rest is proven alone. Raises BadBundle, DamagedBundle, GateRefused.
        """
        for layer in packed.layers:
            if not layer.path.startswith(only):
                with open(os.devnull, "wb") as nowhere:
                    self._copy_blob(layer.blob, nowhere, meter)
                continue
            target = stage / layer.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "xb") as file:
                self._copy_blob(layer.blob, file, meter)
                seal(file)
        self.depends[packed.artifact.digest] = _check_recipe(packed, stage / "recipe")

    def _copy_blob(self, blob: Blob, target: BinaryIO, meter: Meter) -> None:
        self.file.seek(self.members[blob.name].offset)
        if copy(self.file, blob.size_bytes, target, meter) != blob.digest.removeprefix("sha256:"):
            raise self._damaged(blob)

    def _packed(self, image: Image) -> Packed:
        """A model, by its own manifest, which must say the same as the image."""
        check_layers(image.layers)
        for layer in image.layers:
            self._check_there(layer.blob)
        blobs = {layer.path: layer.blob for layer in image.layers}
        for needed in (MANIFEST, manifest.METRICS, "recipe/recipe.toml"):
            if needed not in blobs:
                raise DocumentError(f"a model has no {needed}")
        size_bytes = sum(blob.size_bytes for blob in blobs.values())
        facts = modelpack.read_json(self._document(blobs[MANIFEST]), "an artifact's manifest")
        metrics = modelpack.read_json(self._document(blobs[manifest.METRICS]), manifest.METRICS)
        if not isinstance(facts, dict):
            raise DocumentError("an artifact's manifest is not a JSON object")
        try:
            artifact = manifest.artifact(blobs[MANIFEST].digest, size_bytes, facts, metrics, time.time())
        except ValueError as error:
            raise DocumentError(f"a model is not described as hive does it: {error}") from error
        _check_names(artifact)
        if _listed(facts) != {path: blob for path, blob in blobs.items() if path != MANIFEST}:
            raise DocumentError(f"the artifact of {artifact.name} does not list the files of its image")
        raw = self._document(image.config)
        modelpack.check_config(raw, artifact.name, artifact.version, image.layers)
        return Packed(replace(artifact, determinism=image.determinism), image.layers)

    def _check_there(self, blob: Blob) -> None:
        member = self.members.get(blob.name)
        if member is None:
            raise DamagedBundle(f"{self.name} is damaged", f"{blob.digest} is not in it", "copy it again")
        if member.size_bytes != blob.size_bytes:
            why = f"{blob.digest} has {member.size_bytes:,} bytes instead of {blob.size_bytes:,}"
            raise DamagedBundle(f"{self.name} is damaged", why, "copy it again")
        self.named.add(blob.name)

    def _document(self, blob: Blob) -> bytes:
        """A blob as a whole, proven."""
        self._check_there(blob)
        raw = self._named(blob.name)
        if "sha256:" + hashlib.sha256(raw).hexdigest() != blob.digest:
            raise self._damaged(blob)
        return raw

    def _named(self, name: str) -> bytes:
        member = self.members.get(name)
        if member is None:
            raise DocumentError(f"it has no {name}")
        if member.size_bytes > MAX_DOCUMENT_BYTES:
            raise DocumentError(f"{name} should be a document, and has {member.size_bytes:,} bytes")
        self.file.seek(member.offset)
        return self.file.read(member.size_bytes)

    def _damaged(self, blob: Blob) -> DamagedBundle:
        return DamagedBundle(f"{self.name} is damaged", f"a blob is not {blob.digest}", "copy it again")


def copy(reader: BinaryIO, size_bytes: int, writer: BinaryIO, meter: Meter) -> str:
    """Copy exactly so many bytes; their sha256 in hexadecimal. Raises CutShort."""
    total, left = hashlib.sha256(), size_bytes
    while left:
        block = reader.read(min(left, CHUNK_BYTES))
        if not block:
            raise CutShort("it is shorter than it was")
        total.update(block)
        writer.write(block)
        left -= len(block)
        meter.add(len(block))
    return total.hexdigest()


def _in_order(models: list[Packed]) -> tuple[Packed, ...]:
    """What is needed first, first. Raises DocumentError for a circle, or two builds under one name."""
    by_name = {packed.artifact.name: packed for packed in models}
    by_key = {packed.artifact.build_key: packed for packed in models}
    if len(by_name) != len(models) or len(by_key) != len(models):
        names = sorted(packed.artifact.name for packed in models)
        twice = next((name for name, other in pairwise(names) if name == other), names[0])
        raise DocumentError(f"it holds two builds of {twice}, and one name has one")
    found: dict[str, Packed] = {}
    pending = [(packed, False) for packed in reversed(models)]
    open_keys: set[str] = set()
    while pending:
        packed, ready = pending.pop()
        key = packed.artifact.build_key
        if ready:
            found[key] = packed
        elif key not in open_keys:
            open_keys.add(key)
            pending.append((packed, True))
            needed = packed.artifact.build.dependencies.values()
            pending += [(by_key[each], False) for each in sorted(needed) if each in by_key]
    return tuple(found.values())


def _listed(facts: dict[str, Any]) -> dict[str, Blob]:
    """The files on an artifact's manifest."""
    try:
        return {each["path"]: Blob(f"sha256:{each['sha256']}", each["size_bytes"]) for each in facts["files"]}
    except (KeyError, TypeError) as error:
        raise DocumentError("an artifact's manifest lists no files") from error


def _check_names(artifact: Artifact) -> None:
    """Names become folders and words on a terminal, digests become names."""
    build = artifact.build
    for name in (artifact.name, *build.dependencies):
        if not NAME.fullmatch(name):
            raise DocumentError(f"{name!r} is not a name of a model")
    if not VERSION.fullmatch(artifact.version):
        raise DocumentError(f"{artifact.version!r} is not a version")
    pinned = [build.recipe_digest, build.environment, *build.dependencies.values()]
    for digest in (*pinned, *(source.digest for source in build.data.values())):
        if not modelpack.DIGEST.fullmatch(digest):
            raise DocumentError(f"{digest!r} is not a digest")


def check_layers(layers: Iterable[Layer]) -> None:
    """Raises DocumentError for files that could not lie in one folder on every machine, or should lie in none."""
    known: dict[str, str] = {}  # as a file system without case would have it -> as it is
    recipe_bytes = 0
    for number, layer in enumerate(layers, 1):
        path = layer.path
        if number > MAX_ENTRIES:
            raise DocumentError(f"a model has more than {MAX_ENTRIES:,} files")
        if why := _objection(path):
            raise DocumentError(f"{path[:100]!r} {why}")
        folded = unicodedata.normalize("NFC", path.casefold())
        if folded in known:
            raise DocumentError(f"{path!r} and {known[folded]!r} are one file where case does not count")
        known[folded] = path
        if path.startswith("recipe/"):
            recipe_bytes += layer.blob.size_bytes
        if path == "recipe/recipe.toml" and layer.blob.size_bytes > MAX_RECIPE_TOML_BYTES:
            raise DocumentError(f"a recipe.toml has {layer.blob.size_bytes:,} bytes")
    for path in known:
        for parent in PurePosixPath(path).parents:
            if str(parent) in known:
                raise DocumentError(f"{known[str(parent)]!r} is a file and a folder")
    if recipe_bytes > MAX_RECIPE_BYTES:
        raise DocumentError(f"a recipe has {recipe_bytes:,} bytes")


def _objection(path: str) -> str:
    """Why a path may not be that of a file in an artifact, "" if it may."""
    parts = path.split("/")
    if not path or path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        return "leads out of its folder"
    if "\\" in path or not path.isprintable():
        return "holds a character that no file of an artifact has"
    if (
        len(path.encode()) > MAX_PATH_BYTES
        or len(parts) > MAX_DEPTH
        or any(len(part.encode()) > MAX_NAME_BYTES for part in parts)
    ):
        return "is too long"
    if path.lower().endswith(PICKLED):
        return "is a pickle, which runs code when it is opened"
    return ""


def _check_recipe(packed: Packed, folder: Path) -> tuple[str, ...]:
    """The recipe must be the one that the build names: by that a model's code is known to be a built-in recipe's.

    What it needs. Raises DocumentError, GateRefused.
    """
    artifact, build = packed.artifact, packed.artifact.build
    try:
        recipe = read_recipe(folder, "bundle")
    except (RecipeError, RecursionError) as error:
        raise DocumentError(f"the recipe in {artifact.name} cannot be read ({getattr(error, 'why', error)})") from error
    if (recipe.name, recipe.version, recipe.digest) != (artifact.name, artifact.version, build.recipe_digest):
        raise DocumentError(f"the recipe in {artifact.name} is not the one that it was built from")
    there = {path for path in folder.rglob("*") if path.is_file()}
    if stray := there - set(snapshot_files(folder)):
        raise DocumentError(f"{min(stray).relative_to(folder)} does not belong to the recipe of {artifact.name}")
    profile = recipe.profiles.get(build.profile)
    if profile is None or profile.real != artifact.real:
        raise DocumentError(f"{artifact.name} has no profile {build.profile!r} of its kind")
    if missed := [result for result in gates.judge(profile.gates, artifact.metrics) if not result.passed]:
        raise GateRefused(f"{artifact.name} misses its quality gates", "; ".join(map(str, missed)))
    return recipe.depends
