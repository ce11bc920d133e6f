"""Proposals, votes on them, and what comes into force: the compiled twin of the reference's `governance`.

Rows of proposals in use stand together in front, in the order in which they were made.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.authorities import is_own
from bezant.ledger.kernel.parties import APPLIED, INSTITUTION, NOT_AUTHORISED, SYSTEM
from bezant.ledger.kernel.stake import FREE_ROW, power_of
from bezant.ledger.kernel.tables import NOWHERE
from bezant.ledger.kernel.words import ZERO, word_at
from bezant.model.genesis import MAX_FEE, MAX_VALIDATORS
from bezant.model.governance import (
    MAX_OWN_PROPOSALS,
    MAX_PROPOSALS,
    MAX_VOTING_S,
    NOTICE_BLOCKS,
    RANGES,
    STAKE_RULES,
    VALUES,
    Ballot,
    Rule,
)
from bezant.model.native import ENTRY, KERNEL, RARE
from bezant.model.outcomes import Outcome
from bezant.model.records import NO_ROW, Kind

NOT_GOVERNED = np.uint16(Outcome.NOT_GOVERNED)
RULE_OUT_OF_BOUNDS, SCHEDULE_REFUSED = (
    np.uint16(Outcome.RULE_OUT_OF_BOUNDS),
    np.uint16(Outcome.SCHEDULE_REFUSED),
)
PROPOSAL_UNKNOWN, PROPOSAL_EXISTS = np.uint16(Outcome.PROPOSAL_UNKNOWN), np.uint16(Outcome.PROPOSAL_EXISTS)
PROPOSALS_FULL = np.uint16(Outcome.PROPOSALS_FULL)
ACCEPTED, DECLINED = np.uint16(Outcome.ACCEPTED), np.uint16(Outcome.DECLINED)
PENDING = np.uint16(0xFFFF)
PROPOSE, SYSTEM_ROW = np.uint16(Kind.PROPOSE), np.uint32(NO_ROW)
STAKE_ONLY = np.array([rule in STAKE_RULES for rule in (0, *Rule)], np.bool_)
LEAST, MOST = (
    np.array([0, *(RANGES.get(rule, (0, 0))[side] for rule in Rule)], np.uint64) for side in (0, 1)
)
YES, NO, NOTHING = np.uint8(Ballot.YES), np.uint8(Ballot.NO), np.uint8(0)
IS_ACCEPTED, NOT_ACCEPTED, NO_RULE = np.uint16(1), np.uint16(0), np.uint32(0)
NO_ASSET, NO_AUTHORITY = np.uint32(0), np.uint32(0)
FEE, MOST_FEE, MILLION = np.uint64(Rule.FEE), np.uint64(MAX_FEE), np.uint64(1_000_000)
TWO, THREE, NS_PER_S = np.uint64(2), np.uint64(3), np.uint64(1_000_000_000)
NOTICE, LONGEST_S = np.uint64(NOTICE_BLOCKS), np.uint32(MAX_VOTING_S)


@njit(**RARE)
def check_voter(state, record, signer_row, limits):
    """Return APPLIED, or why the signer has no say in the rules."""
    if limits.height == ZERO:
        return NOT_GOVERNED
    if not is_own(state, record, signer_row):
        return NOT_AUTHORISED
    for row in range(MAX_VALIDATORS):
        validator = state.validators[row]
        if validator.used == FREE_ROW:
            break
        if validator.operator == signer_row and power_of(validator, limits) != ZERO:
            return APPLIED
    return NOT_AUTHORISED


@njit(**RARE)
def is_schedule(record):
    """Return whether a proposal's values make a fee, or none."""
    flat, ppm = word_at(record.payload_commitment, 0), word_at(record.payload_commitment, 8)
    minimum, maximum = word_at(record.payload_commitment, 16), word_at(record.payload_commitment, 24)
    if (flat | ppm | minimum | maximum) == ZERO:
        return True
    return flat <= MOST_FEE and ppm <= MILLION and minimum <= maximum <= MOST_FEE and maximum != ZERO


@njit(**KERNEL)
def is_allowed(record, limits):
    """Return whether the network has the rule, and it may be that."""
    rule, value = record.amount, word_at(record.payload_commitment, 0)
    if rule == FEE:
        return record.asset != NO_ASSET and np.int64(record.asset) < len(limits.fees) and is_schedule(record)
    if STAKE_ONLY[rule] and limits.bond_asset == ZERO:
        return False
    for j in range(8, 8 * VALUES):
        if record.payload_commitment[j] != NOTHING:
            return False
    return record.asset == NO_ASSET and LEAST[rule] <= value <= MOST[rule]


@njit(**RARE)
def find_proposal(proposals, lo, hi):
    """Return the row of a proposal, or of the first free one, MAX_PROPOSALS without any."""
    row = 0
    while row < MAX_PROPOSALS and proposals[row].rule != NO_RULE:
        if proposals[row].id_lo == lo and proposals[row].id_hi == hi:
            break
        row += 1
    return row


@njit(**RARE)
def propose(state, record, signer_row, time_ns, limits):
    """Return (outcome, mode, account row): put a change of a rule to the vote."""
    # CHECK
    refusal = check_voter(state, record, signer_row, limits)
    if refusal != APPLIED:
        return refusal, SYSTEM, NOWHERE
    if not is_allowed(record, limits):
        return RULE_OUT_OF_BOUNDS, SYSTEM, NOWHERE
    if record.hold_for_s > LONGEST_S or record.max_fee <= limits.height + NOTICE:
        return SCHEDULE_REFUSED, SYSTEM, NOWHERE
    row, own = find_proposal(state.proposals, record.id_lo, record.id_hi), 0
    if row < MAX_PROPOSALS and state.proposals[row].rule != NO_RULE:
        return PROPOSAL_EXISTS, SYSTEM, NOWHERE
    for other in range(row):
        own += 1 if state.proposals[other].authority == signer_row else 0
    if row == MAX_PROPOSALS or own == MAX_OWN_PROPOSALS:
        return PROPOSALS_FULL, SYSTEM, NOWHERE
    # POST
    proposal = state.proposals[row]
    proposal.id_lo, proposal.id_hi, proposal.authority = record.id_lo, record.id_hi, signer_row
    proposal.rule, proposal.asset, proposal.height = np.uint32(record.amount), record.asset, record.max_fee
    proposal.until_ns = time_ns + np.uint64(record.hold_for_s) * NS_PER_S
    for j in range(VALUES):
        proposal.values[j] = word_at(record.payload_commitment, 8 * j)
    return APPLIED, INSTITUTION, NOWHERE


@njit(**RARE)
def vote(state, record, signer_row, limits):
    """Return (outcome, mode, account row): say yes or no for every validator of the signing institution."""
    # CHECK
    refusal = check_voter(state, record, signer_row, limits)
    if refusal != APPLIED:
        return refusal, SYSTEM, NOWHERE
    row = find_proposal(state.proposals, record.related_lo, record.related_hi)
    if row == MAX_PROPOSALS or state.proposals[row].rule == NO_RULE:
        return PROPOSAL_UNKNOWN, SYSTEM, NOWHERE
    proposal = state.proposals[row]
    if proposal.accepted != NOT_ACCEPTED:
        return PROPOSAL_UNKNOWN, SYSTEM, NOWHERE
    # POST
    for at in range(MAX_VALIDATORS):
        if state.validators[at].used == FREE_ROW:
            break
        if state.validators[at].operator == signer_row:
            proposal.ballots[at] = np.uint8(record.amount)
    return APPLIED, INSTITUTION, NOWHERE


@njit(**RARE)
def judge(state, proposal, time_ns, limits):
    """Return what becomes of a proposal in this block, PENDING where nothing does."""
    if proposal.accepted != NOT_ACCEPTED:
        return APPLIED if limits.height >= proposal.height else PENDING
    total, yes, no = ZERO, ZERO, ZERO
    for row in range(MAX_VALIDATORS):
        if state.validators[row].used == FREE_ROW:
            break
        power = power_of(state.validators[row], limits)
        total += power
        yes += power if proposal.ballots[row] == YES else ZERO
        no += power if proposal.ballots[row] == NO else ZERO
    if THREE * yes > TWO * total:
        return ACCEPTED
    if THREE * (total - no) <= TWO * total:
        return DECLINED
    too_late = time_ns > proposal.until_ns or limits.height + NOTICE >= proposal.height
    return DECLINED if too_late else PENDING


@njit(**RARE)
def enact(state, proposal, limits):
    """Enter what is in force from now on, in place of what was for the same rule."""
    row = 0
    while state.changes[row].rule != NO_RULE:
        if state.changes[row].rule == proposal.rule and state.changes[row].asset == proposal.asset:
            break
        row += 1
    change = state.changes[row]
    change.rule, change.asset, change.since = proposal.rule, proposal.asset, limits.height
    for j in range(VALUES):
        change.values[j] = proposal.values[j]


@njit(**RARE)
def remove(proposals, row):
    """Take a proposal out and close the gap it leaves."""
    last = row
    while last + 1 < MAX_PROPOSALS and proposals[last + 1].rule != NO_RULE:
        proposals[last] = proposals[last + 1]
        last += 1
    gone = proposals[last]
    gone.id_lo, gone.id_hi, gone.height, gone.until_ns = ZERO, ZERO, ZERO, ZERO
    gone.rule, gone.asset, gone.authority, gone.accepted = NO_RULE, NO_ASSET, NO_AUTHORITY, NOT_ACCEPTED
    for j in range(VALUES):
        gone.values[j] = ZERO
    for j in range(MAX_VALIDATORS):
        gone.ballots[j] = NOTHING


@njit(**ENTRY)
def settle(state, time_ns, limits, receipts):
    """Decide what can be decided and put into force what is due; return how many system receipts that made.

    receipts (as many as there are proposals,), their rows of accounts set to none before.
    """
    row, made = 0, 0
    while row < MAX_PROPOSALS and state.proposals[row].rule != NO_RULE:
        proposal = state.proposals[row]
        outcome = judge(state, proposal, time_ns, limits)
        if outcome == PENDING:
            row += 1
            continue
        receipt = receipts[made]
        receipt.id_lo, receipt.id_hi, receipt.kind = proposal.id_lo, proposal.id_hi, PROPOSE
        receipt.order_index, receipt.outcome = SYSTEM_ROW, outcome
        made += 1
        if outcome == ACCEPTED:
            proposal.accepted = IS_ACCEPTED
            row += 1
            continue
        if outcome == APPLIED:
            enact(state, proposal, limits)
        remove(state.proposals, row)
    return made
