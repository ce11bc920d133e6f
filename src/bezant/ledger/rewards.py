"""Fees divided among bonds at checkpoints, over the columnar tables: the twin of the reference's `reward`."""

from __future__ import annotations

from typing import Any

import numpy as np

from bezant.ledger.batch import NEVER
from bezant.ledger.fees import shares
from bezant.ledger.state import State
from bezant.model.genesis import Genesis
from bezant.model.identifiers import join, words
from bezant.model.outcomes import Outcome
from bezant.model.records import NO_ROW, RECEIPT, SIDE, Kind, RecordArray, join_rows

U128_MAX = 2**128 - 1


def reward(state: State, genesis: Genesis, collector_row: int) -> RecordArray:
    """Return the system receipts of a checkpoint's division of what the bonded asset's account collected."""
    stake = genesis.stake
    none = np.zeros(0, RECEIPT)
    if stake is None or state.assets[stake.asset]["paused"]:
        return none
    collector = state.accounts[collector_row]
    spent = _counter(collector, "debits_posted") + _counter(collector, "debits_pending")
    pot = max(_counter(collector, "credits_posted") - spent, 0)
    voters = state.validators[state.validators["used"] == 1]
    active = {
        voter["key"].tobytes()
        for voter in voters
        if not voter["jailed_until_ns"] and int(voter["granted"]) + int(voter["bonded"]) // stake.unit
    }
    used = state.holds[: int(state.counters["holds"][0])]
    bonds = used[(used["sequence"] != 0) & (used["kind"] == int(Kind.BOND)) & (used["expires_ns"] == NEVER)]
    bonds = bonds[np.argsort(bonds["sequence"], kind="stable")]
    bonds = [bond for bond in bonds if bond["lock"].tobytes() in active]
    made = []
    for bond, share in zip(bonds, shares(pot, [int(bond["amount"]) for bond in bonds]), strict=True):
        account = state.accounts[int(bond["debtor"])]
        if share == 0 or account["standing"] or not _has_room(account, share):
            continue
        _add(collector, "debits_posted", share)
        _add(account, "credits_posted", share)
        receipt = np.zeros(1, RECEIPT)
        receipt["id_lo"], receipt["id_hi"], receipt["kind"] = bond["id_lo"], bond["id_hi"], Kind.BOND
        receipt["order_index"], receipt["outcome"], receipt["amount"] = NO_ROW, Outcome.REWARDED, share
        receipt["debtor_row"], receipt["creditor_row"] = collector_row, bond["debtor"]
        for side, of in (("debtor_side", collector), ("creditor_side", account)):
            for name in SIDE.names or ():
                receipt[side][name] = of[name]
        made.append(receipt)
    return join_rows(made, RECEIPT)


def _has_room(account: Any, amount: int) -> bool:
    received = _counter(account, "credits_posted") + _counter(account, "credits_pending") + amount
    limit = int(account["balance_limit"])
    if limit and received > _counter(account, "debits_posted") + limit:
        return False
    return received + 2**64 <= U128_MAX


def _counter(account: Any, name: str) -> int:
    return join(account[f"{name}_lo"], account[f"{name}_hi"])


def _add(account: Any, name: str, amount: int) -> None:
    account[f"{name}_lo"], account[f"{name}_hi"] = words(_counter(account, name) + amount)
