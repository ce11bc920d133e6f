"""What a store is opened on: a database that will do, with a schema that it knows."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.unit.store.stores import KEY

from bezant.errors import ConfigError, StorageError
from bezant.store import Store


def test_a_newer_schema_is_refused(url: str) -> None:
    store = Store.open(url, key=KEY)
    with store._database.write() as connection:
        connection.execute(sa.text("UPDATE schema_version SET version = 99"))
    store.close()
    with pytest.raises(StorageError, match="of version 99") as e:
        Store.open(url, key=KEY)
    assert e.value.code == "schema_newer"


@pytest.mark.parametrize("bad", ["nonsense", "sqlite://", "sqlite:///:memory:", "mysql://x/y"])
def test_only_a_sqlite_file_or_postgresql_will_do(bad: str) -> None:
    with pytest.raises(ConfigError):
        Store.open(bad, key=KEY)
    with pytest.raises(ConfigError, match="32 bytes"):
        Store.open("sqlite:///x.db", key=b"short")


def test_an_unusable_file_is_a_storage_error(tmp_path: object) -> None:
    with pytest.raises(StorageError, match="unable to open"):
        Store.open(f"sqlite:///{tmp_path}/missing/store.db", key=KEY)
