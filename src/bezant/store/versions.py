"""How the tables came to be as they are: one step for each version that stores out there may have.

What follows from blocks is mostly dropped and projected anew; what does not, stays.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from bezant.store import schema
from bezant.store.schema import checkpoint

NAME: Final = "ledger"
"""Of the only row of `schema.checkpoint`."""


def _create_tables(connection: sa.Connection) -> None:
    schema.metadata.create_all(connection)
    start = checkpoint.insert().values(name=NAME, height=0, app_hash=b"", receipts=0, events_height=0)
    connection.execute(start)


def _begin_again(connection: sa.Connection) -> None:
    """Version 2: captures, refunds and closings are kept. What blocks say is projected from them anew."""
    for table in reversed(schema.PROJECTED):
        table.drop(connection, checkfirst=True)
    schema.metadata.create_all(connection)
    connection.execute(checkpoint.update().values(height=0, app_hash=b""))


def _divide_into_eras(connection: sa.Connection) -> None:
    """Version 3: rows have an era, which follows from how many receipts came before."""
    if "receipts" not in {column["name"] for column in sa.inspect(connection).get_columns(checkpoint.name)}:
        connection.execute(sa.text("ALTER TABLE checkpoint ADD COLUMN receipts BIGINT NOT NULL DEFAULT 0"))
    _begin_again(connection)


def _keep_labels(connection: sa.Connection) -> None:
    """Version 4: labels and the roles of models. No block before this version has any."""
    schema.metadata.create_all(connection)


def _keep_reviews(connection: sa.Connection) -> None:
    """Version 5: what waits for a person, by its expected loss, and what was passed on."""
    schema.metadata.create_all(connection)


def _keep_proposals(connection: sa.Connection) -> None:
    """Version 6: what was put to the vote. Blocks of before may have proposals, and no row says which."""
    _begin_again(connection)
    connection.execute(checkpoint.update().values(receipts=0))


VERSIONS: Final = (
    _create_tables,
    _begin_again,
    _divide_into_eras,
    _keep_labels,
    _keep_reviews,
    _keep_proposals,
)
"""In order; a store is brought up from the one it has."""
