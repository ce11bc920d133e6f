"""A node's life on a simulated disk: what was sent to it, what it answered, and what it may take back.

It keeps the list of what was applied and the height up to which it was acknowledged; a restart may take back
what was not acknowledged and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from bezant.chain.blocks import CommittedBlock
from bezant.chain.storage.snapshot_writer import Cadence
from bezant.errors import DecodeError, StorageError
from bezant.ledger.batch import no_faults
from bezant.ledger.open_items import KeyRing, OpenProposal, key_ring, proposals
from bezant.model.identifiers import AccountId, AuthorityId
from bezant.model.records import NO_ROW
from bezant.testing.ledgers import NODE
from bezant.testing.simulator.checks import Played, Violation
from bezant.testing.simulator.disk import PowerCut, SimulatedDisk
from bezant.testing.simulator.networks import ReportingEngine, network_of
from bezant.testing.simulator.schedule import Schedule
from bezant.testing.simulator.time import SimulatedTime
from bezant.testing.simulator.workload import Envelope, Workload

FOLDER = Path("/simulated")
LEDGER_SEED = b"a ledger seed of the simulator32"
QUEUE_BLOCKS = 8
"""Blocks that the simulation lets wait for the disk."""


class Life:
    """One node, and those who send to it. Subclasses draw what happens."""

    def __init__(self, seed: int, cut_in: int | None = None) -> None:
        """`cut_in` takes the power away after so many calls to the disk."""
        self.seed = seed
        self._rng, self._genesis = Random(seed), network_of(seed)
        self._time = SimulatedTime()
        self._disk = SimulatedDisk(Random(self._rng.random()), self._time)
        self._disk.make_folder(FOLDER.parent)
        self._disk.make_folder(FOLDER)
        self._disk.sync_folder(FOLDER.parent)
        self._disk.calls, self._disk.cut_in = 0, cut_in
        self._workload = Workload(Random(self._rng.random()), self._genesis, lambda: self._time.wall_ns, self)
        # Drawn apart, so that a seed's other draws stay what they were.
        self._haste = Random(f"at once, {seed}")
        self._at_once = self._haste.choice((0.0, 0.5, 1.0))
        """The share of submissions whose sender commits them."""
        self._segment_bytes = self._rng.choice((4, 8, 16, 64)) * 1024
        self._cadence = self._rng.choice((Cadence(), Cadence(running=20, closing=10), Cadence(60, 1)))
        self._events: Counter[str] = Counter()
        self._played: list[Played] = []
        self._acknowledged = self._acknowledged_before = 0
        self._waiting = 0
        self._unconfirmed = False
        """Whether something was written that no mark confirms yet."""
        self._retries: list[Envelope] = []
        self._faults = no_faults()
        """What is reported with the next block."""
        self._engine: ReportingEngine
        self._schedule: Schedule

    def _open(self) -> None:
        self._schedule, self._waiting, self._unconfirmed = Schedule(), 0, False
        self._engine = ReportingEngine(
            FOLDER,
            self._genesis,
            NODE,
            LEDGER_SEED,
            clock=self._time.clock(),
            segment_bytes=self._segment_bytes,
            disk=self._disk,
            runner=self._schedule,
            idle_s=0,
            cadence=self._cadence,
        )
        self._engine.subscribe(self._on_durable)

    def _come_back(self) -> None:
        """Start again and compare: everything acknowledged is there, and nothing that was never sent."""
        self._acknowledged_before, refusals = self._acknowledged, self._disk.refusals
        try:
            self._open()
        except StorageError:
            if self._disk.refusals == refusals:
                raise
            self._see_to_the_disk()
            self._open()
        height = self._engine.height
        if height < self._acknowledged:
            raise Violation(f"block {self._acknowledged} was acknowledged, and the node starts at {height}")
        if height > len(self._played):
            raise Violation(
                f"the node starts at block {height}, of which nobody sent more than {len(self._played)}"
            )
        if height and self._engine.app_hash != self._played[height - 1].app_hash:
            raise Violation(f"block {height} is another one than was applied")
        self._engine.ledger.check_invariants()
        for lost in self._played[height:]:
            self._retries += lost.envelopes
        del self._played[height:]
        self._acknowledged = height

    def _kill(self) -> None:
        self._events["killed"] += 1
        self._disk.kill()
        self._come_back()

    def _restart_after_failure(self) -> None:
        self._see_to_the_disk()
        self._come_back()

    def _see_to_the_disk(self) -> None:
        """Do as an operator does before starting a node again."""
        self._disk.capacity, self._disk.failing_sync = None, False
        self._disk.kill()

    def _submit(self, envelopes: list[Envelope]) -> None:
        if self._waiting >= QUEUE_BLOCKS:
            self._write()
        expected_ns = max(self._time.wall_ns, self._engine.time_ns + 1)
        height, durable = self._engine.height, self._engine.durable_height
        self._engine.faults, self._faults = self._faults, no_faults()
        held = self._haste.random() < self._at_once
        try:
            block = self._engine.submit([envelope.order for envelope in envelopes], held=held)
        except DecodeError:
            if all(envelope.readable for envelope in envelopes) or self._engine.height != height:
                raise
            return
        except StorageError as error:
            if self._engine.height != height:
                raise Violation("what was refused became a block") from error
            self._retries += envelopes
            self._answer_refusal(error)
            return
        if not all(envelope.readable for envelope in envelopes):
            raise Violation("an Order that cannot be read again became a block")
        if block.time_ns != expected_ns:
            raise Violation(f"block {block.height} is of {block.time_ns}, the clock said {expected_ns}")
        self._played.append(
            Played(
                tuple(envelopes),
                durable,
                block.time_ns,
                self._engine.faults,
                block.receipts.copy(),
                block.state_root,
                block.app_hash,
            )
        )
        self._waiting += 1
        if held:
            self._commit(block)

    def _commit(self, block: CommittedBlock) -> None:
        """Have a block made durable by its sender; after a rest it waits for the journal's turn instead."""
        self._engine.commit()
        if self._engine.durable_height >= block.height:
            self._events["written at once"] += 1
            self._waiting, self._unconfirmed = 0, True

    def _write(self) -> None:
        """Give the journal its turn where it has something to do; otherwise it would wait for ever."""
        if self._waiting or self._unconfirmed:
            self._unconfirmed, self._waiting = bool(self._waiting), 0
            self._schedule.turn("journal")

    def _answer_refusal(self, error: StorageError) -> None:
        """Do what the operator does whom the refusal reached; a node that stopped is seen to later."""
        if error.code == "clock_jumped":
            self._guarded(self._kill)
        elif self._engine.failure is None:
            if not self._disk.refusals:
                raise error
            self._guarded(self._restart_after_failure)

    def _on_durable(self, block: CommittedBlock) -> None:
        if block.height != self._acknowledged + 1:
            raise Violation(f"block {block.height} was acknowledged after block {self._acknowledged}")
        if block.app_hash != self._played[block.height - 1].app_hash:
            raise Violation(f"block {block.height} was acknowledged as another one than was applied")
        self._acknowledged = block.height

    def _guarded(self, act: Callable[[], None]) -> None:
        """Act; where the power goes meanwhile, start again, as often as it takes."""
        try:
            act()
        except PowerCut:
            self._events["power cut"] += 1
            self._disk.cut_power()
            self._guarded(self._come_back)

    # What the senders see.

    def account(self, identity: AccountId) -> Any:
        return self._engine.ledger.account(identity)

    def keys(self, authority: AuthorityId) -> KeyRing | None:
        row = self._engine.ledger.authority_row(authority)
        return None if row == NO_ROW else key_ring(self._engine.ledger, row)

    @property
    def height(self) -> int:
        return self._engine.height

    def proposals(self) -> list[OpenProposal]:
        return proposals(self._engine.ledger)
