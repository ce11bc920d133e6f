"""Which way does the value go. Within one asset there is one way: debtor to creditor."""

from __future__ import annotations

from typing import ClassVar

from bezant.model.outcomes import Outcome
from bezant.model.records import NO_ROW
from bezant.pipeline.batch import PaymentBatch
from bezant.stages.resources import Resources


class Route:
    """Routes within one asset; a payment that would need an exchange is refused by name."""

    name: ClassVar = "route"
    version: ClassVar = "same-asset-1"
    reads: ClassVar = frozenset({"records", "debtor_row", "creditor_row", "refused"})
    writes: ClassVar = frozenset({"refused"})
    has_fallback: ClassVar = False
    budget_us: ClassVar = 10.0
    budget_base_us: ClassVar = 10_000.0

    def __init__(self, resources: Resources) -> None:
        self._ledger = resources.engine.ledger

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        known = batch.pays & (batch.debtor_row != NO_ROW) & (batch.creditor_row != NO_ROW)
        # A batch that goes whole is not chosen from.
        chosen = slice(None) if known.all() else known
        of_account, asset = self._ledger.accounts["asset"], batch.records["asset"][chosen]
        other = of_account[batch.debtor_row[chosen]] != asset
        other |= of_account[batch.creditor_row[chosen]] != asset
        if other.any():
            differs = known.copy()
            differs[chosen] = other
            batch.refuse(differs, Outcome.ASSET_MISMATCH)
        return batch
