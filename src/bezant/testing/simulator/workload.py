"""What people send: purses, the parts they sign, the Orders that carry them, and what is sent again.

Every envelope comes with the truth about its signatures, which the sender knows without verifying:
the engine has to find out the same by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from bezant.model.genesis import Genesis, network_id
from bezant.model.identifiers import AccountId, PaymentId, new_payment_id
from bezant.model.keys import SigningKey, authority_id
from bezant.model.money import U64_MAX
from bezant.model.orders import Order, attest, authorise, join_authorised
from bezant.model.outcomes import Verdict
from bezant.model.records import DECISION, Kind, RecordArray, id_of
from bezant.testing.ledgers import ALICE, BANK, BOB, CAROL, GATEWAY, ISSUER, MALLORY, Scribe, record, treasury

NS_PER_MS = 1_000_000
OPENING_MINOR = 500
BALANCE_LIMIT_MINOR = 700
MAX_PARTS = 3
LOOKED_BACK = 40
"""How many of the latest parts may be sent again."""


@dataclass(frozen=True, slots=True)
class Purse:
    """An account, who holds it and whose customer that is."""

    account: AccountId
    holder: SigningKey
    institution: SigningKey
    asset: int


@dataclass(frozen=True, slots=True)
class Part:
    """Records that one key signs together, and the verdict that the gateway gives on each."""

    key: SigningKey
    records: RecordArray
    verdict: Verdict = Verdict.ALLOW


@dataclass(frozen=True, slots=True)
class Signed:
    """A part with its signature, as it can be sent any number of times."""

    authorisations: RecordArray
    records: RecordArray
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Envelope:
    """An Order, and what is true of it: (m,) whether each signature is genuine, the gateway's too."""

    order: Order
    authentic: tuple[bool, ...]
    accepted: bool
    readable: bool = True
    """False where the engine has to refuse it before it becomes a block."""


Look = Callable[[AccountId], Any]
"""Returns an account's row (dtype ACCOUNT) as it is now, or None."""


class Workload:
    """Draws what happens next from `rng`; `now_ns` is the senders' clock, `look` their bank statement."""

    def __init__(self, rng: Random, genesis: Genesis, now_ns: Callable[[], int], look: Look) -> None:
        self.rng, self.network = rng, network_id(genesis)
        self._now_ns, self._look = now_ns, look
        self._serial = 0
        self.purses: list[Purse] = []
        self.holds: list[RecordArray] = []
        """Holds that were asked for, in review or not; some were refused, some are closed."""
        self._sent: list[Signed] = []

    # What kinds of records are made of.

    def identity(self) -> PaymentId:
        """Return a fresh id; a few are too old or of a time to come."""
        self._serial += 1
        off_ms = self.rng.choices((0, -20_000, -60_000, 3_000, 60_000), (94, 2, 2, 1, 1))[0]
        return new_payment_id(max(self._now_ns() // NS_PER_MS + off_ms, 0), self._serial)

    def record(self, kind: Kind, debtor: Purse, creditor: Purse, amount: int, **fields: Any) -> RecordArray:
        given = {"id": self.identity(), "asset": debtor.asset} | fields
        return record(kind, debtor=debtor.account, creditor=creditor.account, amount=amount, **given)

    def purse(self) -> Purse:
        return self.rng.choice(self.purses)

    def amount(self, debtor: Purse, creditor: Purse) -> int:
        """Return an amount: mostly small, often at the very edge of a limit, sometimes absurd."""
        kind = self.rng.choices(("small", "debtor", "creditor", "odd"), (75, 14, 8, 3))[0]
        if kind == "small":
            return self.rng.randint(1, 60)
        if kind == "odd":
            return self.rng.choice((0, U64_MAX, 2**63))
        edge = self._spendable(debtor) if kind == "debtor" else self._receivable(creditor)
        return min(max(edge + self.rng.choice((-1, 0, 1, 1)), 0), U64_MAX)

    def signer(self, purse: Purse) -> SigningKey:
        """Return who signs for a purse: mostly its holder."""
        return self.rng.choices((purse.holder, purse.institution, MALLORY, BOB), (80, 14, 3, 3))[0]

    def held(self) -> RecordArray | None:
        """Return one of the latest holds that were asked for."""
        return self.rng.choice(self.holds[-12:]) if self.holds else None

    def owner(self, account: int) -> Purse:
        return next(purse for purse in self.purses if purse.account == account)

    def scribe(self) -> Scribe:
        """Return a scribe who writes one record with a fresh id."""
        self._serial += 1
        return Scribe(self.network, self._now_ns(), self._serial << 20)

    def _spendable(self, purse: Purse) -> int:
        row = self._look(purse.account)
        if row is None:
            return 0
        spent = id_of(row, "debits_posted") + id_of(row, "debits_pending")
        return id_of(row, "credits_posted") + int(row["credit_limit"]) - spent

    def _receivable(self, purse: Purse) -> int:
        row = self._look(purse.account)
        if row is None or not row["balance_limit"]:
            return 0
        had = id_of(row, "credits_posted") + id_of(row, "credits_pending")
        return int(row["balance_limit"]) + id_of(row, "debits_posted") - had

    # Envelopes.

    def opening(self) -> Envelope:
        """Return the first Order: keys, accounts, and money to start with."""
        scribe = Scribe(self.network, self._now_ns(), 1 << 50)
        opened, issuing = treasury(scribe)
        issuer = Purse(issuing, ISSUER, ISSUER, 1)
        keys = [scribe.register(key) for key in (ALICE, BOB, CAROL)]
        accounts: list[RecordArray] = []
        for holder, limit in ((ALICE, 0), (BOB, 0), (CAROL, BALANCE_LIMIT_MINOR), (ALICE, 0)):
            salt = len(accounts)
            row, account = scribe.open(2, holder, salt=salt, balance_limit=limit)
            accounts.append(row)
            self.purses.append(Purse(account, holder, BANK, 1))
        funds = [
            self.record(Kind.TRANSFER, issuer, purse, OPENING_MINOR, id=scribe.new_id())
            for purse in self.purses
        ]
        parts = (
            Part(ISSUER, np.concatenate([opened, *keys])),
            Part(BANK, np.concatenate(accounts)),
            Part(ISSUER, np.concatenate(funds)),
        )
        self.purses.append(issuer)
        return self._pack([self._sign(part) for part in parts])

    def envelope(self, draw: Callable[[Workload], Part | None]) -> Envelope:
        """Return an Order of up to MAX_PARTS parts, some of which were sent before."""
        chosen: list[Signed] = []
        for _ in range(self.rng.randint(1, MAX_PARTS)):
            if self._sent and self.rng.random() < 0.12:
                chosen.append(self.rng.choice(self._sent[-LOOKED_BACK:]))
            elif (part := draw(self)) is not None:
                chosen.append(self._sign(part))
        self.rng.shuffle(chosen)
        return self._pack(chosen)

    def _sign(self, part: Part) -> Signed:
        signed = Signed(authorise(self.network, part.key, part.records), part.records, part.verdict)
        self._sent.append(signed)
        return signed

    def _pack(self, chosen: list[Signed]) -> Envelope:
        authorisations, records = join_authorised([(s.authorisations, s.records) for s in chosen])
        decisions = np.zeros(len(records), DECISION)
        if chosen:
            decisions["verdict"] = np.repeat([s.verdict for s in chosen], [len(s.records) for s in chosen])
        gateway = authority_id(GATEWAY.public)
        order = attest(self.network, Order(gateway, authorisations, records, decisions), GATEWAY)
        return Envelope(order, (True,) * len(authorisations), True)
