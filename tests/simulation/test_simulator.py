"""The simulator keeps its word: seeds repeat, every trouble happens, and planted faults are found."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bezant.chain.signatures import Signatures
from bezant.chain.storage import starting
from bezant.chain.storage.journal import Journal
from bezant.chain.storage.segments import SegmentFiles
from bezant.chain.storage.writer import BlockWriter
from bezant.errors import InvariantViolation, StorageError
from bezant.ledger import columnar
from bezant.ledger.batch import Batch
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.state import EMPTY
from bezant.model.outcomes import Outcome
from bezant.model.records import Flag, RecordArray
from bezant.testing.simulator import __main__ as command
from bezant.testing.simulator.checks import Violation
from bezant.testing.simulator.run import Simulation

SEEDS = range(1, 101)
TROUBLES = {
    "bit flipped",
    "bit flipped while down",
    "clock jumped",
    "damage refused",
    "disk full",
    "disk slow",
    "faults reported",
    "engine stopped",
    "hostile",
    "killed",
    "power cut",
    "restarted",
    "sent again",
    "sync failed",
    "written at once",
}
REACHED = {
    Outcome.APPLIED,
    Outcome.HELD,
    Outcome.HELD_FOR_REVIEW,
    Outcome.CAPTURED,
    Outcome.CAPTURED_IN_PART,
    Outcome.LOCKED,
    Outcome.RECOVERY_STARTED,
    Outcome.RELEASED,
    Outcome.HOLD_EXPIRED,
    Outcome.UNKNOWN_AUTHORITY,
    Outcome.BAD_SIGNATURE,
    Outcome.GATEWAY_NOT_ACCEPTED,
    Outcome.THRESHOLD_NOT_MET,
    Outcome.EXPIRED,
    Outcome.EXISTS,
    Outcome.BLOCKED,
    Outcome.ORIGINAL_UNKNOWN,
    Outcome.ASSET_PAUSED,
    Outcome.DEBTOR_FROZEN,
    Outcome.CREDITOR_CLOSED,
    Outcome.DEBTOR_NOT_APPROVED,
    Outcome.ABOVE_MANDATE,
    Outcome.ABOVE_MANDATE_PERIOD,
    Outcome.INSUFFICIENT_FUNDS,
    Outcome.BALANCE_LIMIT,
    Outcome.ABOVE_ORIGINAL,
    Outcome.ACCOUNT_NOT_EMPTY,
    Outcome.LIMIT_BELOW_BALANCE,
    Outcome.THRESHOLD_UNREACHABLE,
    Outcome.MODEL_UNKNOWN,
    Outcome.BONDED,
    Outcome.UNBONDING,
    Outcome.JAILED,
    Outcome.SLASHED,
    Outcome.REWARDED,
    Outcome.ACCEPTED,
    Outcome.DECLINED,
    Outcome.RULE_OUT_OF_BOUNDS,
    Outcome.LINKED_FAILED,
    Outcome.CHAIN_OPEN,
}


def test_every_trouble_happens_and_no_promise_is_broken() -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        report = command.play(seed)
        assert not isinstance(report, str), report
        seen += report.events + report.outcomes
    missing = (TROUBLES | {outcome.label for outcome in REACHED}) - set(seen)
    assert not missing, f"seeds {SEEDS} never reach {missing}"


def test_a_seed_repeats_every_call_to_the_disk() -> None:
    first, again, other = Simulation(5).play(), Simulation(5).play(), Simulation(6).play()
    assert first == again
    assert first.trace != other.trace


@pytest.mark.parametrize("seed", [3, 5])
def test_the_power_goes_at_every_call_to_the_disk(seed: int) -> None:
    """One short life, without votes or with, cut off at every one of its calls, and lived on from there."""
    calls = Simulation(seed, steps=14, trouble=False).play().calls
    assert calls > 80
    for cut_in in range(calls):
        report = Simulation(seed, steps=14, trouble=False, cut_in=cut_in).play()
        assert report.events["power cut"] == 1, f"nothing was cut at call {cut_in}"


def test_a_failure_names_the_seed_and_what_plays_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "ColumnarLedger", OffByOneLimit)
    failures = [result for result in map(command.play, range(1, 21)) if isinstance(result, str)]
    assert failures
    seed = int(failures[0].removeprefix("seed ").split(":")[0])
    assert failures[0].endswith(f"make sim SEED={seed} COUNT=1")


# Faults of the ledger, planted where the engine takes its ledger from.


class ForgetsDuplicates(ColumnarLedger):
    """Remembers no id from one block to the next."""

    def apply(self, batch: Batch) -> RecordArray:
        self.state.counters["ids"] = self.state.counters["old_ids"] = 0
        self.state.id_index[:] = self.state.old_id_index[:] = 0
        return super().apply(batch)


class OffByOneLimit(ColumnarLedger):
    """Lets every account spend one minor unit more than it has."""

    def apply(self, batch: Batch) -> RecordArray:
        limits = self.accounts["credit_limit"].copy()
        self.accounts["credit_limit"] += limits < 2**63
        receipts = super().apply(batch)
        self.accounts["credit_limit"][: len(limits)] = limits
        return receipts


class HalfChains(ColumnarLedger):
    """Applies the members of a linked chain one by one."""

    def apply(self, batch: Batch) -> RecordArray:
        records = batch.records.copy()
        records["flags"] &= ~int(Flag.LINKED) & 0xFFFF
        return super().apply(
            Batch(
                batch.time_ns,
                records,
                batch.decisions,
                batch.authorisations,
                batch.authentic,
                batch.accepted,
                batch.record_hashes,
                batch.originals,
                batch.faults,
            )
        )


class ForgetsRefunds(ColumnarLedger):
    """Remembers from one block to the next nothing of what was paid back."""

    def apply(self, batch: Batch) -> RecordArray:
        self.state.counters["refunds"] = 0
        self.state.refund_index[:] = EMPTY
        return super().apply(batch)


class SpendsMandatesForNothing(ColumnarLedger):
    """Counts nothing against the period of a mandate."""

    def apply(self, batch: Batch) -> RecordArray:
        receipts = super().apply(batch)
        self.state.mandates["spent"] = 0
        return receipts


def pays_out_of_nothing(state: Any, genesis: Any, collector_row: int) -> RecordArray:
    """Divides fees, and leaves the account that they come from as it was."""
    before = state.accounts[collector_row].copy()
    receipts = REWARD(state, genesis, collector_row)
    state.accounts[collector_row] = before
    return receipts


def never_counts_votes(*_: object) -> int:
    """Lets every proposal wait for ever."""
    return 0


def looks_at_the_first_signature(
    self: Signatures, ledger: Any, authorisations: Any, roots: Any, earlier: Any = None
) -> Any:
    """Takes every co-signature for genuine."""
    found = CHECK(self, ledger, authorisations, roots, earlier)
    return replace(found, authentic=found.authentic | (authorisations["count"] == 0))


# Faults of the chain, planted where it touches the disk.


def skips_the_sync(self: Journal) -> None:
    self.durable_height = self.height


def tells_too_early(self: BlockWriter, pending: list[Any], settle_first: Any) -> None:
    for item in pending:
        for subscriber in self.subscribers:
            subscriber(item.block)
    subscribers, self.subscribers = self.subscribers, []
    WRITE(self, pending, settle_first)
    self.subscribers = subscribers


def takes_damage_for_a_torn_write(self: SegmentFiles, *where: object) -> None:
    """Cuts off whatever it cannot read."""


def trusts_the_cache(self: Journal, last: Any) -> None:
    """After a failed sync, takes for durable what only the cache holds."""
    self._confirmed = self.height
    RESUME(self, last)


WRITE, RESUME, CHECK, REWARD = BlockWriter.write, Journal._resume, Signatures.check, columnar.reward
Plant = Callable[[pytest.MonkeyPatch], None]
PLANTS: dict[str, tuple[Plant, int]] = {
    "skip the sync": (lambda patch: patch.setattr(Journal, "sync", skips_the_sync), 20),
    "forget the duplicate check": (
        lambda patch: patch.setattr(starting, "ColumnarLedger", ForgetsDuplicates),
        5,
    ),
    "off by one in a limit": (
        lambda patch: patch.setattr(starting, "ColumnarLedger", OffByOneLimit),
        10,
    ),
    "half of a linked chain": (lambda patch: patch.setattr(starting, "ColumnarLedger", HalfChains), 5),
    "forget what was paid back": (
        lambda patch: patch.setattr(starting, "ColumnarLedger", ForgetsRefunds),
        60,
    ),
    "count nothing against a mandate": (
        lambda patch: patch.setattr(starting, "ColumnarLedger", SpendsMandatesForNothing),
        60,
    ),
    "divide fees that nobody paid": (
        lambda patch: patch.setattr(columnar, "reward", pays_out_of_nothing),
        20,
    ),
    "never count votes": (lambda patch: patch.setattr(columnar, "settle", never_counts_votes), 20),
    "look at the first signature only": (
        lambda patch: patch.setattr(Signatures, "check", looks_at_the_first_signature),
        40,
    ),
    "tell before it is durable": (lambda patch: patch.setattr(BlockWriter, "write", tells_too_early), 20),
    "take damage for a torn write": (
        lambda patch: patch.setattr(SegmentFiles, "check_tail", takes_damage_for_a_torn_write),
        20,
    ),
    "trust the cache after a failed sync": (
        lambda patch: patch.setattr(Journal, "_resume", trusts_the_cache),
        60,
    ),
}
"""Each fault, and within how many seeds, from 1 on, it has to be found."""


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, within = PLANTS[name]
    plant(monkeypatch)
    for seed in range(1, within + 1):
        with contextlib.suppress(Violation, InvariantViolation, StorageError):
            Simulation(seed).play()
            continue
        return
    pytest.fail(f"{within} seeds went by without finding: {name}")
