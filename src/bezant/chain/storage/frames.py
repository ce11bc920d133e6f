"""The bytes of a journal: segments of checksummed frames, one block in each.

::

    segment   64-byte header, then frames one after another, then zeros (preallocated)
    frame     64-byte header (with a SHA-256 over the header's own fields and the body), body
    body      block header 64, per Order: length u64 and its bytes, then per Authorisation
              two bytes: authentic, accepted; then per REVERSE or LABEL its ORIGINAL, 48 bytes;
              then the FAULTs of validators, 40 bytes each

A frame without a body is a mark: it stands where the next frame will, and says the height before it.

A frame also says up to which height everything was durable when it was written. That tells
a write that a crash tore (above that height: cut it off, nobody was told of it) from damage
to something that was acknowledged (at or below it: refuse).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bezant.chain.blocks import AppHash
from bezant.errors import DecodeError
from bezant.ledger.batch import no_faults, no_originals
from bezant.model.digest import sha256
from bezant.model.layouts import packer
from bezant.model.orders import Order, decode_order, encode_order
from bezant.model.records import FAULT, ORIGINAL, RecordArray, names_original

SEGMENT_HEADER = np.dtype(
    [
        ("magic", "S8"),
        ("version", "<u4"),
        ("number", "<u4"),
        ("first_height", "<u8"),
        ("network", "u1", (32,)),
        ("size", "<u8"),
    ]
)
"""`size` is the length the file was made with, so that a shortened one shows."""
FRAME_HEADER = np.dtype(
    [
        ("magic", "S4"),
        ("version", "<u4"),
        ("length", "<u8"),
        ("height", "<u8"),
        ("durable", "<u8"),
        ("check", "u1", (32,)),
    ]
)
BLOCK_HEADER = np.dtype(
    [
        ("height", "<u8"),
        ("time_ns", "<u8"),
        ("orders", "<u4"),
        ("authorisations", "<u4"),
        ("previous_app_hash", "u1", (32,)),
        ("originals", "<u4"),
        ("faults", "<u4"),
    ]
)
SEGMENT_MAGIC, FRAME_MAGIC, VERSION = b"BZSEGMNT", b"BZFR", 1
FRAME_ALIGNMENT = 8
_pack_frame, _pack_block = packer(FRAME_HEADER), packer(BLOCK_HEADER)


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What a segment says of itself; `size` in bytes."""

    number: int
    first_height: int
    network: bytes
    size: int


@dataclass(frozen=True, slots=True)
class JournaledBlock:
    """A block as the journal keeps it: what was ordered and what was found of its signatures."""

    height: int
    time_ns: int
    previous: AppHash
    orders: tuple[Order, ...]
    authentic: npt.NDArray[np.uint8]
    accepted: npt.NDArray[np.uint8]
    originals: RecordArray = field(default_factory=no_originals)
    faults: RecordArray = field(default_factory=no_faults)

    @property
    def previous_app_hash(self) -> bytes:
        return self.previous.value


def encode_block(network: bytes, block: JournaledBlock) -> bytes:
    """Return a frame's body."""
    counts = len(block.orders), len(block.authentic)
    beside = len(block.originals), len(block.faults)
    parts = [_pack_block(block.height, block.time_ns, *counts, block.previous_app_hash, *beside)]
    for order in block.orders:
        encoded = encode_order(network, order)
        parts += (len(encoded).to_bytes(8, "little"), encoded)
    parts += (block.authentic.tobytes(), block.accepted.tobytes(), block.originals.tobytes())
    parts.append(block.faults.tobytes())
    return b"".join(parts)


def decode_block(body: bytes | memoryview, network: bytes) -> JournaledBlock:
    """Return the block in a frame's body. Raises: DecodeError."""
    if len(body) < BLOCK_HEADER.itemsize:
        raise DecodeError("a block is cut short", code="block_malformed")
    header = np.frombuffer(body, BLOCK_HEADER, 1)[0]
    at, view, orders = BLOCK_HEADER.itemsize, memoryview(body), []
    for _ in range(int(header["orders"])):
        length = int.from_bytes(view[at : at + 8], "little")
        if at + 8 + length > len(view):
            raise DecodeError("an Order runs past its block", code="block_malformed")
        orders.append(decode_order(view[at + 8 : at + 8 + length], network))
        at += 8 + length
    many, originals = int(header["authorisations"]), int(header["originals"])
    faults, behind = int(header["faults"]), at + 2 * many + originals * ORIGINAL.itemsize
    if len(view) != behind + faults * FAULT.itemsize:
        raise DecodeError("a block has bytes that belong to nothing", code="block_malformed")
    # What is read beside the Orders goes into compiled code, which checks no bounds.
    naming = sum(int(np.count_nonzero(names_original(order.records))) for order in orders)
    marks = np.frombuffer(view, np.uint8, 2 * many, at).copy()
    if many != sum(len(order.authorisations) for order in orders) or originals != naming or (marks > 1).any():
        raise DecodeError(
            "a block says other than its Orders how many signatures and originals there are",
            code="block_malformed",
        )
    return JournaledBlock(
        int(header["height"]),
        int(header["time_ns"]),
        AppHash.known(header["previous_app_hash"].tobytes()),
        tuple(orders),
        marks[:many],
        marks[many:],
        np.frombuffer(view, ORIGINAL, originals, at + 2 * many).copy(),
        np.frombuffer(view, FAULT, faults, behind).copy(),
    )


def _frame_header(height: int, durable: int, body: bytes | memoryview) -> bytes:
    fields = FRAME_MAGIC, VERSION, len(body), height, durable
    return _pack_frame(*fields, sha256(_pack_frame(*fields, bytes(32)), body))


def encode_frame(height: int, durable: int, body: bytes) -> bytes:
    """Return header, body and the zeros that align the next frame."""
    return b"".join((_frame_header(height, durable, body), body, bytes(-len(body) % FRAME_ALIGNMENT)))


def frame_size(body_length: int) -> int:
    return FRAME_HEADER.itemsize + body_length + -body_length % FRAME_ALIGNMENT


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that checked out: where it starts, how long it is, and its body."""

    offset: int
    size: int
    height: int
    durable: int
    body: memoryview

    @property
    def is_mark(self) -> bool:
        return not self.body


def read_frame(segment: memoryview, offset: int) -> Frame | None:
    """Return the frame at `offset`, or None where there is no intact one."""
    if offset + FRAME_HEADER.itemsize > len(segment):
        return None
    header = np.frombuffer(segment, FRAME_HEADER, 1, offset)[0]
    length, start = int(header["length"]), offset + FRAME_HEADER.itemsize
    if header["magic"] != FRAME_MAGIC or header["version"] != VERSION or start + length > len(segment):
        return None
    body = segment[start : start + length]
    height, durable = int(header["height"]), int(header["durable"])
    if _frame_header(height, durable, body) != bytes(segment[offset:start]):
        return None
    return Frame(offset, frame_size(length), height, durable, body)


def find_frames(segment: memoryview, offset: int) -> Iterator[Frame]:
    """Yield every intact frame at or behind `offset`; what recovery looks for behind damage."""
    raw = segment.obj if isinstance(segment.obj, bytes) else bytes(segment)
    at = raw.find(FRAME_MAGIC, offset)
    while at >= 0:
        frame = read_frame(segment, at)
        if frame is not None:
            yield frame
        at = raw.find(FRAME_MAGIC, at + (FRAME_HEADER.itemsize + len(frame.body) if frame else 1))


def encode_segment_header(network: bytes, number: int, first_height: int, size: int) -> bytes:
    header = np.zeros(1, SEGMENT_HEADER)
    header["magic"], header["version"], header["number"] = SEGMENT_MAGIC, VERSION, number
    header["first_height"], header["network"] = first_height, np.frombuffer(network, np.uint8)
    header["size"] = size
    return header.tobytes()


def decode_segment_header(segment: bytes | memoryview) -> SegmentHeader:
    """Return what a segment says of itself. Raises: DecodeError."""
    if len(segment) < SEGMENT_HEADER.itemsize:
        raise DecodeError("a journal segment is shorter than its header", code="segment_malformed")
    header = np.frombuffer(segment, SEGMENT_HEADER, 1)[0]
    if header["magic"] != SEGMENT_MAGIC or header["version"] != VERSION:
        raise DecodeError("this is not a journal segment of version 1", code="segment_malformed")
    return SegmentHeader(
        int(header["number"]),
        int(header["first_height"]),
        header["network"].tobytes(),
        int(header["size"]),
    )
