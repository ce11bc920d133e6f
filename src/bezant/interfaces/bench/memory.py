"""What an account and a remembered id take in memory, counted from the tables themselves."""

from __future__ import annotations

from bezant.ledger import state as layout
from bezant.node import Node


def bytes_per_account(node: Node) -> dict[str, float]:
    """Return bytes an account takes, by what keeps it: all that is allocated, empty room included."""
    state, count = node.engine.ledger.state, node.engine.ledger.account_count
    allocated = {
        "ledger": state.accounts.nbytes,
        "index": state.account_index.nbytes,
        "features": node.features.account_nbytes,
        "party_and_screening": node.parties.nbytes,
    }
    each = {name: round(size / count, 1) for name, size in allocated.items()}
    return each | {"total": round(sum(allocated.values()) / count, 1)}


def bytes_per_id(rows: int = 1_000_000) -> dict[str, float]:
    """Return bytes a remembered id takes in a table sized for `rows`, index included."""
    index = layout.new_index(rows)
    return {
        "row": float(layout.REMEMBERED.itemsize),
        "index": round(index.nbytes / rows, 2),
        "total": round(layout.REMEMBERED.itemsize + index.nbytes / rows, 2),
    }
