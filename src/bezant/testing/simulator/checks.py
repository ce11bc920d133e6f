"""What must hold when a run is over, judged from outside: by the oracle, and by three plain rules.

The reference ledger answers every block again from what the senders know of their signatures. The
plain rules need no oracle: no id takes effect twice, a chain takes effect whole or not at all, and no
balance in a receipt is beyond its account's limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bezant.chain import leaves
from bezant.chain.blocks import StateRoot
from bezant.ledger import state as layout
from bezant.ledger.batch import Batch
from bezant.ledger.columnar import ColumnarLedger
from bezant.ledger.reference import ReferenceLedger
from bezant.model import merkle
from bezant.model.digest import as_rows
from bezant.model.genesis import Genesis
from bezant.model.identifiers import join
from bezant.model.merkle import leaf_hashes
from bezant.model.orders import join_authorised
from bezant.model.outcomes import Outcome
from bezant.model.records import DECISION, NO_ROW, Flag, RecordArray, id_of
from bezant.testing.simulator.workload import Envelope


class Violation(AssertionError):
    """A promise that a run broke."""


@dataclass(frozen=True, slots=True)
class Played:
    """A block as the simulation saw it applied."""

    envelopes: tuple[Envelope, ...]
    time_ns: int
    receipts: RecordArray
    state_root: StateRoot | None
    app_hash: bytes

    def batch(self) -> Batch:
        """Return the block for a ledger, its signatures judged by those who made them."""
        orders = [envelope.order for envelope in self.envelopes]
        authorisations, records = join_authorised([(o.authorisations, o.records) for o in orders])
        decisions = np.concatenate([o.decisions for o in orders]) if orders else np.zeros(0, DECISION)
        authentic = [good for envelope in self.envelopes for good in envelope.authentic]
        accepted = [envelope.accepted for envelope in self.envelopes for _ in envelope.authentic]
        return Batch(
            self.time_ns,
            records,
            decisions,
            authorisations,
            np.array(authentic, np.uint8),
            np.array(accepted, np.uint8),
            leaf_hashes(as_rows(records)),
        )


def check_history(
    genesis: Genesis, ledger_seed: bytes, played: Sequence[Played], live: ColumnarLedger
) -> None:
    """Raise Violation unless the reference ledger gives the same bytes, block for block, and the same
    books."""
    reference, app_hash = ReferenceLedger(genesis), bytes(32)
    for height, block in enumerate(played, 1):
        batch = block.batch()
        receipts = reference.apply(batch)
        if receipts.tobytes() != block.receipts.tobytes():
            raise Violation(
                f"block {height}: the reference answers otherwise: {_difference(receipts, block)}"
            )
        built = leaves.build_leaves(
            receipts, batch.record_hashes, batch.decisions, ledger_seed, live.accounts
        )
        if block.state_root is not None:
            built = np.concatenate((built, leaves.state_leaf(block.state_root)))
        if len(built):
            app_hash = leaves.next_app_hash(app_hash, merkle.root(leaves.hash_leaves(built)))
        if app_hash != block.app_hash:
            raise Violation(f"block {height}: the app hash does not follow from the receipts")
    reference.check_invariants()
    for account in reference.state.accounts.values():
        row = live.accounts[account.row]
        sides = tuple(join(row[f"{name}_lo"], row[f"{name}_hi"]) for name in _COUNTERS)
        if id_of(row, "id") != account.id or sides != account.sides:
            raise Violation(f"account {account.id:032x} stands at {sides}, the reference at {account.sides}")
    if live.account_count != len(reference.state.accounts):
        raise Violation("the reference knows another number of accounts")


def check_effects(played: Sequence[Played], live: ColumnarLedger) -> None:
    """Raise Violation for an id that took effect twice, half a chain, or a balance beyond a limit."""
    effects: set[tuple[int, int]] = set()
    for height, block in enumerate(played, 1):
        batch = block.batch()
        answers = block.receipts[len(block.receipts) - len(batch.records) :]
        _check_once(height, batch, answers, effects)
        _check_chains(height, batch, answers)
        _check_limits(height, block.receipts, live)


def check_same_state(before: dict[str, Any], ledger: ColumnarLedger) -> None:
    """Raise Violation unless a replayed ledger holds what the live one held, table for table."""
    after = layout.dump(ledger.state)
    for name, table in before.items():
        if table.tobytes() != after[name].tobytes():
            raise Violation(f"replaying the journal gives other {name} than applying it live")


_COUNTERS = ("debits_pending", "debits_posted", "credits_pending", "credits_posted")


def _check_once(height: int, batch: Batch, answers: RecordArray, effects: set[tuple[int, int]]) -> None:
    for covering in batch.authorisations:
        first = int(covering["first"])
        for index in range(first, first + int(covering["count"])):
            if Outcome(int(answers[index]["outcome"])).refused:
                continue
            key = id_of(covering, "authority"), id_of(batch.records[index], "id")
            if key in effects:
                raise Violation(f"block {height}: {key[1]:032x} took effect a second time")
            effects.add(key)


def _check_chains(height: int, batch: Batch, answers: RecordArray) -> None:
    refused = answers["outcome"] >= Outcome.MALFORMED
    linked = (batch.records["flags"] & Flag.LINKED) != 0
    ends = set((batch.authorisations["first"] + batch.authorisations["count"]).tolist())
    for index in np.flatnonzero(linked).tolist():
        if index + 1 not in ends and refused[index] != refused[index + 1]:
            raise Violation(f"block {height}: half of the linked chain at record {index} took effect")


def _check_limits(height: int, receipts: RecordArray, live: ColumnarLedger) -> None:
    for receipt in receipts:
        for name in ("debtor", "creditor"):
            row = int(receipt[f"{name}_row"])
            if row == NO_ROW or Outcome(int(receipt["outcome"])).refused:
                continue
            side, account = receipt[f"{name}_side"], live.accounts[row]
            pending_d, posted_d, pending_c, posted_c = (
                join(side[f"{counter}_lo"], side[f"{counter}_hi"]) for counter in _COUNTERS
            )
            if posted_d + pending_d > posted_c + int(account["credit_limit"]):
                raise Violation(f"block {height}: account row {row} is below its limit")
            limit = int(account["balance_limit"])
            if limit and posted_c + pending_c > posted_d + limit:
                # Captures and releases only ever bring an account nearer to its limit.
                raise Violation(f"block {height}: account row {row} holds more than it may")


def _difference(receipts: RecordArray, block: Played) -> str:
    if len(receipts) != len(block.receipts):
        return f"{len(receipts)} receipts instead of {len(block.receipts)}"
    at = next(i for i, (a, b) in enumerate(zip(receipts, block.receipts, strict=True)) if a != b)
    return f"receipt {at}: {receipts[at]} instead of {block.receipts[at]}"
