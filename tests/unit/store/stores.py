"""What the tests of the projection put into blocks, and read out of a store."""

from __future__ import annotations

import sqlalchemy as sa

from bezant.model.identifiers import PaymentId
from bezant.model.outcomes import Verdict
from bezant.model.records import Flag, Kind
from bezant.store import Store, schema
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK

KEY = bytes(range(32))


def contents(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of every table that blocks are projected into."""
    with store._database.read() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
            for table in schema.PROJECTED
        }


def hold(world: BlockScribe, amount: int = 500, hold_for_s: int = 100) -> PaymentId:
    """Place a hold from Alice to Bob in a block of its own."""
    id_ = world.new_id()
    held = world.pays(Kind.HOLD, world.alice, world.bob, amount, id=id_, hold_for_s=hold_for_s)
    world.commit((BANK, held))
    return id_


def review(world: BlockScribe, amount: int = 500) -> PaymentId:
    """Send a payment from Alice to Bob to review in a block of its own."""
    id_ = world.new_id()
    asked = world.transfer(world.alice, world.bob, amount, id=id_, flags=Flag.MAY_REVIEW)
    world.commit((BANK, asked), verdicts={0: Verdict.REVIEW})
    return id_
