"""Receipt leaves: what a proof can show, and what stays blinded inside it.

A leaf is a public part, the hash of the Decision, and one commitment for each side's balances.
A side is blinded with a value derived from a seed of its account, so whoever holds an account's
seed can open that side of every receipt and nothing else::

    blind = H(blind tag ‖ account seed ‖ id)      side = H(side tag ‖ blind ‖ account ‖ counters)
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.model.digest import (
    TAG_APP,
    TAG_BLIND,
    TAG_BLIND_SEED,
    TAG_SEAL,
    TAG_SIDE,
    Digests,
    as_rows,
    digest_rows,
    hash_into,
    new_scratch,
    sha256,
)
from bezant.model.identifiers import id_bytes
from bezant.model.merkle import leaf_hashes
from bezant.model.native import KERNEL
from bezant.model.records import NO_ROW, SIDE, RecordArray

LEAF_VERSION = 1
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


@njit(cache=True, **KERNEL)
def _blind_sides(rows, ids, sides, seeds, account_ids, context, blind, key, message, out):
    """Write the side commitment of every receipt; rows (n,), ids (n, 16), sides (n, 64), out (n, 32)."""
    tag, lead = len(_BLIND), len(_SIDE)
    for i in range(len(rows)):
        row = rows[i]
        if row == _NOWHERE:
            for j in range(32):
                out[i, j] = np.uint8(0)
            continue
        for j in range(32):
            key[tag + j] = seeds[row, j]
        for j in range(16):
            key[tag + 32 + j] = ids[i, j]
            message[lead + 32 + j] = account_ids[row, j]
        hash_into(context, key, tag + 48, blind)
        for j in range(32):
            message[lead + j] = blind[j]
        for j in range(_SIDE_BYTES):
            message[lead + 48 + j] = sides[i, j]
        hash_into(context, message, lead + 48 + _SIDE_BYTES, out[i])


def account_seeds(ledger_seed: bytes, account_ids: Digests) -> Digests:
    """Return the blinding seed of each account, (n, 32), from its id bytes (n, 16)."""
    return digest_rows(TAG_BLIND_SEED + ledger_seed, np.ascontiguousarray(account_ids))


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
    seeds: Digests,
    account_ids: Digests,
) -> RecordArray:
    """Return the LEAF rows of a block's receipts.

    receipts (s + n,), the first `s` of the ledger's own; record_hashes (n, 32) leaf hashes of the
    records; decisions (n,); seeds (accounts, 32); account_ids (accounts, 16).
    """
    system = len(receipts) - len(record_hashes)
    leaves = np.zeros(len(receipts), LEAF)
    leaves["version"] = LEAF_VERSION
    for name in ("kind", "outcome", "first_outcome", "mode", "verdict", "id_lo", "id_hi", "amount", "fee"):
        leaves[name] = receipts[name]
    leaves["record_hash"][system:] = record_hashes
    leaves["decision_hash"][system:] = digest_rows(b"", as_rows(decisions))
    ids = np.ascontiguousarray(as_rows(receipts)[:, :16])
    context, key = new_scratch(len(TAG_BLIND) + 48)
    _, message = new_scratch(len(TAG_SIDE) + 48 + _SIDE_BYTES)
    key[: len(TAG_BLIND)], message[: len(TAG_SIDE)] = _BLIND, _SIDE
    for side in ("debtor", "creditor"):
        commitments = np.empty((len(receipts), 32), np.uint8)
        _blind_sides(
            np.ascontiguousarray(receipts[f"{side}_row"]),
            ids,
            as_rows(np.ascontiguousarray(receipts[f"{side}_side"])),
            seeds,
            account_ids,
            context,
            np.empty(32, np.uint8),
            key,
            message,
            commitments,
        )
        leaves[f"{side}_side"] = commitments
    return leaves


def hash_leaves(leaves: RecordArray) -> Digests:
    """Return the RFC 6962 leaf hashes (n, 32)."""
    return leaf_hashes(as_rows(leaves))


def next_app_hash(previous: bytes, receipts_root: bytes | None) -> bytes:
    """Return H(tag ‖ previous ‖ receipts root), or the previous hash of a block without receipts."""
    return previous if receipts_root is None else sha256(TAG_APP, previous, receipts_root)


def seal_message(network: bytes, height: int, time_ns: int, receipts: int, app_hash: bytes) -> bytes:
    """Return what an embedded node signs of a block; the number of receipts fixes the tree's shape."""
    numbers = b"".join(value.to_bytes(8, "little") for value in (height, time_ns, receipts))
    return TAG_SEAL + network + numbers + app_hash
