"""The columnar ledger's memory: record layouts, allocation, growth, and a copy of what is in use.

Bytes that matter at scale: an account takes 120 and its index entry 8, a remembered id 40 and 5.3. Ids
have their room from the beginning, as addresses only: memory is taken page by page as they come. Pages are
large where the system has such: among millions of rows, finding the page takes as long as finding the row.
"""

from __future__ import annotations

import mmap
import sys
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bezant.errors import InvariantViolation
from bezant.ledger.standing import policy_of
from bezant.model.genesis import MAX_VALIDATORS, Genesis
from bezant.model.governance import MAX_PROPOSALS, VALUES, Change, Rule
from bezant.model.identifiers import words
from bezant.model.keys import SCHEME_ED25519, authority_id
from bezant.model.records import MAX_KEYS, MAX_MODELS, ROLES, SIDE, RecordArray

GROWTH_SHARE = {"accounts": 48}
"""Part by which a table grows, to twice its size if not named. Opening an account is rare beside paying and
its room stands empty for ever; what is empty takes memory only where it is not an index."""
WRITE_ONCE = ("ids", "old_ids")
"""Tables whose rows never change once their block is applied, so that a view of them is a copy."""
INDEX_OF = {
    "accounts": "account_index",
    "authorities": "authority_index",
    "holds": "hold_index",
    "mandates": "mandate_index",
    "refunds": "refund_index",
}
"""The index of each table that has one; how many of its rows are in use is counted under its name."""
UNINDEXED = ("expiries", "keysets", "past_keys")
"""Tables that are reached by row alone, counted under their names too."""
LATER = ("models", "validators", "proposals", "changes")
"""Tables that ledgers did not have from the beginning: empty ones are no part of the state's root, so that
blocks from before them still have the roots they had."""
ID_PAGE = 1 << 19
"""Rows of one page of remembered ids at most; see `kernel.identities`."""
RESERVED_FROM = 1 << 20
_RESERVE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | (0x4000 if sys.platform == "linux" else 0)
"""On Linux with MAP_NORESERVE, which Python does not name yet: a machine with less memory than the most ids
would take may still run as long as there are fewer."""
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
        ("standing", "<u2"),
    ]
)
"""`standing` is a bit set of `Standing`; 0: the account may pay and be paid."""
AUTHORITY = np.dtype(
    [
        ("id_lo", "<u8"),
        ("id_hi", "<u8"),
        ("key", "u1", (32,)),
        ("institution", "<u4"),
        ("keyset", "<u4"),
        ("scheme", "<u4"),
        ("reserved", "<u4"),
    ]
)
"""An authority as it was registered has its one key here; as soon as its keys or thresholds change they
are a row of `keysets`, `keyset` says which (EMPTY: none), and the key here is not looked at again."""
KEYSET = np.dtype(
    [
        ("keys", "u1", (MAX_KEYS * 32,)),
        ("schemes", "u1", (MAX_KEYS,)),
        ("roles", "u1", (MAX_KEYS,)),
        ("thresholds", "u1", (len(ROLES),)),
        ("recovery_scheme", "<u4"),
        ("recovery_since_ns", "<u8"),
        ("recovery_key", "u1", (32,)),
    ]
)
"""Keys by slot; no roles: no key. `recovery_scheme` 0: no recovery is waiting."""
PAST_KEY = np.dtype(
    [("until_ns", "<u8"), ("authority", "<u4"), ("slot", "<u2"), ("scheme", "<u2"), ("key", "u1", (32,))]
)
"""A key that was replaced or removed in the block of time `until_ns`: what was signed up to then still
has to be proved."""
ASSET = np.dtype([("refund_window_ms", "<u8"), ("issuer", "<u4"), ("policy", "<u2"), ("paused", "<u2")])
"""What the genesis says of an asset, `policy` as bits of `Policy`, and whether it stands still."""
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
PAGE = np.dtype([("first_ms", "<u8"), ("last_ms", "<u8"), ("before_ms", "<u8")])
"""The earliest and latest time that ids of a page name, and the latest that ids of pages before it do."""
HOLD = np.dtype(
    [
        ("id_lo", "<u8"),
        ("id_hi", "<u8"),
        ("amount", "<u8"),
        ("expires_ns", "<u8"),
        ("sequence", "<u8"),
        ("debtor", "<u4"),
        ("creditor", "<u4"),
        ("kind", "<u2"),
        ("locked", "<u2"),
        ("next_free", "<u4"),
        ("lock", "u1", (32,)),
    ]
)
MANDATE = np.dtype(
    [
        ("id_lo", "<u8"),
        ("id_hi", "<u8"),
        ("cap", "<u8"),
        ("period_cap", "<u8"),
        ("expires_s", "<u8"),
        ("start_s", "<u8"),
        ("window", "<u8"),
        ("spent", "<u8"),
        ("debtor", "<u4"),
        ("payee", "<u4"),
        ("delegate", "<u4"),
        ("period_s", "<u4"),
    ]
)
"""Keyed by account row `debtor` and id; rows of account `payee` (EMPTY: any) and authority `delegate`."""
REFUND = np.dtype(
    [
        ("id_lo", "<u8"),
        ("id_hi", "<u8"),
        ("original", "<u8"),
        ("refunded", "<u8"),
        ("until_ms", "<u8"),
        ("debtor", "<u4"),
        ("reserved", "<u4"),
    ]
)
"""Keyed by the row of the account that had paid, `debtor`, and the id of that payment."""
MODEL = np.dtype([("digest", "u1", (32,)), ("since_ns", "<u8"), ("authority", "<u4"), ("role", "<u4")])
"""A model of the authority in that row; `role` is a `ModelRole`, 0 where the row is free. Rows in use stand
together in front."""
VALIDATOR = np.dtype(
    [
        ("key", "u1", (32,)),
        ("granted", "<u8"),
        ("bonded", "<u8"),
        ("jailed_until_ns", "<u8"),
        ("operator", "<u4"),
        ("used", "<u4"),
        ("missed", "<u4"),
        ("reserved", "<u4"),
    ]
)
"""Who votes on blocks, by its Ed25519 key; `operator` is an authority's row, `used` 1 where the row is in
use, `missed` blocks in a row without its vote. Rows in use stand together in front."""
PROPOSAL = np.dtype(
    [
        ("id_lo", "<u8"),
        ("id_hi", "<u8"),
        ("values", "<u8", (VALUES,)),
        ("height", "<u8"),
        ("until_ns", "<u8"),
        ("rule", "<u4"),
        ("asset", "<u4"),
        ("authority", "<u4"),
        ("accepted", "<u2"),
        ("reserved", "<u2"),
        ("ballots", "u1", (MAX_VALIDATORS,)),
    ]
)
"""A change of a rule that is voted on, or `accepted` and due at `height`; `rule` 0 where the row is free,
`ballots` are of `Ballot`, by the rows of validators. Rows in use stand in front, the oldest first."""
CHANGE = np.dtype([("values", "<u8", (VALUES,)), ("since", "<u8"), ("rule", "<u4"), ("asset", "<u4")])
"""What is in force in place of the genesis since a height; `rule` 0 where the row is free. Rows in use stand
together in front."""
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
        ("keysets", "<u8"),
        ("past_keys", "<u8"),
        ("mandates", "<u8"),
        ("refunds", "<u8"),
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
    keysets: RecordArray
    past_keys: RecordArray
    assets: RecordArray
    """By asset number; row 0 unused."""
    ids: RecordArray
    id_index: npt.NDArray[np.uint32]
    id_pages: RecordArray
    old_ids: RecordArray
    old_id_index: npt.NDArray[np.uint32]
    old_id_pages: RecordArray
    holds: RecordArray
    hold_index: npt.NDArray[np.uint32]
    expiries: RecordArray
    """A binary heap by (expires_ns, sequence); an entry whose hold has closed is skipped when it surfaces."""
    mandates: RecordArray
    mandate_index: npt.NDArray[np.uint32]
    refunds: RecordArray
    refund_index: npt.NDArray[np.uint32]
    models: RecordArray
    """MAX_MODELS rows."""
    validators: RecordArray
    """MAX_VALIDATORS rows."""
    proposals: RecordArray
    """MAX_PROPOSALS rows."""
    changes: RecordArray
    """As many rows as there are rules and assets, and one more."""
    counters: RecordArray


def new_index(rows: int) -> npt.NDArray[np.uint32]:
    """Return an empty open-addressing index for up to `rows` rows, at most half full: fuller, a look would
    compare itself with more rows than its own, and wait for the memory of each."""
    index = reserve(max(16, 2 * rows + 1), np.dtype(np.uint32))
    index.fill(EMPTY)
    return index


def new_generation(prefix: str, ids: int) -> dict[str, npt.NDArray[Any]]:
    """Return the empty tables of a generation with room for so many ids, as fields of `State`."""
    rows = min(ID_PAGE, max(16, ids // 16))
    pages = -(-ids // rows)
    return {
        f"{prefix}ids": reserve(pages * rows, REMEMBERED),
        f"{prefix}id_index": reserve(pages * (rows + rows // 3 + 1), np.dtype(np.uint32)),
        f"{prefix}id_pages": np.zeros(pages, PAGE),
    }


def reserve(rows: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return zeroed rows whose memory is taken only where it is written to."""
    size = rows * dtype.itemsize
    if size < RESERVED_FROM:
        return np.zeros(rows, dtype)
    memory = mmap.mmap(-1, size, flags=_RESERVE)
    if sys.platform == "linux":
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, dtype)


def new_state(genesis: Genesis) -> State:
    """Return the state before the first block: the genesis's institutions, no accounts, no money."""
    rows, few = 1024, 16
    state = State(
        accounts=np.zeros(rows, ACCOUNT),
        account_index=new_index(rows),
        authorities=np.zeros(rows, AUTHORITY),
        authority_index=new_index(rows),
        institutions=np.full(len(genesis.institutions) + 1, EMPTY, np.uint32),
        keysets=np.zeros(few, KEYSET),
        past_keys=np.zeros(few, PAST_KEY),
        assets=np.zeros(len(genesis.assets) + 1, ASSET),
        **new_generation("", genesis.rules.max_live_ids),
        **new_generation("old_", 0),
        holds=np.zeros(rows, HOLD),
        hold_index=new_index(rows),
        expiries=np.zeros(rows, EXPIRY),
        mandates=np.zeros(few, MANDATE),
        mandate_index=new_index(few),
        refunds=np.zeros(few, REFUND),
        refund_index=new_index(few),
        models=np.zeros(MAX_MODELS, MODEL),
        validators=np.zeros(MAX_VALIDATORS, VALIDATOR),
        proposals=np.zeros(MAX_PROPOSALS, PROPOSAL),
        changes=np.zeros(len(Rule) + len(genesis.assets) + 1, CHANGE),
        counters=np.zeros(1, COUNTERS),
    )
    state.counters["free_hold"] = EMPTY
    for asset in genesis.assets:
        entry = state.assets[asset.number : asset.number + 1]
        entry["issuer"], entry["policy"] = asset.issuer, policy_of(asset)
        entry["refund_window_ms"] = asset.refund_window_s * 1000
    for row, institution in enumerate(genesis.institutions):
        key = bytes.fromhex(institution.key)
        entry = state.authorities[row : row + 1]
        entry["id_lo"], entry["id_hi"] = words(authority_id(key))
        entry["institution"], entry["key"] = institution.number, np.frombuffer(key, np.uint8)
        entry["scheme"], entry["keyset"] = SCHEME_ED25519, EMPTY
        state.institutions[institution.number] = row
    state.counters["authorities"] = len(genesis.institutions)
    for row, granted in enumerate(genesis.validators):
        entry = state.validators[row : row + 1]
        entry["key"], entry["granted"] = np.frombuffer(bytes.fromhex(granted.key), np.uint8), granted.power
        entry["operator"], entry["used"] = state.institutions[granted.institution], 1
    return state


def grown(table: npt.NDArray[Any], needed: int, share: int = 1) -> npt.NDArray[Any]:
    """Return the table itself, or a copy with one `share`-th as much room again, at least `needed` rows."""
    if needed <= len(table):
        return table
    bigger = reserve(max(needed, len(table) + len(table) // share), table.dtype)
    bigger[: len(table)] = table
    return bigger


_COUNTED = COUNTERS.names or ()


def tables(state: State) -> dict[str, npt.NDArray[Any]]:
    """Return the rows in use, as views under the field names of `State`; indexes are left out."""
    counters = dict(zip(_COUNTED, state.counters[0].item(), strict=True))
    used = {name: getattr(state, name)[: counters[name]] for name in (*INDEX_OF, *WRITE_ONCE, *UNINDEXED)}
    few = {
        "models": state.models[: np.count_nonzero(state.models["role"])],
        "validators": state.validators[: np.count_nonzero(state.validators["used"])],
        "proposals": state.proposals[: np.count_nonzero(state.proposals["rule"])],
        "changes": state.changes[: np.count_nonzero(state.changes["rule"])],
    }
    return used | few | {name: getattr(state, name) for name in ("institutions", "assets", "counters")}


def changes_in(state: State) -> list[Change]:
    """Return what is in force in place of the genesis, in the order in which each rule was first changed.

    Raises: InvariantViolation for a rule that is none.
    """
    used = state.changes[state.changes["rule"] != 0]
    if not np.isin(used["rule"], list(Rule)).all() or len(used) > len(Rule) + len(state.assets):
        raise InvariantViolation("rules changed are none that there are")
    return [Change(Rule(int(row["rule"])), tuple(row["values"].tolist()), int(row["asset"])) for row in used]


def dump(state: State) -> dict[str, npt.NDArray[Any]]:
    """Return copies of the rows in use, under the field names of `State`; indexes are left out."""
    return {name: rows.copy() for name, rows in tables(state).items()}
