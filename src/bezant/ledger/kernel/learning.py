"""Labels and the roles of models: the compiled twin of the reference's `learning`."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.authorities import is_own
from bezant.ledger.kernel.holds import NO_SLOT
from bezant.ledger.kernel.parties import (
    APPLIED,
    ASSET_MISMATCH,
    DEBTOR_UNKNOWN,
    INSTITUTION,
    NOT_AUTHORISED,
    SYSTEM,
    find_parties,
    refuse,
    signing_mode,
)
from bezant.ledger.kernel.payments import NO_ASSET, ORIGINAL_UNKNOWN
from bezant.ledger.kernel.tables import NOWHERE, find
from bezant.ledger.kernel.words import ZERO
from bezant.model.native import RARE
from bezant.model.outcomes import Outcome
from bezant.model.records import MAX_MODELS, ModelRole

MODEL_UNKNOWN, MODELS_FULL = np.uint16(Outcome.MODEL_UNKNOWN), np.uint16(Outcome.MODELS_FULL)
RETIRED, REGISTERED = np.uint32(ModelRole.RETIRED), np.uint32(ModelRole.REGISTERED)


@njit(**RARE)
def label_refused(state, record, signer_row):
    """Return as `label` does, for a payment that was refused: it names an account of who signs, no other."""
    # CHECK
    debtor_row = find(state.accounts, state.account_index, record.debtor_lo, record.debtor_hi)
    if debtor_row == NOWHERE:
        return refuse(DEBTOR_UNKNOWN)
    debtor = state.accounts[debtor_row]
    if signing_mode(state, signer_row, debtor) != INSTITUTION:
        return refuse(NOT_AUTHORISED)
    if record.asset != np.uint32(debtor.asset):
        return refuse(ASSET_MISMATCH)
    # RECEIPT
    return APPLIED, ZERO, INSTITUTION, debtor_row, NOWHERE, NO_SLOT


@njit(**RARE)
def label(state, record, original, signer_row):
    """Return (outcome, amount, mode, debtor row, creditor row, hold slot); amount is the payment's."""
    # CHECK
    same = original.debtor_lo == record.debtor_lo and original.debtor_hi == record.debtor_hi
    same = same and original.creditor_lo == record.creditor_lo and original.creditor_hi == record.creditor_hi
    if original.asset == NO_ASSET or not same:
        return refuse(ORIGINAL_UNKNOWN)
    if record.creditor_lo == ZERO and record.creditor_hi == ZERO:
        return label_refused(state, record, signer_row)
    refusal, debtor_row, creditor_row = find_parties(state, record)
    if refusal != APPLIED:
        return refuse(refusal)
    if signing_mode(state, signer_row, state.accounts[debtor_row]) != INSTITUTION:
        return refuse(NOT_AUTHORISED)
    if record.asset != original.asset:
        return refuse(ASSET_MISMATCH)
    # RECEIPT
    return APPLIED, original.amount, INSTITUTION, debtor_row, creditor_row, NO_SLOT


@njit(**RARE)
def find_model(models, count, signer_row, digest):
    """Return the row of an authority's model, `count` where it is none of the first `count`."""
    for row in range(count):
        same = models[row].authority == signer_row
        for j in range(32):
            same = same and models[row].digest[j] == digest[j]
        if same:
            return row
    return count


@njit(**RARE)
def set_model(state, record, signer_row, time_ns):
    """Return (outcome, mode, account row) of a model's new role. Rows in use stand together in front."""
    # CHECK
    if not is_own(state, record, signer_row) or state.authorities[signer_row].institution == np.uint32(0):
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    models, role, count = state.models, np.uint32(record.amount), 0
    while count < MAX_MODELS and models[count].role != RETIRED:
        count += 1
    row = find_model(models, count, signer_row, record.payload_commitment)
    if row == count and role != REGISTERED:
        return MODEL_UNKNOWN, SYSTEM, NOWHERE
    if row == MAX_MODELS:
        return MODELS_FULL, SYSTEM, NOWHERE
    # POST
    model = models[row]
    if role == RETIRED:
        last = models[count - 1]
        model.authority, model.role, model.since_ns = last.authority, last.role, last.since_ns
        last.authority, last.role, last.since_ns = np.uint32(0), RETIRED, np.uint64(0)
        for j in range(32):
            model.digest[j] = last.digest[j]
            last.digest[j] = np.uint8(0)
        return APPLIED, INSTITUTION, NOWHERE
    if model.role == role:
        return APPLIED, INSTITUTION, NOWHERE
    for other in range(count):
        if role != REGISTERED and models[other].authority == signer_row and models[other].role == role:
            models[other].role, models[other].since_ns = REGISTERED, time_ns
    model.authority, model.role, model.since_ns = signer_row, role, time_ns
    for j in range(32):
        model.digest[j] = record.payload_commitment[j]
    return APPLIED, INSTITUTION, NOWHERE
