"""Frames: what is written is read back, and nothing else is taken for a frame."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.chain.blocks import AppHash
from bezant.chain.storage import frames
from bezant.chain.storage.frames import JournaledBlock
from bezant.errors import DecodeError
from bezant.model.identifiers import AuthorityId
from bezant.model.keys import authority_id
from bezant.model.orders import Order, attest
from bezant.model.records import DECISION, Kind
from bezant.testing.ledgers import ALICE, GATEWAY, Scribe, record

NETWORK = bytes(range(32))


def order(count: int = 2) -> Order:
    scribe = Scribe(NETWORK)
    rows = [record(Kind.TRANSFER, id=scribe.new_id(), debtor=1, creditor=2, amount=5) for _ in range(count)]
    batch = scribe.batch(*[(ALICE, row) for row in rows])
    gateway = AuthorityId(authority_id(GATEWAY.public))
    decisions = np.zeros(count, DECISION)
    return attest(NETWORK, Order(gateway, batch.authorisations, batch.records, decisions), GATEWAY)


def block(orders: int) -> JournaledBlock:
    flags = np.array([1, 0] * orders, np.uint8)
    return JournaledBlock(
        7, 123, AppHash.known(bytes(range(32, 64))), tuple(order() for _ in range(orders)), flags, 1 - flags
    )


@pytest.mark.parametrize("orders", [0, 1, 3])
def test_a_block_comes_back(orders: int) -> None:
    written = block(orders)
    body = frames.encode_block(NETWORK, written)
    read = frames.decode_block(body, NETWORK)
    assert (read.height, read.time_ns, read.previous_app_hash) == (7, 123, written.previous_app_hash)
    assert [o.records.tobytes() for o in read.orders] == [o.records.tobytes() for o in written.orders]
    assert read.authentic.tolist() == written.authentic.tolist()
    assert read.accepted.tolist() == written.accepted.tolist()
    assert frames.encode_block(NETWORK, read) == body


def test_every_truncation_of_a_block_is_refused() -> None:
    body = frames.encode_block(NETWORK, block(2))
    for end in range(len(body)):
        with pytest.raises(DecodeError):
            frames.decode_block(body[:end], NETWORK)
    with pytest.raises(DecodeError):
        frames.decode_block(body + b"\0", NETWORK)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 63, 64, 65, 1000])
def test_a_frame_comes_back_aligned(length: int) -> None:
    body = bytes(i % 251 for i in range(length))
    encoded = frames.encode_frame(5, 4, body)
    assert len(encoded) == frames.frame_size(length)
    assert len(encoded) % frames.FRAME_ALIGNMENT == 0
    frame = frames.read_frame(memoryview(bytes(8) + encoded), 8)
    assert frame is not None
    assert (frame.offset, frame.size, frame.height, frame.durable) == (8, len(encoded), 5, 4)
    assert bytes(frame.body) == body


def test_every_bit_of_a_frame_is_covered() -> None:
    body = bytes(range(40))
    encoded = frames.encode_frame(5, 4, body)
    for at in range(len(encoded)):
        for bit in range(8):
            changed = bytearray(encoded)
            changed[at] ^= 1 << bit
            assert frames.read_frame(memoryview(bytes(changed)), 0) is None, f"byte {at} bit {bit}"


def test_every_truncation_of_a_frame_is_no_frame() -> None:
    encoded = frames.encode_frame(1, 0, bytes(40))
    for end in range(len(encoded)):
        assert frames.read_frame(memoryview(encoded[:end]), 0) is None


def test_a_hostile_length_is_no_frame() -> None:
    header = np.frombuffer(frames.encode_frame(1, 0, b""), frames.FRAME_HEADER).copy()
    for length in (1, 2**31, 2**63, 2**64 - 1):
        header["length"] = length
        assert frames.read_frame(memoryview(header.tobytes() + bytes(64)), 0) is None


def test_frames_are_found_behind_damage() -> None:
    first, second, third = (frames.encode_frame(n, n - 1, bytes([n]) * 20) for n in (1, 2, 3))
    raw = memoryview(b"BZFR and no frame" + first[:-6] + second + third + bytes(10))
    assert [frame.height for frame in frames.find_frames(raw, 0)] == [2, 3]
