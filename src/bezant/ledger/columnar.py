"""The ledger that runs: the reference's rules compiled by Numba over fixed-size records.

This file makes room, resolves signers and checks invariants; everything that decides is in
`kernel`. Tables grow, as copies, between blocks and never inside one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.errors import InvariantViolation
from bezant.ledger import state as layout
from bezant.ledger.batch import NS_PER_S, Batch
from bezant.ledger.kernel.apply import apply_records, count_due, expire_holds, find_rows, sum_books
from bezant.ledger.kernel.checks import recall
from bezant.ledger.kernel.tables import fill_hold_index, fill_index
from bezant.model.digest import Digests, new_scratch
from bezant.model.genesis import Genesis
from bezant.model.identifiers import AuthorityId, words
from bezant.model.orders import MAX_AUTHORISED_RECORDS
from bezant.model.records import NO_ROW, RECEIPT, RECORD, Kind, RecordArray

Rows = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]


class ColumnarLedger:
    """The production ledger; see `Ledger` for the protocol.

    Not thread-safe: one thread applies, and readers of `state` must be that thread or accept
    a moment's lag.
    """

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.limits = layout.limits_of(genesis)
        self.state = layout.new_state(genesis)
        fill_index(self.state.authorities, len(genesis.institutions), self.state.authority_index)
        self._undo = _new_undo()
        self._scratch = (*new_scratch(1 + RECORD.itemsize), np.empty(32, np.uint8))
        self._blocks = 0

    def apply(self, batch: Batch) -> RecordArray:
        """Return the RECEIPT rows of one block: expired holds first, then one per record."""
        records = np.ascontiguousarray(batch.records)
        time_ns = np.uint64(batch.time_ns)
        self._forget_old_ids(batch.time_ns)
        self._make_room(records)
        covering = np.ascontiguousarray(batch.authorisations)
        signers = self.authority_rows(covering["authority_lo"], covering["authority_hi"])
        due = count_due(self.state, time_ns)
        receipts = np.zeros(due + len(records), RECEIPT)
        receipts["debtor_row"] = receipts["creditor_row"] = NO_ROW
        expire_holds(self.state, time_ns, receipts[:due])
        apply_records(
            self.state,
            records,
            np.ascontiguousarray(batch.decisions),
            covering,
            signers,
            batch.authentic,
            batch.accepted,
            time_ns,
            self.limits,
            (*self._scratch, np.ascontiguousarray(batch.record_hashes).view(np.uint64)),
            self._undo,
            receipts[due:],
        )
        self._blocks += 1
        if self._blocks % self.genesis.rules.checkpoint_interval == 0:
            self.check_invariants()
        return receipts

    # Reading.

    def account_rows(self, lo: npt.NDArray[np.uint64], hi: npt.NDArray[np.uint64]) -> Rows:
        """Return the row of each account id, NO_ROW where there is none."""
        return self._rows(self.state.accounts, self.state.account_index, lo, hi)

    def authority_rows(self, lo: npt.NDArray[np.uint64], hi: npt.NDArray[np.uint64]) -> Rows:
        """Return the row of each authority id, NO_ROW where there is none."""
        return self._rows(self.state.authorities, self.state.authority_index, lo, hi)

    def account(self, identity: int) -> np.void | None:
        """Return a copy of one account's row (dtype ACCOUNT), or None."""
        lo, hi = words(identity)
        row = self.account_rows(np.array([lo], np.uint64), np.array([hi], np.uint64))[0]
        return None if row == NO_ROW else self.state.accounts[row].copy()

    def authority_row(self, authority: AuthorityId) -> int:
        """Return the row of an authority, NO_ROW where there is none."""
        lo, hi = words(authority)
        return int(self.authority_rows(np.array([lo], np.uint64), np.array([hi], np.uint64))[0])

    def authority_key(self, authority: AuthorityId) -> bytes | None:
        """Return the public key of a registered authority, or None."""
        row = self.authority_row(authority)
        return None if row == NO_ROW else self.state.authorities["key"][row].tobytes()

    def remembered(
        self, records: RecordArray, hashes: Digests, signers: Rows
    ) -> tuple[Mask, Mask, npt.NDArray[np.uint16]]:
        """Return (seen, with the same content, first outcome) of each record, from the ids still kept.

        records (n,); hashes (n, 32) their leaf hashes; signers (n,) authority rows, NO_ROW if unknown.
        """
        seen, same = np.zeros(len(records), np.uint8), np.zeros(len(records), np.uint8)
        first = np.zeros(len(records), np.uint16)
        recall(self.state, records, hashes, signers, seen, same, first)
        return seen.view(np.bool_), same.view(np.bool_), first

    @property
    def account_count(self) -> int:
        return int(self.state.counters["accounts"][0])

    @property
    def accounts(self) -> RecordArray:
        """A view of the accounts in use, dtype ACCOUNT, by row."""
        return self.state.accounts[: self.account_count]

    def check_invariants(self) -> None:
        """Raise InvariantViolation unless, per asset, debits equal credits, pending sums equal the
        open holds, and no account is below its limit."""
        sums = np.zeros((len(self.genesis.assets) + 1, 10), np.uint64)
        below = sum_books(self.state, sums)
        if below >= 0:
            raise InvariantViolation(f"account row {below} is below its limit; restore from the journal")
        for asset in self.genesis.assets:
            pending_d, posted_d, pending_c, posted_c, held = sums[asset.number].reshape(5, 2).tolist()
            if posted_d != posted_c:
                raise InvariantViolation(
                    f"{asset.code}: posted debits {posted_d} and credits {posted_c} differ"
                )
            if not pending_d == pending_c == held:
                raise InvariantViolation(f"{asset.code}: pending sums do not match the open holds")

    def restore(self, tables: Mapping[str, npt.NDArray[Any]], blocks: int) -> None:
        """Take over the tables of a `state.dump` made after so many blocks; indexes are made anew."""
        fields: dict[str, npt.NDArray[Any]] = dict(tables)
        for name, index in layout.INDEX_OF.items():
            used = len(tables[name])
            room = used if name == "old_ids" else max(1024, used + used // layout.GROWTH_SHARE.get(name, 2))
            fields[name] = layout.grown(tables[name], room)
            fields[index] = layout.new_index(len(fields[name]))
            fill = fill_hold_index if name == "holds" else fill_index
            fill(fields[name], used, fields[index])
        fields["expiries"] = layout.grown(tables["expiries"], max(1024, len(tables["expiries"])))
        self.state = layout.State(**fields)
        self._blocks = blocks

    # Room.

    def _make_room(self, records: RecordArray) -> None:
        """Grow every table that this block could fill, so that kernels never have to."""
        kinds = records["kind"]
        opening = int(np.count_nonzero(kinds == Kind.OPEN_ACCOUNT))
        registering = int(np.count_nonzero(kinds == Kind.REGISTER_AUTHORITY))
        self._grow("accounts", "account_index", "accounts", opening)
        self._grow("authorities", "authority_index", "authorities", registering)
        self._grow("ids", "id_index", "ids", len(records))
        self._grow("holds", "hold_index", "holds", len(records))
        state = self.state
        needed = int(state.counters["expiries"][0]) + len(records)
        if needed > len(state.expiries):
            self.state = state._replace(expiries=layout.grown(state.expiries, needed))

    def _grow(self, table: str, index: str, counter: str, more: int) -> None:
        state = self.state
        used = int(state.counters[counter][0])
        rows: npt.NDArray[Any] = getattr(state, table)
        if used + more <= len(rows):
            return
        bigger = layout.grown(rows, used + more, layout.GROWTH_SHARE.get(table, 2))
        if layout.rows_of(getattr(state, index)) >= len(bigger):
            # Rows keep their numbers, so an index that still has room stays as it is.
            self.state = state._replace(**{table: bigger})
            return
        entries = layout.new_index(len(bigger) * layout.INDEX_AHEAD.get(table, 4) // 4)
        if table == "holds":
            fill_hold_index(bigger, used, entries)
        else:
            fill_index(bigger, used, entries)
        self.state = state._replace(**{table: bigger, index: entries})

    def _forget_old_ids(self, time_ns: int) -> None:
        """Drop a generation of ids once none of them could pass the time check any more."""
        rules, counters = self.genesis.rules, self.state.counters
        lifetime_ns = (rules.id_window_s + rules.id_future_s + 1) * NS_PER_S
        since = time_ns - int(counters["generation_ns"][0])
        if since < lifetime_ns:
            return
        used = int(counters["ids"][0])
        both_gone = since >= 2 * lifetime_ns
        fresh = np.zeros(max(1024, used), layout.REMEMBERED)
        self.state = self.state._replace(
            old_ids=np.zeros(0, layout.REMEMBERED) if both_gone else self.state.ids,
            old_id_index=layout.new_index(0) if both_gone else self.state.id_index,
            ids=fresh,
            id_index=layout.new_index(len(fresh)),
        )
        counters["old_ids"] = 0 if both_gone else used
        counters["ids"], counters["generation_ns"] = 0, time_ns

    @staticmethod
    def _rows(table: RecordArray, index: Rows, lo: Any, hi: Any) -> Rows:
        out = np.empty(len(lo), np.uint32)
        find_rows(table, index, np.ascontiguousarray(lo), np.ascontiguousarray(hi), out)
        return out


def _new_undo() -> tuple[npt.NDArray[Any], ...]:
    """Return room to undo the longest chain: what, row or slot, account image, hold image."""
    rows = 3 * MAX_AUTHORISED_RECORDS + 3
    return (
        np.zeros(rows, np.uint8),
        np.zeros(rows, np.uint32),
        np.zeros(rows, layout.ACCOUNT),
        np.zeros(rows, layout.HOLD),
    )
