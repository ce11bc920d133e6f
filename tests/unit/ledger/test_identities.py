"""Remembered ids in pages: found again whatever times they name, and no memory before they come."""

from __future__ import annotations

import resource

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bezant.ledger import state as layout
from bezant.ledger.kernel import identities
from bezant.ledger.kernel.identities import enter_ids
from bezant.testing.kernels import within_reach

MS = 1 << 16
enter_id, find_remembered = within_reach(identities.enter_id), within_reach(identities.find_remembered)
home_of = within_reach(identities.home_of)
NOBODY = 0xFFFFFFFF
# Few values, so that ids share times, halves and places in the index.
ids = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 40), st.integers(0, 3), st.integers(0, 2)), max_size=150
)


def find(tables: tuple[np.ndarray, ...], used: int, lo: int, hi: int, authority: int) -> int:
    return int(find_remembered(*tables, np.uint64(used), np.uint64(lo), np.uint64(hi), np.uint32(authority)))


@given(ids=ids, room=st.sampled_from([150, 1_000, 5_000]))
@settings(deadline=None, max_examples=80)
def test_every_id_is_found_again_and_no_other(ids: list[tuple[int, ...]], room: int) -> None:
    made = layout.new_generation("", room)
    table, index, pages = tables = tuple(made.values())
    known: dict[tuple[int, int, int], int] = {}
    for lo, made_ms, rest, authority in ids:
        key = lo, made_ms * MS + rest, authority
        assert find(tables, len(known), *key) == known.get(key, NOBODY)
        if key in known:
            continue
        row = len(known)
        table[row]["id_lo"], table[row]["id_hi"], table[row]["authority"] = key
        enter_id(*tables, np.uint64(row), np.uint64(key[0]), np.uint64(key[1]))
        known[key] = row
    for key, row in known.items():
        assert find(tables, len(known), *key) == row
        assert find(tables, len(known), key[0], key[1], 99) == NOBODY
    again = tuple(layout.new_generation("", room).values())
    again[0][:] = table
    enter_ids(*again, np.uint64(len(known)))
    assert again[1].tobytes() == index.tobytes()
    assert again[2].tobytes() == pages.tobytes()


def test_a_hash_whose_tag_and_place_are_shared_is_told_apart() -> None:
    """With a page of sixteen rows and 22 places, a thousand ids of one time share nearly everything."""
    made = layout.new_generation("", 1_008)
    table, *_ = tables = tuple(made.values())
    for row in range(1_000):
        table[row]["id_lo"], table[row]["id_hi"] = row * 0x9E3779B97F4A7C15 % 2**64, MS
        enter_id(*tables, np.uint64(row), table[row]["id_lo"], table[row]["id_hi"])
    assert [find(tables, 1_000, int(r["id_lo"]), MS, 0) for r in table[:1_000]] == list(range(1_000))


def test_where_an_id_will_be_entered_is_known_before() -> None:
    made = layout.new_generation("", 1_008)
    table, index, pages = tables = tuple(made.values())
    free = 0
    for row in range(len(table)):
        lo, hi = np.uint64(row * 0x9E3779B97F4A7C15 % 2**64), np.uint64(row * MS)
        home = home_of(index, pages, len(table), np.uint64(row), lo, hi)
        was_free = index[home] == 0
        enter_id(*tables, np.uint64(row), lo, hi)
        assert index[home] != 0, "there, or behind those that were there"
        free += int(was_free)
    assert free > len(table) // 2
    assert home_of(index, pages, len(table), np.uint64(len(table)), lo, hi) < len(index)


def test_room_is_reserved_and_not_taken() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = layout.new_generation("", 100_000_000)
    assert sum(array.nbytes for array in made.values()) > 4 * 10**9
    made["ids"][:1_000]["outcome"] = 1
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 50_000, f"{grown_kb} KB were taken for a thousand ids"


@pytest.mark.parametrize("room", [1, 16, 17, 10**6, 10**8])
def test_an_id_has_less_than_48_bytes_of_room(room: int) -> None:
    made = layout.new_generation("", room)
    assert len(made["ids"]) >= room
    page = len(made["ids"]) // len(made["id_pages"])
    assert page < 2**20, "a row of a page fits its part of an entry"
    if room >= 10**6:
        assert sum(array.nbytes for array in made.values()) / len(made["ids"]) < 48
