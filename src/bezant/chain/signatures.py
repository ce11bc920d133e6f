"""Signatures of Authorisations in every scheme, each verified once and remembered by hash.

The pipeline verifies when a payment comes in; the engine asks again when the Order is applied, if keys
have changed meanwhile, and finds the answer. What is remembered is the hash of key, text and signature
together, so nothing else can borrow a yes; the scheme is part of it, for a key may change its scheme.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bezant.chain.sharing import work_together
from bezant.ledger.columnar import ColumnarLedger
from bezant.model.digest import Digests, digest_rows
from bezant.model.keys import SCHEMES, RowsToVerify, authority_id, verify
from bezant.model.orders import Order, authorisation_messages, order_digest
from bezant.model.records import NO_ROW, RecordArray

REMEMBERED = 200_000
SPREAD_FROM = 16
"""From this many signatures on, verifying is shared out to the executor."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found of signatures, good as long as the ledger's `keys_version` is this one.

    `authentic` (m,) uint8, a row for every Authorisation.
    """

    keys_version: int
    authentic: npt.NDArray[np.uint8]


class Signatures:
    """Checks Authorisations under the keys that the ledger holds now."""

    def __init__(self, network: bytes, executor: Executor | None = None, threads: int = 2) -> None:
        self._network = network
        self._executor = executor
        self._threads = threads
        self._recent: set[bytes] = set()
        self._older: set[bytes] = set()

    def check(
        self, ledger: ColumnarLedger, authorisations: RecordArray, roots: Digests
    ) -> npt.NDArray[np.uint8]:
        """Return 1 for every authentic Authorisation, (m,) uint8.

        Unknown authorities and schemes give 0; the ledger tells them apart by itself.
        """
        rows = ledger.authority_rows(authorisations["authority_lo"], authorisations["authority_hi"])
        known = (rows != NO_ROW) & (authorisations["reserved"] == 0)
        publics, schemes = ledger.signing_keys(np.where(known, rows, 0), authorisations["key_index"])
        known &= (schemes != 0) & (schemes == authorisations["scheme"])
        messages = authorisation_messages(self._network, authorisations, roots)
        signatures = np.ascontiguousarray(authorisations["signature"])
        marks = self._marks(schemes, publics, messages, signatures)
        answers = self._recall(marks)
        open_rows = np.flatnonzero(known & (answers == 0))
        if len(open_rows):
            fresh = np.zeros(len(open_rows), np.uint8)
            for scheme in SCHEMES:
                own = np.flatnonzero(schemes[open_rows] == scheme)
                at = open_rows[own]
                fresh[own] = self._verify(scheme, signatures[at], messages[at], publics[at])
            answers[open_rows] = fresh
            good = open_rows[fresh != 0]
            self._remember(marks if len(good) == len(marks) else [marks[row] for row in good.tolist()])
        return answers & known.astype(np.uint8)

    def _verify(
        self, scheme: int, signatures: Digests, messages: Digests, keys: Digests
    ) -> npt.NDArray[np.uint8]:
        rows = RowsToVerify(signatures, messages, keys, scheme)
        work_together(rows.work, self._executor, self._threads - 1 if len(messages) >= SPREAD_FROM else 0)
        return rows.authentic

    @staticmethod
    def _marks(
        schemes: npt.NDArray[np.uint32], keys: Digests, messages: Digests, signatures: Digests
    ) -> list[bytes]:
        scheme = schemes.astype(np.uint8)[:, None]
        hashed = digest_rows(b"", np.ascontiguousarray(np.hstack((scheme, keys, messages, signatures))))
        raw = hashed.tobytes()
        return [raw[at : at + 32] for at in range(0, len(raw), 32)]

    def _recall(self, marks: list[bytes]) -> npt.NDArray[np.uint8]:
        # Nearly always nothing is known yet, which a set says of a whole list at once.
        if self._recent.isdisjoint(marks) and self._older.isdisjoint(marks):
            return np.zeros(len(marks), np.uint8)
        return np.fromiter((m in self._recent or m in self._older for m in marks), np.uint8, len(marks))

    def _remember(self, marks: list[bytes]) -> None:
        if len(self._recent) >= REMEMBERED:
            self._older, self._recent = self._recent, set()
        self._recent.update(marks)


def gateway_accepted(network: bytes, gateways: dict[int, bytes], order: Order) -> bool:
    """Return whether the Order's gateway is one of the genesis and its signature covers the Order.

    What this process signed itself a moment ago is not verified: that would take 70 µs of every batch.
    """
    key = gateways.get(order.gateway)
    if key is None or order.attested_by == order.gateway:
        return key is not None
    return verify(key, order_digest(network, order), order.signature)


def gateway_keys(publics: tuple[str, ...]) -> dict[int, bytes]:
    """Return the accepted gateways by authority id, from the genesis's hexadecimal keys."""
    return {authority_id(bytes.fromhex(public)): bytes.fromhex(public) for public in publics}
