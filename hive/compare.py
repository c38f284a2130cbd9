"""Whether a build gave the same bytes again, and if not, which tensor differs first and by how much."""

from __future__ import annotations

import json
import math
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from hive_runner.frozen import frozen

from hive.store import MANIFEST, Store, file_sha256, plain_files

HEADER_LIMIT_BYTES = 100 << 20  # as safetensors itself has it
CODES = {"F64": "d", "F32": "f", "F16": "e", "I64": "q", "I32": "i", "I16": "h", "I8": "b", "U8": "B", "BOOL": "B"}


@frozen
class Difference:
    """A file that is not the same, and in weights the first tensor that is not."""

    file: str
    what: str  # "missing", "new", "changed"
    tensor: str = ""
    largest: float | None = None  # absolute difference within that tensor
    tensors: int = 0  # how many differ

    def __str__(self) -> str:
        if not self.tensor:
            return f"{self.file}: {self.what}"
        by = "" if self.largest is None else f" by up to {self.largest:.3g}"
        return f"{self.file}: tensor {self.tensor} differs{by} ({self.tensors} of its tensors differ)"


def differences(store: Store, made: str, again: str) -> list[Difference]:
    """Compare two artifacts by their digests, weights first. None if they are the same."""
    if made == again:
        return []
    old, new = ({entry["path"]: entry["sha256"] for entry in store.manifest(d)["files"]} for d in (made, again))
    return _between(store.path(made), store.path(again), old, new) or [Difference(MANIFEST, "changed")]


def differences_of(made: Path, again: Path) -> list[Difference]:
    """Compare two folders of plain files, weights first. None if they are the same."""
    return _between(made, again, *(_digests(folder) for folder in (made, again)))


def _digests(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in plain_files(folder)}


def _between(made: Path, again: Path, old: dict[str, str], new: dict[str, str]) -> list[Difference]:
    """old, new: the digest of each file."""
    differing = [Difference(name, "missing") for name in sorted(set(old) - set(new))]
    differing += [Difference(name, "new") for name in sorted(set(new) - set(old))]
    for name in sorted(set(old) & set(new)):
        if old[name] != new[name]:
            within = _in_weights(name, made / name, again / name)
            differing.append(within or Difference(name, "changed"))
    differing.sort(key=lambda each: not each.tensor)
    return differing


def _in_weights(name: str, made: Path, again: Path) -> Difference | None:
    """What differs between two safetensors files; None for others, and where it is not in a tensor."""
    if not name.endswith(".safetensors"):
        return None
    try:
        with open(made, "rb") as first, open(again, "rb") as second:
            old, new = _header(first), _header(second)
            names = sorted(set(old) | set(new))
            differing = [each for each in names if not _same(each, old, new, first, second)]
            if not differing:
                return None
            largest = _largest(old.get(differing[0]), new.get(differing[0]), first, second)
    except (OSError, ValueError, KeyError, TypeError, struct.error):
        return None
    return Difference(name, "changed", differing[0], largest, len(differing))


def _header(file: BinaryIO) -> dict[str, dict[str, Any]]:
    """Tensors by name: dtype, shape, and the offsets of its bytes in the file."""
    (length,) = struct.unpack("<Q", file.read(8))
    if length > HEADER_LIMIT_BYTES:
        raise ValueError("no safetensors header")
    header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    for entry in header.values():
        entry["data_offsets"] = [8 + length + offset for offset in entry["data_offsets"]]
    return dict(header)


def _same(name: str, old: dict[str, Any], new: dict[str, Any], first: BinaryIO, second: BinaryIO) -> bool:
    if name not in old or name not in new:
        return False
    a, b = old[name], new[name]
    return (a["dtype"], a["shape"]) == (b["dtype"], b["shape"]) and _bytes(a, first) == _bytes(b, second)


def _bytes(entry: dict[str, Any], file: BinaryIO) -> bytes:
    start, end = entry["data_offsets"]
    file.seek(start)
    return file.read(end - start)


def _largest(a: dict[str, Any] | None, b: dict[str, Any] | None, first: BinaryIO, second: BinaryIO) -> float | None:
    """The largest absolute difference; None where shapes or types differ or are unknown. NaN counts as infinite."""
    if a is None or b is None or (a["dtype"], a["shape"]) != (b["dtype"], b["shape"]):
        return None
    largest = 0.0
    for x, y in zip(_values(a["dtype"], _bytes(a, first)), _values(b["dtype"], _bytes(b, second)), strict=True):
        if x != y:
            largest = max(largest, math.inf if math.isnan(x - y) else abs(x - y))
    return largest


def _values(dtype: str, raw: bytes) -> Iterator[float]:
    if dtype == "BF16":  # the upper half of a float32
        halves = array("H", raw)
        return iter(array("f", b"".join(struct.pack("<I", half << 16) for half in halves)))
    if dtype == "F16":
        return (value for (value,) in struct.iter_unpack("<e", raw))
    return iter(array(CODES[dtype], raw))
