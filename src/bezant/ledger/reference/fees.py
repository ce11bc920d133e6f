"""Fees on payments that settle.

A payment that is made at once is charged to its debtor, who signed for at most `max_fee` of it. Of what was
held the fee comes out of what is captured, so that a reserve is what was signed and a capture never lacks the
money. Nothing is charged for issuing and redeeming, for refunds (which do not return it) and claw-backs, and
where the collecting account cannot take it.
"""

from __future__ import annotations

from bezant.ledger.books import Account, State
from bezant.ledger.fees import collector_id, quote
from bezant.ledger.reference.parties import overflows
from bezant.ledger.standing import Standing
from bezant.model.genesis import Genesis
from bezant.model.money import U64_MAX

Due = tuple[int, Account | None]
"""A fee in minor units, and where it goes; 0 and nowhere for none."""
NO_FEE: Due = (0, None)


def fee_due(state: State, genesis: Genesis, debtor: Account, creditor: Account, amount: int) -> Due:
    """Return what a payment is charged."""
    collector = state.collectors.get(debtor.asset)
    if collector is None or Standing.CLOSED in collector.standing:
        return NO_FEE
    issues = U64_MAX in (debtor.credit_limit, creditor.credit_limit)
    if issues or collector is debtor or collector is creditor:
        return NO_FEE
    fee = next(quote(one, amount) for one in genesis.fees if one.asset == debtor.asset)
    if overflows(collector.credits_pending, collector.credits_posted, fee):
        return NO_FEE
    if fee == 0 or collector.holds_too_much(fee, collector.balance_limit):
        return NO_FEE
    return fee, collector


def capture_fee_due(state: State, genesis: Genesis, debtor: Account, creditor: Account, amount: int) -> Due:
    """Return what a capture is charged, out of what it brings."""
    fee, collector = fee_due(state, genesis, debtor, creditor, amount)
    fee = min(fee, amount)
    if overflows(creditor.debits_pending, creditor.debits_posted, fee):
        return NO_FEE
    return fee, collector


def collectors(state: State, genesis: Genesis) -> dict[int, Account]:
    """Return the account that collects the fees of each asset that has any, as far as they are open."""
    found = {one.asset: state.accounts.get(collector_id(genesis, one.asset)) for one in genesis.fees}
    return {asset: account for asset, account in found.items() if account is not None}
