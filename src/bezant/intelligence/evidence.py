"""The evidence of a decision: everything needed to recompute it, in one fixed row of bytes.

One row for each payment: little-endian, no padding, 56 bytes and 4 for each feature. The row is
personal data and goes to the vault; the ledger sees only its commitment. The salt keeps anyone
from guessing a row from its commitment.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bezant.errors import DecodeError, ModelError
from bezant.intelligence.features import FEATURES, FloatMatrix
from bezant.intelligence.model import Model
from bezant.intelligence.reasons import ReasonArray
from bezant.intelligence.rules import score_rules
from bezant.model.digest import TAG_EVIDENCE, digest_rows
from bezant.model.records import Bytes32Array, RecordArray

VERSION = 2
RULES = bytes(16)
"""Where a model's name stands, if the rules gave the score."""

EvidenceRows = npt.NDArray[np.uint8]
"""Encoded evidence, shape (n, EVIDENCE.itemsize)."""

EVIDENCE = np.dtype(
    [
        ("version", "<u2"),
        ("features", "<u2"),
        ("verdict", "u1"),
        ("fallback", "u1"),
        ("reserved", "<u2"),
        ("generation", "<u4"),
        ("score_ppm", "<u4"),
        ("threshold_ppm", "<u4"),
        ("reasons", "<u4"),
        ("model", "u1", (16,)),
        ("x", "<f4", (len(FEATURES),)),
        ("salt", "u1", (16,)),
    ]
)
"""Names as in the ledger's DECISION; `features` counts `x`; `reasons` are `Reasons` bits."""


def encode_evidence(
    x: FloatMatrix,
    score_ppm: npt.NDArray[np.uint32],
    threshold_ppm: npt.ArrayLike,
    verdict: npt.ArrayLike,
    fallback: npt.ArrayLike,
    reasons: ReasonArray,
    generation: int,
    model: npt.ArrayLike,
) -> EvidenceRows:
    """Return rows (n, width) uint8 with fresh random salts.

    x (n, F) float32; scores and reasons (n,); `threshold_ppm`, `verdict`, `fallback` one for all
    or (n,); `model` (16,) or (n, 16) uint8, zeros (RULES) where rules gave the score.
    """
    rows = np.zeros(len(x), EVIDENCE)
    rows["version"] = VERSION
    rows["features"] = len(FEATURES)
    rows["verdict"] = verdict
    rows["fallback"] = fallback
    rows["generation"] = generation
    rows["score_ppm"] = score_ppm
    rows["threshold_ppm"] = threshold_ppm
    rows["reasons"] = reasons
    rows["model"] = model
    rows["x"] = x
    rows["salt"] = np.frombuffer(secrets.token_bytes(16 * len(x)), np.uint8).reshape(-1, 16)
    return rows.view(np.uint8).reshape(len(x), EVIDENCE.itemsize)


def decode_evidence(rows: EvidenceRows) -> RecordArray:
    """Return an EVIDENCE array (n,), a view of the rows (n, width).

    Raises: DecodeError for another width, version, or number of features.
    """
    if rows.ndim != 2 or rows.shape[1] != EVIDENCE.itemsize or rows.dtype != np.uint8:
        raise DecodeError(
            f"evidence of shape {rows.shape} is not (n, {EVIDENCE.itemsize}) bytes; "
            "read it with the version that wrote it",
            code="evidence_format",
        )
    decoded = np.ascontiguousarray(rows).view(EVIDENCE).reshape(-1)
    if (decoded["version"] != VERSION).any() or (decoded["features"] != len(FEATURES)).any():
        raise DecodeError(
            f"evidence is not of version {VERSION} with {len(FEATURES)} features; "
            "read it with the version that wrote it",
            code="evidence_version",
        )
    return decoded


def commitments(rows: EvidenceRows) -> Bytes32Array:
    """Return the digests (n, 32) that bind rows (n, width): SHA-256 over a domain tag and the row."""
    return digest_rows(TAG_EVIDENCE, rows)


@dataclass(frozen=True, slots=True)
class Replay:
    """A score computed again from its evidence."""

    recorded_ppm: int
    recomputed_ppm: int

    @property
    def equal(self) -> bool:
        return self.recorded_ppm == self.recomputed_ppm


def replay(row: EvidenceRows, model: Model | None) -> Replay:
    """Compute one decision's score again from its encoded row (width,), by model or by rules.

    Raises: DecodeError for bytes that are no evidence; ModelError if the row names another model.
    """
    (evidence,) = decode_evidence(np.asarray(row).reshape(1, -1))
    x = np.ascontiguousarray(evidence["x"]).reshape(1, -1)
    named = evidence["model"].tobytes()
    if named == RULES:
        return Replay(int(evidence["score_ppm"]), int(score_rules(x)[0][0]))
    if model is None or model.name != named:
        raise ModelError(
            f"this decision was scored by model {named.hex()}; replay it with that model's file",
            code="model_other",
        )
    return Replay(int(evidence["score_ppm"]), int(model.score(x)[0]))
