"""What the reference ledger keeps: accounts, holds, remembered ids, as plain Python objects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from bezant.errors import InvariantViolation
from bezant.model.genesis import Genesis
from bezant.model.identifiers import AccountId, AuthorityId, id_bytes
from bezant.model.outcomes import Outcome, SigningMode
from bezant.model.records import NO_ROW, RECEIPT, Kind, RecordArray


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
    frozen: bool = False
    delegate: AuthorityId | None = None
    delegate_cap: int = 0
    debits_pending: int = 0
    debits_posted: int = 0
    credits_pending: int = 0
    credits_posted: int = 0

    @property
    def sides(self) -> tuple[int, int, int, int]:
        return self.debits_pending, self.debits_posted, self.credits_pending, self.credits_posted


@dataclass(frozen=True, slots=True)
class Hold:
    """A reserve, keyed by debtor account and id; `kind` TRANSFER means it waits for a reviewer."""

    id: int
    debtor: int
    creditor: int
    amount: int
    expires_ns: int
    sequence: int
    kind: Kind


@dataclass(slots=True)
class State:
    """Everything the reference remembers."""

    keys: dict[AuthorityId, bytes] = field(default_factory=dict)
    institution_of: dict[AuthorityId, int] = field(default_factory=dict)
    accounts: dict[int, Account] = field(default_factory=dict)
    holds: dict[tuple[int, int], Hold] = field(default_factory=dict)
    remembered: dict[tuple[AuthorityId, int], tuple[bytes, Outcome]] = field(default_factory=dict)
    forgetting: dict[tuple[AuthorityId, int], tuple[bytes, Outcome]] = field(default_factory=dict)
    generation_ns: int = 0
    hold_sequence: int = 0

    def by_row(self, row: int) -> Account:
        return next(account for account in self.accounts.values() if account.row == row)

    def expired(self, time_ns: int) -> list[Hold]:
        """Return the holds whose time has come, earliest first."""
        due = [hold for hold in self.holds.values() if hold.expires_ns <= time_ns]
        return sorted(due, key=lambda hold: (hold.expires_ns, hold.sequence))

    def copy(self) -> State:
        """Return a copy that changes to this one do not reach."""
        return replace(
            self,
            keys=dict(self.keys),
            accounts={key: replace(account) for key, account in self.accounts.items()},
            holds=dict(self.holds),
            remembered=dict(self.remembered),
            forgetting=dict(self.forgetting),
        )

    def check(self, genesis: Genesis) -> None:
        """Raise InvariantViolation unless, per asset, debits equal credits, pending sums equal the
        open holds, and no account is below its limit."""
        for asset in genesis.assets:
            own = [account for account in self.accounts.values() if account.asset == asset.number]
            if sum(a.debits_posted for a in own) != sum(a.credits_posted for a in own):
                raise InvariantViolation(f"{asset.code}: posted debits and credits differ")
            held = sum(h.amount for h in self.holds.values() if self.by_row(h.debtor).asset == asset.number)
            if not sum(a.debits_pending for a in own) == sum(a.credits_pending for a in own) == held:
                raise InvariantViolation(f"{asset.code}: pending sums do not match the open holds")
        for a in self.accounts.values():
            if a.debits_posted + a.debits_pending > a.credits_posted + a.credit_limit:
                raise InvariantViolation(f"account {a.id:032x} is below its limit")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, and what is known of the signature and of the Order around it."""

    authority: AuthorityId
    known: bool
    authentic: bool
    accepted: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one record."""

    outcome: Outcome
    amount: int = 0
    mode: SigningMode = SigningMode.SYSTEM
    debtor: Account | None = None
    creditor: Account | None = None
    first: Outcome = Outcome.APPLIED


def fill_receipt(answer: Answer) -> RecordArray:
    """Return the RECEIPT row of an answer; whose record it is the caller adds."""
    receipt = np.zeros(1, RECEIPT)
    receipt["outcome"], receipt["first_outcome"] = answer.outcome, answer.first
    receipt["amount"], receipt["mode"] = answer.amount, answer.mode
    receipt["debtor_row"] = receipt["creditor_row"] = NO_ROW
    for side, account in (("debtor", answer.debtor), ("creditor", answer.creditor)):
        if account is not None:
            receipt[f"{side}_row"] = account.row
            raw = b"".join(id_bytes(counter) for counter in account.sides)
            receipt[f"{side}_side"] = np.frombuffer(raw, RECEIPT[f"{side}_side"])
    return receipt
