"""One run: a node lives through what its seed draws, and is judged in the end.

The simulation plays every part but the node's: it sends, gives the tasks their turns, lets time pass or
jump, fills the disk, fails a sync, flips a bit, ends the process or the machine in the middle of a call,
and starts the node again as an operator would.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from bezant.chain.receipts import build_receipt, render_receipt, verify_receipt
from bezant.errors import JournalDamaged, StorageError
from bezant.ledger import state as layout
from bezant.ledger.batch import NS_PER_S
from bezant.model.outcomes import Outcome
from bezant.model.records import id_of
from bezant.testing.simulator import flips, hostile, kinds
from bezant.testing.simulator.checks import (
    Violation,
    check_effects,
    check_history,
    check_pot,
    check_same_state,
)
from bezant.testing.simulator.life import FOLDER, LEDGER_SEED, Life
from bezant.testing.simulator.networks import some_faults

STEPS = 60
FEW_BLOCKS = 40


@dataclass(frozen=True, slots=True)
class Report:
    """What happened in a run that broke no promise."""

    seed: int
    trace: int
    """A checksum over every call to the disk; the same for every run of the seed."""
    calls: int
    """How many there were."""
    blocks: int
    events: Counter[str]
    outcomes: Counter[str]


class Simulation(Life):
    """One seed; `play` it once."""

    def __init__(
        self, seed: int, steps: int = STEPS, *, trouble: bool = True, cut_in: int | None = None
    ) -> None:
        """`trouble` False draws none of it; `cut_in` takes the power away after so many calls."""
        super().__init__(seed, cut_in)
        self._steps, self._trouble = steps, trouble

    def play(self) -> Report:
        """Live through the seed. Raises: Violation, or whatever the node must not raise."""
        self._guarded(self._open)
        self._guarded(lambda: self._submit([self._workload.opening()]))
        actions, weights = self._draw_actions()
        for _ in range(self._steps):
            self._guarded(self._rng.choices(actions, weights)[0])
            if self._engine.failure is not None:
                self._events["engine stopped"] += 1
                self._guarded(self._restart_after_failure)
        self._finish()
        outcomes: Counter[str] = Counter()
        for block in self._played:
            outcomes.update(Outcome(int(code)).label for code in block.receipts["outcome"])
        return Report(
            self.seed, self._disk.trace, self._disk.calls, len(self._played), self._events, outcomes
        )

    # What may happen, and how often in this seed.

    def _draw_actions(self) -> tuple[list[Callable[[], None]], list[int]]:
        """Return every action with its weight; each kind of trouble is absent from some seeds."""
        usual = [(self._send, 40), (self._write, 30), (self._fill_spare, 6), (self._pass_time, 12)]
        trouble = [
            (self._send_again, 5),
            (self._send_hostile, 8),
            (self._arm_power_cut, 5),
            (self._kill, 2),
            (self._restart, 2),
            (self._jump, 4),
            (self._fill_disk, 3),
            (self._slow_disk, 2),
            (self._fail_sync, 2),
            (self._flip_while_running, 3),
            (self._flip_while_down, 3),
            (self._read_back, 3),
        ]
        if self._genesis.validators:
            usual += [(self._pass_blocks, 8), (self._report_faults, 7)]
        chosen = usual + [
            (act, weight) for act, weight in trouble if self._rng.random() < 0.7 * self._trouble
        ]
        return [act for act, _ in chosen], [weight for _, weight in chosen]

    def _send(self) -> None:
        self._submit([self._workload.envelope(kinds.draw) for _ in range(self._rng.randint(1, 2))])

    def _send_again(self) -> None:
        """Senders without an answer ask again, in any order; the others do so by mistake."""
        if self._retries:
            self._rng.shuffle(self._retries)
            again, self._retries = self._retries[:3], self._retries[3:]
        else:
            again = list(self._rng.choice(self._played).envelopes) if self._played else []
        self._events["sent again"] += 1
        self._submit(again)

    def _send_hostile(self) -> None:
        envelope = self._workload.envelope(kinds.draw)
        arrived = hostile.twisted(self._rng, self._workload.network, envelope)
        self._events["hostile"] += 1
        if arrived is not None:
            self._submit([arrived])

    def _fill_spare(self) -> None:
        self._schedule.turn("journal-spare")

    def _pass_time(self) -> None:
        self._time.advance(int(self._rng.choice((0.001, 0.5, 2, 9, 30)) * NS_PER_S))

    def _pass_blocks(self) -> None:
        """Nothing is asked for until the next accepted change is in force, where that is soon."""
        left = [one.height - self.height for one in self.proposals() if one.accepted]
        soon = [blocks for blocks in left if blocks < FEW_BLOCKS]
        for _ in range(max(min(soon), 0) + 1 if soon else 2):
            self._submit([])

    def _report_faults(self) -> None:
        """Validators misbehave in one block, or in some."""
        for _ in range(self._rng.randint(1, 2)):
            self._events["faults reported"] += 1
            self._faults = some_faults(self._rng)
            self._submit([])

    def _jump(self) -> None:
        """Step the wall clock; beyond the bound no block may be made until the operator has looked."""
        seconds = self._rng.choice((-50, -5, 5, 45, 3_600))
        self._events["clock jumped"] += 1
        self._time.jump(seconds * NS_PER_S)
        if seconds < 3_600:
            return
        before = self._engine.height
        try:
            self._engine.submit([])
        except StorageError as error:
            disk_first = self._disk.refusals and error.code in ("disk_full", "storage_failed")
            if (error.code != "clock_jumped" and not disk_first) or self._engine.height != before:
                raise Violation(f"a leap of the clock was answered {error.code}") from error
        else:
            raise Violation("a block was made although the clock leapt by an hour")
        if self._rng.random() < 0.7:
            self._time.jump(-seconds * NS_PER_S)
        else:
            self._restart()

    def _fill_disk(self) -> None:
        used = sum(len(data) for data in self._disk.snapshot().values())
        self._events["disk full"] += 1
        self._disk.capacity = used + self._rng.randrange(3 * self._segment_bytes)

    def _slow_disk(self) -> None:
        self._events["disk slow"] += 1
        self._disk.latency_ns = self._rng.choice((0, 1_000_000, 80_000_000))

    def _fail_sync(self) -> None:
        self._events["sync failed"] += 1
        self._disk.failing_sync = True

    def _arm_power_cut(self) -> None:
        self._disk.cut_in = self._rng.randrange(40)

    def _restart(self) -> None:
        """Stop in order and start again: the same state, table for table."""
        self._waiting = 0
        self._engine.close()
        if self._engine.failure is not None:
            return
        if self._acknowledged != len(self._played):
            raise Violation("the node stopped before it had acknowledged everything")
        before = layout.dump(self._engine.ledger.state)
        self._events["restarted"] += 1
        self._disk.kill()
        self._come_back()
        check_same_state(before, self._engine.ledger)

    def _flip_while_running(self) -> None:
        """A bit of something durable turns round: reading it says so, with file and byte."""
        place = flips.in_acknowledged(self._rng, self._disk, FOLDER / "journal", self._acknowledged)
        if place is None:
            return
        self._events["bit flipped"] += 1
        place.flip(self._disk)
        try:
            self._expect_unreadable(place)
        finally:
            place.flip(self._disk)

    def _expect_unreadable(self, place: flips.Place) -> None:
        try:
            next(self._engine.blocks_from(place.height))
        except JournalDamaged as error:
            flips.check_named(error, place)
        else:
            raise Violation(f"block {place.height} was read although {place} is damaged")

    def _flip_while_down(self) -> None:
        """A bit turns round while the node is down; the start refuses, or reading it does."""
        self._events["bit flipped while down"] += 1
        self._disk.cut_in = None
        self._disk.kill() if self._rng.random() < 0.5 else self._disk.cut_power()
        if self._rng.random() < 0.25:
            place = flips.in_any_file(self._rng, self._disk, FOLDER / "snapshots")
        else:
            place = flips.anywhere(self._rng, self._disk, FOLDER / "journal", self._acknowledged)
        if place is None:
            self._come_back()
            return
        place.flip(self._disk)
        before = self._disk.snapshot()
        try:
            self._come_back()
        except JournalDamaged as error:
            self._events["damage refused"] += 1
            flips.check_named(error, place)
            # Of the rest, snapshots that could not be used are deleted, and what is derived is made again.
            journal = FOLDER / "journal"
            if {p: d for p, d in self._disk.snapshot().items() if p.parent == journal} != {
                p: d for p, d in before.items() if p.parent == journal
            }:
                raise Violation("a refusal changed the journal") from error
            place.flip(self._disk)
            self._disk.kill()
            self._come_back()
        else:
            if 0 < place.height <= self._acknowledged_before:
                # A start from a snapshot does not read what is behind it; whoever asks for it is told.
                self._events["damage behind a snapshot"] += 1
                self._expect_unreadable(place)
                place.flip(self._disk)

    def _read_back(self) -> None:
        """What is durable reads as it was answered, and a receipt of it verifies."""
        if not self._acknowledged:
            return
        height = self._rng.randint(1, self._acknowledged)
        block = next(self._engine.blocks_from(height))
        if block.receipts.tobytes() != self._played[height - 1].receipts.tobytes():
            raise Violation(f"block {height} reads otherwise than it was answered")
        effects = block.receipts[block.system_count :]["outcome"] < Outcome.MALFORMED
        if not effects.any() or self._rng.random() < 0.5 or self._genesis.validators:
            # Where validators vote it takes their votes to prove one, and there are none here.
            return
        evidence = self._engine.prove(id_of(self._rng.choice(block.records[effects]), "id"))
        verify_receipt(render_receipt(build_receipt(evidence)), genesis_hash=self._workload.network.hex())

    def _finish(self) -> None:
        """See to every trouble, send what is still to be sent, stop in order, and judge."""
        self._disk.capacity, self._disk.latency_ns, self._disk.failing_sync = None, 0, False
        if self._retries:
            self._guarded(lambda: self._submit(self._retries[:4]))
        self._guarded(self._restart)
        self._guarded(self._restart)
        check_effects(self._played)
        check_pot(self._genesis, self._played, self._engine.ledger)
        check_history(self._genesis, LEDGER_SEED, self._played, self._engine.ledger)
        self._guarded(self._engine.close)
