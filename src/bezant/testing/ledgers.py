"""A small known world: one issuer, a second bank, seeded keys, and batches written by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bezant.ledger.batch import NS_PER_S, Batch, account_id
from bezant.model.digest import sha256
from bezant.model.genesis import Genesis, GenesisAsset, GenesisInstitution, Rules
from bezant.model.identifiers import AccountId, PaymentId, new_payment_id
from bezant.model.keys import SigningKey, authority_id
from bezant.model.money import U64_MAX
from bezant.model.orders import authorise, join_authorised
from bezant.model.outcomes import Verdict
from bezant.model.records import DECISION, Kind, RecordArray, new_records, set_id

START_S = 1_700_000_000


def seeded_key(name: str) -> SigningKey:
    """Return the same key for the same name, for tests only."""
    return SigningKey(sha256(b"bezant test key ", name.encode()))


ISSUER, BANK, GATEWAY, NODE = (seeded_key(name) for name in ("issuer", "bank", "gateway", "node"))


def small_genesis(**rules: int) -> Genesis:
    """Two institutions (the first issues both assets), one gateway, one sealer."""
    return Genesis(
        version=1,
        network="test",
        created_ms=START_S * 1000,
        rules=Rules(**rules),
        assets=(GenesisAsset(1, "EUR", 2, 1), GenesisAsset(2, "JPY", 0, 1)),
        institutions=(
            GenesisInstitution(1, "Issuer", ISSUER.public.hex()),
            GenesisInstitution(2, "Bank", BANK.public.hex()),
        ),
        gateways=(GATEWAY.public.hex(),),
        sealers=(NODE.public.hex(),),
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
            debtor=authority_id(key.public),
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
        authority = authority_id(holder.public)
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
        *parts: tuple[SigningKey, RecordArray],
        verdicts: dict[int, Verdict] | None = None,
        authentic: bool = True,
        accepted: bool = True,
    ) -> Batch:
        """Sign each part as one Authorisation and return the block, one second after the last."""
        self.now_ns += NS_PER_S
        signed = [(authorise(self.network, key, rows), rows) for key, rows in parts]
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
        )


def treasury(scribe: Scribe, asset: int = 1) -> tuple[RecordArray, AccountId]:
    """Return the record that opens the issuer's account, which may go negative without end."""
    return scribe.open(1, ISSUER, asset=asset, salt=999, credit_limit=U64_MAX)
