"""The party keys: one random key each, wrapped under the node's master key, erased in place.

The table is one file: a header and then fixed slots of 128 bytes, party number = slot number, so
that a slot never crosses a disk sector and an erasure overwrites exactly one. The master key is a
file of its own in ``keys/``: whoever copies the vault without it has noise.

What erasure can promise: the slot is overwritten and synced, the key is gone from memory, and
without it every row of the party is noise here and in every copy of the log. A *backup of the key
table* still holds the key, and so may a disk that writes elsewhere than it was told (SSD wear
levelling, copy-on-write file systems): keep the data folder on an encrypted volume, and back up
the key table with a retention short enough for your duty to erase.
"""

from __future__ import annotations

import os
import secrets
import stat
import threading
import zlib
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from nacl import bindings

from bezant.errors import StorageError, VaultError
from bezant.vault import kernel
from bezant.vault.files import create_durably, disk_errors, write_all
from bezant.vault.sealing import KEY_BYTES, U8Array, U32Array

NODE_PARTY: Final = 0
"""The party of data that belongs to nobody in particular; it is never erased."""

WRAP_NONCE_BYTES: Final = 24
WRAP_TAG_BYTES: Final = 16
"""Keys are wrapped by XChaCha20-Poly1305, one at a time and seldom."""

SLOT = np.dtype(
    [
        ("state", "<u4"),
        ("number", "<u4"),
        ("nonce", "u1", (WRAP_NONCE_BYTES,)),
        ("wrapped", "u1", (KEY_BYTES + WRAP_TAG_BYTES,)),
        ("checksum", "<u4"),
        ("reserved", "u1", (44,)),
    ]
)
_MAGIC: Final = b"bezant party keys 1".ljust(SLOT.itemsize, b"\0")
_EMPTY, _LIVE, _ERASED = 0, 1, 2
_NONCE_FROM: Final = 4 + 4
_WRAPPED_FROM: Final = _NONCE_FROM + WRAP_NONCE_BYTES
_CHECKED_BYTES: Final = 4 + 4 + WRAP_NONCE_BYTES + KEY_BYTES + WRAP_TAG_BYTES


def load_master_key(path: Path) -> bytes:
    """Return the 32-byte master key.

    Raises: VaultError ``master_key_missing``, ``master_key_exposed`` (others may read the file) or
    ``master_key_wrong`` (not 32 bytes).
    """
    if not path.exists():
        raise VaultError(
            f"the vault's master key {path} is missing, and without it nothing sealed can be read: "
            "restore that file from where you keep it",
            code="master_key_missing",
        )
    with disk_errors(path):
        mode = stat.S_IMODE(path.stat().st_mode)
        key = path.read_bytes()
    if mode & 0o077:
        raise VaultError(
            f"the vault's master key {path} may be read by others (mode {mode:04o}): run chmod 600 on it",
            code="master_key_exposed",
        )
    if len(key) != KEY_BYTES:
        raise VaultError(f"{path} holds {len(key)} bytes, not {KEY_BYTES}", code="master_key_wrong")
    return key


class PartyKeys:
    """The open key table. Thread-safe; `keys` and `version` are for `Vault.seal_rows` alone."""

    def __init__(self, path: Path, master_key: bytes) -> None:
        """Open the table and unwrap every live key.

        Raises: VaultError ``master_key_wrong``; StorageError for a slot that is damaged.
        """
        self.path = path
        self.version = 0
        """Counts every change that zeroes memory a kernel may be reading; it moves before the zeroing."""
        self._master_key = master_key
        self._lock = threading.Lock()
        self._count = 0
        self._keys: U8Array = np.zeros((64, KEY_BYTES), np.uint8)
        self._live: npt.NDArray[np.bool_] = np.zeros(64, np.bool_)
        with disk_errors(path):
            self._file = os.open(path, os.O_RDWR)
            data = path.read_bytes()
        try:
            self._load(data)
        except BaseException:
            os.close(self._file)
            raise

    @staticmethod
    def create(path: Path, master_key: bytes) -> None:
        """Write a new table with the node's own party in slot 0."""
        slot, _ = _new_slots(master_key, 0, 1)
        create_durably(path, _MAGIC + slot.tobytes())

    @property
    def count(self) -> int:
        """How many parties there ever were, the erased included."""
        return self._count

    @property
    def keys(self) -> U8Array:
        """Keys (capacity, 32) uint8 by party number; zero where erased."""
        return self._keys

    def live(self, party: int) -> bool:
        return 0 <= party < self._count and bool(self._live[party])

    def key(self, party: int) -> bytes:
        """Return one key; raises VaultError ``erased`` or ``party_unknown``."""
        with self._lock:
            self.check(np.array([party], np.uint32))
            return self._keys[party].tobytes()

    def check(self, party: U32Array) -> None:
        """Raise VaultError ``party_unknown`` or ``erased`` unless every party (n,) has its key."""
        if len(party) == 0:
            return
        highest = int(party.max())
        if highest >= self._count:
            raise VaultError(f"party {highest} was never created", code="party_unknown")
        dead = party[~self._live[party]]
        if len(dead):
            raise erased(int(dead[0]))

    def live_mask(self, party: U32Array) -> npt.NDArray[np.bool_]:
        """Return which rows (n,) belong to a party whose key still exists."""
        known = party < self._count
        return known & self._live[np.where(known, party, 0)]

    def create_parties(self, count: int) -> U32Array:
        """Return the numbers (count,) of new parties; their keys are durable on return."""
        with self._lock, disk_errors(self.path):
            first = self._count
            slots, keys = _new_slots(self._master_key, first, count)
            try:
                write_all(self._file, slots.tobytes(), (first + 1) * SLOT.itemsize)
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, (first + 1) * SLOT.itemsize)
                raise
            self._reserve(first + count)
            self._keys[first : first + count] = keys
            self._live[first : first + count] = True
            self._count = first + count
            return np.arange(first, first + count, dtype=np.uint32)

    def erase(self, party: int) -> None:
        """Destroy one key, on disk and in memory; doing it again changes nothing.

        Raises: VaultError ``party_unknown``, or ``party_permanent`` for the node's own party.
        """
        with self._lock, disk_errors(self.path):
            if not 0 <= party < self._count:
                raise VaultError(f"party {party} was never created", code="party_unknown")
            if party == NODE_PARTY:
                raise VaultError("party 0 is the node's own and is not erased", code="party_permanent")
            slot = np.zeros(1, SLOT)
            slot["state"], slot["number"] = _ERASED, party
            slot["checksum"] = _checksum(slot[0])
            # Memory first: were the write to fail, no new row may be sealed for this party.
            self._live[party] = False
            self.version += 1
            self._keys[party] = 0
            write_all(self._file, slot.tobytes(), (party + 1) * SLOT.itemsize)
            os.fsync(self._file)

    def close(self) -> None:
        """Forget every key."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
                self._live[:] = False
                self.version += 1
                self._keys[:] = 0

    def _load(self, data: bytes) -> None:
        if data[: SLOT.itemsize] != _MAGIC:
            raise StorageError(f"{self.path} is not a party key table of a version known here")
        # A table that was growing when power failed may end in part of a slot, or hold slots that the
        # file system made room for and never wrote. No row names them, because rows follow the sync;
        # an empty slot is passed over as if it had been erased.
        whole = (len(data) - SLOT.itemsize) // SLOT.itemsize
        slots = np.frombuffer(data, SLOT, whole, SLOT.itemsize)
        written = np.flatnonzero(slots["state"] != _EMPTY)
        self._count = int(written[-1]) + 1 if len(written) else 0
        if self._count > len(self._keys):
            self._keys = np.zeros((self._count, KEY_BYTES), np.uint8)
            self._live = np.zeros(self._count, np.bool_)
        used = slots[: self._count]
        self._check_slots(used)
        rows = np.flatnonzero(used["state"] == _LIVE)
        unwrapped = _unwrap(self._master_key, used, rows, self._keys)
        if not unwrapped:
            raise VaultError(
                "the master key does not open this vault's party keys; it belongs to another vault",
                code="master_key_wrong",
            )
        self._live[rows] = True
        if self._count == 0:
            raise StorageError(f"{self.path} has lost slot 0, the node's own party; restore it from a backup")

    def _check_slots(self, slots: npt.NDArray[np.void]) -> None:
        """Raise StorageError naming the first slot that is not what was written there."""
        raw, size = slots.view(np.uint8).data, SLOT.itemsize
        sums = [zlib.crc32(raw[at : at + _CHECKED_BYTES]) for at in range(0, len(raw), size)]
        good = (slots["number"] == np.arange(len(slots))) & (slots["checksum"] == sums)
        for number in np.flatnonzero(~good & (slots["state"] != _EMPTY))[:1].tolist():
            raise StorageError(
                f"{self.path} is damaged at offset {(number + 1) * SLOT.itemsize}: party {number}'s slot; "
                "restore it from a backup"
            )

    def _reserve(self, count: int) -> None:
        if count <= len(self._keys):
            return
        capacity = max(count, 2 * len(self._keys))
        keys = np.zeros((capacity, KEY_BYTES), np.uint8)
        live = np.zeros(capacity, np.bool_)
        keys[: self._count], live[: self._count] = self._keys[: self._count], self._live[: self._count]
        outgrown, self._keys, self._live = self._keys, keys, live
        self.version += 1
        outgrown[:] = 0


def erased(party: int) -> VaultError:
    return VaultError(
        f"party {party} was erased: its key is destroyed and its data cannot be read", code="erased"
    )


def _new_slots(master_key: bytes, first: int, count: int) -> tuple[npt.NDArray[np.void], U8Array]:
    slots = np.zeros(count, SLOT)
    keys = np.frombuffer(secrets.token_bytes(KEY_BYTES * count), np.uint8).reshape(count, KEY_BYTES)
    for row in range(count):
        slot = slots[row]
        nonce = secrets.token_bytes(WRAP_NONCE_BYTES)
        wrapped = bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
            keys[row].tobytes(), _slot_aad(first + row), nonce, master_key
        )
        slot["state"], slot["number"] = _LIVE, first + row
        slot["nonce"] = np.frombuffer(nonce, np.uint8)
        slot["wrapped"] = np.frombuffer(wrapped, np.uint8)
        slot["checksum"] = _checksum(slot)
    return slots, keys


def _unwrap(
    master_key: bytes, slots: npt.NDArray[np.void], rows: npt.NDArray[np.int64], keys: U8Array
) -> bool:
    """Unwrap the keys in some slots to the same rows of `keys`; return whether all of them opened."""
    bad = kernel.unwrap_keys(
        rows,
        np.uint64(slots.ctypes.data),
        np.uint64(SLOT.itemsize),
        np.uint64(_NONCE_FROM),
        np.uint64(_WRAPPED_FROM),
        np.uint64(KEY_BYTES + WRAP_TAG_BYTES),
        np.frombuffer(_slot_aad(0), np.uint8).copy(),
        np.frombuffer(master_key, np.uint8),
        keys,
    )
    return int(bad) < 0


def _slot_aad(number: int) -> bytes:
    return b"bezant party key" + number.to_bytes(4, "little")


def _checksum(slot: np.void) -> int:
    return zlib.crc32(slot.tobytes()[:_CHECKED_BYTES])
