"""The fixed-size binary records. Everything hashed or signed is made of these bytes.

All little-endian, no padding; 128-bit values are two u64 words, low word first. A golden
file pins every offset. `RECORD` is what a debtor signs, `DECISION` is what the gateway
attests beside it, `RECEIPT` is what the ledger answers.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any

import numpy as np
import numpy.typing as npt

RecordArray = npt.NDArray[np.void]
"""A one-dimensional array of one of the dtypes below."""
Bytes32Array = npt.NDArray[np.uint8]
"""Digests, shape (n, 32)."""

RECORD = np.dtype(
    [
        ("id_lo", "<u8"),
        ("id_hi", "<u8"),
        ("debtor_lo", "<u8"),
        ("debtor_hi", "<u8"),
        ("creditor_lo", "<u8"),
        ("creditor_hi", "<u8"),
        ("related_lo", "<u8"),
        ("related_hi", "<u8"),
        ("amount", "<u8"),
        ("max_fee", "<u8"),
        ("payload_commitment", "u1", (32,)),
        ("asset", "<u4"),
        ("valid_for_s", "<u4"),
        ("hold_for_s", "<u4"),
        ("kind", "<u2"),
        ("flags", "<u2"),
    ]
)

DECISION = np.dtype(
    [
        ("commitment", "u1", (32,)),
        ("model", "u1", (16,)),
        ("generation", "<u4"),
        ("score_ppm", "<u4"),
        ("threshold_ppm", "<u4"),
        ("verdict", "u1"),
        ("fallback", "u1"),
        ("reserved", "<u2"),
    ]
)
"""`commitment` binds the vaulted evidence (features, reasons); `model` is the first half of the
model file's SHA-256; scores are parts per million; `fallback` is a bit set of the stages that
fell back (bit = position of the stage in the flow)."""

AUTHORISATION = np.dtype(
    [
        ("authority_lo", "<u8"),
        ("authority_hi", "<u8"),
        ("first", "<u4"),
        ("count", "<u4"),
        ("key_index", "<u2"),
        ("scheme", "<u2"),
        ("reserved", "<u4"),
        ("signature", "u1", (64,)),
    ]
)
"""One signature over records `first : first + count` of an Order; scheme 1 is Ed25519."""

SIDE = np.dtype(
    [
        ("debits_pending_lo", "<u8"),
        ("debits_pending_hi", "<u8"),
        ("debits_posted_lo", "<u8"),
        ("debits_posted_hi", "<u8"),
        ("credits_pending_lo", "<u8"),
        ("credits_pending_hi", "<u8"),
        ("credits_posted_lo", "<u8"),
        ("credits_posted_hi", "<u8"),
    ]
)
"""The four lifetime counters of one account after a record was applied."""

RECEIPT = np.dtype(
    [
        ("id_lo", "<u8"),
        ("id_hi", "<u8"),
        ("amount", "<u8"),
        ("fee", "<u8"),
        ("order_index", "<u4"),
        ("debtor_row", "<u4"),
        ("creditor_row", "<u4"),
        ("outcome", "<u2"),
        ("first_outcome", "<u2"),
        ("mode", "u1"),
        ("verdict", "u1"),
        ("kind", "<u2"),
        ("reserved", "<u4"),
        ("debtor_side", SIDE),
        ("creditor_side", SIDE),
    ]
)
"""What the ledger answers for one record, or for one change of its own (a hold that expired).

`order_index` is the record's position in the block, `NO_ROW` for system receipts. `amount` is
what moved or was reserved or returned. `first_outcome` repeats the first answer where
`outcome` is EXISTS. Rows are the ledger's internal account numbers, `NO_ROW` where there is
no such account; they are in memory and in the receipt archive, never in a proof."""

NO_ROW = 0xFFFFFFFF


class Kind(IntEnum):
    """What a record asks for. Below 16 it concerns value, from 16 on it is a command.

    Commands reuse the same 128 bytes:

    ===================  ======================  =====================  ==========================
    kind                 debtor                  creditor               other fields
    ===================  ======================  =====================  ==========================
    TRANSFER             pays                    is paid                amount, asset, max_fee
    HOLD                 pays later              is paid later          the same, and hold_for_s
    CAPTURE              as in the hold          as in the hold         related = hold, amount <= held
    RELEASE              as in the hold          as in the hold         related = hold
    REGISTER_AUTHORITY   the new authority's id  0                      payload_commitment = its key
    OPEN_ACCOUNT         the new account's id    holder's authority id  related = salt, asset,
                                                                        amount = credit limit,
                                                                        max_fee = balance limit (0: none)
    SET_FROZEN           the account             0                      amount = 1 freezes, 0 thaws
    SET_DELEGATE         the account             delegate authority     amount = cap per payment; 0 revokes
    ===================  ======================  =====================  ==========================
    """

    TRANSFER = 1
    HOLD = 2
    CAPTURE = 3
    RELEASE = 4
    REGISTER_AUTHORITY = 16
    OPEN_ACCOUNT = 17
    SET_FROZEN = 18
    SET_DELEGATE = 19


class Flag(IntFlag):
    """Bits of `flags`; any other bit is refused."""

    LINKED = 1
    """This record and the next in the same Authorisation succeed or fail together."""
    MAY_REVIEW = 2
    """The payer accepts that a `review` verdict turns the transfer into a hold."""


COMMAND_KINDS = 16
"""Kinds from here on are commands."""


def new_records(count: int) -> RecordArray:
    """Return `count` zeroed RECORD rows."""
    return np.zeros(count, RECORD)


def id_of(row: Any, field: str) -> int:
    """Return a 128-bit field of one row, e.g. ``id_of(row, "debtor")``."""
    return int(row[f"{field}_hi"]) << 64 | int(row[f"{field}_lo"])


def set_id(row: Any, field: str, value: int) -> None:
    """Write a 128-bit field of one row."""
    row[f"{field}_lo"] = value & 0xFFFFFFFFFFFFFFFF
    row[f"{field}_hi"] = value >> 64
