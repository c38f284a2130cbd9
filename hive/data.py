"""A user's training data, pinned by content."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hive.errors import RequestError
from hive.model import DataSource


def pin(path_text: str) -> DataSource:
    """Digest of a file, or of every file below a folder by name and content. Raises RequestError."""
    path = Path(path_text).expanduser().absolute()
    if not path.exists():
        raise RequestError(f"there is no {path}", "--data wants a file or folder that exists")
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())
    if not files:
        raise RequestError(f"{path} is empty", "--data wants a folder with files to train on")
    total = hashlib.sha256()
    try:
        for file in files:
            with open(file, "rb") as reader:
                content = hashlib.file_digest(reader, "sha256").hexdigest()
            total.update(f"{file.relative_to(path).as_posix()}\0{content}\n".encode())
    except OSError as error:
        raise RequestError(f"{error.filename} cannot be read", error.strerror or str(error)) from error
    return DataSource(str(path), "sha256:" + total.hexdigest())
