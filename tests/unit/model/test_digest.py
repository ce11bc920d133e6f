"""SHA-256 against the standard library's, both ways to compute a block."""

from __future__ import annotations

import ctypes
import hashlib

import numpy as np
import pytest
from numba import njit, types

from bezant.model import digest
from bezant.model.digest import address, as_rows, digest_rows, sha256
from bezant.model.records import RECORD
from bezant.model.sha256 import LANES, SHA256_START, compress, compress_in_c, compress_lanes


@pytest.mark.parametrize("lead", [0, 1, 24, 55, 64])
@pytest.mark.parametrize("width", [1, 8, 54, 55, 56, 63, 64, 65, 119, 120, 128, 129, 1000])
def test_rows_are_hashed_as_hashlib_does(lead: int, width: int) -> None:
    """Around every boundary of SHA-256's blocks and padding."""
    rows = np.random.default_rng(lead * 1009 + width).integers(0, 256, (5, width), dtype=np.uint8)
    prefix = bytes(range(lead))
    expected = [hashlib.sha256(prefix + row.tobytes()).digest() for row in rows]
    assert [row.tobytes() for row in digest_rows(prefix, rows)] == expected


@pytest.mark.parametrize("count", [1, 4, 5, 15, 16, 17, 40])
def test_any_number_of_rows_is_hashed_as_hashlib_does(count: int) -> None:
    """One by one, some lanes of a vector, all of them, and several vectors after each other."""
    random = np.random.default_rng(count)
    for length in range(301):
        rows = random.integers(0, 256, (count, length), dtype=np.uint8)
        prefix = random.bytes(length % 3)
        expected = [hashlib.sha256(prefix + row.tobytes()).digest() for row in rows]
        assert [row.tobytes() for row in digest_rows(prefix, rows)] == expected


def test_lanes_compress_as_single_blocks_do() -> None:
    """Also where the processor's vectors are too narrow for kernels to use them."""
    random = np.random.default_rng(3)
    blocks = random.integers(0, 256, (LANES, 3, 64), dtype=np.uint8)
    single, lanes = np.tile(SHA256_START, (LANES, 1)), np.repeat(SHA256_START, LANES).reshape(8, LANES)
    for at in range(3):
        for lane in range(LANES):
            compress(single[lane], blocks[lane, at])
        compress_every_lane(lanes, blocks[:, at:], blocks.strides[0])
        assert (single == lanes.T).all()


@njit
def compress_every_lane(state, blocks, stride):  # type: ignore[no-untyped-def]
    compress_lanes(address(state), address(blocks), types.uintp(stride))


def test_no_rows_are_no_digests() -> None:
    assert digest_rows(b"x", np.zeros((0, 7), np.uint8)).shape == (0, 32)


def padded(message: bytes) -> bytes:
    zeros = -(len(message) + 9) % 64
    return message + b"\x80" + bytes(zeros) + (8 * len(message)).to_bytes(8, "big")


@pytest.mark.parametrize("length", [0, 1, 3, 55, 56, 63, 64, 65, 127, 128, 500])
def test_the_fallback_compresses_as_hashlib_does(length: int) -> None:
    message = np.random.default_rng(length).bytes(length)
    state = SHA256_START.copy()
    blocks = np.frombuffer(padded(message), np.uint8).reshape(-1, 64)
    for block in blocks:
        compress(state, block)
    assert state.astype(">u4").tobytes() == hashlib.sha256(message).digest()


def test_the_fallback_is_called_as_libcrypto_is() -> None:
    state, block = SHA256_START.copy(), np.frombuffer(padded(b"abc"), np.uint8).copy()
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(compress_in_c().address)
    call(state.ctypes.data, block.ctypes.data)
    assert state.astype(">u4").tobytes() == hashlib.sha256(b"abc").digest()


def test_the_starting_values_are_those_of_the_standard() -> None:
    """FIPS 180-4 §5.3.3."""
    assert [f"{word:08x}" for word in SHA256_START[[0, 1, 7]]] == ["6a09e667", "bb67ae85", "5be0cd19"]


def test_parts_are_joined() -> None:
    assert sha256(b"a", b"", memoryview(b"bc")) == hashlib.sha256(b"abc").digest()


def test_no_tag_is_the_beginning_of_another() -> None:
    tags = [value for name, value in vars(digest).items() if name.startswith("TAG_")]
    assert len(tags) > 10
    for tag in tags:
        assert [other for other in tags if other is not tag and other.startswith(tag)] == []


def test_structured_rows_are_their_bytes() -> None:
    rows = np.zeros(3, RECORD)
    rows["amount"] = [1, 2, 3]
    assert as_rows(rows).tobytes() == rows.tobytes()
    assert as_rows(rows[::2]).tobytes() == rows[::2].tobytes()
    assert as_rows(rows[:0]).shape == (0, RECORD.itemsize)
