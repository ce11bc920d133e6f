"""Which payments named the same device or terminal: asked by people who review, never by features.

The keys of the last payments that named any lie in memory, 32 bytes each; the first question takes older
ones from the vault, where they are sealed for their payers, so that those of erased parties do not come back.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bezant.model.identifiers import PaymentId
from bezant.model.records import RecordArray
from bezant.vault import Vault, VaultKind

KEPT: Final = 1 << 16
"""Payments that are remembered: 2 MiB of them."""
OLDER_BATCHES: Final = 4_096
"""Batches of the vault that the first question opens at most; at a small load a batch is one payment."""
_ROW = np.dtype([("id_lo", "<u8"), ("id_hi", "<u8"), ("device", "<u8"), ("terminal", "<u8")])

Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Shared:
    """Payments that named the same device, and the same terminal, newest last."""

    device: tuple[PaymentId, ...] = ()
    terminal: tuple[PaymentId, ...] = ()


class Sightings:
    """What the last payments named. Settling adds, whoever reviews asks."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._rows = np.zeros(KEPT, _ROW)
        self._added = 0
        self._lock, self._fill_lock = threading.Lock(), threading.Lock()
        self._filled = False

    def add(self, ids_lo: Keys, ids_hi: Keys, device: Keys, terminal: Keys) -> None:
        """Remember what payments (n,) named; 0 is nothing."""
        rows = np.zeros(len(ids_lo), _ROW)
        rows["id_lo"], rows["id_hi"], rows["device"], rows["terminal"] = ids_lo, ids_hi, device, terminal
        with self._lock:
            self._add(rows[-KEPT:])

    def shared(self, payment: PaymentId, most: int) -> Shared:
        """Return the last payments, `most` each, that named what a payment did; none for an erased payer."""
        own = self._vault.read_many(VaultKind.INSTRUMENTS, [payment]).get(payment)
        if own is None:
            return Shared()
        self._fill()
        device, terminal = np.frombuffer(own, "<u8").tolist()
        with self._lock:
            rows = self._rows[: min(self._added, KEPT)].copy()
        return Shared(
            _naming(rows, "device", device, payment, most), _naming(rows, "terminal", terminal, payment, most)
        )

    def _add(self, rows: RecordArray) -> None:
        at = (self._added + np.arange(len(rows))) % KEPT
        self._rows[at] = rows
        self._added += len(rows)

    def _fill(self) -> None:
        """Take older payments from the vault, once, as far as there is room."""
        with self._fill_lock:
            if self._filled:
                return
            older: list[RecordArray] = []
            for number, batch in enumerate(self._vault.newest(VaultKind.INSTRUMENTS)):
                if number == OLDER_BATCHES or sum(map(len, older)) >= KEPT:
                    break
                rows = np.zeros(len(batch.ids_lo), _ROW)
                rows["id_lo"], rows["id_hi"] = batch.ids_lo, batch.ids_hi
                keys = np.frombuffer(batch.data.tobytes(), "<u8").reshape(-1, 2)
                rows["device"], rows["terminal"] = keys[:, 0], keys[:, 1]
                older.append(rows)
            with self._lock:
                room = max(KEPT - self._added, 0)
                if older and room:
                    self._add(np.concatenate(older[::-1])[-room:])
            self._filled = True


def _naming(rows: RecordArray, field: str, key: int, but: PaymentId, most: int) -> tuple[PaymentId, ...]:
    if not key:
        return ()
    found = rows[rows[field] == np.uint64(key)]
    ids = zip(found["id_lo"].tolist(), found["id_hi"].tolist(), strict=True)
    joined = dict.fromkeys(PaymentId(high << 64 | low) for low, high in ids)
    joined.pop(but, None)
    return tuple(sorted(joined)[-most:])
