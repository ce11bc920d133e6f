"""Seal the evidence, order, apply: the step after which a payment has an outcome."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from bezant.chain.engine import Awaited
from bezant.errors import InvariantViolation, VaultError
from bezant.model.identifiers import join
from bezant.model.keys import authority_id
from bezant.model.orders import MAX_ORDER_BYTES, Order, attest
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.payment import SALT_BYTES, decode_payload
from bezant.model.records import AUTHORISATION, DECISION, NO_ROW, RECORD
from bezant.pipeline.batch import PENDING, PaymentBatch
from bezant.stages.instruments import pack
from bezant.stages.resources import ERASED, Resources
from bezant.vault import VaultKind

_ANSWERED_BEFORE = (Outcome.EXISTS, Outcome.EXISTS_WITH_OTHER_CONTENT)
_SEAL_ATTEMPTS = 16
_REFUSED_AGAIN = np.array(
    [
        Outcome.MALFORMED,
        Outcome.UNKNOWN_AUTHORITY,
        Outcome.BAD_SIGNATURE,
        Outcome.EXPIRED,
        Outcome.EXISTS,
        Outcome.EXISTS_WITH_OTHER_CONTENT,
        Outcome.ASSET_MISMATCH,
    ],
    np.uint16,
)
"""Refusals that the ledger is certain to repeat. An id in the future is not among them: time moves on."""
_ALL: slice | npt.NDArray[np.bool_] = slice(None)
_PER_RECORD = RECORD.itemsize + DECISION.itemsize


class Settle:
    """Hands Orders to the engine; the vault is made durable in front of every one of them."""

    name: ClassVar = "settle"
    version: ClassVar = "1"
    reads: ClassVar = frozenset(
        {
            "records",
            "record_hashes",
            "authorisations",
            "checked",
            "debtor_row",
            "decisions",
            "evidence",
            "payloads",
            "device",
            "terminal",
            "refused",
            "alone",
        }
    )
    writes: ClassVar = frozenset({"ordered", "block", "awaited"})
    has_fallback: ClassVar = False
    budget_us: ClassVar = 100.0
    budget_base_us: ClassVar = 100_000.0

    def __init__(self, resources: Resources) -> None:
        self._engine, self._vault, self._key = resources.engine, resources.vault, resources.gateway_key
        self._parties = resources.parties
        self._sealed = resources.sealed
        self._instruments = resources.instruments
        self._gateway = authority_id(resources.gateway_key.public)

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        covering, kept = batch.authorisations, _ALL
        if batch.refused_count:
            kept = self._kept(batch)
            covering = covering[kept]
            batch.ordered = _rows_under(covering)
        else:
            batch.ordered = np.arange(len(batch))
        if not len(covering):
            return batch
        orders = [self._order(batch, part) for part in self._parts(batch, covering)]
        named = _naming(batch)
        if len(named):
            ids = batch.records[named]
            with self._engine.still:
                self._instruments.keep(ids["id_lo"], ids["id_hi"], batch.device[named], batch.terminal[named])
        submitted = self._engine.submit(
            orders,
            prepare=lambda: self._seal(batch),
            record_hashes=_chosen(batch.record_hashes, batch.ordered),
            checked=None if batch.checked is None else batch.checked.of(kept),
            held=batch.alone,
        )
        if isinstance(submitted, Awaited):
            batch.awaited = submitted
        else:
            batch.block = submitted
        return batch

    def _parts(self, batch: PaymentBatch, covering: npt.NDArray[np.void]) -> Iterator[npt.NDArray[np.void]]:
        """Split Authorisations into runs of one Order each: where one is full, and where the engine has lanes
        wherever commands follow payments or the other way round."""
        if not self._engine.pace.lanes:
            yield from _full_parts(covering)
            return
        leads = covering["count"].nonzero()[0]
        first, count = covering["first"][leads].astype(np.intp), covering["count"][leads].astype(np.intp)
        before = np.append(0, np.cumsum(batch.commands))
        commands = before[first + count] > before[first]
        cuts = leads[(commands[1:] != commands[:-1]).nonzero()[0] + 1].tolist()
        for start, stop in zip([0, *cuts], [*cuts, len(covering)], strict=True):
            yield from _full_parts(covering[start:stop])

    @staticmethod
    def _kept(batch: PaymentBatch) -> npt.NDArray[np.bool_]:
        """Return which Authorisations have at least one record left; a signature over many goes whole,
        and the ledger answers for those of its records that a stage refused."""
        leads = batch.authorisations["count"] != 0
        first = batch.authorisations["first"][leads].astype(np.intp)
        left = np.add.reduceat((batch.refused == PENDING).astype(np.int64), first) > 0
        return left[np.cumsum(leads) - 1]

    def _seal(self, batch: PaymentBatch) -> None:
        """Seal evidence and texts; called by whichever thread writes or sends the Orders, before it does."""
        for _ in range(_SEAL_ATTEMPTS):
            try:
                self._seal_rows(batch)
                return
            except VaultError as error:
                # A party was erased since the columns were read; they say so now.
                if error.code != "erased":
                    raise
        raise InvariantViolation("a party is erased in the vault and not in the columns by account")

    def _seal_rows(self, batch: PaymentBatch) -> None:
        party = self._parties.parties(batch.debtor_row).astype(np.uint32)
        ids_lo, ids_hi = batch.records["id_lo"], batch.records["id_hi"]
        pays = (batch.pays & (party != ERASED)).nonzero()[0]
        if len(pays):
            self._vault.seal_rows(
                VaultKind.EVIDENCE,
                np.ascontiguousarray(ids_lo[pays]),
                np.ascontiguousarray(ids_hi[pays]),
                party[pays],
                _chosen(batch.evidence, pays),
            )
        named = _naming(batch)
        if not len(named) and not any(batch.payloads):
            return
        # The text of an account that does not exist has nobody whose key could ever be destroyed, and
        # a repeated id keeps the texts it had: those are what its commitment is over.
        keeps = (party != ERASED) & (batch.debtor_row != NO_ROW)
        keeps &= ~np.isin(batch.refused, _ANSWERED_BEFORE)
        named = named[keeps[named]]
        if len(named):
            self._vault.seal_rows(
                VaultKind.INSTRUMENTS,
                np.ascontiguousarray(ids_lo[named]),
                np.ascontiguousarray(ids_hi[named]),
                party[named],
                pack(batch.device[named], batch.terminal[named]),
            )
        texts = [row for row in batch.ordered.tolist() if batch.payloads[row] and keeps[row]]
        if texts:
            self._vault.seal_texts(
                VaultKind.PAYLOAD,
                np.ascontiguousarray(ids_lo[texts]),
                np.ascontiguousarray(ids_hi[texts]),
                party[texts],
                [batch.payloads[row] for row in texts],
            )
            self._sealed(_end_to_end_ids(batch, texts))

    def _order(self, batch: PaymentBatch, covering: npt.NDArray[np.void]) -> Order:
        if len(covering) == len(batch.authorisations) and not batch.refused_count:
            order = Order(self._gateway, covering, batch.records, batch.decisions)
            return attest(self._engine.network, order, self._key)
        rows = _span(_rows_under(covering))
        moved = covering.copy()
        moved["first"] = np.cumsum(covering["count"]) - covering["count"]
        decisions, refused = batch.decisions[rows], batch.refused[rows]
        if (refused != PENDING).any():
            decisions = decisions.copy()
            # What a stage refused and the ledger might not must not pass beside those it was signed with.
            decisions["verdict"][(refused != PENDING) & ~np.isin(refused, _REFUSED_AGAIN)] = Verdict.BLOCK
        order = Order(self._gateway, moved, batch.records[rows], decisions)
        return attest(self._engine.network, order, self._key)


def _naming(batch: PaymentBatch) -> npt.NDArray[np.intp]:
    """Return the rows, among those to be ordered, that name a device or a terminal."""
    names = (batch.device != 0) | (batch.terminal != 0)
    return batch.ordered[names[batch.ordered]] if names.any() else np.zeros(0, np.intp)


def _chosen(rows: npt.NDArray[np.uint8], chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Return rows in ascending order, without copying where it is all of them."""
    return rows if len(chosen) == len(rows) else rows[chosen]


def _end_to_end_ids(batch: PaymentBatch, rows: list[int]) -> dict[int, str]:
    """Return by payment id what the store would otherwise have to open the vault for."""
    low, high = batch.records["id_lo"][rows].tolist(), batch.records["id_hi"][rows].tolist()
    return {
        join(lo, hi): decode_payload(batch.payloads[row][SALT_BYTES:]).end_to_end_id
        for lo, hi, row in zip(low, high, rows, strict=True)
    }


def _rows_under(covering: npt.NDArray[np.void]) -> npt.NDArray[np.int64]:
    """Return the record rows that Authorisations cover, in order."""
    counts = covering["count"].astype(np.int64)
    starts = np.repeat(covering["first"].astype(np.int64) - (np.cumsum(counts) - counts), counts)
    return starts + np.arange(counts.sum())


def _span(rows: npt.NDArray[np.int64]) -> slice | npt.NDArray[np.int64]:
    """Return ascending rows as a slice where none is missing between them: a slice copies nothing."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


def _full_parts(covering: npt.NDArray[np.void]) -> Iterator[npt.NDArray[np.void]]:
    """Split Authorisations into runs that each fit an Order; co-signatures stay with their signature."""
    room = MAX_ORDER_BYTES - 256
    records = int(covering["count"].sum(dtype=np.int64))
    if records * _PER_RECORD + len(covering) * AUTHORISATION.itemsize <= room:
        yield covering
        return
    sizes = covering["count"].astype(np.int64) * _PER_RECORD + AUTHORISATION.itemsize
    ends = np.cumsum(sizes)
    start, taken = 0, 0
    while start < len(covering):
        stop = max(int(np.searchsorted(ends, taken + room, side="right")), start + 1)
        # A whole group is smaller than an Order, so going back to its start still takes something.
        while stop < len(covering) and covering["count"][stop] == 0:
            stop -= 1
        yield covering[start:stop]
        start, taken = stop, int(ends[stop - 1])
