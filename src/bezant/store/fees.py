"""Fees as entries of the accounts that collect them: receipts name those by row, and not their balances."""

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
from bezant.store.schema import accounts, entries

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
