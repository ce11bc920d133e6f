"""Rules that change by vote: proposed, voted on, accepted, in force from a height on.

Whoever operates validators proposes and votes for them. Votes are counted at the beginning of every block
with the power there is then, so that what left does not count. More than two thirds of all accept; a third
against, or the end of the time, decline. An accepted change is in force from the beginning of its block.
"""

from __future__ import annotations

from dataclasses import replace

from bezant.ledger.batch import NS_PER_S
from bezant.ledger.books import Answer, Proposal, State
from bezant.ledger.reference.parties import Request
from bezant.ledger.reference.stake import system_receipt
from bezant.model.genesis import Genesis
from bezant.model.governance import (
    MAX_OWN_PROPOSALS,
    MAX_PROPOSALS,
    MAX_VOTING_S,
    NOTICE_BLOCKS,
    Ballot,
    change_of,
    is_allowed,
)
from bezant.model.outcomes import Outcome, SigningMode
from bezant.model.records import Kind, RecordArray


def propose(state: State, asked: Request) -> Answer:
    """Put a change of a rule to the vote."""
    # CHECK
    refusal = _check_voter(state, asked)
    if refusal is not None:
        return Answer(refusal)
    change, height = change_of(asked.record), int(asked.record["max_fee"])
    voting_s, identity = int(asked.record["hold_for_s"]), asked.id("id")
    if not is_allowed(asked.genesis, change):
        return Answer(Outcome.RULE_OUT_OF_BOUNDS)
    if voting_s > MAX_VOTING_S or height <= state.blocks + 1 + NOTICE_BLOCKS:
        return Answer(Outcome.SCHEDULE_REFUSED)
    if identity in state.proposals:
        return Answer(Outcome.PROPOSAL_EXISTS)
    own = [one for one in state.proposals.values() if one.proposer == asked.signer.authority]
    if len(state.proposals) == MAX_PROPOSALS or len(own) == MAX_OWN_PROPOSALS:
        return Answer(Outcome.PROPOSALS_FULL)
    # POST
    until_ns = asked.time_ns + voting_s * NS_PER_S
    state.proposals[identity] = Proposal(asked.signer.authority, change, height, until_ns)
    return Answer(Outcome.APPLIED, mode=SigningMode.INSTITUTION)


def vote(state: State, asked: Request) -> Answer:
    """Say yes or no for every validator of the signing institution; what was said before is replaced."""
    # CHECK
    refusal = _check_voter(state, asked)
    if refusal is not None:
        return Answer(refusal)
    proposal = state.proposals.get(asked.id("related"))
    if proposal is None or proposal.accepted:
        return Answer(Outcome.PROPOSAL_UNKNOWN)
    # POST
    said = {key: Ballot(asked.amount) for key in _operated(state, asked)}
    state.proposals[asked.id("related")] = replace(proposal, ballots={**proposal.ballots, **said})
    return Answer(Outcome.APPLIED, mode=SigningMode.INSTITUTION)


def settle(state: State, genesis: Genesis, time_ns: int) -> list[RecordArray]:
    """Decide what can be decided and put into force what is due, in the order of proposing; return the system
    receipts. `genesis` has the rules of the block before."""
    receipts = []
    for identity, proposal in list(state.proposals.items()):
        outcome = _judge(state, genesis, proposal, time_ns)
        if outcome is None:
            continue
        receipts.append(system_receipt(identity, Kind.PROPOSE, Answer(outcome)))
        if outcome is Outcome.ACCEPTED:
            state.proposals[identity] = replace(proposal, accepted=True)
            continue
        del state.proposals[identity]
        if outcome is Outcome.APPLIED:
            change = proposal.change
            state.changes[change.rule, change.asset] = change, state.blocks + 1
    return receipts


def _judge(state: State, genesis: Genesis, proposal: Proposal, time_ns: int) -> Outcome | None:
    """Return what becomes of a proposal in the next block, None where nothing does."""
    height = state.blocks + 1
    if proposal.accepted:
        return Outcome.APPLIED if height >= proposal.height else None
    powers = {key: validator.power(genesis.stake) for key, validator in state.validators.items()}
    total = sum(powers.values())
    yes = sum(powers[key] for key, ballot in proposal.ballots.items() if ballot is Ballot.YES)
    no = sum(powers[key] for key, ballot in proposal.ballots.items() if ballot is Ballot.NO)
    if 3 * yes > 2 * total:
        return Outcome.ACCEPTED
    hopeless = 3 * (total - no) <= 2 * total
    too_late = time_ns > proposal.until_ns or height + NOTICE_BLOCKS >= proposal.height
    return Outcome.DECLINED if hopeless or too_late else None


def _check_voter(state: State, asked: Request) -> Outcome | None:
    """Return why the signer has no say in the rules."""
    if not asked.genesis.validators:
        return Outcome.NOT_GOVERNED
    powers = [state.validators[key].power(asked.genesis.stake) for key in _operated(state, asked)]
    if asked.signer.authority != asked.id("debtor") or not any(powers):
        return Outcome.NOT_AUTHORISED
    return None


def _operated(state: State, asked: Request) -> list[bytes]:
    """Return the keys of the validators that the signer operates."""
    return [key for key, one in state.validators.items() if one.operator == asked.signer.authority]
