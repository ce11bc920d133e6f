"""Signatures of Authorisations in every scheme, each verified once.

The pipeline verifies when a payment comes in, and says under which keys. If any have changed when the Order
is applied, the engine asks again, and only those are verified anew whose own key is another one.

A node of a network meets an Order several times more, as bytes that others send. There answers are
remembered: by the hash of key, text and signature together, so nothing else can borrow a yes; the scheme is
part of it, for a key may change its scheme.
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
    """What was found of m Authorisations: good as it is while the ledger's `keys_version` is this one.

    `authentic` (m,) uint8; `known` (m,) bool where there was a key to verify under, which `keys` (m, 32) and
    `schemes` (m,) uint32 say.
    """

    keys_version: int
    authentic: npt.NDArray[np.uint8]
    known: npt.NDArray[np.bool_]
    keys: Digests
    schemes: npt.NDArray[np.uint32]

    def of(self, rows: slice | npt.NDArray[np.bool_]) -> Checked:
        """Return what was found of some of the Authorisations."""
        keys, schemes = self.keys[rows], self.schemes[rows]
        return Checked(self.keys_version, self.authentic[rows], self.known[rows], keys, schemes)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Signatures to verify, row by row, each of a known scheme."""

    schemes: npt.NDArray[np.uint32]
    keys: Digests
    messages: Digests
    signatures: Digests

    def of(self, rows: npt.NDArray[np.intp]) -> _Asked:
        """Return rows in ascending order, without copying where it is all of them."""
        if len(rows) == len(self.schemes):
            return self
        return _Asked(self.schemes[rows], self.keys[rows], self.messages[rows], self.signatures[rows])


class Signatures:
    """Checks Authorisations under the keys that the ledger holds now."""

    def __init__(
        self, network: bytes, executor: Executor | None = None, threads: int = 2, *, remembers: bool = True
    ) -> None:
        """`remembers`: whether the same Authorisations come again and again, as in a network."""
        self._network = network
        self._executor = executor
        self._threads = threads
        self._remembers = remembers
        self._recent: set[bytes] = set()
        self._older: set[bytes] = set()

    def check(
        self,
        ledger: ColumnarLedger,
        authorisations: RecordArray,
        roots: Digests,
        earlier: Checked | None = None,
    ) -> Checked:
        """Return which Authorisations are authentic; `earlier` is what was found of the same ones.

        Unknown authorities and schemes are not; the ledger tells them apart by itself.
        """
        # Read first: keys that change meanwhile make the answers old.
        version = ledger.keys_version
        if earlier is not None and earlier.keys_version == version:
            return earlier
        rows = ledger.authority_rows(authorisations["authority_lo"], authorisations["authority_hi"])
        known = (rows != NO_ROW) & (authorisations["reserved"] == 0)
        keys, schemes = ledger.signing_keys(np.where(known, rows, 0), authorisations["key_index"])
        known &= (schemes != 0) & (schemes == authorisations["scheme"])
        authentic, anew = np.zeros(len(known), np.uint8), known
        if earlier is not None:
            same = known & earlier.known & (schemes == earlier.schemes) & (keys == earlier.keys).all(1)
            authentic[same], anew = earlier.authentic[same], known & ~same
        open_rows = anew.nonzero()[0]
        if len(open_rows):
            messages = authorisation_messages(self._network, authorisations, roots)
            signatures = np.ascontiguousarray(authorisations["signature"])
            authentic[open_rows] = self._find(_Asked(schemes, keys, messages, signatures).of(open_rows))
        return Checked(version, authentic, known, keys, schemes)

    def _find(self, asked: _Asked) -> npt.NDArray[np.uint8]:
        """Return which rows are authentic, out of memory where they are remembered."""
        if not self._remembers:
            return self._verify_all(asked)
        marks = _marks(asked)
        answers = self._recall(marks)
        fresh = (answers == 0).nonzero()[0]
        if len(fresh):
            answers[fresh] = self._verify_all(asked.of(fresh))
            self._remember([marks[row] for row in fresh[answers[fresh] != 0].tolist()])
        return answers

    def _verify_all(self, asked: _Asked) -> npt.NDArray[np.uint8]:
        """Verify rows, each in its scheme."""
        answers = np.zeros(len(asked.schemes), np.uint8)
        for scheme in SCHEMES:
            own = (asked.schemes == scheme).nonzero()[0]
            if len(own):
                answers[own] = self._verify(scheme, asked.of(own))
        return answers

    def _verify(self, scheme: int, asked: _Asked) -> npt.NDArray[np.uint8]:
        rows = RowsToVerify(asked.signatures, asked.messages, asked.keys, scheme)
        helpers = self._threads - 1 if len(asked.schemes) >= SPREAD_FROM else 0
        work_together(rows.work, self._executor, helpers)
        return rows.authentic

    def _recall(self, marks: list[bytes]) -> npt.NDArray[np.uint8]:
        # Nearly always nothing is known yet, which a set says of a whole list at once.
        if self._recent.isdisjoint(marks) and self._older.isdisjoint(marks):
            return np.zeros(len(marks), np.uint8)
        return np.fromiter((m in self._recent or m in self._older for m in marks), np.uint8, len(marks))

    def _remember(self, marks: list[bytes]) -> None:
        if len(self._recent) >= REMEMBERED:
            self._older, self._recent = self._recent, set()
        self._recent.update(marks)


def _marks(asked: _Asked) -> list[bytes]:
    """Return what each row is remembered by."""
    scheme = asked.schemes.astype(np.uint8)[:, None]
    rows = np.hstack((scheme, asked.keys, asked.messages, asked.signatures))
    raw = digest_rows(b"", np.ascontiguousarray(rows)).tobytes()
    return [raw[at : at + 32] for at in range(0, len(raw), 32)]


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
