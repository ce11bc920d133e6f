"""Committed blocks without a chain: the readable ledger applied to what a test writes."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np

from bezant.chain.blocks import AppHash, CommittedBlock
from bezant.ledger.batch import Batch
from bezant.ledger.reference import ReferenceLedger
from bezant.model.digest import sha256
from bezant.model.identifiers import AccountId, PaymentId
from bezant.model.keys import SigningKey
from bezant.model.outcomes import Verdict
from bezant.model.records import Flag, Kind, RecordArray
from bezant.testing.ledgers import BANK, ISSUER, STAKE, History, Scribe, record, small_genesis, treasury

Part = tuple[SigningKey, RecordArray]


class BlockScribe:
    """Two EUR accounts of the bank, `alice` and `bob`, funded by the issuer's, and their blocks.

    Blocks 1 and 2 open and fund them; every `commit` adds one, a second later.
    """

    def __init__(self, funds: int = 100_000, **given: Any) -> None:
        """`given` are fees and rules, as in `small_genesis`."""
        self.scribe = Scribe(sha256(b"store tests"))
        self.ledger = ReferenceLedger(small_genesis(stake=STAKE, **given))
        self.blocks: list[CommittedBlock] = []
        self.batches: list[Batch] = []
        """What the blocks were made of, for another ledger to apply."""
        self.history = History()
        opening, self.treasury = treasury(self.scribe)
        alice, self.alice = self.scribe.open(2, BANK, salt=1)
        bob, self.bob = self.scribe.open(2, BANK, salt=2)
        self.commit((ISSUER, opening), (BANK, alice), (BANK, bob))
        if funds:
            self.commit(
                (ISSUER, self.transfer(self.treasury, self.alice, funds)),
                (ISSUER, self.transfer(self.treasury, self.bob, funds)),
            )

    def commit(
        self,
        *parts: Part,
        verdicts: dict[int, Verdict] | None = None,
        authentic: bool = True,
        faults: RecordArray | None = None,
    ) -> CommittedBlock:
        """Apply one block of signed parts and return it."""
        batch = self.scribe.batch(
            *parts,
            verdicts=verdicts,
            authentic=authentic,
            faults=faults,
            originals=self.history.originals(np.concatenate([rows for _, rows in parts])) if parts else None,
        )
        receipts = self.ledger.apply(batch)
        self.history.note(batch.records, receipts)
        height = len(self.blocks) + 1
        app_hash = sha256(b"test app hash", height.to_bytes(8, "little"), receipts.tobytes())
        block = CommittedBlock(
            height,
            batch.time_ns,
            AppHash.known(app_hash),
            batch.records,
            batch.decisions,
            batch.authorisations,
            receipts,
        )
        self.blocks.append(block)
        self.batches.append(batch)
        return block

    def transfer(
        self, debtor: AccountId, creditor: AccountId, amount: int, *, id: int | None = None, flags: int = 0
    ) -> RecordArray:
        return self.pays(Kind.TRANSFER, debtor, creditor, amount, id=id, flags=flags)

    def pays(
        self,
        kind: Kind,
        debtor: AccountId,
        creditor: AccountId,
        amount: int,
        *,
        id: int | None = None,
        related: int = 0,
        hold_for_s: int = 0,
        flags: int = 0,
        commitment: bytes = bytes(32),
    ) -> RecordArray:
        """Return one record about value between two accounts."""
        return record(
            kind,
            id=self.scribe.new_id() if id is None else id,
            debtor=debtor,
            creditor=creditor,
            amount=amount,
            related=related,
            hold_for_s=hold_for_s,
            flags=flags,
            commitment=commitment,
        )

    def new_id(self) -> PaymentId:
        return self.scribe.new_id()

    def blocks_from(self, height: int) -> Iterator[CommittedBlock]:
        """Yield the blocks from a height on, as an engine does."""
        return iter(self.blocks[max(height, 1) - 1 :])


def mixed_blocks(count: int, seed: int) -> list[CommittedBlock]:
    """Return blocks in which everything happens that a projection has a rule for, drawn from a seed."""
    random, world = Random(seed), BlockScribe()
    waiting: list[tuple[PaymentId, AccountId, AccountId]] = []
    paid: list[tuple[PaymentId, AccountId, AccountId]] = []
    while len(world.blocks) < count:
        parts: list[Part] = []
        for _ in range(random.randint(1, 9)):
            debtor, creditor = random.sample([world.alice, world.bob], 2)
            amount, id_ = random.randint(1, 400), world.new_id()
            match random.choice(("pay", "pay", "pay", "hold", "close", "part", "undo", "command")):
                case "pay":
                    row = world.transfer(debtor, creditor, amount, id=id_, flags=Flag.MAY_REVIEW)
                    paid.append((id_, debtor, creditor))
                case "hold":
                    row = world.pays(
                        Kind.HOLD, debtor, creditor, amount, id=id_, hold_for_s=random.randint(1, 30)
                    )
                    waiting.append((id_, debtor, creditor))
                case "close" | "part" as how if waiting:
                    related, debtor, creditor = waiting.pop(random.randrange(len(waiting)))
                    kind = random.choice((Kind.CAPTURE, Kind.CAPTURE, Kind.RELEASE))
                    flags = 0
                    if how == "part":
                        kind, flags = Kind.CAPTURE, int(Flag.KEEP_REST)
                        waiting.append((related, debtor, creditor))
                    moved = 0 if kind is Kind.RELEASE else random.randint(1, 40)
                    row = world.pays(kind, debtor, creditor, moved, id=id_, related=related, flags=flags)
                case "undo" if paid:
                    related, debtor, creditor = random.choice(paid)
                    row = world.pays(
                        Kind.REVERSE, creditor, debtor, random.randint(1, 9), id=id_, related=related
                    )
                case _:
                    row = record(
                        Kind.SET_FROZEN, id=id_, debtor=debtor, amount=random.random() < 0.05, asset=0
                    )
            parts.append((BANK, row))
        reviewed = {index: Verdict.REVIEW for index in range(len(parts)) if random.random() < 0.1}
        world.commit(*parts, verdicts=reviewed)
    return world.blocks
