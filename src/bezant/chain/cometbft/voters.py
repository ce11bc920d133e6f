"""Who votes, between CometBFT and the ledger: faults that it reports, and votes that the ledger gives.

CometBFT names validators by address and counts their votes; the ledger knows their keys, what they bonded
and whether they may vote. What changes in a block acts two heights later.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bezant.chain.blocks import CommittedBlock
from bezant.chain.cometbft.messages import FinalizeBlock, Validator
from bezant.chain.finality import address
from bezant.errors import InvariantViolation
from bezant.ledger import open_items
from bezant.ledger.columnar import ColumnarLedger
from bezant.model.outcomes import Outcome
from bezant.model.records import FAULT, Fault, Kind, RecordArray

_CHANGING = (Outcome.BONDED, Outcome.UNBONDING, Outcome.SLASHED, Outcome.JAILED)


def faults_in(request: FinalizeBlock, ledger: ColumnarLedger) -> RecordArray:
    """Return what validators did, as FAULT rows: who signed twice first, then who did not vote.

    Validators that the ledger does not know have nothing to lose there.
    """
    if not (request.absent or request.misbehaving):
        return np.zeros(0, FAULT)
    keys = {address(voter.key): voter.key for voter in open_items.validators(ledger)}
    named = [(one, Fault.DOUBLE_SIGN) for one in request.misbehaving]
    named += [(one, Fault.ABSENT) for one in request.absent]
    known = [(keys[one], kind) for one, kind in named if one in keys]
    rows = np.zeros(len(known), FAULT)
    for row, (key, kind) in zip(rows, known, strict=True):
        row["key"], row["kind"] = np.frombuffer(key, np.uint8), kind
    return rows


def powers(ledger: ColumnarLedger) -> Mapping[bytes, int]:
    """Return the votes of every validator by its key."""
    return {voter.key: voter.power for voter in open_items.validators(ledger)}


def may_change(block: CommittedBlock) -> bool:
    """Return whether a block may have changed who has how many votes."""
    outcomes = block.receipts["outcome"]
    rejoined = (block.receipts["kind"] == Kind.REJOIN) & (outcomes == Outcome.APPLIED)
    return bool(np.isin(outcomes, _CHANGING).any() or rejoined.any())


def updates(before: Mapping[bytes, int], after: Mapping[bytes, int]) -> list[Validator]:
    """Return the votes that changed, in the order of the keys, for CometBFT.

    Raises: InvariantViolation where nobody has any left, for CometBFT would stop for good; the ledger takes
    the last ones from nobody.
    """
    if not any(after.values()):
        raise InvariantViolation("no validator has votes left")
    return [Validator(key, after[key]) for key in sorted(after) if after[key] != before.get(key, 0)]
