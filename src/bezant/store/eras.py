"""Asking era by era, which is how the indexes by account and by end-to-end id are laid out (`schema`)."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from bezant.store.schema import eras

_NUMBER: Final = sa.literal_column("+eras.number", sa.Integer)
"""Written with a sign, the column is no way into `eras`: so SQLite, which knows nothing of how many rows
there are, cannot think of walking through the payments and looking up the era of each."""


def by_era(table: sa.Table, *, newest: bool, start: int = 0, end: int = 2**63 - 1) -> sa.Select[Any]:
    """Return a query of the rows with an ordinal in [start, end), in that order, newest or oldest first.

    It walks the eras, and each by its own part of an index; with a limit it stops at the era that fills
    it. Conditions on the column behind `era` in that index are for the caller to add.
    """
    ordinal = table.c.ordinal
    order = (eras.c.number.desc(), ordinal.desc()) if newest else (eras.c.number, ordinal)
    query = sa.select(table).select_from(eras.join(table, table.c.era == _NUMBER))
    if start > 0:
        # The last era that begins at `start` or before it may hold rows behind it.
        holds_start = sa.select(sa.func.max(eras.c.number)).where(eras.c.first <= start)
        query = query.where(
            eras.c.number >= sa.func.coalesce(holds_start.scalar_subquery(), 0), ordinal >= start
        )
    if end < 2**63 - 1:
        query = query.where(eras.c.first < end, ordinal < end)
    return query.order_by(*order)
