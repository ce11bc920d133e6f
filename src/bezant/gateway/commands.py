"""Records that a gateway writes: one function for each thing that can be asked of the ledger."""

from __future__ import annotations

import secrets

import numpy as np

from bezant.model.digest import TAG_PAYLOAD, sha256
from bezant.model.identifiers import AccountId, AuthorityId, new_payment_id
from bezant.model.keys import SCHEME_ED25519, authority_id
from bezant.model.payment import SALT_BYTES, Payload, encode_payload
from bezant.model.records import Flag, Kind, RecordArray, new_records, set_id

VALID_FOR_S = 600


def seal_payload(payload: Payload | None) -> tuple[bytes, bytes]:
    """Return (salt ‖ payload for the vault, commitment for the record); empty and zeros for no text."""
    if not payload:
        return b"", bytes(32)
    sealed = secrets.token_bytes(SALT_BYTES) + encode_payload(payload)
    return sealed, sha256(TAG_PAYLOAD, sealed)


def transfer(
    identity: int,
    debtor: AccountId,
    creditor: AccountId,
    asset: int,
    amount: int,
    *,
    commitment: bytes = bytes(32),
    hold_for_s: int = 0,
    may_review: bool = True,
    valid_for_s: int = VALID_FOR_S,
) -> RecordArray:
    """Return a TRANSFER, or a HOLD for `hold_for_s` seconds; amount in minor units."""
    row = new_records(1)
    for name, value in (("id", identity), ("debtor", debtor), ("creditor", creditor)):
        set_id(row, name, value)
    row["amount"], row["asset"], row["valid_for_s"] = amount, asset, valid_for_s
    row["kind"], row["hold_for_s"] = (Kind.HOLD if hold_for_s else Kind.TRANSFER), hold_for_s
    row["flags"] = Flag.MAY_REVIEW if may_review else 0
    row["payload_commitment"] = np.frombuffer(commitment, np.uint8)
    return row


def close_hold(kind: Kind, identity: int, original: np.void, amount: int) -> RecordArray:
    """Return a CAPTURE of `amount`, or a RELEASE, of the hold that `original` placed."""
    row = new_records(1)
    set_id(row, "id", identity)
    for name in ("debtor_lo", "debtor_hi", "creditor_lo", "creditor_hi", "asset"):
        row[name] = original[name]
    row["related_lo"], row["related_hi"] = original["id_lo"], original["id_hi"]
    row["kind"], row["valid_for_s"] = kind, VALID_FOR_S
    row["amount"] = amount if kind is Kind.CAPTURE else 0
    return row


def register_authority(now_ms: int, key: bytes, scheme: int = SCHEME_ED25519) -> RecordArray:
    row = _command(Kind.REGISTER_AUTHORITY, now_ms, authority_id(key, scheme))
    row["amount"] = scheme
    row["payload_commitment"] = np.frombuffer(key, np.uint8)
    return row


def open_account(
    now_ms: int,
    account: AccountId,
    holder: AuthorityId,
    asset: int,
    salt: int,
    *,
    credit_limit: int = 0,
    balance_limit: int = 0,
) -> RecordArray:
    row = _command(Kind.OPEN_ACCOUNT, now_ms, account)
    set_id(row, "creditor", holder)
    set_id(row, "related", salt)
    row["asset"], row["amount"], row["max_fee"] = asset, credit_limit, balance_limit
    return row


def set_frozen(now_ms: int, account: AccountId, frozen: bool) -> RecordArray:
    row = _command(Kind.SET_FROZEN, now_ms, account)
    row["amount"] = int(frozen)
    return row


def set_delegate(now_ms: int, account: AccountId, delegate: AuthorityId, cap: int) -> RecordArray:
    row = _command(Kind.SET_DELEGATE, now_ms, account)
    set_id(row, "creditor", delegate)
    row["amount"] = cap
    return row


def _command(kind: Kind, now_ms: int, subject: int) -> RecordArray:
    row = new_records(1)
    set_id(row, "id", new_payment_id(now_ms))
    set_id(row, "debtor", subject)
    row["kind"], row["valid_for_s"] = kind, VALID_FOR_S
    return row
