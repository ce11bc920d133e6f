"""What customers ask for, checked, and many of them as records in one go."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bezant.gateway.commands import VALID_FOR_S
from bezant.model.digest import TAG_PAYLOAD, sha256
from bezant.model.identifiers import AccountId, PaymentId, words
from bezant.model.payment import SALT_BYTES, Payload, encode_payload
from bezant.model.records import RECORD, Flag, Kind, RecordArray

_ROW = struct.Struct("<10Q32s3I2H")
"""RECORD, field by field: one call for a row, where numpy would take one for each field."""
_NO_TEXT = bytes(32)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One payment as asked for: amount in minor units of the asset with that number."""

    identity: PaymentId
    debtor: AccountId
    creditor: AccountId
    asset: int
    amount_minor: int
    payload: Payload | None = None
    hold_for_s: int = 0
    may_review: bool = True


def records_of(instructions: Sequence[Instruction]) -> tuple[RecordArray, tuple[bytes, ...]]:
    """Return RECORD rows (n,) and the sealed text of each, salt ‖ payload, empty where there is none."""
    salts = secrets.token_bytes(SALT_BYTES * len(instructions))
    rows, texts = [], []
    for place, one in enumerate(instructions):
        text, commitment = b"", _NO_TEXT
        if one.payload:
            text = salts[place * SALT_BYTES : (place + 1) * SALT_BYTES] + encode_payload(one.payload)
            commitment = sha256(TAG_PAYLOAD, text)
        texts.append(text)
        rows.append(
            _ROW.pack(
                *words(one.identity),
                *words(one.debtor),
                *words(one.creditor),
                0,
                0,
                one.amount_minor,
                0,
                commitment,
                one.asset,
                VALID_FOR_S,
                one.hold_for_s,
                Kind.HOLD if one.hold_for_s else Kind.TRANSFER,
                Flag.MAY_REVIEW if one.may_review else 0,
            )
        )
    return np.frombuffer(b"".join(rows), RECORD).copy(), tuple(texts)
