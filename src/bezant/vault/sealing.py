"""Authenticated encryption of many rows at once: XChaCha20-Poly1305 (IETF), by libsodium.

One kernel calls libsodium through its address, without the GIL and without a Python object per
row; where that address cannot be had, the same bytes come row by row from `nacl.bindings`.

**Why a nonce never repeats.** A nonce is 24 bytes: 16 from the operating system's random source,
drawn once a batch, then the row's number inside the batch as a u64. Within a batch the numbers
differ. Across batches the random halves would have to collide: after 2**40 batches that has a
probability below 2**-48. Nothing is counted from disk, so neither a torn tail that is cut off, nor
a folder restored from an old backup, nor two processes by mistake can lead back to a used nonce.
(A 12-byte nonce would leave too little room for that, hence the X variant; it costs 0.06 µs more.)

**What a tag binds.** The additional data names the format version, kind, party and id of the row,
so a ciphertext moved to another row, kind or party does not open.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from nacl import _sodium, bindings
from nacl.exceptions import CryptoError
from numba import njit, types
from numba.extending import intrinsic

KEY_BYTES = 32
NONCE_BYTES = 24
NONCE_PREFIX_BYTES = 16
TAG_BYTES = 16
AAD_BYTES = 24
FORMAT_VERSION = 1

U8Array = npt.NDArray[np.uint8]
U32Array = npt.NDArray[np.uint32]
U64Array = npt.NDArray[np.uint64]
I64Array = npt.NDArray[np.int64]


def native_address(operation: str) -> int:
    """Return the address of libsodium's XChaCha20-Poly1305 ``encrypt`` or ``decrypt``, 0 if unknown."""
    try:
        function = _sodium.ffi.addressof(_sodium.lib, f"crypto_aead_xchacha20poly1305_ietf_{operation}")
        return int(_sodium.ffi.cast("uintptr_t", function))
    except (AttributeError, TypeError):
        return 0


ENCRYPT_ADDRESS = native_address("encrypt")
DECRYPT_ADDRESS = native_address("decrypt")


def seal(
    kind: int,
    ids_lo: U64Array,
    ids_hi: U64Array,
    party: U32Array,
    plain: U8Array,
    offsets: I64Array,
    keys: U8Array,
    nonce_prefix: bytes,
    *,
    address: int = ENCRYPT_ADDRESS,
) -> U8Array:
    """Return the ciphertexts of n rows, one after the other, each TAG_BYTES longer than its text.

    ids_lo, ids_hi (n,) uint64; party (n,) uint32, a row of keys (parties, 32) uint8; row i is
    plain[offsets[i]:offsets[i + 1]], offsets (n + 1,) int64. `address` 0 takes the slow path.
    """
    rows = len(party)
    sealed = np.empty(len(plain) + rows * TAG_BYTES, np.uint8)
    if address:
        nonce = np.frombuffer(nonce_prefix + bytes(8), np.uint8).copy()
        aad = np.zeros(AAD_BYTES, np.uint8)
        _seal_rows(
            np.uint64(address),
            np.uint64(kind),
            ids_lo,
            ids_hi,
            party,
            plain,
            offsets,
            keys,
            nonce,
            aad,
            sealed,
        )
        return sealed
    for row in range(rows):
        start, end = int(offsets[row]), int(offsets[row + 1])
        sealed[start + row * TAG_BYTES : end + (row + 1) * TAG_BYTES] = np.frombuffer(
            bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
                plain[start:end].tobytes(),
                associated_data(kind, int(party[row]), int(ids_lo[row]), int(ids_hi[row])),
                row_nonce(nonce_prefix, row),
                keys[party[row]].tobytes(),
            ),
            np.uint8,
        )
    return sealed


def unseal(
    kind: int,
    ids_lo: U64Array,
    ids_hi: U64Array,
    party: U32Array,
    sealed: U8Array,
    offsets: I64Array,
    keys: U8Array,
    nonce_prefix: bytes,
    rows: I64Array,
    *,
    address: int = DECRYPT_ADDRESS,
) -> tuple[U8Array, int]:
    """Return (texts of the chosen rows one after the other, first row that does not open or -1).

    The columns describe the whole batch as in `seal`, with `offsets` those of the plain texts;
    rows (m,) int64 chooses and orders.
    """
    lengths = offsets[rows + 1] - offsets[rows]
    plain = np.empty(int(lengths.sum()), np.uint8)
    if address:
        nonce = np.frombuffer(nonce_prefix + bytes(8), np.uint8).copy()
        aad = np.zeros(AAD_BYTES, np.uint8)
        bad = _unseal_rows(
            np.uint64(address),
            np.uint64(kind),
            ids_lo,
            ids_hi,
            party,
            sealed,
            offsets,
            keys,
            nonce,
            aad,
            rows,
            plain,
        )
        return plain, int(bad)
    end = 0
    for row in map(int, rows):
        start, stop = int(offsets[row]), int(offsets[row + 1])
        text = open_row(
            kind,
            int(ids_lo[row]) | int(ids_hi[row]) << 64,
            int(party[row]),
            sealed[start + row * TAG_BYTES : stop + (row + 1) * TAG_BYTES].tobytes(),
            keys[party[row]].tobytes(),
            row_nonce(nonce_prefix, row),
        )
        if text is None:
            return plain, row
        plain[end : end + len(text)] = np.frombuffer(text, np.uint8)
        end += len(text)
    return plain, -1


def open_row(kind: int, id_: int, party: int, sealed: bytes, key: bytes, nonce: bytes) -> bytes | None:
    """Return the text of one row, None if it was altered or sealed under another key."""
    aad = associated_data(kind, party, id_ & 0xFFFFFFFFFFFFFFFF, id_ >> 64)
    try:
        return bytes(bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, aad, nonce, key))
    except CryptoError:
        return None


def associated_data(kind: int, party: int, id_lo: int, id_hi: int) -> bytes:
    """Return what a row's tag binds besides its text: version and kind u16, party u32, id 16 bytes."""
    head = FORMAT_VERSION | kind << 16 | party << 32
    return head.to_bytes(8, "little") + id_lo.to_bytes(8, "little") + id_hi.to_bytes(8, "little")


def row_nonce(prefix: bytes, row: int) -> bytes:
    return prefix + row.to_bytes(8, "little")


def _build_call(
    typing_context: Any, address: Any, a: Any, b: Any, c: Any, d: Any, e: Any, f: Any, g: Any, h: Any, i: Any
) -> Any:
    """Call the C function at an address with nine machine words.

    The address is an argument and not a constant of the machine code, so kernels stay cacheable.
    """
    word = types.uint64

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        function = ir.FunctionType(ir.IntType(32), [ir.IntType(64)] * 9)
        return builder.call(builder.inttoptr(args[0], function.as_pointer()), args[1:])

    return types.int32(*([word] * 10)), codegen


_call_aead: Any = intrinsic(_build_call)


@njit(cache=True, nogil=True)
def _seal_rows(
    address: np.uint64,
    kind: np.uint64,
    ids_lo: U64Array,
    ids_hi: U64Array,
    party: U32Array,
    plain: U8Array,
    offsets: I64Array,
    keys: U8Array,
    nonce: U8Array,
    aad: U8Array,
    sealed: U8Array,
) -> None:
    none, tag = np.uint64(0), np.uint64(TAG_BYTES)
    nonce_words, aad_words = nonce.view(np.uint64), aad.view(np.uint64)
    plain_at, sealed_at = np.uint64(plain.ctypes.data), np.uint64(sealed.ctypes.data)
    keys_at = np.uint64(keys.ctypes.data)
    nonce_at, aad_at = np.uint64(nonce.ctypes.data), np.uint64(aad.ctypes.data)
    for row in range(party.size):
        start = np.uint64(offsets[row])
        nonce_words[2] = np.uint64(row)
        aad_words[0] = (
            np.uint64(FORMAT_VERSION) | kind << np.uint64(16) | np.uint64(party[row]) << np.uint64(32)
        )
        aad_words[1] = ids_lo[row]
        aad_words[2] = ids_hi[row]
        _call_aead(
            address,
            sealed_at + start + np.uint64(row) * tag,
            none,
            plain_at + start,
            np.uint64(offsets[row + 1]) - start,
            aad_at,
            np.uint64(AAD_BYTES),
            none,
            nonce_at,
            keys_at + np.uint64(party[row]) * np.uint64(KEY_BYTES),
        )


@njit(cache=True, nogil=True)
def _unseal_rows(
    address: np.uint64,
    kind: np.uint64,
    ids_lo: U64Array,
    ids_hi: U64Array,
    party: U32Array,
    sealed: U8Array,
    offsets: I64Array,
    keys: U8Array,
    nonce: U8Array,
    aad: U8Array,
    rows: I64Array,
    plain: U8Array,
) -> np.int64:
    none, tag = np.uint64(0), np.uint64(TAG_BYTES)
    nonce_words, aad_words = nonce.view(np.uint64), aad.view(np.uint64)
    plain_at, sealed_at = np.uint64(plain.ctypes.data), np.uint64(sealed.ctypes.data)
    keys_at = np.uint64(keys.ctypes.data)
    nonce_at, aad_at = np.uint64(nonce.ctypes.data), np.uint64(aad.ctypes.data)
    for row in rows:
        start = np.uint64(offsets[row])
        length = np.uint64(offsets[row + 1]) - start
        nonce_words[2] = np.uint64(row)
        aad_words[0] = (
            np.uint64(FORMAT_VERSION) | kind << np.uint64(16) | np.uint64(party[row]) << np.uint64(32)
        )
        aad_words[1] = ids_lo[row]
        aad_words[2] = ids_hi[row]
        failed = _call_aead(
            address,
            plain_at,
            none,
            none,
            sealed_at + start + np.uint64(row) * tag,
            length + tag,
            aad_at,
            np.uint64(AAD_BYTES),
            nonce_at,
            keys_at + np.uint64(party[row]) * np.uint64(KEY_BYTES),
        )
        if failed != 0:
            return np.int64(row)
        plain_at += length
    return np.int64(-1)
