"""The store alone: blocks of a ledger through the follower, as fast as it can and at a fixed rate.

Ledger, receipts and end-to-end ids are real; app hashes are made up, which the store only keeps. What is
told: payments a second while there is always more to do, processor time and bytes a payment, how far
the store falls behind at a rate, and whether a backlog drains in the time that was stated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bezant.chain.blocks import AppHash, CommittedBlock
from bezant.folder import DataFolder, create_folder
from bezant.interfaces.bench.kernel import KernelBench
from bezant.interfaces.bench.machine import describe_machine
from bezant.model.digest import sha256
from bezant.store import Follower, Lag, Store
from bezant.store.scratch import scratch_schema

SIZES: Final = (20, 4_096)
"""Payments a block: what 64 HTTP connections make, and what batches do."""
SMALL_BLOCK, TICK_S = 20, 0.02
PATIENCE_S: Final = 600.0
Note = Callable[[str], None]
Texts = dict[int, str]


class Feed:
    """Blocks of one ledger, in order; every payment has an end-to-end id."""

    def __init__(self, ledger: KernelBench) -> None:
        self._ledger, self._height = ledger, 0

    def blocks(self, payments: int, size: int) -> list[tuple[CommittedBlock, Texts]]:
        """Return blocks of `size` with so many payments in all."""
        return [self._next(size) for _ in range(max(payments // size, 1))]

    def restart(self) -> None:
        """Number blocks from 1 again, for another store."""
        self._height = 0

    def _next(self, size: int) -> tuple[CommittedBlock, Texts]:
        batch, receipts = self._ledger.apply_mixed(size)
        self._height += 1
        batch.records["payload_commitment"] = 1
        ids = zip(batch.records["id_lo"].tolist(), batch.records["id_hi"].tolist(), strict=True)
        texts = {high << 64 | low: f"E2E-{low:020}" for low, high in ids}
        hash_ = AppHash.known(sha256(b"bench", self._height.to_bytes(8, "little")))
        columns = batch.records, batch.decisions, batch.authorisations, receipts
        return CommittedBlock(self._height, batch.time_ns, hash_, *columns), texts


def run_store_bench(
    folder: Path,
    *,
    url: str,
    payments: int,
    accounts: int,
    rate: int,
    seconds: float,
    seed: int,
    note: Note,
) -> dict[str, Any]:
    """Measure in a fresh folder and return the report, ready for JSON.

    `url` names a PostgreSQL; without one a SQLite file in the folder is measured.
    """
    note(f"open {accounts:,} accounts")
    create_folder(folder)
    with closing(DataFolder(folder)) as made:
        feed = Feed(KernelBench(made.genesis, made.keys.institution, accounts, seed))
    drained: dict[str, dict[str, float]] = {}
    for size in SIZES:
        note(f"{payments:,} payments in blocks of {size:,}")
        with _empty_store(url, folder / f"{size}.sqlite") as store:
            drained[f"blocks_of_{size}"] = _drain(store, feed.blocks(payments, size))
        feed.restart()
    with _empty_store(url, folder / "paced.sqlite") as store:
        note(f"{rate:,} payments a second for {seconds:g} s")
        steady = _paced(store, feed.blocks(int(rate * seconds), SMALL_BLOCK), rate)
        most = drained[f"blocks_of_{SMALL_BLOCK}"]["payments_per_second"]
        note("twice what it takes in, and the drain")
        over = _paced(store, feed.blocks(int(most * seconds), SMALL_BLOCK), 2 * most)
    return {
        "machine": describe_machine(),
        "seed": seed,
        "database": "postgresql" if url else "sqlite",
        "accounts": accounts,
        "drain": drained,
        "sustained": steady,
        "overload": over,
    }


def _drain(store: Store, blocks: Sequence[tuple[CommittedBlock, Texts]]) -> dict[str, float]:
    """Offer everything at once and see how fast it is taken in."""
    journal: list[CommittedBlock] = []
    follower = _follower(store, journal)
    count = sum(len(block.records) for block, _ in blocks)
    started, spent = time.perf_counter(), time.process_time()
    follower.start()
    for block, texts in blocks:
        journal.append(block)
        follower.follow(block, texts)
    _finish(follower, journal)
    taken, spent = time.perf_counter() - started, time.process_time() - spent
    return {
        "payments": count,
        "payments_per_second": round(count / taken),
        "payments_per_cpu_second": round(count / spent),
        "cpu_us_per_payment": round(spent / count * 1e6, 1),
        "bytes_per_payment": round(store.size_bytes() / count),
    }


def _paced(
    store: Store, blocks: Sequence[tuple[CommittedBlock, Texts]], per_second: float
) -> dict[str, float]:
    """Offer blocks at a rate, then wait until the store has them all; blocks carry the time they came."""
    journal: list[CommittedBlock] = []
    follower = _follower(store, journal)
    spent, started = time.process_time(), time.perf_counter()
    follower.start()
    worst, offered, coming = Lag(), 0, iter(blocks)
    while due := list(islice(coming, max(int(per_second * TICK_S) // SMALL_BLOCK, 1))):
        for block, texts in due:
            journal.append(replace(block, time_ns=time.time_ns()))
            follower.follow(journal[-1], texts)
            offered += len(block.records)
        worst = max(worst, follower.lag, key=lambda lag: lag.payments)
        time.sleep(max(started + offered / per_second - time.perf_counter(), 0))
    fed = time.perf_counter() - started
    left = follower.lag
    _finish(follower, journal)
    drained = time.perf_counter() - started - fed
    return {
        "offered_per_second": round(offered / fed),
        "payments": offered,
        "cpu_us_per_payment": round((time.process_time() - spent) / offered * 1e6, 1),
        "most_lag_payments": worst.payments,
        "most_lag_seconds": round(worst.seconds, 2),
        "lag_payments_at_the_end": left.payments,
        "stated_drain_seconds": round(left.drain_seconds, 2),
        "drain_seconds": round(drained, 2),
    }


def _follower(store: Store, journal: Sequence[CommittedBlock]) -> Follower:
    """Return a follower that reads from `journal` what its queue had no room for."""
    first = store.height + 1
    return Follower(store, lambda height: islice(journal, height - first, None))


def _finish(follower: Follower, journal: Sequence[CommittedBlock]) -> None:
    follower.wait_for(journal[-1].height, PATIENCE_S)
    follower.close()


@contextmanager
def _empty_store(url: str, file: Path) -> Iterator[Store]:
    place = scratch_schema(url) if url else nullcontext(f"sqlite:///{file}")
    with place as inside, closing(Store.open(inside, key=bytes(32))) as store:
        yield store
