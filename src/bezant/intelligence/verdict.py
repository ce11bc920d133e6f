"""From a score to a verdict: one function for the pipeline and for whoever computes a decision again.

It is pure, and whatever it looks at stands in the evidence: that is what makes a verdict repeatable.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
import numpy.typing as npt

from bezant.intelligence.features import FloatMatrix
from bezant.intelligence.reasons import ReasonArray, Reasons, observe
from bezant.model.outcomes import Verdict

NEVER_PPM = 1_000_001
"""A threshold that no score reaches."""

Bytes = npt.NDArray[np.uint8]
_UINT32 = npt.NDArray[np.uint32]


class Circumstance(IntFlag):
    """What else decided, as bits of evidence; a bit never changes its meaning."""

    ISSUES = 1 << 0
    """New money from an issuer's account: a model of customers has nothing to say of it."""
    UNSCORED = 1 << 1
    """An account is not known, so there was nothing to score; the ledger refuses it."""
    STRICT = 1 << 2
    """The decide stage fell back: a person looks at everything."""
    CONTROL = 1 << 3
    """Drawn by lot to pass instead of being reviewed, so that recall can be measured."""
    BY_RULES = 1 << 4
    """The rules gave the score, for want of a model."""

    @property
    def words(self) -> tuple[str, ...]:
        """The names of the bits that are set, in small letters."""
        return tuple((one.name or "").lower() for one in Circumstance if one in self)


# As numpy's own numbers: of a member of an enumeration numpy asks first whether it is an array.
_ALLOW, _REVIEW, _BLOCK = np.uint8(Verdict.ALLOW), np.uint8(Verdict.REVIEW), np.uint8(Verdict.BLOCK)
_CONTROL, _STRICT, _BY_RULES = (
    np.uint8(bit) for bit in (Circumstance.CONTROL, Circumstance.STRICT, Circumstance.BY_RULES)
)
_NO_SCORE = np.uint8(Circumstance.ISSUES | Circumstance.UNSCORED | Circumstance.STRICT)


@dataclass(slots=True)
class Grounds:
    """What verdicts rest on, as columns of n payments.

    `x` (n, F) float32; scores and thresholds (n,) uint32 in parts per million: a score at or above one
    triggers it; `alert_ppm` raises the one of review where too many would be reviewed, and is 0 where it
    does not. `screening` and `asked` (n,) uint8: the least that the name screening and the rules in
    configuration ask for. `circumstances` (n,) uint8: `Circumstance` bits. `reasons` (n,) uint32: what the
    scorer said.
    """

    x: FloatMatrix
    score_ppm: _UINT32
    review_ppm: _UINT32
    block_ppm: _UINT32
    alert_ppm: _UINT32
    screening: Bytes
    asked: Bytes
    circumstances: Bytes
    reasons: ReasonArray

    @property
    def least_ppm(self) -> _UINT32:
        """The scores from which on the model asks for review (n,)."""
        return np.maximum(self.review_ppm, self.alert_ppm)

    @property
    def by_score(self) -> Bytes:
        """What the score alone asks for (n,), before lots are drawn."""
        judged = (self.circumstances & _NO_SCORE) == 0
        asked = np.where(judged & (self.score_ppm >= self.least_ppm), _REVIEW, _ALLOW)
        asked[judged & (self.score_ppm >= self.block_ppm)] = _BLOCK
        return asked

    def spared(self, by_score: Bytes) -> npt.NDArray[np.intp]:
        """Return the rows that would be reviewed for their score and for nothing else."""
        quiet = (self.screening == _ALLOW) & (self.asked == _ALLOW)
        return (quiet & (by_score == _REVIEW)).nonzero()[0]


def conclude(grounds: Grounds, by_score: Bytes) -> tuple[Bytes, ReasonArray]:
    """Return verdicts (n,) uint8 and reasons (n,) uint32; `by_score` is the grounds' own."""
    at = grounds.circumstances
    control, strict = (at & _CONTROL) > 0, (at & _STRICT) > 0
    verdict = np.where(control, _ALLOW, by_score)
    verdict[strict] = _REVIEW
    np.maximum(verdict, grounds.screening, out=verdict)
    np.maximum(verdict, grounds.asked, out=verdict)
    return verdict, _reasons(grounds, by_score, control)


def _reasons(grounds: Grounds, by_score: Bytes, control: npt.NDArray[np.bool_]) -> ReasonArray:
    """Say why, for the few that are flagged."""
    reasons = grounds.reasons.copy()
    flagged = ((by_score > 0) & ((grounds.circumstances & _BY_RULES) == 0)).nonzero()[0]
    if len(flagged):
        reasons[flagged] |= observe(grounds.x[flagged])
        reached = grounds.score_ppm[flagged] >= grounds.least_ppm[flagged]
        reasons[flagged[reached]] |= np.uint32(Reasons.MODEL_REVIEW)
        reasons[by_score == _BLOCK] |= np.uint32(Reasons.MODEL_BLOCK)
    reasons[control] |= np.uint32(Reasons.CONTROL_GROUP)
    reasons[grounds.screening > 0] |= np.uint32(Reasons.LISTED_NAME)
    reasons[grounds.asked > 0] |= np.uint32(Reasons.RULE_ASKED)
    return reasons
