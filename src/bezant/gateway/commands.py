"""Records that a gateway writes: one function for each thing that can be asked of the ledger."""

from __future__ import annotations

import secrets

import numpy as np

from bezant.model.digest import TAG_PAYLOAD, sha256
from bezant.model.governance import Ballot, Change
from bezant.model.identifiers import AccountId, AuthorityId, new_payment_id
from bezant.model.keys import SCHEME_ED25519, authority_id
from bezant.model.payment import SALT_BYTES, Payload, encode_payload
from bezant.model.records import Flag, Kind, Label, ModelRole, RecordArray, new_records, set_id

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


def close_hold(
    kind: Kind,
    identity: int,
    original: np.void,
    amount: int,
    *,
    keep_rest: bool = False,
    preimage: bytes = bytes(32),
) -> RecordArray:
    """Return a CAPTURE of `amount`, or a RELEASE, of the hold that `original` placed."""
    row = new_records(1)
    set_id(row, "id", identity)
    for name in ("debtor_lo", "debtor_hi", "creditor_lo", "creditor_hi", "asset"):
        row[name] = original[name]
    row["related_lo"], row["related_hi"] = original["id_lo"], original["id_hi"]
    row["kind"], row["valid_for_s"] = kind, VALID_FOR_S
    row["amount"] = amount if kind is Kind.CAPTURE else 0
    row["flags"] = Flag.KEEP_REST if keep_rest else 0
    row["payload_commitment"] = np.frombuffer(preimage, np.uint8)
    return row


def reverse(identity: int, original: np.void, amount: int, commitment: bytes = bytes(32)) -> RecordArray:
    """Return a REVERSE of `amount` of the payment or capture `original`, back the way it came."""
    row = new_records(1)
    set_id(row, "id", identity)
    for name, of in (("debtor", "creditor"), ("creditor", "debtor"), ("related", "id")):
        row[f"{name}_lo"], row[f"{name}_hi"] = original[f"{of}_lo"], original[f"{of}_hi"]
    row["kind"], row["valid_for_s"] = Kind.REVERSE, VALID_FOR_S
    row["asset"], row["amount"] = original["asset"], amount
    row["payload_commitment"] = np.frombuffer(commitment, np.uint8)
    return row


def claw_back(identity: int, account: AccountId, treasury: AccountId, asset: int, amount: int) -> RecordArray:
    """Return a CLAWBACK of `amount` minor units from an account to the issuer's."""
    row = transfer(identity, account, treasury, asset, amount, may_review=False)
    row["kind"] = Kind.CLAWBACK
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


def set_limits(now_ms: int, account: AccountId, credit_limit: int, balance_limit: int) -> RecordArray:
    """Return SET_LIMITS; both in minor units, a balance limit of 0 is none."""
    row = _command(Kind.SET_LIMITS, now_ms, account)
    row["amount"], row["max_fee"] = credit_limit, balance_limit
    return row


def close_account(now_ms: int, account: AccountId) -> RecordArray:
    return _command(Kind.CLOSE_ACCOUNT, now_ms, account)


def set_holder(now_ms: int, account: AccountId, approved: bool) -> RecordArray:
    row = _command(Kind.SET_HOLDER, now_ms, account)
    row["amount"] = int(approved)
    return row


def set_paused(now_ms: int, asset: int, paused: bool) -> RecordArray:
    row = _command(Kind.SET_PAUSED, now_ms, 0)
    row["asset"], row["amount"] = asset, int(paused)
    return row


def set_mandate(
    identity: int,
    account: AccountId,
    asset: int,
    delegate: AuthorityId,
    cap: int,
    *,
    payee: AccountId | None = None,
    period_cap: int = 0,
    period_s: int = 0,
    expires_s: int = 0,
) -> RecordArray:
    """Return SET_MANDATE, whose id names the mandate; caps in minor units, its end in Unix seconds."""
    row = _command(Kind.SET_MANDATE, 0, account, identity)
    set_id(row, "creditor", payee or 0)
    set_id(row, "related", delegate)
    row["asset"], row["amount"], row["max_fee"], row["hold_for_s"] = asset, cap, period_cap, period_s
    row["payload_commitment"][0, :8] = np.frombuffer(expires_s.to_bytes(8, "little"), np.uint8)
    return row


def revoke_mandate(now_ms: int, account: AccountId, mandate: int) -> RecordArray:
    row = _command(Kind.REVOKE_MANDATE, now_ms, account)
    set_id(row, "related", mandate)
    return row


def label(identity: int, original: np.void, said: Label, *, refused: bool = False) -> RecordArray:
    """Return a LABEL of the payment `original`; where that was `refused` it names the debtor alone."""
    row = close_hold(Kind.LABEL, identity, original, 0)
    row["amount"] = said
    if refused:
        set_id(row, "creditor", 0)
    return row


def set_model(
    now_ms: int, authority: AuthorityId, digest: bytes, role: ModelRole, identity: int = 0
) -> RecordArray:
    """Return SET_MODEL for the model that a digest of 32 bytes names."""
    row = _command(Kind.SET_MODEL, now_ms, authority, identity or None)
    row["amount"], row["payload_commitment"] = role, np.frombuffer(digest, np.uint8)
    return row


def bond(
    identity: int, account: AccountId, penalties: AccountId, asset: int, amount_minor: int, key: bytes
) -> RecordArray:
    """Return BOND for the validator with a key of 32 bytes; what faults cost goes to `penalties`."""
    row = _command(Kind.BOND, 0, account, identity)
    set_id(row, "creditor", penalties)
    row["asset"], row["amount"] = asset, amount_minor
    row["payload_commitment"] = np.frombuffer(key, np.uint8)
    return row


def unbond(identity: int, bonded: np.void) -> RecordArray:
    """Return UNBOND of the BOND `bonded`."""
    return close_hold(Kind.UNBOND, identity, bonded, 0)


def rejoin(identity: int, authority: AuthorityId, key: bytes) -> RecordArray:
    row = _command(Kind.REJOIN, 0, authority, identity)
    row["payload_commitment"] = np.frombuffer(key, np.uint8)
    return row


def propose(identity: int, authority: AuthorityId, change: Change, height: int, voting_s: int) -> RecordArray:
    """Return PROPOSE, whose id names the proposal; `height` is the first block of the change."""
    row = _command(Kind.PROPOSE, 0, authority, identity)
    values = b"".join(value.to_bytes(8, "little") for value in change.values)
    row["payload_commitment"] = np.frombuffer(values.ljust(32, b"\0"), np.uint8)
    row["amount"], row["asset"] = change.rule, change.asset
    row["max_fee"], row["hold_for_s"] = height, voting_s
    return row


def vote(identity: int, authority: AuthorityId, proposal: int, said: Ballot) -> RecordArray:
    """Return VOTE on a proposal."""
    row = _command(Kind.VOTE, 0, authority, identity)
    set_id(row, "related", proposal)
    row["amount"] = said
    return row


def _command(kind: Kind, now_ms: int, subject: int, identity: int | None = None) -> RecordArray:
    """Return a command about something, under an id or a fresh one of that time."""
    row = new_records(1)
    set_id(row, "id", identity or new_payment_id(now_ms))
    set_id(row, "debtor", subject)
    row["kind"], row["valid_for_s"] = kind, VALID_FOR_S
    return row
