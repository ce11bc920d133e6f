"""What people send: purses, the parts they sign, the Orders that carry them, and what is sent again.

Every envelope comes with the truth about its signatures, which the sender knows without verifying: which
key made each. Whether that is a key of the authority by then the oracle knows, and the engine has to find
out the same by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

import numpy as np

from bezant.ledger.batch import NS_PER_S
from bezant.ledger.open_items import KeyRing, OpenProposal
from bezant.model.forms import FORMS
from bezant.model.genesis import Genesis, network_id
from bezant.model.identifiers import AccountId, AuthorityId, PaymentId, new_payment_id
from bezant.model.keys import SCHEMES, SigningKey, authority_id
from bezant.model.money import U64_MAX
from bezant.model.orders import Order, attest, authorise_jointly, join_authorised
from bezant.model.outcomes import Verdict
from bezant.model.records import DECISION, MAX_KEYS, RECORD, ROLES, Kind, RecordArray, Role, id_of, join_rows
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
    """Records that one authority signs together, the one registered with `key`, and the gateway's verdict
    on each."""

    key: SigningKey
    records: RecordArray
    verdict: Verdict = Verdict.ALLOW


@dataclass(frozen=True, slots=True)
class Signed:
    """A part with its signatures, as it can be sent any number of times, and whose keys made them."""

    authorisations: RecordArray
    records: RecordArray
    verdict: Verdict
    signers: tuple[SigningKey, ...]


@dataclass(frozen=True, slots=True)
class Envelope:
    """An Order, and what is true of it: (m,) whose key made each signature, None where none did, and
    whether the gateway's is genuine."""

    order: Order
    signers: tuple[SigningKey | None, ...]
    accepted: bool
    readable: bool = True
    """False where the engine has to refuse it before it becomes a block."""


class Sight(Protocol):
    """What everybody can see of the ledger as it is now."""

    def account(self, identity: AccountId) -> Any:
        """Return an account's row (dtype ACCOUNT), or None."""

    def keys(self, authority: AuthorityId) -> KeyRing | None:
        """Return who may sign for an authority, or None where nobody knows it."""

    @property
    def height(self) -> int:
        """The last block."""

    def proposals(self) -> Sequence[OpenProposal]:
        """Return what is voted on or waits for its height."""


class Workload:
    """Draws what happens next from `rng`; `now_ns` is the senders' clock, `sight` what they see."""

    def __init__(self, rng: Random, genesis: Genesis, now_ns: Callable[[], int], sight: Sight) -> None:
        self.rng, self.network, self.sight = rng, network_id(genesis), sight
        self.genesis = genesis
        self._now_ns = now_ns
        self._serial = 0
        self._secret_keys = {key.public: key for key in (ALICE, BOB, CAROL, MALLORY, BANK, ISSUER)}
        self.issuer: Purse
        self.purses: list[Purse] = []
        self.holds: list[RecordArray] = []
        """Holds that were asked for, in review or not; some were refused, some are closed."""
        self.secrets: dict[int, bytes] = {}
        """By hold what opens its lock."""
        self.moved: list[RecordArray] = []
        """Payments and captures that were asked for, which may be paid back."""
        self.stopped: list[RecordArray] = []
        """Payments that the gateway refused."""
        self.mandates: list[RecordArray] = []
        """Mandates that were asked for."""
        self.bonds: list[RecordArray] = []
        """Bonds that were asked for."""
        self.recoveries: dict[AuthorityId, SigningKey] = {}
        """The key that each authority last asked to be recovered to."""
        self._sent: list[Signed] = []

    # What kinds of records are made of.

    def identity(self) -> PaymentId:
        """Return a fresh id; a few are too old or of a time to come."""
        self._serial += 1
        off_ms = self.rng.choices((0, -20_000, -60_000, 3_000, 60_000), (94, 2, 2, 1, 1))[0]
        return new_payment_id(max(self._now_ns() // NS_PER_MS + off_ms, 0), self._serial)

    def record(self, kind: Kind, debtor: Purse, creditor: Purse, amount: int, **fields: Any) -> RecordArray:
        given = {"id": self.identity(), "asset": debtor.asset} | fields
        if kind is Kind.TRANSFER and self.genesis.fees:
            # Most payers sign for whatever it costs.
            given["max_fee"] = self.rng.choices((U64_MAX, 3, 0), (90, 6, 4))[0]
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
        edge = self.spendable(debtor) if kind == "debtor" else self._receivable(creditor)
        return min(max(edge + self.rng.choice((-1, 0, 1, 1)), 0), U64_MAX)

    def spendable(self, purse: Purse) -> int:
        """Return what a purse can pay now; negative where it is below zero."""
        row = self.sight.account(purse.account)
        if row is None:
            return 0
        spent = id_of(row, "debits_posted") + id_of(row, "debits_pending")
        return id_of(row, "credits_posted") + int(row["credit_limit"]) - spent

    def signer(self, purse: Purse) -> SigningKey:
        """Return who signs for a purse: mostly its holder."""
        return self.rng.choices((purse.holder, purse.institution, MALLORY, BOB), (80, 14, 3, 3))[0]

    def held(self) -> RecordArray | None:
        """Return one of the latest holds that were asked for."""
        return self.rng.choice(self.holds[-12:]) if self.holds else None

    def new_key(self) -> SigningKey:
        """Return a fresh key of either scheme, whose secret is kept."""
        key = SigningKey(self.rng.randbytes(32), self.rng.choice(SCHEMES))
        self._secret_keys[key.public] = key
        return key

    def any_key(self) -> SigningKey:
        """Return one of all keys that there ever were."""
        return self.rng.choice(list(self._secret_keys.values()))

    def now_s(self) -> int:
        return self._now_ns() // NS_PER_S

    @staticmethod
    def of(row: RecordArray, field: str) -> int:
        """Return a 128-bit field of a record."""
        return id_of(row[0], field)

    def owner(self, account: int) -> Purse:
        return next(purse for purse in self.purses if purse.account == account)

    def scribe(self) -> Scribe:
        """Return a scribe who writes one record with a fresh id."""
        self._serial += 1
        return Scribe(self.network, self._now_ns(), self._serial << 20)

    def _receivable(self, purse: Purse) -> int:
        row = self.sight.account(purse.account)
        if row is None or not row["balance_limit"]:
            return 0
        had = id_of(row, "credits_posted") + id_of(row, "credits_pending")
        return int(row["balance_limit"]) + id_of(row, "debits_posted") - had

    # Envelopes.

    def opening(self) -> Envelope:
        """Return the first Order: keys, accounts, and money to start with."""
        scribe = Scribe(self.network, self._now_ns(), 1 << 50)
        opened, issuing = treasury(scribe)
        self.issuer = issuer = Purse(issuing, ISSUER, ISSUER, 1)
        keys = [scribe.register(key) for key in (ALICE, BOB, CAROL)]
        accounts: list[RecordArray] = []
        for holder, limit in ((ALICE, 0), (BOB, 0), (CAROL, BALANCE_LIMIT_MINOR), (ALICE, 0)):
            salt = len(accounts)
            row, account = scribe.open(2, holder, salt=salt, balance_limit=limit)
            accounts.append(row)
            self.purses.append(Purse(account, holder, BANK, 1))
        approvals = [
            record(Kind.SET_HOLDER, id=scribe.new_id(), debtor=purse.account, amount=1, asset=0)
            for purse in self.purses
        ]
        funds = [
            self.record(Kind.TRANSFER, issuer, purse, OPENING_MINOR, id=scribe.new_id())
            for purse in self.purses
        ]
        parts = (
            Part(ISSUER, join_rows([opened, *keys], RECORD)),
            Part(BANK, join_rows(accounts, RECORD)),
            Part(ISSUER, join_rows(approvals, RECORD)),
            Part(ISSUER, join_rows(funds, RECORD)),
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
        role = FORMS[Kind(int(part.records[0]["kind"]))].role
        authority, keys = authority_id(part.key.public), self._quorum(part.key, role)
        signed = Signed(
            authorise_jointly(self.network, authority, keys, part.records),
            part.records,
            part.verdict,
            tuple(keys[slot] for slot in sorted(keys)),
        )
        self._sent.append(signed)
        return signed

    def _quorum(self, named: SigningKey, role: Role) -> dict[int, SigningKey]:
        """Return keys by slot that sign for an authority: as many as it takes, too few or too many, and
        now and then one that is not, or not any more, the key of its slot."""
        ring = self.sight.keys(authority_id(named.public))
        if ring is None:
            return {0: named}
        able = [key.slot for key in ring.keys if key.roles & role]
        needed = max(count for one, count in zip(ROLES, ring.thresholds, strict=True) if one & role)
        if self.rng.random() < 0.1 or not able:
            able = [key.slot for key in ring.keys]
            needed = self.rng.randint(1, len(able))
        slots = self.rng.sample(able, min(max(needed, 1), len(able)))
        secret = {key.slot: self._secret_keys[key.public] for key in ring.keys}
        keys = {slot: secret[slot] for slot in slots}
        if self.rng.random() < 0.02:
            keys[self.rng.randrange(MAX_KEYS)] = self.any_key()
        return keys

    def _pack(self, chosen: list[Signed]) -> Envelope:
        authorisations, records = join_authorised([(s.authorisations, s.records) for s in chosen])
        decisions = np.zeros(len(records), DECISION)
        if chosen:
            decisions["verdict"] = np.repeat([s.verdict for s in chosen], [len(s.records) for s in chosen])
        gateway = authority_id(GATEWAY.public)
        order = attest(self.network, Order(gateway, authorisations, records, decisions), GATEWAY)
        return Envelope(order, tuple(signer for one in chosen for signer in one.signers), True)
