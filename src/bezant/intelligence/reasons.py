"""Why a payment was flagged, as bits for evidence and as words for people."""

from __future__ import annotations

from enum import IntFlag

import numpy as np
import numpy.typing as npt

from bezant.intelligence.features import COLUMN, FloatMatrix

ReasonArray = npt.NDArray[np.uint32]
"""Reason bits, shape (n,)."""


class Reasons(IntFlag):
    """Bits of `reasons` in evidence; a bit never changes its meaning."""

    NEW_PAYEE = 1 << 0
    MANY_NEW_PAYEES = 1 << 1
    BURST = 1 << 2
    AMOUNT_OUT_OF_HABIT = 1 << 3
    LARGE_AMOUNT = 1 << 4
    PASS_THROUGH = 1 << 5
    FAN_IN = 1 << 6
    CREDITOR_FORWARDS = 1 << 7
    NIGHT = 1 << 8
    NEW_ACCOUNT = 1 << 9

    MODEL_REVIEW = 1 << 16
    """The model's score reached the review threshold."""
    MODEL_BLOCK = 1 << 17
    RULES_DECIDED = 1 << 18
    """No usable model: the rules gave the score."""
    CONTROL_GROUP = 1 << 19
    """Would have been reviewed, and passed at random, so that recall can be measured."""

    LISTED_NAME = 1 << 20
    """A party's name resembles one on the watchlist."""
    RULE_ASKED = 1 << 21
    """A rule in configuration asked for it; the evidence says which."""

    @property
    def words(self) -> list[str]:
        """One short sentence for each reason that is set, for a person who decides."""
        return [_WORDS[reason] for reason in Reasons if reason in self]


_WORDS = {
    Reasons.NEW_PAYEE: "The customer has not paid this payee before.",
    Reasons.MANY_NEW_PAYEES: "Several payees new to this customer were paid within a day.",
    Reasons.BURST: "Several payments followed each other within the hour.",
    Reasons.AMOUNT_OUT_OF_HABIT: "The amount is far above this customer's own normal.",
    Reasons.LARGE_AMOUNT: "The amount is large.",
    Reasons.PASS_THROUGH: "Money that arrived within the hour is being passed on.",
    Reasons.FAN_IN: "The payee is being paid by several parties who never paid it before.",
    Reasons.CREDITOR_FORWARDS: "The payee has been passing on what it receives today.",
    Reasons.NIGHT: "The payment was made at night.",
    Reasons.NEW_ACCOUNT: "The customer's account has little history.",
    Reasons.MODEL_REVIEW: "The model's score is at or above the review threshold.",
    Reasons.MODEL_BLOCK: "The model's score is at or above the block threshold.",
    Reasons.RULES_DECIDED: "The model was not available, so rules with tighter limits decided.",
    Reasons.CONTROL_GROUP: "Passed at random into the control group that measures the screening itself.",
    Reasons.LISTED_NAME: "The name of a party resembles one on the watchlist.",
    Reasons.RULE_ASKED: "A rule of this node asks for it.",
}


def observe(x: FloatMatrix) -> ReasonArray:
    """Return the reason bits (n,) uint32 that the features x (n, F) themselves show.

    Limits are fixed and readable on purpose; they explain, and the rules weigh them.
    """

    def of(name: str) -> npt.NDArray[np.float32]:
        return x[:, COLUMN[name]]

    stranger = of("pair_new") > 0
    # Nonsense may be as large as a float goes; its difference is infinite then, and that is no reason.
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.abs(of("creditor_sent_1d") - of("received_amount_1d"))
    seen = {
        Reasons.NEW_PAYEE: stranger,
        Reasons.MANY_NEW_PAYEES: stranger & (of("new_payees_1d") > 1.8),
        Reasons.BURST: (of("sent_count_1h") > 1.8) & (of("sent_count_7d") < 60.0),
        # In logarithms: three times the customer's own mean, and 1.3 of its own deviations.
        Reasons.AMOUNT_OUT_OF_HABIT: (of("amount_over_mean") > 1.1) & (of("amount_deviation") > 1.3),
        Reasons.LARGE_AMOUNT: of("amount") > np.log1p(1_000.0),
        Reasons.PASS_THROUGH: (of("pass_through_1h") > 0.45) & (of("debtor_received_1h") > np.log1p(50.0)),
        Reasons.FAN_IN: stranger & (of("new_payers_1d") > 1.0) & (of("received_count_30d") < 20.0),
        Reasons.CREDITOR_FORWARDS: (of("creditor_sent_1d") > np.log1p(200.0)) & (apart < 0.35),
        Reasons.NIGHT: of("night") > 0,
        Reasons.NEW_ACCOUNT: of("debtor_age") < np.log1p(86_400.0),
    }
    bits = np.zeros(len(x), np.uint32)
    for reason, where in seen.items():
        bits[where] |= np.uint32(reason)
    return bits
