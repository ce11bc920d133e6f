"""Payments in process, everything included: verify, features, score, apply, receipts, vault, fsync."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from bezant.gateway.accounts import Opening, PartyProfile
from bezant.gateway.bulk import AccountColumns, new_ids, transfers
from bezant.model.identifiers import words
from bezant.model.keys import SigningKey, authority_id
from bezant.model.orders import authorise
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, RecordArray, Role, new_records
from bezant.node import Node
from bezant.pipeline.batch import Submission
from bezant.pipeline.intake import Answers
from bezant.pipeline.telemetry import Histogram

FUNDS_MINOR = 10**12
CALLERS = 32
"""Submissions under way at once: with 8 of 256 payments the cores stand still an eighth of the time."""
BATCH_CALLERS = 16
"""The same of whole batches, four of which at most are applied together: with 8 the ledger waits."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    payments: int
    seconds: float
    latency: Histogram
    outcomes: dict[str, int]
    stages_us: dict[str, float]
    cpu_seconds: float = 0.0
    """Of all threads of the process."""

    @property
    def cpu_us(self) -> float:
        """CPU time a payment, microseconds."""
        return self.cpu_seconds / self.payments * 1e6

    @property
    def per_second(self) -> float:
        return self.payments / self.seconds

    def as_dict(self) -> dict[str, object]:
        return {
            "payments": self.payments,
            "payments_per_second": round(self.per_second),
            "p50_ms": round(self.latency.quantile_ns(0.5) / 1e6, 2),
            "p99_ms": round(self.latency.quantile_ns(0.99) / 1e6, 2),
            "outcomes": self.outcomes,
            "stages_us_per_payment": self.stages_us,
        }


class Bench:
    """A node with funded accounts to pay between."""

    def __init__(self, node: Node, accounts: int = 1_000, seed: int = 1) -> None:
        self._node = node
        self._random = np.random.default_rng(seed)
        self._asset = node.accounts.asset("EUR")
        self._accounts = AccountColumns()
        self.on_begin: Callable[[], None] = lambda: None
        """Called when everything is signed and a run begins."""
        for start in range(0, accounts, 1_000):
            self._open(min(1_000, accounts - start))

    def batches(self, payments: int, per_signature: int = 1_000, *, callers: int = BATCH_CALLERS) -> Measured:
        """Pay with one institution's signature over each batch."""
        submissions = [self._sign(per_signature, together=True) for _ in range(payments // per_signature)]
        return self._measure(submissions, callers)

    def individually(self, payments: int, per_submission: int = 256, *, callers: int = CALLERS) -> Measured:
        """Pay with a signature each, handed in `per_submission` at a time as a busy front would."""
        submissions = [self._sign(per_submission, together=False) for _ in range(payments // per_submission)]
        return self._measure(submissions, callers)

    def individually_by(self, key: SigningKey, payments: int, per_submission: int = 256) -> Measured:
        """As `individually`, signed by another key, which becomes the institution's second."""
        node = self._node
        institution = authority_id(node.desk.institution_key.public)
        record = new_records(1)
        record["id_lo"], record["id_hi"] = new_ids(np.array([node.desk.now_ms()]), self._random)
        record["debtor_lo"], record["debtor_hi"] = words(institution)
        record["kind"], record["related_lo"], record["valid_for_s"] = Kind.SET_KEY, 1, 60
        record["amount"], record["max_fee"] = key.scheme, Role.PAY
        record["payload_commitment"] = np.frombuffer(key.public, np.uint8)
        node.desk.order(record, node.desk.institution_key)
        submissions = []
        for _ in range(payments // per_submission):
            records = self._records(per_submission)
            signed = authorise(
                node.engine.network, key, records, together=False, authority=institution, key_index=1
            )
            submissions.append(Submission(signed, records))
        return self._measure(submissions)

    def one_at_a_time(self, payments: int) -> Measured:
        """Pay, wait until it is durable, pay again."""
        return self._measure([self._sign(1, together=True) for _ in range(payments)], callers=1)

    def paced(self, per_second: float, seconds: float, per_submission: int = 16) -> Measured:
        """Pay at a fixed rate, a signature each; latency counts from when a submission was due.

        Whoever is late because the node was slow waits all the longer, as customers would.
        """
        count = max(int(per_second * seconds) // per_submission, 1)
        submissions = [self._sign(per_submission, together=False) for _ in range(count)]
        latency, step_ns = Histogram(), int(per_submission / per_second * 1e9)
        # Plain columns: a future for each would be the interpreter's to make, and to search for garbage.
        done_ns, outcomes = np.zeros(count, np.int64), np.zeros((count, per_submission), np.uint16)
        failed: list[BaseException] = []
        answered = threading.Semaphore(0)

        def note(number: int, answers: Answers | BaseException) -> None:
            done_ns[number] = time.perf_counter_ns()
            if isinstance(answers, BaseException):
                failed.append(answers)
            else:
                outcomes[number] = answers.outcome
            answered.release()

        self.on_begin()
        started_ns = time.perf_counter_ns()
        for number, submission in enumerate(submissions):
            wait_ns = started_ns + number * step_ns - time.perf_counter_ns()
            if wait_ns > 0:
                time.sleep(wait_ns / 1e9)
            self._node.intake.submit(submission, partial(note, number))
        for _ in range(count):
            answered.acquire()
        if failed:
            raise failed[0]
        due_ns = started_ns + np.arange(count) * step_ns
        for waited_ns in np.maximum(done_ns - due_ns, 0).tolist():
            latency.add(waited_ns, per_submission)
        codes, counts = np.unique(outcomes, return_counts=True)
        named = {
            Outcome(code).label: times for code, times in zip(codes.tolist(), counts.tolist(), strict=True)
        }
        return Measured(count * per_submission, int(done_ns.max() - started_ns) / 1e9, latency, named, {})

    def _measure(self, submissions: list[Submission], callers: int = CALLERS) -> Measured:
        telemetry = self._node.flow.telemetry
        before = {name: (stage.busy_ns, stage.payments) for name, stage in telemetry.items()}
        latency, outcomes = Histogram(), np.zeros(256, np.int64)
        waiting: list[tuple[int, int, Future[Answers]]] = []

        def finish() -> None:
            sent_ns, count, future = waiting.pop(0)
            answers = future.result()
            latency.add(time.perf_counter_ns() - sent_ns, count)
            np.add.at(outcomes, answers.outcome, 1)

        self.on_begin()
        started, cpu = time.perf_counter(), time.process_time()
        for submission in submissions:
            if len(waiting) == callers:
                finish()
            waiting.append((time.perf_counter_ns(), len(submission), self._node.intake.future(submission)))
        while waiting:
            finish()
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        stages = {
            name: round(
                (stage.busy_ns - before[name][0]) / 1000 / max(stage.payments - before[name][1], 1), 3
            )
            for name, stage in telemetry.items()
        }
        return Measured(sum(len(s) for s in submissions), seconds, latency, _named(outcomes), stages, cpu)

    def _sign(self, count: int, *, together: bool) -> Submission:
        records, key = self._records(count), self._node.desk.institution_key
        return Submission(authorise(self._node.engine.network, key, records, together=together), records)

    def _records(self, count: int) -> RecordArray:
        random, total = self._random, len(self._accounts)
        debtor = random.integers(0, total, count)
        creditor = (debtor + random.integers(1, total, count)) % total
        return transfers(
            new_ids(np.full(count, self._node.desk.now_ms()), random),
            (self._accounts.lo[debtor], self._accounts.hi[debtor]),
            (self._accounts.lo[creditor], self._accounts.hi[creditor]),
            self._asset.number,
            random.integers(100, 10_000, count).astype(np.uint64),
        )

    def _open(self, count: int) -> None:
        node, first = self._node, len(self._accounts)
        parties = node.accounts.register_parties([PartyProfile(f"Bench {first + i}") for i in range(count)])
        self._accounts.append(
            node.accounts.open([Opening(party.number, self._asset) for party in parties], mandates=False)
        )
        treasury = node.accounts.treasury(self._asset)
        records = transfers(
            new_ids(np.full(count, node.desk.now_ms()), self._random),
            (np.full(count, treasury & (2**64 - 1), np.uint64), np.full(count, treasury >> 64, np.uint64)),
            (self._accounts.lo[first:], self._accounts.hi[first:]),
            self._asset.number,
            np.full(count, FUNDS_MINOR, np.uint64),
        )
        # Issuance is not for a model to judge.
        records["flags"] = 0
        node.desk.order(records, node.desk.institution_key)


def _named(outcomes: npt.NDArray[np.int64]) -> dict[str, int]:
    """Return how often each outcome came, by its label; `outcomes` (256,) counts by code."""
    return {Outcome(code).label: int(outcomes[code]) for code in np.flatnonzero(outcomes).tolist()}


def warm_up(bench: Bench, note: Callable[[str], None]) -> None:
    """Let every kernel compile and every cache fill before anything is timed."""
    note("warm up")
    bench.batches(10_000)
    bench.individually(2_560)
    bench.one_at_a_time(20)
