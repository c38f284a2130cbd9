"""A tar of plain files and nothing else: no links, devices, sparse files or extensions, and no compression.

Written, its bytes depend on names and contents alone. Read, whatever is not of this kind is refused before anything
is made of it: headers first, in one pass over the file; then what is wanted, by its place.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable
from typing import BinaryIO

from hive_runner.frozen import frozen

BLOCK = 512
END = bytes(2 * BLOCK)
MAX_FILL_BYTES = 1 << 20  # of zeros after the end: tools fill up their last record
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK": "zip"}
KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
    tarfile.XHDTYPE: "an extension header",
    tarfile.XGLTYPE: "an extension header",
    tarfile.SOLARIS_XHDTYPE: "an extension header",
    tarfile.GNUTYPE_LONGNAME: "an extension header",
    tarfile.GNUTYPE_LONGLINK: "an extension header",
}


class TarError(ValueError):
    """It is no tar of this kind."""


class CutShort(TarError):
    """It ends before its end."""


@frozen
class Member:
    offset: int  # of its content
    size_bytes: int


def header(name: str, size_bytes: int) -> bytes:
    """What stands before a file's content: always the same owner, mode and time."""
    info = tarfile.TarInfo(name)
    info.size = size_bytes
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")  # the format that has sizes above 8 GiB


def padding(size_bytes: int) -> bytes:
    """What stands after it."""
    return bytes(-size_bytes % BLOCK)


def members(file: BinaryIO, expected: Callable[[str], bool], folders: frozenset[str], most: int) -> dict[str, Member]:
    """Every file by its name. expected: whether a file may have that name; folders: those that may be mentioned;
    most: how many entries there may be. Raises TarError.
    """
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise TarError("it is not a plain file")
    total = status.st_size
    found: dict[str, Member] = {}
    place = entries = 0
    while True:
        file.seek(place)
        block = file.read(BLOCK)
        if len(block) < BLOCK:
            raise CutShort("it is cut short" if total else "it is empty")
        if not any(block):
            _check_end(file, total - place)
            return found
        entries += 1
        if entries > most:
            raise TarError(f"it has more than {most:,} entries")
        info = _parse(block, first=not place)
        place += BLOCK
        name = info.name.removeprefix("./")
        if info.isdir() and (name in folders or name == ".") and not info.size:
            continue
        if not info.isreg():
            raise TarError(f"{name!r} is {KINDS.get(info.type, 'a folder' if info.isdir() else 'no plain file')}")
        if not expected(name):
            raise TarError(f"{name!r} does not belong there")
        if name in found:
            raise TarError(f"{name!r} is there twice")
        if info.mode & 0o7000 or info.linkname:
            raise TarError(f"{name!r} has set-user-id bits or a link's target, which a plain file has not")
        if info.size < 0 or info.size > total - place:
            raise CutShort(f"{name!r} claims {info.size:,} bytes, of which {max(0, total - place):,} are there")
        found[name] = Member(place, info.size)
        place += info.size + len(padding(info.size))


def _parse(block: bytes, first: bool) -> tarfile.TarInfo:
    """One header by itself, so that none can change the meaning of another."""
    if block[257:262] != b"ustar":
        kind = next((name for magic, name in COMPRESSED.items() if first and block.startswith(magic)), "")
        raise TarError(f"it is compressed ({kind}): unpack that first" if kind else "it is not a tar file")
    if block[156:157] in KINDS:
        raise TarError(f"{_shown(block[:100])} is {KINDS[block[156:157]]}")
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise TarError(f"a header of it is broken ({error})") from error


def _shown(raw: bytes) -> str:
    return repr(raw.rstrip(b"\0").decode(errors="replace"))


def _check_end(file: BinaryIO, left: int) -> None:
    """From the first block of zeros on there are only zeros, two blocks at least."""
    if left < len(END):
        raise CutShort("it is cut short at its end")
    if left > MAX_FILL_BYTES:
        raise TarError(f"{left:,} bytes follow its end")
    file.seek(-left, io.SEEK_END)
    if any(file.read(left)):
        raise TarError("something follows its end")
