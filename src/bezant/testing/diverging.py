"""A node whose memory goes bad: one bit of a balance turns round, as no code of ours would have it."""

from __future__ import annotations

from bezant.chain.blocks import CommittedBlock
from bezant.model.outcomes import Outcome
from bezant.stages.notify import Notify
from bezant.stages.resources import Resources


class DivergingNotify(Notify):
    """In place of `notify`: after the first payment that this node applies live, its debtor owns one more."""

    def __init__(self, resources: Resources) -> None:
        super().__init__(resources)
        self._ledger = resources.engine.ledger
        self._flipped = False
        resources.engine.subscribe(self._follow)

    def _follow(self, block: CommittedBlock) -> None:
        applied = block.receipts[block.receipts["outcome"] == Outcome.APPLIED]
        moved = applied[applied["amount"] > 0]
        if len(moved) and not self._flipped:
            self._flipped = True
            self._ledger.accounts["credits_posted_lo"][int(moved["debtor_row"][0])] ^= 1
