"""The store's benchmark measures what it says, on either database, and leaves nothing there."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from bezant.interfaces.bench.store import run_store_bench


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_every_payment_is_taken_in(tmp_path: Path, database: str, request: pytest.FixtureRequest) -> None:
    url = "" if database == "sqlite" else request.getfixturevalue("postgres")
    report = run_store_bench(
        tmp_path / "node",
        url=url,
        payments=5_000,
        accounts=200,
        rate=4_000,
        seconds=0.25,
        seed=1,
        note=lambda text: None,
    )
    assert report["database"] == database
    assert {name: run["payments"] for name, run in report["drain"].items()} == {
        "blocks_of_20": 5_000,
        "blocks_of_4096": 4_096,
    }
    assert all(run["bytes_per_payment"] > 200 for run in report["drain"].values())
    assert report["sustained"]["payments"] == 1_000
    assert report["sustained"]["offered_per_second"] <= 4_000
    assert report["overload"]["most_lag_payments"] > 0
    if url:
        engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
        schemas = [name for name in sa.inspect(engine).get_schema_names() if name.startswith("bezant")]
        engine.dispose()
        assert schemas == []
