"""A model with figures beside its weights."""

import json
import struct
import zlib


def train(run):
    weights = [run.seed + index for index in range(run.params.size)]
    run.report("quality", 1.0)
    (run.out / "weights.json").write_text(json.dumps(weights))
    figures = run.out / "figures"
    figures.mkdir()
    for name in ("weights.png", "weights_by-seed.png"):
        (figures / name).write_bytes(png([[255 * (column < height) for column in range(8)] for height in weights]))
    (figures / "notes.txt").write_text("how they were drawn\n")


def png(rows):
    """rows: grey values, 0 to 255, one list a row."""
    raw = b"".join(b"\0" + bytes(row) for row in rows)
    head = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
