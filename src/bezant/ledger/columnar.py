"""The ledger that runs: the reference's rules compiled by Numba over fixed-size records.

This file makes room, resolves signers and checks invariants; everything that decides is in
`kernel`. Tables grow, as copies, between blocks and never inside one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bezant.ledger import state as layout
from bezant.ledger.batch import NS_PER_S, Batch
from bezant.ledger.fees import collector_id
from bezant.ledger.invariants import check_state
from bezant.ledger.kernel.apply import apply_records, count_due, expire_holds
from bezant.ledger.kernel.authorities import judge_groups
from bezant.ledger.kernel.books import find_rows
from bezant.ledger.kernel.checks import foresee, recall
from bezant.ledger.kernel.faults import count_punished, punish
from bezant.ledger.kernel.governance import settle
from bezant.ledger.kernel.identities import enter_ids
from bezant.ledger.kernel.tables import fill_hold_index, fill_index, fill_owned_index
from bezant.ledger.limits import limits_of
from bezant.ledger.rewards import reward
from bezant.model.digest import Digests, new_scratch
from bezant.model.genesis import MAX_VALIDATORS, Genesis
from bezant.model.governance import MAX_PROPOSALS, in_force
from bezant.model.identifiers import AuthorityId, words
from bezant.model.orders import MAX_AUTHORISED_RECORDS
from bezant.model.outcomes import Outcome
from bezant.model.records import (
    MAX_KEYS,
    MAX_MODELS,
    NO_ROW,
    RECEIPT,
    RECORD,
    Kind,
    RecordArray,
    join_rows,
    of_kind,
)

Rows = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]
_EVERYDAY = int(Kind.RELEASE)
"""Kinds up to this one fill no table but ids and holds."""
_KEY_KINDS = (Kind.REGISTER_AUTHORITY, Kind.SET_KEY, Kind.SET_THRESHOLDS, Kind.RECOVER)


class ColumnarLedger:
    """The production ledger; see `Ledger` for the protocol.

    Not thread-safe: one thread applies, and readers of `state` must be that thread or accept
    a moment's lag.
    """

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = self.in_force = genesis
        """What the network was founded with, and the same with the rules that are in force."""
        self.limits = limits_of(genesis)
        self.state = layout.new_state(genesis)
        fill_index(self.state.authorities, len(genesis.institutions), self.state.authority_index)
        self._undo = _new_undo()
        self._blocks = 0
        self.keys_version = 0
        """Grows behind every block that may have changed who signs with which key."""
        self._scratch = (*new_scratch(1 + RECORD.itemsize), np.empty(32, np.uint8))

    def apply(self, batch: Batch) -> RecordArray:
        """Return the RECEIPT rows of one block: proposals, expired holds, faults, then one per record."""
        begun = self._begin(batch.time_ns)
        records = np.ascontiguousarray(batch.records)
        time_ns = np.uint64(batch.time_ns)
        self._forget_old_ids(batch.time_ns)
        changes = self._make_room(records)
        covering = np.ascontiguousarray(batch.authorisations)
        signers = self.authority_rows(covering["authority_lo"], covering["authority_hi"])
        authentic, reached = np.zeros(len(covering), np.uint8), np.zeros(len(covering), np.uint8)
        judge_groups(self.state, covering, signers, batch.authentic, authentic, reached)
        due = count_due(self.state, time_ns) if self._may_be_due(batch.time_ns) else 0
        receipts = np.zeros(due + len(records), RECEIPT)
        receipts["debtor_row"] = receipts["creditor_row"] = NO_ROW
        if due:
            expire_holds(self.state, time_ns, receipts[:due])
        if len(batch.faults) or self._some_missed():
            punished = self._punish(batch)
            receipts = join_rows([receipts[:due], punished, receipts[due:]], RECEIPT)
            due += len(punished)
        apply_records(
            self.state,
            records,
            np.ascontiguousarray(batch.decisions),
            (np.ascontiguousarray(batch.originals), batch.original_rows),
            covering,
            signers,
            authentic,
            batch.accepted,
            reached,
            time_ns,
            self.limits,
            (*self._scratch, np.ascontiguousarray(batch.record_hashes).view(np.uint64)),
            self._undo,
            receipts[due:],
        )
        if len(begun):
            receipts = join_rows([*begun, receipts], RECEIPT)
        if changes and of_kind(records, *_KEY_KINDS).any():
            self.keys_version += 1
        self._blocks += 1
        if self._blocks % self.genesis.rules.checkpoint_interval == 0:
            self._forget_old_refunds(batch.time_ns)
            self.check_invariants()
        return receipts

    def _begin(self, time_ns: int) -> list[RecordArray]:
        """Return what the ledger does at the beginning of a block, as system receipts: proposals settle, and
        at a checkpoint what was collected is divided."""
        begun, stake = [], self.genesis.stake
        if self.genesis.validators and len(settled := self._settle_proposals(time_ns)):
            begun.append(settled)
        if self.in_force.fees:
            self._find_collectors()
        if stake is not None and (self._blocks + 1) % self.genesis.rules.checkpoint_interval == 0:
            collector = self.account_row(collector_id(self.genesis, stake.asset))
            if collector != NO_ROW:
                begun.append(reward(self.state, self.genesis, collector))
        return begun

    def _find_collectors(self) -> None:
        """Charge fees from the block on that follows the one in which their account was opened."""
        fees = self.limits.fees
        for fee in self.in_force.fees:
            if fees[fee.asset, -1] == layout.EMPTY:
                fees[fee.asset, -1] = self.account_row(collector_id(self.genesis, fee.asset))
        if not self.limits.charges and (fees[:, -1] != layout.EMPTY).any():
            self.limits = self.limits._replace(charges=np.uint64(1))

    def _settle_proposals(self, time_ns: int) -> RecordArray:
        """Return the system receipts of proposals, and judge by the rules that are in force from now on."""
        self.limits = self.limits._replace(height=np.uint64(self._blocks + 1))
        receipts = np.zeros(np.count_nonzero(self.state.proposals["rule"]), RECEIPT)
        if not len(receipts):
            return receipts
        receipts["debtor_row"] = receipts["creditor_row"] = NO_ROW
        receipts = receipts[: settle(self.state, np.uint64(time_ns), self.limits, receipts)]
        if (receipts["outcome"] == int(Outcome.APPLIED)).any():
            self._obey()
        return receipts

    def _obey(self) -> None:
        """Judge by the rules that are in force."""
        self.in_force = in_force(self.genesis, layout.changes_in(self.state))
        self.limits = limits_of(self.in_force)._replace(height=self.limits.height)

    def _some_missed(self) -> bool:
        """Return whether a validator did not vote for the block before."""
        return bool(self.genesis.validators or self.genesis.stake) and bool(
            self.state.validators["missed"].any()
        )

    def _punish(self, batch: Batch) -> RecordArray:
        """Return the system receipts of the faults that a block reports."""
        faults = np.ascontiguousarray(batch.faults)
        receipts = np.zeros(count_punished(self.state, faults), RECEIPT)
        receipts["debtor_row"] = receipts["creditor_row"] = NO_ROW
        made = punish(self.state, faults, np.uint64(batch.time_ns), self.limits, receipts)
        return receipts[:made]

    # Reading.

    def account_rows(self, lo: npt.NDArray[np.uint64], hi: npt.NDArray[np.uint64]) -> Rows:
        """Return the row of each account id, NO_ROW where there is none."""
        return self._rows(self.state.accounts, self.state.account_index, lo, hi)

    def authority_rows(self, lo: npt.NDArray[np.uint64], hi: npt.NDArray[np.uint64]) -> Rows:
        """Return the row of each authority id, NO_ROW where there is none."""
        return self._rows(self.state.authorities, self.state.authority_index, lo, hi)

    def account(self, identity: int) -> np.void | None:
        """Return a copy of one account's row (dtype ACCOUNT), or None."""
        row = self.account_row(identity)
        return None if row == NO_ROW else self.state.accounts[row].copy()

    def account_row(self, identity: int) -> int:
        """Return the row of an account, NO_ROW where there is none."""
        lo, hi = words(identity)
        return int(self.account_rows(np.array([lo], np.uint64), np.array([hi], np.uint64))[0])

    def authority_row(self, authority: AuthorityId) -> int:
        """Return the row of an authority, NO_ROW where there is none."""
        lo, hi = words(authority)
        return int(self.authority_rows(np.array([lo], np.uint64), np.array([hi], np.uint64))[0])

    def is_registered(self, authority: AuthorityId) -> bool:
        return self.authority_row(authority) != NO_ROW

    def signing_keys(
        self, authorities: Rows, slots: npt.NDArray[np.uint16]
    ) -> tuple[Digests, npt.NDArray[np.uint32]]:
        """Return (keys (m, 32), schemes (m,)) of authority rows' slots; scheme 0 where there is no key."""
        rows = self.state.authorities[authorities]
        keys, schemes = rows["key"], np.where(slots == 0, rows["scheme"], 0).astype(np.uint32)
        more = (rows["keyset"] != layout.EMPTY).nonzero()[0]
        if len(more):
            sets, slot = self.state.keysets[rows["keyset"][more]], np.minimum(slots[more], MAX_KEYS - 1)
            at = np.arange(len(more))
            keys[more] = sets["keys"].reshape(-1, MAX_KEYS, 32)[at, slot]
            present = (sets["roles"][at, slot] != 0) & (slots[more] < MAX_KEYS)
            schemes[more] = np.where(present, sets["schemes"][at, slot], 0)
        return keys, schemes

    def signing_key_at(self, authority: AuthorityId, slot: int, time_ns: int) -> tuple[bytes, int] | None:
        """Return (key, scheme) that a slot held in front of the block of that time, or None."""
        row = self.authority_row(authority)
        if row == NO_ROW:
            return None
        past = self.state.past_keys[: int(self.state.counters["past_keys"][0])]
        gone = (past["authority"] == row) & (past["slot"] == slot) & (past["until_ns"] >= time_ns)
        if gone.any():
            first = past[gone][0]
            return first["key"].tobytes(), int(first["scheme"])
        keys, schemes = self.signing_keys(np.array([row], np.uint32), np.array([slot], np.uint16))
        return (keys[0].tobytes(), int(schemes[0])) if schemes[0] else None

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

    def id_room(self, time_ns: int) -> int:
        """Return how many ids a block of that time may enter before the ledger answers CAPACITY."""
        counters = self.state.counters
        since = time_ns - int(counters["generation_ns"][0])
        kept = 0 if since >= 2 * self._lifetime_ns else int(counters["ids"][0])
        kept += 0 if since >= self._lifetime_ns else int(counters["old_ids"][0])
        return max(self.genesis.rules.max_live_ids - kept, 0)

    def foresee(self, records: RecordArray, time_ns: int) -> npt.NDArray[np.uint16]:
        """Return what shape or time alone would have each record refused with in a block of that time,
        0xFFFF where nothing would: an outcome (n,) uint16."""
        refusals = np.empty(len(records), np.uint16)
        foresee(np.ascontiguousarray(records), np.uint64(time_ns // 1_000_000), self.limits, refusals)
        return refusals

    @property
    def account_count(self) -> int:
        return int(self.state.counters["accounts"][0])

    @property
    def accounts(self) -> RecordArray:
        """A view of the accounts in use, dtype ACCOUNT, by row."""
        return self.state.accounts[: self.account_count]

    def check_invariants(self) -> None:
        """Raise InvariantViolation where the books do not balance; see `invariants`."""
        check_state(self.state, self.genesis)

    def restore(self, tables: Mapping[str, npt.NDArray[Any]], blocks: int) -> None:
        """Take over the tables of a `state.dump` made after so many blocks; indexes are made anew."""
        fields: dict[str, npt.NDArray[Any]] = dict(tables)
        for name in (*layout.INDEX_OF, *layout.UNINDEXED):
            used = len(tables[name])
            room = max(1024, used + used // layout.GROWTH_SHARE.get(name, 1))
            fields[name] = layout.grown(tables[name], room)
            if name in layout.INDEX_OF:
                fields[layout.INDEX_OF[name]] = _filled_index(name, fields[name], used)
        fields["models"] = layout.grown(tables["models"], MAX_MODELS)
        fields["validators"] = layout.grown(tables["validators"], MAX_VALIDATORS)
        fields["proposals"] = layout.grown(tables["proposals"], MAX_PROPOSALS)
        fields["changes"] = layout.grown(tables["changes"], len(self.state.changes))
        fields |= _filled_generation("", tables["ids"], self.genesis.rules.max_live_ids)
        fields |= _filled_generation("old_", tables["old_ids"], len(tables["old_ids"]))
        self.state = layout.State(**fields)
        self._blocks = blocks
        self._obey()

    # Room.

    def _may_be_due(self, time_ns: int) -> bool:
        """Return whether the earliest expiry has come; of a hold that is still open or not."""
        return bool(self.state.counters["expiries"][0]) and time_ns >= self.state.expiries["expires_ns"][0]

    def _make_room(self, records: RecordArray) -> bool:
        """Grow every table that this block could fill, so that kernels never have to; return whether there
        is anything but everyday payments in it."""
        self._grow("holds", len(records))
        self._grow("expiries", len(records))
        kinds = records["kind"]
        if not (kinds > _EVERYDAY).any():
            return False
        counts = np.bincount(kinds, minlength=max(Kind) + 1)
        self._grow("accounts", int(counts[Kind.OPEN_ACCOUNT]))
        self._grow("authorities", int(counts[Kind.REGISTER_AUTHORITY]))
        self._grow("mandates", int(counts[Kind.SET_MANDATE]))
        self._grow("refunds", int(counts[Kind.REVERSE]))
        changing = int(counts[Kind.SET_KEY] + counts[Kind.SET_THRESHOLDS])
        self._grow("keysets", changing + int(counts[Kind.RECOVER]))
        self._grow("past_keys", int(counts[Kind.SET_KEY]) + MAX_KEYS * int(counts[Kind.RECOVER]))
        return True

    def _grow(self, table: str, more: int) -> None:
        """Make room for more rows in a table; its counter has its name, its index is filled again."""
        state = self.state
        used = int(state.counters[table][0])
        rows: npt.NDArray[Any] = getattr(state, table)
        if used + more <= len(rows):
            return
        bigger = layout.grown(rows, used + more, layout.GROWTH_SHARE.get(table, 1))
        changed: dict[str, Any] = {table: bigger}
        index = layout.INDEX_OF.get(table)
        if index is not None:
            changed[index] = _filled_index(table, bigger, used)
        self.state = state._replace(**changed)

    def _forget_old_refunds(self, time_ns: int) -> None:
        """Drop what is known of refunds whose payment cannot be reversed any more."""
        counters, refunds = self.state.counters, self.state.refunds
        used = refunds[: int(counters["refunds"][0])]
        kept = used[used["until_ms"] >= np.uint64(time_ns // 1_000_000)]
        if len(kept) < len(used):
            refunds[: len(kept)] = kept
            counters["refunds"] = len(kept)
            self.state = self.state._replace(refund_index=_filled_index("refunds", refunds, len(kept)))

    def _forget_old_ids(self, time_ns: int) -> None:
        """Drop a generation of ids once none of them could pass the time check any more."""
        rules, counters = self.genesis.rules, self.state.counters
        since = time_ns - int(counters["generation_ns"][0])
        if since < self._lifetime_ns:
            return
        used, state = int(counters["ids"][0]), self.state
        both_gone = since >= 2 * self._lifetime_ns
        # What was new is old now; readers and snapshots may go on with the tables they hold.
        old = {"old_ids": state.ids, "old_id_index": state.id_index, "old_id_pages": state.id_pages}
        self.state = state._replace(
            **layout.new_generation("", rules.max_live_ids),
            **(layout.new_generation("old_", 0) if both_gone else old),
        )
        counters["old_ids"] = 0 if both_gone else used
        counters["ids"], counters["generation_ns"] = 0, time_ns

    @property
    def _lifetime_ns(self) -> int:
        """After how long none of the ids of a generation could pass the time check any more."""
        rules = self.genesis.rules
        return (rules.id_window_s + rules.id_future_s + 1) * NS_PER_S

    @staticmethod
    def _rows(table: RecordArray, index: Rows, lo: Any, hi: Any) -> Rows:
        out = np.empty(len(lo), np.uint32)
        find_rows(table, index, np.ascontiguousarray(lo), np.ascontiguousarray(hi), out)
        return out


def _new_undo() -> tuple[npt.NDArray[Any], ...]:
    """Return room to undo the longest chain, five changes a member: what, row or slot, account image,
    hold image, two counts of a mandate or refund."""
    rows = 5 * MAX_AUTHORISED_RECORDS
    return (
        np.zeros(rows, np.uint8),
        np.zeros(rows, np.uint32),
        np.zeros(rows, layout.ACCOUNT),
        np.zeros(rows, layout.HOLD),
        np.zeros((rows, 2), np.uint64),
    )


def _filled_index(table: str, rows: npt.NDArray[Any], used: int) -> Rows:
    """Return an index of a table's rows in use, with room for all of its rows."""
    index = layout.new_index(len(rows))
    if table == "holds":
        fill_hold_index(rows, used, index)
    elif table in ("mandates", "refunds"):
        fill_owned_index(rows, used, index)
    else:
        fill_index(rows, used, index)
    return index


def _filled_generation(prefix: str, ids: npt.NDArray[Any], room: int) -> dict[str, npt.NDArray[Any]]:
    """Return a generation of ids as fields of `State`, with room for so many."""
    made = layout.new_generation(prefix, room)
    table, index, pages = made.values()
    table[: len(ids)] = ids
    enter_ids(table, index, pages, np.uint64(len(ids)))
    return made
