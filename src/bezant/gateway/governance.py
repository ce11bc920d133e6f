"""Rules of the network as this institution sees and changes them: proposals, votes, what is in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bezant.errors import InputError
from bezant.gateway import commands
from bezant.gateway.desk import Desk
from bezant.gateway.history import History
from bezant.gateway.payments import Answered, Payments
from bezant.ledger import open_items
from bezant.ledger.fees import FEE_SALT, collector_id
from bezant.ledger.open_items import OpenProposal
from bezant.model.genesis import Fee, Genesis
from bezant.model.governance import RANGES, Ballot, Change, Rule, is_allowed, value_of, values_of
from bezant.model.identifiers import AccountId, AuthorityId, PaymentId
from bezant.model.keys import authority_id
from bezant.model.money import parse_minor
from bezant.model.outcomes import Outcome
from bezant.store.schema import ProposalStatus
from bezant.store.views import Page, StoredProposal


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


@dataclass(frozen=True, slots=True)
class FeeNow:
    """What payments in an asset are charged, the account that collects it, whether that is open, and what is
    in it in minor units."""

    fee: Fee
    account: AccountId
    is_open: bool
    balance: int


@dataclass(frozen=True, slots=True)
class ProposalNow:
    """A proposal, whatever became of it: `was` is what its rule was before, `stored` what the read model
    knows (None: not asked), `open` what the ledger does while it is voted on or waits (None: decided)."""

    id: PaymentId
    proposer: AuthorityId
    change: Change
    was: Change
    height: int
    until_ns: int
    status: ProposalStatus
    open: OpenProposal | None
    stored: StoredProposal | None


class Governance:
    """Proposes and votes under the institution's signature, once for each id.

    All raise BezantError naming the outcome that refused it.
    """

    def __init__(self, desk: Desk, payments: Payments, history: History) -> None:
        self._desk, self._payments, self._history = desk, payments, history

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

    def proposals(self) -> Sequence[ProposalNow]:
        """Return the proposals that are voted on or wait for their height, as the ledger has them."""
        ledger = self._desk.engine.ledger
        return [
            ProposalNow(
                PaymentId(one.id),
                one.proposer,
                one.change,
                _as_it_is(ledger.in_force, one.change),
                one.height,
                one.until_ns,
                ProposalStatus.ACCEPTED if one.accepted else ProposalStatus.VOTING,
                one,
                None,
            )
            for one in open_items.proposals(ledger)
        ]

    def past(
        self, *, status: ProposalStatus | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[ProposalNow]:
        """Return every proposal there was, newest first. Raises: InputError, Overloaded."""
        page = self._history.queries().proposals(status=status, cursor=cursor, limit=limit)
        return Page([self._known(one) for one in page.items], page.next_cursor)

    def proposal(self, identity: PaymentId) -> ProposalNow:
        """Return a proposal, whatever became of it. Raises: NotFound, Overloaded."""
        return self._known(self._history.queries().proposal(identity))

    def institution_of(self, proposer: AuthorityId) -> str:
        """Return the name of the institution that proposed or voted."""
        for institution in self._desk.engine.genesis.institutions:
            if authority_id(bytes.fromhex(institution.key)) == proposer:
                return institution.name
        return ""

    def _known(self, one: StoredProposal) -> ProposalNow:
        """Return a row of the store with the votes as they would be counted now, where they still would."""
        ledger, voted_on = self._desk.engine.ledger, None
        if one.status in (ProposalStatus.VOTING, ProposalStatus.ACCEPTED):
            voted_on = next((item for item in open_items.proposals(ledger) if item.id == one.id), None)
        was = one.was or _as_it_is(ledger.genesis, one.change)
        return ProposalNow(
            one.id, one.proposer, one.change, was, one.height, one.until_ns, one.status, voted_on, one
        )

    def fees(self) -> Sequence[FeeNow]:
        """Return what payments in each asset are charged, and what was collected and not divided yet."""
        ledger, found = self._desk.engine.ledger, []
        for fee in ledger.in_force.fees:
            account = collector_id(ledger.genesis, fee.asset)
            row = ledger.account(account)
            balance = 0 if row is None else int(row["credits_posted_lo"]) - int(row["debits_posted_lo"])
            found.append(FeeNow(fee, account, row is not None, balance))
        return found

    def fee(self, asset: str, flat: str, ppm: int, minimum: str, maximum: str) -> Change:
        """Return the change that gives payments in an asset a fee, or takes it away where all is 0.

        Raises: InputError for an asset that is none; AmountError.
        """
        for one in self._desk.engine.genesis.assets:
            if one.code == asset:
                flat_, minimum_, maximum_ = (
                    parse_minor(text, one.scale, param=name)
                    for text, name in ((flat, "flat"), (minimum, "minimum"), (maximum, "maximum"))
                )
                return Change(Rule.FEE, (flat_, ppm, minimum_, maximum_), one.number)
        raise InputError(f"there is no asset {asset[:10]!r}", param="asset", code="asset_unknown")

    def propose(
        self, change: Change, identity: PaymentId, *, height: int, after_blocks: int, voting_s: int
    ) -> tuple[Answered, bool]:
        """Put a change to the vote, in force from `height` on, or where that is 0 so many blocks after the
        last one now; votes are taken for `voting_s` seconds."""
        if not height:
            before = self._payments.before(identity)
            now = self._desk.engine.height
            height = int(before.record["max_fee"]) if before else now + after_blocks
        own = authority_id(self._desk.institution_key.public)
        record = commands.propose(identity, own, change, height, voting_s)
        return self._payments.carry_out_once(record, self._desk.institution_key)

    def open_collector(self, asset: str) -> AccountId:
        """Open the account that collects the fees of an asset, as its issuer; once is enough.

        Raises: InputError for an asset that is none; BezantError where this institution does not issue it.
        """
        for one in self._desk.engine.genesis.assets:
            if one.code == asset:
                account = collector_id(self._desk.engine.genesis, one.number)
                holder = authority_id(self._desk.institution_key.public)
                record = commands.open_account(self._desk.now_ms(), account, holder, one.number, FEE_SALT)
                self._desk.carry_out(record, "open the account for fees", also=Outcome.ACCOUNT_EXISTS)
                return account
        raise InputError(f"there is no asset {asset[:10]!r}", param="asset", code="asset_unknown")

    def vote(self, proposal: PaymentId, said: Ballot, identity: PaymentId) -> tuple[Answered, bool]:
        """Say yes or no for every validator of this institution; the last word before the count counts."""
        own = authority_id(self._desk.institution_key.public)
        record = commands.vote(identity, own, proposal, said)
        return self._payments.carry_out_once(record, self._desk.institution_key)


def _as_it_is(genesis: Genesis, change: Change) -> Change:
    """Return what the rule of a change is in a genesis, or in one with the rules in force."""
    return Change(change.rule, values_of(genesis, change.rule, change.asset), change.asset)
