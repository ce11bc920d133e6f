"""Questions to a store: lists and statements by page, without walking through everything."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.unit.store.stores import KEY

from bezant.errors import InputError
from bezant.store import PaymentStatus, Store
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK

pytestmark = pytest.mark.usefixtures("small_eras")


def test_lists_by_account_time_and_status_page_stably(store: Store, world: BlockScribe) -> None:
    for amount in range(1, 8):
        debtor, creditor = (world.alice, world.bob) if amount % 2 else (world.bob, world.alice)
        world.commit((BANK, world.transfer(debtor, creditor, amount)))
    store.project(world.blocks[:8])
    first = store.queries.payments(account=world.alice, limit=3)
    store.project(world.blocks)  # rows arrive between two pages
    seen = [p.amount for p in first.items]
    cursor = first.next_cursor
    while cursor:
        page = store.queries.payments(account=world.alice, limit=3, cursor=cursor)
        seen += [p.amount for p in page.items]
        cursor = page.next_cursor
    assert seen == [6, 5, 4, 3, 2, 1, 100_000]

    times = [block.time_ns for block in world.blocks]
    ranged = store.queries.payments(from_ns=times[3], to_ns=times[6])
    assert [p.created_ns for p in ranged.items] == times[5:2:-1]
    assert store.queries.payments(from_ns=times[-1] + 1).items == []
    assert store.queries.payments(to_ns=times[0]).items == []
    settled = store.queries.payments(status=PaymentStatus.SETTLED, account=world.bob, limit=2)
    assert [p.amount for p in settled.items] == [7, 6]


def test_no_question_walks_through_all_payments(tmp_path: Path, world: BlockScribe) -> None:
    """SQLite says how it would answer: by an index, an era at a time, and without sorting."""
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}", key=KEY)
    store.project(world.blocks)
    plans: list[str] = []
    asked: list[tuple[str, object]] = []
    reader = store._database._reader
    sa.event.listen(
        reader, "before_cursor_execute", lambda c, cursor, sql, values, *_: asked.append((sql, values))
    )
    store.queries.payments(account=world.alice, from_ns=world.blocks[1].time_ns)
    store.queries.payments_by_end_to_end_id("E2E-1")
    store.queries.account(world.alice)
    store.queries.statement(world.alice, from_ns=world.blocks[1].time_ns)
    with reader.connect() as connection:
        for sql, values in [ask for ask in asked if ask[0].startswith("SELECT")]:
            explained = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
            plans += [row[3] for row in explained]
    store.close()
    walked = [plan for plan in plans if plan.startswith(("SCAN payments", "SCAN entries", "SCAN accounts"))]
    assert walked == []
    for index in ("payments_debtor (era=? AND debtor=?", "payments_creditor (era=? AND creditor=?"):
        assert any(index in plan for plan in plans), index
    for lookup in ("payments_end_to_end (era=? AND end_to_end_hash=?", "PRIMARY KEY (era=? AND account=?"):
        assert any(lookup in plan for plan in plans), lookup


def test_statements_page_and_add_up(store: Store, world: BlockScribe) -> None:
    for amount in range(1, 6):
        world.commit((BANK, world.transfer(world.alice, world.bob, amount)))
    store.project(world.blocks)
    times = [block.time_ns for block in world.blocks]
    whole = store.queries.statement(world.alice, from_ns=times[3], to_ns=times[6])
    assert [e.amount for e in whole.entries] == [2, 3, 4]
    assert (whole.opening, whole.closing) == (99_999, 99_990)
    assert (whole.period_opening, whole.period_closing) == (99_999, 99_990)
    balance, cursor, amounts = 99_999, None, []
    while True:
        page = store.queries.statement(world.alice, from_ns=times[3], to_ns=times[6], cursor=cursor, limit=1)
        assert (page.opening, page.period_closing) == (balance, 99_990)
        balance, cursor = page.closing, page.next_cursor
        amounts += [e.amount for e in page.entries]
        if cursor is None:
            break
    assert (balance, amounts) == (99_990, [2, 3, 4])
    empty = store.queries.statement(world.alice, from_ns=times[-1] + 1)
    assert (empty.opening, empty.closing, list(empty.entries)) == (99_985, 99_985, [])


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "é", "A" * 34, "?" * 40, "A" * 10_000])
def test_a_malformed_cursor_is_refused(store: Store, world: BlockScribe, cursor: str) -> None:
    store.project(world.blocks)
    asks = (
        lambda: store.queries.payments(cursor=cursor),
        lambda: store.queries.accounts(cursor=cursor),
        lambda: store.queries.statement(world.alice, cursor=cursor),
    )
    for ask in asks:
        with pytest.raises(InputError) as e:
            ask()
        assert e.value.code == "cursor_invalid"


def test_a_cursor_of_another_list_is_refused(store: Store, world: BlockScribe) -> None:
    store.project(world.blocks)
    cursor = store.queries.payments(limit=1).next_cursor
    assert cursor is not None
    with pytest.raises(InputError, match="with these filters"):
        store.queries.payments(limit=1, account=world.alice, cursor=cursor)
    with pytest.raises(InputError) as e:
        store.queries.payments(limit=0)
    assert e.value.code == "limit_invalid"
