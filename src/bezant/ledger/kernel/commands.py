"""Commands about accounts: the compiled twin of the reference's `accounts`. Rare beside payments, same
rules. Each returns (outcome, mode, account row)."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.fees import FEE_SALT
from bezant.ledger.kernel.authorities import (
    ID_NOT_DERIVED,
    recover,
    register_authority,
    set_key,
    set_thresholds,
)
from bezant.ledger.kernel.governance import propose, vote
from bezant.ledger.kernel.learning import set_model
from bezant.ledger.kernel.mandates import HOLDER_UNKNOWN, revoke_mandate, set_mandate
from bezant.ledger.kernel.parties import (
    APPLIED,
    CLOSED,
    DEBTOR_CLOSED,
    DEBTOR_FROZEN,
    DEBTOR_UNKNOWN,
    FREE,
    INSTITUTION,
    NOT_APPROVED,
    NOT_AUTHORISED,
    POLICY_FORBIDS,
    SYSTEM,
    holds_too_much,
    is_empty,
    signing_mode,
    spends_too_much,
)
from bezant.ledger.kernel.stake import rejoin
from bezant.ledger.kernel.tables import NOWHERE, find, insert, mix
from bezant.ledger.kernel.words import ONE, ZERO, put_word, word_at
from bezant.ledger.standing import Policy, Standing
from bezant.model.digest import TAG_ACCOUNT, hash_into
from bezant.model.identifiers import words
from bezant.model.native import KERNEL, RARE
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind

REGISTER_AUTHORITY, OPEN_ACCOUNT = np.uint16(Kind.REGISTER_AUTHORITY), np.uint16(Kind.OPEN_ACCOUNT)
SET_FROZEN, SET_KEY = np.uint16(Kind.SET_FROZEN), np.uint16(Kind.SET_KEY)
SET_THRESHOLDS, RECOVER = np.uint16(Kind.SET_THRESHOLDS), np.uint16(Kind.RECOVER)
SET_MANDATE, REVOKE_MANDATE = np.uint16(Kind.SET_MANDATE), np.uint16(Kind.REVOKE_MANDATE)
SET_LIMITS, CLOSE_ACCOUNT = np.uint16(Kind.SET_LIMITS), np.uint16(Kind.CLOSE_ACCOUNT)
SET_HOLDER, SET_PAUSED = np.uint16(Kind.SET_HOLDER), np.uint16(Kind.SET_PAUSED)
SET_MODEL, REJOIN = np.uint16(Kind.SET_MODEL), np.uint16(Kind.REJOIN)
PROPOSE, VOTE = np.uint16(Kind.PROPOSE), np.uint16(Kind.VOTE)

ACCOUNT_EXISTS, ASSET_UNKNOWN = np.uint16(Outcome.ACCOUNT_EXISTS), np.uint16(Outcome.ASSET_UNKNOWN)
CREDIT_NOT_PERMITTED = np.uint16(Outcome.CREDIT_NOT_PERMITTED)
ACCOUNT_NOT_EMPTY = np.uint16(Outcome.ACCOUNT_NOT_EMPTY)
LIMIT_BELOW_BALANCE = np.uint16(Outcome.LIMIT_BELOW_BALANCE)

BY_INSTITUTION, BY_ISSUER = np.uint16(Standing.FROZEN), np.uint16(Standing.FROZEN_BY_ISSUER)
APPROVE_HOLDERS, FREEZABLE = np.uint16(Policy.APPROVE_HOLDERS), np.uint16(Policy.FREEZABLE)
PAUSABLE, MEMBER_CREDIT = np.uint16(Policy.PAUSABLE), np.uint16(Policy.MEMBER_CREDIT)

COLLECTS = np.uint16(Standing.COLLECTS)
FEE_SALT_LO, FEE_SALT_HI = (np.uint64(word) for word in words(FEE_SALT))
ACCOUNT_PREFIX = np.frombuffer(TAG_ACCOUNT, np.uint8)
LOW_48 = np.uint64(0xFFFFFFFFFFFF)
NO_INSTITUTION = np.uint32(0)


@njit(**RARE)
def command(state, record, signer_row, time_ns, limits, scratch):
    kind = record.kind
    if kind == OPEN_ACCOUNT:
        return open_account(state, record, signer_row, limits, scratch)
    if kind == REGISTER_AUTHORITY:
        return register_authority(state, record, signer_row, limits, scratch)
    if kind == SET_KEY:
        return set_key(state, record, signer_row, time_ns, limits)
    if kind == SET_THRESHOLDS:
        return set_thresholds(state, record, signer_row)
    if kind == RECOVER:
        return recover(state, record, signer_row, time_ns, limits)
    if kind == SET_MANDATE:
        return set_mandate(state, record, signer_row, time_ns // np.uint64(1_000_000_000))
    if kind == REVOKE_MANDATE:
        return revoke_mandate(state, record, signer_row)
    if kind == SET_PAUSED:
        return set_paused(state, record, signer_row)
    if kind == SET_MODEL:
        return set_model(state, record, signer_row, time_ns)
    if kind == REJOIN:
        return rejoin(state, record, signer_row, time_ns, limits)
    if kind == PROPOSE:
        return propose(state, record, signer_row, time_ns, limits)
    if kind == VOTE:
        return vote(state, record, signer_row, limits)
    row = find(state.accounts, state.account_index, record.debtor_lo, record.debtor_hi)
    if row == NOWHERE:
        return DEBTOR_UNKNOWN, SYSTEM, NOWHERE
    if kind == SET_FROZEN:
        outcome, mode = set_frozen(state, record, signer_row, state.accounts[row])
    elif kind == SET_HOLDER:
        outcome, mode = set_holder(state, record, signer_row, state.accounts[row])
    elif kind == SET_LIMITS:
        outcome, mode = set_limits(state, record, signer_row, state.accounts[row])
    elif kind == CLOSE_ACCOUNT:
        outcome, mode = close_account(state, signer_row, state.accounts[row])
    else:
        outcome, mode = set_delegate(state, record, signer_row, state.accounts[row])
    return outcome, mode, row if outcome == APPLIED else NOWHERE


@njit(**KERNEL)
def may_give_credit(asset, institution):
    return institution == asset.issuer or (asset.policy & MEMBER_CREDIT) != FREE


@njit(inline="always", **KERNEL)
def with_bit(standing, bit, present):
    return standing | bit if present else standing & ~bit


@njit(**KERNEL)
def open_account(state, record, signer_row, limits, scratch):
    """Open an account; see the reference for who may let one go negative."""
    # CHECK
    institution = state.authorities[signer_row].institution
    if institution == NO_INSTITUTION:
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    lo, hi = record.debtor_lo, record.debtor_hi
    if find(state.accounts, state.account_index, lo, hi) != NOWHERE:
        return ACCOUNT_EXISTS, SYSTEM, NOWHERE
    lead = len(ACCOUNT_PREFIX)
    context, message, digest, _ = scratch
    for j in range(lead):
        message[j] = ACCOUNT_PREFIX[j]
    put_word(message, lead, np.uint64(institution), 4)
    put_word(message, lead + 4, record.creditor_lo, 8)
    put_word(message, lead + 12, record.creditor_hi, 8)
    put_word(message, lead + 20, np.uint64(record.asset), 4)
    put_word(message, lead + 24, record.related_lo, 8)
    put_word(message, lead + 32, record.related_hi, 8)
    hash_into(context, message, lead + 40, digest)
    if word_at(digest, 0) != lo or word_at(digest, 8) & LOW_48 != hi:
        return ID_NOT_DERIVED, SYSTEM, NOWHERE
    if record.asset == np.uint32(0) or np.int64(record.asset) >= len(state.assets):
        return ASSET_UNKNOWN, SYSTEM, NOWHERE
    holder = find(state.authorities, state.authority_index, record.creditor_lo, record.creditor_hi)
    if holder == NOWHERE:
        return HOLDER_UNKNOWN, SYSTEM, NOWHERE
    asset = state.assets[record.asset]
    if record.amount != ZERO and not may_give_credit(asset, institution):
        return CREDIT_NOT_PERMITTED, SYSTEM, NOWHERE
    # POST
    row = np.int64(state.counters[0].accounts)
    state.counters[0].accounts += ONE
    account = state.accounts[row]
    account.id_lo, account.id_hi = lo, hi
    account.credit_limit, account.balance_limit = record.amount, record.max_fee
    account.authority, account.delegate, account.delegate_cap = holder, NOWHERE, ZERO
    account.institution, account.asset = institution, np.uint16(record.asset)
    waits = (asset.policy & APPROVE_HOLDERS) != FREE and institution != asset.issuer
    account.standing = NOT_APPROVED if waits else FREE
    of_fees = record.related_lo == FEE_SALT_LO and record.related_hi == FEE_SALT_HI
    of_issuer = institution == asset.issuer and holder == state.institutions[institution]
    if of_fees and of_issuer and np.uint64(record.asset) == limits.bond_asset:
        account.credit_limit, account.balance_limit, account.standing = ZERO, ZERO, COLLECTS
    insert(state.account_index, mix(lo, hi), np.uint32(row))
    return APPLIED, INSTITUTION, np.uint32(row)


@njit(**KERNEL)
def close_account(state, signer_row, account):
    """Close an empty account for good, by its holder or its institution."""
    mode = signing_mode(state, signer_row, account)
    if mode == SYSTEM:
        return NOT_AUTHORISED, SYSTEM
    if (account.standing & COLLECTS) != FREE:
        return DEBTOR_FROZEN, SYSTEM
    if (account.standing & CLOSED) != FREE:
        return DEBTOR_CLOSED, SYSTEM
    if not is_empty(account):
        return ACCOUNT_NOT_EMPTY, SYSTEM
    account.standing |= CLOSED
    return APPLIED, mode


@njit(**KERNEL)
def set_limits(state, record, signer_row, account):
    """Change how far an account may go negative and how much it may hold; never below what it uses."""
    if state.authorities[signer_row].institution != account.institution:
        return NOT_AUTHORISED, SYSTEM
    if (account.standing & COLLECTS) != FREE:
        return DEBTOR_FROZEN, SYSTEM
    if (account.standing & CLOSED) != FREE:
        return DEBTOR_CLOSED, SYSTEM
    if spends_too_much(account, ZERO, record.amount) or holds_too_much(account, ZERO, record.max_fee):
        return LIMIT_BELOW_BALANCE, SYSTEM
    if record.amount != ZERO and not may_give_credit(state.assets[account.asset], account.institution):
        return CREDIT_NOT_PERMITTED, SYSTEM
    account.credit_limit, account.balance_limit = record.amount, record.max_fee
    return APPLIED, INSTITUTION


@njit(**KERNEL)
def set_frozen(state, record, signer_row, account):
    """Freeze or thaw an account, by its institution, or by the asset's issuer where its policy says so."""
    asset, own = state.assets[account.asset], state.authorities[signer_row].institution
    if own != account.institution and own != asset.issuer:
        return NOT_AUTHORISED, SYSTEM
    bit = BY_INSTITUTION if own == account.institution else BY_ISSUER
    if bit == BY_ISSUER and (asset.policy & FREEZABLE) == FREE:
        return POLICY_FORBIDS, SYSTEM
    if (account.standing & CLOSED) != FREE:
        return DEBTOR_CLOSED, SYSTEM
    account.standing = with_bit(account.standing, bit, record.amount != ZERO)
    return APPLIED, INSTITUTION


@njit(**KERNEL)
def set_holder(state, record, signer_row, account):
    """Approve an account to hold an asset whose issuer decides who may, or take that back."""
    asset = state.assets[account.asset]
    if state.authorities[signer_row].institution != asset.issuer:
        return NOT_AUTHORISED, SYSTEM
    if (asset.policy & APPROVE_HOLDERS) == FREE:
        return POLICY_FORBIDS, SYSTEM
    if (account.standing & CLOSED) != FREE:
        return DEBTOR_CLOSED, SYSTEM
    account.standing = with_bit(account.standing, NOT_APPROVED, record.amount == ZERO)
    return APPLIED, INSTITUTION


@njit(**KERNEL)
def set_paused(state, record, signer_row):
    """Stop every payment in an asset, or let them go on."""
    own = state.authorities[signer_row].institution
    if own == NO_INSTITUTION:
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    if record.asset == np.uint32(0) or np.int64(record.asset) >= len(state.assets):
        return ASSET_UNKNOWN, SYSTEM, NOWHERE
    asset = state.assets[record.asset]
    if own != asset.issuer:
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    if (asset.policy & PAUSABLE) == FREE:
        return POLICY_FORBIDS, SYSTEM, NOWHERE
    asset.paused = np.uint16(record.amount != ZERO)
    return APPLIED, INSTITUTION, NOWHERE


@njit(**KERNEL)
def set_delegate(state, record, signer_row, account):
    """Let an authority pay from an account up to a cap a payment."""
    mode = signing_mode(state, signer_row, account)
    if mode == SYSTEM:
        return NOT_AUTHORISED, SYSTEM
    if (account.standing & CLOSED) != FREE:
        return DEBTOR_CLOSED, SYSTEM
    delegate = find(state.authorities, state.authority_index, record.creditor_lo, record.creditor_hi)
    if record.amount != ZERO and delegate == NOWHERE:
        return HOLDER_UNKNOWN, SYSTEM
    account.delegate = delegate if record.amount != ZERO else NOWHERE
    account.delegate_cap = record.amount
    return APPLIED, mode
