"""What customers ask for, checked, and many of them as records in one go."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bezant.gateway.commands import VALID_FOR_S
from bezant.ledger.fees import quote
from bezant.model.digest import TAG_LOCK, TAG_PAYLOAD, sha256
from bezant.model.genesis import Fee
from bezant.model.identifiers import (
    AccountId,
    PaymentId,
    id_bytes,
    new_payment_id,
    payment_time_ms,
    words,
)
from bezant.model.payment import SALT_BYTES, Payload, encode_payload
from bezant.model.records import RECORD, Flag, Kind, RecordArray

_ROW = struct.Struct("<10Q32s3I2H")
"""RECORD, field by field: one call for a row, where numpy would take one for each field."""
_NO_TEXT = bytes(32)
_LINKED, _MAY_REVIEW, _UNDER_MANDATE = int(Flag.LINKED), int(Flag.MAY_REVIEW), int(Flag.UNDER_MANDATE)


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
    mandate: int = 0
    """The mandate that the gateway pays under; 0 for the account's own leave to it."""
    hashlock: bytes = b""
    """SHA-256 that every capture of the hold must open; empty for none."""

    @property
    def flags(self) -> int:
        # Plain integers: this is asked for every payment, and an enum's operators take longer.
        flags = _MAY_REVIEW if self.may_review else 0
        if self.mandate:
            flags |= _UNDER_MANDATE
        return flags | _LINKED if self.hashlock else flags

    @property
    def records(self) -> int:
        """How many records it becomes: itself, and the LOCK behind it."""
        return 2 if self.hashlock else 1


def lock_id(hold: int) -> PaymentId:
    """Return the id of the LOCK behind a hold: a UUIDv7 of the same time, so that the same request asked
    again has the same two ids."""
    return new_payment_id(payment_time_ms(hold), int.from_bytes(sha256(TAG_LOCK, id_bytes(hold))[:10], "big"))


def records_of(instructions: Sequence[Instruction]) -> tuple[RecordArray, tuple[bytes, ...]]:
    """Return RECORD rows in order, and the sealed text of each, salt ‖ payload, empty where there is none.

    A LOCK stands behind the hold that it locks, in one linked chain with it.
    """
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
                *words(one.mandate),
                one.amount_minor,
                0,
                commitment,
                one.asset,
                VALID_FOR_S,
                one.hold_for_s,
                Kind.HOLD if one.hold_for_s else Kind.TRANSFER,
                one.flags,
            )
        )
        if one.hashlock:
            texts.append(b"")
            rows.append(_lock_row(one))
    return np.frombuffer(b"".join(rows), RECORD).copy(), tuple(texts)


def allow_fees(records: RecordArray, fees: Sequence[Fee]) -> None:
    """Write into transfers (n,) what these fees charge them, as the most that is signed for."""
    for fee in fees:
        for at in np.flatnonzero((records["kind"] == Kind.TRANSFER) & (records["asset"] == fee.asset)):
            records["max_fee"][at] = quote(fee, int(records["amount"][at]))


def _lock_row(hold: Instruction) -> bytes:
    return _ROW.pack(
        *words(lock_id(hold.identity)),
        *words(hold.debtor),
        *words(hold.creditor),
        *words(hold.identity),
        0,
        0,
        hold.hashlock,
        hold.asset,
        VALID_FOR_S,
        0,
        Kind.LOCK,
        0,
    )
