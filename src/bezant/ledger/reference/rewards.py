"""Fees divided among bonds, at every checkpoint."""

from __future__ import annotations

from bezant.ledger.batch import NEVER
from bezant.ledger.books import Answer, State
from bezant.ledger.fees import collector_id, shares
from bezant.ledger.reference.parties import overflows, post
from bezant.ledger.reference.stake import system_receipt
from bezant.model.genesis import Genesis
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, RecordArray


def reward(state: State, genesis: Genesis) -> list[RecordArray]:
    """Divide what was collected in the bonded asset among the bonds of those who vote, by their amounts, and
    return the system receipts. What no account in order can take stays for the next time."""
    stake, height = genesis.stake, state.blocks + 1
    if stake is None or height % genesis.rules.checkpoint_interval or stake.asset in state.paused:
        return []
    collector = state.accounts.get(collector_id(genesis, stake.asset))
    if collector is None:
        return []
    bonds = [
        hold
        for hold in sorted(state.holds.values(), key=lambda hold: hold.sequence)
        if hold.kind is Kind.BOND and hold.expires_ns == NEVER and state.validators[hold.lock].power(stake)
    ]
    pot = max(collector.credits_posted - collector.debits_posted - collector.debits_pending, 0)
    receipts = []
    for bond, share in zip(bonds, shares(pot, [bond.amount for bond in bonds]), strict=True):
        account = state.by_row(bond.debtor)
        if share == 0 or account.standing or account.holds_too_much(share, account.balance_limit):
            continue
        if overflows(account.credits_pending, account.credits_posted, share):
            continue
        post(collector, account, share)
        answer = Answer(Outcome.REWARDED, share, debtor=collector, creditor=account)
        receipts.append(system_receipt(bond.id, Kind.BOND, answer))
    return receipts
