"""Bytes from a hostile consensus engine: refused as malformed, or read, and never anything else."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from bezant.chain.cometbft import wire
from bezant.chain.cometbft.messages import FinalizeBlock, decode_request
from bezant.chain.cometbft.server import split_frames
from bezant.errors import DecodeError

MOST_BYTES = 4 << 20


def _read_or_refuse(message: bytes) -> None:
    """Fails on whatever is raised beside DecodeError."""
    with suppress(DecodeError):
        decode_request(memoryview(message))


@given(st.binary(max_size=300))
@example(bytes.fromhex("a201ffffffffffffffffff01"))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    _read_or_refuse(data)


@given(
    st.integers(1, 22),
    st.lists(st.tuples(st.integers(0, 9), st.binary(max_size=40) | st.integers(0, 2**64 - 1))),
)
def test_no_message_of_any_fields_does_more_than_be_refused(
    number: int, parts: list[tuple[int, bytes | int]]
) -> None:
    body = b"".join(
        wire.put_integer(field, value) if isinstance(value, int) else wire.put_part(field, value)
        for field, value in parts
    )
    _read_or_refuse(wire.put_part(number, body))


@given(st.lists(st.binary(max_size=50)), st.integers(0, 2**62), st.data())
def test_orders_of_a_block_come_back_and_a_flipped_byte_breaks_nothing(
    orders: list[bytes], height: int, data: st.DataObject
) -> None:
    body = b"".join(wire.put_part(1, order) for order in orders) + wire.put_integer(5, height)
    message = bytearray(wire.put_part(20, body + wire.put_part(6, wire.put_integer(1, 17))))
    assert decode_request(memoryview(bytes(message))) == FinalizeBlock(tuple(orders), b"", height, 17 * 10**9)
    message[data.draw(st.integers(0, len(message) - 1))] ^= data.draw(st.integers(1, 255))
    _read_or_refuse(bytes(message))


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=20))
def test_no_stream_takes_memory_for_what_it_only_claims(chunks: list[bytes]) -> None:
    stream = iter(chunks)
    tracemalloc.start()
    with suppress(DecodeError):
        for _ in split_frames(lambda missing: next(stream, b"")):
            pass
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < MOST_BYTES
