"""Authenticated encryption of many rows at once: AEGIS-256 (draft-irtf-cfrg-aegis-aead), by libsodium.

`kernel` calls libsodium straight from compiled code; `native=False` gives the same bytes row by row
through PyNaCl's Python functions, which is the readable version and what tests compare with.

**Why AEGIS.** A row is some 240 bytes, so what an AEAD does once a message weighs most. AEGIS-256 has no
key schedule and runs on the CPU's AES rounds: a quarter of what XChaCha20-Poly1305 takes for such a
row. Where a CPU has no AES instructions libsodium computes the same bytes without them, slower.

**Why a nonce never repeats.** A nonce is 32 bytes: 16 from the operating system's random source,
drawn once a batch, the row's number inside the batch as a u64, and zeros. Within a batch the numbers
differ. Across batches the random halves would have to collide: after 2**40 batches that has a
probability below 2**-48. Nothing is counted from disk, so neither a torn tail that is cut off, nor
a folder restored from an old backup, nor two processes by mistake can lead back to a used nonce.

**What a tag binds.** The additional data names the format version, kind, party and id of the row,
so a ciphertext moved to another row, kind or party does not open.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from nacl import bindings
from nacl.exceptions import CryptoError

from bezant.vault import kernel

KEY_BYTES = 32
NONCE_BYTES = 32
NONCE_PREFIX_BYTES = 16
TAG_BYTES = 32
FORMAT_VERSION = 2

U8Array = npt.NDArray[np.uint8]
U32Array = npt.NDArray[np.uint32]
U64Array = npt.NDArray[np.uint64]
I64Array = npt.NDArray[np.int64]


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
    native: bool = True,
) -> U8Array:
    """Return the ciphertexts of n rows, one after the other, each TAG_BYTES longer than its text.

    ids_lo, ids_hi (n,) uint64; party (n,) uint32, a row of keys (parties, 32) uint8; row i is
    plain[offsets[i]:offsets[i + 1]], offsets (n + 1,) int64.
    """
    rows = len(party)
    sealed = np.empty(len(plain) + rows * TAG_BYTES, np.uint8)
    if native:
        kernel.seal_rows(
            np.uint64(FORMAT_VERSION | kind << 16),
            ids_lo,
            ids_hi,
            party,
            np.uint64(plain.ctypes.data),
            offsets,
            np.uint64(keys.ctypes.data),
            _nonce_words(nonce_prefix),
            np.zeros(3, np.uint64),
            np.uint64(sealed.ctypes.data),
        )
        return sealed
    for row in range(rows):
        start, end = int(offsets[row]), int(offsets[row + 1])
        sealed[start + row * TAG_BYTES : end + (row + 1) * TAG_BYTES] = np.frombuffer(
            bindings.crypto_aead_aegis256_encrypt(
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
    native: bool = True,
) -> tuple[U8Array, int]:
    """Return (texts of the chosen rows one after the other, first row that does not open or -1).

    The columns describe the whole batch as in `seal`, with `offsets` those of the plain texts;
    rows (m,) int64 chooses and orders.
    """
    lengths = offsets[rows + 1] - offsets[rows]
    plain = np.empty(int(lengths.sum()), np.uint8)
    if native:
        bad = kernel.open_rows(
            np.uint64(FORMAT_VERSION | kind << 16),
            ids_lo,
            ids_hi,
            party,
            np.uint64(sealed.ctypes.data),
            offsets,
            np.uint64(keys.ctypes.data),
            _nonce_words(nonce_prefix),
            np.zeros(3, np.uint64),
            rows,
            np.uint64(plain.ctypes.data),
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
        return bytes(bindings.crypto_aead_aegis256_decrypt(sealed, aad, nonce, key))
    except CryptoError:
        return None


def associated_data(kind: int, party: int, id_lo: int, id_hi: int) -> bytes:
    """Return what a row's tag binds besides its text: version and kind u16, party u32, id 16 bytes."""
    head = FORMAT_VERSION | kind << 16 | party << 32
    return head.to_bytes(8, "little") + id_lo.to_bytes(8, "little") + id_hi.to_bytes(8, "little")


def row_nonce(prefix: bytes, row: int) -> bytes:
    return prefix + row.to_bytes(8, "little") + bytes(8)


def _nonce_words(prefix: bytes) -> U64Array:
    return np.frombuffer(prefix + bytes(16), np.uint64).copy()
