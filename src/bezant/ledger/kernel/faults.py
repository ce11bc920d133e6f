"""What faults of validators cost: the rest of the compiled twin of the reference's `stake`."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.checks import BOND
from bezant.ledger.kernel.closing import return_reserve
from bezant.ledger.kernel.effects import write_receipt
from bezant.ledger.kernel.holds import close_hold
from bezant.ledger.kernel.parties import SYSTEM, post
from bezant.ledger.kernel.stake import FREE_ROW, NEVER_NS, find_validator, is_last, same_key
from bezant.ledger.kernel.words import ONE, ZERO, word_at
from bezant.model.genesis import MAX_VALIDATORS
from bezant.model.native import ENTRY, RARE
from bezant.model.outcomes import Outcome
from bezant.model.records import NO_ROW, Fault

SLASHED, JAILED = np.uint16(Outcome.SLASHED), np.uint16(Outcome.JAILED)
DOUBLE_SIGN, ABSENT = np.uint8(Fault.DOUBLE_SIGN), np.uint8(Fault.ABSENT)
NONE, ONCE, SYSTEM_ROW, PPM = np.uint32(0), np.uint32(1), np.uint32(NO_ROW), np.uint64(1_000_000)


@njit(**ENTRY)
def count_punished(state, faults):
    """Return how many system receipts faults can have at most."""
    most = len(faults)
    for slot in range(np.int64(state.counters[0].holds)):
        hold = state.holds[slot]
        if hold.sequence != ZERO and hold.kind == BOND:
            for at in range(len(faults)):
                if faults[at].kind == DOUBLE_SIGN and same_key(hold.lock, faults[at].key):
                    most += 1
    return most


@njit(**RARE)
def forget_missed(validators, faults):
    """Forget what validators missed that are not named as absent now."""
    for row in range(MAX_VALIDATORS):
        if validators[row].used == FREE_ROW:
            break
        absent = False
        for at in range(len(faults)):
            absent = absent or (faults[at].kind == ABSENT and same_key(faults[at].key, validators[row].key))
        if not absent:
            validators[row].missed = NONE


@njit(**ENTRY)
def punish(state, faults, time_ns, limits, receipts):
    """Punish each fault in turn; return how many system receipts that made."""
    made = 0
    forget_missed(state.validators, faults)
    if limits.bond_unit == ZERO:
        return made
    for at in range(len(faults)):
        fault = faults[at]
        row = find_validator(state.validators, fault.key)
        if row == MAX_VALIDATORS or state.validators[row].used == FREE_ROW:
            continue
        validator, twice = state.validators[row], fault.kind == DOUBLE_SIGN
        jailed = validator.jailed_until_ns
        if jailed == NEVER_NS or (jailed != ZERO and not twice):
            continue
        if not twice:
            validator.missed += ONCE
            if np.uint64(validator.missed) < limits.away_blocks:
                continue
        if is_last(state.validators, row, limits):
            continue
        validator.missed = NONE
        validator.jailed_until_ns = NEVER_NS if twice else time_ns + limits.jail_ns
        receipt = receipts[made]
        receipt.id_lo, receipt.id_hi = word_at(fault.key, 0), word_at(fault.key, 8)
        receipt.order_index, receipt.kind, receipt.outcome = SYSTEM_ROW, BOND, JAILED
        made += 1
        if twice:
            made = slash(state, validator, limits, receipts, made)
    return made


@njit(**RARE)
def slash(state, validator, limits, receipts, made):
    """Take from every bond of a validator, in the order they were placed; return the number of receipts."""
    from_sequence = ZERO
    while True:
        slot = next_bond(state, validator.key, from_sequence)
        if slot < 0:
            return made
        hold = state.holds[slot]
        from_sequence, held = hold.sequence + ONE, hold.amount
        amount = held // PPM * limits.slash_ppm + held % PPM * limits.slash_ppm // PPM
        if amount == ZERO:
            continue
        debtor_row, creditor_row = hold.debtor, hold.creditor
        debtor, creditor = state.accounts[debtor_row], state.accounts[creditor_row]
        if hold.expires_ns == NEVER_NS:
            validator.bonded -= amount
        receipt = receipts[made]
        receipt.id_lo, receipt.id_hi, receipt.kind = hold.id_lo, hold.id_hi, BOND
        receipt.order_index = SYSTEM_ROW
        return_reserve(debtor, creditor, amount)
        post(debtor, creditor, amount)
        if amount == held:
            close_hold(state, np.uint32(slot))
        else:
            hold.amount = held - amount
        write_receipt(state, receipt, SLASHED, amount, SYSTEM, debtor_row, creditor_row)
        made += 1


@njit(**RARE)
def next_bond(state, key, from_sequence):
    """Return the slot of a validator's bond with the lowest sequence from a given one on, -1 without any."""
    found, lowest = -1, NEVER_NS
    for slot in range(np.int64(state.counters[0].holds)):
        hold = state.holds[slot]
        if hold.kind != BOND or hold.sequence < from_sequence or hold.sequence == ZERO:
            continue
        if hold.sequence < lowest and same_key(hold.lock, key):
            found, lowest = slot, hold.sequence
    return found
