"""The documents of a bundle: an OCI image layout whose images are models, by the CNCF ModelPack specification.

    oci-layout
    index.json                  names one image manifest a model
    blobs/sha256/<digest>       image manifests, their configs, and every file of every artifact, raw

An artifact's own manifest.json is one of its layers, so that the layers say what to expect and the artifact what it is.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from hive_runner.frozen import frozen

from hive.model import Recipe, canonical_json

LAYOUT_FILE, INDEX_FILE, BLOBS = "oci-layout", "index.json", "blobs/sha256/"
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
WEIGHT, WEIGHT_CONFIG, DOC, CODE, DATASET = (
    f"application/vnd.cncf.model.{kind}.v1.raw" for kind in ("weight", "weight.config", "doc", "code", "dataset")
)
LAYER_TYPES = frozenset((WEIGHT, WEIGHT_CONFIG, DOC, CODE, DATASET))
FILE_PATH, TITLE = "org.cncf.model.filepath", "org.opencontainers.image.title"
REF_NAME = "org.opencontainers.image.ref.name"
DETERMINISM = "hive.determinism"
MAX_NOTE_CHARACTERS = 300
DIGEST = re.compile(r"sha256:[a-f0-9]{64}")
DOCUMENTS = ("README.md", "metrics.json", "provenance.json", "bom.json")
PRECISIONS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I8": "int8"}
MAX_SAFETENSORS_HEADER_BYTES = 100 << 20  # what the format allows


class DocumentError(ValueError):
    """A document is not what its media type promises."""


@frozen
class Blob:
    digest: str
    size_bytes: int

    @property
    def name(self) -> str:
        """Its place in the layout."""
        return BLOBS + self.digest.removeprefix("sha256:")


@frozen
class Layer:
    """One file of an artifact."""

    path: str
    blob: Blob


@frozen
class Image:
    """One model: its config, and its files."""

    config: Blob
    layers: tuple[Layer, ...]
    determinism: str = ""  # the class of machines that gives its bytes, as its sender says; "" if it says nothing


# -- writing


def layer_type(path: str) -> str:
    """What a file of an artifact is to others."""
    place = PurePosixPath(path)
    if place.parts[0] == "recipe":
        return CODE
    if path in DOCUMENTS or place.suffix in (".md", ".png"):
        return DOC
    return WEIGHT_CONFIG if path in ("manifest.json", "config.json") else WEIGHT


def config_of(name: str, version: str, recipe: Recipe, layers: Sequence[Layer], weights: Path) -> bytes:
    """The model config. weights: a safetensors file, which may be missing."""
    kinds = ["other"]  # of text, image, audio, video, embedding, other: hive's models read files of their field
    settings: dict[str, Any] = {"capabilities": {"inputTypes": kinds, "outputTypes": kinds}}
    if size := _tensors(weights):
        parameters, precision = size
        settings |= {"format": "safetensors", "paramSize": _short_count(parameters), "precision": precision}
    return _bytes(
        {
            "descriptor": {
                "name": name,
                "version": version,
                "title": name,
                "description": recipe.summary,
                "licenses": [recipe.licence],
            },
            "config": settings,
            "modelfs": {"type": "layers", "diffIds": [layer.blob.digest for layer in layers]},
        }
    )


def image_of(config: Blob, layers: Iterable[Layer], determinism: str) -> bytes:
    """The image manifest."""
    notes = {"annotations": {DETERMINISM: determinism}} if determinism else {}
    return _bytes(
        {
            **notes,
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "config": _descriptor(config, CONFIG_TYPE),
            "layers": [
                {
                    **_descriptor(layer.blob, layer_type(layer.path)),
                    "annotations": {FILE_PATH: layer.path, TITLE: layer.path},
                }
                for layer in layers
            ],
        }
    )


def index_of(images: Iterable[tuple[str, Blob]]) -> bytes:
    """The index. images: (name:version, manifest)."""
    entries = [
        {**_descriptor(blob, MANIFEST_TYPE), "artifactType": ARTIFACT_TYPE, "annotations": {REF_NAME: name}}
        for name, blob in images
    ]
    return _bytes({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries})


def _descriptor(blob: Blob, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": blob.digest, "size": blob.size_bytes}


def _bytes(document: Any) -> bytes:
    return canonical_json(document).encode()


def _tensors(weights: Path) -> tuple[int, str] | None:
    """How many parameters a safetensors file holds, and the precision of most of them; None if it is none."""
    try:
        with open(weights, "rb") as file:
            header = json.loads(_safetensors_header(file))
        counts: Counter[str] = Counter()
        for name, tensor in header.items():
            if name != "__metadata__":
                counts[tensor["dtype"]] += math.prod(tensor["shape"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not counts:
        return None
    [(dtype, _)] = counts.most_common(1)
    return counts.total(), PRECISIONS.get(dtype, dtype.lower())


def _safetensors_header(file: BinaryIO) -> bytes:
    length = int.from_bytes(file.read(8), "little")
    return file.read(length) if length <= MAX_SAFETENSORS_HEADER_BYTES else b""


def _short_count(number: int) -> str:
    """1234567 -> 1.23m."""
    for unit, size in (("b", 10**9), ("m", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)


# -- reading


def read_json(raw: bytes, what: str) -> Any:
    """A JSON value; what: its name in errors. Raises DocumentError for what some reader may take for another value."""
    try:
        return json.loads(raw.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{what} is not proper JSON ({error})") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")


def read_layout(raw: bytes) -> None:
    if _object(raw, LAYOUT_FILE).get("imageLayoutVersion") != "1.0.0":
        raise DocumentError(f"{LAYOUT_FILE} has another version than 1.0.0")


def read_index(raw: bytes) -> list[Blob]:
    """The image manifests."""
    document = _object(raw, INDEX_FILE)
    _check_kind(document, INDEX_TYPE, INDEX_FILE)
    images = [_blob(entry, (MANIFEST_TYPE,), f"a manifest of {INDEX_FILE}") for entry in _list(document, "manifests")]
    if not images:
        raise DocumentError(f"{INDEX_FILE} names no model")
    if len({image.digest for image in images}) != len(images):
        raise DocumentError(f"{INDEX_FILE} names a model twice")
    return images


def read_image(raw: bytes) -> Image:
    """Config and layers of an image manifest."""
    document = _object(raw, "an image manifest")
    _check_kind(document, MANIFEST_TYPE, "an image manifest")
    if document.get("artifactType") != ARTIFACT_TYPE:
        raise DocumentError(f"an image is {document.get('artifactType')!r}, which is no model")
    layers = []
    for entry in _list(document, "layers"):
        blob = _blob(entry, LAYER_TYPES, "a layer")
        notes = entry.get("annotations")
        path = notes.get(FILE_PATH) if isinstance(notes, dict) else None
        if not isinstance(path, str) or notes.get(TITLE, path) != path:
            raise DocumentError("a layer does not say which file it is")
        layers.append(Layer(path, blob))
    if "config" not in document:
        raise DocumentError("an image has no config")
    notes = document.get("annotations")
    said = notes.get(DETERMINISM, "") if isinstance(notes, dict) else ""
    if not isinstance(said, str) or len(said) > MAX_NOTE_CHARACTERS or not said.isprintable():
        raise DocumentError(f"an image says {DETERMINISM} in no words")
    return Image(_blob(document["config"], (CONFIG_TYPE,), "a config"), tuple(layers), said)


def check_config(raw: bytes, name: str, version: str, layers: Iterable[Layer]) -> None:
    """Raises DocumentError for the config of another model, or of other layers."""
    document = _object(raw, "a model config")
    about, files = document.get("descriptor"), document.get("modelfs")
    if not isinstance(about, dict) or (about.get("name"), about.get("version")) != (name, version):
        raise DocumentError(f"a model config is not that of {name} {version}")
    if files != {"type": "layers", "diffIds": [layer.blob.digest for layer in layers]}:
        raise DocumentError(f"the model config of {name} lists other layers than its image")


def _object(raw: bytes, what: str) -> dict[str, Any]:
    document = read_json(raw, what)
    if not isinstance(document, dict):
        raise DocumentError(f"{what} is not a JSON object")
    return document


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise DocumentError(f"its {key} are no list")
    return value


def _check_kind(document: dict[str, Any], media_type: str, what: str) -> None:
    if document.get("schemaVersion") != 2 or document.get("mediaType", media_type) != media_type:
        raise DocumentError(f"{what} is of another kind: {document.get('mediaType')!r}")


def _blob(entry: Any, media_types: Iterable[str], what: str) -> Blob:
    if not isinstance(entry, dict):
        raise DocumentError(f"{what} is not described by a JSON object")
    media_type, digest, size_bytes = entry.get("mediaType"), entry.get("digest"), entry.get("size")
    if media_type not in tuple(media_types):
        raise DocumentError(f"{what} has the media type {media_type!r}, which hive does not take")
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise DocumentError(f"{what} has the digest {digest!r}, which is none")
    if isinstance(size_bytes, bool) or not isinstance(size_bytes, int) or size_bytes < 0:
        raise DocumentError(f"{what} has the size {size_bytes!r}, which is none")
    return Blob(digest, size_bytes)
