"""A whole node in a folder of its own, with two parties that have money and a clock that a test sets."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import TracebackType

import numpy as np

from bezant.chain.clock import SetClock
from bezant.folder import create_folder
from bezant.gateway import commands
from bezant.gateway.accounts import Opening, PartyProfile
from bezant.model.genesis import Rules
from bezant.model.identifiers import AccountId, PaymentId, new_payment_id
from bezant.model.orders import authorise
from bezant.model.outcomes import Outcome
from bezant.model.payment import Payload
from bezant.model.records import RecordArray, id_of
from bezant.node import Node
from bezant.pipeline.batch import PaymentBatch, Submission, join_submissions
from bezant.pipeline.flow import STAGES
from bezant.pipeline.intake import Answers

START_NS = 1_767_225_600_000_000_000
"""2026-01-01 in UTC."""
FUNDS_MINOR = 1_000_000
EUR = 1


class SmallNode:
    """Alice and Bob each hold 10,000.00 EUR; `tick` moves the node's time on by hand.

    As a context manager it removes its folder in the end.
    """

    def __init__(
        self,
        path: Path,
        *,
        model: Path | None = None,
        settings: str = "",
        with_store: bool = False,
        rules: Rules | None = None,
    ) -> None:
        self.path = path
        self.clock = SetClock(START_NS)
        create_folder(path, created_ms=START_NS // 1_000_000, rules=rules)
        if model is not None:
            shutil.copy(model, path / "models" / "current.model")
        (path / "bezant.toml").write_text(settings, "utf-8")
        self._with_store = with_store
        self.node = self._open()
        self.alice_party, self.alice = self.enrol("Alice Arden")
        self.bob_party, self.bob = self.enrol("Bob Birch")

    def __enter__(self) -> SmallNode:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.node.close()
        # Prepared journal segments are 128 MiB; many tests keep none of them.
        shutil.rmtree(self.path)

    def restart(self) -> Node:
        """Close the node and open its folder again."""
        self.node.close()
        self.node = self._open()
        return self.node

    def _open(self) -> Node:
        return Node(self.path, clock=self.clock, with_store=self._with_store)

    def tick(self, seconds: float = 1.0) -> None:
        self.clock.time_ns += int(seconds * 1e9)

    def enrol(self, name: str, funds_minor: int = FUNDS_MINOR) -> tuple[int, AccountId]:
        """Register a party, open a EUR account for it, and fund it; return (party, account)."""
        (party,) = self.node.accounts.register_parties([PartyProfile(name)])
        (account,) = self.node.accounts.open([Opening(party.number, self.node.accounts.asset("EUR"))])
        if funds_minor:
            treasury = self.node.accounts.treasury(self.node.accounts.asset("EUR"))
            record = commands.transfer(self.new_id(), treasury, account, EUR, funds_minor)
            answers = self.node.desk.order(record, self.node.desk.institution_key)
            if answers.first is Outcome.HELD_FOR_REVIEW:
                self.node.holds.approve(PaymentId(id_of(record[0], "id")))
            elif answers.first is not Outcome.APPLIED:
                raise AssertionError(f"funding was answered {answers.first.label}")
        return party.number, account

    def new_id(self) -> PaymentId:
        return new_payment_id(self.clock.time_ns // 1_000_000)

    def pay(
        self,
        amount: str = "1.00",
        *,
        debtor: AccountId | None = None,
        creditor: AccountId | None = None,
        payload: Payload | None = None,
        hold_for_s: int = 0,
        identity: PaymentId | None = None,
    ) -> tuple[PaymentId, Answers]:
        """Pay from Alice to Bob unless told otherwise; return the payment's id and the answers."""
        identity = identity or self.new_id()
        instruction = self.node.payments.instruct(
            self.alice if debtor is None else debtor,
            self.bob if creditor is None else creditor,
            amount,
            "EUR",
            payload=payload,
            identity=identity,
            hold_for_s=hold_for_s,
        )
        return identity, self.node.payments.submit(self.node.payments.sign([instruction]))

    def balance(self, account: AccountId) -> int:
        """Return the posted balance in minor units."""
        row = self.node.accounts.row(account)
        return int(row["credits_posted_lo"]) - int(row["debits_posted_lo"])

    # Batches as they stand in front of a stage, without ordering anything.

    def transfers(self, count: int, amount_minor: int = 100) -> RecordArray:
        """Return records from Alice to Bob, each with an id of its own and a little more than the last."""
        rows = [
            commands.transfer(self.new_id(), self.alice, self.bob, EUR, amount_minor + row)
            for row in range(count)
        ]
        return np.concatenate(rows) if rows else commands.transfer(1, self.alice, self.bob, EUR, 1)[:0]

    def submission(self, records: RecordArray, *, together: bool = False) -> Submission:
        """Return records signed by the institution, one signature each unless `together`."""
        key = self.node.desk.institution_key
        return Submission(authorise(self.node.engine.network, key, records, together=together), records)

    def batch_before(self, stage: str, count: int = 1, *, records: RecordArray | None = None) -> PaymentBatch:
        """Return a batch that has gone through every stage in front of one."""
        made = self.submission(self.transfers(count) if records is None else records)
        return self.advance(join_submissions([made], self.clock.time_ns), stage)

    def advance(self, batch: PaymentBatch, stage: str) -> PaymentBatch:
        """Take a fresh batch up to a stage."""
        flow = self.node.flow
        batch.generation, batch.stages = flow.generation, flow.stages
        for name in STAGES[: STAGES.index(stage)]:
            batch = flow.stages[name](batch)
        return batch
