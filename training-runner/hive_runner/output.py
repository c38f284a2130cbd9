"""Is what the recipe left behind a result? Checked before result.json says so."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hive_runner.contract import PICKLED
from hive_runner.errors import RunnerError


class OutputError(RunnerError):
    """The result does not hold what the contract asks for."""

    kind = "bad_output"


def check_artifact(out: Path) -> None:
    """Raise OutputError unless `out` holds at least one file, plain files only, and none of them a pickle."""
    files = plain_files(out)
    if not files:
        raise OutputError("the recipe wrote nothing", why=f"{out} is empty after train()", hint="call run.save_weights")
    for path in files:
        if path.suffix.lower() in PICKLED:
            raise OutputError(
                f"the recipe wrote a pickle: {path.relative_to(out)}",
                why="a pickle runs code when it is opened, so none goes into an artifact",
                hint="save weights with run.save_weights (safetensors)",
            )


def check_written(output: Path) -> None:
    """Raise OutputError unless a predict or sample run wrote what it was asked to."""
    if not output.exists() or (output.is_dir() and not plain_files(output)):
        raise OutputError(f"the recipe did not write {output.name}", why="the run ended without an error or a result")


def plain_files(folder: Path) -> list[Path]:
    """Every file below `folder`, sorted. Raises OutputError on a link, socket, pipe or device."""
    files: list[Path] = []
    for root, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(root, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                files.append(path)
            elif not stat.S_ISDIR(mode):
                raise OutputError(
                    f"the recipe wrote something that is not a plain file: {path.relative_to(folder)}",
                    why="an artifact holds plain files and folders only: no links, sockets, pipes or devices",
                )
    return sorted(files)


def make_durable(folder: Path) -> None:
    """fsync every file and folder below: result.json, written next, vouches for them.

    The writing of all begins first. Then the file system commits them together, not one by one.
    """
    for sync in (_begin_writing, os.fsync):
        for root, _, names in os.walk(folder):
            for path in [*(os.path.join(root, name) for name in names), root]:
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    sync(descriptor)
                finally:
                    os.close(descriptor)


def _begin_writing(descriptor: int) -> None:
    """The kernel lets go of what is written: so it begins to write what is not."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
