"""Commands: authorities, accounts, freezing, delegates. Rare beside payments, same rules."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.checks import OPEN_ACCOUNT, REGISTER_AUTHORITY, SET_FROZEN, word_at
from bezant.ledger.kernel.payments import (
    APPLIED,
    DEBTOR_UNKNOWN,
    INSTITUTION,
    NOT_AUTHORISED,
    SYSTEM,
    signing_mode,
)
from bezant.ledger.kernel.tables import NOWHERE, find, insert, mix
from bezant.ledger.kernel.words import ONE, ZERO
from bezant.model.digest import TAG_ACCOUNT, TAG_AUTHORITY, hash_into
from bezant.model.keys import SCHEME_ED25519
from bezant.model.native import KERNEL
from bezant.model.outcomes import Outcome

AUTHORITY_EXISTS = np.uint16(Outcome.AUTHORITY_EXISTS)
ACCOUNT_EXISTS = np.uint16(Outcome.ACCOUNT_EXISTS)
ID_NOT_DERIVED = np.uint16(Outcome.ID_NOT_DERIVED)
ASSET_UNKNOWN = np.uint16(Outcome.ASSET_UNKNOWN)
HOLDER_UNKNOWN = np.uint16(Outcome.HOLDER_UNKNOWN)
CREDIT_NOT_PERMITTED = np.uint16(Outcome.CREDIT_NOT_PERMITTED)

AUTHORITY_PREFIX = np.frombuffer(TAG_AUTHORITY + bytes([1, 1, SCHEME_ED25519]), np.uint8)
ACCOUNT_PREFIX = np.frombuffer(TAG_ACCOUNT, np.uint8)
LOW_48 = np.uint64(0xFFFFFFFFFFFF)


@njit(**KERNEL)
def command(state, record, signer_row, scratch):
    """Return (outcome, mode, account row)."""
    if record.kind == REGISTER_AUTHORITY:
        return register_authority(state, record, signer_row, scratch)
    if record.kind == OPEN_ACCOUNT:
        return open_account(state, record, signer_row, scratch)
    row = find(state.accounts, state.account_index, record.debtor_lo, record.debtor_hi)
    if row == NOWHERE:
        return DEBTOR_UNKNOWN, SYSTEM, NOWHERE
    account = state.accounts[row]
    mode = signing_mode(state, signer_row, account)
    if record.kind == SET_FROZEN:
        if mode != INSTITUTION:
            return NOT_AUTHORISED, SYSTEM, NOWHERE
        account.frozen = np.uint16(record.amount != ZERO)
        return APPLIED, mode, row
    if mode == SYSTEM:
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    delegate = find(state.authorities, state.authority_index, record.creditor_lo, record.creditor_hi)
    if record.amount != ZERO and delegate == NOWHERE:
        return HOLDER_UNKNOWN, SYSTEM, NOWHERE
    account.delegate = delegate if record.amount != ZERO else NOWHERE
    account.delegate_cap = record.amount
    return APPLIED, mode, row


@njit(**KERNEL)
def register_authority(state, record, signer_row, scratch):
    if state.authorities[signer_row].institution == ZERO:
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    lo, hi = record.debtor_lo, record.debtor_hi
    if find(state.authorities, state.authority_index, lo, hi) != NOWHERE:
        return AUTHORITY_EXISTS, SYSTEM, NOWHERE
    lead = len(AUTHORITY_PREFIX)
    context, message, digest, _ = scratch
    for j in range(lead):
        message[j] = AUTHORITY_PREFIX[j]
    for j in range(32):
        message[lead + j] = record.payload_commitment[j]
    hash_into(context, message, lead + 32, digest)
    if word_at(digest, 0) != lo or word_at(digest, 8) != hi:
        return ID_NOT_DERIVED, SYSTEM, NOWHERE
    row = np.int64(state.counters[0].authorities)
    state.counters[0].authorities += ONE
    entry = state.authorities[row]
    entry.id_lo, entry.id_hi, entry.institution = lo, hi, ZERO
    for j in range(32):
        entry.key[j] = record.payload_commitment[j]
    insert(state.authority_index, mix(lo, hi), np.uint32(row))
    return APPLIED, INSTITUTION, NOWHERE


@njit(**KERNEL)
def put_word(message, start, value, width):
    for i in range(width):
        message[start + i] = np.uint8((value >> np.uint64(8 * i)) & np.uint64(0xFF))


@njit(**KERNEL)
def open_account(state, record, signer_row, scratch):
    institution = state.authorities[signer_row].institution
    if institution == ZERO:
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    lo, hi = record.debtor_lo, record.debtor_hi
    if find(state.accounts, state.account_index, lo, hi) != NOWHERE:
        return ACCOUNT_EXISTS, SYSTEM, NOWHERE
    lead = len(ACCOUNT_PREFIX)
    context, message, digest, _ = scratch
    for j in range(lead):
        message[j] = ACCOUNT_PREFIX[j]
    put_word(message, lead, institution, 4)
    put_word(message, lead + 4, record.creditor_lo, 8)
    put_word(message, lead + 12, record.creditor_hi, 8)
    put_word(message, lead + 20, np.uint64(record.asset), 4)
    put_word(message, lead + 24, record.related_lo, 8)
    put_word(message, lead + 32, record.related_hi, 8)
    hash_into(context, message, lead + 40, digest)
    if word_at(digest, 0) != lo or word_at(digest, 8) & LOW_48 != hi:
        return ID_NOT_DERIVED, SYSTEM, NOWHERE
    if record.asset == np.uint32(0) or np.int64(record.asset) >= len(state.issuers):
        return ASSET_UNKNOWN, SYSTEM, NOWHERE
    holder = find(state.authorities, state.authority_index, record.creditor_lo, record.creditor_hi)
    if holder == NOWHERE:
        return HOLDER_UNKNOWN, SYSTEM, NOWHERE
    if record.amount != ZERO and np.uint64(state.issuers[record.asset]) != institution:
        return CREDIT_NOT_PERMITTED, SYSTEM, NOWHERE
    row = np.int64(state.counters[0].accounts)
    state.counters[0].accounts += ONE
    account = state.accounts[row]
    account.id_lo, account.id_hi = lo, hi
    account.credit_limit, account.balance_limit = record.amount, record.max_fee
    account.authority, account.delegate, account.delegate_cap = holder, NOWHERE, ZERO
    account.institution, account.asset = np.uint32(institution), np.uint16(record.asset)
    insert(state.account_index, mix(lo, hi), np.uint32(row))
    return APPLIED, INSTITUTION, np.uint32(row)
