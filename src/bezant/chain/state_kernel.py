"""Compiled loops of the state tree: leaf hashes of account rows, and the parents of what changed."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.model.digest import TAG_STATE_BLIND, TAG_STATE_LEAF, begin_lanes, copy_into, hash_lanes
from bezant.model.merkle import INNER, LEAF
from bezant.model.native import ENTRY
from bezant.model.sha256 import LANES

_BLIND = np.frombuffer(TAG_STATE_BLIND, np.uint8)
_LEAF = np.frombuffer(LEAF + TAG_STATE_LEAF, np.uint8)
_INNER = np.frombuffer(INNER, np.uint8)


@njit(**ENTRY)
def hash_accounts(rows, seed_start, context, seed_texts, blind_texts, leaf_texts, hashed, out):
    """Write the leaf hash of each account row.

    rows (n, width) uint8, each beginning with its 16 id bytes; out (n, 32); `seed_start` a tag and the
    ledger's seed; texts of LANES accounts at a time for each of the three hashes, and `hashed` (LANES, 32).
    """
    width, seed_at, blind_at, leaf_at = rows.shape[1], len(seed_start), len(_BLIND), len(_LEAF)
    begin_lanes(seed_texts, seed_start, seed_at + 16)
    begin_lanes(blind_texts, _BLIND, blind_at + 32)
    begin_lanes(leaf_texts, _LEAF, leaf_at + 32 + width)
    for start in range(0, len(rows), LANES):
        end = min(start + LANES, len(rows))
        count = end - start
        for lane in range(count):
            copy_into(seed_texts[lane], seed_at, rows[start + lane], 16)
            copy_into(leaf_texts[lane], leaf_at + 32, rows[start + lane], width)
        hash_lanes(context, seed_texts, count, hashed)
        for lane in range(count):
            copy_into(blind_texts[lane], blind_at, hashed[lane], 32)
        hash_lanes(context, blind_texts, count, hashed)
        for lane in range(count):
            copy_into(leaf_texts[lane], leaf_at, hashed[lane], 32)
        hash_lanes(context, leaf_texts, count, out[start:end])


@njit(**ENTRY)
def hash_parents(children, count, parents, context, messages, out):
    """Write the hash of each parent: of its two children, or its only child as it is.

    children (at least count, 32); parents (n,) int64 positions; out (n, 32); messages of 65 bytes.
    """
    begin_lanes(messages, _INNER, 65)
    for start in range(0, len(parents), LANES):
        end = min(start + LANES, len(parents))
        for lane in range(end - start):
            left = parents[start + lane] * 2
            if left + 1 < count:
                copy_into(messages[lane], 1, children[left], 64)
        hash_lanes(context, messages, end - start, out[start:end])
        for i in range(start, end):
            left = parents[i] * 2
            if left + 1 >= count:
                copy_into(out[i], 0, children[left], 32)
