"""What an account and a remembered id take in memory, counted from the tables themselves."""

from __future__ import annotations

from bezant.intelligence.features import BYTES_PER_ACCOUNT
from bezant.ledger import state as layout
from bezant.node import Node


def bytes_per_account(node: Node) -> dict[str, float]:
    """Return bytes an account takes, by what keeps it, at the tables' present fill."""
    state, count = node.engine.ledger.state, node.engine.ledger.account_count
    used = {
        "ledger": layout.ACCOUNT.itemsize,
        "index": state.account_index.nbytes / count,
        "features": BYTES_PER_ACCOUNT,
        "party_and_screening": 5,
    }
    return {name: round(float(value), 1) for name, value in used.items()} | {
        "total": round(float(sum(used.values())), 1)
    }


def bytes_per_id(rows: int = 1_000_000) -> dict[str, float]:
    """Return bytes a remembered id takes in a table sized for `rows`, index included."""
    index = layout.new_index(rows)
    return {
        "row": float(layout.REMEMBERED.itemsize),
        "index": round(index.nbytes / rows, 2),
        "total": round(layout.REMEMBERED.itemsize + index.nbytes / rows, 2),
    }
