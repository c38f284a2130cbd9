"""`hive export` and `hive import`: models with what they depend on in one file, for a machine without a network.

A bundle is a tar (tarball.py) that holds an OCI image layout (modelpack.py). Equal artifacts of one class of machines
make equal bundles. What comes in is believed in nothing: each document by its digest, then each file by its artifact's
manifest, then the recipe by what the build says of it; all of it in staging, and only then one rename an artifact and
one transaction.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from hive_runner.contract import PICKLED
from hive_runner.frozen import frozen, replace

from hive import gates, installed, manifest, modelpack, tarball
from hive.db import Database
from hive.errors import DamageFound, GateRefused, NoCapacity, RequestError, StoreError
from hive.model import Artifact, Package
from hive.modelpack import Blob, DocumentError, Image, Layer
from hive.recipe import NAME, VERSION, RecipeError, read_recipe, snapshot_files
from hive.runners.base import open_plain
from hive.store import MANIFEST, MAX_ENTRIES, Store, seal
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


@frozen
class Packed:
    """A model in a bundle."""

    artifact: Artifact
    layers: tuple[Layer, ...]


@frozen
class Arrival:
    """What becomes, or would become, of a model in a bundle."""

    action: str  # "install" | "replace": another build is installed | "keep": installed already | "store": kept beside
    artifact: Artifact
    automatic: bool  # there because another model of the bundle needs it
    before: Package | None  # what is installed under the name
    why: str = ""  # a model that was asked for is only stored: who would have needs that nothing meets


# -- out


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
            if modelpack.BLOBS + _copy(reader, source.size_bytes, target, meter) == name and not reader.read(1):
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
        _check_layers(layers)
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


# -- in


def receive(db: Database, store: Store, path: Path, on_progress: Progress, free_bytes: int) -> list[Arrival]:
    """Prove a bundle, store its artifacts and install them in one generation.

    Raises BadBundle, DamagedBundle, GateRefused, NoCapacity, StoreError; then nothing has changed.
    """
    try:
        with opened(path) as bundle, ExitStack() as stages:
            if bundle.total_bytes > free_bytes:
                raise NoCapacity(
                    f"there is no room for {path.name}", f"it takes {bundle.total_bytes:,} bytes of {free_bytes:,}",
                    "make room, or set HIVE_HOME to a folder on another disk",
                )  # fmt: skip
            check_complete(db, store, bundle)  # what cannot be installed need not be copied
            store.sweep()  # of what killed imports have left
            staged, meter = [], Meter(bundle.total_bytes, on_progress)
            for packed in bundle.models:
                stage = stages.enter_context(store.stage())
                bundle.unpack(packed, stage, meter)
                staged.append((stage, packed.artifact))
            for stage, artifact in staged:
                store.keep(stage, artifact.digest)
            return record(db, store, bundle)
    except OSError as error:
        raise StoreError(
            f"{path.name} was not imported", f"{error.filename or path}: {error.strerror or error}",
            "check permissions and disks",
        ) from error  # fmt: skip


def inspect(db: Database | None, store: Store, path: Path, on_progress: Progress) -> list[Arrival]:
    """What `receive` would do, with every digest proven and nothing written to the store. Raises as it would."""
    try:
        with opened(path) as bundle:
            check_complete(db, store, bundle)
            meter = Meter(bundle.total_bytes, on_progress)
            for packed in bundle.models:
                with tempfile.TemporaryDirectory(prefix="hive-") as stage:
                    bundle.unpack(packed, Path(stage), meter, only="recipe/")
            return plan(db, bundle)
    except OSError as error:
        raise StoreError(f"{path.name} cannot be read", error.strerror or str(error)) from error


def check_complete(db: Database | None, store: Store, bundle: Bundle) -> None:
    """Raises BadBundle if a model lacks what it was built on."""
    keys = {packed.artifact.build_key for packed in bundle.models}
    for packed in bundle.models:
        for name, key in packed.artifact.build.dependencies.items():
            here = installed.artifact_by_key(db, key) if db and key not in keys else None
            if key not in keys and (here is None or not store.has(here.digest)):
                why = "it was built on it, and the bundle does not hold it"
                raise BadBundle(f"{packed.artifact.name} lacks {name}", why)


def plan(db: Database | None, bundle: Bundle) -> list[Arrival]:
    """What is to become of each model of a bundle that is unpacked, and of what is here and has to make way.

    Where what is active meets the needs of what arrives, it stays.
    """
    arriving = [replace(each.artifact, depends=bundle.depends[each.artifact.digest]) for each in bundle.models]
    needed = {key for each in arriving for key in each.build.dependencies.values()}
    asked_for = [each for each in arriving if each.build_key not in needed]
    if db is None:
        return [Arrival("install", each, each not in asked_for, None) for each in arriving]
    chosen: dict[str, Artifact] = {}
    refusals: dict[str, str] = {}
    for each in asked_for:
        chosen, refusals[each.name] = installed.active_with(db, each, chosen, arriving)
    arrivals = []
    for each in (*arriving, *(heir for heir in chosen.values() if heir not in arriving)):
        before = installed.find(db, each.name)
        if before and before.artifact == each.digest:
            action = "keep"
        elif chosen.get(each.name) is not each:
            action = "store"
        else:
            action = "replace" if before else "install"
        arrivals.append(Arrival(action, each, each not in asked_for, before, refusals.get(each.name, "")))
    return arrivals


def record(db: Database, store: Store, bundle: Bundle) -> list[Arrival]:
    """Artifacts, packages and their generation, in one transaction: planned in it, so that nothing changes between."""
    with db.write():
        arrivals, chosen = plan(db, bundle), []
        for arrival in arrivals:
            artifact, before = arrival.artifact, arrival.before
            if not store.has(artifact.digest):  # gc takes what is on no record
                raise StoreError(f"{artifact.name} was not imported", "hive gc ran at the same moment", "import again")
            installed.record_artifact(db, artifact)
            asked_for_now = before is not None and before.automatic and not arrival.automatic
            if arrival.action in ("install", "replace") or (arrival.action == "keep" and asked_for_now):
                chosen.append((artifact.name, artifact.version, artifact.digest, arrival.automatic))
        if chosen:
            installed.put(db, "import " + " ".join(f"{name} {version}" for name, version, *_ in chosen), chosen)
    return arrivals


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
        if _copy(self.file, blob.size_bytes, target, meter) != blob.digest.removeprefix("sha256:"):
            raise self._damaged(blob)

    def _packed(self, image: Image) -> Packed:
        """A model, by its own manifest, which must say the same as the image."""
        _check_layers(image.layers)
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


def _copy(reader: BinaryIO, size_bytes: int, writer: BinaryIO, meter: Meter) -> str:
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


def _check_layers(layers: Iterable[Layer]) -> None:
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
