"""Bundles made by hand: valid as they are, and a hook at each stage of their making for what is wrong with them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builders import build
from hive_cli import RECIPES

from hive import manifest
from hive.model import Build
from hive.recipe import digest_recipe, snapshot_files

Document = dict[str, Any]
Entry = tuple[tarfile.TarInfo, bytes]
MODEL = "application/vnd.cncf.model."


def nothing(value: Any) -> None:
    return None


def to_json(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def trivial_build(**fields: Any) -> Build:
    digest = digest_recipe(RECIPES / "trivial")
    return build("trivial", **{"recipe_digest": digest, "params": {"size": 3}, **fields})


def trivial_files(name: str = "trivial", version: str = "1.0.0") -> dict[str, bytes]:
    """What an artifact of the trivial recipe holds; its recipe under another name, if need be."""
    metrics = [{"name": "quality", "value": 1.0, "better": "higher", "baselines": {"guess": 0.5}}]
    recipe = {path.name: path.read_bytes() for path in snapshot_files(RECIPES / "trivial")}
    text = recipe["recipe.toml"].decode().replace('"trivial"', f'"{name}"').replace('"1.0.0"', f'"{version}"')
    recipe["recipe.toml"] = text.encode()
    own = {"weights.json": b"[0, 1, 2]", "metrics.json": to_json(metrics), "README.md": b"# a card\n"}
    return own | {f"recipe/{each}": content for each, content in recipe.items()}


@dataclass
class Model:
    """An artifact, and what is said of it."""

    facts: Document = field(default_factory=lambda: manifest.facts(trivial_build(), (), True))
    files: dict[str, bytes] = field(default_factory=trivial_files)

    @property
    def manifest(self) -> bytes:
        entries = [{"path": p, "sha256": sha256(raw), "size_bytes": len(raw)} for p, raw in sorted(self.files.items())]
        return to_json({"format": 1, "files": entries, **self.facts})

    @property
    def digest(self) -> str:
        return "sha256:" + sha256(self.manifest)


@dataclass
class Forged:
    """A bundle. Each hook is given what is to be written next, and may change it; what follows from it follows."""

    models: list[Model] = field(default_factory=lambda: [Model()])
    on_artifact: Callable[[Document], None] = nothing
    on_config: Callable[[Document], None] = nothing
    on_image: Callable[[Document], None] = nothing
    on_index: Callable[[Document], None] = nothing
    on_blobs: Callable[[dict[str, bytes]], None] = nothing  # by their place in the tar, the fixed documents included
    on_entries: Callable[[list[Entry]], None] = nothing
    on_bytes: Callable[[bytearray], None] = nothing

    def write(self, path: Path) -> Path:
        raw = bytearray(self.tar())
        self.on_bytes(raw)
        path.write_bytes(raw)
        return path

    def tar(self) -> bytes:
        entries: list[Entry] = []
        for name, raw in self.blobs().items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            entries.append((info, raw))
        self.on_entries(entries)
        return tar_of(entries)

    def blobs(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}

        def add(raw: bytes, media_type: str) -> Document:
            found[f"blobs/sha256/{sha256(raw)}"] = raw
            return {"mediaType": media_type, "digest": f"sha256:{sha256(raw)}", "size": len(raw)}

        images = []
        for model in self.models:
            listed = json.loads(model.manifest)
            self.on_artifact(listed)
            files = {"manifest.json": to_json(listed), **dict(sorted(model.files.items()))}
            layers = [
                {
                    **add(raw, MODEL + ("code" if path.startswith("recipe/") else "weight") + ".v1.raw"),
                    "annotations": {"org.cncf.model.filepath": path, "org.opencontainers.image.title": path},
                }
                for path, raw in files.items()
            ]
            config = {
                "descriptor": {"name": listed.get("name"), "version": listed.get("version")},
                "config": {},
                "modelfs": {"type": "layers", "diffIds": [layer["digest"] for layer in layers]},
            }
            self.on_config(config)
            image = {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "artifactType": MODEL + "manifest.v1+json",
                "config": add(to_json(config), MODEL + "config.v1+json"),
                "layers": layers,
            }
            self.on_image(image)
            images.append(add(to_json(image), "application/vnd.oci.image.manifest.v1+json"))
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": images}
        self.on_index(index)
        fixed = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": to_json(index)}
        blobs = {**fixed, **dict(sorted(found.items()))}
        self.on_blobs(blobs)
        return blobs


def tar_of(entries: list[Entry], form: int = tarfile.GNU_FORMAT) -> bytes:
    """Headers and contents one after the other, whatever they say."""
    target = io.BytesIO()
    for info, raw in entries:
        target.write(info.tobuf(form, "utf-8", "surrogateescape"))
        target.write(raw + bytes(-len(raw) % 512))
    target.write(bytes(1024))
    return target.getvalue()


def contents(path: Path) -> dict[str, bytes]:
    """What a tar holds, read by Python's own reader."""
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar if info.isreg()}  # type: ignore[union-attr]
