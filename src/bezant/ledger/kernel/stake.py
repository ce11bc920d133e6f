"""Bonds, and how they end: with `faults`, the compiled twin of the reference's `stake`.

Rows of validators in use stand together in front and are never given up: one without votes may be one that
signed twice.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.batch import NEVER
from bezant.ledger.kernel.authorities import is_own
from bezant.ledger.kernel.checks import BOND
from bezant.ledger.kernel.closing import HOLD_MISMATCH, HOLD_UNKNOWN
from bezant.ledger.kernel.holds import NO_SLOT, place_hold, push_expiry
from bezant.ledger.kernel.parties import (
    APPLIED,
    ASSET_PAUSED,
    INSTITUTION,
    NOT_AUTHORISED,
    OVERFLOW,
    POLICY_FORBIDS,
    SYSTEM,
    check_standing,
    check_sums,
    check_value,
    find_parties,
    refuse,
)
from bezant.ledger.kernel.payments import HOLD_EXISTS
from bezant.ledger.kernel.tables import NOWHERE, find_owned
from bezant.ledger.kernel.words import ZERO, add
from bezant.model.genesis import MAX_POWER, MAX_VALIDATORS
from bezant.model.native import KERNEL, RARE
from bezant.model.outcomes import Outcome

BONDED, UNBONDING = np.uint16(Outcome.BONDED), np.uint16(Outcome.UNBONDING)
VALIDATOR_JAILED, VALIDATOR_UNKNOWN = (
    np.uint16(Outcome.VALIDATOR_JAILED),
    np.uint16(Outcome.VALIDATOR_UNKNOWN),
)
VALIDATORS_FULL, LAST_VALIDATOR = np.uint16(Outcome.VALIDATORS_FULL), np.uint16(Outcome.LAST_VALIDATOR)
BOND_BELOW_LEAST = np.uint16(Outcome.BOND_BELOW_LEAST)
NO_INSTITUTION, FREE_ROW, IN_USE = np.uint32(0), np.uint32(0), np.uint32(1)
NEVER_NS, MOST_POWER = np.uint64(NEVER), np.uint64(MAX_POWER)
YES = np.uint16(1)


@njit(**KERNEL)
def same_key(left, right):
    same = True
    for j in range(32):
        same = same and left[j] == right[j]
    return same


@njit(**RARE)
def find_validator(validators, key):
    """Return the row of a validator, or of the first free one, MAX_VALIDATORS without any."""
    row = 0
    while (
        row < MAX_VALIDATORS and validators[row].used != FREE_ROW and not same_key(validators[row].key, key)
    ):
        row += 1
    return row


@njit(**KERNEL)
def power_of(validator, limits):
    """Return a validator's votes now."""
    if validator.jailed_until_ns != ZERO:
        return ZERO
    bonded = validator.bonded // limits.bond_unit if limits.bond_unit != ZERO else ZERO
    return validator.granted + bonded


@njit(**KERNEL)
def is_too_little(bonded, limits):
    """Return whether somebody who votes has to have more bonded, or nothing."""
    return bonded != ZERO and bonded < limits.least_bond


@njit(**RARE)
def is_last(validators, row, limits):
    """Return whether nobody but the validator in that row has votes."""
    for other in range(MAX_VALIDATORS):
        if validators[other].used == FREE_ROW:
            break
        if other != row and power_of(validators[other], limits) != ZERO:
            return False
    return True


@njit(**RARE)
def bond(state, record, signer_row, limits):
    """Reserve an amount for as long as a validator is to have votes for it."""
    # CHECK
    refusal, debtor_row, creditor_row = find_parties(state, record)
    if refusal != APPLIED:
        return refuse(refusal)
    debtor, creditor = state.accounts[debtor_row], state.accounts[creditor_row]
    own, amount = state.authorities[signer_row].institution, record.amount
    row = find_validator(state.validators, record.payload_commitment)
    is_new = row == MAX_VALIDATORS or state.validators[row].used == FREE_ROW
    bonded, jailed = ZERO, False
    if not is_new:
        bonded = state.validators[row].bonded
        jailed = state.validators[row].jailed_until_ns == NEVER_NS
        if state.validators[row].operator != signer_row:
            return refuse(NOT_AUTHORISED)
    if own == NO_INSTITUTION or own != debtor.institution:
        return refuse(NOT_AUTHORISED)
    if creditor.institution != state.assets[creditor.asset].issuer:
        return refuse(NOT_AUTHORISED)
    refusal = check_value(record, debtor, creditor, debtor_row == creditor_row)
    if refusal != APPLIED:
        return refuse(refusal)
    refusal = check_standing(state, debtor, creditor)
    if refusal != ASSET_PAUSED and limits.bond_asset != np.uint64(debtor.asset):
        return refuse(POLICY_FORBIDS)
    if refusal != APPLIED:
        return refuse(refusal)
    if find_owned(state.holds, state.hold_index, record.id_lo, record.id_hi, debtor_row) != NOWHERE:
        return refuse(HOLD_EXISTS)
    together = bonded + amount
    if together < amount or together > MOST_POWER * limits.bond_unit:
        return refuse(OVERFLOW)
    refusal = check_sums(debtor, creditor, amount, debtor.credit_limit)
    if refusal != APPLIED:
        return refuse(refusal)
    if jailed:
        return refuse(VALIDATOR_JAILED)
    if row == MAX_VALIDATORS:
        return refuse(VALIDATORS_FULL)
    if is_too_little(together, limits):
        return refuse(BOND_BELOW_LEAST)
    # POST
    validator = state.validators[row]
    validator.bonded, validator.used, validator.operator = together, IN_USE, signer_row
    slot = place_hold(state, record, debtor_row, creditor_row, NEVER_NS)
    hold = state.holds[slot]
    hold.locked = YES
    for j in range(32):
        validator.key[j] = record.payload_commitment[j]
        hold.lock[j] = record.payload_commitment[j]
    debtor.debits_pending_lo, debtor.debits_pending_hi = add(
        debtor.debits_pending_lo, debtor.debits_pending_hi, amount
    )
    creditor.credits_pending_lo, creditor.credits_pending_hi = add(
        creditor.credits_pending_lo, creditor.credits_pending_hi, amount
    )
    return BONDED, amount, INSTITUTION, debtor_row, creditor_row, slot


@njit(**RARE)
def unbond(state, record, signer_row, time_ns, limits):
    """End a bond: no votes for it from now on, and its money back after the unbonding time."""
    # CHECK
    refusal, debtor_row, creditor_row = find_parties(state, record)
    if refusal != APPLIED:
        return refuse(refusal)
    debtor, own = state.accounts[debtor_row], state.authorities[signer_row].institution
    if own == NO_INSTITUTION or own != debtor.institution:
        return refuse(NOT_AUTHORISED)
    slot = find_owned(state.holds, state.hold_index, record.related_lo, record.related_hi, debtor_row)
    if slot == NOWHERE or state.holds[slot].kind != BOND or state.holds[slot].expires_ns != NEVER_NS:
        return refuse(HOLD_UNKNOWN)
    hold = state.holds[slot]
    if hold.creditor != creditor_row or record.asset != np.uint32(debtor.asset):
        return refuse(HOLD_MISMATCH)
    row = find_validator(state.validators, hold.lock)
    validator = state.validators[row]
    before = power_of(validator, limits)
    validator.bonded -= hold.amount
    if before != ZERO and power_of(validator, limits) == ZERO and is_last(state.validators, row, limits):
        validator.bonded += hold.amount
        return refuse(LAST_VALIDATOR)
    if validator.jailed_until_ns == ZERO and is_too_little(validator.bonded, limits):
        validator.bonded += hold.amount
        return refuse(BOND_BELOW_LEAST)
    # POST
    hold.expires_ns = time_ns + limits.unbonding_ns
    push_expiry(state, hold.expires_ns, hold.sequence, np.uint64(slot))
    return UNBONDING, hold.amount, INSTITUTION, debtor_row, creditor_row, NO_SLOT


@njit(**RARE)
def rejoin(state, record, signer_row, time_ns, limits):
    """Return (outcome, mode, account row): give a validator that was away its votes back."""
    # CHECK
    if not is_own(state, record, signer_row) or state.authorities[signer_row].institution == NO_INSTITUTION:
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    row = find_validator(state.validators, record.payload_commitment)
    if row == MAX_VALIDATORS or state.validators[row].used == FREE_ROW:
        return VALIDATOR_UNKNOWN, SYSTEM, NOWHERE
    validator = state.validators[row]
    if validator.operator != signer_row:
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    if time_ns < validator.jailed_until_ns:
        return VALIDATOR_JAILED, SYSTEM, NOWHERE
    if is_too_little(validator.bonded, limits):
        return BOND_BELOW_LEAST, SYSTEM, NOWHERE
    # POST
    validator.jailed_until_ns = ZERO
    return APPLIED, INSTITUTION, NOWHERE
