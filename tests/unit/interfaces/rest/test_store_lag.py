"""A store that falls behind: told in payments and seconds, throttled at the bound, and taken up again."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bezant.folder import create_folder
from bezant.node import Node

from .conftest import SETTINGS, Api, payment, uuid7

MOST = 20
PATIENCE_S = 30.0


@contextmanager
def held_up(node: Node) -> Iterator[None]:
    """Keep the store from writing, as another process at work on its file would."""
    assert node.follower is not None
    assert node.follower.wait_for(node.engine.durable_height, PATIENCE_S)
    with closing(sqlite3.connect(node.folder.path / "store.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def gauge(api: Api, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", api.send("GET", "/metrics").text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def await_lag(api: Api, payments: int) -> None:
    """Return once health tells of so many: the store hears of a payment just after its payer does."""
    deadline = time.monotonic() + PATIENCE_S
    while (told := api.send("GET", "/health").json()["store_lag_payments"]) != payments:
        assert time.monotonic() < deadline, told


def test_admission_throttles_at_the_bound_and_recovers(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    create_folder(folder)
    (folder / "bezant.toml").write_text(f"{SETTINGS}\n[store]\nmax_lag_payments = {MOST}\n")
    with Node(folder) as node, closing(Api(node)) as api:
        accounts = api.account("50"), api.account()
        with held_up(node):
            for behind in range(1, MOST + 2):
                made = api.post("/v1/payments", payment(*accounts))
                await_lag(api, behind)
            refused = api.send("POST", "/v1/payments", key=(key := uuid7()), json=payment(*accounts))
            problem = refused.json()
            assert (refused.status_code, problem["code"]) == (503, "store_lagging")
            assert problem["retryable"]
            assert int(refused.headers["Retry-After"]) == problem.get("retry_after_s", 1)
            health = api.send("GET", "/health")
            assert health.status_code == 503, "a node that refuses every payment is not ready"
            told = health.json()
            assert (told["live"], told["ready"], "failure" in told) == (True, False, False)
            assert (told["store_lag_payments"], told["store_max_lag_payments"]) == (MOST + 1, MOST)
            assert told["store_lag_seconds"] > 0
            assert told["store_payments_per_second"] > 0
            stated = (MOST + 1) / told["store_payments_per_second"]
            assert abs(told["store_drain_seconds"] - stated) < 0.01
            assert gauge(api, "bezant_store_lag_payments") == MOST + 1
            assert gauge(api, "bezant_store_max_lag_payments") == MOST
            assert gauge(api, "bezant_store_lag_seconds") >= told["store_lag_seconds"]
            assert gauge(api, "bezant_store_drain_seconds") == told["store_drain_seconds"]
        assert node.follower is not None
        assert node.follower.wait_for(node.engine.durable_height, PATIENCE_S)
        assert (api.get("/health")["store_lag_payments"], api.get("/health")["ready"]) == (0, True)
        again = api.send("POST", "/v1/payments", key=key, json=payment(*accounts))
        assert again.status_code == 201, "the very request that was refused goes through"
        listed = [one["id"] for one in api.get("/v1/payments")["payments"]]
        assert listed[:2] == [again.json()["id"], made["id"]], "nothing of what was refused is there twice"
