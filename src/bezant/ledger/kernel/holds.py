"""Open holds: slots with a free list, and the heap that says which expires next."""

from __future__ import annotations

import numpy as np
from numba import njit

from bezant.ledger.kernel.tables import insert, owned_key, remove_owned
from bezant.ledger.kernel.words import ONE, ZERO
from bezant.ledger.state import EMPTY
from bezant.model.native import KERNEL

NO_SLOT = np.uint64(EMPTY)


@njit(inline="always", **KERNEL)
def _earlier(a, b):
    return a.expires_ns < b.expires_ns or (a.expires_ns == b.expires_ns and a.sequence < b.sequence)


@njit(**KERNEL)
def _swap(heap, a, b):
    expires, sequence, slot = heap[a].expires_ns, heap[a].sequence, heap[a].slot
    heap[a].expires_ns, heap[a].sequence, heap[a].slot = heap[b].expires_ns, heap[b].sequence, heap[b].slot
    heap[b].expires_ns, heap[b].sequence, heap[b].slot = expires, sequence, slot


@njit(**KERNEL)
def push_expiry(state, expires_ns, sequence, slot):
    """Enter an expiry; room has been made before the batch."""
    heap, counters = state.expiries, state.counters[0]
    at = np.int64(counters.expiries)
    heap[at].expires_ns, heap[at].sequence, heap[at].slot = expires_ns, sequence, slot
    counters.expiries += ONE
    while at > 0:
        parent = (at - 1) // 2
        if not _earlier(heap[at], heap[parent]):
            break
        _swap(heap, at, parent)
        at = parent


@njit(**KERNEL)
def pop_expiry(state):
    """Drop the earliest expiry."""
    heap, counters = state.expiries, state.counters[0]
    counters.expiries -= ONE
    last = np.int64(counters.expiries)
    heap[0].expires_ns, heap[0].sequence, heap[0].slot = (
        heap[last].expires_ns,
        heap[last].sequence,
        heap[last].slot,
    )
    at = 0
    while True:
        child = 2 * at + 1
        if child >= last:
            break
        if child + 1 < last and _earlier(heap[child + 1], heap[child]):
            child += 1
        if not _earlier(heap[child], heap[at]):
            break
        _swap(heap, at, child)
        at = child


@njit(**KERNEL)
def next_due(state, time_ns):
    """Return the slot of the earliest open hold that has expired at `time_ns`, NO_SLOT if none has."""
    counters = state.counters[0]
    while counters.expiries > ZERO:
        first = state.expiries[0]
        if state.holds[first.slot].sequence == first.sequence:
            return first.slot if first.expires_ns <= time_ns else NO_SLOT
        pop_expiry(state)
    return NO_SLOT


@njit(**KERNEL)
def open_hold(state, record, debtor, creditor, expires_ns):
    """Place a hold that ends by itself and return its slot; the caller has reserved the amount."""
    slot = place_hold(state, record, debtor, creditor, expires_ns)
    push_expiry(state, expires_ns, state.holds[slot].sequence, slot)
    return slot


@njit(**KERNEL)
def place_hold(state, record, debtor, creditor, expires_ns):
    """Place a hold in a free slot and return the slot."""
    counters = state.counters[0]
    slot = counters.free_hold
    if slot == NO_SLOT:
        slot = counters.holds
        counters.holds += ONE
    else:
        counters.free_hold = np.uint64(state.holds[slot].next_free)
    counters.hold_sequence += ONE
    counters.open_holds += ONE
    hold = state.holds[slot]
    hold.id_lo, hold.id_hi, hold.amount = record.id_lo, record.id_hi, record.amount
    hold.expires_ns, hold.sequence = expires_ns, counters.hold_sequence
    hold.debtor, hold.creditor, hold.kind, hold.locked = debtor, creditor, record.kind, np.uint16(0)
    insert(state.hold_index, owned_key(hold.id_lo, hold.id_hi, hold.debtor), np.uint32(slot))
    return slot


@njit(**KERNEL)
def close_hold(state, slot):
    """Take a hold out; its heap entry goes stale and is dropped when it surfaces."""
    counters = state.counters[0]
    remove_owned(state.holds, state.hold_index, np.uint32(slot))
    hold = state.holds[slot]
    hold.sequence = ZERO
    hold.next_free = np.uint32(counters.free_hold)
    counters.free_hold = np.uint64(slot)
    counters.open_holds -= ONE


@njit(**KERNEL)
def reopen_hold(state, slot, image):
    """Undo `close_hold`: undone in reverse order, the slot is on top of the free list."""
    counters = state.counters[0]
    counters.free_hold = np.uint64(state.holds[slot].next_free)
    counters.open_holds += ONE
    state.holds[slot] = image
    insert(state.hold_index, owned_key(image.id_lo, image.id_hi, image.debtor), np.uint32(slot))
