"""Card payments of a file through the node, in the file's own time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bezant.chain.clock import SetClock
from bezant.errors import Overloaded
from bezant.gateway.accounts import Opening, PartyProfile
from bezant.gateway.bulk import AccountColumns, new_ids, transfers
from bezant.interfaces.files.cards import CardBatch, CardFile
from bezant.interfaces.replay.complaints import Complaints
from bezant.interfaces.replay.summary import Summary
from bezant.model.money import Asset
from bezant.model.outcomes import Outcome
from bezant.model.records import RecordArray
from bezant.node import Node
from bezant.pipeline.batch import Submission
from bezant.pipeline.intake import Answers

CREDIT_LINE_MINOR = 10**14
"""A card account may owe this much: the file does not say what its customers could afford."""
PAUSE_S = 0.5
MOST_ROWS = 1_000
"""Rows under one signature; within what an Authorisation covers."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Payments that go in together, and what is needed to count them."""

    submission: Submission
    times: npt.NDArray[np.int64]
    amounts: npt.NDArray[np.uint64]
    labels: npt.NDArray[np.uint8] | None
    judged: npt.NDArray[np.bool_]


class CardReplay:
    """Opens accounts as cards and terminals appear, and pays row by row, `MOST_ROWS` at a time.

    Block time is the time of the last row of each batch. A batch never spans more than half the
    id window, so no payment is too old when its block comes. Where the file has labels, each fraud is
    labelled a week after it was paid or refused, as it would be in life, so that features learn of it.
    """

    def __init__(
        self,
        node: Node,
        clock: SetClock,
        file: CardFile,
        asset: Asset,
        *,
        each: bool = False,
        judged_from_ns: int = 0,
    ) -> None:
        """`each`: one signature a payment instead of one for each batch. Decisions on payments
        before `judged_from_ns` do not count for precision and recall."""
        self._judged_from_ns = judged_from_ns
        self._node, self._clock, self._file, self._asset, self._each = node, clock, file, asset, each
        self._debtors, self._creditors = AccountColumns(), AccountColumns()
        self._random = np.random.default_rng(0)
        window_s = node.folder.genesis.rules.id_window_s
        self._window_ns = window_s * 1_000_000_000
        self._complaints = Complaints(self._random, window_s)
        self.summary = Summary()

    def run(self, progress: Callable[[int], None] = lambda rows: None) -> Summary:
        """Replay the whole file; `progress` hears how many payments have been answered."""
        started = time.perf_counter()
        waiting: tuple[_Chunk, int, Future[Answers]] | None = None
        for batch in self._file:
            if waiting is not None:
                self._finish(*waiting)
                waiting = None
            self._open_accounts(batch)
            for rows in self._spans(batch):
                chunk = self._prepare(batch, rows)
                if waiting is not None:
                    self._finish(*waiting)
                    progress(self.summary.payments)
                self._complain(int(batch.time_ns[rows][0]))
                self._clock.time_ns = max(self._clock.time_ns, int(chunk.times[-1]))
                sent_ns = time.perf_counter_ns()
                waiting = chunk, sent_ns, self._node.intake.future(chunk.submission)
        if waiting is not None:
            self._finish(*waiting)
        self.summary.seconds = time.perf_counter() - started
        progress(self.summary.payments)
        return self.summary

    def _complain(self, now_ns: int) -> None:
        """Label what has become known as fraud, before the payments that come next."""
        desk = self._node.desk
        while len(known := self._complaints.due(now_ns, MOST_ROWS)):
            self._clock.time_ns = max(self._clock.time_ns, now_ns)
            answers = self._node.intake.call(desk.sign(known, desk.institution_key), timeout_s=None)
            self.summary.complaints += int(np.count_nonzero(answers.outcome == Outcome.APPLIED))

    def _finish(self, chunk: _Chunk, sent_ns: int, future: Future[Answers]) -> None:
        while True:
            try:
                answers = future.result()
                break
            except Overloaded:
                # The store has fallen behind; a file can wait.
                time.sleep(PAUSE_S)
                future = self._node.intake.future(chunk.submission)
        elapsed = time.perf_counter_ns() - sent_ns
        self.summary.add(answers, chunk.amounts, self._asset, elapsed, chunk.labels, chunk.judged)
        if chunk.labels is not None:
            self._complaints.note(chunk.submission.records, chunk.times, chunk.labels, answers.outcome)

    def _open_accounts(self, batch: CardBatch) -> None:
        for codes, known, keys, kind in (
            (batch.debtor, self._debtors, self._file.debtors, "person"),
            (batch.creditor, self._creditors, self._file.creditors, "merchant"),
        ):
            fresh = range(len(known), int(codes.max(initial=0)) + 1 if len(codes) else 0)
            if not fresh:
                continue
            self._clock.time_ns = max(self._clock.time_ns, int(batch.time_ns[0]))
            profiles = [PartyProfile(f"{kind} {keys[code]}", kind=kind) for code in fresh]
            parties = self._node.accounts.register_parties(profiles)
            credit = CREDIT_LINE_MINOR if kind == "person" else 0
            known.append(
                self._node.accounts.open(
                    [Opening(p.number, self._asset, credit_limit=credit) for p in parties], mandates=False
                )
            )

    def _spans(self, batch: CardBatch) -> Iterator[slice]:
        """Yield runs of rows that are few enough and close enough in time."""
        start = 0
        while start < len(batch):
            latest = int(batch.time_ns[start]) + self._window_ns // 2
            end = min(start + MOST_ROWS, int(np.searchsorted(batch.time_ns, latest, side="right")))
            yield slice(start, end)
            start = end

    def _prepare(self, batch: CardBatch, rows: slice) -> _Chunk:
        times, amounts = batch.time_ns[rows], batch.amount_minor[rows]
        debtor, creditor = batch.debtor[rows], batch.creditor[rows]
        records = transfers(
            new_ids(times // 1_000_000, self._random),
            (self._debtors.lo[debtor], self._debtors.hi[debtor]),
            (self._creditors.lo[creditor], self._creditors.hi[creditor]),
            self._asset.number,
            amounts,
            valid_for_s=self._node.folder.genesis.rules.id_window_s,
        )
        labels = None if batch.label is None else batch.label[rows]
        judged = times >= self._judged_from_ns
        return _Chunk(self._sign(records), times, amounts, labels, judged)

    def _sign(self, records: RecordArray) -> Submission:
        desk = self._node.desk
        return desk.sign(records, desk.institution_key, together=not self._each)
