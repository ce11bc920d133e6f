"""What follows a payment in the read model: captures one after another, refunds, limits, closings."""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa
from tests.unit.store.stores import KEY

from bezant.model.identifiers import PaymentId
from bezant.model.outcomes import Outcome
from bezant.model.records import Flag, Kind, RecordArray, id_of
from bezant.store import PaymentStatus, Store, schema
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK, record


def identity(row: RecordArray) -> PaymentId:
    return PaymentId(id_of(row[0], "id"))


def back(world: BlockScribe, original: PaymentId, amount: int) -> RecordArray:
    return world.pays(Kind.REVERSE, world.bob, world.alice, amount, related=original)


def test_refunds_add_up_on_the_payment_and_are_listed(store: Store, world: BlockScribe) -> None:
    paid = world.transfer(world.alice, world.bob, 1000)
    world.commit((BANK, paid))
    first, second = back(world, identity(paid), 300), back(world, identity(paid), 250)
    too_much = back(world, identity(paid), 451)
    block = world.commit((BANK, np.concatenate([first, second, too_much])))
    assert block.receipts["outcome"].tolist() == [0, 0, Outcome.ABOVE_ORIGINAL]
    store.project(world.blocks)
    payment = store.queries.payment(identity(paid))
    assert (payment.status, payment.reversed_amount) == (PaymentStatus.SETTLED, 550)
    refunds = store.queries.refunds(payment)
    assert [(one.id, one.amount, one.related) for one in refunds] == [
        (identity(first), 300, payment.id),
        (identity(second), 250, payment.id),
    ]
    lines = store.queries.statement(world.bob).entries
    assert [line.signed_amount for line in lines[-3:]] == [1000, -300, -250]


def test_captures_one_after_another_and_what_is_paid_back_of_one(store: Store, world: BlockScribe) -> None:
    held = world.pays(Kind.HOLD, world.alice, world.bob, 900, hold_for_s=100)
    world.commit((BANK, held))
    captures = [
        world.pays(Kind.CAPTURE, world.alice, world.bob, amount, related=identity(held), flags=flags)
        for amount, flags in ((200, Flag.KEEP_REST), (300, Flag.KEEP_REST), (400, 0))
    ]
    for row in captures[:2]:
        world.commit((BANK, row))
    store.project(world.blocks)
    payment = store.queries.payment(identity(held))
    assert (payment.status, payment.settled_amount) == (PaymentStatus.HELD, 500)
    world.commit((BANK, captures[2]))
    refund = back(world, identity(captures[1]), 250)
    assert world.commit((BANK, refund)).receipts["outcome"].tolist() == [0]
    store.project(world.blocks)
    payment = store.queries.payment(identity(held))
    assert (payment.status, payment.settled_amount) == (PaymentStatus.CAPTURED, 900)
    assert payment.reversed_amount == 250
    assert [(one.id, one.amount, one.reversed_amount) for one in store.queries.captures(payment)] == [
        (identity(captures[0]), 200, 0),
        (identity(captures[1]), 300, 250),
        (identity(captures[2]), 400, 0),
    ]
    assert [one.id for one in store.queries.refunds(payment)] == [identity(refund)]


def test_limits_change_and_an_account_closes(store: Store, world: BlockScribe) -> None:
    limits = record(Kind.SET_LIMITS, id=world.new_id(), debtor=world.bob, max_fee=200_000)
    world.commit((BANK, np.concatenate([limits, world.transfer(world.bob, world.alice, 100_000)])))
    closing = record(Kind.CLOSE_ACCOUNT, id=world.new_id(), debtor=world.bob)
    block = world.commit((BANK, closing))
    assert block.receipts["outcome"].tolist() == [Outcome.APPLIED]
    store.project(world.blocks)
    account = store.queries.account(world.bob)
    assert (account.balance_limit, account.closed_ns, account.balance) == (200_000, block.time_ns, 0)
    assert store.queries.account(world.alice).closed_ns is None


def test_a_store_of_the_first_version_is_made_again(url: str, world: BlockScribe) -> None:
    opened = Store.open(url, key=KEY)
    opened.project(world.blocks)
    with opened._database.write() as connection:
        connection.execute(sa.text("UPDATE schema_version SET version = 1 WHERE component = 'store'"))
        connection.execute(sa.text("DROP TABLE captures"))
    opened.close()
    opened = Store.open(url, key=KEY)
    assert opened.height == 0
    assert opened.project(world.blocks) == len(world.blocks)
    with opened._database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(schema.captures)) == 0
    opened.close()
