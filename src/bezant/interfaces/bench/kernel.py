"""The ledger's kernel alone: no signatures, scores, receipts' hashes or disk, to see what it bounds.

Batches of 8,192 records between accounts drawn at random: of ten, two place a hold and one begins a
linked chain of two. Everything is signed, in time and funded, so that every record has its effect.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from bezant.gateway.bulk import new_ids, transfers
from bezant.ledger.batch import NS_PER_S, Batch
from bezant.ledger.columnar import ColumnarLedger
from bezant.model.digest import TAG_ACCOUNT, as_rows, digest_rows
from bezant.model.genesis import Genesis
from bezant.model.identifiers import words
from bezant.model.keys import SigningKey, authority_id
from bezant.model.merkle import leaf_hashes
from bezant.model.money import U64_MAX
from bezant.model.orders import MAX_AUTHORISED_RECORDS
from bezant.model.outcomes import Outcome
from bezant.model.records import AUTHORISATION, DECISION, Flag, Kind, RecordArray, new_records

BATCH = 8_192
FUNDS_MINOR = 10**9
ASSET = 1
U64Array = npt.NDArray[np.uint64]


class KernelBench:
    """A ledger in memory whose first institution issues, holds every account and signs everything."""

    def __init__(self, genesis: Genesis, institution: SigningKey, accounts: int, seed: int) -> None:
        self._ledger = ColumnarLedger(genesis)
        self._authority = words(authority_id(institution.public))
        self._random = np.random.default_rng(seed)
        self._now_ns = genesis.created_ms * 1_000_000
        self._low, self._high = self._open(accounts)

    def measure(self, payments: int, *, hot_share: float = 0.0) -> dict[str, object]:
        """Return what `payments` records cost; `hot_share` of them are paid to one and the same account."""
        batches = [self._batch(self._mixed(BATCH, hot_share)) for _ in range(max(payments // BATCH, 1))]
        outcomes = np.zeros(256, np.int64)
        spent_ns = wall_ns = 0
        for batch in batches:
            started, wall = time.thread_time_ns(), time.perf_counter_ns()
            receipts = self._ledger.apply(batch)
            spent_ns += time.thread_time_ns() - started
            wall_ns += time.perf_counter_ns() - wall
            outcomes += np.bincount(receipts["outcome"], minlength=256)
        count = len(batches) * BATCH
        counted = {Outcome(code).label: int(outcomes[code]) for code in np.flatnonzero(outcomes).tolist()}
        return {
            "accounts": len(self._low),
            "records": count,
            "hot_share": hot_share,
            "records_per_second": round(count / wall_ns * 1e9),
            "cpu_us_per_record": round(spent_ns / count / 1000, 3),
            "outcomes": counted,
        }

    def apply_mixed(self, count: int) -> tuple[Batch, RecordArray]:
        """Apply one block of payments as `measure` does; return it with its receipts."""
        batch = self._batch(self._mixed(count, 0.0))
        return batch, self._ledger.apply(batch)

    def _mixed(self, count: int, hot_share: float) -> RecordArray:
        random, total = self._random, len(self._low)
        debtor = random.integers(1, total, count)
        creditor = 1 + (debtor + random.integers(0, total - 2, count)) % (total - 1)
        creditor[random.random(count) < hot_share] = 0
        rows = self._transfers(debtor, creditor, random.integers(1, 100, count).astype(np.uint64))
        drawn = random.random(count)
        holds = drawn < 0.2
        rows["kind"][holds], rows["hold_for_s"][holds] = Kind.HOLD, 3_600
        linked = drawn >= 0.9
        # A chain never runs over the end of its Authorisation.
        linked[MAX_AUTHORISED_RECORDS - 1 :: MAX_AUTHORISED_RECORDS] = linked[-1] = False
        rows["flags"][linked] = Flag.LINKED
        return rows

    def _transfers(
        self, debtor: npt.NDArray[np.int64], creditor: npt.NDArray[np.int64], amount: U64Array
    ) -> RecordArray:
        rows = transfers(
            new_ids(np.full(len(debtor), self._now_ns // 1_000_000), self._random),
            (self._low[debtor], self._high[debtor]),
            (self._low[creditor], self._high[creditor]),
            ASSET,
            amount,
        )
        rows["flags"] = 0
        return rows

    def _batch(self, records: RecordArray) -> Batch:
        """Return the block, a millisecond after the last, with a signature over every 1,024 records."""
        self._now_ns += NS_PER_S // 1_000
        starts = np.arange(0, len(records), MAX_AUTHORISED_RECORDS)
        covering = np.zeros(len(starts), AUTHORISATION)
        covering["authority_lo"], covering["authority_hi"] = self._authority
        covering["first"] = starts
        covering["count"] = np.minimum(MAX_AUTHORISED_RECORDS, len(records) - starts)
        good = np.ones(len(starts), np.uint8)
        hashes = leaf_hashes(as_rows(records))
        decisions = np.zeros(len(records), DECISION)
        return Batch(self._now_ns, records, decisions, covering, good, good, hashes)

    def _open(self, accounts: int) -> tuple[U64Array, U64Array]:
        """Open and fund accounts in blocks; return their ids as words. The first may go negative."""
        salts = np.arange(accounts + 1, dtype=np.uint64)
        low, high = self._derive(salts)
        records = new_records(accounts + 1)
        made = new_ids(np.full(accounts + 1, self._now_ns // 1_000_000), self._random)
        records["id_lo"], records["id_hi"] = made
        records["debtor_lo"], records["debtor_hi"] = low, high
        records["creditor_lo"], records["creditor_hi"] = self._authority
        records["related_lo"] = salts
        records["kind"], records["asset"], records["valid_for_s"] = Kind.OPEN_ACCOUNT, ASSET, 600
        records["amount"][0] = U64_MAX
        self._apply_all(records)
        self._low, self._high = low, high
        treasury = np.zeros(accounts, np.int64)
        funds = np.full(accounts, FUNDS_MINOR, np.uint64)
        self._apply_all(self._transfers(treasury, np.arange(1, accounts + 1), funds))
        return low[1:], high[1:]

    def _apply_all(self, records: RecordArray) -> None:
        for start in range(0, len(records), BATCH):
            answers = self._ledger.apply(self._batch(records[start : start + BATCH]))["outcome"]
            if answers.any():
                raise RuntimeError(f"setting up was answered {Outcome(int(answers.max())).label}")

    def _derive(self, salts: U64Array) -> tuple[U64Array, U64Array]:
        """Return account ids as words; see `bezant.ledger.batch.account_id`."""
        rows = np.zeros((len(salts), 40), np.uint8)
        rows[:, 0], rows[:, 20] = 1, ASSET
        rows[:, 4:20] = np.array(self._authority, np.uint64).view(np.uint8)
        rows[:, 24:32] = salts.view(np.uint8).reshape(-1, 8)
        halves = np.ascontiguousarray(digest_rows(TAG_ACCOUNT, rows)[:, :16]).view(np.uint64)
        return halves[:, 0].copy(), halves[:, 1] & np.uint64(2**48 - 1)
