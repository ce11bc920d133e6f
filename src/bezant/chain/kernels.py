"""What a block goes through in compiled code: loaded, or compiled where none is kept, before there is one."""

from __future__ import annotations

import numpy as np

from bezant.chain import leaves
from bezant.chain.blocks import AppHash
from bezant.chain.state_tree import AccountTree
from bezant.ledger.batch import Batch
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.kernel.apply import count_due, expire_holds
from bezant.ledger.kernel.faults import count_punished, punish
from bezant.ledger.kernel.governance import settle
from bezant.ledger.kernel.tables import fill_hold_index
from bezant.ledger.state import ACCOUNT
from bezant.model.digest import as_rows
from bezant.model.genesis import Genesis
from bezant.model.keys import SCHEMES, verify_rows
from bezant.model.merkle import leaf_hashes
from bezant.model.orders import signed_roots
from bezant.model.records import AUTHORISATION, DECISION, FAULT, new_records

NO_FAULTS = np.zeros(0, FAULT)


def load_kernels(genesis: Genesis) -> None:
    """Have records refused by a ledger of their own: whoever comes first would have to wait for it."""
    load_checks(genesis)
    load_ledger(genesis)


def load_checks(genesis: Genesis) -> None:
    """Load what looks at records before there is a block: shape, time, ids, signatures in both schemes."""
    scratch, records, covering = ColumnarLedger(genesis), new_records(2), np.zeros(1, AUTHORISATION)
    hashes, covering["count"] = leaf_hashes(as_rows(records)), len(records)
    scratch.foresee(records, 0)
    scratch.remembered(records, hashes, np.zeros(len(records), np.uint32))
    signed = signed_roots(covering, hashes)
    for scheme in SCHEMES:
        verify_rows(np.zeros((1, 64), np.uint8), signed, signed, scheme)


def load_ledger(genesis: Genesis) -> None:
    """Load what applies a block and commits to it, by far the most of it, and what comes with checkpoints,
    expiries, faults and votes: validators would compile those at the same time, and all stand still."""
    # Two records, for one is its own root.
    scratch, records, covering = ColumnarLedger(genesis), new_records(2), np.zeros(1, AUTHORISATION)
    covering["count"] = len(records)
    decisions, hashes, no = np.zeros(2, DECISION), leaf_hashes(as_rows(records)), np.zeros(1, np.uint8)
    receipts = scratch.apply(Batch(1, records, decisions, covering, no, no, hashes))
    none, seed = AppHash.known(bytes(32)), bytes(32)
    _ = leaves.commit_to(none, receipts, hashes, decisions, seed, scratch.accounts, None).value
    scratch.account_row(0)
    scratch.check_invariants()
    rows = np.zeros((2, ACCOUNT.itemsize), np.uint8)
    AccountTree(seed, ACCOUNT.itemsize).update(np.arange(len(rows)), rows)
    fill_hold_index(scratch.state.holds, 0, scratch.state.hold_index)
    state, now_ns, none_made = scratch.state, np.uint64(1), receipts[:0]
    expire_holds(state, now_ns, none_made[: count_due(state, now_ns)])
    punish(state, NO_FAULTS, now_ns, scratch.limits, none_made[: count_punished(state, NO_FAULTS)])
    settle(state, now_ns, scratch.limits, none_made)
