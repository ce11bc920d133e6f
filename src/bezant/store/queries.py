"""Reading: payments, accounts and statements, from any thread while the writer writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from bezant.errors import InputError, NotFound, StorageError
from bezant.model.identifiers import AccountId, AuthorityId, PaymentId, render_id, render_payment_id
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, Label
from bezant.store.cursors import decode_cursor, encode_cursor
from bezant.store.database import Database
from bezant.store.eras import by_era
from bezant.store.fees import fees_charged
from bezant.store.projection import EndToEndHashes
from bezant.store.proposals import last_named, listed, said_to
from bezant.store.reviews import Wanted, open_reviews
from bezant.store.schema import (
    NOT_SETTLED,
    POSITION_BITS,
    PaymentStatus,
    ProposalStatus,
    account_parties,
    accounts,
    blocks,
    captures,
    entries,
    id_key,
    labels,
    model_changes,
    payments,
)
from bezant.store.views import (
    ModelChange,
    Page,
    Statement,
    StatementEntry,
    StoredAccount,
    StoredCapture,
    StoredLabel,
    StoredPayment,
    StoredProposal,
    StoredReview,
    account_view,
    capture_view,
    entry_view,
    label_view,
    model_change_view,
    payment_view,
    proposal_view,
    review_view,
)

MAX_LIMIT: Final = 1000
_ENTRY_HEIGHT: Final = sa.literal_column(f"(entries.ordinal >> {POSITION_BITS})", sa.BigInteger)


class Queries:
    """The questions that interfaces ask. Lists go newest first, statements oldest first."""

    def __init__(self, database: Database, hashes: EndToEndHashes) -> None:
        self._database = database
        self._hashes = hashes

    def payment(self, id_: PaymentId, authority: AuthorityId | None = None) -> StoredPayment:
        """Return one payment; raises NotFound ``payment_unknown``.

        Two authorities may use one id. Without `authority`, a payment that its signer was allowed to
        make comes before one it was not, then the first ordered.
        """
        query = sa.select(payments).where(payments.c.id == id_key(id_))
        if authority is not None:
            query = query.where(payments.c.authority == id_key(authority))
        not_authorised = sa.case((payments.c.outcome == int(Outcome.NOT_AUTHORISED), 1), else_=0)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(not_authorised, payments.c.ordinal).limit(1)).all()
            found = _views(connection, rows)
        if not found:
            raise NotFound(f"no payment {render_payment_id(id_)} is known", code="payment_unknown")
        return found[0]

    def payments_by_end_to_end_id(self, end_to_end_id: str, limit: int = 50) -> list[StoredPayment]:
        """Return the payments of an end-to-end id, newest first; payers choose it, so there may be many."""
        has_it = payments.c.end_to_end_hash == self._hashes.digest(end_to_end_id)
        query = by_era(payments, newest=True).where(has_it).limit(_checked(limit))
        with self._database.read() as connection:
            return _views(connection, connection.execute(query).all())

    def payments(
        self,
        *,
        account: AccountId | None = None,
        status: PaymentStatus | None = None,
        from_ns: int | None = None,
        to_ns: int | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[StoredPayment]:
        """Return payments created in [from_ns, to_ns), newest first.

        By account, attempts that their signer was not authorised to make are left out: a stranger
        could fill anyone's list with those. Raises: InputError ``cursor_invalid``.
        """
        limit = _checked(limit)
        scope = f"payments {account} {status} {from_ns} {to_ns}"
        with self._database.read() as connection:
            first, end = _ordinal_range(connection, from_ns, to_ns)
            if cursor is not None:
                end = min(end, decode_cursor(scope, cursor))
            conditions: list[Any] = []
            if status is not None:
                conditions.append(payments.c.status == status.value)
                # Said literally, so that the planner sees it may use the partial index.
                conditions += [NOT_SETTLED] if status is not PaymentStatus.SETTLED else []
            if account is None:
                conditions += [payments.c.ordinal >= first, payments.c.ordinal < end]
                query = _newest(payments, conditions, limit)
            else:
                query = _of_account(
                    account, by_era(payments, newest=True, start=first, end=end), conditions, limit
                )
            rows = connection.execute(query).all()
            found = _views(connection, rows[:limit])
        next_cursor = encode_cursor(scope, rows[limit - 1].ordinal) if len(rows) > limit else None
        return Page(found, next_cursor)

    def captures(self, payment: StoredPayment) -> list[StoredCapture]:
        """Return the captures of a hold, oldest first."""
        query = sa.select(captures).where(
            captures.c.payment == id_key(payment.id), captures.c.debtor == id_key(payment.debtor)
        )
        with self._database.read() as connection:
            return [capture_view(row) for row in connection.execute(query.order_by(captures.c.ordinal))]

    def refunds(self, payment: StoredPayment) -> list[StoredPayment]:
        """Return what paid a payment or its captures back, oldest first."""
        debtor = id_key(payment.debtor)
        of_it = sa.select(captures.c.id).where(
            captures.c.payment == id_key(payment.id), captures.c.debtor == debtor
        )
        query = sa.select(payments).where(
            sa.or_(payments.c.related == id_key(payment.id), payments.c.related.in_(of_it)),
            payments.c.kind == int(Kind.REVERSE),
            payments.c.outcome == int(Outcome.APPLIED),
            payments.c.creditor == debtor,
        )
        with self._database.read() as connection:
            return _views(connection, connection.execute(query.order_by(payments.c.ordinal)).all())

    def labels(self, payment: StoredPayment) -> list[StoredLabel]:
        """Return what a payment was said to be, oldest first; the last counts."""
        query = sa.select(labels).where(
            labels.c.payment == id_key(payment.id), labels.c.debtor == id_key(payment.debtor)
        )
        with self._database.read() as connection:
            return [label_view(row) for row in connection.execute(query.order_by(labels.c.ordinal))]

    def frauds(self, ids: Sequence[PaymentId]) -> set[PaymentId]:
        """Return those of up to some thousand payments whose last label says fraud."""
        last: dict[tuple[bytes, bytes], Label] = {}
        with self._database.read() as connection:
            for start in range(0, len(ids), MAX_LIMIT):
                keys = [id_key(id_) for id_ in ids[start : start + MAX_LIMIT]]
                query = sa.select(labels).where(labels.c.payment.in_(keys)).order_by(labels.c.ordinal)
                for row in connection.execute(query):
                    last[bytes(row.payment), bytes(row.debtor)] = Label(row.label)
        said = (payment for (payment, _), label in last.items() if label is Label.FRAUD)
        return {PaymentId(int.from_bytes(payment, "big")) for payment in said}

    def payments_of(self, ids: Sequence[PaymentId]) -> list[StoredPayment]:
        """Return the payments of up to MAX_LIMIT ids that are known, newest first."""
        query = sa.select(payments).where(payments.c.id.in_([id_key(id_) for id_ in ids[:MAX_LIMIT]]))
        with self._database.read() as connection:
            return _views(connection, connection.execute(query.order_by(payments.c.ordinal.desc())).all())

    def reviews(self, wanted: Wanted, *, cursor: str | None = None, limit: int = 50) -> Page[StoredReview]:
        """Return what waits for a person, by asset and what is expected to be lost.

        Raises: InputError ``cursor_invalid``.
        """
        with self._database.read() as connection:
            rows, next_cursor = open_reviews(connection, wanted, cursor, _checked(limit))
            return Page([review_view(row) for row in rows], next_cursor)

    def labelled(
        self,
        *,
        from_ns: int | None = None,
        to_ns: int | None = None,
        cursor: str | None = None,
        limit: int = 200,
    ) -> Page[StoredLabel]:
        """Return every label given in [from_ns, to_ns), newest first: of a payment, the first seen counts.

        Raises: InputError ``cursor_invalid``.
        """
        limit = _checked(limit)
        scope = f"labels {from_ns} {to_ns}"
        with self._database.read() as connection:
            first, end = _ordinal_range(connection, from_ns, to_ns)
            if cursor is not None:
                end = min(end, decode_cursor(scope, cursor))
            within = [labels.c.ordinal >= first, labels.c.ordinal < end]
            rows = connection.execute(_newest(labels, within, limit)).all()
        next_cursor = encode_cursor(scope, rows[limit - 1].ordinal) if len(rows) > limit else None
        return Page([label_view(row) for row in rows[:limit]], next_cursor)

    def model_changes(self, authority: AuthorityId) -> list[ModelChange]:
        """Return every role that models of an authority were given, oldest first."""
        query = sa.select(model_changes).where(model_changes.c.authority == id_key(authority))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(model_changes.c.ordinal))
            return [model_change_view(row) for row in rows]

    def proposals(
        self, *, status: ProposalStatus | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[StoredProposal]:
        """Return what was put to the vote, newest first. Raises: InputError ``cursor_invalid``."""
        with self._database.read() as connection:
            rows, next_cursor = listed(connection, status, cursor, _checked(limit))
            ballots = said_to(connection, rows)
        return Page(list(map(proposal_view, rows, ballots)), next_cursor)

    def proposal(self, id_: PaymentId) -> StoredProposal:
        """Return the last proposal of an id; raises NotFound ``proposal_unknown``."""
        with self._database.read() as connection:
            row = last_named(connection, id_)
            if row is None:
                raise NotFound(f"no proposal {render_payment_id(id_)} is known", code="proposal_unknown")
            return proposal_view(row, said_to(connection, [row])[0])

    def account(self, id_: AccountId) -> StoredAccount:
        """Return one account; raises NotFound ``account_unknown``."""
        with self._database.read() as connection:
            row = connection.execute(_accounts().where(accounts.c.id == id_key(id_))).first()
        if row is None:
            raise _unknown_account(id_)
        return account_view(row)

    def accounts(
        self, *, authority: AuthorityId | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[StoredAccount]:
        """Return accounts in the order of their ids. Raises: InputError ``cursor_invalid``."""
        limit = _checked(limit)
        scope = f"accounts {authority}"
        query = _accounts().order_by(accounts.c.id).limit(limit + 1)
        if authority is not None:
            query = query.where(accounts.c.authority == id_key(authority))
        if cursor is not None:
            query = query.where(accounts.c.id > id_key(decode_cursor(scope, cursor)))
        with self._database.read() as connection:
            found = [account_view(row) for row in connection.execute(query)]
        next_cursor = encode_cursor(scope, found[limit - 1].id) if len(found) > limit else None
        return Page(found[:limit], next_cursor)

    def statement(
        self,
        account: AccountId,
        *,
        from_ns: int | None = None,
        to_ns: int | None = None,
        cursor: str | None = None,
        limit: int = 200,
    ) -> Statement:
        """Return a page of what was posted to an account in [from_ns, to_ns), oldest first.

        Raises: NotFound ``account_unknown``; InputError ``cursor_invalid``; StorageError
        ``statement_inconsistent`` should entries and balances not add up.
        """
        limit, key = _checked(limit), id_key(account)
        scope = f"statement {account} {from_ns} {to_ns}"
        with self._database.read() as connection:
            asset = connection.scalar(sa.select(accounts.c.asset).where(accounts.c.id == key))
            if asset is None:
                raise _unknown_account(account)
            first, end = _ordinal_range(connection, from_ns, to_ns)
            start = first if cursor is None else decode_cursor(scope, cursor) + 1
            query = (
                by_era(entries, newest=False, start=start, end=end)
                .join(blocks, blocks.c.height == _ENTRY_HEIGHT)
                .add_columns(blocks.c.time_ns)
                .where(entries.c.account == key)
                .limit(limit + 1)
            )
            rows = connection.execute(query).all()
            opening, period_opening, period_closing = (
                _balance_before(connection, key, ordinal) for ordinal in (start, first, end)
            )
        shown = [entry_view(row) for row in rows[:limit]]
        return Statement(
            account=account,
            asset=asset,
            entries=shown,
            opening=opening,
            closing=_checked_closing(account, opening, shown),
            period_opening=period_opening,
            period_closing=period_closing,
            next_cursor=encode_cursor(scope, rows[limit - 1].ordinal) if len(rows) > limit else None,
        )


def _views(connection: sa.Connection, rows: Sequence[Any]) -> list[StoredPayment]:
    """Return rows of payments with what each was charged."""
    charged = fees_charged(connection, [row.ordinal for row in rows]) if rows else {}
    return [payment_view(row, charged.get(row.ordinal, 0)) for row in rows]


def _ordinal_range(connection: sa.Connection, from_ns: int | None, to_ns: int | None) -> tuple[int, int]:
    """Return the ordinals [first, end) of a time range; block times only ever grow."""
    first = 0 if from_ns is None else _first_ordinal(connection, from_ns)
    end = 2**63 - 1 if to_ns is None else _first_ordinal(connection, to_ns)
    return first, end


def _first_ordinal(connection: sa.Connection, time_ns: int) -> int:
    bounded = max(0, min(time_ns, 2**63 - 1))
    query = sa.select(blocks.c.height).where(blocks.c.time_ns >= bounded).order_by(blocks.c.time_ns).limit(1)
    height = connection.scalar(query)
    return 2**63 - 1 if height is None else height << POSITION_BITS


def _newest(table: Any, conditions: Sequence[Any], limit: int) -> sa.Select[Any]:
    return sa.select(table).where(*conditions).order_by(table.c.ordinal.desc()).limit(limit + 1)


def _of_account(
    account: AccountId, newest: sa.Select[Any], conditions: Sequence[Any], limit: int
) -> sa.Select[Any]:
    """Both sides' newest, each by its own index, then the newest of those."""
    key = id_key(account)
    allowed = [*conditions, payments.c.outcome != int(Outcome.NOT_AUTHORISED)]
    newest = newest.where(*allowed).limit(limit + 1)
    paid = newest.where(payments.c.debtor == key).subquery()
    received = newest.where(payments.c.creditor == key, payments.c.debtor != key).subquery()
    return _newest(sa.union_all(sa.select(paid), sa.select(received)).subquery(), [], limit)


def _accounts() -> sa.Select[Any]:
    newest = by_era(entries, newest=True).with_only_columns(entries.c.balance)
    balance = newest.where(entries.c.account == accounts.c.id).limit(1).scalar_subquery()
    joined = accounts.outerjoin(account_parties, account_parties.c.account == accounts.c.id)
    return sa.select(accounts, account_parties.c.party, balance.label("balance")).select_from(joined)


def _balance_before(connection: sa.Connection, account: bytes, ordinal: int) -> int:
    before = by_era(entries, newest=True, end=ordinal).with_only_columns(entries.c.balance)
    return int(connection.scalar(before.where(entries.c.account == account).limit(1)) or 0)


def _checked_closing(account: AccountId, opening: int, shown: Sequence[StatementEntry]) -> int:
    balance = opening
    for entry in shown:
        balance += entry.signed_amount
        if balance != entry.balance:
            raise StorageError(
                f"the entries of account {render_id(account)} do not add up at block {entry.height}, "
                f"position {entry.position}; rebuild the store from the journal",
                code="statement_inconsistent",
            )
    return balance


def _checked(limit: int) -> int:
    if not 1 <= limit <= MAX_LIMIT:
        raise InputError(
            f"a page has 1 to {MAX_LIMIT} rows, not {limit}", code="limit_invalid", param="limit"
        )
    return limit


def _unknown_account(account: AccountId) -> NotFound:
    return NotFound(f"no account {render_id(account)} is known", code="account_unknown")
