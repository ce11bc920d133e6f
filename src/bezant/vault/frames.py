"""How one batch of sealed rows lies on disk.

A frame begins at a multiple of 64 bytes and is::

    HEADER                       128 bytes, checksummed by itself
    ids_lo, ids_hi               rows x u64 each
    party                        rows x u32
    lengths                      rows x u32, only if `width` is VARIABLE; lengths of the plain texts
    ciphertexts                  each TAG_BYTES longer than its text
    zeros                        up to the next multiple of 64

`durable` says up to which offset of the segment the writer knew everything to be on disk when it
wrote this frame. That is what tells a torn tail from damage: a broken frame that no later frame
calls durable was never acknowledged and may be cut off; one that was must not be.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from bezant.model.layouts import packer
from bezant.vault.sealing import TAG_BYTES, I64Array, U8Array, U32Array, U64Array

HEADER = np.dtype(
    [
        ("magic", "<u8"),
        ("sequence", "<u8"),
        ("durable", "<u8"),
        ("body_bytes", "<u8"),
        ("min_lo", "<u8"),
        ("min_hi", "<u8"),
        ("max_lo", "<u8"),
        ("max_hi", "<u8"),
        ("nonce", "u1", (16,)),
        ("rows", "<u4"),
        ("width", "<u4"),
        ("kind", "<u2"),
        ("version", "<u2"),
        ("columns_crc", "<u4"),
        ("blob_crc", "<u4"),
        ("reserved", "u1", (24,)),
        ("header_crc", "<u4"),
    ]
)
_pack_header, _CHECK_BYTES = packer(HEADER), HEADER["header_crc"].itemsize
MAGIC: Final = 0x31544C5541565A42  # "BZVAULT1" in the file
ALIGNMENT: Final = 64
VARIABLE: Final = 0xFFFFFFFF
CLOSING: Final = 0
"""The kind of the empty frame that a clean close leaves: it calls everything before it durable."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What can be read of a batch without any key.

    ids_lo, ids_hi (n,) uint64; party (n,) uint32; offsets (n + 1,) int64 into the plain texts.
    """

    ids_lo: U64Array
    ids_hi: U64Array
    party: U32Array
    offsets: I64Array

    def sealed_span(self, row: int) -> tuple[int, int]:
        """Return where row's ciphertext starts and ends in the ciphertexts."""
        start, end = int(self.offsets[row]), int(self.offsets[row + 1])
        return start + row * TAG_BYTES, end + (row + 1) * TAG_BYTES


def uniform_offsets(rows: int, width: int) -> I64Array:
    return np.arange(rows + 1, dtype=np.int64) * width


def encode_frame(
    kind: int, sequence: int, durable: int, nonce: bytes, columns: Columns, width: int, sealed: U8Array
) -> bytes:
    """Return the whole frame, padding included."""
    parts = [columns.ids_lo.tobytes(), columns.ids_hi.tobytes(), columns.party.tobytes()]
    if width == VARIABLE:
        parts.append(np.diff(columns.offsets).astype(np.uint32).tobytes())
    column_bytes, blob = b"".join(parts), sealed.tobytes()
    rows, size = len(columns.party), len(column_bytes) + len(blob)
    spans = (*_extreme(columns, first=True), *_extreme(columns, first=False)) if rows else (0, 0, 0, 0)
    checks = zlib.crc32(column_bytes), zlib.crc32(blob)
    header = _pack_header(
        MAGIC, sequence, durable, size, *spans, nonce, rows, width, kind, 1, *checks, bytes(24), 0
    )
    check = _header_crc(header).to_bytes(_CHECK_BYTES, "little")
    return b"".join((header[:-_CHECK_BYTES], check, column_bytes, blob, bytes(-size % ALIGNMENT)))


def parse_header(data: bytes) -> np.void | None:
    """Return the header that these bytes begin with, None if there is no whole and true one."""
    if len(data) < HEADER.itemsize:
        return None
    header = np.frombuffer(data, HEADER, 1)[0]
    true = int(header["magic"]) == MAGIC and int(header["header_crc"]) == _header_crc(data)
    return header if true and int(header["version"]) == 1 else None


def columns_bytes(header: np.void) -> int:
    per_row = 20 + (4 if int(header["width"]) == VARIABLE else 0)
    return int(header["rows"]) * per_row


def frame_bytes(header: np.void) -> int:
    size = HEADER.itemsize + int(header["body_bytes"])
    return size + -size % ALIGNMENT


def parse_columns(header: np.void, data: bytes) -> Columns | None:
    """Return the columns, None if their checksum differs. `data` is exactly their bytes."""
    if zlib.crc32(data) != int(header["columns_crc"]):
        return None
    rows, width = int(header["rows"]), int(header["width"])
    ids_lo = np.frombuffer(data, np.uint64, rows)
    ids_hi = np.frombuffer(data, np.uint64, rows, 8 * rows)
    party = np.frombuffer(data, np.uint32, rows, 16 * rows)
    if width != VARIABLE:
        return Columns(ids_lo, ids_hi, party, uniform_offsets(rows, width))
    offsets = np.zeros(rows + 1, np.int64)
    np.cumsum(np.frombuffer(data, np.uint32, rows, 20 * rows), out=offsets[1:])
    return Columns(ids_lo, ids_hi, party, offsets)


def body_is_whole(header: np.void, body: bytes) -> bool:
    """Return whether columns and ciphertexts have the checksums that the header names."""
    if len(body) < int(header["body_bytes"]):
        return False
    split = columns_bytes(header)
    return zlib.crc32(body[:split]) == int(header["columns_crc"]) and zlib.crc32(
        body[split : int(header["body_bytes"])]
    ) == int(header["blob_crc"])


def _extreme(columns: Columns, *, first: bool) -> tuple[int, int]:
    """Return the first or the last id (low, high)."""
    pick = np.min if first else np.max
    high = pick(columns.ids_hi)
    return int(pick(columns.ids_lo[columns.ids_hi == high])), int(high)


def _header_crc(data: bytes) -> int:
    return zlib.crc32(data[: HEADER.itemsize - _CHECK_BYTES])
