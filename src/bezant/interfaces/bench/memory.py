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


def bytes_per_id() -> dict[str, float]:
    """Return bytes a remembered id takes in a page that is full, index included."""
    made = layout.new_generation("", 16 * layout.ID_PAGE)
    row, index = (made[name].nbytes / len(made["ids"]) for name in ("ids", "id_index"))
    return {"row": row, "index": round(index, 2), "total": round(row + index, 2)}
