"""What waits for a person, by what is expected to be lost if nobody looks.

A review's priority is its expected loss, score_ppm * amount // 10**6 in minor units of its asset. Units of
two assets cannot be compared: a list goes asset by asset, in the order of their numbers, and by priority
within each; of two with the same priority the one that has waited longer comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from bezant.errors import InputError
from bezant.model.identifiers import AccountId, PaymentId
from bezant.model.outcomes import Outcome
from bezant.model.records import RecordArray
from bezant.store import columns
from bezant.store.cursors import decode_cursor, encode_cursor
from bezant.store.schema import (
    escalations,
    id_key,
    payments,
    reviews,
    unsigned_amount,
)

Row = tuple[Any, ...]
CLOSE: Final = "DELETE FROM reviews WHERE id = ? AND debtor = ?"
EXPIRE: Final = 'DELETE FROM reviews WHERE id = ? AND debtor = (SELECT id FROM accounts WHERE "row" = ?)'
_PPM: Final = 10**6
MOST_AMONG: Final = 20_000
"""As many values as a query of SQLite takes for certain, with room for others."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which reviews: of one asset by its number, of one account on either side, passed on or not, created at
    `until_ns` or before, and among some payments, MOST_AMONG at most; None asks for all."""

    asset: int | None = None
    account: AccountId | None = None
    escalated: bool | None = None
    until_ns: int | None = None
    among: Sequence[PaymentId] | None = None


ALL: Final = Wanted()


def expected_loss(score_ppm: int, amount: int) -> int:
    """Return what is expected to be lost in minor units; a score counts for 10**6 parts per million at most,
    whatever a gateway may have attested.

    >>> expected_loss(250_000, 1_999)
    499
    """
    return min(score_ppm, _PPM) * amount // _PPM


def review_rows(
    records: RecordArray,
    decisions: RecordArray,
    receipts: RecordArray,
    ordinals: npt.NDArray[np.int64],
    times: npt.NDArray[np.int64],
) -> list[Row]:
    """Return the rows of `schema.reviews` for those of records (n,) that were held for review."""
    at = np.flatnonzero(receipts["outcome"] == Outcome.HELD_FOR_REVIEW)
    records, decisions, ordinals, times = records[at], decisions[at], ordinals[at], times[at]
    losses = map(expected_loss, decisions["score_ppm"].tolist(), records["amount"].tolist())
    return list(
        zip(
            ordinals.tolist(),
            columns.ids(records, "id"),
            columns.ids(records, "debtor"),
            columns.ids(records, "creditor"),
            records["asset"].tolist(),
            map(_key, losses),
            times.tolist(),
            strict=True,
        )
    )


def open_reviews(
    connection: sa.Connection, wanted: Wanted, cursor: str | None, limit: int
) -> tuple[Sequence[Any], str | None]:
    """Return rows of payments in review, with `escalated`, and the cursor of the next page.

    Raises: InputError ``cursor_invalid``.
    """
    # Times and what lapses by one move on from page to page, and the place in the list stays.
    scope = f"reviews {wanted.asset} {wanted.account} {wanted.escalated}"
    passed_on = sa.exists().where(escalations.c.payment == reviews.c.id)
    joined = reviews.join(payments, payments.c.ordinal == reviews.c.ordinal)
    query = sa.select(payments, passed_on.label("escalated")).select_from(joined)
    if wanted.asset is not None:
        query = query.where(reviews.c.asset == wanted.asset)
    if wanted.account is not None:
        key = id_key(wanted.account)
        query = query.where(sa.or_(reviews.c.debtor == key, reviews.c.creditor == key))
    if wanted.escalated is not None:
        # Asked for by id, the few that were passed on are where the database begins.
        query = query.where(
            reviews.c.id.in_(sa.select(escalations.c.payment)) if wanted.escalated else ~passed_on
        )
    if wanted.until_ns is not None:
        query = query.where(reviews.c.created_ns <= wanted.until_ns)
    if wanted.among is not None:
        query = query.where(reviews.c.id.in_([id_key(payment) for payment in wanted.among]))
    if cursor is not None:
        query = query.where(_behind(connection, decode_cursor(scope, cursor)))
    query = query.order_by(reviews.c.asset, reviews.c.priority.desc(), reviews.c.ordinal)
    rows = connection.execute(query.limit(limit + 1)).all()
    return rows[:limit], encode_cursor(scope, rows[limit - 1].ordinal) if len(rows) > limit else None


def _behind(connection: sa.Connection, ordinal: int) -> sa.ColumnElement[bool]:
    """Return the condition of standing behind a payment in the list, whether it still waits or not."""
    last = connection.execute(sa.select(payments).where(payments.c.ordinal == ordinal)).first()
    if last is None:
        raise InputError(
            "the list has changed since this cursor was given; leave it out to begin again",
            code="cursor_invalid",
            param="cursor",
        )
    asset, priority = reviews.c.asset, reviews.c.priority
    same_asset, own = asset == last.asset, _priority(last)
    return sa.or_(
        asset > last.asset,
        same_asset & (priority < own),
        same_asset & (priority == own) & (reviews.c.ordinal > last.ordinal),
    )


def _priority(payment: Any) -> bytes:
    return _key(expected_loss(payment.score_ppm, unsigned_amount(payment.amount)))


def _key(loss: int) -> bytes:
    return loss.to_bytes(8, "big")
