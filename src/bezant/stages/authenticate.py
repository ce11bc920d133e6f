"""Whose signature is it, and does it verify."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from bezant.model.digest import as_rows
from bezant.model.merkle import leaf_hashes
from bezant.model.orders import signed_roots
from bezant.model.outcomes import Outcome
from bezant.model.records import NO_ROW
from bezant.pipeline.batch import PaymentBatch
from bezant.stages.resources import Resources


class Authenticate:
    """Verifies every Authorisation once, on threads; the engine takes the answers over."""

    name: ClassVar = "authenticate"
    version: ClassVar = "schemes-2"
    reads: ClassVar = frozenset({"records", "authorisations"})
    writes: ClassVar = frozenset({"record_hashes", "checked", "refused"})
    has_fallback: ClassVar = False
    budget_us: ClassVar = 200.0
    budget_base_us: ClassVar = 50_000.0

    def __init__(self, resources: Resources) -> None:
        self._engine = resources.engine

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        covering, ledger = batch.authorisations, self._engine.ledger
        batch.record_hashes = leaf_hashes(as_rows(batch.records))
        roots = signed_roots(covering, batch.record_hashes)
        batch.checked = self._engine.signatures.check(ledger, covering, roots)
        authentic = batch.checked.authentic
        if authentic.all():
            return batch
        known = ledger.authority_rows(covering["authority_lo"], covering["authority_hi"]) != NO_ROW
        # A record is authentic if its signature is and every co-signature behind it.
        starts = np.flatnonzero(covering["count"])
        authentic = authentic.copy()
        authentic[starts] = np.minimum.reduceat(authentic, starts)
        batch.refuse(np.repeat(~known, covering["count"]), Outcome.UNKNOWN_AUTHORITY)
        batch.refuse(np.repeat(authentic == 0, covering["count"]), Outcome.BAD_SIGNATURE)
        return batch
