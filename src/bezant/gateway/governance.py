"""Rules of the network as this institution sees and changes them: proposals, votes, what is in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bezant.errors import InputError
from bezant.gateway import commands
from bezant.gateway.desk import Desk
from bezant.gateway.payments import Answered, Payments
from bezant.ledger import open_items
from bezant.ledger.open_items import OpenProposal
from bezant.model.governance import RANGES, Ballot, Change, Rule, is_allowed, value_of
from bezant.model.identifiers import PaymentId
from bezant.model.keys import authority_id


@dataclass(frozen=True, slots=True)
class RuleNow:
    """One rule: what it is, what it was founded with, since which height it is that (0: the first), and what
    it may become, both ends included."""

    rule: Rule
    value: int
    founded: int
    since: int
    low: int
    high: int


class Governance:
    """Proposes and votes under the institution's signature, once for each id.

    All raise BezantError naming the outcome that refused it.
    """

    def __init__(self, desk: Desk, payments: Payments) -> None:
        self._desk, self._payments = desk, payments

    def rules(self) -> Sequence[RuleNow]:
        """Return the rules that this network has and its validators may change."""
        ledger = self._desk.engine.ledger
        since = {one.change.rule: one.since for one in open_items.changed_rules(ledger)}
        return [
            RuleNow(
                rule,
                value_of(ledger.in_force, rule),
                value_of(ledger.genesis, rule),
                since.get(rule, 0),
                low,
                high,
            )
            for rule, (low, high) in RANGES.items()
            if is_allowed(ledger.genesis, Change(rule, (low,)))
        ]

    def proposals(self) -> Sequence[OpenProposal]:
        """Return the proposals that are voted on or wait for their height."""
        return open_items.proposals(self._desk.engine.ledger)

    def institution_of(self, proposal: OpenProposal) -> str:
        """Return the name of the institution that made a proposal."""
        for institution in self._desk.engine.genesis.institutions:
            if authority_id(bytes.fromhex(institution.key)) == proposal.proposer:
                return institution.name
        return ""

    def propose(
        self, rule: str, value: int, identity: PaymentId, *, height: int, after_blocks: int, voting_s: int
    ) -> tuple[Answered, bool]:
        """Put a change to the vote, in force from `height` on, or where that is 0 so many blocks after the
        last one now; votes are taken for `voting_s` seconds.

        Raises: InputError for a rule that is none.
        """
        names = {one.name.lower(): one for one in Rule}
        if rule not in names:
            raise InputError(f"there is no rule {rule[:40]!r}; rules are {', '.join(names)}", param="rule")
        if not height:
            before = self._payments.before(identity)
            now = self._desk.engine.height
            height = int(before.record["max_fee"]) if before else now + after_blocks
        own, change = authority_id(self._desk.institution_key.public), Change(names[rule], (value,))
        record = commands.propose(identity, own, change, height, voting_s)
        return self._payments.carry_out_once(record, self._desk.institution_key)

    def vote(self, proposal: PaymentId, said: Ballot, identity: PaymentId) -> tuple[Answered, bool]:
        """Say yes or no for every validator of this institution; the last word before the count counts."""
        own = authority_id(self._desk.institution_key.public)
        record = commands.vote(identity, own, proposal, said)
        return self._payments.carry_out_once(record, self._desk.institution_key)
