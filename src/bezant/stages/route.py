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
        accounts = self._ledger.accounts["asset"]
        asset = batch.records["asset"]
        differs = known.copy()
        differs[known] = (accounts[batch.debtor_row[known]] != asset[known]) | (
            accounts[batch.creditor_row[known]] != asset[known]
        )
        if differs.any():
            batch.refuse(differs, Outcome.ASSET_MISMATCH)
        return batch
