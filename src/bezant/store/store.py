"""The read model: follows committed blocks exactly once, and can always be made again from them.

Rows and the height they reach are written in one transaction. A block that is already in is passed
over; one that skips a height is refused. The store never answers for the ledger: payment state that
decides anything comes from ledger and journal, this is for lists, search and statements.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import sqlalchemy as sa

from bezant.chain.blocks import CommittedBlock
from bezant.chain.storage.base import Opening
from bezant.errors import ConfigError, InvariantViolation
from bezant.model.identifiers import AccountId
from bezant.store import proposals, reviews, schema, slashes
from bezant.store.database import Database
from bezant.store.fees import insert_fees
from bezant.store.opening import opening_rows
from bezant.store.outbox import Event, Outbox
from bezant.store.projection import (
    UNREMEMBERED,
    EndToEndHashes,
    ProjectedRows,
    TextSource,
    project_rows,
)
from bezant.store.queries import Queries
from bezant.store.schema import account_parties, accounts, checkpoint, id_key, payments
from bezant.store.versions import NAME, VERSIONS

EventSource = Callable[[CommittedBlock], Iterable[Event]]
"""Says which events a block gives rise to; their ids and bodies must follow from the block alone."""

GROUP_RECORDS: Final = 20_000
"""How many records share one transaction when there is much to catch up with."""

_COLUMNS: Final = [column.name for column in payments.columns]
_DEBTOR, _CREDITOR, _HASH = map(_COLUMNS.index, ("debtor", "creditor", "end_to_end_hash"))
_REPLACE: Final = (
    "ON CONFLICT (id, authority) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in ("id", "authority"))
    + f" WHERE payments.outcome IN ({', '.join(str(int(outcome)) for outcome in UNREMEMBERED)})"
)


def _plus(column: str) -> str:
    """Return SQL that adds to an amount, given four times: u64 sums as the signed integers that store them,
    without a step that a database would call out of range."""
    old, half = f"COALESCE({column}, 0)", "9223372036854775807"
    wraps = f"{old} >= 0 AND ? >= 0 AND {old} > {half} - ?"
    return f"CASE WHEN {wraps} THEN ({old} - {half} - 1) + (? - {half} - 1) ELSE {old} + ? END"


_RETURNED: Final = "CASE WHEN settled_amount IS NULL THEN ? ELSE 'captured' END"
_CAPTURE: Final = (
    f"UPDATE payments SET status = ?, outcome = ?, settled_amount = {_plus('settled_amount')}, "
    "updated_ns = ?, settled_ns = ?, closed_by = ? "
    "WHERE id = ? AND debtor = ? AND status IN ('held', 'in_review')"
)
_RELEASE: Final = (
    f"UPDATE payments SET status = {_RETURNED}, outcome = ?, updated_ns = ?, closed_by = ? "
    "WHERE id = ? AND debtor = ? AND status IN ('held', 'in_review')"
)
_REVERSE: Final = (
    f"UPDATE payments SET reversed_amount = {_plus('reversed_amount')}, updated_ns = ? "
    "WHERE id = ? AND debtor = ? AND status = 'settled'"
)
_REVERSE_CAPTURE: Final = (
    f"UPDATE captures SET reversed_amount = {_plus('reversed_amount')} WHERE id = ? AND debtor = ?"
)
_REVERSE_CAPTURED: Final = (
    f"UPDATE payments SET reversed_amount = {_plus('reversed_amount')}, updated_ns = ? "
    "WHERE (id, debtor) = (SELECT payment, debtor FROM captures WHERE id = ? AND debtor = ? LIMIT 1) "
    "AND status <> 'settled'"
)
_EXPIRE: Final = (
    f"UPDATE payments SET status = {_RETURNED}, outcome = ?, updated_ns = ? WHERE id = ? "
    "AND debtor = (SELECT id FROM accounts WHERE \"row\" = ?) AND status IN ('held', 'in_review')"
)
_FORGET: Final = tuple(
    "UPDATE payments SET end_to_end_hash = NULL "
    f"WHERE era IN (SELECT number FROM eras) AND {side} = ? AND end_to_end_hash IS NOT NULL"
    for side in ("debtor", "creditor")
)
_FREEZE: Final = "UPDATE accounts SET frozen = ? WHERE id = ?"
_DELEGATE: Final = "UPDATE accounts SET delegate = ?, delegate_cap = ? WHERE id = ?"
_LIMITS: Final = "UPDATE accounts SET credit_limit = ?, balance_limit = ? WHERE id = ?"
_CLOSE: Final = "UPDATE accounts SET closed_ns = ? WHERE id = ?"


class Store:
    """The open read model. `project` and `rebuild` from one thread, everything else from any."""

    def __init__(self, database: Database, hashes: EndToEndHashes, events: EventSource | None) -> None:
        self._database = database
        self._hashes = hashes
        self._events = events
        self.queries = Queries(database, hashes)
        self.outbox = Outbox(database)
        self._state_lock = threading.Lock()
        with database.read() as connection:
            at = connection.execute(sa.select(checkpoint)).one()
            erased = sa.select(account_parties.c.account).where(account_parties.c.erased)
            self._erased = {bytes(account) for account in connection.scalars(erased)}
        self._height: int = at.height
        self._receipts: int = at.receipts
        self._app_hash = bytes(at.app_hash)

    @staticmethod
    def open(
        url: str,
        *,
        key: bytes,
        texts_of: TextSource | None = None,
        events: EventSource | None = None,
    ) -> Store:
        """Open or create the store at ``sqlite:///path`` or ``postgresql://...``.

        `key` (32 bytes, secret, kept) makes the hashes of end-to-end ids; `texts_of` reads those
        that are not given to `project`. Raises: ConfigError; StorageError,
        ``schema_newer`` among them.
        """
        if len(key) != 32:
            raise ConfigError(f"the store's key must have 32 bytes, not {len(key)}", param="store_key")
        database = Database(url, durable=False)
        try:
            database.migrate("store", VERSIONS)
            return Store(database, EndToEndHashes(key, texts_of), events)
        except BaseException:
            database.close()
            raise

    @property
    def height(self) -> int:
        """The height of the last block projected; 0 before the first."""
        return self._height

    @property
    def receipts(self) -> int:
        """How many receipts there are in the blocks projected."""
        return self._receipts

    @property
    def app_hash(self) -> bytes:
        """The chain's app hash after the last block projected; empty before the first."""
        return self._app_hash

    @property
    def accounts(self) -> int:
        """How many accounts there are in the blocks projected; their ledger rows are the first so many."""
        with self._database.read() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(accounts)) or 0)

    def size_bytes(self) -> int:
        """Return how large the tables of the database are, indexes included."""
        return self._database.size_bytes()

    def project(
        self, blocks: Sequence[CommittedBlock], end_to_end_ids: Mapping[int, str] | None = None
    ) -> int:
        """Write consecutive blocks in one transaction; return how many were new.

        `end_to_end_ids` gives texts that are at hand, by payment id, to spare reading the vault.
        Raises: InvariantViolation for a gap, for another block at a known height, or for a block that
        closes a hold the store does not know; StorageError.
        """
        receipts = 0
        with self._state_lock:
            with self._database.write() as connection:
                at = connection.execute(
                    sa.select(checkpoint).where(checkpoint.c.name == NAME).with_for_update()
                ).one()
                fresh = _fresh_blocks(blocks, at.height, bytes(at.app_hash))
                if fresh:
                    rows = project_rows(fresh, self._hashes, end_to_end_ids, receipts_before=at.receipts)
                    self._write(connection, rows)
                    receipts = rows.receipts
                    last = fresh[-1]
                    self._append_events(connection, fresh, at.events_height)
                    connection.execute(
                        checkpoint.update()
                        .where(checkpoint.c.name == NAME)
                        .values(
                            height=last.height,
                            app_hash=last.app_hash,
                            receipts=at.receipts + receipts,
                            events_height=max(at.events_height, last.height),
                        )
                    )
            self._height = fresh[-1].height if fresh else at.height
            self._receipts = at.receipts + receipts
            self._app_hash = fresh[-1].app_hash if fresh else bytes(at.app_hash)
        return len(fresh)

    def begin(self, opening: Opening) -> None:
        """Forget what blocks said, and go on from where a chain begins behind a block."""
        rows, at = opening_rows(opening), opening.position
        with self._state_lock:
            with self._database.write() as connection:
                for table in schema.PROJECTED:
                    connection.execute(table.delete())
                self._write(connection, rows)
                told = checkpoint.c.events_height
                values = {"height": at.height, "app_hash": at.app_hash, "receipts": at.receipts}
                later = sa.case((told > at.height, told), else_=at.height)
                connection.execute(checkpoint.update().values(events_height=later, **values))
            self._height, self._receipts, self._app_hash = at.height, at.receipts, at.app_hash

    def rebuild(self, blocks: Iterable[CommittedBlock], opening: Opening | None = None) -> None:
        """Empty what blocks say and project them again, from height 1 or from where their chain begins.

        Parties, the outbox and what was already told stay. After a crash in between, the follower
        goes on from where the rebuild was.
        """
        with self._state_lock:
            with self._database.write() as connection:
                for table in schema.PROJECTED:
                    connection.execute(table.delete())
                connection.execute(checkpoint.update().values(height=0, app_hash=b"", receipts=0))
            self._height, self._receipts, self._app_hash = 0, 0, b""
        if opening is not None:
            self.begin(opening)
        for group in in_groups(blocks):
            self.project(group)

    def bind_parties(self, parties: Mapping[AccountId, int]) -> None:
        """Say which party of the vault each account belongs to; a later word replaces an earlier."""
        rows = [(id_key(account), party, False) for account, party in parties.items()]
        with self._database.write() as connection:
            self._database.insert_many(
                connection,
                account_parties,
                rows,
                "ON CONFLICT (account) DO UPDATE SET party = excluded.party WHERE NOT account_parties.erased",
            )

    def erase_party(self, party: int) -> int:
        """Forget every end-to-end hash of a party's accounts, now and in any rebuild; return how many.

        The vault's key is destroyed separately; this removes what was derived from its texts.
        """
        with self._state_lock, self._database.write() as connection:
            of_party = account_parties.c.party == party
            connection.execute(account_parties.update().where(of_party).values(erased=True))
            found = connection.scalars(sa.select(account_parties.c.account).where(of_party))
            keys = [(bytes(key),) for key in found]
            self._erased.update(key for (key,) in keys)
            return sum(self._database.update_many(connection, forget, keys) for forget in _FORGET)

    def note_escalations(self, since_ns: Mapping[int, int]) -> None:
        """Say which payments in review were passed on, by id, and since when; safe to repeat."""
        rows = [(id_key(payment), since) for payment, since in since_ns.items()]
        with self._database.write() as connection:
            self._database.insert_many(
                connection, schema.escalations, rows, "ON CONFLICT (payment) DO NOTHING"
            )

    def close(self) -> None:
        self._database.close()

    def _write(self, connection: sa.Connection, rows: ProjectedRows) -> None:
        insert, update = self._database.insert_many, self._database.update_many
        insert(connection, schema.blocks, rows.blocks)
        insert(connection, schema.eras, rows.eras, "ON CONFLICT (number) DO NOTHING")
        insert(connection, accounts, rows.accounts)
        insert(connection, payments, self._without_erased(rows.payments), _REPLACE)
        insert(connection, schema.captures, rows.captures)
        insert(connection, schema.labels, rows.labels)
        insert(connection, schema.reviews, rows.reviews)
        insert(connection, schema.model_changes, rows.model_changes)
        insert(connection, schema.entries, rows.entries)
        self._write_proposals(connection, rows)
        # Captures first: what is released or expires in the same run may have been captured in part.
        closed = update(connection, _CAPTURE, rows.captured) + update(connection, _RELEASE, rows.releases)
        closed += update(connection, _EXPIRE, rows.expiries)
        if closed != len(rows.captured) + len(rows.releases) + len(rows.expiries):
            raise InvariantViolation("a block closes a hold that the store does not know as open")
        update(connection, reviews.CLOSE, [row[-2:] for row in (*rows.captured, *rows.releases)])
        update(connection, reviews.EXPIRE, [row[-2:] for row in rows.expiries])
        if update(connection, slashes.INSERT, rows.slashes) != len(rows.slashes):
            raise InvariantViolation("a bond was taken from an account that the store does not know")
        insert_fees(self._database, connection, rows.fees, rows.slashes)
        update(connection, _REVERSE, rows.reversals)
        update(connection, _REVERSE_CAPTURED, rows.reversals)
        update(connection, _REVERSE_CAPTURE, [(*row[:4], *row[5:]) for row in rows.reversals])
        for statement, changes in (
            (_FREEZE, rows.freezes),
            (_DELEGATE, rows.delegates),
            (_LIMITS, rows.limits),
            (_CLOSE, rows.closings),
        ):
            if update(connection, statement, changes) != len(changes):
                raise InvariantViolation("a block changes an account that the store does not know")

    def _write_proposals(self, connection: sa.Connection, rows: ProjectedRows) -> None:
        insert, update = self._database.insert_many, self._database.update_many
        insert(connection, schema.proposals, rows.proposals)
        insert(connection, schema.ballots, rows.ballots)
        insert(connection, schema.rule_changes, rows.rule_changes)
        for statement, decided in (
            (proposals.ACCEPT, rows.accepted),
            (proposals.DECLINE, rows.declined),
            (proposals.ENACT, rows.enacted),
            (proposals.CHANGE, proposals.change_rows(rows.enacted)),
        ):
            if update(connection, statement, decided) != len(decided):
                raise InvariantViolation("a block decides a proposal that the store does not know as open")

    def _without_erased(self, rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
        if not self._erased:
            return rows
        return [
            (*row[:_HASH], None) if row[_DEBTOR] in self._erased or row[_CREDITOR] in self._erased else row
            for row in rows
        ]

    def _append_events(
        self, connection: sa.Connection, blocks: Sequence[CommittedBlock], told_height: int
    ) -> None:
        if self._events is None:
            return
        for block in blocks:
            if block.height > told_height:
                self.outbox.append(self._events(block), block.time_ns, connection)


def in_groups(
    blocks: Iterable[CommittedBlock], records: int = GROUP_RECORDS
) -> Iterator[list[CommittedBlock]]:
    """Yield runs of blocks that together have about so many records, at most 500 blocks each."""
    pending = iter(blocks)
    while first := next(pending, None):
        group, size = [first], len(first.records)
        for block in islice(pending, 499) if size < records else ():
            group.append(block)
            size += len(block.records)
            if size >= records:
                break
        yield group


def _fresh_blocks(blocks: Sequence[CommittedBlock], height: int, app_hash: bytes) -> Sequence[CommittedBlock]:
    """Return the blocks above a height, which must follow it one by one."""
    for block in blocks:
        if block.height == height and block.app_hash != app_hash:
            raise InvariantViolation(
                f"block {height} was projected with another app hash: the store follows another chain"
            )
    fresh = [block for block in blocks if block.height > height]
    expected = list(range(height + 1, height + 1 + len(fresh)))
    if [block.height for block in fresh] != expected:
        raise InvariantViolation(
            f"the store is at block {height} and was given {[block.height for block in fresh][:5]}: "
            "blocks must follow one by one"
        )
    return fresh
