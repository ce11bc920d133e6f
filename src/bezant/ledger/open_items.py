"""What the ledger keeps beside balances, for those who ask: reserves, mandates, refunds, keys, models,
validators, proposals, changed rules.

Read column by column from the tables; whoever is not the thread that applies may be a moment behind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.ledger import state as layout
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.state import EMPTY
from bezant.model.genesis import Stake
from bezant.model.governance import Ballot, Change, Rule
from bezant.model.identifiers import AccountId, AuthorityId, PaymentId, words
from bezant.model.records import FIRST_ROLES, MAX_KEYS, ROLES, Kind, ModelRole, RecordArray, Role, id_of


@dataclass(frozen=True, slots=True)
class OpenHold:
    """A reserve; `amount` in minor units is what is left of it, `lock` the SHA-256 that opens it or empty."""

    amount: int
    expires_ns: int
    lock: bytes


@dataclass(frozen=True, slots=True)
class OpenMandate:
    """Leave to pay from `account`, to `payee` or anybody; amounts in minor units, times in Unix seconds.

    `spent` counts in the period number `window` from `start_s` on; `period_s` 0 means that none is counted,
    `expires_s` 0 that it has no end.
    """

    id: int
    account: AccountId
    payee: AccountId | None
    delegate: AuthorityId
    cap: int
    period_cap: int
    period_s: int
    start_s: int
    expires_s: int
    window: int
    spent: int

    def spent_at(self, now_s: int) -> int:
        """Return what counts against the cap of the period that `now_s` lies in."""
        if not self.period_s or (now_s - self.start_s) // self.period_s != self.window:
            return 0
        return self.spent

    def period_ends_s(self, now_s: int) -> int:
        """Return when the period that `now_s` lies in ends, 0 without periods."""
        if not self.period_s:
            return 0
        return self.start_s + ((now_s - self.start_s) // self.period_s + 1) * self.period_s


@dataclass(frozen=True, slots=True)
class KeyInSlot:
    """One key of an authority."""

    slot: int
    scheme: int
    public: bytes
    roles: Role


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Who may sign for an authority: keys, how many of them each role takes (in the order of `ROLES`),
    and the (scheme, key, since in Unix nanoseconds) of a recovery that waits."""

    keys: tuple[KeyInSlot, ...]
    thresholds: tuple[int, ...]
    recovery: tuple[int, bytes, int] | None


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model of an authority, by the SHA-256 that names it; since when it has its role, Unix nanoseconds."""

    authority: AuthorityId
    digest: bytes
    role: ModelRole
    since_ns: int


@dataclass(frozen=True, slots=True)
class Voter:
    """A validator: who operates it, its granted votes, minor units bonded, its votes now, until when it may
    not rejoin (Unix nanoseconds; 0: it votes, NEVER: for good), and how many blocks in a row it missed."""

    key: bytes
    operator: AuthorityId
    granted: int
    bonded: int
    power: int
    jailed_until_ns: int
    missed: int


@dataclass(frozen=True, slots=True)
class OpenProposal:
    """A change of a rule that is voted on until `until_ns`, Unix nanoseconds, or accepted and in force from
    block `height` on. `yes`, `no` and `total` are votes as they would be counted now."""

    id: int
    proposer: AuthorityId
    change: Change
    height: int
    until_ns: int
    accepted: bool
    yes: int
    no: int
    total: int


@dataclass(frozen=True, slots=True)
class RuleInForce:
    """What is in force in place of the genesis, since a height."""

    change: Change
    since: int


def open_hold(ledger: ColumnarLedger, account_row: int, payment: int) -> OpenHold | None:
    """Return the reserve that a payment placed on an account, None where it is not open."""
    used = _used(ledger, "holds")
    for hold in _owned(used[used["sequence"] != 0], account_row, payment):
        lock = hold["lock"].tobytes() if hold["locked"] else b""
        return OpenHold(int(hold["amount"]), int(hold["expires_ns"]), lock)
    return None


def lapsing_reviews(ledger: ColumnarLedger, until_ns: int) -> list[PaymentId]:
    """Return the payments in review whose reserve returns at a time or before, the soonest first."""
    used = _used(ledger, "holds")
    found = used[(used["sequence"] != 0) & (used["kind"] == Kind.TRANSFER) & (used["expires_ns"] <= until_ns)]
    return [PaymentId(id_of(hold, "id")) for hold in found[np.argsort(found["expires_ns"], kind="stable")]]


def refunded_minor(ledger: ColumnarLedger, account_row: int, payment: int) -> int:
    """Return how much of a payment from an account was paid back; known until its refund window closes."""
    return sum(int(row["refunded"]) for row in _owned(_used(ledger, "refunds"), account_row, payment))


def mandates_of(ledger: ColumnarLedger, account_row: int) -> list[OpenMandate]:
    """Return the mandates of an account that were not revoked, in the order of their ids."""
    used = _used(ledger, "mandates")
    found = used[used["debtor"] == account_row]
    return sorted((_mandate(ledger, row) for row in found), key=lambda mandate: mandate.id)


def is_paused(ledger: ColumnarLedger, asset: int) -> bool:
    """Return whether an asset's issuer has stopped every payment in it."""
    return bool(ledger.state.assets[asset]["paused"])


def key_ring(ledger: ColumnarLedger, authority_row: int) -> KeyRing:
    """Return who may sign for the authority in that row."""
    row = ledger.state.authorities[authority_row]
    if row["keyset"] == EMPTY:
        only = KeyInSlot(0, int(row["scheme"]), row["key"].tobytes(), FIRST_ROLES)
        return KeyRing((only,), tuple(int(role in FIRST_ROLES) for role in ROLES), None)
    found = ledger.state.keysets[row["keyset"]]
    public = found["keys"].reshape(MAX_KEYS, 32)
    keys = tuple(
        KeyInSlot(slot, int(found["schemes"][slot]), public[slot].tobytes(), Role(int(found["roles"][slot])))
        for slot in np.flatnonzero(found["roles"]).tolist()
    )
    scheme = int(found["recovery_scheme"])
    waiting = (scheme, found["recovery_key"].tobytes(), int(found["recovery_since_ns"])) if scheme else None
    return KeyRing(keys, tuple(found["thresholds"].tolist()), waiting)


def models(ledger: ColumnarLedger) -> list[KnownModel]:
    """Return every model that has a role, of all authorities, in the order of authority and digest."""
    authorities, rows = ledger.state.authorities, ledger.state.models
    found = [
        KnownModel(
            AuthorityId(id_of(authorities[row["authority"]], "id")),
            row["digest"].tobytes(),
            ModelRole(int(row["role"])),
            int(row["since_ns"]),
        )
        for row in rows[rows["role"] != ModelRole.RETIRED]
    ]
    return sorted(found, key=lambda model: (model.authority, model.digest))


def validators(ledger: ColumnarLedger) -> list[Voter]:
    """Return every validator that has or had votes, in the order of their keys."""
    authorities, rows, stake = ledger.state.authorities, ledger.state.validators, ledger.genesis.stake
    found = []
    for row in rows[rows["used"] == 1]:
        names = ("granted", "bonded", "jailed_until_ns", "missed")
        granted, bonded, until_ns, missed = (int(row[name]) for name in names)
        power = _power(row, stake)
        operator = AuthorityId(id_of(authorities[row["operator"]], "id"))
        found.append(Voter(row["key"].tobytes(), operator, granted, bonded, power, until_ns, missed))
    return sorted(found, key=lambda voter: voter.key)


def proposals(ledger: ColumnarLedger) -> list[OpenProposal]:
    """Return the proposals that are voted on or wait for their height, the oldest first."""
    state, authorities, stake = ledger.state, ledger.state.authorities, ledger.genesis.stake
    voters = state.validators[state.validators["used"] == 1]
    powers = [_power(row, stake) for row in voters]

    def votes(row: Any, said: Ballot) -> int:
        return sum(power for power, ballot in zip(powers, row["ballots"], strict=False) if ballot == said)

    return [
        OpenProposal(
            id_of(row, "id"),
            AuthorityId(id_of(authorities[row["authority"]], "id")),
            Change(Rule(int(row["rule"])), tuple(row["values"].tolist()), int(row["asset"])),
            int(row["height"]),
            int(row["until_ns"]),
            bool(row["accepted"]),
            votes(row, Ballot.YES),
            votes(row, Ballot.NO),
            sum(powers),
        )
        for row in state.proposals[state.proposals["rule"] != 0]
    ]


def changed_rules(ledger: ColumnarLedger) -> list[RuleInForce]:
    """Return what is in force in place of the genesis."""
    rows = ledger.state.changes
    since = rows["since"][rows["rule"] != 0].tolist()
    return [RuleInForce(*both) for both in zip(layout.changes_in(ledger.state), since, strict=True)]


def _power(validator: Any, stake: Stake | None) -> int:
    if validator["jailed_until_ns"]:
        return 0
    return int(validator["granted"]) + (int(validator["bonded"]) // stake.unit if stake else 0)


def _used(ledger: ColumnarLedger, table: str) -> RecordArray:
    state = ledger.state
    rows: RecordArray = getattr(state, table)
    return rows[: int(state.counters[table][0])]


def _owned(rows: npt.NDArray[Any], account_row: int, identity: int) -> RecordArray:
    low, high = words(identity)
    return rows[(rows["id_lo"] == low) & (rows["id_hi"] == high) & (rows["debtor"] == account_row)]


def _mandate(ledger: ColumnarLedger, row: Any) -> OpenMandate:
    accounts, authorities = ledger.state.accounts, ledger.state.authorities
    payee = None if row["payee"] == EMPTY else AccountId(id_of(accounts[row["payee"]], "id"))
    return OpenMandate(
        id_of(row, "id"),
        AccountId(id_of(accounts[row["debtor"]], "id")),
        payee,
        AuthorityId(id_of(authorities[row["delegate"]], "id")),
        *(
            int(row[name])
            for name in ("cap", "period_cap", "period_s", "start_s", "expires_s", "window", "spent")
        ),
    )
