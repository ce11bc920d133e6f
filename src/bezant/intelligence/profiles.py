"""What an account's history looks like, taken together: a row of measures for each account.

Payments are looked at one after another by the streaming features (`features`), each before it is
learned. An account's profile keeps the extremes and means of some of them, as debtor and as creditor:
what a window has long forgotten, the largest it ever held has not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bezant.intelligence.features import COLUMN, FloatMatrix
from bezant.intelligence.history import History, Progress, replay_features

AS_DEBTOR: dict[str, tuple[str, ...]] = {
    "min": ("amount", "amount_over_mean", "amount_deviation", "pair_new"),
    "max": (
        *("pair_count_7d", "pair_count_30d", "pair_gap", "paid_back", "circle", "debtor_age"),
        *("debtor_fan_in", "debtor_fan_out"),
    ),
    "mean": (
        *("amount", "debtor_gap", "paid_back", "passed_on_1d", "debtor_passed_3d", "debtor_stay"),
        *("creditor_fan_in", "creditor_fan_out"),
    ),
}
AS_CREDITOR: dict[str, tuple[str, ...]] = {
    "min": ("amount", "amount_over_mean", "amount_deviation", "pair_new"),
    "max": (
        *("pair_count_7d", "pair_count_30d", "pair_gap", "paid_back", "circle", "creditor_age"),
        *("creditor_fan_in", "creditor_fan_out"),
    ),
    "mean": (
        *("amount", "amount_deviation", "creditor_gap", "paid_back", "creditor_passed_3d"),
        *("debtor_fan_in", "debtor_fan_out"),
    ),
}
"""How each feature of an account's payments is taken together; all 0 for a side it never was on."""

MEASURES: tuple[str, ...] = tuple(
    f"{side}_{how}_{name}"
    for side, measured in (("paying", AS_DEBTOR), ("paid", AS_CREDITOR))
    for how, names in measured.items()
    for name in names
)

_TOGETHER = {"min": np.minimum, "max": np.maximum, "mean": np.add}


@dataclass(frozen=True, slots=True)
class Links:
    """Who paid whom at least once: the distinct pairs of different accounts, as account rows.

    `debtor`, `creditor` (pairs,); `accounts`: how many there are.
    """

    debtor: npt.NDArray[np.int64]
    creditor: npt.NDArray[np.int64]
    accounts: int

    @classmethod
    def of(cls, history: History, accounts: int) -> Links:
        """Return the links of a history."""
        debtor, creditor = history.debtor.astype(np.int64), history.creditor.astype(np.int64)
        pairs = np.unique((debtor * accounts + creditor)[debtor != creditor])
        return cls(pairs // accounts, pairs % accounts, accounts)

    def over_payers(self, weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return (accounts,) the sum of `weight` (accounts,) over each account's distinct payers."""
        return np.bincount(self.creditor, weight[self.debtor], minlength=self.accounts).astype(np.float64)

    def over_payees(self, weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return (accounts,) the sum of `weight` (accounts,) over each account's distinct payees."""
        return np.bincount(self.debtor, weight[self.creditor], minlength=self.accounts).astype(np.float64)

    def mutual(self) -> Links:
        """Return the links between accounts that have both paid each other."""
        there, back = self.debtor * self.accounts + self.creditor, self.creditor * self.accounts + self.debtor
        both = np.isin(back, there)
        return Links(self.debtor[both], self.creditor[both], self.accounts)

    def turned(self) -> Links:
        """Return the same links with payers and payees in each other's place."""
        return Links(self.creditor, self.debtor, self.accounts)


def profile_accounts(history: History, accounts: int, progress: Progress) -> FloatMatrix:
    """Return (accounts, MEASURES) of account rows 0 to `accounts` after a history in order of time."""
    x = replay_features(history, progress)
    parts = [
        _together(x[:, [COLUMN[name] for name in names]], side, accounts, how)
        for side, measured in ((history.debtor, AS_DEBTOR), (history.creditor, AS_CREDITOR))
        for how, names in measured.items()
    ]
    return np.hstack(parts).astype(np.float32)


def _together(x: FloatMatrix, account: npt.NDArray[np.integer], accounts: int, how: str) -> FloatMatrix:
    """Return (accounts, columns): rows of x (n, columns) of each account taken together."""
    found = np.zeros((accounts, x.shape[1]), np.float64)
    order = np.argsort(account, kind="stable")
    rows, starts, counts = np.unique(account[order], return_index=True, return_counts=True)
    if rows.size:
        found[rows] = _TOGETHER[how].reduceat(x[order].astype(np.float64), starts, axis=0)
    if how == "mean":
        found[rows] /= counts[:, None]
    return found.astype(np.float32)
