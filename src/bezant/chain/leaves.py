"""Receipt leaves: what a proof can show, and what stays blinded inside it.

A leaf is a public part, the hash of the Decision, and one commitment for each side's balances.
A side is blinded with a value derived from a seed of its account, so whoever holds an account's
seed can open that side of every receipt and nothing else::

    blind = H(blind tag ‖ account seed ‖ id)      side = H(side tag ‖ blind ‖ account ‖ counters)
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.chain.blocks import AppHash, StateRoot
from bezant.model.digest import (
    TAG_APP,
    TAG_BLIND,
    TAG_BLIND_SEED,
    TAG_SEAL,
    TAG_SIDE,
    Digests,
    Integers,
    as_rows,
    begin_lanes,
    copy_into,
    digest_rows,
    hash_lanes,
    new_lanes,
    sha256,
)
from bezant.model.identifiers import id_bytes
from bezant.model.merkle import leaf_hashes, root
from bezant.model.native import ENTRY
from bezant.model.records import NO_ROW, SIDE, RecordArray, join_rows
from bezant.model.sha256 import LANES

LEAF_VERSION = 1
STATE_KIND = 0xFFFF
"""The kind of the leaf that holds a state root."""
LEAF = np.dtype(
    [
        ("version", "<u2"),
        ("kind", "<u2"),
        ("outcome", "<u2"),
        ("first_outcome", "<u2"),
        ("mode", "u1"),
        ("verdict", "u1"),
        ("reserved", "u1", (6,)),
        ("id_lo", "<u8"),
        ("id_hi", "<u8"),
        ("amount", "<u8"),
        ("fee", "<u8"),
        ("record_hash", "u1", (32,)),
        ("decision_hash", "u1", (32,)),
        ("debtor_side", "u1", (32,)),
        ("creditor_side", "u1", (32,)),
    ]
)
"""176 bytes. Hashes are zero where there is nothing: no record in a system receipt, no side in a refusal."""

_BLIND = np.frombuffer(TAG_BLIND, np.uint8)
_SIDE = np.frombuffer(TAG_SIDE, np.uint8)
_SIDE_BYTES = SIDE.itemsize
_NOWHERE = np.uint32(NO_ROW)


@njit(**ENTRY)
def _blind_sides(
    rows, ids, sides, accounts, seed_start, context, seed_texts, blind_texts, side_texts, hashed, out
):  # fmt: skip
    """Write the side commitment of every receipt.

    rows (n,), ids (n, 16), sides (n, 64), out (n, 32); accounts (rows, width), each beginning with
    its 16 id bytes; `seed_start` a tag and the ledger's seed; texts of LANES receipts at a time for
    each of the three hashes, and `hashed` (LANES, 32).
    """
    seed_at, blind_at, side_at = len(seed_start), len(_BLIND), len(_SIDE)
    begin_lanes(seed_texts, seed_start, seed_at + 16)
    begin_lanes(blind_texts, _BLIND, blind_at + 48)
    begin_lanes(side_texts, _SIDE, side_at + 48 + _SIDE_BYTES)
    for start in range(0, len(rows), LANES):
        end = min(start + LANES, len(rows))
        count = end - start
        for lane in range(count):
            row = rows[start + lane]
            if row != _NOWHERE:
                copy_into(seed_texts[lane], seed_at, accounts[row], 16)
                copy_into(side_texts[lane], side_at + 32, accounts[row], 16)
        hash_lanes(context, seed_texts, count, hashed)
        for lane in range(count):
            copy_into(blind_texts[lane], blind_at, hashed[lane], 32)
            copy_into(blind_texts[lane], blind_at + 32, ids[start + lane], 16)
        hash_lanes(context, blind_texts, count, hashed)
        for lane in range(count):
            copy_into(side_texts[lane], side_at, hashed[lane], 32)
            copy_into(side_texts[lane], side_at + 48, sides[start + lane], _SIDE_BYTES)
        hash_lanes(context, side_texts, count, out[start:end])
        for i in range(start, end):
            if rows[i] == _NOWHERE:
                out[i] = np.uint8(0)


def account_seed(ledger_seed: bytes, account: int) -> bytes:
    """Return the seed with which an account's holder opens their side of any receipt."""
    return sha256(TAG_BLIND_SEED, ledger_seed, id_bytes(account))


def blind_of(account_seed: bytes, identity: int) -> bytes:
    """Return the blind of one receipt for the holder of an account's seed."""
    return sha256(TAG_BLIND, account_seed, id_bytes(identity))


def side_commitment(blind: bytes, account: int, side: bytes) -> bytes:
    """Return what a leaf holds for balances `side` (64 bytes) of an account."""
    return sha256(TAG_SIDE, blind, id_bytes(account), side)


def build_leaves(
    receipts: RecordArray,
    record_hashes: Digests,
    decisions: RecordArray,
    ledger_seed: bytes,
    accounts: RecordArray,
    state: StateRoot | None = None,
) -> RecordArray:
    """Return the LEAF rows of a block: of its receipts, and last of the state root where it covers one.

    receipts (s + n,), the first `s` of the ledger's own; record_hashes (n, 32) leaf hashes of the
    records; decisions (n,); ledger_seed 32 bytes; accounts (rows,) of which each begins with its id.
    """
    system = len(receipts) - len(record_hashes)
    leaves = np.zeros(len(receipts), LEAF)
    leaves["version"] = LEAF_VERSION
    for name in ("kind", "outcome", "first_outcome", "mode", "verdict", "id_lo", "id_hi", "amount", "fee"):
        leaves[name] = receipts[name]
    leaves["record_hash"][system:] = record_hashes
    leaves["decision_hash"][system:] = digest_rows(b"", as_rows(decisions))
    ids, account_rows = as_rows(receipts)[:, :16].copy(), as_rows(accounts)
    # A hold that expired shares its id with the receipt that placed it, and must not share its
    # blind. No payment id has a zero where UUIDv7 has its version, so that sets the two apart.
    ids[:system, 9] &= 0x0F
    texts = _side_texts(ledger_seed, len(receipts))
    for side in ("debtor", "creditor"):
        commitments = np.empty((len(receipts), 32), np.uint8)
        _blind_sides(
            np.ascontiguousarray(receipts[f"{side}_row"]),
            ids,
            as_rows(np.ascontiguousarray(receipts[f"{side}_side"])),
            account_rows,
            *texts,
            commitments,
        )
        leaves[f"{side}_side"] = commitments
    return leaves if state is None else join_rows((leaves, state_leaf(state)), LEAF)


def _side_texts(ledger_seed: bytes, count: int) -> tuple[Integers, ...]:
    """Return what `_blind_sides` hashes `count` sides with: start of seeds, context, three texts, hashes."""
    start = np.frombuffer(TAG_BLIND_SEED + ledger_seed, np.uint8)
    context, seed_texts = new_lanes(len(start) + 16, count)
    _, blind_texts = new_lanes(len(_BLIND) + 48, count)
    _, side_texts = new_lanes(len(_SIDE) + 48 + _SIDE_BYTES, count)
    return start, context, seed_texts, blind_texts, side_texts, np.empty((LANES, 32), np.uint8)


def state_leaf(state: StateRoot) -> RecordArray:
    """Return the LEAF row (1,) by which a block's app hash covers an earlier block's state root.

    The height is in `amount` and the root in `record_hash`; the kind is no record's.
    """
    leaf = np.zeros(1, LEAF)
    leaf["version"], leaf["kind"], leaf["amount"] = LEAF_VERSION, STATE_KIND, state.height
    leaf["record_hash"] = np.frombuffer(state.root, np.uint8)
    return leaf


def hash_leaves(leaves: RecordArray) -> Digests:
    """Return the RFC 6962 leaf hashes (n, 32)."""
    return leaf_hashes(as_rows(leaves))


def next_app_hash(previous: bytes, receipts_root: bytes | None) -> bytes:
    """Return H(tag ‖ previous ‖ receipts root), or the previous hash of a block without receipts."""
    return previous if receipts_root is None else sha256(TAG_APP, previous, receipts_root)


def commit_to(
    previous: AppHash,
    receipts: RecordArray,
    record_hashes: Digests,
    decisions: RecordArray,
    ledger_seed: bytes,
    accounts: RecordArray,
    state: StateRoot | None,
) -> AppHash:
    """Return the app hash over a block's leaves (see `build_leaves`), for whoever asks first to compute."""
    if not len(receipts) and state is None:
        return previous

    def compute() -> bytes:
        built = build_leaves(receipts, record_hashes, decisions, ledger_seed, accounts, state)
        return next_app_hash(previous.value, root(hash_leaves(built)))

    return AppHash(compute)


def seal_message(network: bytes, height: int, time_ns: int, receipts: int, app_hash: bytes) -> bytes:
    """Return what an embedded node signs of a block; the number of receipts fixes the tree's shape."""
    numbers = b"".join(value.to_bytes(8, "little") for value in (height, time_ns, receipts))
    return TAG_SEAL + network + numbers + app_hash
