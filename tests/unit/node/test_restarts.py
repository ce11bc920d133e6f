"""Across a restart: money, history and read model are what they were, or are made again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.unit.node.nodes import TEXTS, follow

from bezant.errors import StorageError
from bezant.gateway.holds import ALL
from bezant.model.identifiers import AccountId
from bezant.model.outcomes import Outcome
from bezant.node import Node
from bezant.store import Follower, Store
from bezant.testing.nodes import SmallNode


def parties_in(small: SmallNode) -> dict[AccountId, int | None]:
    """Restart, and return whose the accounts are by what the store knows."""
    small.restart()
    follow(small)
    return {account.id: account.party for account in small.node.history.accounts().items if account.party}


def test_a_restart_keeps_balances_app_hash_and_bindings(stored_anywhere: SmallNode) -> None:
    stored_anywhere.pay("12.00")
    held, _ = stored_anywhere.pay("5.00", hold_for_s=300)

    def seen() -> tuple[object, ...]:
        node, alice = stored_anywhere.node, stored_anywhere.alice
        balances = stored_anywhere.balance(alice), stored_anywhere.balance(stored_anywhere.bob)
        chain = node.engine.app_hash, node.engine.height
        return *balances, *chain, node.accounts.row(alice).tobytes()

    before = seen()
    stored_anywhere.restart()
    assert seen() == before
    assert stored_anywhere.node.accounts.of_party(stored_anywhere.alice_party) == [stored_anywhere.alice]
    assert stored_anywhere.node.holds.close(held, ALL)[0].outcome is Outcome.CAPTURED
    stored_anywhere.node.engine.ledger.check_invariants()


def test_a_node_without_a_read_model_pays_and_proves_and_keeps_no_lists(
    tmp_path: Path, model_file: Path
) -> None:
    settings = "[store]\nfollow = false\n"
    with SmallNode(tmp_path / "node", model=model_file, settings=settings, with_store=True) as small:
        node = small.node
        assert node.store is None
        assert node.engine.durable_height > 0
        with pytest.raises(StorageError, match="without a read model") as refused:
            node.history.payments()
        assert refused.value.code == "no_store"
    assert not (tmp_path / "node" / "store.sqlite").exists()


def test_a_new_store_is_filled_again(stored: SmallNode) -> None:
    paid, _ = stored.pay("3.00", payload=TEXTS)
    stored.node.close()
    for path in stored.path.glob("store.sqlite*"):
        path.unlink()
    stored.restart()
    follow(stored)
    assert stored.node.store is not None
    found = stored.node.store.queries.payment(paid)
    assert found is not None
    account = stored.node.store.queries.account(stored.alice)
    assert account is not None
    assert account.party == stored.alice_party


def test_a_store_that_a_kill_left_without_bindings_is_told_them(
    stored: SmallNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while a new store is told whose the accounts are, though it could project all there is."""
    stored.node.close()
    for path in stored.path.glob("store.sqlite*"):
        path.unlink()
    start = Follower.start

    def start_and_follow(follower: Follower) -> None:
        start(follower)
        follower.wait_for(3, 30.0)

    def killed(store: Store, parties: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Follower, "start", start_and_follow)
        patched.setattr(Store, "bind_parties", killed)
        with pytest.raises(KeyboardInterrupt):
            stored.restart()
    assert parties_in(stored) == {stored.alice: stored.alice_party, stored.bob: stored.bob_party}


def test_a_store_that_lost_its_last_transactions_is_told_them_again(stored: SmallNode) -> None:
    """SQLite without its last transactions, as a power cut may leave it."""
    stored.node.close()
    kept = {path: path.read_bytes() for path in stored.path.glob("store.sqlite*")}
    stored.restart()
    party, account = stored.enrol("Carol Cole")
    stored.node.close()
    for path in stored.path.glob("store.sqlite*"):
        path.unlink()
    for path, data in kept.items():
        path.write_bytes(data)
    assert parties_in(stored)[account] == party


def test_a_store_of_another_chain_is_refused_until_it_is_rebuilt(stored: SmallNode, tmp_path: Path) -> None:
    stored.node.close()
    for name, payments in (("shorter", 0), ("longer", 20)):
        with SmallNode(tmp_path / name, with_store=True) as other:
            for _ in range(payments):
                other.pay()
            other.node.close()
            for path in stored.path.glob("store.sqlite*"):
                path.unlink()
            shutil.copy(other.path / "store.sqlite", stored.path)
        with pytest.raises(StorageError) as e:
            stored.restart()
        assert e.value.code == "store_of_another_chain"
        with Node(stored.path, clock=stored.clock, with_store=False) as node:
            node.rebuild_store()
        assert parties_in(stored)[stored.alice] == stored.alice_party
        stored.node.close()
