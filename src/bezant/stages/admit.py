"""Is it well formed, in time, and new: what would be refused anyway is not ordered."""

from __future__ import annotations

import math
from typing import ClassVar, Final

import numpy as np

from bezant.errors import Overloaded
from bezant.model.outcomes import Outcome
from bezant.pipeline.batch import PENDING, PaymentBatch
from bezant.stages.resources import Resources
from bezant.store import Lag

LONGEST_WAIT_S: Final = 60
"""Nobody is told to stay away for longer, however far the store is behind."""


class Admit:
    """Shape, validity and duplicates, all columns at once; sheds load when the store falls far behind."""

    name: ClassVar = "admit"
    version: ClassVar = "1"
    reads: ClassVar = frozenset({"records", "authorisations", "record_hashes", "refused"})
    writes: ClassVar = frozenset({"refused", "first_outcome", "rests_on", "debtor_row", "creditor_row"})
    has_fallback: ClassVar = False
    budget_us: ClassVar = 20.0
    budget_base_us: ClassVar = 20_000.0

    def __init__(self, resources: Resources) -> None:
        self._engine, self._now_ns = resources.engine, resources.now_ns
        self._store_lag, self._max_lag = resources.store_lag, resources.max_store_lag_payments

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        self._check_store(self._store_lag())
        ledger, records = self._engine.ledger, batch.records
        now_ns = max(self._now_ns(), self._engine.time_ns)
        batch.refused = np.minimum(batch.refused, ledger.foresee(records, now_ns))
        self._check_new(batch)
        self._check_room(batch)
        batch.debtor_row = ledger.account_rows(records["debtor_lo"], records["debtor_hi"])
        batch.creditor_row = ledger.account_rows(records["creditor_lo"], records["creditor_hi"])
        return batch

    def _check_store(self, lag: Lag) -> None:
        if lag.payments > self._max_lag:
            wait_s = min(max(math.ceil(lag.seconds_until(self._max_lag)), 1), LONGEST_WAIT_S)
            raise Overloaded(
                f"the store is {lag.payments} payments behind, {self._max_lag} is the most; "
                f"nothing was accepted, try again in {wait_s} s",
                code="store_lagging",
                retry_after_s=wait_s,
            )

    def _check_new(self, batch: PaymentBatch) -> None:
        """Answer what the ledger still remembers, with the answer it gave."""
        covering, ledger = batch.authorisations, self._engine.ledger
        signers = ledger.authority_rows(covering["authority_lo"], covering["authority_hi"])
        seen, same, first = ledger.remembered(
            batch.records, batch.record_hashes, np.repeat(signers, covering["count"])
        )
        if not seen.any():
            return
        # Read behind what was remembered, so that no answer is of a later block.
        batch.rests_on = self._engine.height
        open_rows = batch.refused == PENDING
        batch.first_outcome[seen & open_rows] = first[seen & open_rows]
        batch.refuse(seen & same, Outcome.EXISTS)
        batch.refuse(seen & ~same, Outcome.EXISTS_WITH_OTHER_CONTENT)

    def _check_room(self, batch: PaymentBatch) -> None:
        """Shed what the ledger could not remember, from the first Authorisation on that does not fit.

        It would answer the same, at the price of a block. Room comes as time passes, with no block at all.
        """
        new = batch.refused == PENDING
        room = self._engine.ledger.id_room(max(self._now_ns(), self._engine.time_ns))
        if np.count_nonzero(new) <= room:
            return
        counts = batch.authorisations["count"]
        counts = counts[counts != 0].astype(np.intp)
        needed = np.cumsum(new)[np.cumsum(counts) - 1]
        batch.refuse(new & np.repeat(needed > room, counts), Outcome.CAPACITY)
