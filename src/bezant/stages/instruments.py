"""Which device and terminal a payment named, as keys that features can remember and nobody can read.

A payment names them in its payload. The key of a name is 64 bits of BLAKE2b under a secret of this
node: features and their snapshots hold keys only. From scoring until its block is learned a payment's
keys are at hand; afterwards, and for a replay of the journal, they are in the vault, sealed for the
payer, so that erasing a party takes them too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from bezant.intelligence.evidence import accounts_of
from bezant.intelligence.learning import Decided, Named
from bezant.model.digest import TAG_INSTRUMENT, sha256
from bezant.model.identifiers import join
from bezant.model.payment import SALT_BYTES, decode_payload
from bezant.model.records import NO_ROW
from bezant.stages.sightings import Sightings
from bezant.vault import Vault, VaultKind

Keys = npt.NDArray[np.uint64]
KEY_BYTES: Final = 8
_MARKS: Final = (b'"device":', b'"terminal":')
"""In canonical JSON these are names of fields and nothing else: in a text the quotes would be escaped."""
_NEITHER: Final = (0, 0)
_MOST_AT_HAND: Final = 1 << 20


class Instruments:
    """Names to keys, and by payment id the keys that it named. One thread scores, settles and learns."""

    def __init__(self, vault: Vault, secret: bytes) -> None:
        self._vault = vault
        self._secret = sha256(TAG_INSTRUMENT, secret)
        self._at_hand: dict[int, tuple[int, int]] = {}
        self.sightings = Sightings(vault)
        """For people who look into a payment; features do not see it."""
        self.replaying = False
        """While it is set, blocks are of an earlier run, and what they named is in the vault."""

    def read(self, payloads: Sequence[bytes]) -> tuple[Keys, Keys]:
        """Return (device, terminal), keys (n,) of what payloads (salt ‖ payload, or empty) name, or 0."""
        device, terminal = np.zeros(len(payloads), np.uint64), np.zeros(len(payloads), np.uint64)
        if not any(payloads):
            return device, terminal
        for row, text in enumerate(payloads):
            if _MARKS[0] in text or _MARKS[1] in text:
                payload = decode_payload(text[SALT_BYTES:])
                device[row] = self._key(b"device", payload.device)
                terminal[row] = self._key(b"terminal", payload.terminal)
        return device, terminal

    def keep(self, ids_lo: Keys, ids_hi: Keys, device: Keys, terminal: Keys) -> None:
        """Have at hand what payments (n,) that are about to be ordered name."""
        self.sightings.add(ids_lo, ids_hi, device, terminal)
        for low, high, *named in zip(
            ids_lo.tolist(), ids_hi.tolist(), device.tolist(), terminal.tolist(), strict=True
        ):
            self._at_hand[join(low, high)] = (named[0], named[1])
        while len(self._at_hand) > _MOST_AT_HAND:
            del self._at_hand[next(iter(self._at_hand))]

    def settled(self, ids_lo: Keys, ids_hi: Keys) -> Named | None:
        """Return what payments (n,) of a block named, None where none of them named anything."""
        if self.replaying:
            return self.sealed(ids_lo, ids_hi)
        if not self._at_hand:
            return None
        ids = map(join, ids_lo.tolist(), ids_hi.tolist())
        return _columns([self._at_hand.pop(id_, _NEITHER) for id_ in ids])

    def sealed(self, ids_lo: Keys, ids_hi: Keys) -> Named | None:
        """Return what payments (n,) named as the vault has it; for a payer who was erased, nothing."""
        if not self._vault.holds(VaultKind.INSTRUMENTS):
            return None
        ids = list(map(join, ids_lo.tolist(), ids_hi.tolist()))
        rows = self._vault.read_many(VaultKind.INSTRUMENTS, ids)
        return _columns([_unpack(rows[id_]) if id_ in rows else _NEITHER for id_ in ids])

    def decided(self, ids_lo: Keys, ids_hi: Keys) -> Decided | None:
        """Return between whom payments (n,) were to go, by the evidence of those that were decided here."""
        ids = list(map(join, ids_lo.tolist(), ids_hi.tolist()))
        sealed = self._vault.read_many(VaultKind.EVIDENCE, ids)
        rows = np.full((len(ids), 2), NO_ROW, np.int64)
        for place, id_ in enumerate(ids):
            if id_ in sealed:
                rows[place] = accounts_of(sealed[id_])
        return Decided(rows[:, 0].copy(), rows[:, 1].copy())

    def _key(self, role: bytes, name: str) -> int:
        if not name:
            return 0
        digest = hashlib.blake2b(name.encode(), digest_size=KEY_BYTES, key=self._secret, person=role)
        return int.from_bytes(digest.digest(), "little") | 1


def pack(device: Keys, terminal: Keys) -> npt.NDArray[np.uint8]:
    """Return rows (n, 16) to seal: both keys, little-endian."""
    return np.ascontiguousarray(np.stack([device, terminal], axis=1).astype("<u8")).view(np.uint8)


def _unpack(row: bytes) -> tuple[int, int]:
    return int.from_bytes(row[:KEY_BYTES], "little"), int.from_bytes(row[KEY_BYTES:], "little")


def _columns(named: Sequence[tuple[int, int]]) -> Named | None:
    if not any(one or other for one, other in named):
        return None
    columns = np.array(named, np.uint64)
    return Named(np.ascontiguousarray(columns[:, 0]), np.ascontiguousarray(columns[:, 1]))
