"""What holds after the node was stopped and opened again."""

from __future__ import annotations

from pathlib import Path

from bezant.errors import StorageError
from bezant.folder import create_folder
from bezant.node import Node

from .conftest import SETTINGS, Api, payment, uuid7


def test_keys_answer_the_same_after_a_restart_and_without_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    create_folder(folder)
    (folder / "bezant.toml").write_text(SETTINGS)
    keys = [uuid7(), "order 17"]
    with Node(folder) as node:
        api = Api(node)
        accounts = api.account("10"), api.account()
        body = payment(*accounts, "1", remittance_information="once")
        first = [api.send("POST", "/v1/payments", key=key, json=body) for key in keys]
        refused = api.send("POST", "/v1/payments", key=(late := uuid7()), json=payment(*accounts, "99"))
        api.close()
    for path in folder.glob("store.sqlite*"):
        path.unlink()
    with Node(folder, with_store=False) as node:
        api = Api(node)
        again = [api.send("POST", "/v1/payments", key=key, json=body) for key in keys]
        still = api.send("POST", "/v1/payments", key=late, json=payment(*accounts, "99"))
        other = api.send("POST", "/v1/payments", key=keys[0], json=body | {"remittance_information": "no"})
        balance = api.get(f"/v1/accounts/{accounts[1]}")["balance"]
        api.close()
    assert [answer.content for answer in again] == [answer.content for answer in first]
    assert all(answer.headers["idempotency-replayed"] == "true" for answer in [*again, still])
    assert (refused.json()["code"], still.json()["code"]) == ("insufficient_funds",) * 2
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert balance == "2.00"


def test_a_new_store_is_filled_again_with_parties_and_texts(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    create_folder(folder)
    (folder / "bezant.toml").write_text(SETTINGS)
    with Node(folder) as node:
        api = Api(node)
        accounts = api.account("10"), api.account()
        made = api.post("/v1/payments", payment(*accounts, "1", end_to_end_id="KEPT"))
        listed = api.get("/v1/accounts")
        api.close()
    for path in folder.glob("store.sqlite*"):
        path.unlink()
    with Node(folder) as node:
        api = Api(node)
        assert api.get("/v1/payments", end_to_end_id="KEPT")["payments"] == [made]
        assert api.get("/v1/accounts") == listed
        api.close()


def test_a_failed_engine_is_told_by_health_and_refuses(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    create_folder(folder)
    (folder / "bezant.toml").write_text(SETTINGS)
    with Node(folder) as node:
        api = Api(node)
        accounts = api.account("10"), api.account()

        def full() -> None:
            raise StorageError("the disk is full", code="disk_full")

        node.engine._commit._before_sync = full
        lost = api.send("POST", "/v1/payments", key=(key := uuid7()), json=payment(*accounts, "1"))
        assert (lost.status_code, lost.json()["code"], lost.json()["retryable"]) == (
            504,
            "outcome_unknown",
            False,
        )
        assert lost.json()["payment_id"] == key
        later = api.send("POST", "/v1/payments", key=uuid7(), json=payment(*accounts, "1"))
        assert (later.status_code, later.json()["code"]) == (503, "disk_full")
        health = api.send("GET", "/health")
        assert health.status_code == 503
        assert (health.json()["live"], health.json()["failure"]) == (False, "the disk is full")
        api.close()
