"""Compiled loops of the state tree: leaf hashes of account rows, and the parents of what changed."""

from __future__ import annotations

import numpy as np
from numba import njit, types

from bezant.model.digest import (
    TAG_BLIND_SEED,
    TAG_STATE_BLIND,
    TAG_STATE_LEAF,
    address,
    hash_padded,
    pad,
)
from bezant.model.native import ENTRY, copy_memory

_SEED_AT = len(TAG_BLIND_SEED) + 32
_BLIND_AT = len(TAG_STATE_BLIND)
_ROW_AT = 1 + len(TAG_STATE_LEAF) + 32


@njit(**ENTRY)
def hash_accounts(rows, context, seed, blind, seed_text, blind_text, leaf_text, out):
    """Write the leaf hash of each account row.

    rows (n, width) uint8, each beginning with its 16 id bytes; out (n, 32); seed and blind (32,). The
    texts start with their tags, `seed_text` with the ledger's seed behind it.
    """
    width = types.uintp(rows.shape[1])
    seed_blocks = pad(seed_text, _SEED_AT + 16)
    blind_blocks = pad(blind_text, _BLIND_AT + 32)
    leaf_blocks = pad(leaf_text, _ROW_AT + rows.shape[1])
    seed_to = address(seed_text) + types.uintp(_SEED_AT)
    blind_to = address(blind_text) + types.uintp(_BLIND_AT)
    leaf_to = address(leaf_text) + types.uintp(_ROW_AT - 32)
    row_to = address(leaf_text) + types.uintp(_ROW_AT)
    source = address(rows)
    for i in range(rows.shape[0]):
        copy_memory(seed_to, source, types.uintp(16))
        hash_padded(context, seed_text, seed_blocks, seed)
        copy_memory(blind_to, address(seed), types.uintp(32))
        hash_padded(context, blind_text, blind_blocks, blind)
        copy_memory(leaf_to, address(blind), types.uintp(32))
        copy_memory(row_to, source, width)
        source += width
        hash_padded(context, leaf_text, leaf_blocks, out[i])


@njit(**ENTRY)
def hash_parents(children, count, parents, context, message, out):
    """Write the hash of each parent: of its two children, or its only child as it is.

    children (at least count, 32); parents (n,) int64 positions; out (n, 32); message has 65 bytes and
    room for padding.
    """
    message[0] = np.uint8(1)
    blocks = pad(message, 65)
    both = address(message) + types.uintp(1)
    for i in range(len(parents)):
        left = parents[i] * 2
        if left + 1 < count:
            copy_memory(both, address(children[left]), types.uintp(64))
            hash_padded(context, message, blocks, out[i])
        else:
            for j in range(32):
                out[i, j] = children[left, j]
