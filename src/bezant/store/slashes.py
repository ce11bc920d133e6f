"""What bonds lost and were paid, as entries: the ledger names the accounts by their rows."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bezant.model.outcomes import Outcome
from bezant.model.records import RecordArray
from bezant.store import columns

INSERT: Final = (
    "INSERT INTO entries (era, ordinal, side, amount, payment, balance, account, counterparty) "
    "SELECT ?, ?, ?, ?, ?, ?, own.id, other.id FROM accounts own, accounts other "
    'WHERE own."row" = ? AND other."row" = ?'
)


def slash_rows(
    system: RecordArray, ordinals: npt.NDArray[np.int64], eras: npt.NDArray[np.int64]
) -> list[tuple[Any, ...]]:
    """Return what INSERT takes for the system receipts (s,) that paid over part of a bond, or a bond's part
    of the fees: two rows each."""
    at = np.flatnonzero((system["outcome"] == Outcome.SLASHED) | (system["outcome"] == Outcome.REWARDED))
    if not len(at):
        return []
    receipts = system[at]
    shared = (eras[at].tolist(), ordinals[at].tolist(), columns.amounts(receipts["amount"]))
    bonds = columns.ids(receipts, "id")
    debtors, creditors = receipts["debtor_row"].tolist(), receipts["creditor_row"].tolist()
    found: list[tuple[Any, ...]] = []
    for side, own, other in (("debit", debtors, creditors), ("credit", creditors, debtors)):
        after = columns.balances(receipts["debtor_side" if side == "debit" else "creditor_side"])
        found += [
            (era, ordinal, side, amount, bond, balance, mine, theirs)
            for era, ordinal, amount, bond, balance, mine, theirs in zip(
                *shared, bonds, after, own, other, strict=True
            )
        ]
    return found
