"""An intake over quiet stages, of which any can be made to wait or to fail: what its tests share."""

from __future__ import annotations

import queue
import threading

import numpy as np

from bezant.chain.blocks import AppHash, CommittedBlock
from bezant.chain.engine import Answered, Awaited, Pace
from bezant.model.records import AUTHORISATION, DECISION, RECEIPT, RECORD
from bezant.pipeline.batch import PaymentBatch, Submission
from bezant.pipeline.flow import STAGES, Flow
from bezant.pipeline.intake import Intake


class Quiet:
    """A stage that does nothing; one of them may be made to wait or to fail."""

    version, reads, writes = "test-1", frozenset[str](), frozenset[str]()
    has_fallback, budget_us, budget_base_us = False, 1.0, 1e12

    def __init__(self, name: str) -> None:
        self.name = name
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.error: BaseException | None = None

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        self.entered.set()
        assert self.gate.wait(30)
        if self.error is not None:
            raise self.error
        return batch


class Ordering(Quiet):
    """Puts every payment into a block of its own height, applied and not yet durable."""

    height = 0

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        super().__call__(batch)
        self.height += 1
        receipts = np.zeros(len(batch), RECEIPT)
        receipts["amount"] = batch.records["amount"]
        batch.ordered = np.arange(len(batch))
        batch.block = block(self.height, receipts)
        return batch


def block(height: int, receipts: np.ndarray) -> CommittedBlock:
    return CommittedBlock(
        height, height, AppHash.known(bytes(32)), np.zeros(len(receipts), RECORD),
        np.zeros(len(receipts), DECISION), np.zeros(len(receipts), AUTHORISATION), receipts,
    )  # fmt: skip


class Agreeing(Quiet):
    """Sends every payment to a network; `take` gives the next batch whose outcome is to come."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.sent: queue.Queue[tuple[PaymentBatch, Awaited]] = queue.Queue()

    def __call__(self, batch: PaymentBatch) -> PaymentBatch:
        super().__call__(batch)
        batch.ordered, batch.awaited = np.arange(len(batch)), Awaited()
        self.sent.put((batch, batch.awaited))
        return batch

    def take(self) -> tuple[PaymentBatch, Awaited]:
        return self.sent.get(timeout=30)


def answered(batch: PaymentBatch, *heights: int) -> Answered:
    receipts = np.zeros(len(batch), RECEIPT)
    receipts["amount"] = batch.records["amount"]
    return Answered(receipts, np.array(heights), np.array(heights) * 1_000)


class Desk:
    """An intake over quiet stages; `settle` orders, `durable` makes a height durable."""

    def __init__(self, settle: Quiet | None = None, pace: Pace | None = None) -> None:
        self.stages: dict[str, Quiet] = {name: Quiet(name) for name in STAGES}
        self.stages["settle"] = self.settle = settle or Ordering("settle")
        notify = Quiet("notify")
        announce = notify.__class__.__call__

        class Tell(Quiet):
            def __call__(inner, batch: PaymentBatch) -> PaymentBatch:
                batch = announce(inner, batch)
                self.intake.announce(batch)
                return batch

        self.stages["notify"] = self.notify = Tell("notify")
        self.intake = Intake(Flow(self.stages), lambda: 1, 0, pace or Pace(3))

    def durable(self, height: int) -> None:
        self.intake.on_durable(block(height, np.zeros(0, RECEIPT)))


def submission(*amounts: int) -> Submission:
    records = np.zeros(len(amounts), RECORD)
    records["amount"], records["kind"] = amounts, 1
    signed = np.zeros(1, AUTHORISATION)
    signed["count"] = len(amounts)
    return Submission(signed, records)
