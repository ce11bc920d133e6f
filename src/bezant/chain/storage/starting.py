"""Where a chain goes on at a start: behind the newest snapshot that can be used, or where it begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bezant.chain.storage.base import check_base, opening_tables
from bezant.chain.storage.files import ChainFiles, Place, candidates
from bezant.chain.storage.snapshots import Arrays, Snapshot, Snapshots
from bezant.chain.storage.state_roots import StateRoots
from bezant.errors import BezantError, InvariantViolation, StorageError
from bezant.ledger import state as layout
from bezant.ledger.columnar import ColumnarLedger


@dataclass(slots=True)
class Start:
    """The files, opened where the ledger stands; what the journal has behind that is to be replayed."""

    files: ChainFiles
    ledger: ColumnarLedger
    roots: StateRoots
    height: int = 0
    time_ns: int = 0
    app_hash: bytes = bytes(32)


def start_chain(
    snapshots: Snapshots,
    place: Place,
    base: Snapshot | None,
    ledger_seed: bytes,
    load_companions: Callable[[Arrays], None],
) -> Start:
    """Return where to go on; `base` is what the chain begins behind, where it does not begin with block 1.

    Raises: StorageError, ``base_unusable`` where nobody vouched for what it begins behind.
    """
    for files, snapshot in candidates(snapshots, place, base):
        ledger = ColumnarLedger(place.genesis)
        roots = StateRoots(ledger, ledger_seed, place.genesis.rules.checkpoint_interval, place.runner)
        start = Start(files, ledger, roots)
        try:
            if snapshot is base and base is not None:
                _begin_behind(base, start, ledger_seed)
            elif snapshot is not None:
                _restore(snapshot, start)
                load_companions(snapshot.companions)
        except BezantError:
            files.close()
            if snapshot is base:
                raise
            continue
        return start
    raise StorageError("there is nothing to open")


def _begin_behind(base: Snapshot, start: Start, ledger_seed: bytes) -> None:
    """Be where the chain begins. Raises: StorageError where that is not what somebody vouched for."""
    files, genesis = start.files, start.ledger.genesis
    if files.answers is None:
        raise StorageError("this network offers no snapshots, so none can begin here", code="base_unusable")
    check_base(base, files.archive, files.answers, ledger_seed, genesis)
    _restore(replace(base, tables=opening_tables(base, genesis)), start)
    start.ledger.check_invariants()


def _restore(snapshot: Snapshot, start: Start) -> None:
    """Be where a snapshot left off. Raises: StorageError where it contradicts itself."""
    at, ledger = snapshot.position, start.ledger
    expected = {name: (rows.dtype, 1) for name, rows in layout.tables(ledger.state).items()}
    if {name: (rows.dtype, rows.ndim) for name, rows in snapshot.tables.items()} != expected:
        raise StorageError("the snapshot's tables are not the ledger's", code="snapshot_differs")
    try:
        ledger.restore(snapshot.tables, at.height)
    except InvariantViolation as error:
        raise StorageError(f"the snapshot cannot be used: {error}", code="snapshot_differs") from error
    covered = start.files.archive.state_root(at.height)
    start.roots.restore(at.height, at.waiting, covered[1] if covered else None)
    start.height, start.time_ns, start.app_hash = at.height, at.time_ns, at.app_hash
