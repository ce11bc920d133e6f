"""What the reference ledger keeps, as plain Python objects: accounts, holds, mandates, refunds,
remembered ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from bezant.errors import InvariantViolation
from bezant.ledger.batch import NEVER
from bezant.ledger.standing import IN_ORDER, Standing
from bezant.model.genesis import Genesis, Stake
from bezant.model.governance import Ballot, Change, Rule
from bezant.model.identifiers import AccountId, AuthorityId, id_bytes
from bezant.model.keys import SCHEME_ED25519
from bezant.model.outcomes import Outcome, SigningMode
from bezant.model.records import FIRST_ROLES, NO_ROW, RECEIPT, ROLES, Kind, ModelRole, RecordArray, Role


@dataclass(slots=True)
class Account:
    """One account in one asset; counters are lifetime totals in minor units, u128."""

    row: int
    id: AccountId
    authority: AuthorityId
    institution: int
    asset: int
    credit_limit: int
    balance_limit: int
    standing: Standing = IN_ORDER
    delegate: AuthorityId | None = None
    delegate_cap: int = 0
    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0

    @property
    def sides(self) -> tuple[int, int, int, int]:
        return self.debits_pending, self.debits_posted, self.credits_pending, self.credits_posted

    @property
    def is_empty(self) -> bool:
        """Whether the balance is zero and nothing is pending."""
        balanced = self.debits_posted == self.credits_posted
        return balanced and self.debits_pending == self.credits_pending == 0

    def spends_too_much(self, amount: int, credit_limit: int) -> bool:
        """Return whether debits, reserved ones and `amount` exceed credits and the limit."""
        return self.debits_posted + self.debits_pending + amount > self.credits_posted + credit_limit

    def holds_too_much(self, amount: int, balance_limit: int) -> bool:
        """Return whether credits, expected ones and `amount` exceed debits and the limit, 0 for none."""
        received = self.credits_posted + self.credits_pending + amount
        return balance_limit > 0 and received > self.debits_posted + balance_limit


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an authority."""

    public: bytes
    scheme: int
    roles: Role


@dataclass(frozen=True, slots=True)
class Recovery:
    """A key that is to replace all others, and since when it waits."""

    public: bytes
    scheme: int
    started_ns: int


@dataclass(frozen=True, slots=True)
class Authority:
    """Keys by slot, and how many of them must sign for each role, in the order of `ROLES`; 0: nobody can."""

    keys: dict[int, Key]
    thresholds: tuple[int, ...] = (1, 1, 1, 0)
    recovery: Recovery | None = None

    @classmethod
    def of_one(cls, public: bytes, scheme: int = SCHEME_ED25519) -> Authority:
        """Return what an authority is when it is registered: one key that may do all but recover."""
        return cls({0: Key(public, scheme, FIRST_ROLES)})

    def reached(self, slots: list[int]) -> Role:
        """Return the roles whose threshold these keys reach; every slot counts once."""
        reached = Role(0)
        for role, threshold in zip(ROLES, self.thresholds, strict=True):
            signed = sum(1 for slot in slots if slot in self.keys and role in self.keys[slot].roles)
            if 0 < threshold <= signed:
                reached |= role
        return reached

    @property
    def can_be_used(self) -> bool:
        """Whether every threshold can be reached, and somebody can administer."""
        counts = [sum(1 for key in self.keys.values() if role in key.roles) for role in ROLES]
        reachable = all(t <= count for t, count in zip(self.thresholds, counts, strict=True))
        return reachable and self.thresholds[ROLES.index(Role.ADMINISTER)] > 0


@dataclass(frozen=True, slots=True)
class Hold:
    """A reserve, keyed by debtor account and id; `kind` TRANSFER means it waits for a reviewer.

    `amount` is what is left of it. `lock` is the SHA-256 that a capture must open, empty for none; of a
    BOND it is the validator's key.
    """

    id: int
    debtor: int
    creditor: int
    amount: int
    expires_ns: int
    sequence: int
    kind: Kind
    lock: bytes = b""

    @property
    def in_review(self) -> bool:
        return self.kind is Kind.TRANSFER


@dataclass(frozen=True, slots=True)
class Mandate:
    """Leave to pay from an account, keyed by its row and the mandate's id.

    Periods are windows of `period_s` from `start_s` on (0: none); `spent` is what was authorised in
    window number `window`. A hold counts when it is placed; what it returns gives no room back.
    """

    payee: int | None
    delegate: AuthorityId
    cap: int
    period_cap: int
    period_s: int
    start_s: int
    expires_s: int
    window: int = 0
    spent: int = 0

    def window_at(self, now_s: int) -> int:
        return (now_s - self.start_s) // self.period_s if self.period_s else 0

    def spent_at(self, now_s: int) -> int:
        """Return what counts against the cap of the period that `now_s` lies in."""
        return self.spent if self.window_at(now_s) == self.window else 0


@dataclass(frozen=True, slots=True)
class Refund:
    """How much of a payment was paid back, keyed by its payer's row and its id; kept while more may be."""

    original_minor: int
    refunded_minor: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """What a model does for an authority, keyed by that and its digest, and since when."""

    role: ModelRole
    since_ns: int


@dataclass(frozen=True, slots=True)
class Validator:
    """Who votes on blocks, keyed by its Ed25519 key: votes granted by the genesis, minor units bonded, until
    when it may not rejoin (0: it votes), and how many blocks in a row it has missed."""

    operator: AuthorityId
    granted: int = 0
    bonded: int = 0
    jailed_until_ns: int = 0
    missed: int = 0

    def power(self, stake: Stake | None) -> int:
        """Return its votes now."""
        if self.jailed_until_ns:
            return 0
        return self.granted + (self.bonded // stake.unit if stake else 0)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change of a rule that is voted on until `until_ns`, or accepted; keyed by its id. `ballots` are what
    was said for validators, by their keys; `height` is the first block of the change."""

    proposer: AuthorityId
    change: Change
    height: int
    until_ns: int
    accepted: bool = False
    ballots: Mapping[bytes, Ballot] = field(default_factory=dict)


@dataclass(slots=True)
class State:
    """Everything the reference remembers."""

    authorities: dict[AuthorityId, Authority] = field(default_factory=dict)
    institution_of: dict[AuthorityId, int] = field(default_factory=dict)
    accounts: dict[int, Account] = field(default_factory=dict)
    paused: frozenset[int] = frozenset()
    """Numbers of the assets that stand still."""
    holds: dict[tuple[int, int], Hold] = field(default_factory=dict)
    mandates: dict[tuple[int, int], Mandate] = field(default_factory=dict)
    refunds: dict[tuple[int, int], Refund] = field(default_factory=dict)
    models: dict[tuple[AuthorityId, bytes], RegisteredModel] = field(default_factory=dict)
    validators: dict[bytes, Validator] = field(default_factory=dict)
    proposals: dict[int, Proposal] = field(default_factory=dict)
    changes: dict[tuple[Rule, int], tuple[Change, int]] = field(default_factory=dict)
    """What is in force in place of the genesis, by rule and asset, and since which height."""
    collectors: dict[int, Account] = field(default_factory=dict)
    """The account that collects the fees of an asset, as of the block's beginning."""
    remembered: dict[tuple[AuthorityId, int], tuple[bytes, Outcome]] = field(default_factory=dict)
    forgetting: dict[tuple[AuthorityId, int], tuple[bytes, Outcome]] = field(default_factory=dict)
    generation_ns: int = 0
    hold_sequence: int = 0
    blocks: int = 0

    def by_row(self, row: int) -> Account:
        return next(account for account in self.accounts.values() if account.row == row)

    def expired(self, time_ns: int) -> list[Hold]:
        """Return the holds whose time has come, earliest first."""
        due = [hold for hold in self.holds.values() if hold.expires_ns <= time_ns]
        return sorted(due, key=lambda hold: (hold.expires_ns, hold.sequence))

    def copy(self) -> State:
        """Return a copy that changes to this one do not reach."""
        accounts = {key: replace(account) for key, account in self.accounts.items()}
        return replace(
            self,
            authorities=dict(self.authorities),
            accounts=accounts,
            collectors={asset: accounts[one.id] for asset, one in self.collectors.items()},
            holds=dict(self.holds),
            mandates=dict(self.mandates),
            refunds=dict(self.refunds),
            models=dict(self.models),
            validators=dict(self.validators),
            proposals=dict(self.proposals),
            remembered=dict(self.remembered),
            forgetting=dict(self.forgetting),
        )

    def check(self, genesis: Genesis) -> None:
        """Raise InvariantViolation unless, per asset, debits equal credits, pending sums equal the open
        holds, no account is below its limit, what is closed is empty, and no cap is passed."""
        for asset in genesis.assets:
            own = [account for account in self.accounts.values() if account.asset == asset.number]
            if sum(a.debits_posted for a in own) != sum(a.credits_posted for a in own):
                raise InvariantViolation(f"{asset.code}: posted debits and credits differ")
            held = sum(h.amount for h in self.holds.values() if self.by_row(h.debtor).asset == asset.number)
            if not sum(a.debits_pending for a in own) == sum(a.credits_pending for a in own) == held:
                raise InvariantViolation(f"{asset.code}: pending sums do not match the open holds")
        for a in self.accounts.values():
            if a.spends_too_much(0, a.credit_limit):
                raise InvariantViolation(f"account {a.id:032x} is below its limit")
            if Standing.CLOSED in a.standing and not a.is_empty:
                raise InvariantViolation(f"account {a.id:032x} is closed and not empty")
        if any(mandate.period_s and mandate.spent > mandate.period_cap for mandate in self.mandates.values()):
            raise InvariantViolation("a mandate is spent beyond its cap")
        if any(refund.refunded_minor > refund.original_minor for refund in self.refunds.values()):
            raise InvariantViolation("more was paid back than was paid")
        bonds = [hold for hold in self.holds.values() if hold.kind is Kind.BOND and hold.expires_ns == NEVER]
        for key, validator in self.validators.items():
            if validator.bonded != sum(bond.amount for bond in bonds if bond.lock == key):
                raise InvariantViolation("a validator's votes do not match its bonds")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, and what is known of the signatures and of the Order around them.

    `authentic` if every signature of the group is; `reached` are the roles whose threshold they reach,
    both as of the start of the block.
    """

    authority: AuthorityId
    known: bool
    authentic: bool
    accepted: bool
    reached: Role


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one record."""

    outcome: Outcome
    amount: int = 0
    mode: SigningMode = SigningMode.SYSTEM
    debtor: Account | None = None
    creditor: Account | None = None
    first: Outcome = Outcome.APPLIED
    fee: int = 0
    collector: Account | None = None
    """Where the fee went."""


def fill_receipt(answer: Answer) -> RecordArray:
    """Return the RECEIPT row of an answer; whose record it is the caller adds."""
    receipt = np.zeros(1, RECEIPT)
    receipt["outcome"], receipt["first_outcome"] = answer.outcome, answer.first
    receipt["amount"], receipt["mode"] = answer.amount, answer.mode
    receipt["debtor_row"] = receipt["creditor_row"] = NO_ROW
    receipt["fee"], receipt["fee_row"] = answer.fee, answer.collector.row if answer.collector else 0
    for side, account in (("debtor", answer.debtor), ("creditor", answer.creditor)):
        if account is not None:
            receipt[f"{side}_row"] = account.row
            raw = b"".join(id_bytes(counter) for counter in account.sides)
            receipt[f"{side}_side"] = np.frombuffer(raw, RECEIPT[f"{side}_side"])
    return receipt
