"""What holds of the books after every block, whoever paid whom."""

from __future__ import annotations

import numpy as np

from bezant.errors import InvariantViolation
from bezant.ledger.batch import NEVER
from bezant.ledger.kernel.books import sum_books
from bezant.ledger.state import State
from bezant.model.genesis import Genesis
from bezant.model.records import Kind


def check_state(state: State, genesis: Genesis) -> None:
    """Raise InvariantViolation unless, per asset, debits equal credits, pending sums equal the open
    holds, no account is below its limit, what is closed is empty, and no cap is passed."""
    sums = np.zeros((len(genesis.assets) + 1, 10), np.uint64)
    wrong = sum_books(state, sums)
    if wrong >= 0:
        raise InvariantViolation(
            f"account row {wrong} is below its limit, or closed and not empty; restore from the journal"
        )
    counters = state.counters[0]
    mandates = state.mandates[: int(counters["mandates"])]
    if ((mandates["period_s"] != 0) & (mandates["spent"] > mandates["period_cap"])).any():
        raise InvariantViolation("a mandate is spent beyond its cap")
    refunds = state.refunds[: int(counters["refunds"])]
    if (refunds["refunded"] > refunds["original"]).any():
        raise InvariantViolation("more was paid back than was paid")
    _check_votes(state)
    for asset in genesis.assets:
        pending_d, posted_d, pending_c, posted_c, held = sums[asset.number].reshape(5, 2).tolist()
        if posted_d != posted_c:
            raise InvariantViolation(f"{asset.code}: posted debits {posted_d} and credits {posted_c} differ")
        if not pending_d == pending_c == held:
            raise InvariantViolation(f"{asset.code}: pending sums do not match the open holds")


def _check_votes(state: State) -> None:
    """Raise InvariantViolation unless every validator's votes match its bonds."""
    validators = state.validators[state.validators["used"] == 1]
    if not len(validators):
        return
    holds = state.holds[: int(state.counters["holds"][0])]
    bonds = holds[
        (holds["sequence"] != 0) & (holds["kind"] == int(Kind.BOND)) & (holds["expires_ns"] == NEVER)
    ]
    bonded = dict.fromkeys(map(bytes, validators["key"]), 0)
    for bond in bonds:
        bonded[bytes(bond["lock"])] += int(bond["amount"])
    if list(bonded.values()) != validators["bonded"].tolist():
        raise InvariantViolation("a validator's votes do not match its bonds")
