"""Checkpoints that survive a kill at any instant.

A file's name holds its order, step and sha256; it is complete or absent (temporary file, fsync, rename, fsync of the
folder). Two are kept: if the newest is damaged, the one before it still counts.
"""

from __future__ import annotations

import os
import pickle
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from hive_runner.determinism import rng_state, set_rng_state
from hive_runner.errors import RunnerError

KEPT = 2
TIME_SHARE = 0.02  # of the time of a run, at most, goes into checkpoints
INTERVAL_S = 5.0  # between two checkpoints at least: a cheap one costs nothing, and more often helps nobody
LONGEST_INTERVAL_S = 1800.0  # what a kill may cost at most, however slow the disk is

_NAME = re.compile(r"(\d{8})-step(\d+)-([0-9a-f]{64})\.ckpt")

# What a state may hold beside tensors, numbers, strings, bytes and containers: numpy arrays. Nothing that runs code.
_PICKLED_NUMPY = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
}


class Checkpoints:
    """The checkpoints of one build, over all attempts at it.

    `key` names what is being trained: a checkpoint of other parameters is never resumed. The global random generators
    are saved and put back here; whatever else the next step depends on belongs in the recipe's state.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        interval_s: float = INTERVAL_S,
        log: Callable[[str], None] = print,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.key = key
        self.interval_s = interval_s  # 0: at every chance, for crash tests
        self.log = log
        self.clock = clock
        self.cost_s = 0.0  # of the last one: collecting the state, writing it, waiting for the disk
        self._last = clock()
        self._read_back = False
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.glob(".*.tmp"):
            left_over.unlink(missing_ok=True)

    @property
    def wait_s(self) -> float:
        """From the last checkpoint to the next: so long that what the last one cost is TIME_SHARE of it."""
        if self.interval_s <= 0:
            return 0.0
        return max(self.interval_s, min(self.cost_s / TIME_SHARE, LONGEST_INTERVAL_S))

    def due(self) -> bool:
        """Enough time has passed. Time decides, so a result must never depend on where a checkpoint fell."""
        return self.clock() - self._last >= self.wait_s

    def save(self, step: int, make_state: Callable[[], dict[str, Any]]) -> Path:
        """Write one durably, then drop all but the newest two. The first of a run is read back, to fail early."""
        started = self.clock()
        state = make_state()
        files = self._files()
        number = int(files[0].name[:8]) + 1 if files else 1
        temporary = self.folder / f".{number:08d}.tmp"
        try:
            with open(temporary, "w+b") as file:
                _dump({"key": self.key, "step": step, "rng": rng_state(), "state": state}, file)
                file.flush()
                os.fsync(file.fileno())
                digest = _sha256(file)
                if not self._read_back:
                    file.seek(0)
                    _load_or_explain(file)
                    self._read_back = True
        except BaseException:
            temporary.unlink(missing_ok=True)  # on a full disk its room is needed for the result
            raise
        path = self.folder / f"{number:08d}-step{step}-{digest}.ckpt"
        temporary.rename(path)
        _fsync_folder(self.folder)
        for old in self._files()[KEPT:]:
            old.unlink(missing_ok=True)
        self._last = self.clock()
        self.cost_s = self._last - started
        return path

    def newest(self) -> tuple[int, dict[str, Any]] | None:
        """(step, state) of the newest good checkpoint, with the global generators put back, or None."""
        for path in self._files():
            payload = self._read(path)
            if payload is not None:
                set_rng_state(payload["rng"])
                self._last = self.clock()
                return payload["step"], payload["state"]
        return None

    def _files(self) -> list[Path]:
        """Complete checkpoints, newest first."""
        return sorted((p for p in self.folder.iterdir() if _NAME.fullmatch(p.name)), reverse=True)

    def _read(self, path: Path) -> dict[str, Any] | None:
        """The payload, or None if it is damaged (then it is dropped) or of another build."""
        with open(path, "rb") as file:
            match = _NAME.fullmatch(path.name)
            if match is None or _sha256(file) != match[3]:
                self.log(f"checkpoint {path.name[:8]} is damaged; falling back to the one before")
                path.unlink(missing_ok=True)  # or it would count as one of the two kept
                return None
            file.seek(0)
            try:
                payload = _load(file)
            except (pickle.UnpicklingError, RuntimeError, EOFError, AttributeError, ImportError) as error:
                self.log(f"checkpoint {path.name[:8]} cannot be read by this environment: {error}")
                return None
        if payload["key"] != self.key:
            self.log(f"checkpoint {path.name[:8]} belongs to another build; not used")
            return None
        return payload


def _dump(payload: dict[str, Any], file: BinaryIO) -> None:
    if torch := sys.modules.get("torch"):
        torch.save(payload, file)
    else:
        pickle.dump(payload, file, protocol=5)


def _load(file: BinaryIO) -> dict[str, Any]:
    """Read a payload without running code from it, whoever wrote it. Tensors arrive on the CPU."""
    torch_file = file.read(2) == b"PK"
    file.seek(0)
    payload: dict[str, Any]
    if not torch_file:
        payload = _DataUnpickler(file).load()
        return payload
    import torch

    with torch.serialization.safe_globals(_numpy_types()):
        payload = torch.load(file, map_location="cpu", weights_only=True)
    return payload


def _load_or_explain(file: BinaryIO) -> None:
    try:
        _load(file)
    except pickle.UnpicklingError as error:
        raise RunnerError(
            "the recipe's checkpoint could not be read back",
            why=_forbidden(str(error)),
            hint="keep to tensors, arrays, numbers, strings, bytes, lists, tuples and dicts in the checkpoint's state",
        ) from error


def _forbidden(text: str) -> str:
    """The one useful line of torch's long explanation: which type it refuses."""
    named = re.search(r"GLOBAL (\S+)", text)
    return f"a checkpoint's state must not hold {named[1]}" if named else text.strip().splitlines()[0]


class _DataUnpickler(pickle.Unpickler):
    """Unpickles data, never code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PICKLED_NUMPY or module == "numpy.dtypes":
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"a checkpoint's state must not hold {module}.{name}")


def _numpy_types() -> list[Any]:
    """What torch must be told to accept in order to read numpy arrays."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return []
    core = sys.modules.get("numpy._core.multiarray") or sys.modules["numpy.core.multiarray"]
    types = [type(numpy.dtype(code)) for code in "?bBhHiIlLqQefdFDSU"]
    return [core._reconstruct, core.scalar, numpy.ndarray, numpy.dtype, *types]


def _sha256(file: BinaryIO) -> str:
    import hashlib

    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # a rename alone may not survive power loss
    finally:
        os.close(descriptor)
