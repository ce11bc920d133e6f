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
from bezant.model.layouts import place, shared
from bezant.model.merkle import leaf_hashes, root
from bezant.model.native import ENTRY, RARE
from bezant.model.records import NO_ROW, RECEIPT, SIDE, RecordArray, join_rows
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
_IDS, _ANSWERS, _KIND = (
    shared(RECEIPT, LEAF, *run) for run in (("id_lo", "fee"), ("outcome", "verdict"), ("kind", "kind"))
)
"""What a leaf has from its receipt: where from, where to, and how many bytes."""
_VERSION = np.frombuffer(LEAF_VERSION.to_bytes(LEAF["version"].itemsize, "little"), np.uint8)
_AT_RECORD, _AT_DECISION = place(LEAF, "record_hash"), place(LEAF, "decision_hash")
_SIDES = tuple(
    (place(RECEIPT, f"{side}_row"), place(RECEIPT, f"{side}_side"), place(LEAF, f"{side}_side"))
    for side in ("debtor", "creditor")
)
"""Of each side: where a receipt has its account's row and its balances, and where a leaf commits to them."""
_BLIND = np.frombuffer(TAG_BLIND, np.uint8)
_SIDE = np.frombuffer(TAG_SIDE, np.uint8)
_SIDE_BYTES = SIDE.itemsize
_NOWHERE = np.uint32(NO_ROW)


@njit(**ENTRY)
def _write_leaves(
    receipts, record_hashes, decision_hashes, accounts,
    seed_start, context, seed_texts, blind_texts, side_texts, hashed, leaves,
):  # fmt: skip
    """Write the leaf of every receipt.

    receipts (n, width), of which the first have neither record nor decision; the others' hashes (m, 32);
    accounts (rows, width), each beginning with its 16 id bytes; leaves (n, width) zeroed; `seed_start` a tag
    and the ledger's seed; texts of LANES receipts at a time for each of a side's three hashes, and `hashed`
    (LANES, 32).
    """
    system = len(receipts) - len(record_hashes)
    for i in range(len(receipts)):
        receipt, leaf = receipts[i], leaves[i]
        copy_into(leaf, 0, _VERSION, len(_VERSION))
        copy_into(leaf, _IDS[1], receipt[_IDS[0] :], _IDS[2])
        copy_into(leaf, _ANSWERS[1], receipt[_ANSWERS[0] :], _ANSWERS[2])
        copy_into(leaf, _KIND[1], receipt[_KIND[0] :], _KIND[2])
        if i >= system:
            copy_into(leaf, _AT_RECORD, record_hashes[i - system], 32)
            copy_into(leaf, _AT_DECISION, decision_hashes[i - system], 32)
    begin_lanes(seed_texts, seed_start, len(seed_start) + 16)
    begin_lanes(blind_texts, _BLIND, len(_BLIND) + 48)
    begin_lanes(side_texts, _SIDE, len(_SIDE) + 48 + _SIDE_BYTES)
    for row_at, balances_at, leaf_at in _SIDES:
        for start in range(0, len(receipts), LANES):
            end = min(start + LANES, len(receipts))
            _blind_sides(
                receipts[start:end], max(system - start, 0), accounts, row_at, balances_at, leaf_at,
                context, len(seed_start), seed_texts, blind_texts, side_texts, hashed, leaves[start:end],
            )  # fmt: skip


@njit(**RARE)
def _blind_sides(
    receipts, system, accounts, row_at, balances_at, leaf_at,
    context, seed_at, seed_texts, blind_texts, side_texts, hashed, leaves,
):  # fmt: skip
    """Write one side's commitments of up to LANES receipts, the first `system` of them the ledger's own."""
    blind_at, side_at, count = len(_BLIND), len(_SIDE), len(receipts)
    for lane in range(count):
        row = receipts[lane, row_at : row_at + 4].view(np.uint32)[0]
        if row != _NOWHERE:
            copy_into(seed_texts[lane], seed_at, accounts[row], 16)
            copy_into(side_texts[lane], side_at + 32, accounts[row], 16)
    hash_lanes(context, seed_texts, count, hashed)
    for lane in range(count):
        copy_into(blind_texts[lane], blind_at, hashed[lane], 32)
        copy_into(blind_texts[lane], blind_at + 32, receipts[lane], 16)
        if lane < system:
            # A hold that expired shares its id with the receipt that placed it, and must not share its
            # blind. No payment id has a zero where UUIDv7 has its version, so that sets the two apart.
            blind_texts[lane, blind_at + 32 + 9] &= np.uint8(0x0F)
    hash_lanes(context, blind_texts, count, hashed)
    for lane in range(count):
        copy_into(side_texts[lane], side_at, hashed[lane], 32)
        copy_into(side_texts[lane], side_at + 48, receipts[lane, balances_at:], _SIDE_BYTES)
    hash_lanes(context, side_texts, count, hashed)
    for lane in range(count):
        if receipts[lane, row_at : row_at + 4].view(np.uint32)[0] != _NOWHERE:
            copy_into(leaves[lane], leaf_at, hashed[lane], 32)


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
    made = np.zeros(len(receipts), LEAF)
    _write_leaves(
        as_rows(receipts),
        record_hashes,
        digest_rows(b"", as_rows(decisions)),
        as_rows(accounts),
        *_side_texts(ledger_seed, len(receipts)),
        as_rows(made),
    )
    return made if state is None else join_rows((made, state_leaf(state)), LEAF)


def _side_texts(ledger_seed: bytes, count: int) -> tuple[Integers, ...]:
    """Return what `_write_leaves` hashes `count` sides with: start of seeds, context, three texts, hashes."""
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
