"""An audit: everything recomputed from the journal, and where what lies in the folder begins to differ.

The journal alone says what was ordered. Signatures are verified again under the keys of their time, every
decision is taken again, and each file that is derived from it is compared with what it must hold, block by
block: receipts, app hashes, history tree, places, state roots, snapshots, checkpoints. A difference names
the first block of its file, and in it the record and the field. Nothing is changed.

It takes the node's blinding secret, without which nobody can recompute the leaves. Not looked at: the
vault, and the features that lie beside the ledger in snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.chain import history
from bezant.chain.auditing.beginning import checkpoint_at, find_beginning
from bezant.chain.auditing.differences import Difference, Report, first_field, shown
from bezant.chain.auditing.replica import Recomputed, Replica
from bezant.chain.checkpoints import Checkpoint, Note, is_signed, parse_note
from bezant.chain.signatures import Signatures, gateway_accepted, gateway_keys
from bezant.chain.storage import frames
from bezant.chain.storage.archive import ENTRY, ReceiptArchive
from bezant.chain.storage.columns import Columns, join_orders
from bezant.chain.storage.disk import ReadOnlyDisk
from bezant.chain.storage.frames import JournaledBlock
from bezant.chain.storage.journal import PLACE, SEGMENT_BYTES, Journal
from bezant.chain.storage.originals import find_originals
from bezant.chain.storage.rows import RowFile
from bezant.chain.storage.snapshots import OTHER_LAYOUT, Snapshots
from bezant.chain.storage.tree_file import NODE, HistoryTree, place
from bezant.errors import DecodeError, InvariantViolation, JournalDamaged, ProofError, StorageError
from bezant.ledger import state as layout
from bezant.model.digest import Digests, as_rows
from bezant.model.genesis import Genesis, network_id
from bezant.model.merkle import leaf_hashes
from bezant.model.orders import signed_roots
from bezant.model.records import RECEIPT, RecordArray, names_original

THREADS = 2
Progress = Callable[[int, int], None]
"""Hears how many blocks are done, and of how many."""


class Audit:
    """One look through the chain of a stopped node."""

    def __init__(
        self,
        folder: Path,
        genesis: Genesis,
        ledger_seed: bytes,
        *,
        first: int = 1,
        last: int | None = None,
        known: Sequence[Note] = (),
        executor: Executor | None = None,
    ) -> None:
        """`first` and `last` bound what is compared; all before is recomputed too, but its signatures are
        taken as the journal says. `known` are checkpoints kept by whoever audits; all are compared."""
        self._folder, self._genesis, self._seed = folder, genesis, ledger_seed
        self._network = network_id(genesis)
        self._first, self._last = first, last
        self._disk = ReadOnlyDisk()
        self._signatures = Signatures(self._network, executor, THREADS, remembers=False)
        self._gateways = gateway_keys(genesis.gateways)
        self._replica = Replica(genesis, ledger_seed)
        self._report = Report(self._network.hex(), first, 0)
        self._known = tuple(known)

    def run(self, progress: Progress = lambda done, total: None) -> Report:
        """Return the report. Raises: StorageError where there is no chain, or none of this network."""
        self._open()
        for journaled in self._blocks():
            height = journaled.height
            compared = height >= self._first
            columns = join_orders(journaled.orders)
            hashes = leaf_hashes(as_rows(columns.records))
            if compared:
                self._check_signatures(journaled, columns, hashes)
            try:
                made = self._replica.apply(journaled, columns, hashes)
            except InvariantViolation as error:
                self._differ(height, "journal", "invariant", str(error), "all invariants hold")
                break
            if compared:
                self._compare(made)
                self._report.last = height
            for name, note in self._notes.get(height, ()):
                self._compare_checkpoint(name, note)
            progress(height, self._total)
            if height == self._last:
                break
        return self._close()

    # The journal.

    def _open(self) -> None:
        folder, disk = self._folder, self._disk
        if not (folder / "journal").is_dir():
            raise StorageError(f"{folder} has no journal to audit", code="nothing_to_audit")
        base = find_beginning(folder, self._genesis, self._seed, disk)
        if base is not None:
            self._replica.begin(base)
            self._report.begins_behind = self._replica.height
            self._report.first = max(self._first, self._replica.height + 1)
        behind = self._replica.height
        self._journal = Journal(
            folder / "journal", self._network, segment_bytes=SEGMENT_BYTES, disk=disk, base=behind
        )
        self._tables = {
            name: _rows(folder / name, dtype, disk, first)
            for name, dtype, first in (
                ("receipts.log", RECEIPT, 0),
                ("blocks.log", ENTRY, 0),
                ("history.tree", NODE, 0),
                ("places.log", PLACE, behind),
            )
        }
        self._total = max(len(self._tables["blocks.log"]), 1) if self._last is None else self._last
        self._snapshots = Snapshots(folder / "snapshots", self._network, disk)
        self._snapshot_at = {int(path.stem): path for path in self._snapshots.paths()}
        self._notes = self._kept_notes()
        for height in sorted(height for height in self._notes if 1 <= height <= behind):
            for name, note in self._notes[height]:
                right = checkpoint_at(folder, self._genesis, height, note.checkpoint.network, disk)
                self._compare_note(name, note, right)

    def _blocks(self) -> Iterator[JournaledBlock]:
        """Yield the blocks as far as they can be read and follow from one another."""
        try:
            for frame in self._journal.survey():
                journaled = frames.decode_block(frame.body, self._network)
                expected = self._replica.height + 1, self._replica.app_hash.hex()
                for name, found, right in (
                    ("height", journaled.height, expected[0]),
                    ("previous_app_hash", journaled.previous_app_hash.hex(), expected[1]),
                ):
                    if found != right:
                        self._differ(frame.height, "journal", name, str(found), str(right))
                        return
                yield journaled
        except (JournalDamaged, DecodeError) as error:
            if error.code == "other_network":
                raise
            self._differ(self._replica.height + 1, "journal", "frame", error.message, "an intact frame")

    def _check_signatures(self, journaled: JournaledBlock, columns: Columns, hashes: Digests) -> None:
        """Verify what the block says of its signatures, gateways and reversed payments."""
        covering, ledger = columns.authorisations, self._replica.ledger
        self._report.signatures += len(covering)
        authentic = self._signatures.check(ledger, covering, signed_roots(covering, hashes)).authentic
        accepted = np.repeat(
            np.array(
                [gateway_accepted(self._network, self._gateways, o) for o in journaled.orders], np.uint8
            ),
            [len(order.authorisations) for order in journaled.orders],
        )
        for name, found, right in (
            ("authentic", journaled.authentic, authentic),
            ("accepted", journaled.accepted, accepted),
        ):
            for row in np.flatnonzero(found != right)[:1].tolist():
                first = int(covering["first"][row])
                self._differ(journaled.height, "journal", name, str(found[row]), str(right[row]), first)
        naming = np.flatnonzero(names_original(columns.records))
        if len(naming) and not (self._differs("blocks.log") or self._differs("receipts.log")):
            self._check_originals(journaled, columns.records, naming.tolist())

    def _check_originals(
        self, journaled: JournaledBlock, records: RecordArray, naming: Sequence[int]
    ) -> None:
        """Look up again what records name as their original, in the receipts compared so far."""
        height, accounts = self._replica.height, self._replica.ledger.accounts
        archive = ReceiptArchive(
            self._folder, self._genesis.rules, self._disk, blocks=height, rows=self._replica.rows
        )
        known = find_originals(records, archive, accounts, height)
        archive.close()
        # One that was not durable yet when the record was ordered did not count.
        claimed = journaled.originals["asset"] != 0
        for row in np.flatnonzero((journaled.originals != known) & claimed)[:1].tolist():
            column, found, right = first_field(journaled.originals[row], known[row])
            self._differ(journaled.height, "journal", f"original.{column}", found, right, naming[row])

    # What is derived from it.

    def _compare(self, made: Recomputed) -> None:
        block = made.block
        height = block.height
        self._report.records += len(block.records)
        self._report.state_roots += block.state_root is not None
        entry = self._replica.entry
        first = int(entry["first"][0])
        self._compare_rows("receipts.log", height, first, block.receipts, block.system_count)
        self._compare_rows("blocks.log", height, height - 1, entry)
        nodes = np.frombuffer(b"".join(made.nodes), NODE)
        self._compare_rows("history.tree", height, place(height - 1), nodes)
        where = self._journal.place(height)
        self._compare_rows("places.log", height, height - 1, where)
        if height in self._snapshot_at:
            self._compare_snapshot(self._snapshot_at[height], height)

    def _compare_rows(
        self, name: str, height: int, first: int, rows: npt.NDArray[Any], system: int | None = None
    ) -> None:
        """Compare rows of a file; `system` of a block's receipts answer no record."""
        if self._differs(name):
            return
        try:
            found = self._tables[name].read(first, len(rows))
        except StorageError as error:
            self._differ(height, name, "rows", error.message, f"{len(rows)} rows from row {first} on")
            return
        if found.tobytes() == rows.tobytes():
            return
        at = int(np.flatnonzero(found != rows)[0])
        column, was, right = first_field(found[at], rows[at])
        record = None if system is None or at < system else at - system
        self._differ(height, name, column, was, right, record)

    def _compare_snapshot(self, path: Path, height: int) -> None:
        try:
            snapshot = self._snapshots.read(path)
        except StorageError as error:
            # One that an upgrade left behind cannot be compared, and no node will ever use it.
            if error.code != OTHER_LAYOUT:
                self._differ(height, path.name, "checksum", error.message, "a whole snapshot")
            return
        self._report.snapshots += 1
        at, replica = snapshot.position, self._replica
        waiting = replica.roots.settle()
        stands = self._journal.end_of(height)
        for name, found, right in (
            ("time_ns", at.time_ns, replica.time_ns),
            ("app_hash", at.app_hash.hex(), replica.app_hash.hex()),
            ("history_root", at.history_root.hex(), replica.history.root().hex()),
            ("receipts", at.receipts, replica.rows),
            ("segment", at.segment, stands.segment),
            ("offset", at.offset, stands.offset),
            ("waiting", at.waiting, waiting),
        ):
            if found != right:
                self._differ(height, path.name, name, str(found), str(right))
                return
        for name, rows in layout.tables(replica.ledger.state).items():
            held = snapshot.tables.get(name)
            if held is None or held.dtype != rows.dtype or held.shape != rows.shape:
                self._differ(height, path.name, name, "absent, or of another shape", f"{len(rows)} rows")
                return
            if held.tobytes() != rows.tobytes():
                row = int(np.flatnonzero(held != rows)[0])
                column, was, right = first_field(held[row], rows[row])
                self._differ(height, path.name, f"{name}[{row}].{column}", was, right)
                return

    # Checkpoints.

    def _kept_notes(self) -> dict[int, list[tuple[str, Note]]]:
        """Return the checkpoints to compare, by height: those given, and those in the folder."""
        found: dict[int, list[tuple[str, Note]]] = {}
        for note in self._known:
            found.setdefault(note.checkpoint.height, []).append(("checkpoint given", note))
        folder = self._folder / "checkpoints"
        for path in sorted(folder.glob("*.note")) if folder.is_dir() else ():
            try:
                note = parse_note(path.read_bytes())
            except ProofError as error:
                height = int(path.stem) if path.stem.isdecimal() else 0
                self._differ(height, path.name, "note", error.message, "a signed checkpoint")
            else:
                found.setdefault(note.checkpoint.height, []).append((path.name, note))
        return found

    def _compare_checkpoint(self, name: str, note: Note) -> None:
        """Compare a signed checkpoint with the history recomputed up to its height."""
        replica = self._replica
        covered = replica.covered
        right = Checkpoint(
            self._network,
            replica.height,
            replica.history.root(),
            replica.time_ns,
            replica.app_hash,
            covered.height if covered else 0,
            covered.root if covered else bytes(32),
        )
        self._compare_note(name, note, right)

    def _compare_note(self, name: str, note: Note, right: Checkpoint) -> None:
        self._report.checkpoints += 1
        made = note.checkpoint
        if made != right:
            pairs = ((one, getattr(made, one), getattr(right, one)) for one in Checkpoint.__slots__)
            field_name, was, expected = next(pair for pair in pairs if pair[1] != pair[2])
            self._differ(right.height, name, field_name, shown(was), shown(expected))
        elif not any(is_signed(note, bytes.fromhex(key)) for key in self._genesis.sealers):
            self._differ(right.height, name, "signature", "by nobody whom the genesis names", "a sealer's")

    def _prove_consistency(self) -> None:
        """Show with the tree in the folder that this history begins with the oldest checkpoint given."""
        if not self._known or not self._report.last:
            return
        oldest = min((note.checkpoint for note in self._known), key=lambda made: made.height)
        size = self._replica.height
        if oldest.height > size:
            told = f"the audit ended at block {size}"
            self._differ(size + 1, "checkpoint given", "height", told, f"block {oldest.height}")
            return
        try:
            tree = HistoryTree(self._folder / "history.tree", self._disk, size)
            path = history.consistency_path(tree, oldest.height, size) if oldest.height else []
            tree.close()
        except StorageError:
            return
        if history.is_consistent(oldest.height, size, oldest.root, self._replica.history.root(), path):
            self._report.consistent_since = oldest.height
        elif not self._report.differences:
            told = f"no proof from block {oldest.height} to {size}"
            self._differ(oldest.height, "history.tree", "consistency", told, "a tree that proves it")

    # Reporting.

    def _differs(self, name: str) -> bool:
        return any(one.file == name for one in self._report.differences)

    def _differ(
        self, block: int, file: str, column: str, found: str, expected: str, record: int | None = None
    ) -> None:
        """Keep the first difference of each file."""
        if not self._differs(file):
            self._report.differences.append(Difference(block, file, column, found, expected, record))

    def _close(self) -> Report:
        report = self._report
        if not report.differences:
            try:
                self._replica.ledger.check_invariants()
            except InvariantViolation as error:
                self._differ(report.last, "journal", "invariant", str(error), "all invariants hold")
        reached, ends = self._replica.height, f"the journal ends at block {self._replica.height}"
        if self._last is not None and reached < self._last and not self._differs("journal"):
            self._differ(reached + 1, "journal", "height", ends, f"block {self._last}")
        for height, path in self._snapshot_at.items():
            if self._last is None and height > reached:
                self._differ(reached + 1, path.name, "height", str(height), ends)
        for height, notes in sorted(self._notes.items()):
            # What was signed and is not in the journal was cut off it, whatever else still fits.
            if height > reached and (self._last is None or height <= self._last):
                for name, _ in notes:
                    self._differ(reached + 1, name, "height", ends, f"block {height}")
        self._prove_consistency()
        report.app_hash, report.history_root = (
            self._replica.app_hash.hex(),
            self._replica.history.root().hex(),
        )
        report.differences.sort(key=lambda one: one.block)
        self._journal.close()
        for table in self._tables.values():
            table.close()
        return report


def _rows(path: Path, dtype: np.dtype[Any], disk: ReadOnlyDisk, first: int) -> RowFile:
    """Return the rows that a file has, numbered from `first` on; none where it is missing."""
    size = path.stat().st_size if path.exists() else 0
    return RowFile(path, dtype, disk, keep=first + size // dtype.itemsize, first=first)
