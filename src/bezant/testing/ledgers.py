"""A small known world: one issuer, a second bank, seeded keys, and batches written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bezant.ledger.batch import NS_PER_S, Batch, account_id, no_faults, no_originals
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.fees import FEE_SALT
from bezant.ledger.reference import ReferenceLedger
from bezant.model.digest import as_rows, sha256
from bezant.model.genesis import (
    Fee,
    Genesis,
    GenesisAsset,
    GenesisInstitution,
    GenesisValidator,
    Rules,
    Stake,
    network_id,
)
from bezant.model.identifiers import AccountId, AuthorityId, PaymentId, join, new_payment_id, words
from bezant.model.keys import SigningKey, authority_id
from bezant.model.merkle import leaf_hashes
from bezant.model.money import U64_MAX
from bezant.model.orders import authorise_jointly, join_authorised
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.records import (
    DECISION,
    FAULT,
    ORIGINAL,
    SCORED_KINDS,
    Fault,
    Kind,
    RecordArray,
    id_of,
    names_original,
    new_records,
    of_kind,
    set_id,
)

START_S = 1_700_000_000


def seeded_key(name: str) -> SigningKey:
    """Return the same key for the same name, for tests only."""
    return SigningKey(sha256(b"bezant test key ", name.encode()))


ISSUER, BANK, GATEWAY, NODE = (seeded_key(name) for name in ("issuer", "bank", "gateway", "node"))


def small_genesis(
    policy: dict[str, Any] | None = None,
    stake: Stake | None = None,
    validators: tuple[GenesisValidator, ...] = (),
    fees: tuple[Fee, ...] = (),
    **rules: Any,
) -> Genesis:
    """Two institutions (the first issues both assets), one gateway, one sealer; `policy` is EUR's."""
    return Genesis(
        version=1,
        network="test",
        created_ms=START_S * 1000,
        rules=Rules(**rules),
        assets=(GenesisAsset(1, "EUR", 2, 1, **(policy or {})), GenesisAsset(2, "JPY", 0, 1)),
        institutions=(
            GenesisInstitution(1, "Issuer", ISSUER.public.hex()),
            GenesisInstitution(2, "Bank", BANK.public.hex()),
        ),
        gateways=(GATEWAY.public.hex(),),
        sealers=(NODE.public.hex(),),
        validators=validators,
        stake=stake,
        fees=fees,
    )


def record(
    kind: Kind,
    *,
    id: int,
    debtor: int = 0,
    creditor: int = 0,
    amount: int = 0,
    asset: int = 1,
    related: int = 0,
    valid_for_s: int = 600,
    hold_for_s: int = 0,
    flags: int = 0,
    max_fee: int = 0,
    commitment: bytes = bytes(32),
) -> RecordArray:
    """Return one RECORD row with the given fields."""
    row = new_records(1)
    for name, value in (("id", id), ("debtor", debtor), ("creditor", creditor), ("related", related)):
        set_id(row, name, value)
    row["amount"], row["asset"], row["kind"], row["flags"] = amount, asset, kind, flags
    row["valid_for_s"], row["hold_for_s"], row["max_fee"] = valid_for_s, hold_for_s, max_fee
    row["payload_commitment"] = np.frombuffer(commitment, np.uint8)
    return row


@dataclass(frozen=True)
class Quorum:
    """Several keys of one authority, by slot, that sign together."""

    authority: AuthorityId
    keys: Mapping[int, SigningKey]

    def sign(self, network: bytes, rows: RecordArray) -> RecordArray:
        return authorise_jointly(network, self.authority, self.keys, rows)


Part = tuple[SigningKey | Quorum, RecordArray]


def fault(key: bytes, kind: Fault) -> RecordArray:
    """Return one FAULT row."""
    row = np.zeros(1, FAULT)
    row["key"], row["kind"] = np.frombuffer(key, np.uint8), kind
    return row


def signer_of(key: SigningKey | Quorum) -> Quorum:
    """Return what signs: the only key of the authority that it makes up, or a quorum as it is."""
    if isinstance(key, Quorum):
        return key
    return Quorum(authority_id(key.public, key.scheme), {0: key})


class History:
    """What a REVERSE may undo and a LABEL be about, by id, as a chain would know it from earlier blocks."""

    def __init__(self) -> None:
        self._moved: dict[int, list[RecordArray]] = {}
        self._made: dict[int, list[RecordArray]] = {}
        self._refused: set[int] = set()

    def originals(self, records: RecordArray) -> RecordArray:
        """Return the ORIGINAL row of every REVERSE and LABEL, in order."""
        rows = [self._original(row) for row in records[names_original(records)]]
        return np.concatenate(rows) if rows else no_originals()

    def note(self, records: RecordArray, receipts: RecordArray) -> None:
        """Take in a block that was applied."""
        outcomes = receipts["outcome"][len(receipts) - len(records) :]
        paid = of_kind(records, Kind.TRANSFER) & (outcomes == int(Outcome.APPLIED))
        moved = paid | (outcomes == int(Outcome.CAPTURED)) | (outcomes == int(Outcome.CAPTURED_IN_PART))
        made = paid | (outcomes == int(Outcome.HELD)) | (outcomes == int(Outcome.HELD_FOR_REVIEW))
        for known, noted in ((self._moved, moved), (self._made, made)):
            for at in np.flatnonzero(noted).tolist():
                original = np.zeros(1, ORIGINAL)
                for name in ("debtor_lo", "debtor_hi", "creditor_lo", "creditor_hi", "amount", "asset"):
                    original[name] = records[name][at]
                known.setdefault(id_of(records[at], "id"), []).append(original)
        refused = of_kind(records, *SCORED_KINDS) & (outcomes >= int(Outcome.BLOCKED))
        self._refused.update(id_of(row, "id") for row in records[refused])

    def _original(self, row: Any) -> RecordArray:
        parties, known = (id_of(row, "creditor"), id_of(row, "debtor")), self._moved
        if row["kind"] == Kind.LABEL:
            parties, known = parties[::-1], self._made
            if not parties[1] and id_of(row, "related") in self._refused:
                claimed = np.zeros(1, ORIGINAL)
                for name in ("debtor_lo", "debtor_hi", "asset"):
                    claimed[name] = row[name]
                return claimed
        for original in known.get(id_of(row, "related"), []):
            if (id_of(original[0], "debtor"), id_of(original[0], "creditor")) == parties:
                return original
        return np.zeros(1, ORIGINAL)


@dataclass
class Scribe:
    """Writes records with fresh ids and signs them; its clock is the tests' only clock."""

    network: bytes
    now_ns: int = START_S * NS_PER_S
    _serial: int = field(default=0)

    def new_id(self) -> PaymentId:
        self._serial += 1
        return new_payment_id(self.now_ns // 1_000_000, self._serial)

    def register(self, key: SigningKey) -> RecordArray:
        return record(
            Kind.REGISTER_AUTHORITY,
            id=self.new_id(),
            debtor=authority_id(key.public, key.scheme),
            amount=key.scheme,
            asset=0,
            commitment=key.public,
        )

    def open(
        self,
        institution: int,
        holder: SigningKey,
        *,
        asset: int = 1,
        salt: int = 0,
        credit_limit: int = 0,
        balance_limit: int = 0,
    ) -> tuple[RecordArray, AccountId]:
        authority = authority_id(holder.public, holder.scheme)
        identity = account_id(institution, authority, asset, salt)
        row = record(
            Kind.OPEN_ACCOUNT,
            id=self.new_id(),
            debtor=identity,
            creditor=authority,
            related=salt,
            asset=asset,
            amount=credit_limit,
            max_fee=balance_limit,
        )
        return row, identity

    def batch(
        self,
        *parts: Part,
        verdicts: dict[int, Verdict] | None = None,
        authentic: bool | Sequence[int] = True,
        accepted: bool = True,
        originals: RecordArray | None = None,
        faults: RecordArray | None = None,
    ) -> Batch:
        """Sign each part as one Authorisation and return the block, one second after the last.

        `authentic` is what is said of the signatures, of all or of each. Without `originals` history knows
        of nothing to reverse.
        """
        self.now_ns += NS_PER_S
        signed = [(signer_of(key).sign(self.network, rows), rows) for key, rows in parts]
        authorisations, records = join_authorised(signed)
        decisions = np.zeros(len(records), DECISION)
        for index, verdict in (verdicts or {}).items():
            decisions["verdict"][index] = verdict
        many = len(authorisations)
        return Batch(
            self.now_ns,
            records,
            decisions,
            authorisations,
            np.full(many, authentic, np.uint8),
            np.full(many, accepted, np.uint8),
            leaf_hashes(as_rows(records)),
            np.zeros(np.count_nonzero(names_original(records)), ORIGINAL) if originals is None else originals,
            no_faults() if faults is None else faults,
        )


def proposal(
    world: World,
    rule: int,
    value: int,
    *,
    by: SigningKey,
    height: int,
    voting_s: int = 60,
    more: tuple[int, ...] = (0, 0, 0),
    **fields: Any,
) -> RecordArray:
    """Return a PROPOSE row by an institution; `height` is the first block of the change."""
    values = b"".join(number.to_bytes(8, "little") for number in (value, *more))
    given = {"debtor": authority_id(by.public), "amount": rule, "asset": 0, "max_fee": height}
    return world.command(Kind.PROPOSE, **(given | {"hold_for_s": voting_s, "commitment": values} | fields))


def ballot(world: World, asked: RecordArray, said: int, by: SigningKey) -> RecordArray:
    """Return a VOTE row of an institution on a proposal."""
    named = {"debtor": authority_id(by.public), "related": id_of(asked[0], "id"), "asset": 0}
    return world.command(Kind.VOTE, amount=said, **named)


def treasury(scribe: Scribe, asset: int = 1) -> tuple[RecordArray, AccountId]:
    """Return the record that opens the issuer's account, which may go negative without end."""
    return scribe.open(1, ISSUER, asset=asset, salt=999, credit_limit=U64_MAX)


ALICE, BOB, CAROL, MALLORY = (seeded_key(name) for name in ("alice", "bob", "carol", "mallory"))
LEDGERS: tuple[type[ReferenceLedger] | type[ColumnarLedger], ...] = (ReferenceLedger, ColumnarLedger)
SIDE_NAMES = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")
OPENING = 1_000
STAKE = Stake(asset=1, unit=10, unbonding_s=100, slash_ppm=100_000, jail_s=30, away_blocks=1)


class World:
    """One ledger with three customers of the Bank, each with OPENING minor units of asset 1.

    `treasury` is the issuer's account. CAROL may hold no more than OPENING + 10. MALLORY is
    registered and holds nothing. `yen` is ALICE's account in asset 2, empty.
    """

    def __init__(
        self,
        make: type[ReferenceLedger] | type[ColumnarLedger],
        policy: dict[str, Any] | None = None,
        **rules: Any,
    ) -> None:
        """`policy` and `rules` are as in `small_genesis`, stake and validators among them."""
        self.genesis = small_genesis(policy, **rules)
        self.scribe = Scribe(network_id(self.genesis))
        self.history = History()
        self.ledger = make(self.genesis)
        opened, self.treasury = treasury(self.scribe)
        self.apply(
            (ISSUER, np.concatenate([opened, *map(self.scribe.register, (ALICE, BOB, CAROL, MALLORY))]))
        )
        rows = [
            self.scribe.open(2, ALICE),
            self.scribe.open(2, BOB),
            self.scribe.open(2, CAROL, balance_limit=OPENING + 10),
            self.scribe.open(2, ALICE, asset=2),
        ]
        self.alice, self.bob, self.carol, self.yen = (identity for _, identity in rows)
        self.apply((BANK, np.concatenate([row for row, _ in rows])))
        if self.genesis.fees:
            opened, self.collector = self.scribe.open(1, ISSUER, salt=FEE_SALT)
            self.apply((ISSUER, opened))
        if (policy or {}).get("approve_holders"):
            approved = [self.command(Kind.SET_HOLDER, debtor=a, amount=1) for _, a in rows[:3]]
            self.apply((ISSUER, np.concatenate(approved)))
        for account in (self.alice, self.bob, self.carol):
            self.apply((ISSUER, self.transfer(self.treasury, account, OPENING)))

    def transfer(self, debtor: int, creditor: int, amount: int, **fields: Any) -> RecordArray:
        """Return a TRANSFER row with a fresh id; `fields` go to `record`."""
        given = {"id": self.scribe.new_id()} | fields
        return record(Kind.TRANSFER, debtor=debtor, creditor=creditor, amount=amount, **given)

    def hold(self, amount: int = 100, **fields: Any) -> RecordArray:
        """Return a HOLD row from alice to bob for an hour; `fields` go to `record`."""
        given = {"debtor": self.alice, "creditor": self.bob, "amount": amount, "hold_for_s": 3600}
        return self.command(Kind.HOLD, **(given | fields))

    def after(self, kind: Kind, first: RecordArray, amount: int = 0, **fields: Any) -> RecordArray:
        """Return a row about an earlier one, between the same accounts, the other way for a REVERSE."""
        way = ("creditor", "debtor") if kind is Kind.REVERSE else ("debtor", "creditor")
        given = {"debtor": id_of(first[0], way[0]), "creditor": id_of(first[0], way[1])}
        given |= {"related": id_of(first[0], "id"), "amount": amount}
        return self.command(kind, **(given | fields))

    def command(self, kind: Kind, **fields: Any) -> RecordArray:
        """Return a row of any kind with a fresh id; `fields` go to `record`."""
        return record(kind, **({"id": self.scribe.new_id()} | fields))

    def batch(self, *parts: Part, **known: Any) -> Batch:
        """Sign the parts, with the originals that history knows."""
        records = np.concatenate([rows for _, rows in parts]) if parts else new_records(0)
        return self.scribe.batch(*parts, **({"originals": self.history.originals(records)} | known))

    def apply(self, *parts: Part, after_s: int = 0, **known: Any) -> RecordArray:
        """Sign the parts, apply them `after_s` seconds later than usual, return the RECEIPT rows."""
        self.scribe.now_ns += after_s * NS_PER_S
        batch = self.batch(*parts, **known)
        receipts = self.ledger.apply(batch)
        self.history.note(batch.records, receipts)
        return receipts

    def answer(self, *parts: Part, **known: Any) -> list[Outcome]:
        """Return the outcome of every receipt, the ledger's own first."""
        return [Outcome(int(code)) for code in self.apply(*parts, **known)["outcome"]]

    def sides(self, account: int) -> tuple[int, int, int, int]:
        """Return debits pending, debits posted, credits pending, credits posted."""
        if isinstance(self.ledger, ReferenceLedger):
            return self.ledger.state.accounts[account].sides
        entry = self.ledger.accounts[self._row(account)]
        values = [join(entry[f"{name}_lo"], entry[f"{name}_hi"]) for name in SIDE_NAMES]
        return values[0], values[1], values[2], values[3]

    def set_sides(self, account: int, **sides: int) -> None:
        """Overwrite counters, for tests of their bounds; the books no longer balance after it."""
        if isinstance(self.ledger, ReferenceLedger):
            for name, value in sides.items():
                setattr(self.ledger.state.accounts[account], name, value)
            return
        entry = self.ledger.accounts[self._row(account)]
        for name, value in sides.items():
            entry[f"{name}_lo"], entry[f"{name}_hi"] = words(value)

    def _row(self, account: int) -> int:
        assert isinstance(self.ledger, ColumnarLedger)
        low, high = words(account)
        return int(self.ledger.account_rows(np.array([low], np.uint64), np.array([high], np.uint64))[0])

    def balance(self, account: int) -> int:
        """Return posted credits less posted debits."""
        _, debits, _, credits = self.sides(account)
        return credits - debits
