"""Protocol buffers as far as ABCI needs them: numbered fields of integers and bytes, frames with a length.

A few messages with few fields carry all the load, most of it one field of bytes: reading those by hand
takes no dependency, copies nothing twice, and says of every hostile length what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator

from bezant.errors import DecodeError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10
Value = int | memoryview


def encode_varint(value: int) -> bytes:
    """Return an unsigned LEB128 integer; a negative one as 64 bits in two's complement."""
    value &= 0xFFFFFFFFFFFFFFFF
    if value < 0x80:
        return value.to_bytes(1, "little")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return an unsigned integer below 2**64 and where the next byte is. Raises: DecodeError."""
    value = shift = 0
    for position in range(at, min(at + MAX_VARINT_BYTES, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, position + 1
        shift += 7
    raise DecodeError(f"there is no integer at byte {at} of a message", code="abci_malformed")


def signed(value: int) -> int:
    """Return the int64 or int32 that a varint stands for."""
    return value - (1 << 64) if value >> 63 else value


def fields(data: memoryview) -> Iterator[tuple[int, Value]]:
    """Yield (number, value) of every field, in the order they come; bytes as a view, nothing copied.

    Raises: DecodeError for what is no message.
    """
    at, end = 0, len(data)
    while at < end:
        key, at = decode_varint(data, at)
        number, kind = key >> 3, key & 7
        value: Value
        if kind == VARINT:
            value, at = decode_varint(data, at)
        else:
            if kind == BYTES:
                length, at = decode_varint(data, at)
            elif kind in (FIXED64, FIXED32):
                length = 8 if kind == FIXED64 else 4
            else:
                raise DecodeError(f"field {number} is of the unknown kind {kind}", code="abci_malformed")
            if length > end - at:
                raise DecodeError(
                    f"field {number} claims {length} bytes where {end - at} are left", code="abci_malformed"
                )
            value = data[at : at + length]
            at += length
        if not number:
            raise DecodeError("a field has the number 0", code="abci_malformed")
        yield number, value


def integer(value: Value) -> int:
    """Return a field that has to be an integer, signed. Raises: DecodeError."""
    if not isinstance(value, int):
        raise DecodeError("a field holds bytes where an integer belongs", code="abci_malformed")
    return signed(value)


def octets(value: Value) -> memoryview:
    """Return a field that has to be bytes. Raises: DecodeError."""
    if isinstance(value, int):
        raise DecodeError("a field holds an integer where bytes belong", code="abci_malformed")
    return value


def text(value: Value) -> str:
    """Return a field that has to be text. Raises: DecodeError."""
    try:
        return str(octets(value), "utf-8")
    except UnicodeDecodeError:
        raise DecodeError("a field holds bytes that are no text", code="abci_malformed") from None


def put_integer(number: int, value: int) -> bytes:
    """Return an integer field, nothing for 0 as proto3 has it."""
    return encode_varint(number << 3 | VARINT) + encode_varint(value) if value else b""


def put_bytes(number: int, value: bytes) -> bytes:
    """Return a field of bytes, nothing where there are none as proto3 has it."""
    return put_part(number, value) if value else b""


def put_part(number: int, value: bytes) -> bytes:
    """Return a field of bytes or a nested message that is there even if it is empty, as repeated ones are."""
    return b"".join((encode_varint(number << 3 | BYTES), encode_varint(len(value)), value))


def framed(message: bytes) -> bytes:
    """Return a message with its length in front, as it goes over the socket."""
    return encode_varint(len(message)) + message
