"""Evidence: golden bytes, commitments, and decisions computed again."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from bezant.errors import DecodeError, ModelError
from bezant.intelligence import evidence
from bezant.intelligence.evidence import EVIDENCE, commitments, decode_evidence, encode_evidence
from bezant.intelligence.features import FEATURES, FloatMatrix
from bezant.intelligence.model import Model
from bezant.intelligence.reasons import Reasons
from bezant.intelligence.replay import replay
from bezant.intelligence.rules import score_rules
from bezant.intelligence.verdict import NEVER_PPM, Circumstance, Grounds, conclude
from bezant.model.digest import TAG_EVIDENCE
from bezant.model.outcomes import Verdict

from .conftest import Judged


def grounds_of(x: FloatMatrix, score_ppm: np.ndarray, **columns: object) -> Grounds:
    """Return grounds (n,) with thresholds of 300,000 and 900,000 and nothing else against anybody."""
    defaults = {
        "review_ppm": np.uint32(300_000),
        "block_ppm": np.uint32(900_000),
        "alert_ppm": np.uint32(0),
        "screening": np.uint8(0),
        "asked": np.uint8(0),
        "circumstances": np.uint8(0),
        "reasons": np.uint32(0),
    }
    given = {name: np.full(len(x), columns.get(name, value)) for name, value in defaults.items()}
    typed = {name: column.astype(defaults[name].dtype) for name, column in given.items()}
    return Grounds(x=x, score_ppm=score_ppm.astype(np.uint32), **typed)


def encoded(model: Model, judged: Judged, n: int = 20, **columns: object) -> np.ndarray:
    x = judged.x[:n]
    grounds = grounds_of(x, model.score(x), **columns)
    verdict, reasons = conclude(grounds, grounds.by_score)
    return encode_evidence(grounds, verdict, reasons, model=model.digest, generation=7, fallback=4)


def test_bytes_are_pinned() -> None:
    """Names, order and offsets are for ever; a change needs a new version."""
    assert EVIDENCE.itemsize == 120 + 4 * len(FEATURES)
    assert {name: EVIDENCE.fields[name][1] for name in EVIDENCE.names or ()} == {
        "version": 0,
        "features": 2,
        "verdict": 4,
        "fallback": 5,
        "screening": 6,
        "circumstances": 7,
        "generation": 8,
        "score_ppm": 12,
        "review_ppm": 16,
        "block_ppm": 20,
        "alert_ppm": 24,
        "reasons": 28,
        "rules_fired": 32,
        "rulebook": 40,
        "model": 56,
        "segment": 88,
        "asked": 89,
        "debtor_country": 90,
        "creditor_country": 92,
        "reserved": 94,
        "debtor_row": 96,
        "creditor_row": 100,
        "x": 104,
        "salt": 104 + 4 * len(FEATURES),
    }
    grounds = grounds_of(
        np.ones((1, len(FEATURES)), np.float32),
        np.array([3]),
        review_ppm=5,
        block_ppm=6,
        alert_ppm=7,
        screening=1,
        asked=2,
        circumstances=8,
    )
    row = encode_evidence(
        grounds,
        np.array([1], np.uint8),
        np.array([9], np.uint32),
        model=bytes(range(32)),
        generation=4,
        fallback=2,
        debtor_row=11,
        creditor_row=np.array([12], np.uint32),
        debtor_country=0x4445,
        creditor_country=np.array([0x4652], np.uint16),
        segment=3,
        rules_fired=np.array([10], np.uint64),
        rulebook=bytes(range(16, 32)),
    )[0]
    head = (
        "0400 5900 01 02 01 08 04000000 03000000 05000000 06000000 07000000 09000000 0a00000000000000"
        "101112131415161718191a1b1c1d1e1f"
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f 03 02 4544 5246 0000"
        "0b000000 0c000000 0000803f"
    )
    assert row.tobytes()[:108] == bytes.fromhex(head.replace(" ", ""))


def test_round_trip(model: Model, judged: Judged) -> None:
    rows = encoded(model, judged)
    assert (rows.shape, rows.dtype) == ((20, EVIDENCE.itemsize), np.uint8)
    back = decode_evidence(rows)
    assert back["x"].tobytes() == judged.x[:20].tobytes()
    assert back["score_ppm"].tolist() == model.score(judged.x[:20]).tolist()
    assert back["model"].tobytes() == model.digest * 20
    assert (back["generation"].max(), back["review_ppm"].min(), back["fallback"].max()) == (7, 300_000, 4)


def test_commitments_bind_every_byte_under_their_domain(model: Model, judged: Judged) -> None:
    rows = encoded(model, judged, 2)
    digests = commitments(rows)
    assert digests.shape == (2, 32)
    assert digests[1].tobytes() == hashlib.sha256(TAG_EVIDENCE + rows[1].tobytes()).digest()
    for byte in range(rows.shape[1]):
        altered = rows[:1].copy()
        altered[0, byte] ^= 1
        assert commitments(altered)[0].tobytes() != digests[0].tobytes()


def test_equal_decisions_have_unequal_commitments(model: Model, judged: Judged) -> None:
    """Without a salt, anyone could confirm a guessed row."""
    assert (
        commitments(encoded(model, judged, 1)).tobytes() != commitments(encoded(model, judged, 1)).tobytes()
    )


def test_any_decision_of_a_model_can_be_computed_again(model: Model, judged: Judged) -> None:
    n = 600
    random = np.random.default_rng(8)
    rows = encoded(
        model,
        judged,
        n,
        review_ppm=random.integers(1, 20_000, n),
        block_ppm=random.integers(20_000, 400_000, n),
        alert_ppm=random.choice([0, 30_000], n),
        screening=random.choice([0, 0, 1, 2], n),
        circumstances=random.choice([0, 0, Circumstance.ISSUES, Circumstance.STRICT], n),
    )
    again = [replay(row, model) for row in rows]
    assert all(one.equal for one in again)
    assert {one.recorded.verdict for one in again} == set(Verdict)
    assert any(one.recorded.reasons & Reasons.MODEL_REVIEW for one in again)


@pytest.mark.parametrize("field", ["score_ppm", "verdict", "reasons", "review_ppm", "screening"])
def test_a_decision_that_was_altered_is_not_what_is_computed(
    model: Model, judged: Judged, field: str
) -> None:
    rows = encoded(model, judged, 1)
    assert replay(rows[0], model).equal
    decode_evidence(rows)[field] = {"reasons": 1, "review_ppm": 0, "verdict": 2}.get(field, 1)
    assert not replay(rows[0], model).equal


def test_a_decision_of_the_rules_needs_no_model(judged: Judged) -> None:
    x = judged.x[:200]
    score, said = score_rules(x)
    grounds = grounds_of(
        x, score, review_ppm=350_000, block_ppm=NEVER_PPM, circumstances=Circumstance.BY_RULES
    )
    grounds.reasons = said
    verdict, reasons = conclude(grounds, grounds.by_score)
    rows = encode_evidence(grounds, verdict, reasons, model=bytes(32), generation=1, fallback=1)
    assert all(replay(row, None).equal for row in rows)
    assert decode_evidence(rows)["model"][0, :16].tobytes() == evidence.RULES


def test_another_model_is_refused(model: Model, judged: Judged) -> None:
    for byte in (0, 31):
        rows = encoded(model, judged, 1)
        decode_evidence(rows)["model"][0, byte] ^= 1
        for candidate in (model, None):
            with pytest.raises(ModelError) as caught:
                replay(rows[0], candidate)
            assert caught.value.code == "model_other"


def test_foreign_bytes_are_refused(model: Model, judged: Judged) -> None:
    rows = encoded(model, judged, 2)
    with pytest.raises(DecodeError):
        decode_evidence(rows[:, :-1])
    for place in (0, 2):
        other = rows.copy()
        other[1, place] ^= 0x40
        with pytest.raises(DecodeError) as caught:
            decode_evidence(other)
        assert caught.value.code == "evidence_version"


def test_no_rows_are_no_trouble() -> None:
    none = np.empty((0, EVIDENCE.itemsize), np.uint8)
    assert len(decode_evidence(none)) == 0
    assert commitments(none).shape == (0, 32)


# From grounds to a verdict.

ALLOW, REVIEW, BLOCK = Verdict.ALLOW, Verdict.REVIEW, Verdict.BLOCK


@pytest.mark.parametrize(
    ("score", "columns", "verdict"),
    [
        (299_999, {}, ALLOW),
        (300_000, {}, REVIEW),
        (900_000, {}, BLOCK),
        (899_999, {"alert_ppm": 899_999}, REVIEW),
        (899_998, {"alert_ppm": 899_999}, ALLOW),
        (300_000, {"alert_ppm": 299_999}, REVIEW),
        (900_000, {"alert_ppm": 950_000}, BLOCK),
        (1_000_000, {"block_ppm": NEVER_PPM}, REVIEW),
        (950_000, {"circumstances": Circumstance.ISSUES}, ALLOW),
        (950_000, {"circumstances": Circumstance.UNSCORED}, ALLOW),
        (950_000, {"circumstances": Circumstance.STRICT}, REVIEW),
        (0, {"circumstances": Circumstance.STRICT}, REVIEW),
        (0, {"circumstances": Circumstance.STRICT, "screening": BLOCK}, BLOCK),
        (300_000, {"circumstances": Circumstance.CONTROL}, ALLOW),
        (0, {"screening": REVIEW}, REVIEW),
        (0, {"asked": BLOCK}, BLOCK),
        (950_000, {"asked": REVIEW, "screening": REVIEW}, BLOCK),
    ],
)
def test_the_worst_of_what_is_said_counts(score: int, columns: dict[str, object], verdict: Verdict) -> None:
    grounds = grounds_of(np.zeros((1, len(FEATURES)), np.float32), np.array([score]), **columns)
    assert conclude(grounds, grounds.by_score)[0].tolist() == [verdict]


def test_only_those_reviewed_for_their_score_alone_are_spared() -> None:
    x = np.zeros((5, len(FEATURES)), np.float32)
    grounds = grounds_of(
        x,
        np.array([500_000, 500_000, 500_000, 950_000, 0]),
        screening=np.array([0, 1, 0, 0, 0]),
        asked=np.array([0, 0, 1, 0, 0]),
    )
    assert grounds.spared(grounds.by_score).tolist() == [0]
