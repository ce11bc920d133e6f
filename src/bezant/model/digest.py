"""SHA-256 over columns of rows, and the domain tags that keep one hash from meaning another.

Every hashed structure starts with a tag that ends in its version; a new layout gets a new tag.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types

from bezant.model.native import ENTRY, KERNEL, RARE, copy_memory, sha256_block
from bezant.model.sha256 import LANES, SHA256_START, WORTH_LANES, compress_lanes

Digests = npt.NDArray[np.uint8]
"""Shape (n, 32)."""
Integers = npt.NDArray[np.integer[Any]]

TAG_AUTHORISATION = b"bezant/authorisation/1\0\0"
TAG_AUTHORITY = b"bezant/authority/1"
TAG_ACCOUNT = b"bezant/account/1"
TAG_ORDER = b"bezant/order/1"
TAG_GENESIS = b"bezant/genesis/1"
TAG_APP = b"bezant/app/1"
TAG_SEAL = b"bezant/seal/1"
TAG_PAYLOAD = b"bezant/payload/1"
TAG_EVIDENCE = b"bezant/evidence/1"
TAG_STORE = b"bezant/store/1"
TAG_BLOCK = b"bezant/block/1"
TAG_STATE = b"bezant/state/1"
TAG_STATE_BLIND = b"bezant/state-blind/1"
TAG_STATE_LEAF = b"bezant/state-leaf/1"
TAG_LOCK = b"bezant/lock/1"
TAG_LABEL = b"bezant/label/1"
TAG_RULEBOOK = b"bezant/rulebook/1"
TAG_INSTRUMENT = b"bezant/instrument/1"
TAG_ARCHIVE = b"bezant/archive/1"
TAG_STANDING = b"bezant/standing/1"
# These three are short so that blinding a side takes four compressions and no more.
TAG_BLIND_SEED = b"seed/1\0"
TAG_BLIND = b"blind/1"
TAG_SIDE = b"side/1\0"

PADDING = 72
"""Room a message buffer needs behind its last byte for SHA-256's padding."""


def sha256(*parts: bytes | memoryview) -> bytes:
    """Return SHA-256 of the parts joined."""
    return hashlib.sha256(b"".join(parts)).digest()


@njit(inline="always", **KERNEL)
def address(array):
    """Return where an array begins, for the C functions that kernels call."""
    return types.uintp(array.ctypes.data)


@njit(inline="always", **KERNEL)
def copy_into(message, at, source, count):
    """Write the first `count` bytes of an array into a message, from byte `at` on."""
    copy_memory(address(message) + types.uintp(at), address(source), types.uintp(count))


@njit(**KERNEL)
def pad(message, length):
    """Write SHA-256's padding behind ``message[:length]`` and return how many blocks that makes.

    Texts of one length in one buffer need it once. Source: FIPS 180-4 §5.1.1.
    """
    blocks = (length + 8) // 64 + 1
    total = blocks * 64
    message[length] = np.uint8(0x80)
    for i in range(length + 1, total - 8):
        message[i] = np.uint8(0)
    bits = np.uint64(length) * np.uint64(8)
    for i in range(8):
        message[total - 1 - i] = np.uint8((bits >> np.uint64(8 * i)) & np.uint64(0xFF))
    return blocks


@njit(inline="always", **KERNEL)
def _swapped(word):
    """Return the bytes of a uint32 in the other order."""
    return (
        (word >> np.uint32(24))
        | ((word >> np.uint32(8)) & np.uint32(0xFF00))
        | ((word << np.uint32(8)) & np.uint32(0xFF0000))
        | (word << np.uint32(24))
    )


@njit(**KERNEL)
def hash_padded(context, message, blocks, out):
    """Hash `blocks` blocks that `pad` closed into ``out`` (32,); `context` is (28,) uint32 scratch."""
    for i in range(8):
        context[i] = SHA256_START[i]
    state, block = address(context), address(message)
    for _ in range(blocks):
        sha256_block(state, block)
        block += types.uintp(64)
    words = out.view(np.uint32)
    for i in range(8):
        words[i] = _swapped(context[i])


@njit(**KERNEL)
def hash_into(context, message, length, out):
    """Hash ``message[:length]`` into ``out`` (32,); `message` has PADDING bytes to spare."""
    hash_padded(context, message, pad(message, length), out)


@njit(**KERNEL)
def begin_lanes(messages, start, length):
    """Have every message of `new_lanes` begin with ``start`` (m,) uint8 and end with its padding."""
    for lane in range(len(messages)):
        for i in range(len(start)):
            messages[lane, i] = start[i]
        pad(messages[lane], length)


@njit(**RARE)
def hash_lanes(context, messages, count, out):
    """Hash the first `count` messages, which `begin_lanes` made ready, into ``out`` (at least count, 32)."""
    blocks = messages.shape[1] // 64
    if count < WORTH_LANES:
        for lane in range(count):
            hash_padded(context, messages[lane], blocks, out[lane])
        return
    for i in range(8):
        for lane in range(LANES):
            context[i * LANES + lane] = SHA256_START[i]
    state, block, stride = address(context), address(messages), types.uintp(messages.shape[1])
    for _ in range(blocks):
        compress_lanes(state, block, stride)
        block += types.uintp(64)
    for lane in range(count):
        words = out[lane].view(np.uint32)
        for i in range(8):
            words[i] = _swapped(context[i * LANES + lane])


@njit(**ENTRY)
def _digest_rows(rows, prefix, context, messages, out):
    lead, width = len(prefix), rows.shape[1]
    begin_lanes(messages, prefix, lead + width)
    for start in range(0, rows.shape[0], LANES):
        end = min(start + LANES, rows.shape[0])
        for lane in range(end - start):
            copy_into(messages[lane], lead, rows[start + lane], width)
        hash_lanes(context, messages, end - start, out[start:end])


def new_scratch(length: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """Return (context, message) to hash up to `length` bytes with."""
    return np.empty(28, np.uint32), np.empty(length + PADDING, np.uint8)


def new_lanes(length: int, count: int = LANES) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """Return (context, messages) to hash `count` messages of `length` bytes at a time with `hash_lanes`."""
    lanes = count if count < WORTH_LANES else LANES
    return np.empty(8 * LANES, np.uint32), np.empty((lanes, ((length + 8) // 64 + 1) * 64), np.uint8)


def digest_rows(prefix: bytes, rows: npt.NDArray[np.uint8]) -> Digests:
    """Return SHA-256(prefix ‖ row) for every row of ``rows`` (n, width), as (n, 32)."""
    out = np.empty((len(rows), 32), np.uint8)
    lanes = new_lanes(len(prefix) + rows.shape[1], len(rows))
    _digest_rows(np.ascontiguousarray(rows), np.frombuffer(prefix, np.uint8), *lanes, out)
    return out


def as_rows(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return a contiguous structured array (n,) as its bytes (n, itemsize), without copying if it can."""
    array = np.ascontiguousarray(array)
    return array.view(np.uint8).reshape(len(array), array.dtype.itemsize)
