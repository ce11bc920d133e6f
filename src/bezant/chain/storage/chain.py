"""A ledger with its files: what every engine does once it is said what comes next, and when.

An engine `compose`s a block of Orders, `apply`s it, and has the `writer` make it durable. Everything else is
the same whoever orders: replaying on a start, snapshots, state roots, reading blocks back, and proofs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict

import numpy as np

from bezant.chain import leaves
from bezant.chain.balances import AccountEvidence
from bezant.chain.blocks import AppHash, CommittedBlock, StateRoot
from bezant.chain.checkpoints import Note
from bezant.chain.engine import Subscriber
from bezant.chain.kernels import load_kernels
from bezant.chain.receipts import Evidence
from bezant.chain.signatures import Checked, Signatures, gateway_accepted, gateway_keys
from bezant.chain.storage import frames
from bezant.chain.storage.background import Runner, run_in_thread
from bezant.chain.storage.base import Opening, opening_tables, read_base
from bezant.chain.storage.columns import Columns, batch_of, block_of, join_orders
from bezant.chain.storage.disk import Disk, SystemDisk
from bezant.chain.storage.earlier import Earlier
from bezant.chain.storage.files import Place
from bezant.chain.storage.frames import JournaledBlock
from bezant.chain.storage.journal import SEGMENT_BYTES
from bezant.chain.storage.offers import Offers
from bezant.chain.storage.originals import find_originals
from bezant.chain.storage.reader import BlockReader
from bezant.chain.storage.snapshot_writer import Cadence, SnapshotWriter
from bezant.chain.storage.snapshots import Arrays, Snapshots
from bezant.chain.storage.starting import start_chain
from bezant.chain.storage.state_roots import Taken, is_offered, is_request, standing_digest
from bezant.chain.storage.writer import Applied, BlockWriter
from bezant.errors import BezantError, InvariantViolation, JournalDamaged, NotFound
from bezant.ledger.batch import no_faults
from bezant.model.digest import Digests, as_rows
from bezant.model.genesis import Genesis, network_id
from bezant.model.identifiers import AccountId
from bezant.model.keys import SigningKey
from bezant.model.merkle import leaf_hashes, path
from bezant.model.orders import Order, signed_roots
from bezant.model.records import NO_ROW, RecordArray


@dataclass(frozen=True, slots=True)
class Composed:
    """A block that is not applied yet; `hashes` (n, 32) are its records' leaf hashes."""

    journaled: JournaledBlock
    columns: Columns
    hashes: Digests


class Options(TypedDict, total=False):
    """What `StoredChain` may be given beside folder, genesis and keys."""

    signatures: Signatures | None
    on_applied: Subscriber
    progress: Callable[[int], None]
    segment_bytes: int
    disk: Disk | None
    dump_companions: Callable[[], Arrays]
    load_companions: Callable[[Arrays], None]
    cadence: Cadence | None
    earlier: Path | None


class StoredChain:
    """One node's chain in a folder; engines inherit it and decide what it applies."""

    def __init__(
        self,
        folder: Path,
        genesis: Genesis,
        node_key: SigningKey,
        ledger_seed: bytes,
        *,
        signatures: Signatures | None = None,
        on_applied: Subscriber = lambda block: None,
        progress: Callable[[int], None] = lambda height: None,
        segment_bytes: int = SEGMENT_BYTES,
        disk: Disk | None = None,
        runner: Runner = run_in_thread,
        dump_companions: Callable[[], Arrays] = dict,
        load_companions: Callable[[Arrays], None] = lambda arrays: None,
        cadence: Cadence | None = None,
        earlier: Path | None = None,
    ) -> None:
        """Open the chain in `folder` and replay its journal.

        `on_applied` is called for every block, replayed or new, by the thread that applies it (learning).
        `progress` hears every height while replaying. What `dump_companions` returns goes into snapshots
        with the ledger, and `load_companions` is given it back on a restart that uses one; it refuses with
        a BezantError what it cannot use. `cadence` says how often snapshots are made. `earlier` is the folder
        of the ledger that the genesis goes on from, on the member that ran it.
        Raises: JournalDamaged, StorageError.
        """
        self.genesis = genesis
        self.network = network_id(genesis)
        self.signatures = signatures or Signatures(self.network)
        self._node_key, self._ledger_seed = node_key, ledger_seed
        self._on_applied = on_applied
        self._gateways = gateway_keys(genesis.gateways)
        disk = disk or SystemDisk()
        snapshots = Snapshots(folder / "snapshots", self.network, disk)
        place = Place(folder, genesis, segment_bytes, disk, runner)
        self._base = partial(read_base, folder, genesis, disk)
        base = self._base()
        self.begins_behind = base.position.height if base else 0
        """The block that this node's chain begins behind: 0, or the one of the snapshot it began at."""
        start = start_chain(snapshots, place, base, ledger_seed, load_companions)
        self.ledger, self._roots, self._files = start.ledger, start.roots, start.files
        self.height = start.height
        """The last height applied; durable a moment later."""
        self.time_ns, self._app = start.time_ns, AppHash.known(start.app_hash)
        self._journal, self._archive = self._files.journal, self._files.archive
        self._snapshots = SnapshotWriter(
            snapshots, self._files, dump_companions, cadence or Cadence(), runner
        )
        self.offers = Offers(folder / "offers", self._files, self.network, disk, runner)
        self._reader = BlockReader(self._files, self.ledger, node_key, ledger_seed)
        self._reading = self._reader.reading
        self._writer = BlockWriter(self.network, self._files, self._reading, self._snapshots, self.offers)
        self._earlier: Earlier | None = None
        self._closed = False
        try:
            if earlier is not None:
                self._earlier = Earlier(earlier, genesis, self.ledger, node_key, ledger_seed)
            self._replay(progress)
        except BaseException:
            self._files.close()
            raise
        if genesis.snapshot_interval:
            self.offers.resume(self.height)

    def start(self) -> None:
        """Begin: nothing more is needed where no other node decides."""

    def load_kernels(self) -> None:
        """Load compiled code now: the first block would have to wait for it."""
        load_kernels(self.genesis)

    def subscribe(self, subscriber: Subscriber) -> None:
        self._writer.subscribers.append(subscriber)

    def watch_failure(self, listener: Callable[[BezantError], None]) -> None:
        """Have `listener` told, once, when the engine can go on no more."""
        self._writer.on_failure.append(listener)

    def blocks_from(self, height: int) -> Iterator[CommittedBlock]:
        for number in range(max(height, self.first_height), self._journal.durable_height + 1):
            earlier = self._earlier if number <= self.begins_behind else None
            yield (earlier or self._reader).load(number)

    @property
    def first_height(self) -> int:
        """The first block that this node has: 1, but where its chain began at a snapshot."""
        return 1 if self._earlier is not None else self.begins_behind + 1

    def opening(self) -> Opening | None:
        """Return what the ledger was where its chain begins behind a block, None where with block 1.

        Raises: StorageError.
        """
        base = self._base()
        return None if base is None else Opening(base.position, opening_tables(base, self.genesis))

    def receipts_until(self, height: int) -> int:
        """Return how many receipts the blocks up to a durable height have."""
        return self._reader.receipts_until(height)

    def app_hash_at(self, height: int) -> bytes:
        """Return the app hash after a durable block. Raises: NotFound."""
        return self._reader.app_hash(height)

    def state_root_in(self, height: int) -> StateRoot | None:
        """Return the state root that a durable block's app hash covers, if it does. Raises: NotFound."""
        return self._reader.state_root_in(height)

    def height_at(self, time_ns: int) -> int:
        """Return the last block that is not younger than a time, 0 where all are."""
        return self._reader.height_at(time_ns)

    def find(self, payment: int) -> Evidence:
        """Return a record and its answer with the way up to its block. Raises: NotFound."""
        try:
            return self._reader.payment(payment)
        except NotFound as error:
            if error.code != "before_beginning" or self._earlier is None:
                raise
            return self._earlier.payment(payment)

    def prove(self, payment: int) -> Evidence:
        """Return everything a receipt file needs; here the node's own seal vouches. Raises: NotFound."""
        return self.find(payment)

    def prove_account(self, account: AccountId) -> AccountEvidence:
        """Return an account as the last covered state root has it. Raises: NotFound."""
        row = self.account_row(account)
        return self._reader.account(account, self._roots.prove(row))

    def account_row(self, account: AccountId) -> int:
        """Return the row of an account. Raises: NotFound."""
        row = self.ledger.account_row(account)
        if row == NO_ROW:
            raise NotFound(f"there is no account {account:032x}", code="account_unknown", param="account")
        return row

    def wait_durable(self, height: int, timeout_s: float | None = None) -> None:
        """Return once block `height` is durable. Raises: what stopped the engine; UnknownOutcome."""
        self._writer.wait_durable(height, timeout_s)

    def close(self) -> None:
        """Close the files, after a last snapshot where replaying what came since would take long.

        The engine has stopped writing by then.
        """
        if not self._closed:
            self._closed = True
            if self.failure is None:
                self._snapshots.close(self.time_ns, self.app_hash, self._roots, self.ledger)
            self.offers.close()
        self._files.close()
        if self._earlier is not None:
            self._earlier.close()

    def checkpoint(self, height: int | None = None) -> Note:
        """Return the signed checkpoint of the first `height` blocks, or of all that are durable.

        Raises: NotFound where there is no such durable block.
        """
        return self._reader.checkpoint(height)

    def prove_consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the first `new` blocks begin with the first `old`. Raises: NotFound."""
        return self._reader.consistency(old, new)

    def prove_block(self, height: int, size: int) -> list[bytes]:
        """Return the path from block `height` to the root of the first `size`. Raises: NotFound."""
        return self._reader.inclusion(height, size)

    @property
    def app_hash(self) -> bytes:
        """The app hash after `height`."""
        return self._app.value

    @property
    def durable_height(self) -> int:
        return self._journal.durable_height

    @property
    def failure(self) -> BezantError | None:
        """What stopped the engine, if anything has."""
        return self._writer.failure

    # Applying.

    def compose(
        self,
        orders: Sequence[Order],
        time_ns: int,
        record_hashes: Digests | None = None,
        checked: Checked | None = None,
        accepted: Sequence[bool] | None = None,
        faults: RecordArray | None = None,
    ) -> Composed:
        """Return the next block: Orders, and what was found of their signatures and of what they name.

        `record_hashes` (n, 32), `checked` and `accepted` (a gateway's signature each) where they are known;
        `faults` are those of validators that come with it.
        """
        columns = join_orders(orders)
        hashes = leaf_hashes(as_rows(columns.records)) if record_hashes is None else record_hashes
        if checked is None or checked.keys_version != self.ledger.keys_version:
            roots = signed_roots(columns.authorisations, hashes)
            checked = self.signatures.check(self.ledger, columns.authorisations, roots, checked)
        if accepted is None:
            accepted = [gateway_accepted(self.network, self._gateways, order) for order in orders]
        per_order = np.repeat(np.array(accepted, np.uint8), [len(o.authorisations) for o in orders])
        with self._reading:
            originals = find_originals(
                columns.records, self._archive, self.ledger.accounts, self.durable_height
            )
        journaled = JournaledBlock(
            self.height + 1,
            time_ns,
            self._app,
            tuple(orders),
            checked.authentic,
            per_order,
            originals,
            no_faults() if faults is None else faults,
        )
        return Composed(journaled, columns, hashes)

    @property
    def still(self) -> AbstractContextManager[object]:
        """Nothing to hold: what reads the ledger in front of an Order is on the thread that applies it."""
        return nullcontext()

    def apply(self, composed: Composed) -> Applied:
        """Apply the next block. Where that fails the engine stops: it may be half in memory, and nothing
        may follow it."""
        try:
            return Applied(composed.journaled, self._apply(composed))
        except Exception as error:
            self._writer.fail(f"applying block {composed.journaled.height}", error)
            raise

    def _apply(self, composed: Composed) -> CommittedBlock:
        journaled, columns, hashes = composed.journaled, composed.columns, composed.hashes
        receipts = self.ledger.apply(batch_of(journaled, columns, hashes))
        asked = is_request(self.genesis, journaled)
        offered = self._cover(journaled, columns, receipts) if is_offered(self.genesis, journaled) else None
        state = offered.state if offered else self._roots.due(journaled.height, asked=asked)
        # The accounts as they are now: a table that grows is another one, and ids of rows never change.
        self._app = leaves.commit_to(
            self._app, receipts, hashes, columns.decisions, self._ledger_seed, self.ledger.accounts, state
        )
        self.time_ns, self.height = journaled.time_ns, journaled.height
        block = block_of(journaled, columns, receipts, self._app, state)
        self._on_applied(block)
        self._snapshots.count(block)
        if offered is not None:
            self.offers.begin(block, offered.tables, self._path_to_state(block, hashes))
            return block
        taken = self._roots.applied(block, asked=asked, keep=self._snapshots.is_due)
        if taken is not None and taken.kept:
            self._snapshots.begin(block, taken)
        return block

    def _cover(self, journaled: JournaledBlock, columns: Columns, receipts: RecordArray) -> Taken:
        """Have the app hash of a block cover the state after it: new members may begin there."""
        answers, height = self._files.answers, journaled.height
        if answers is None or answers.size != height - 1:
            raise InvariantViolation(f"block {height} is applied before the one in front of it was kept")
        standing = standing_digest(height, journaled.time_ns, answers.root(), receipts)
        return self._roots.cover(height, columns.records, receipts, standing)

    def _path_to_state(self, block: CommittedBlock, hashes: Digests) -> list[bytes]:
        """Return the path from the state root of a block, its last leaf, to the root over its leaves."""
        built = leaves.build_leaves(
            block.receipts, hashes, block.decisions, self._ledger_seed, self.ledger.accounts, block.state_root
        )
        return path(leaves.hash_leaves(built), len(built) - 1)

    def keep(self, applied: Applied) -> None:
        """Make one block durable now and tell its subscribers. Where that fails the engine stops."""
        try:
            self._writer.write([applied])
        except Exception as error:
            self._writer.fail("writing the journal", error)
            raise
        finally:
            self._writer.wake()

    # Starting.

    def _replay(self, progress: Callable[[int], None]) -> None:
        for frame in self._journal.recover():
            journaled = frames.decode_block(frame.body, self.network)
            if journaled.previous_app_hash != self.app_hash or journaled.height != frame.height:
                raise JournalDamaged(
                    f"block {frame.height} does not follow from the blocks before it: replay gives "
                    f"{self.app_hash.hex()[:16]}, the block expects "
                    f"{journaled.previous_app_hash.hex()[:16]}. Restore the journal and the node's keys "
                    "from the same backup",
                    code="history_differs",
                )
            columns = join_orders(journaled.orders)
            hashes = leaf_hashes(as_rows(columns.records))
            self._writer.file(self._apply(Composed(journaled, columns, hashes)))
            progress(frame.height)
