"""The queue of reviews in the read model: its order over assets, and how it came into older stores."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from bezant.errors import InputError
from bezant.model.identifiers import AccountId, PaymentId
from bezant.model.outcomes import Verdict
from bezant.model.records import Flag
from bezant.store import Store, schema
from bezant.store.database import Database
from bezant.store.reviews import Wanted, expected_loss, open_reviews
from bezant.store.schema import unsigned_amount
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK

KEY = bytes(range(32))


def row(ordinal: int, asset: int, loss: int) -> dict[str, int]:
    """Return what the table of payments would say of a review with this expected loss."""
    return {"ordinal": ordinal, "asset": asset, "amount": loss, "score_ppm": 1_000_000}


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/store.sqlite", durable=False)
    with database.write() as connection:
        schema.metadata.create_all(connection)
    return database


def put(database: Database, *rows: dict[str, int]) -> None:
    """Fill both tables as projecting blocks would."""
    blank = {
        column.name: b"\0" * 16 if isinstance(column.type, sa.LargeBinary) else 0
        for column in schema.payments.columns
    }
    with database.write() as connection:
        for one in rows:
            made = blank | {"status": "in_review", "id": one["ordinal"].to_bytes(16, "big")} | one
            connection.execute(schema.payments.insert().values(**made))
            loss = expected_loss(one["score_ppm"], unsigned_amount(one["amount"]))
            made["priority"] = loss.to_bytes(8, "big")
            columns = (column.name for column in schema.reviews.columns)
            connection.execute(schema.reviews.insert().values(**{name: made[name] for name in columns}))


def pages(database: Database, wanted: Wanted, limit: int) -> list[int]:
    found: list[int] = []
    cursor = None
    while True:
        with database.read() as connection:
            rows, cursor = open_reviews(connection, wanted, cursor, limit)
        found += [one.ordinal for one in rows]
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_assets_are_not_mixed_and_of_equals_the_longest_waiting_is_first(
    database: Database, limit: int
) -> None:
    put(
        database,
        row(1, 2, 900),
        row(2, 1, 5),
        row(3, 1, 700),
        row(4, 1, 5),
        row(5, 2, 901),
        row(6, 1, -1),  # 2**64 - 1 minor units, as SQL has it
    )
    assert pages(database, Wanted(), limit) == [6, 3, 2, 4, 5, 1]
    assert pages(database, Wanted(asset=2), limit) == [5, 1]
    with database.read() as connection, pytest.raises(InputError):
        open_reviews(connection, Wanted(account=AccountId(1)), "nonsense", limit)


def test_an_older_store_has_its_open_reviews_in_the_queue(url: str) -> None:
    world = BlockScribe()
    id_ = world.new_id()
    asked = world.transfer(world.alice, world.bob, 500, id=id_, flags=Flag.MAY_REVIEW)
    world.commit((BANK, asked), verdicts={0: Verdict.REVIEW})
    store = Store.open(url, key=KEY)
    store.project(world.blocks)
    store.close()
    database = Database(url, durable=False)
    with database.write() as connection:
        connection.execute(schema.reviews.delete())
        connection.exec_driver_sql("UPDATE schema_version SET version = 4 WHERE component = 'store'")
    database.close()
    store = Store.open(url, key=KEY)
    try:
        store.project(world.blocks)
        (found,) = store.queries.reviews(Wanted()).items
        assert (found.payment.id, found.escalated) == (PaymentId(id_), False)
        store.note_escalations({id_: 1})
        store.note_escalations({id_: 2})
        assert [one.escalated for one in store.queries.reviews(Wanted(account=world.bob)).items] == [True]
    finally:
        store.close()
