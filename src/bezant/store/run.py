"""A run of blocks as columns, for rows to be made of: joined once, and held against each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.chain.blocks import CommittedBlock
from bezant.errors import InvariantViolation
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, RecordArray
from bezant.store import columns
from bezant.store.schema import ERA_BITS, POSITION_BITS


@dataclass(frozen=True, slots=True)
class Run:
    """Several blocks as one set of columns, each (n,); system receipts apart, each (s,)."""

    records: RecordArray
    decisions: RecordArray
    receipts: RecordArray
    authorities: RecordArray
    ordinals: npt.NDArray[np.int64]
    eras: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    system: RecordArray
    system_times: npt.NDArray[np.int64]
    system_ordinals: npt.NDArray[np.int64]
    system_eras: npt.NDArray[np.int64]
    begins: list[tuple[Any, ...]]
    """Of every block its era, and its first ordinal."""

    def applied(self, kind: Kind) -> tuple[RecordArray, RecordArray, list[int], list[int]]:
        """Return records, authorities, ordinals and times of the applied records of a kind."""
        at = np.flatnonzero((self.records["kind"] == kind) & (self.receipts["outcome"] == Outcome.APPLIED))
        return self.records[at], self.authorities[at], self.ordinals[at].tolist(), self.times[at].tolist()


def join_blocks(blocks: Sequence[CommittedBlock], receipts_before: int) -> Run:
    """Return the blocks' columns one after the other, without work on arrays for each block: at a small
    load blocks are small, and it would cost more than their rows.

    Raises: InvariantViolation for a block whose receipts do not answer its records.
    """
    counts = _per_block(len(block.records) for block in blocks)
    systems = _per_block(block.system_count for block in blocks)
    heights = _per_block(block.height for block in blocks)
    times = _per_block(block.time_ns for block in blocks)
    covering = columns.joined([block.authorisations for block in blocks])
    receipts = columns.joined([block.receipts for block in blocks])
    covered = np.cumsum(np.append(0, covering["count"]), dtype=np.int64)
    covered = covered[np.cumsum([0, *(len(block.authorisations) for block in blocks)])]
    misfits = (systems < 0) | (counts + systems >= 1 << POSITION_BITS) | (np.diff(covered) != counts)
    misfits |= _per_block(len(block.decisions) for block in blocks) != counts
    _check_none(misfits, heights, "its receipts do not answer its records one by one")
    is_system = np.repeat(np.tile([True, False], len(blocks)), np.stack((systems, counts), 1).ravel())
    positions = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    eras = receipts_before + np.cumsum(counts + systems) - counts - systems >> ERA_BITS
    firsts = heights << POSITION_BITS
    run = Run(
        columns.joined([block.records for block in blocks]),
        columns.joined([block.decisions for block in blocks]),
        receipts[~is_system],
        np.repeat(covering[["authority_lo", "authority_hi"]], covering["count"].astype(np.int64)),
        np.repeat(firsts + systems, counts) + positions,
        np.repeat(eras, counts),
        np.repeat(times, counts),
        receipts[is_system],
        np.repeat(times, systems),
        np.repeat(firsts, systems)
        + np.arange(systems.sum())
        - np.repeat(np.cumsum(systems) - systems, systems),
        np.repeat(eras, systems),
        list(zip(eras.tolist(), firsts.tolist(), strict=True)),
    )
    astray = run.receipts["order_index"] != positions
    for word in ("id_lo", "id_hi"):
        astray |= run.receipts[word] != run.records[word]
    _check_none(astray, np.repeat(heights, counts), "its receipts do not answer its records one by one")
    return run


def _per_block(numbers: Iterable[int]) -> npt.NDArray[np.int64]:
    return np.fromiter(numbers, np.int64)


def _check_none(faults: npt.NDArray[np.bool_], heights: npt.NDArray[np.int64], fault: str) -> None:
    """Raise InvariantViolation for the first row (n,) that is at fault, naming its block."""
    if faults.any():
        raise InvariantViolation(f"block {heights[int(np.argmax(faults))]}: {fault}")
