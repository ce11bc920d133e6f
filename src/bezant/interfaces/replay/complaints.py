"""What payments of a labelled file were, told to the ledger when in life it would have become known.

Frauds that were paid are complained of. Of what was blocked the customer is asked, who says which it was.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from bezant.gateway import bulk
from bezant.intelligence.history import LABEL_DELAY_NS
from bezant.model.outcomes import Outcome
from bezant.model.records import Label, RecordArray, new_records

TOGETHER_NS = 6 * 3_600 * 1_000_000_000
"""Whoever hears complaints passes them on four times a day: each time the pipeline is drained once."""


class Complaints:
    """Keeps what somebody will speak of, and makes it LABELs a week after it was paid or refused."""

    def __init__(self, random: np.random.Generator, valid_for_s: int) -> None:
        self._random, self._valid_for_s = random, valid_for_s
        self._waiting: deque[tuple[int, RecordArray, Label, bool]] = deque()
        self._passed_on_ns = 0

    def note(
        self,
        payments: RecordArray,
        time_ns: npt.NDArray[np.int64],
        label: npt.NDArray[np.uint8],
        outcome: npt.NDArray[np.uint16],
    ) -> None:
        """Keep the frauds among payments (n,) as they were answered, and what was blocked, in the order of
        time."""
        refused = outcome >= Outcome.BLOCKED
        known = refused | (outcome < Outcome.MALFORMED)
        for row in np.flatnonzero((label == 1) & known | (outcome == Outcome.BLOCKED)).tolist():
            due_ns = int(time_ns[row]) + LABEL_DELAY_NS
            said = Label.FRAUD if label[row] == 1 else Label.GENUINE
            self._waiting.append((due_ns, payments[row : row + 1].copy(), said, bool(refused[row])))

    def due(self, now_ns: int, most: int) -> RecordArray:
        """Return LABELs of at most so many payments of which it is known by now; they are not kept.

        None as long as some were given lately; those that do not fit come with the next call.
        """
        rows: list[RecordArray] = []
        said: list[Label] = []
        refused: list[bool] = []
        if now_ns < self._passed_on_ns + TOGETHER_NS:
            return new_records(0)
        while self._waiting and self._waiting[0][0] <= now_ns and len(rows) < most:
            _, payment, label, was_refused = self._waiting.popleft()
            rows.append(payment)
            said.append(label)
            refused.append(was_refused)
        if len(rows) < most:
            self._passed_on_ns = now_ns
        if not rows:
            return new_records(0)
        ids = bulk.new_ids(np.full(len(rows), now_ns // 1_000_000), self._random)
        return bulk.labels(
            ids, np.concatenate(rows), np.array(said), np.array(refused), valid_for_s=self._valid_for_s
        )
