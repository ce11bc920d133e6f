"""The fixed-size binary records. Everything hashed or signed is made of these bytes.

All little-endian, no padding; 128-bit values are two u64 words, low word first. A golden
file pins every offset. `RECORD` is what a debtor signs, `DECISION` is what the gateway
attests beside it, `RECEIPT` is what the ledger answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, IntFlag
from functools import cache
from typing import Any, Final

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
"""One signature over records `first : first + count` of an Order, by the authority's key at `key_index`.

Schemes are 1 Ed25519 and 2 secp256k1 (`keys`). A row whose `count` is 0 is a co-signature of the row
before it (`orders.check_coverage`)."""

ORIGINAL = np.dtype(
    [
        ("debtor_lo", "<u8"),
        ("debtor_hi", "<u8"),
        ("creditor_lo", "<u8"),
        ("creditor_hi", "<u8"),
        ("amount", "<u8"),
        ("asset", "<u4"),
        ("reserved", "<u4"),
    ]
)
"""What a REVERSE undoes or a LABEL is about, as history knows it: a payment that was applied (for a LABEL:
or held) or captured in an earlier, durable block. All zero where there is none of that id. Of a payment that
was refused history knows no accounts: debtor and asset are what the LABEL claims, creditor and amount 0. It
is ordered beside the record, so that replaying a journal looks nothing up."""

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
        ("fee_row", "<u4"),
        ("debtor_side", SIDE),
        ("creditor_side", SIDE),
    ]
)
"""What the ledger answers for one record, or for one change of its own (a hold that expired).

`order_index` is the record's position in the block, `NO_ROW` for system receipts. `amount` is
what moved or was reserved or returned. `first_outcome` repeats the first answer where
`outcome` is EXISTS. Rows are the ledger's internal account numbers, `NO_ROW` where there is
no such account; they are in memory and in the receipt archive, never in a proof. `fee` was charged beside
`amount`, of a transfer to the debtor, of a capture to the creditor, and went to the account in `fee_row`."""

NO_ROW = 0xFFFFFFFF


class Kind(IntEnum):
    """What a record asks for. Below 16 it concerns payments, from 16 on it is a command.

    Commands reuse the same 128 bytes:

    ===================  ======================  =====================  ==========================
    kind                 debtor                  creditor               other fields
    ===================  ======================  =====================  ==========================
    TRANSFER             pays                    is paid                amount, asset, max_fee,
                                                                        related = mandate if UNDER_MANDATE
    HOLD                 pays later              is paid later          the same, and hold_for_s
    CAPTURE              as in the hold          as in the hold         related = hold, amount <= held,
                                                                        payload_commitment = preimage of
                                                                        the hold's lock, if it has one
    RELEASE              as in the hold          as in the hold         related = hold
    REVERSE              was paid, pays back     paid, is paid back     related = original, amount, asset
    LOCK                 as in the hold          as in the hold         related = hold placed before in the
                                                                        chain, payload_commitment =
                                                                        SHA-256 that its captures must open
    CLAWBACK             loses                   an issuer's account    amount, asset
    BOND                 is bonded               an issuer's account,   amount, asset,
                                                 which is paid what is  payload_commitment = the validator's
                                                 taken for a fault      key, Ed25519
    UNBOND               as in the bond          as in the bond         related = bond, asset
    LABEL                as in the payment       as in the payment; 0   related = the payment, asset,
                                                 for one refused        amount = `Label`
    REGISTER_AUTHORITY   the new authority's id  0                      amount = scheme,
                                                                        payload_commitment = its key
    OPEN_ACCOUNT         the new account's id    holder's authority id  related = salt, asset,
                                                                        amount = credit limit,
                                                                        max_fee = balance limit (0: none)
    SET_FROZEN           the account             0                      amount = 1 freezes, 0 thaws
    SET_DELEGATE         the account             delegate authority     amount = cap per payment; 0 revokes
    SET_KEY              the authority           0                      related = slot, amount = scheme,
                                                                        max_fee = roles (0 removes),
                                                                        payload_commitment = the key
    SET_THRESHOLDS       the authority           0                      amount = a byte a role: pay, review,
                                                                        administer, recover
    RECOVER              the authority           0                      amount = scheme,
                                                                        payload_commitment = its only key
    SET_MANDATE          the account             payee account, 0: any  id names it, asset,
                                                                        related = delegate authority,
                                                                        amount = cap per payment,
                                                                        max_fee = cap per period,
                                                                        hold_for_s = period (0: none),
                                                                        payload_commitment = end, Unix
                                                                        seconds u64 (0: none), then zeros
    REVOKE_MANDATE       the account             0                      related = mandate
    SET_LIMITS           the account             0                      amount = credit limit,
                                                                        max_fee = balance limit (0: none)
    CLOSE_ACCOUNT        the account             0
    SET_HOLDER           the account             0                      amount = 1 approves, 0 takes it back
    SET_PAUSED           0                       0                      asset, amount = 1 stops, 0 goes on
    SET_MODEL            the authority           0                      amount = `ModelRole`,
                                                                        payload_commitment = SHA-256
                                                                        that names the model
    REJOIN               the authority           0                      payload_commitment = the validator's
                                                                        key
    PROPOSE              the authority           0                      id names it, amount = `Rule`, asset
                                                                        of that rule or 0,
                                                                        payload_commitment = its values, four
                                                                        u64, max_fee = height from which they
                                                                        are in force, hold_for_s = how long
                                                                        votes are taken
    VOTE                 the authority           0                      related = the proposal,
                                                                        amount = `Ballot`
    ===================  ======================  =====================  ==========================
    """

    TRANSFER = 1
    HOLD = 2
    CAPTURE = 3
    RELEASE = 4
    REVERSE = 5
    LOCK = 6
    CLAWBACK = 7
    LABEL = 8
    BOND = 9
    UNBOND = 10
    REGISTER_AUTHORITY = 16
    OPEN_ACCOUNT = 17
    SET_FROZEN = 18
    SET_DELEGATE = 19
    SET_KEY = 20
    SET_THRESHOLDS = 21
    RECOVER = 22
    SET_MANDATE = 23
    REVOKE_MANDATE = 24
    SET_LIMITS = 25
    CLOSE_ACCOUNT = 26
    SET_HOLDER = 27
    SET_PAUSED = 28
    SET_MODEL = 29
    REJOIN = 30
    PROPOSE = 31
    VOTE = 32


COMMAND_KINDS = 16
"""Kinds from here on are commands."""


class Flag(IntFlag):
    """Bits of `flags`; any other bit is refused."""

    LINKED = 1
    """This record and the next in the same Authorisation succeed or fail together."""
    MAY_REVIEW = 2
    """The payer accepts that a `review` verdict turns the transfer into a hold."""
    KEEP_REST = 4
    """What a CAPTURE leaves of the hold stays held, for more of them."""
    UNDER_MANDATE = 8
    """The signer pays under the mandate that `related` names."""


class Label(IntEnum):
    """What a payment turned out to be; of several labels the last one counts."""

    GENUINE = 1
    FRAUD = 2


class ModelRole(IntEnum):
    """What a model does for an authority; at most one each is its challenger and its champion."""

    RETIRED = 0
    """None. It is no longer kept in state, and may be registered again."""
    REGISTERED = 1
    """It is known, and may be given a role."""
    CHALLENGER = 2
    """It scores beside the champion; nothing is decided by it."""
    CHAMPION = 3
    """Its scores decide. Where an authority has none, rules do."""


class Fault(IntEnum):
    """What a validator did, as the engine that its votes are counted by reports it."""

    DOUBLE_SIGN = 1
    """It signed two blocks of one height, or one for a light client that is not the chain's: it loses part
    of its bonds and never votes again."""
    ABSENT = 2
    """It did not vote for the block before: too often in a row, and it has no votes until it rejoins."""


FAULT = np.dtype([("key", "u1", (32,)), ("kind", "u1"), ("reserved", "u1", (7,))])
"""One validator's fault, ordered beside the records of a block. Who is not named as absent was there."""
MAX_MODELS = 64
"""Models that a ledger knows at once, of all authorities."""


class Role(IntFlag):
    """What a key of an authority may sign for. How many must sign is the authority's threshold for it."""

    PAY = 1
    """Move value out of an account, or close a hold."""
    REVIEW = 2
    """Let a payment in review go, or not, and say afterwards what a payment was."""
    ADMINISTER = 4
    """Commands, clawback and the authority's own keys."""
    RECOVER = 8
    """Replace all keys by one, after a waiting period in which the others may object."""


MAX_KEYS = 16
"""Keys an authority may have; a slot is a key index."""
ROLES = (Role.PAY, Role.REVIEW, Role.ADMINISTER, Role.RECOVER)
"""In the order of their thresholds."""
FIRST_ROLES = Role.PAY | Role.REVIEW | Role.ADMINISTER
"""What the key that an authority is registered with may do, alone."""


SCORED_KINDS: Final = (Kind.TRANSFER, Kind.HOLD)
"""What a model scores: new payments. They are also what may be under a mandate."""


def of_kind(rows: RecordArray, *kinds: Kind) -> npt.NDArray[np.bool_]:
    """Return (n,) which records or receipts are of one of these kinds.

    Compared as plain numbers: of a member of an enumeration numpy asks first whether it is an array, which
    takes longer than to compare it with a small column.
    """
    column = rows["kind"]
    found: npt.NDArray[np.bool_] = column == int(kinds[0])
    for kind in kinds[1:]:
        found |= column == int(kind)
    return found


def names_original(records: RecordArray) -> npt.NDArray[np.bool_]:
    """Return (n,) which records are about an earlier payment that history has to find."""
    return of_kind(records, Kind.REVERSE, Kind.LABEL)


def join_rows(parts: Sequence[RecordArray], layout: np.dtype[Any]) -> RecordArray:
    """Return rows of one layout, part behind part. As plain bytes: numpy copies structured rows field by
    field, which takes ten times as long."""
    joined = np.empty(sum(len(part) for part in parts), layout)
    np.concatenate([_plain(part) for part in parts] or [_plain(joined)], out=_plain(joined))
    return joined


def _plain(rows: RecordArray) -> npt.NDArray[np.void]:
    """Return rows as bytes without fields, copying only what is not contiguous."""
    return np.ascontiguousarray(rows).view(_octets(rows.dtype.itemsize))


@cache
def _octets(width: int) -> np.dtype[np.void]:
    return np.dtype((np.void, width))


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
