"""Who votes on blocks, and what answers for it: bonds, their end, faults.

A bond is a hold that no time ends, to the account that is paid what a fault costs; its lock is the
validator's key. Votes are those that the genesis granted and one for every unit that is bonded. What is
unbonding gives no votes and can still be taken from. Only institutions bond: the genesis names them.

Whoever votes has nothing bonded or the least that the rules ask for, when it bonds, ends a bond or rejoins. A
fault or another rule may leave it with less; that takes no votes, so that there is always somebody who votes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bezant.ledger.batch import NEVER, NS_PER_S
from bezant.ledger.books import Answer, Hold, State, Validator, fill_receipt
from bezant.ledger.reference.holds import return_reserve
from bezant.ledger.reference.parties import (
    Request,
    check_standing,
    check_sums,
    check_value,
    find_parties,
    institution,
    post,
)
from bezant.model.genesis import MAX_POWER, MAX_VALIDATORS, Genesis, Stake
from bezant.model.identifiers import words
from bezant.model.outcomes import Outcome, SigningMode
from bezant.model.records import NO_ROW, Fault, Kind, RecordArray

PPM = 1_000_000


def bond(state: State, asked: Request) -> Answer:
    """Reserve an amount for as long as a validator is to have votes for it."""
    # CHECK
    found = find_parties(state, asked)
    if isinstance(found, Outcome):
        return Answer(found)
    debtor, creditor = found
    stake, key = asked.genesis.stake, asked.record["payload_commitment"].tobytes()
    validator = state.validators.get(key) or Validator(asked.signer.authority)
    if institution(state, asked.signer) != debtor.institution:
        return Answer(Outcome.NOT_AUTHORISED)
    if creditor.institution != asked.issuer(creditor.asset) or validator.operator != asked.signer.authority:
        return Answer(Outcome.NOT_AUTHORISED)
    refusal = check_value(asked, debtor, creditor)
    if refusal is not None:
        return Answer(refusal)
    standing = check_standing(state, debtor, creditor)
    if standing is not Outcome.ASSET_PAUSED and (stake is None or stake.asset != debtor.asset):
        return Answer(Outcome.POLICY_FORBIDS)
    if standing is not None:
        return Answer(standing)
    if (debtor.row, asked.id("id")) in state.holds:
        return Answer(Outcome.HOLD_EXISTS)
    if stake is not None and validator.bonded + asked.amount > MAX_POWER * stake.unit:
        return Answer(Outcome.OVERFLOW)
    refusal = check_sums(debtor, creditor, asked.amount, debtor.credit_limit)
    if refusal is not None:
        return Answer(refusal)
    if validator.jailed_until_ns == NEVER:
        return Answer(Outcome.VALIDATOR_JAILED)
    if key not in state.validators and len(state.validators) == MAX_VALIDATORS:
        return Answer(Outcome.VALIDATORS_FULL)
    if _is_too_little(stake, validator.bonded + asked.amount):
        return Answer(Outcome.BOND_BELOW_LEAST)
    # POST
    state.validators[key] = replace(validator, bonded=validator.bonded + asked.amount)
    state.hold_sequence += 1
    state.holds[debtor.row, asked.id("id")] = Hold(
        asked.id("id"), debtor.row, creditor.row, asked.amount, NEVER, state.hold_sequence, Kind.BOND, key
    )
    debtor.debits_pending += asked.amount
    creditor.credits_pending += asked.amount
    return Answer(Outcome.BONDED, asked.amount, SigningMode.INSTITUTION, debtor, creditor)


def unbond(state: State, asked: Request) -> Answer:
    """End a bond: no votes for it from now on, and its money back after the unbonding time."""
    # CHECK
    found = find_parties(state, asked)
    if isinstance(found, Outcome):
        return Answer(found)
    debtor, creditor = found
    if institution(state, asked.signer) != debtor.institution:
        return Answer(Outcome.NOT_AUTHORISED)
    place = debtor.row, asked.id("related")
    hold, stake = state.holds.get(place), asked.genesis.stake
    if stake is None or hold is None or hold.kind is not Kind.BOND or hold.expires_ns != NEVER:
        return Answer(Outcome.HOLD_UNKNOWN)
    if hold.creditor != creditor.row or int(asked.record["asset"]) != debtor.asset:
        return Answer(Outcome.HOLD_MISMATCH)
    validator = state.validators[hold.lock]
    after = replace(validator, bonded=validator.bonded - hold.amount)
    if validator.power(stake) and not after.power(stake) and _is_last(state, stake, hold.lock):
        return Answer(Outcome.LAST_VALIDATOR)
    if not validator.jailed_until_ns and _is_too_little(stake, after.bonded):
        return Answer(Outcome.BOND_BELOW_LEAST)
    # POST
    state.validators[hold.lock] = after
    state.holds[place] = replace(hold, expires_ns=asked.time_ns + stake.unbonding_s * NS_PER_S)
    return Answer(Outcome.UNBONDING, hold.amount, SigningMode.INSTITUTION, debtor, creditor)


def rejoin(state: State, asked: Request) -> Answer:
    """Give a validator that was away its votes back, when its time is over."""
    # CHECK
    key = asked.record["payload_commitment"].tobytes()
    if asked.signer.authority != asked.id("debtor") or not institution(state, asked.signer):
        return Answer(Outcome.NOT_AUTHORISED)
    validator = state.validators.get(key)
    if validator is not None and validator.operator != asked.signer.authority:
        return Answer(Outcome.NOT_AUTHORISED)
    if validator is not None and asked.time_ns < validator.jailed_until_ns:
        return Answer(Outcome.VALIDATOR_JAILED)
    if validator is None:
        return Answer(Outcome.VALIDATOR_UNKNOWN)
    if _is_too_little(asked.genesis.stake, validator.bonded):
        return Answer(Outcome.BOND_BELOW_LEAST)
    # POST
    state.validators[key] = replace(validator, jailed_until_ns=0)
    return Answer(Outcome.APPLIED, mode=SigningMode.INSTITUTION)


def punish(state: State, genesis: Genesis, faults: RecordArray, time_ns: int) -> list[RecordArray]:
    """Return the system receipts of what validators did, and forget what those missed that were there."""
    absent = {fault["key"].tobytes() for fault in faults if fault["kind"] == Fault.ABSENT}
    for key, validator in state.validators.items():
        if validator.missed and key not in absent:
            state.validators[key] = replace(validator, missed=0)
    if genesis.stake is None:
        return []
    return [receipt for fault in faults for receipt in _punish_one(state, genesis.stake, fault, time_ns)]


def _punish_one(state: State, stake: Stake, fault: RecordArray, time_ns: int) -> Iterator[RecordArray]:
    key, twice = fault["key"].tobytes(), fault["kind"] == Fault.DOUBLE_SIGN
    validator = state.validators.get(key)
    if validator is None or validator.jailed_until_ns == NEVER or (validator.jailed_until_ns and not twice):
        return
    if not twice:
        validator = state.validators[key] = replace(validator, missed=validator.missed + 1)
        if validator.missed < stake.away_blocks:
            return
    # Without anybody who votes nothing could be decided any more, not even to have others.
    if _is_last(state, stake, key):
        return
    until_ns = NEVER if twice else time_ns + stake.jail_s * NS_PER_S
    state.validators[key] = replace(validator, jailed_until_ns=until_ns, missed=0)
    yield system_receipt(int.from_bytes(key[:16], "little"), Kind.BOND, Answer(Outcome.JAILED))
    if twice:
        own = [
            (h.sequence, place) for place, h in state.holds.items() if h.kind is Kind.BOND and h.lock == key
        ]
        for _, place in sorted(own):
            yield from _slash(state, stake, place)


def _slash(state: State, stake: Stake, place: tuple[int, int]) -> Iterator[RecordArray]:
    hold = state.holds[place]
    amount = hold.amount // PPM * stake.slash_ppm + hold.amount % PPM * stake.slash_ppm // PPM
    if amount == 0:
        return
    debtor, creditor = state.by_row(hold.debtor), state.by_row(hold.creditor)
    return_reserve(debtor, creditor, amount)
    post(debtor, creditor, amount)
    if amount == hold.amount:
        del state.holds[place]
    else:
        state.holds[place] = replace(hold, amount=hold.amount - amount)
    if hold.expires_ns == NEVER:
        validator = state.validators[hold.lock]
        state.validators[hold.lock] = replace(validator, bonded=validator.bonded - amount)
    yield system_receipt(
        hold.id, Kind.BOND, Answer(Outcome.SLASHED, amount, debtor=debtor, creditor=creditor)
    )


def _is_too_little(stake: Stake | None, bonded: int) -> bool:
    """Return whether somebody who votes has to have more bonded, or nothing."""
    return stake is not None and 0 < bonded < stake.least_bond


def _is_last(state: State, stake: Stake | None, key: bytes) -> bool:
    """Return whether nobody but this validator has votes."""
    return not any(one.power(stake) for other, one in state.validators.items() if other != key)


def system_receipt(identity: int, kind: Kind, answer: Answer) -> RecordArray:
    """Return the RECEIPT row of what the ledger did by itself."""
    receipt = fill_receipt(answer)
    receipt["id_lo"], receipt["id_hi"] = words(identity)
    receipt["order_index"], receipt["kind"] = NO_ROW, kind
    return receipt
