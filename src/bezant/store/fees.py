"""Fees as entries of the accounts that collect them: receipts name those by row, and not their balances.

What a payment was charged is kept nowhere else: it is how much more left its debtor than was paid, or how
much less of a capture reached its creditor.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from bezant.errors import InvariantViolation
from bezant.model.records import Kind, RecordArray
from bezant.store import columns, schema
from bezant.store.database import Database
from bezant.store.eras import by_era
from bezant.store.schema import accounts, captures, entries, eras, payments, unsigned_amount

Row = tuple[Any, ...]


def fee_rows(
    records: RecordArray,
    receipts: RecordArray,
    ordinals: npt.NDArray[np.int64],
    eras: npt.NDArray[np.int64],
) -> list[Row]:
    """Return (collector's row, ordinal, era, fee, payment, who paid it) of records (n,) that were charged."""
    at = np.flatnonzero(receipts["fee"])
    if not len(at):
        return []
    charged, paid = records[at], receipts[at]
    captures = (charged["kind"] == Kind.CAPTURE).tolist()
    own, held = columns.ids(charged, "id"), columns.ids(charged, "related")
    debtors, creditors = columns.ids(charged, "debtor"), columns.ids(charged, "creditor")
    return [
        (row, ordinal, era, fee, of_hold if closes else of_own, creditor if closes else debtor)
        for row, ordinal, era, fee, of_own, of_hold, debtor, creditor, closes in zip(
            paid["fee_row"].tolist(),
            ordinals[at].tolist(),
            eras[at].tolist(),
            columns.amounts(paid["fee"]),
            own,
            held,
            debtors,
            creditors,
            captures,
            strict=True,
        )
    ]


def insert_fees(
    database: Database, connection: sa.Connection, fees: Sequence[Row], paid_over: Sequence[Row]
) -> None:
    """Enter what was collected, with the balance after each. `paid_over` are rows as `slashes.INSERT` takes
    them, entered before: rewards leave the same account, and say what is left in it.

    Raises: InvariantViolation for an account that the store does not know.
    """
    for collector, group in groupby(sorted(fees), key=lambda row: row[0]):
        own = list(group)
        account = connection.scalar(sa.select(accounts.c.id).where(accounts.c.row == collector))
        if account is None:
            raise InvariantViolation("a fee went to an account that the store does not know")
        newest = by_era(entries, newest=True, end=own[0][1]).with_only_columns(entries.c.balance)
        balance = int(connection.scalar(newest.where(entries.c.account == account).limit(1)) or 0)
        left = {row[1]: int(row[5]) for row in paid_over if row[6] == collector and row[1] > own[0][1]}
        charged = {row[1]: row for row in own}
        made = []
        for ordinal in sorted([*left, *charged]):
            if ordinal in left:
                balance = left[ordinal]
                continue
            _, _, era, fee, payment, payer = charged[ordinal]
            balance += fee
            made.append((era, account, ordinal, "credit", fee, payment, payer, str(balance)))
        database.insert_many(connection, schema.entries, made)


def fees_charged(connection: sa.Connection, ordinals: Sequence[int]) -> dict[int, int]:
    """Return what payments of these ordinals (at most some thousand) were charged so far, in minor units, by
    ordinal; those that were charged nothing are left out."""
    asked = payments.c.ordinal.in_(ordinals)
    beside = (
        sa.select(payments.c.ordinal, entries.c.amount, payments.c.amount)
        .join(entries, _entry_of(payments.c.era, payments.c.debtor, payments.c.ordinal))
        .where(asked, payments.c.kind == int(Kind.TRANSFER), entries.c.amount != payments.c.amount)
    )
    era = sa.select(eras.c.number).where(eras.c.first <= captures.c.ordinal).order_by(eras.c.number.desc())
    out_of = (
        sa.select(payments.c.ordinal, captures.c.amount, entries.c.amount)
        .join(captures, sa.and_(captures.c.payment == payments.c.id, captures.c.debtor == payments.c.debtor))
        .join(entries, _entry_of(era.limit(1).scalar_subquery(), payments.c.creditor, captures.c.ordinal))
        .where(asked, entries.c.amount != captures.c.amount)
    )
    found: dict[int, int] = {}
    for query in (beside, out_of):
        for ordinal, more, less in connection.execute(query):
            found[ordinal] = found.get(ordinal, 0) + unsigned_amount(more - less)
    return found


def _entry_of(
    era: sa.ColumnElement[int], account: sa.ColumnElement[bytes], ordinal: sa.ColumnElement[int]
) -> Any:
    """Return the condition that an entry is the one of an account at an ordinal: its primary key."""
    return sa.and_(entries.c.era == era, entries.c.account == account, entries.c.ordinal == ordinal)
