"""The columnar ledger's memory: record layouts, allocation, growth, and a copy of what is in use.

Bytes that matter at scale: an account takes 120 and its index entry 5. A remembered id takes 40 and
5 where table and index are full, and 47.5 where the index has just grown.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bezant.model.genesis import Genesis
from bezant.model.identifiers import words
from bezant.model.keys import authority_id
from bezant.model.records import SIDE, RecordArray

GROWTH_SHARE = {"accounts": 48, "ids": 6}
"""Part by which a table grows, one half if not named. Opening an account is rare beside paying and its
room stands empty for ever; an id's table has to stay within its bytes an id just after growing too."""
WRITE_ONCE = ("ids", "old_ids")
"""Tables whose rows never change once their block is applied, so that a view of them is a copy."""
INDEX_OF = {
    "accounts": "account_index",
    "authorities": "authority_index",
    "ids": "id_index",
    "old_ids": "old_id_index",
    "holds": "hold_index",
}
"""The index of each table that has one; how many of its rows are in use is counted under its name."""
INDEX_AHEAD = {"ids": 6}
"""Quarters of the table's rows that a rebuilt index has room for: entering every id again each time the
table grows by a sixth cost more than remembering them. 40 and 7.5 bytes an id are the most it makes."""
EMPTY = 0xFFFFFFFF
"""An index entry that points nowhere; also the row of nothing."""

ACCOUNT = np.dtype(
    [
        ("id_lo", "<u8"),
        ("id_hi", "<u8"),
        *[(name, "<u8") for name in SIDE.names or ()],
        ("credit_limit", "<u8"),
        ("balance_limit", "<u8"),
        ("delegate_cap", "<u8"),
        ("authority", "<u4"),
        ("delegate", "<u4"),
        ("institution", "<u4"),
        ("asset", "<u2"),
        ("frozen", "<u2"),
    ]
)
AUTHORITY = np.dtype([("id_lo", "<u8"), ("id_hi", "<u8"), ("institution", "<u8"), ("key", "u1", (32,))])
REMEMBERED = np.dtype(
    [
        ("id_lo", "<u8"),
        ("id_hi", "<u8"),
        ("content_lo", "<u8"),
        ("content_hi", "<u8"),
        ("authority", "<u4"),
        ("outcome", "<u2"),
        ("reserved", "<u2"),
    ]
)
HOLD = np.dtype(
    [
        ("id_lo", "<u8"),
        ("id_hi", "<u8"),
        ("amount", "<u8"),
        ("expires_ns", "<u8"),
        ("sequence", "<u8"),
        ("debtor", "<u4"),
        ("creditor", "<u4"),
        ("kind", "<u4"),
        ("next_free", "<u4"),
    ]
)
EXPIRY = np.dtype([("expires_ns", "<u8"), ("sequence", "<u8"), ("slot", "<u8")])
COUNTERS = np.dtype(
    [
        ("accounts", "<u8"),
        ("authorities", "<u8"),
        ("ids", "<u8"),
        ("old_ids", "<u8"),
        ("generation_ns", "<u8"),
        ("holds", "<u8"),
        ("open_holds", "<u8"),
        ("free_hold", "<u8"),
        ("hold_sequence", "<u8"),
        ("expiries", "<u8"),
    ]
)


class State(NamedTuple):
    """Everything a kernel reads or writes; rows in use are counted in `counters[0]`."""

    accounts: RecordArray
    account_index: npt.NDArray[np.uint32]
    authorities: RecordArray
    authority_index: npt.NDArray[np.uint32]
    institutions: npt.NDArray[np.uint32]
    """Authority row by institution number; row 0 unused."""
    issuers: npt.NDArray[np.uint32]
    """Institution number by asset number; row 0 unused."""
    ids: RecordArray
    id_index: npt.NDArray[np.uint32]
    old_ids: RecordArray
    old_id_index: npt.NDArray[np.uint32]
    holds: RecordArray
    hold_index: npt.NDArray[np.uint32]
    expiries: RecordArray
    """A binary heap by (expires_ns, sequence); an entry whose hold has closed is skipped when it surfaces."""
    counters: RecordArray


class Limits(NamedTuple):
    """The genesis rules in the units kernels use."""

    id_window_ms: np.uint64
    id_future_ms: np.uint64
    review_for_ns: np.uint64
    max_live_ids: np.uint64


def limits_of(genesis: Genesis) -> Limits:
    rules = genesis.rules
    return Limits(
        np.uint64(rules.id_window_s * 1000),
        np.uint64(rules.id_future_s * 1000),
        np.uint64(rules.review_for_s * 1_000_000_000),
        np.uint64(rules.max_live_ids),
    )


def new_index(rows: int) -> npt.NDArray[np.uint32]:
    """Return an empty open-addressing index for up to `rows` rows, at most 80 % full."""
    return np.full(max(16, rows + rows // 4 + 1), EMPTY, np.uint32)


def rows_of(index: npt.NDArray[np.uint32]) -> int:
    """Return how many rows an index made by `new_index` has room for."""
    return (len(index) - 1) * 4 // 5


def new_state(genesis: Genesis) -> State:
    """Return the state before the first block: the genesis's institutions, no accounts, no money."""
    rows = 1024
    state = State(
        accounts=np.zeros(rows, ACCOUNT),
        account_index=new_index(rows),
        authorities=np.zeros(rows, AUTHORITY),
        authority_index=new_index(rows),
        institutions=np.full(len(genesis.institutions) + 1, EMPTY, np.uint32),
        issuers=np.zeros(len(genesis.assets) + 1, np.uint32),
        ids=np.zeros(rows, REMEMBERED),
        id_index=new_index(rows),
        old_ids=np.zeros(0, REMEMBERED),
        old_id_index=new_index(0),
        holds=np.zeros(rows, HOLD),
        hold_index=new_index(rows),
        expiries=np.zeros(rows, EXPIRY),
        counters=np.zeros(1, COUNTERS),
    )
    state.counters["free_hold"] = EMPTY
    for asset in genesis.assets:
        state.issuers[asset.number] = asset.issuer
    for row, institution in enumerate(genesis.institutions):
        key = bytes.fromhex(institution.key)
        entry = state.authorities[row : row + 1]
        entry["id_lo"], entry["id_hi"] = words(authority_id(key))
        entry["institution"], entry["key"] = institution.number, np.frombuffer(key, np.uint8)
        state.institutions[institution.number] = row
    state.counters["authorities"] = len(genesis.institutions)
    return state


def grown(table: npt.NDArray[Any], needed: int, share: int = 2) -> npt.NDArray[Any]:
    """Return the table itself, or a copy with one `share`-th as much room again, at least `needed` rows."""
    if needed <= len(table):
        return table
    bigger = np.zeros(max(needed, len(table) + len(table) // share), table.dtype)
    bigger[: len(table)] = table
    return bigger


def tables(state: State) -> dict[str, npt.NDArray[Any]]:
    """Return the rows in use, as views under the field names of `State`; indexes are left out."""
    counters = state.counters[0]
    used = {name: getattr(state, name)[: int(counters[name])] for name in INDEX_OF}
    used["expiries"] = state.expiries[: int(counters["expiries"])]
    return used | {name: getattr(state, name) for name in ("institutions", "issuers", "counters")}


def dump(state: State) -> dict[str, npt.NDArray[Any]]:
    """Return copies of the rows in use, under the field names of `State`; indexes are left out."""
    return {name: rows.copy() for name, rows in tables(state).items()}
