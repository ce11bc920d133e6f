"""Computing a decision again, bit for bit, from its evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bezant.errors import ModelError
from bezant.intelligence.conditions import Facts
from bezant.intelligence.evidence import EvidenceRows, decode_evidence
from bezant.intelligence.model import Model
from bezant.intelligence.reasons import Reasons
from bezant.intelligence.rulebook import EMPTY, NO_BOOK, Rulebook
from bezant.intelligence.rules import score_rules
from bezant.intelligence.verdict import Bytes, Circumstance, Grounds, conclude
from bezant.model.outcomes import Verdict
from bezant.model.records import RecordArray


@dataclass(frozen=True, slots=True)
class Finding:
    """What was decided: score in parts per million, verdict, why, and which configured rules fired."""

    score_ppm: int
    verdict: Verdict
    reasons: Reasons
    rules_fired: int


@dataclass(frozen=True, slots=True)
class Replay:
    """A decision as it was recorded, and computed again."""

    recorded: Finding
    recomputed: Finding

    @property
    def equal(self) -> bool:
        return self.recorded == self.recomputed


def replay(
    row: EvidenceRows, model: Model | None, book: Rulebook = EMPTY, asked_about: Facts | None = None
) -> Replay:
    """Compute one decision again from its encoded row (width,), by model or by rules.

    Where configured rules were asked, `book` are those rules, and `asked_about` is the payment (1,), whose
    features are taken from the row. Raises: DecodeError for bytes that are no evidence; ModelError if the
    row names another model or other rules.
    """
    evidence = decode_evidence(np.asarray(row).reshape(1, -1))
    score_ppm, base = _score(evidence, model)
    grounds = _grounds(evidence, score_ppm, base)
    fired, grounds.asked = _ask(evidence, book, asked_about)
    verdict, reasons = conclude(grounds, grounds.by_score)
    (recorded,) = evidence
    return Replay(
        _finding(recorded["score_ppm"], recorded["verdict"], recorded["reasons"], recorded["rules_fired"]),
        _finding(score_ppm[0], verdict[0], reasons[0], fired),
    )


def names_model(evidence: np.void, model: Model) -> bool:
    """Return whether evidence says that this model gave the score."""
    named = evidence["model"].tobytes()
    return named[:16] == model.name and named[16:] in (model.digest[16:], bytes(16))


def _score(
    evidence: RecordArray, model: Model | None
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return the score and what the scorer itself said, (1,) each."""
    (one,) = evidence
    if one["circumstances"] & Circumstance.UNSCORED:
        return np.zeros(1, np.uint32), np.zeros(1, np.uint32)
    x = np.ascontiguousarray(evidence["x"])
    if one["circumstances"] & Circumstance.BY_RULES:
        return score_rules(x)
    if model is None or not names_model(one, model):
        raise ModelError(
            f"this decision was scored by model {one['model'].tobytes().hex()}; replay it with that "
            "model's file",
            code="model_other",
        )
    return model.score(x), np.zeros(1, np.uint32)


def _ask(evidence: RecordArray, book: Rulebook, asked_about: Facts | None) -> tuple[int, Bytes]:
    """Return which rules hold, and the least they ask for (1,)."""
    (one,) = evidence
    name = one["rulebook"].tobytes()
    if name != book.name:
        raise ModelError(
            f"this decision was made with the rules {name.hex()}; replay it with those", code="rules_other"
        )
    if name == NO_BOOK or asked_about is None or one["circumstances"] & Circumstance.ISSUES:
        return 0, np.zeros(1, np.uint8)
    fired, asked = book.ask(replace(asked_about, x=evidence["x"]))
    return int(fired[0]), asked


def _grounds(
    evidence: RecordArray, score_ppm: npt.NDArray[np.uint32], reasons: npt.NDArray[np.uint32]
) -> Grounds:
    return Grounds(
        x=evidence["x"],
        score_ppm=score_ppm,
        review_ppm=evidence["review_ppm"],
        block_ppm=evidence["block_ppm"],
        alert_ppm=evidence["alert_ppm"],
        screening=evidence["screening"],
        asked=evidence["asked"],
        circumstances=evidence["circumstances"],
        reasons=reasons,
    )


def _finding(score_ppm: int, verdict: int, reasons: int, rules_fired: int) -> Finding:
    return Finding(int(score_ppm), Verdict(int(verdict)), Reasons(int(reasons)), int(rules_fired))
