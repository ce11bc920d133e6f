"""References that are wrong by a little, and must be found out: a test that cannot fail proves nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bezant.ledger.batch import Batch
from bezant.ledger.books import Answer, Hold, State
from bezant.ledger.fees import collector_id
from bezant.ledger.reference import ReferenceLedger
from bezant.ledger.reference.holds import close_hold
from bezant.ledger.reference.learning import set_model
from bezant.ledger.reference.ledger import EFFECTS
from bezant.ledger.reference.parties import Request
from bezant.ledger.reference.payments import pay, reverse
from bezant.ledger.reference.stake import unbond
from bezant.model.genesis import Genesis
from bezant.model.outcomes import Outcome
from bezant.model.records import FIRST_ROLES, Kind, RecordArray


def lenient(state: State, asked: Request) -> Answer:
    debtor = state.accounts.get(asked.id("debtor"))
    if debtor is not None:
        debtor.credit_limit += 1
    answer = pay(state, asked)
    if debtor is not None:
        debtor.credit_limit -= 1
    return answer


class OffByOneFunds(ReferenceLedger):
    """Allows one minor unit more than there is."""

    effects = EFFECTS | {Kind.TRANSFER: lenient, Kind.HOLD: lenient}


class LateState(State):
    def expired(self, time_ns: int) -> list[Hold]:
        return State.expired(self, time_ns - 1)


class OffByOneExpiry(ReferenceLedger):
    """Lets a hold live one nanosecond past its end."""

    def __init__(self, genesis: Genesis) -> None:
        super().__init__(genesis)
        self.state = LateState(
            self.state.authorities, self.state.institution_of, validators=self.state.validators
        )


class ForgetsRefusals(ReferenceLedger):
    """Remembers effects only."""

    def _remember(self, record: Any, signer: Any, outcome: Outcome) -> None:
        if not outcome.refused:
            super()._remember(record, signer, outcome)


def changed(asked: Request, name: str, value: int) -> Request:
    record = asked.record.copy()
    record[name] = value
    return replace(asked, record=record)


def captures_one_more(state: State, asked: Request) -> Answer:
    answer = close_hold(state, asked)
    if answer.outcome is Outcome.AMOUNT_ABOVE_HOLD:
        return close_hold(state, changed(asked, "amount", asked.amount - 1))
    return answer


class WholeCapture(ReferenceLedger):
    """Captures one unit more than was held."""

    effects = EFFECTS | {Kind.CAPTURE: captures_one_more}


class KeepsNoRest(ReferenceLedger):
    """Returns the rest at once, whatever the capture says."""

    effects = EFFECTS | {Kind.CAPTURE: lambda state, asked: close_hold(state, changed(asked, "flags", 0))}


def refunds_anew(state: State, asked: Request) -> Answer:
    state.refunds = {}
    return reverse(state, asked)


class ForgetsRefunds(ReferenceLedger):
    """Would pay the same payment back again and again."""

    effects = EFFECTS | {Kind.REVERSE: refunds_anew}


def promotes_beside(state: State, asked: Request) -> Answer:
    before = dict(state.models)
    answer = set_model(state, asked)
    named = asked.signer.authority, asked.record["payload_commitment"].tobytes()
    state.models |= {key: model for key, model in before.items() if key != named}
    return answer


class TwoChampions(ReferenceLedger):
    """Leaves the role with who had it when another gets it."""

    effects = EFFECTS | {Kind.SET_MODEL: promotes_beside}


def votes_on(state: State, asked: Request) -> Answer:
    before = dict(state.validators)
    answer = unbond(state, asked)
    state.validators = before
    return answer


class VotesOn(ReferenceLedger):
    """Leaves a validator the votes of what it unbonds."""

    effects = EFFECTS | {Kind.UNBOND: votes_on}


class OneKeyIsEnough(ReferenceLedger):
    """Stops counting at the first signature."""

    def _groups(self, batch: Batch) -> Any:
        groups = super()._groups(batch)
        return [(replace(signer, reached=signer.reached | FIRST_ROLES), a, b) for signer, a, b in groups]


class HalfUndone(State):
    def copy(self) -> State:
        before = super().copy()
        before.mandates = self.mandates
        return before


class KeepsHalfOfAChain(ReferenceLedger):
    """Undoes accounts and holds of a failed chain, and not what it took from a mandate."""

    def __init__(self, genesis: Genesis) -> None:
        super().__init__(genesis)
        self.state = HalfUndone(
            self.state.authorities, self.state.institution_of, validators=self.state.validators
        )


class CountsStalePower(ReferenceLedger):
    """Counts votes with the power there was a block before."""

    def __init__(self, genesis: Genesis) -> None:
        super().__init__(genesis)
        self.before = dict(self.state.validators)

    def _settle_proposals(self, time_ns: int) -> list[RecordArray]:
        now = self.state.validators
        self.state.validators = now | self.before
        receipts = super()._settle_proposals(time_ns)
        self.state.validators, self.before = now, dict(now)
        return receipts


class LosesACent(ReferenceLedger):
    """Takes a cent more out of what was collected than it pays to bonds."""

    def apply(self, batch: Batch) -> RecordArray:
        receipts = super().apply(batch)
        if (receipts["outcome"] == Outcome.REWARDED).any():
            self.state.accounts[collector_id(self.founded, 1)].debits_posted += 1
        return receipts


FAULTS = {
    OffByOneFunds: "plain",
    OffByOneExpiry: "plain",
    ForgetsRefusals: "plain",
    WholeCapture: "holds",
    KeepsNoRest: "holds",
    ForgetsRefunds: "refunds",
    OneKeyIsEnough: "keys",
    KeepsHalfOfAChain: "mandates",
    TwoChampions: "learning",
    VotesOn: "stake",
    CountsStalePower: "governance",
    LosesACent: "fees",
}
"""Each with the kinds of steps among which it shows."""
