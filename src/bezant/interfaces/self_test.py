"""A real payment through a throw-away node: what `doctor` proves, and what warms the kernels up."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bezant.chain.receipts import render_receipt, verify_receipt
from bezant.errors import InvariantViolation
from bezant.folder import create_folder
from bezant.gateway.accounts import Opening, PartyProfile
from bezant.model.identifiers import PaymentId
from bezant.model.outcomes import Outcome
from bezant.model.payment import Payload
from bezant.model.records import id_of
from bezant.node import Node

STEPS = ("open a ledger", "open accounts", "issue money", "pay", "prove", "close")
_FUNDS = 1_000_00


@dataclass(frozen=True, slots=True)
class SelfTest:
    """What was paid and proved, and how long each step took in seconds."""

    payment: str
    seconds: dict[str, float]

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())


def run_self_test(note: Callable[[str, int, int], None] = lambda step, at, of: None) -> SelfTest:
    """Open a node in a temporary folder, pay 12.50 EUR between two accounts, verify the receipt.

    `note` hears (step, its number from 1, how many). On a machine that has never run Bezant this
    compiles every kernel of the payment path and leaves them in the cache. Raises: BezantError,
    InvariantViolation.
    """
    seconds: dict[str, float] = {}
    started = time.perf_counter()

    def enter(step: str) -> None:
        nonlocal started
        now = time.perf_counter()
        at = STEPS.index(step)
        if at:
            seconds[STEPS[at - 1]] = round(now - started, 3)
        started = now
        note(step, at + 1, len(STEPS))

    with tempfile.TemporaryDirectory(prefix="bezant-self-test-") as name:
        folder = Path(name) / "node"
        create_folder(folder, network="self-test")
        enter("open a ledger")
        with Node(folder) as node:
            enter("open accounts")
            parties = node.accounts.register_parties([PartyProfile("Payer"), PartyProfile("Payee")])
            euro = node.accounts.asset("EUR")
            payer, payee = node.accounts.open([Opening(party.number, euro) for party in parties])
            enter("issue money")
            node.accounts.fund(payer, euro, _FUNDS)
            enter("pay")
            payload = Payload(end_to_end_id="SELF-TEST", remittance_information="self-test")
            submission = node.payments.prepare(payer, payee, "12.50", "EUR", payload=payload)
            outcome = node.payments.submit(submission).first
            if outcome not in (Outcome.APPLIED, Outcome.HELD_FOR_REVIEW):
                raise InvariantViolation(f"the self-test's payment was answered {outcome.label}")
            enter("prove")
            receipt = node.payments.receipt(PaymentId(id_of(submission.records[0], "id")), open_debtor=True)
            verified = verify_receipt(render_receipt(receipt), genesis_hash=node.engine.network.hex())
            enter("close")
        seconds["close"] = round(time.perf_counter() - started, 3)
    return SelfTest(verified.summary.payment, seconds)
