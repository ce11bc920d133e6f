"""A small embedded chain for tests: a clock that is told the time, and orders written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bezant.chain.blocks import CommittedBlock
from bezant.chain.clock import SetClock
from bezant.chain.embedded.engine import EmbeddedEngine
from bezant.ledger.batch import NS_PER_S
from bezant.model.genesis import Genesis, network_id
from bezant.model.identifiers import AccountId
from bezant.model.keys import SigningKey, authority_id
from bezant.model.orders import Order, attest
from bezant.model.outcomes import Verdict
from bezant.model.records import Kind, RecordArray
from bezant.testing.ledgers import (
    ALICE,
    BANK,
    BOB,
    GATEWAY,
    ISSUER,
    NODE,
    Scribe,
    record,
    small_genesis,
    treasury,
)

LEDGER_SEED = b"a ledger seed for tests, 32 byte"


class ChainWorld:
    """An engine in a folder that can be stopped and opened again, and two funded customers."""

    def __init__(self, folder: Path, *, genesis: Genesis | None = None, **engine: Any) -> None:
        self.folder, self.options = folder, engine
        self.genesis = genesis or small_genesis()
        self.network = network_id(self.genesis)
        self.scribe = Scribe(self.network)
        self.clock = SetClock(self.scribe.now_ns)
        self.engine = self.open()

    def open(self) -> EmbeddedEngine:
        """Open the chain; what it raises is the test's to expect."""
        given = {"clock": self.clock} | self.options
        self.engine = EmbeddedEngine(self.folder, self.genesis, NODE, LEDGER_SEED, **given)
        return self.engine

    def reopen(self) -> EmbeddedEngine:
        self.engine.close()
        return self.open()

    def order(
        self, *parts: tuple[SigningKey, RecordArray], verdicts: dict[int, Verdict] | None = None
    ) -> Order:
        """Return an attested Order of the parts, and move the clock one second on."""
        batch = self.scribe.batch(*parts, verdicts=verdicts)
        self.clock.time_ns = self.scribe.now_ns
        gateway = authority_id(GATEWAY.public)
        return attest(
            self.network, Order(gateway, batch.authorisations, batch.records, batch.decisions), GATEWAY
        )

    def submit(self, *parts: tuple[SigningKey, RecordArray], **known: Any) -> CommittedBlock:
        """Submit one Order as a block and wait until it is durable."""
        block = self.engine.submit([self.order(*parts, **known)])
        self.engine.wait_durable(block.height)
        return block

    def fund(self, amount: int = 1_000_000) -> tuple[AccountId, AccountId]:
        """Open the accounts of ALICE and BOB and pay each the amount; three blocks."""
        opened, issuing = treasury(self.scribe)
        keys = [self.scribe.register(key) for key in (ALICE, BOB)]
        self.submit((ISSUER, np.concatenate([opened, *keys])))
        (row_a, alice), (row_b, bob) = self.scribe.open(2, ALICE), self.scribe.open(2, BOB)
        self.submit((BANK, np.concatenate([row_a, row_b])))
        rows = [self.transfer(issuing, to, amount) for to in (alice, bob)]
        self.submit((ISSUER, np.concatenate(rows)))
        return alice, bob

    def transfer(self, debtor: int, creditor: int, amount: int, **fields: Any) -> RecordArray:
        given = {"id": self.scribe.new_id()} | fields
        return record(Kind.TRANSFER, debtor=debtor, creditor=creditor, amount=amount, **given)

    def skip(self, seconds: int) -> None:
        self.scribe.now_ns += seconds * NS_PER_S

    def balances(self) -> dict[str, tuple[int, ...]]:
        """Return every account's counters by its id; what a restart must bring back."""
        return {
            row.tobytes()[:16].hex(): tuple(int(value) for value in row.item()[2:])
            for row in self.engine.ledger.accounts
        }
