"""Authorities and their keys: the compiled twin of the reference's `authorities`, and whose signatures
reach which role."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.parties import (
    APPLIED,
    INSTITUTION,
    NOT_AUTHORISED,
    POLICY_FORBIDS,
    SELF,
    SYSTEM,
)
from bezant.ledger.kernel.tables import NOWHERE, find, insert, mix
from bezant.ledger.kernel.words import ONE, ZERO, word_at
from bezant.model.digest import TAG_AUTHORITY, hash_into
from bezant.model.native import ENTRY, KERNEL
from bezant.model.outcomes import Outcome
from bezant.model.records import FIRST_ROLES, MAX_KEYS, ROLES, Role

RECOVERY_STARTED = np.uint16(Outcome.RECOVERY_STARTED)
AUTHORITY_EXISTS = np.uint16(Outcome.AUTHORITY_EXISTS)
ID_NOT_DERIVED, KEY_SLOT = np.uint16(Outcome.ID_NOT_DERIVED), np.uint16(Outcome.KEY_SLOT)
THRESHOLD_UNREACHABLE = np.uint16(Outcome.THRESHOLD_UNREACHABLE)
RECOVERY_WAITING = np.uint16(Outcome.RECOVERY_WAITING)

AUTHORITY_PREFIX = np.frombuffer(TAG_AUTHORITY + bytes([1, 1]), np.uint8)
SLOTS, NO_SCHEME = np.uint64(MAX_KEYS), np.uint32(0)
FIRST, NO_ROLE, ALL_ROLES = np.uint8(FIRST_ROLES), np.uint8(0), np.uint64(sum(ROLES))
ROLE_BITS = np.array(ROLES, np.uint8)
FIRST_THRESHOLDS = np.array([1, 1, 1, 0], np.uint8)
ADMINISTER = ROLES.index(Role.ADMINISTER)
COUNT_OF_ROLES = len(ROLES)
SCHEME_BITS = np.uint64(64)


@njit(inline="always", **KERNEL)
def roles_of(state, row, slot):
    """Return what the key in a slot may sign for, 0 where there is none."""
    keyset = state.authorities[row].keyset
    if keyset == NOWHERE:
        return FIRST if slot == 0 else NO_ROLE
    return state.keysets[keyset].roles[slot] if slot < MAX_KEYS else NO_ROLE


@njit(inline="always", **KERNEL)
def threshold_of(state, row, role):
    """Return how many keys must sign for the role of that number."""
    keyset = state.authorities[row].keyset
    return FIRST_THRESHOLDS[role] if keyset == NOWHERE else state.keysets[keyset].thresholds[role]


@njit(**ENTRY)
def judge_groups(state, authorisations, signer_rows, authentic, all_authentic, reached):
    """Say of each group, in its first row, whether every signature of it verifies and whose role it reaches.

    authorisations, signer_rows, authentic, all_authentic, reached (m,). A group is a row and the
    co-signatures (count 0) behind it; keys are those in front of the block.
    """
    end = 0
    for start in range(len(authorisations)):
        if start < end:
            continue
        end = start + 1
        while end < len(authorisations) and authorisations[end].count == np.uint32(0):
            end += 1
        all_authentic[start] = np.uint8(1)
        for row in range(start, end):
            all_authentic[start] &= authentic[row]
        signer_row = signer_rows[start]
        if signer_row == NOWHERE:
            continue
        if state.authorities[signer_row].keyset == NOWHERE and end == start + 1:
            if authorisations[start].key_index == np.uint16(0):
                reached[start] = FIRST
            continue
        for role in range(COUNT_OF_ROLES):
            signed = np.uint8(0)
            for row in range(start, end):
                slot = np.int64(authorisations[row].key_index)
                if (roles_of(state, signer_row, slot) & ROLE_BITS[role]) != NO_ROLE:
                    signed += np.uint8(1)
            threshold = threshold_of(state, signer_row, role)
            if threshold != np.uint8(0) and signed >= threshold:
                reached[start] |= ROLE_BITS[role]


@njit(**KERNEL)
def takes_scheme(limits, scheme):
    """Return whether the network takes new keys of a scheme."""
    return scheme < SCHEME_BITS and (limits.schemes >> scheme) & ONE == ONE


@njit(**KERNEL)
def register_authority(state, record, signer_row, limits, scratch):
    """Return (outcome, mode, account row), as every command."""
    # CHECK
    if state.authorities[signer_row].institution == np.uint32(0):
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    if not takes_scheme(limits, record.amount):
        return POLICY_FORBIDS, SYSTEM, NOWHERE
    lo, hi = record.debtor_lo, record.debtor_hi
    if find(state.authorities, state.authority_index, lo, hi) != NOWHERE:
        return AUTHORITY_EXISTS, SYSTEM, NOWHERE
    lead = len(AUTHORITY_PREFIX)
    context, message, digest, _ = scratch
    for j in range(lead):
        message[j] = AUTHORITY_PREFIX[j]
    message[lead] = np.uint8(record.amount)
    for j in range(32):
        message[lead + 1 + j] = record.payload_commitment[j]
    hash_into(context, message, lead + 33, digest)
    if word_at(digest, 0) != lo or word_at(digest, 8) != hi:
        return ID_NOT_DERIVED, SYSTEM, NOWHERE
    # POST
    row = np.int64(state.counters[0].authorities)
    state.counters[0].authorities += ONE
    entry = state.authorities[row]
    entry.id_lo, entry.id_hi, entry.institution = lo, hi, np.uint32(0)
    entry.keyset, entry.scheme = NOWHERE, np.uint32(record.amount)
    for j in range(32):
        entry.key[j] = record.payload_commitment[j]
    insert(state.authority_index, mix(lo, hi), np.uint32(row))
    return APPLIED, INSTITUTION, NOWHERE


@njit(inline="always", **KERNEL)
def is_own(state, record, signer_row):
    """Return whether a command about an authority is signed by that authority."""
    signer = state.authorities[signer_row]
    return signer.id_lo == record.debtor_lo and signer.id_hi == record.debtor_hi


@njit(**KERNEL)
def holds_key(state, row, slot, key):
    """Return whether these 32 bytes are the key in a slot."""
    keyset = state.authorities[row].keyset
    same = True
    for j in range(32):
        if keyset == NOWHERE:
            same = same and state.authorities[row].key[j] == key[j]
        else:
            same = same and state.keysets[keyset].keys[32 * slot + j] == key[j]
    return same


@njit(**KERNEL)
def keyset_of(state, row):
    """Return the authority's row of `keysets`, made from its one key where it had none; room is there."""
    authority = state.authorities[row]
    if authority.keyset != NOWHERE:
        return state.keysets[authority.keyset]
    at = np.uint32(state.counters[0].keysets)
    state.counters[0].keysets += ONE
    authority.keyset = at
    keyset = state.keysets[at]
    keyset.schemes[0], keyset.roles[0] = np.uint8(authority.scheme), FIRST
    for j in range(32):
        keyset.keys[j] = authority.key[j]
    for role in range(COUNT_OF_ROLES):
        keyset.thresholds[role] = FIRST_THRESHOLDS[role]
    return keyset


@njit(**KERNEL)
def retire_key(state, row, slot, time_ns):
    """Keep a key that is about to go, so that what it signed can still be proved; room is there."""
    keyset = keyset_of(state, row)
    if keyset.roles[slot] == NO_ROLE:
        return
    past = state.past_keys[state.counters[0].past_keys]
    state.counters[0].past_keys += ONE
    past.until_ns, past.authority, past.slot = time_ns, row, np.uint16(slot)
    past.scheme = np.uint16(keyset.schemes[slot])
    for j in range(32):
        past.key[j] = keyset.keys[32 * slot + j]


@njit(**KERNEL)
def set_key(state, record, signer_row, time_ns, limits):
    """Put a key into a slot, or take it out; a waiting recovery is off."""
    # CHECK
    scheme, roles = record.amount, record.max_fee
    if not is_own(state, record, signer_row):
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    if roles != ZERO and not takes_scheme(limits, scheme):
        return POLICY_FORBIDS, SYSTEM, NOWHERE
    if record.related_hi != ZERO or record.related_lo >= SLOTS or roles > ALL_ROLES:
        return KEY_SLOT, SYSTEM, NOWHERE
    slot = np.int64(record.related_lo)
    if roles == ZERO and roles_of(state, signer_row, slot) == NO_ROLE:
        return KEY_SLOT, SYSTEM, NOWHERE
    for other in range(MAX_KEYS):
        taken = other != slot and roles_of(state, signer_row, other) != NO_ROLE
        if roles != ZERO and taken and holds_key(state, signer_row, other, record.payload_commitment):
            return KEY_SLOT, SYSTEM, NOWHERE
    for role in range(COUNT_OF_ROLES):
        able = np.uint8(0)
        for other in range(MAX_KEYS):
            has = np.uint8(roles) if other == slot else roles_of(state, signer_row, other)
            if (has & ROLE_BITS[role]) != NO_ROLE:
                able += np.uint8(1)
        if threshold_of(state, signer_row, role) > able:
            return THRESHOLD_UNREACHABLE, SYSTEM, NOWHERE
    # POST
    keyset = keyset_of(state, signer_row)
    retire_key(state, signer_row, slot, time_ns)
    keyset.roles[slot], keyset.schemes[slot] = np.uint8(roles), np.uint8(scheme)
    for j in range(32):
        keyset.keys[32 * slot + j] = record.payload_commitment[j]
    keyset.recovery_scheme = NO_SCHEME
    return APPLIED, SELF, NOWHERE


@njit(**KERNEL)
def set_thresholds(state, record, signer_row):
    """Say how many keys must sign for each role; a waiting recovery is off."""
    # CHECK
    if not is_own(state, record, signer_row):
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    if record.amount >> np.uint64(8 * COUNT_OF_ROLES) != ZERO:
        return THRESHOLD_UNREACHABLE, SYSTEM, NOWHERE
    for role in range(COUNT_OF_ROLES):
        wanted = np.uint8((record.amount >> np.uint64(8 * role)) & np.uint64(0xFF))
        able = np.uint8(0)
        for slot in range(MAX_KEYS):
            if (roles_of(state, signer_row, slot) & ROLE_BITS[role]) != NO_ROLE:
                able += np.uint8(1)
        if wanted > able or (role == ADMINISTER and wanted == np.uint8(0)):
            return THRESHOLD_UNREACHABLE, SYSTEM, NOWHERE
    # POST
    keyset = keyset_of(state, signer_row)
    for role in range(COUNT_OF_ROLES):
        keyset.thresholds[role] = np.uint8((record.amount >> np.uint64(8 * role)) & np.uint64(0xFF))
    keyset.recovery_scheme = NO_SCHEME
    return APPLIED, SELF, NOWHERE


@njit(**KERNEL)
def recover(state, record, signer_row, time_ns, limits):
    """Replace every key by one: asked once it waits, asked again after the delay it is done."""
    # CHECK
    scheme = record.amount
    if not is_own(state, record, signer_row):
        return NOT_AUTHORISED, SYSTEM, NOWHERE
    if not takes_scheme(limits, scheme):
        return POLICY_FORBIDS, SYSTEM, NOWHERE
    keyset = keyset_of(state, signer_row)
    again = np.uint64(keyset.recovery_scheme) == scheme
    for j in range(32):
        again = again and keyset.recovery_key[j] == record.payload_commitment[j]
    if again and time_ns < keyset.recovery_since_ns + limits.recovery_delay_ns:
        return RECOVERY_WAITING, SYSTEM, NOWHERE
    # POST
    if not again:
        keyset.recovery_scheme, keyset.recovery_since_ns = np.uint32(scheme), time_ns
        for j in range(32):
            keyset.recovery_key[j] = record.payload_commitment[j]
        return RECOVERY_STARTED, SELF, NOWHERE
    for slot in range(MAX_KEYS):
        retire_key(state, signer_row, slot, time_ns)
        keyset.roles[slot] = FIRST if slot == 0 else NO_ROLE
    keyset.schemes[0], keyset.recovery_scheme = np.uint8(scheme), NO_SCHEME
    for role in range(COUNT_OF_ROLES):
        keyset.thresholds[role] = FIRST_THRESHOLDS[role]
    for j in range(32):
        keyset.keys[j] = record.payload_commitment[j]
    return APPLIED, SELF, NOWHERE
