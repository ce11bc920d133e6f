"""The evidence of a decision: everything needed to recompute it, in one fixed row of bytes.

One row for each payment: little-endian, no padding, 120 bytes and 4 for each feature. The row is
personal data and goes to the vault; the ledger sees only its commitment. The salt keeps anyone
from guessing a row from its commitment. Why it holds what it holds: docs/decisions/0008.
"""

from __future__ import annotations

import secrets

import numpy as np
import numpy.typing as npt

from bezant.errors import DecodeError
from bezant.intelligence.features import FEATURES
from bezant.intelligence.rulebook import NO_BOOK
from bezant.intelligence.verdict import Bytes, Grounds
from bezant.model.digest import TAG_EVIDENCE, digest_rows
from bezant.model.records import NO_ROW, Bytes32Array, RecordArray

VERSION = 4
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
        ("screening", "u1"),
        ("circumstances", "u1"),
        ("generation", "<u4"),
        ("score_ppm", "<u4"),
        ("review_ppm", "<u4"),
        ("block_ppm", "<u4"),
        ("alert_ppm", "<u4"),
        ("reasons", "<u4"),
        ("rules_fired", "<u8"),
        ("rulebook", "u1", (16,)),
        ("model", "u1", (32,)),
        ("segment", "u1"),
        ("asked", "u1"),
        ("debtor_country", "<u2"),
        ("creditor_country", "<u2"),
        ("reserved", "u1", (2,)),
        ("debtor_row", "<u4"),
        ("creditor_row", "<u4"),
        ("x", "<f4", (len(FEATURES),)),
        ("salt", "u1", (16,)),
    ]
)
"""Names as in the ledger's DECISION and in `Grounds`; `features` counts `x`; `reasons` are `Reasons` bits.

`segment` numbers the model's part of the customers whose thresholds these are, 0 where it has none.
`rules_fired` are bits by position over the rules of the book that `rulebook` names, the first half of its
SHA-256 and zeros where there is none. `model` is the model file's SHA-256: its first half is what DECISION
says, the second zeros where it is not known, and all of it zeros (RULES) where rules gave the score.
`debtor_row` and `creditor_row` are the ledger's numbers of the accounts, NO_ROW for one it did not know: the
receipt of a payment that was refused does not say between whom it was to go. Countries are those that rules
were asked about (`countries`), 0 where a party has none or no rules were asked.
"""


def encode_evidence(
    grounds: Grounds,
    verdict: Bytes,
    reasons: npt.NDArray[np.uint32],
    *,
    model: bytes,
    generation: int,
    fallback: int,
    debtor_row: npt.ArrayLike = NO_ROW,
    creditor_row: npt.ArrayLike = NO_ROW,
    debtor_country: npt.ArrayLike = 0,
    creditor_country: npt.ArrayLike = 0,
    segment: npt.ArrayLike = 0,
    rules_fired: npt.ArrayLike = 0,
    rulebook: bytes = NO_BOOK,
) -> EvidenceRows:
    """Return rows (n, width) uint8 with fresh random salts.

    `model` is a whole digest of 32 bytes, or what is known of it in front of zeros; rows of accounts,
    countries, `segment` and `rules_fired` are one for all or (n,).
    """
    count = len(verdict)
    rows = np.zeros(count, EVIDENCE)
    rows["version"], rows["features"] = VERSION, len(FEATURES)
    rows["verdict"], rows["fallback"], rows["generation"] = verdict, fallback, generation
    rows["screening"], rows["asked"] = grounds.screening, grounds.asked
    rows["circumstances"], rows["reasons"] = grounds.circumstances, reasons
    rows["score_ppm"], rows["review_ppm"] = grounds.score_ppm, grounds.review_ppm
    rows["block_ppm"], rows["alert_ppm"] = grounds.block_ppm, grounds.alert_ppm
    rows["rules_fired"], rows["rulebook"] = rules_fired, np.frombuffer(rulebook, np.uint8)
    rows["debtor_row"], rows["creditor_row"] = debtor_row, creditor_row
    rows["debtor_country"], rows["creditor_country"] = debtor_country, creditor_country
    rows["model"], rows["segment"] = np.frombuffer(model, np.uint8), segment
    rows["x"] = grounds.x
    rows["salt"] = np.frombuffer(secrets.token_bytes(16 * count), np.uint8).reshape(-1, 16)
    return rows.view(np.uint8).reshape(count, EVIDENCE.itemsize)


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


def accounts_of(row: bytes) -> tuple[int, int]:
    """Return the ledger's rows of debtor and creditor by one row of evidence, NO_ROW where it says none."""
    try:
        (evidence,) = decode_evidence(np.frombuffer(row, np.uint8).reshape(1, -1))
    except DecodeError:
        return NO_ROW, NO_ROW
    return int(evidence["debtor_row"]), int(evidence["creditor_row"])


def commitments(rows: EvidenceRows) -> Bytes32Array:
    """Return the digests (n, 32) that bind rows (n, width): SHA-256 over a domain tag and the row."""
    return digest_rows(TAG_EVIDENCE, rows)
