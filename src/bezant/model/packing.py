"""An Order as it travels between validators: what all its rows have in common is sent once.

Most of a row's bytes are the same in every row of an Order: upper halves of numbers, the asset, the
model, times, what is not used. Every validator gets every Order, several times over, so its bytes are
what a network's capacity goes into. Little-endian, no padding::

    header 64, magic BZOP | three parts: AUTHORISATION, RECORD, DECISION | gateway signature 64

    part: which of a row's W bytes vary, W/8, least significant bit first
          | one byte for each that does not | of each row those that do

What is hashed and signed is the Order as `orders` has it. Each Order has one packed form, and travels
packed where that is shorter: otherwise a stranger could send the same Order in many names.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from bezant.errors import DecodeError
from bezant.model.digest import as_rows
from bezant.model.identifiers import AuthorityId, join
from bezant.model.orders import (
    HEADER,
    MAX_ORDER_BYTES,
    SIGNATURE_BYTES,
    Order,
    check_coverage,
    encode_order,
    order_bytes,
    read_header,
)
from bezant.model.records import AUTHORISATION, DECISION, RECORD, RecordArray

MAGIC: Final = b"BZOP"
_PARTS: Final = (AUTHORISATION, RECORD, DECISION)


def pack_order(network: bytes, order: Order) -> bytes:
    """Return what an Order travels as: its packed form, or its own bytes where that is not shorter or they
    are more than MAX_ORDER_BYTES."""
    whole = encode_order(network, order)
    header = MAGIC + whole[len(MAGIC) : HEADER.itemsize]
    parts = (order.authorisations, order.records, order.decisions)
    if len(whole) > MAX_ORDER_BYTES or not all(map(len, parts)):
        return whole
    packed = b"".join((header, *map(_pack, parts), order.signature))
    return packed if len(packed) < len(whole) else whole


def is_packed(data: bytes | memoryview) -> bool:
    return bytes(data[: len(MAGIC)]) == MAGIC


def unpack_order(data: bytes | memoryview, network: bytes) -> Order:
    """Return the Order in its packed form; columns are copies.

    Only the shape is checked here, as by `decode_order`, and that this is the form `pack_order` gives it.
    Lengths are compared before anything is allocated. Raises: DecodeError.
    """
    if len(data) < HEADER.itemsize + SIGNATURE_BYTES:
        raise DecodeError(f"an Order of {len(data)} bytes is cut short", code="order_truncated")
    header = read_header(data, network, MAGIC)
    counts = (int(header["authorisations"]), int(header["records"]), int(header["records"]))
    whole = order_bytes(counts[0], counts[1])
    if not len(data) < whole <= MAX_ORDER_BYTES or not all(counts):
        raise DecodeError(
            f"{len(data)} bytes are not the packed form of an Order of {whole} bytes; only what becomes "
            f"shorter is packed, and {MAX_ORDER_BYTES} bytes is the most",
            code="order_length",
        )
    left = memoryview(data)[HEADER.itemsize :]
    parts: list[RecordArray] = []
    for dtype, count in zip(_PARTS, counts, strict=True):
        rows, left = _unpack(left, dtype, count)
        parts.append(rows)
    if len(left) != SIGNATURE_BYTES:
        raise DecodeError(f"{len(left)} bytes are left for a packed Order's signature", code="order_length")
    authorisations, records, decisions = parts
    check_coverage(authorisations, len(records))
    gateway = AuthorityId(join(header["gateway_lo"], header["gateway_hi"]))
    return Order(gateway, authorisations, records, decisions, bytes(left))


def _pack(rows: RecordArray) -> bytes:
    """Return one part. Which bytes vary is found eight at a time, by the bits in which rows differ."""
    words = as_rows(rows).view("<u8")
    varies = np.bitwise_or.reduce(words ^ words[0], axis=0).view(np.uint8) != 0
    octets = as_rows(rows)
    return b"".join(
        (
            np.packbits(varies, bitorder="little").tobytes(),
            octets[0][~varies].tobytes(),
            np.compress(varies, octets, axis=1).tobytes(),
        )
    )


def _unpack(data: memoryview, dtype: np.dtype[np.void], count: int) -> tuple[RecordArray, memoryview]:
    """Return the rows of one part, and what is behind it. Raises: DecodeError."""
    width, bits = dtype.itemsize, dtype.itemsize // 8
    if len(data) < bits:
        raise DecodeError("a packed Order is cut short", code="order_length")
    varies = np.unpackbits(np.frombuffer(data, np.uint8, bits), bitorder="little").view(np.bool_)
    varying = int(np.count_nonzero(varies))
    end = bits + width - varying + count * varying
    if len(data) < end:
        raise DecodeError("a packed Order is cut short", code="order_length")
    common = np.zeros(width, np.uint8)
    common[~varies] = np.frombuffer(data, np.uint8, width - varying, bits)
    each = np.frombuffer(data, np.uint8, count * varying, bits + width - varying).reshape(count, varying)
    if not (each != each[0]).any(axis=0).all():
        raise DecodeError("a packed Order repeats in each row what all have in common", code="order_packing")
    octets = np.empty((count, width), np.uint8)
    octets[:] = common
    octets[:, varies] = each
    return octets.reshape(-1).view(dtype), data[end:]
