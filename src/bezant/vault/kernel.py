"""Sealing and opening many rows by libsodium, without the GIL or a Python object for each.

Arrays come with their addresses; the scratch of one row (nonce 4 words, additional data 3 words)
comes from outside. What the words mean is written in `sealing`; `parties` unwraps its keys here.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uintp

from bezant.model.native import ENTRY, aead_open, aead_seal, xchacha_open

TAG = 32
KEY = 32
AAD = 24


@njit(**ENTRY)
def seal_rows(head, ids_lo, ids_hi, party, plain_at, offsets, keys_at, nonce, aad, out_at):
    """Seal row i from plain_at + offsets[i] to out_at + offsets[i] + i * TAG."""
    nonce_at, aad_at = uintp(nonce.ctypes.data), uintp(aad.ctypes.data)
    for row in range(party.size):
        start = np.uint64(offsets[row])
        nonce[2] = np.uint64(row)
        aad[0] = head | np.uint64(party[row]) << np.uint64(32)
        aad[1] = ids_lo[row]
        aad[2] = ids_hi[row]
        aead_seal(
            uintp(out_at + start + np.uint64(row) * np.uint64(TAG)),
            uintp(0),
            uintp(plain_at + start),
            np.uint64(offsets[row + 1]) - start,
            aad_at,
            np.uint64(AAD),
            uintp(0),
            nonce_at,
            uintp(keys_at + np.uint64(party[row]) * np.uint64(KEY)),
        )


@njit(**ENTRY)
def open_rows(head, ids_lo, ids_hi, party, sealed_at, offsets, keys_at, nonce, aad, rows, out_at):
    """Open the chosen rows one after the other to out_at; return the first that does not open, or -1."""
    nonce_at, aad_at = uintp(nonce.ctypes.data), uintp(aad.ctypes.data)
    end = out_at
    for row in rows:
        start = np.uint64(offsets[row])
        length = np.uint64(offsets[row + 1]) - start
        nonce[2] = np.uint64(row)
        aad[0] = head | np.uint64(party[row]) << np.uint64(32)
        aad[1] = ids_lo[row]
        aad[2] = ids_hi[row]
        failed = aead_open(
            uintp(end),
            uintp(0),
            uintp(0),
            uintp(sealed_at + start + np.uint64(row) * np.uint64(TAG)),
            length + np.uint64(TAG),
            aad_at,
            np.uint64(AAD),
            nonce_at,
            uintp(keys_at + np.uint64(party[row]) * np.uint64(KEY)),
        )
        if failed != 0:
            return row
        end += length
    return -1


@njit(**ENTRY)
def unwrap_keys(rows, slots_at, slot_bytes, nonce_from, wrapped_from, wrapped_bytes, aad, master_key, keys):
    """Unwrap the key in each chosen slot to keys[row]; return the first row that does not open, or -1.

    aad ends in the slot's number, four bytes that are written here; the other sizes and places are a slot's.
    """
    aad_at, master_at, last = uintp(aad.ctypes.data), uintp(master_key.ctypes.data), len(aad)
    for row in rows:
        slot = slots_at + np.uint64(row) * slot_bytes
        for byte in range(4):
            aad[last - 4 + byte] = np.uint8(np.uint64(row) >> np.uint64(8 * byte) & np.uint64(255))
        failed = xchacha_open(
            uintp(keys[row].ctypes.data),
            uintp(0),
            uintp(0),
            uintp(slot + wrapped_from),
            wrapped_bytes,
            aad_at,
            np.uint64(last),
            uintp(slot + nonce_from),
            master_at,
        )
        if failed != 0:
            return row
    return -1
