"""What is checked before any effect: shape, authenticity, time, identity. Same order as the outcomes."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.identities import enter_id, find_remembered
from bezant.ledger.kernel.tables import NOWHERE
from bezant.ledger.kernel.words import ONE, ZERO, word_at
from bezant.model.forms import Use, form_column
from bezant.model.governance import Ballot, Rule
from bezant.model.native import ENTRY, KERNEL
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.records import COMMAND_KINDS, Flag, Kind, Label, ModelRole

PASSED = np.uint16(0xFFFF)

TRANSFER, HOLD = np.uint16(Kind.TRANSFER), np.uint16(Kind.HOLD)
CAPTURE, RELEASE = np.uint16(Kind.CAPTURE), np.uint16(Kind.RELEASE)
REVERSE, LOCK, CLAWBACK = np.uint16(Kind.REVERSE), np.uint16(Kind.LOCK), np.uint16(Kind.CLAWBACK)
FIRST_COMMAND, SET_MANDATE = np.uint16(COMMAND_KINDS), np.uint16(Kind.SET_MANDATE)
LABEL, SET_MODEL = np.uint16(Kind.LABEL), np.uint16(Kind.SET_MODEL)
BOND, UNBOND, REJOIN = np.uint16(Kind.BOND), np.uint16(Kind.UNBOND), np.uint16(Kind.REJOIN)
PROPOSE, VOTE = np.uint16(Kind.PROPOSE), np.uint16(Kind.VOTE)
FIRST_RULE, LAST_RULE = np.uint64(min(Rule)), np.uint64(max(Rule))
FIRST_BALLOT, LAST_BALLOT = np.uint64(min(Ballot)), np.uint64(max(Ballot))
FIRST_LABEL, LAST_LABEL = np.uint64(min(Label)), np.uint64(max(Label))
LAST_MODEL_ROLE = np.uint64(max(ModelRole))
LINKED, MAY_REVIEW = np.uint16(Flag.LINKED), np.uint16(Flag.MAY_REVIEW)
KEEP_REST, UNDER_MANDATE = np.uint16(Flag.KEEP_REST), np.uint16(Flag.UNDER_MANDATE)
NO_FLAG = np.uint16(0)
ALLOW, REVIEW, BLOCK = np.uint8(Verdict.ALLOW), np.uint8(Verdict.REVIEW), np.uint8(Verdict.BLOCK)

MALFORMED = np.uint16(Outcome.MALFORMED)
UNKNOWN_AUTHORITY = np.uint16(Outcome.UNKNOWN_AUTHORITY)
BAD_SIGNATURE = np.uint16(Outcome.BAD_SIGNATURE)
GATEWAY_NOT_ACCEPTED = np.uint16(Outcome.GATEWAY_NOT_ACCEPTED)
ID_IN_FUTURE = np.uint16(Outcome.ID_IN_FUTURE)
EXPIRED = np.uint16(Outcome.EXPIRED)
EXISTS = np.uint16(Outcome.EXISTS)
EXISTS_WITH_OTHER_CONTENT = np.uint16(Outcome.EXISTS_WITH_OTHER_CONTENT)
CAPACITY = np.uint16(Outcome.CAPACITY)
THRESHOLD_NOT_MET = np.uint16(Outcome.THRESHOLD_NOT_MET)

# The forms of `model.records` as columns by kind: a kind without a role is none.
LAST_KIND = np.uint16(max(Kind))
ROLE_OF, FLAGS_OF = form_column(lambda form: form.role), form_column(lambda form: form.flags)
RELATED_OF = form_column(lambda form: form.related)
HOLD_FOR_OF = form_column(lambda form: form.hold_for_s)
JUDGED_OF = form_column(lambda form: form.judged)
NEVER, ALWAYS = np.uint16(Use.NEVER), np.uint16(Use.ALWAYS)


@njit(inline="always", **KERNEL)
def misused(use, present):
    """Return whether a field is there and must not be, or must be and is not."""
    return (use == NEVER and present) or (use == ALWAYS and not present)


@njit(**KERNEL)
def is_zero(field, start):
    """Return whether a field's bytes are zero from `start` on."""
    found = np.uint8(0)
    for j in range(start, len(field)):
        found |= field[j]
    return found == np.uint8(0)


@njit(**KERNEL)
def well_formed(record, verdict):
    """Return whether kind, flags and the fields that must be zero are as the format says."""
    kind, flags = record.kind, record.flags
    if kind > LAST_KIND or ROLE_OF[kind] == NO_FLAG or (flags & ~FLAGS_OF[kind]) != NO_FLAG:
        return False
    is_uuid7 = (record.id_hi >> np.uint64(12)) & np.uint64(0xF) == np.uint64(7)
    if not is_uuid7 or record.id_lo >> np.uint64(62) != np.uint64(2):
        return False
    if verdict > BLOCK:
        return False
    has_related = record.related_lo != ZERO or record.related_hi != ZERO
    has_hold_for = record.hold_for_s != np.uint32(0)
    if kind == TRANSFER or kind == HOLD:
        under_mandate = (flags & UNDER_MANDATE) != NO_FLAG
        return has_related == under_mandate and has_hold_for == (kind == HOLD)
    if verdict != ALLOW and JUDGED_OF[kind] == NO_FLAG:
        return False
    if misused(RELATED_OF[kind], has_related) or misused(HOLD_FOR_OF[kind], has_hold_for):
        return False
    if kind == LOCK:
        return not is_zero(record.payload_commitment, 0)
    if kind == SET_MANDATE:
        return has_hold_for == (record.max_fee != ZERO) and is_zero(record.payload_commitment, 8)
    if kind == LABEL:
        return FIRST_LABEL <= record.amount <= LAST_LABEL
    if kind == BOND or kind == REJOIN:
        return not is_zero(record.payload_commitment, 0)
    if kind == UNBOND:
        return record.amount == ZERO
    if kind == PROPOSE:
        return FIRST_RULE <= record.amount <= LAST_RULE
    if kind == VOTE:
        return FIRST_BALLOT <= record.amount <= LAST_BALLOT
    if kind == SET_MODEL:
        return record.amount <= LAST_MODEL_ROLE and not is_zero(record.payload_commitment, 0)
    return True


@njit(**KERNEL)
def check_time(record, now_ms, limits):
    """Return PASSED, or that the id names a time that is not yet, or no longer, to be accepted."""
    made_ms = record.id_hi >> np.uint64(16)
    if made_ms > now_ms + limits.id_future_ms:
        return ID_IN_FUTURE
    valid_ms = min(limits.id_window_ms, np.uint64(record.valid_for_s) * np.uint64(1000))
    if made_ms + valid_ms < now_ms:
        return EXPIRED
    return PASSED


@njit(**ENTRY)
def foresee(records, now_ms, limits, refusals):
    """Write for each record what its shape or time would be refused with, PASSED where with nothing."""
    for i in range(len(records)):
        refusals[i] = check_time(records[i], now_ms, limits) if well_formed(records[i], ALLOW) else MALFORMED


@njit(**KERNEL)
def check_authentic(record, decision, signer, now_ms, limits):
    """Return PASSED or the first refusal of shape, signatures, gateway or time."""
    signer_row, authentic, accepted, reached = signer
    if decision.reserved != np.uint16(0) or not well_formed(record, decision.verdict):
        return MALFORMED
    if signer_row == NOWHERE:
        return UNKNOWN_AUTHORITY
    if authentic == np.uint8(0):
        return BAD_SIGNATURE
    if accepted == np.uint8(0):
        return GATEWAY_NOT_ACCEPTED
    if (ROLE_OF[record.kind] & np.uint16(reached)) == NO_FLAG:
        return THRESHOLD_NOT_MET
    return check_time(record, now_ms, limits)


@njit(inline="always", **KERNEL)
def content_of(at, scratch):
    """Return the two words that tell record `at` from other content: the first half of its leaf hash."""
    return scratch[3][at, 0], scratch[3][at, 1]


@njit(**KERNEL)
def find_in_memory(state, lo, hi, signer_row):
    """Return (table, row) of a remembered id, row NOWHERE if it is in neither generation."""
    counters = state.counters[0]
    row = find_remembered(state.ids, state.id_index, state.id_pages, counters.ids, lo, hi, signer_row)
    if row != NOWHERE:
        return state.ids, row
    index, pages = state.old_id_index, state.old_id_pages
    return state.old_ids, find_remembered(state.old_ids, index, pages, counters.old_ids, lo, hi, signer_row)


@njit(**KERNEL)
def check_new(state, record, content_lo, content_hi, signer_row, limits):
    """Return (PASSED or a refusal, the first outcome where the same content was answered before)."""
    counters = state.counters[0]
    table, row = find_in_memory(state, record.id_lo, record.id_hi, signer_row)
    if row != NOWHERE:
        seen = table[row]
        same = seen.content_lo == content_lo and seen.content_hi == content_hi
        return (EXISTS if same else EXISTS_WITH_OTHER_CONTENT), seen.outcome
    if counters.ids + counters.old_ids >= limits.max_live_ids:
        return CAPACITY, np.uint16(0)
    return PASSED, np.uint16(0)


@njit(**KERNEL)
def remember(state, record, content_lo, content_hi, signer_row, outcome):
    """Enter an id with its first answer; room has been made before the batch."""
    row = state.counters[0].ids
    state.counters[0].ids += ONE
    entry = state.ids[row]
    entry.id_lo, entry.id_hi = record.id_lo, record.id_hi
    entry.content_lo, entry.content_hi = content_lo, content_hi
    entry.authority, entry.outcome = signer_row, outcome
    enter_id(state.ids, state.id_index, state.id_pages, row, record.id_lo, record.id_hi)


@njit(**ENTRY)
def recall(state, records, hashes, signer_rows, seen, same, first):
    """Say of each record whether its id is remembered, with the same content, and its first answer.

    records, seen, same, first (n,); hashes (n, 32) leaf hashes; signer_rows (n,), NOWHERE if unknown.
    """
    for i in range(len(records)):
        if signer_rows[i] == NOWHERE:
            continue
        table, row = find_in_memory(state, records[i].id_lo, records[i].id_hi, signer_rows[i])
        if row == NOWHERE:
            continue
        known = table[row]
        seen[i] = np.uint8(1)
        content_lo, content_hi = word_at(hashes[i], 0), word_at(hashes[i], 8)
        same[i] = np.uint8(known.content_lo == content_lo and known.content_hi == content_hi)
        first[i] = known.outcome
