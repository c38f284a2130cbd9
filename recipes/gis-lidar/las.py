"""LAS and LAZ files, read and written as streams of raw point records.

A point record is kept as its bytes: what this recipe does not mean to change cannot change. Everything that is not the
class, the confidence or an offset that must move (CRS and other VLRs, EVLRs, user bytes, flags, times, colours,
waveform references) is copied, never parsed and written again.

Layout: LAS 1.4 R15 (ASPRS); older versions are prefixes of its header. Compressed points go through lazrs.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import lazrs
import numpy as np
from hive_runner.errors import InputError
from numpy.typing import NDArray

Records = NDArray[np.uint8]  # (N, record_length): raw point records

POINTS_PER_READ = 1_000_000
RECORD_LENGTHS = (20, 28, 26, 34, 57, 63, 30, 36, 38, 59, 67)  # bytes of point formats 0 to 10, without extra bytes
HEADER_SIZES = {0: 227, 1: 227, 2: 227, 3: 235, 4: 375}  # bytes, by minor version
LARGEST_SCALE, LARGEST_OFFSET = 1e3, 1e9  # units of the file: more is no place on Earth
CONFIDENCE = "confidence"
CONFIDENCE_SCALE = 0.01  # one byte a point: 0 to 100 raw, 0.00 to 1.00 for readers that apply the scale

# (user id, record id) of the VLRs that mean something here
LASZIP_VLR = ("laszip encoded", 22204)
EXTRA_BYTES_VLR = ("LASF_Spec", 4)
WKT_VLR = ("LASF_Projection", 2112)
GEOKEYS_VLR = ("LASF_Projection", 34735)
GEODOUBLES_VLR = ("LASF_Projection", 34736)
WAVEFORM_FORMATS = (4, 5, 9, 10)
COPC_VLRS = (("copc", 1), ("copc", 1000))  # info and hierarchy: they describe the order of the *compressed* points

# numpy type by the data type number of an extra-bytes descriptor
EXTRA_TYPES = {1: "u1", 2: "i1", 3: "<u2", 4: "<i2", 5: "<u4", 6: "<i4", 7: "<u8", 8: "<i8", 9: "<f4", 10: "<f8"}

KNOWN_CONTENT = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"II*\x00": "a TIFF picture",
    b"MM\x00*": "a TIFF picture",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"ASTM-E57": "an E57 scan",
    b"ply": "a PLY mesh or cloud",
    b"%PDF": "a PDF document",
    b"version https://git-lfs": "a Git LFS pointer: the file itself was never downloaded",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
}


@dataclass(frozen=True)
class Vlr:
    """A variable length record; `raw` includes its own 54-byte header."""

    raw: bytes

    @property
    def key(self) -> tuple[str, int]:
        user_id = self.raw[2:18].split(b"\0")[0].decode("latin-1")
        return user_id, int.from_bytes(self.raw[18:20], "little")

    @property
    def data(self) -> bytes:
        return self.raw[54:]


@dataclass(frozen=True)
class Evlr:
    """An extended VLR, left in its file: it may hold gigabytes of waveforms."""

    key: tuple[str, int]
    offset: int  # of its 60-byte header
    length: int  # header included


@dataclass(frozen=True)
class Dimension:
    """One described extra dimension."""

    name: str
    offset: int  # bytes from the start of the record
    data_type: int  # 0: undocumented bytes
    length: int  # bytes
    scale: float
    shift: float


@dataclass(frozen=True)
class LasFile:
    """What the header and the VLRs say, checked against the size of the file."""

    path: Path
    head: bytes  # the public header block, `header size` bytes
    vlrs: tuple[Vlr, ...]
    padding: bytes  # user bytes between the last VLR and the first point
    evlrs: tuple[Evlr, ...]
    minor: int  # LAS 1.<minor>
    point_format: int
    record_length: int
    count: int
    compressed: bool
    offset_to_points: int
    scales: tuple[float, float, float]
    offsets: tuple[float, float, float]
    box: tuple[float, float, float, float, float, float]  # min x, y, z, max x, y, z, as the header claims

    @property
    def extra_bytes(self) -> int:
        return self.record_length - RECORD_LENGTHS[self.point_format]

    @property
    def is_copc(self) -> bool:
        return any(vlr.key == COPC_VLRS[0] for vlr in self.vlrs)

    def vlr(self, key: tuple[str, int]) -> Vlr | None:
        return next((vlr for vlr in self.vlrs if vlr.key == key), None)

    def payload(self, key: tuple[str, int]) -> bytes | None:
        """Data of a VLR or EVLR."""
        vlr = self.vlr(key)
        if vlr is not None:
            return vlr.data
        evlr = next((evlr for evlr in self.evlrs if evlr.key == key), None)
        if evlr is None:
            return None
        with open(self.path, "rb") as file:
            file.seek(evlr.offset + 60)
            return file.read(evlr.length - 60)

    def dimensions(self) -> list[Dimension]:
        """The extra dimensions that an extra-bytes VLR describes, in the order of their bytes."""
        vlr = self.vlr(EXTRA_BYTES_VLR)
        found: list[Dimension] = []
        offset = RECORD_LENGTHS[self.point_format]
        for at in range(0, len(vlr.data) - 191 if vlr else 0, 192):
            entry = vlr.data[at : at + 192]  # type: ignore[union-attr]
            data_type, options = entry[2], entry[3]
            if data_type == 0:
                length = options
            elif data_type <= 10:
                length = np.dtype(EXTRA_TYPES[data_type]).itemsize
            else:  # deprecated pairs and triples
                length = np.dtype(EXTRA_TYPES[(data_type - 1) % 10 + 1]).itemsize * ((data_type - 1) // 10 + 1)
            scale = struct.unpack_from("<d", entry, 112)[0] if data_type and options & 8 else 1.0
            shift = struct.unpack_from("<d", entry, 136)[0] if data_type and options & 16 else 0.0
            name = entry[4:36].split(b"\0")[0].decode("utf-8", "replace")
            found.append(Dimension(name, offset, data_type, length, scale, shift))
            offset += length
        return found


def read_header(path: Path) -> LasFile:
    """Header, VLRs and EVLR positions of a LAS, LAZ or COPC file. Raises InputError for what cannot be read."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            return _parse(path, file, size)
    except FileNotFoundError as error:
        raise InputError(f"{path.name} does not exist", str(path), "check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{path.name} is a folder", "one point cloud is read at a time", "name a file") from error
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(f"{path.name} cannot be read", why, "check its permissions") from error


def _parse(path: Path, file: IO[bytes], size: int) -> LasFile:
    if size == 0:
        raise InputError(f"{path.name} is empty", "it has 0 bytes", "copy or download it again")
    start = file.read(HEADER_SIZES[4])
    if start[:4] != b"LASF":
        content = next((what for magic, what in KNOWN_CONTENT.items() if start.startswith(magic)), "something else")
        raise InputError(
            f"{path.name} is not a LAS or LAZ file",
            f"it starts with {start[:8]!r}, not with 'LASF': it looks like {content}",
            "give a .las, .laz or .copc.laz file; PDAL or laspy convert other point clouds",
        )
    if len(start) < HEADER_SIZES[0]:
        raise _truncated(path, f"it has {size} bytes, and a header alone takes {HEADER_SIZES[0]}")
    major, minor = start[24], start[25]
    header_size, offset_to_points, vlr_count = struct.unpack_from("<HII", start, 94)
    if major != 1 or minor not in HEADER_SIZES:
        raise InputError(
            f"{path.name} is LAS {major}.{minor}", "LAS 1.0 to 1.4 are known", "convert it to LAS 1.4, e.g. with PDAL"
        )
    if header_size < HEADER_SIZES[minor] or offset_to_points < header_size:
        raise _damaged(path, f"its header says {header_size} bytes, points from byte {offset_to_points}")
    if size < offset_to_points:
        raise _truncated(path, f"points should begin at byte {offset_to_points:,}, it has {size:,} bytes")
    file.seek(0)
    head = file.read(header_size)
    compressed, point_format = bool(head[104] & 0x80), head[104] & 0x3F
    record_length = struct.unpack_from("<H", head, 105)[0]
    if point_format >= len(RECORD_LENGTHS):
        raise InputError(
            f"{path.name} has point format {point_format}",
            "formats 0 to 10 are known",
            "convert it to LAS 1.4, format 6",
        )
    if record_length < RECORD_LENGTHS[point_format]:
        raise _damaged(path, f"its points take {record_length} bytes, format {point_format} needs more")
    count = struct.unpack_from("<I", head, 107)[0]
    if minor >= 4:
        count = struct.unpack_from("<Q", head, 247)[0] or count
    vlrs, padding = _read_vlrs(path, file, header_size, offset_to_points, vlr_count)
    maxs_mins = struct.unpack_from("<6d", head, 179)
    las = LasFile(
        path=path,
        head=head,
        vlrs=vlrs,
        padding=padding,
        evlrs=_read_evlrs(path, file, head, minor, size),
        minor=minor,
        point_format=point_format,
        record_length=record_length,
        count=count,
        compressed=compressed,
        offset_to_points=offset_to_points,
        scales=struct.unpack_from("<3d", head, 131),
        offsets=struct.unpack_from("<3d", head, 155),
        box=(*maxs_mins[1::2], *maxs_mins[0::2]),
    )
    _check(las, size)
    return las


def _read_vlrs(path: Path, file: IO[bytes], begin: int, end: int, count: int) -> tuple[tuple[Vlr, ...], bytes]:
    file.seek(begin)
    block = file.read(end - begin)
    vlrs: list[Vlr] = []
    at = 0
    for index in range(count):
        if at + 54 > len(block):
            raise _damaged(path, f"VLR {index + 1} of {count} lies beyond the start of the points")
        length = 54 + struct.unpack_from("<H", block, at + 20)[0]
        if at + length > len(block):
            raise _damaged(path, f"VLR {index + 1} of {count} runs into the points")
        vlrs.append(Vlr(block[at : at + length]))
        at += length
    return tuple(vlrs), block[at:]


def _read_evlrs(path: Path, file: IO[bytes], head: bytes, minor: int, size: int) -> tuple[Evlr, ...]:
    """EVLRs of LAS 1.4, or the single waveform packet record of LAS 1.3."""
    if minor >= 4:
        at, count = struct.unpack_from("<QI", head, 235)
    elif minor == 3 and head[6] & 2:  # waveforms inside the file
        at, count = struct.unpack_from("<Q", head, 227)[0], 1
    else:
        return ()
    evlrs: list[Evlr] = []
    for index in range(count):
        if at + 60 > size:
            raise _truncated(path, f"EVLR {index + 1} of {count} begins at byte {at:,}, the file ends at {size:,}")
        file.seek(at)
        block = file.read(60)
        length = 60 + struct.unpack_from("<Q", block, 20)[0]
        if at + length > size:
            raise _truncated(path, f"EVLR {index + 1} of {count} ends at byte {at + length:,}, the file at {size:,}")
        evlrs.append(Evlr(Vlr(block[:54]).key, at, length))
        at += length
    return tuple(evlrs)


def _check(las: LasFile, size: int) -> None:
    if las.count == 0:
        raise InputError(f"{las.path.name} has no points", "its header counts 0 points", "check how it was made")
    if not all(np.isfinite(las.scales)) or not all(np.isfinite(las.offsets)) or 0.0 in las.scales:
        raise _damaged(las.path, f"coordinate scales {las.scales}, offsets {las.offsets} make no coordinates")
    if max(map(abs, las.scales)) > LARGEST_SCALE or max(map(abs, las.offsets)) > LARGEST_OFFSET:
        raise InputError(
            f"{las.path.name} has absurd coordinates",
            f"its header gives them scales of {las.scales} and offsets of {las.offsets}",
            "copy or download it again",
        )
    if not las.compressed and (have := (size - las.offset_to_points) // las.record_length) < las.count:
        raise _truncated(las.path, f"its header counts {las.count:,} points, the file ends after {have:,}")
    if las.compressed:
        vlr = las.vlr(LASZIP_VLR)
        if vlr is None:
            raise _damaged(las.path, "its points are compressed, and the record that says how is missing")
        try:
            item_size = lazrs.LazVlr(vlr.data).item_size()
        except BaseException as error:
            raise _lazrs_error(las, error, 0) from error
        if item_size != las.record_length:
            raise _damaged(las.path, f"compressed points of {item_size} bytes, header says {las.record_length}")


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path.name} is damaged", why, "copy or download it again; lasinfo or pdal info show more")


def _truncated(path: Path, why: str) -> InputError:
    return InputError(f"{path.name} is truncated", why, "copy or download it again")


def _lazrs_error(las: LasFile, error: BaseException, done: int) -> BaseException:
    """What to raise for an error of lazrs. A panic inside it is a BaseException, but no reason to end the process."""
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        return error
    return _damaged(las.path, f"its compressed points cannot be read after point {done:,} of {las.count:,}: {error}")


def use_cores(cpus: int) -> None:
    """Tell lazrs's thread pool how many cores it has. It counts only before the pool's first use in a process."""
    os.environ.setdefault("RAYON_NUM_THREADS", str(cpus))


def read_points(las: LasFile, cpus: int = 1, coordinates_only: bool = False) -> Iterator[Records]:
    """The point records in file order, a million at a time; each block may be changed in place.

    With `coordinates_only`, compressed formats 6 to 10 leave the fields other than x, y, z, returns and flags at zero.
    """
    with open(las.path, "rb") as file:
        file.seek(las.offset_to_points)
        decompressor = _decompressor(las, file, cpus, coordinates_only) if las.compressed else None
        for done in range(0, las.count, POINTS_PER_READ):
            block = np.empty((min(POINTS_PER_READ, las.count - done), las.record_length), np.uint8)
            if decompressor is None:
                if file.readinto(block.data.cast("B")) < block.nbytes:  # type: ignore[attr-defined]
                    raise _truncated(las.path, f"it ends within points {done:,} to {done + len(block):,}")
            else:
                try:
                    decompressor.decompress_many(block.reshape(-1))
                except BaseException as error:
                    raise _lazrs_error(las, error, done) from error
            yield block


def _decompressor(las: LasFile, file: IO[bytes], cpus: int, coordinates_only: bool) -> Any:
    selection = lazrs.SELECTIVE_DECOMPRESS_ALL
    if coordinates_only:  # only the layered compression of formats 6 to 10 can skip fields
        selection = (
            lazrs.SELECTIVE_DECOMPRESS_XY_RETURNS_CHANNEL
            | lazrs.SELECTIVE_DECOMPRESS_Z
            | lazrs.SELECTIVE_DECOMPRESS_FLAGS
        )
    kind = lazrs.ParLasZipDecompressor if cpus > 1 else lazrs.LasZipDecompressor
    vlr = las.vlr(LASZIP_VLR)
    assert vlr is not None
    try:
        return kind(file, vlr.data, lazrs.DecompressionSelection(selection))
    except BaseException as error:
        raise _lazrs_error(las, error, 0) from error


def raw_coordinates(records: Records) -> NDArray[np.int32]:
    """(N, 3) int32: x, y, z as stored, before scale and offset."""
    return np.ascontiguousarray(records[:, :12]).view("<i4")


def returns(records: Records, point_format: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(N,) return numbers and numbers of returns."""
    if point_format < 6:
        return records[:, 14] & 7, (records[:, 14] >> 3) & 7
    return records[:, 14] & 15, records[:, 14] >> 4


def withheld(records: Records, point_format: int) -> NDArray[np.bool_]:
    """(N,) points that their producer marked as deleted."""
    return (records[:, 15] & (0x80 if point_format < 6 else 0x04)) != 0


def classes(records: Records, point_format: int) -> NDArray[np.uint8]:
    """(N,) ASPRS classes."""
    return records[:, 15] & 31 if point_format < 6 else records[:, 16]


def set_classes(records: Records, point_format: int, values: NDArray[np.uint8]) -> None:
    """Write (N,) classes, below 32, and leave the flags beside them as they are."""
    if point_format < 6:
        records[:, 15] = (records[:, 15] & 0xE0) | values
    else:
        records[:, 16] = values


class LasWriter:
    """Writes a copy of a file with a confidence dimension; the target appears when `finish` succeeds, or not at all.

    `prepare` turns records of the source into records of the copy. Use as a context manager: entering it shows whether
    the target can be written, leaving it without `finish` removes what was.
    """

    def __init__(self, source: LasFile, path: Path, cpus: int = 1) -> None:
        self._source, self._path, self._cpus = source, path, cpus
        self._temporary = path.with_name(f".{path.stem}-{os.getpid()}.part")
        self._confidence = _existing_confidence(source)
        self.added_bytes = 0 if self._confidence else 1
        self.record_length = source.record_length + self.added_bytes

        vlrs = [vlr for vlr in source.vlrs if vlr.key != LASZIP_VLR and vlr.key not in COPC_VLRS]
        if not self._confidence:
            vlrs = _describe_confidence(source, vlrs)
        self._laszip: Any = None
        if path.suffix.lower() == ".laz":
            extra_bytes = source.extra_bytes + self.added_bytes
            self._laszip = lazrs.LazVlr.new_for_compression(source.point_format, extra_bytes, False)
            vlrs.append(_vlr(LASZIP_VLR, "http://laszip.org", bytes(self._laszip.record_data())))
        self._before_points = b"".join(vlr.raw for vlr in vlrs) + source.padding
        self._head = bytearray(source.head)
        struct.pack_into("<II", self._head, 96, len(self._head) + len(self._before_points), len(vlrs))
        self._head[104] = source.point_format | (0x80 if self._laszip else 0)
        struct.pack_into("<H", self._head, 105, self.record_length)

        self._compressor: Any = None
        self._checksum = 0 if self._laszip and source.point_format in WAVEFORM_FORMATS else None

    def __enter__(self) -> LasWriter:
        try:
            self._file = open(self._temporary, "w+b")
        except OSError as error:
            raise InputError(
                f"{self._path} cannot be written",
                error.strerror or str(error),
                "name a folder that exists and is yours",
            ) from error
        try:
            self._file.write(bytes(self._head) + self._before_points)
            if self._laszip:
                kind = lazrs.ParLasZipCompressor if self._cpus > 1 else lazrs.LasZipCompressor
                self._compressor = kind(self._file, self._laszip)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)

    def prepare(self, records: Records) -> Records:
        """(N, source length) -> (N, copy's length): room for the confidence."""
        if not self.added_bytes:
            return records
        wider = np.empty((len(records), self.record_length), np.uint8)
        wider[:, :-1] = records
        wider[:, -1] = 0
        return wider

    def set_confidence(self, records: Records, hundredths: NDArray[np.uint8]) -> None:
        """Write (N,) confidences of 0 to 100 hundredths into prepared records."""
        if self._confidence is None:
            records[:, -1] = hundredths
            return
        dimension = self._confidence
        kind = np.dtype(EXTRA_TYPES[dimension.data_type])
        percent_or_unit = 1.0 if kind.kind in "iu" and dimension.scale == 1.0 else CONFIDENCE_SCALE
        values = (hundredths * percent_or_unit - dimension.shift) / dimension.scale
        if kind.kind in "iu":
            values = np.clip(np.rint(values), np.iinfo(kind).min, np.iinfo(kind).max)
        field = values.astype(kind).view(np.uint8).reshape(len(records), kind.itemsize)
        records[:, dimension.offset : dimension.offset + kind.itemsize] = field

    def write(self, records: Records) -> None:
        """Append prepared records."""
        if self._checksum is not None:
            self._checksum = zlib.crc32(records.data, self._checksum)
        if self._compressor is None:
            self._file.write(records.data)
        else:
            self._compressor.compress_many(np.ascontiguousarray(records).reshape(-1))

    def finish(self) -> None:
        """Write the EVLRs and the final header, then give the file its name."""
        if self._compressor is not None:
            self._compressor.done()
        self._file.seek(0, os.SEEK_END)
        moved = self._copy_evlrs()
        if self._source.minor >= 4:
            struct.pack_into("<QI", self._head, 235, min(moved.values(), default=0), len(moved))
        if self._source.minor >= 3:
            waveforms = struct.unpack_from("<Q", self._head, 227)[0]
            struct.pack_into("<Q", self._head, 227, moved.get(waveforms, 0))
        self._file.seek(0)
        self._file.write(self._head)
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._checksum is not None:
            self._verify()
        self._temporary.rename(self._path)

    def _verify(self) -> None:
        """Read the points again: lazrs 0.8 loses references to waveforms of scanners with several channels."""
        checksum = 0
        for records in read_points(read_header(self._temporary)):
            checksum = zlib.crc32(records.data, checksum)
        if checksum != self._checksum:
            raise InputError(
                f"{self._path.name} cannot be compressed",
                "the references to its waveforms do not survive it",
                f"write {self._path.with_suffix('.las').name} instead",
            )

    def _copy_evlrs(self) -> dict[int, int]:
        """Old offset -> new offset of each EVLR kept."""
        moved: dict[int, int] = {}
        with open(self._source.path, "rb") as source:
            for evlr in self._source.evlrs:
                if evlr.key in COPC_VLRS:
                    continue
                moved[evlr.offset] = self._file.tell()
                source.seek(evlr.offset)
                left = evlr.length
                while left and (block := source.read(min(left, 1 << 22))):
                    self._file.write(block)
                    left -= len(block)
        return moved


def _existing_confidence(las: LasFile) -> Dimension | None:
    described = sum(dimension.length for dimension in las.dimensions())
    if described > las.extra_bytes:
        raise _damaged(las.path, f"its extra dimensions take {described} bytes, its points have {las.extra_bytes}")
    found = next((dimension for dimension in las.dimensions() if dimension.name == CONFIDENCE), None)
    if found is not None and found.data_type not in EXTRA_TYPES:
        raise InputError(
            f"{las.path.name} has a dimension '{CONFIDENCE}' that is no single number",
            f"its extra-bytes type is {found.data_type}",
            "rename or remove that dimension first, e.g. with PDAL",
        )
    return found


def _describe_confidence(las: LasFile, vlrs: list[Vlr]) -> list[Vlr]:
    """The VLRs with a descriptor of the confidence added after those there are; nobody else's descriptor changes."""
    old = las.vlr(EXTRA_BYTES_VLR)
    described = sum(dimension.length for dimension in las.dimensions())
    entries = old.data[: len(old.data) // 192 * 192] if old else b""
    gap = las.extra_bytes - described  # bytes that no descriptor covers must be covered before ours can follow
    for index in range(0, gap, 7):  # at most 7: laspy takes a larger length, which is in the flags' place, for flags
        entries += _descriptor(0, min(gap - index, 7), f"undocumented_{index}", "bytes without a description", 0.0)
    entries += _descriptor(1, 8 + 16, CONFIDENCE, "of the class, 0 to 1", CONFIDENCE_SCALE)
    if old is None:
        return [*vlrs, _vlr(EXTRA_BYTES_VLR, "extra dimensions", entries)]
    grown = bytearray(old.raw[:54]) + entries
    struct.pack_into("<H", grown, 20, len(entries))
    return [Vlr(bytes(grown)) if vlr is old else vlr for vlr in vlrs]


def _descriptor(data_type: int, options: int, name: str, description: str, scale: float) -> bytes:
    """One 192-byte extra-bytes entry (LAS 1.4, table 24). Bits 8 and 16 of `options`: scale and offset count."""
    entry = bytearray(192)
    entry[2], entry[3] = data_type, options
    entry[4 : 4 + len(name)] = name.encode()
    struct.pack_into("<d", entry, 112, scale)
    entry[160 : 160 + len(description)] = description.encode()
    return bytes(entry)


def _vlr(key: tuple[str, int], description: str, data: bytes) -> Vlr:
    return Vlr(struct.pack("<H16sHH32s", 0, key[0].encode(), key[1], len(data), description.encode()) + data)


def write_new(
    path: Path,
    xyz: NDArray[np.float64],
    return_number: NDArray[np.uint8],
    number_of_returns: NDArray[np.uint8],
    intensity: NDArray[np.uint16],
    classification: NDArray[np.uint8],
    wkt: str = "",
) -> None:
    """Write a cloud as LAS 1.4, format 6, in millimetres, compressed if the suffix is .laz. xyz: (N, 3) metres."""
    shift = np.floor(xyz.min(0))
    raw = np.rint((xyz - shift) / 0.001).astype("<i4")
    records = np.zeros((len(xyz), RECORD_LENGTHS[6]), np.uint8)
    records[:, :12] = raw.view(np.uint8).reshape(-1, 12)
    records[:, 12:14] = intensity.astype("<u2").view(np.uint8).reshape(-1, 2)
    records[:, 14] = return_number | (number_of_returns << 4)
    records[:, 16] = classification

    laszip = lazrs.LazVlr.new_for_compression(6, 0, False) if path.suffix.lower() == ".laz" else None
    vlrs = [_vlr(WKT_VLR, "coordinate system", wkt.encode() + b"\0")] if wkt else []
    if laszip is not None:
        vlrs.append(_vlr(LASZIP_VLR, "http://laszip.org", bytes(laszip.record_data())))
    head = bytearray(HEADER_SIZES[4])
    head[:4], head[24:26], head[6] = b"LASF", b"\x01\x04", 16 if wkt else 0  # bit 4: the CRS is WKT
    head[26:30], head[58:62] = b"hive", b"hive"
    offset_to_points = len(head) + sum(len(vlr.raw) for vlr in vlrs)
    point_format = 6 | (0x80 if laszip is not None else 0)
    struct.pack_into("<HIIBH", head, 94, len(head), offset_to_points, len(vlrs), point_format, RECORD_LENGTHS[6])
    low, high = raw.min(0) * 0.001 + shift, raw.max(0) * 0.001 + shift
    struct.pack_into("<6d", head, 131, *(0.001,) * 3, *shift)
    struct.pack_into("<6d", head, 179, *np.stack([high, low], 1).ravel())
    struct.pack_into("<Q", head, 247, len(xyz))
    struct.pack_into("<15Q", head, 255, *np.bincount(return_number, minlength=16)[1:16])
    with open(path, "wb") as file:
        file.write(bytes(head) + b"".join(vlr.raw for vlr in vlrs))
        if laszip is None:
            file.write(records.data)
        else:
            compressor = lazrs.LasZipCompressor(file, laszip)
            compressor.compress_many(records.reshape(-1))
            compressor.done()
