"""Evidence: golden bytes, commitments, replay."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from bezant.errors import DecodeError, ModelError
from bezant.intelligence import evidence
from bezant.intelligence.evidence import EVIDENCE, commitments, decode_evidence, encode_evidence, replay
from bezant.intelligence.features import FEATURES
from bezant.intelligence.model import Model
from bezant.intelligence.reasons import Reasons
from bezant.intelligence.rules import score_rules
from bezant.model.digest import TAG_EVIDENCE

from .conftest import Judged


def encoded(model: Model, judged: Judged, n: int = 20) -> np.ndarray:
    x = judged.x[:n]
    return encode_evidence(
        x=x,
        score_ppm=model.score(x),
        threshold_ppm=900_000,
        verdict=np.arange(n) % 3,
        fallback=4,
        reasons=np.full(n, int(Reasons.NEW_PAYEE | Reasons.NIGHT), np.uint32),
        generation=7,
        model=np.frombuffer(model.name, np.uint8),
    )


def test_bytes_are_pinned() -> None:
    """Names, order and offsets are for ever; a change needs a new version."""
    assert EVIDENCE.itemsize == 56 + 4 * len(FEATURES)
    assert {name: EVIDENCE.fields[name][1] for name in EVIDENCE.names or ()} == {
        "version": 0,
        "features": 2,
        "verdict": 4,
        "fallback": 5,
        "reserved": 6,
        "generation": 8,
        "score_ppm": 12,
        "threshold_ppm": 16,
        "reasons": 20,
        "model": 24,
        "x": 40,
        "salt": 40 + 4 * len(FEATURES),
    }
    row = encode_evidence(
        x=np.ones((1, len(FEATURES)), np.float32),
        score_ppm=np.array([3], np.uint32),
        threshold_ppm=5,
        verdict=1,
        fallback=2,
        reasons=np.array([6], np.uint32),
        generation=4,
        model=np.arange(16, dtype=np.uint8),
    )[0]
    head = (
        "0200 5900 01 02 0000 04000000 03000000 05000000 06000000 000102030405060708090a0b0c0d0e0f 0000803f"
    )
    assert row.tobytes()[:44] == bytes.fromhex(head.replace(" ", ""))


def test_round_trip(model: Model, judged: Judged) -> None:
    rows = encoded(model, judged)
    assert (rows.shape, rows.dtype) == ((20, EVIDENCE.itemsize), np.uint8)
    back = decode_evidence(rows)
    assert back["x"].tobytes() == judged.x[:20].tobytes()
    assert back["score_ppm"].tolist() == model.score(judged.x[:20]).tolist()
    assert back["verdict"].tolist() == [i % 3 for i in range(20)]
    assert back["model"].tobytes() == model.name * 20
    assert (back["generation"].max(), back["threshold_ppm"].min(), back["fallback"].max()) == (7, 900_000, 4)


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


def test_replay_by_model(model: Model, judged: Judged) -> None:
    rows = encoded(model, judged)
    assert all(replay(row, model).equal for row in rows)
    decode_evidence(rows)["score_ppm"][3] += 1
    told = replay(rows[3], model)
    assert not told.equal
    assert told.recorded_ppm == told.recomputed_ppm + 1


def test_replay_by_rules_needs_no_model(judged: Judged) -> None:
    score, reasons = score_rules(judged.x[:50])
    model = np.frombuffer(evidence.RULES, np.uint8)
    rows = encode_evidence(judged.x[:50], score, 350_000, 0, 1, reasons, 1, model)
    assert all(replay(row, None).equal for row in rows)


def test_replay_refuses_another_model(model: Model, judged: Judged) -> None:
    rows = encoded(model, judged, 1)
    decode_evidence(rows)["model"][0, 0] ^= 1
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
