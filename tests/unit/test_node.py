"""The whole node: what it promises across restarts, misuse and erasure."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bezant.chain.receipts import render_receipt, verify_receipt
from bezant.errors import BezantError, ConfigError, JournalDamaged, ModelError, StorageError, VaultError
from bezant.gateway.accounts import PartyProfile
from bezant.gateway.holds import ALL
from bezant.model.identifiers import AccountId
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.payment import Payload
from bezant.model.records import id_of
from bezant.node import Node
from bezant.store import Follower, Store
from bezant.testing.nodes import SmallNode


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Iterator[SmallNode]:
    """A node that tests may close and open again, and leave open and sound."""
    with SmallNode(tmp_path_factory.mktemp("shared") / "node", model=model_file) as small:
        yield small


TEXTS = Payload(
    end_to_end_id="E2E-Quercus-77",
    remittance_information="Rent for the Quercus lodge",
    debtor_name="Alice Arden",
    creditor_name="Bob Birch",
    debtor_account="QQ44QUERCUS0001",
)


@pytest.fixture
def stored(tmp_path: Path, model_file: Path) -> Iterator[SmallNode]:
    """A node with the SQL store in its folder."""
    with SmallNode(tmp_path / "node", model=model_file, with_store=True) as small:
        yield small


@pytest.fixture
def stored_anywhere(tmp_path: Path, url: str, model_file: Path) -> Iterator[SmallNode]:
    """A node with the SQL store in its folder, or in PostgreSQL with idempotency keys and webhooks."""
    settings = "" if url.startswith("sqlite") else f"[store]\nurl = '{url}'\n"
    with SmallNode(tmp_path / "node", model=model_file, settings=settings, with_store=True) as small:
        yield small


def plaintext_in(folder: Path, *, but: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Return which of the personal texts stand readable in which file of a folder."""
    wanted = {text: (text.encode(), text.encode("utf-16-le")) for text in (
        "Alice Arden", "Bob Birch", "Quercus", "Rent for", "QQ44",
    )}  # fmt: skip
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in but:
            data = path.read_bytes().lower()
            texts = [text for text, forms in wanted.items() if any(form.lower() in data for form in forms)]
            if texts:
                found[path.name] = texts
    return found


def follow(small: SmallNode) -> None:
    assert small.node.follower is not None
    assert small.node.follower.wait_for(small.node.engine.durable_height, 20)


# Opening.


def test_one_process_at_a_time(shared: SmallNode) -> None:
    script = "import sys, pathlib; from bezant.node import Node; Node(pathlib.Path(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(shared.path)],
        env={"PYTHONPATH": ":".join(entry for entry in sys.path if entry)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "another process has" in done.stderr
    with pytest.raises(StorageError) as caught:
        Node(shared.path, clock=shared.clock)
    assert caught.value.code == "data_folder_in_use"
    assert shared.pay()[1].first is Outcome.APPLIED, "the first one goes on"


@pytest.mark.parametrize("name", ["node", "gateway", "institution", "blinding"])
def test_a_missing_or_damaged_key_is_named(shared: SmallNode, name: str) -> None:
    shared.node.close()
    key = shared.path / "keys" / f"{name}.key"
    text = key.read_text()
    for damage in ("", "zz" * 32, text[:20]):
        key.write_text(damage)
        with pytest.raises(ConfigError, match=rf"{name}\.key") as caught:
            Node(shared.path, clock=shared.clock)
        assert caught.value.code == "key_missing"
    key.unlink()
    with pytest.raises(ConfigError, match=rf"{name}\.key"):
        Node(shared.path, clock=shared.clock)
    key.write_text(text)
    shared.restart()


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ("[http]\nport = 'many'\n", "port"),
        ("[htp]\nport = 1\n", "htp"),
        ("not toml", "bezant.toml"),
        ("[policy]\nreview_ppm = 2000000\n", "thresholds"),
        ("[policy]\ncontrol_share = 0.5\n", "control_share"),
        ("[policy]\nreview = 1\n", "review"),
        ("[policy]\nreview_ppm = 900000\nblock_ppm = 5\n", "above block_ppm"),
        ("[screening]\nreview_at = 99.0\nblock_at = 90.0\n", "not in order"),
        ("[screening]\nlist = 'missing.csv'\n", "missing.csv"),
        ("[pipeline]\nscore = 'nowhere:Score'\n", "pipeline.score"),
        ("[pipeline]\nscore = 'bezant.stages.route:Route'\n", "route"),
        ("[store]\nurl = 'mysql://x/y'\n", "neither"),
    ],
)
def test_wrong_settings_are_named_and_leave_the_folder_free(
    shared: SmallNode, settings: str, word: str
) -> None:
    shared.node.close()
    (shared.path / "bezant.toml").write_text(settings)
    with pytest.raises(ConfigError, match=word):
        Node(shared.path, clock=shared.clock)
    (shared.path / "bezant.toml").write_text("")
    assert shared.restart().engine.height > 0, "what was opened before the fault is closed again"


def test_an_altered_model_is_not_put_in_use(shared: SmallNode, model_file: Path) -> None:
    shared.node.close()
    waiting, data = shared.path / "models" / "current.model", model_file.read_bytes()
    waiting.write_bytes(data[:2_000] + bytes([data[2_000] ^ 1]) + data[2_001:])
    with pytest.raises(ModelError) as caught:
        Node(shared.path, clock=shared.clock)
    assert caught.value.code == "model_altered"
    waiting.unlink()
    shared.restart()


def test_a_journal_of_other_keys_is_refused(shared: SmallNode) -> None:
    """With another blinding key the leaves differ, and so does every app hash."""
    shared.pay()
    shared.node.close()
    key = shared.path / "keys" / "blinding.key"
    text = key.read_text()
    key.write_text("ab" * 32)
    with pytest.raises(JournalDamaged) as caught:
        Node(shared.path, clock=shared.clock, with_store=False)
    assert caught.value.code == "history_differs"
    key.write_text(text)
    shared.restart()


def test_closing_twice_is_as_good_as_once(shared: SmallNode) -> None:
    shared.node.close()
    shared.node.close()
    with pytest.raises(BezantError):
        shared.pay()
    shared.restart()


# Across a restart.


def parties_in(small: SmallNode) -> dict[AccountId, int | None]:
    """Restart, and return whose the accounts are by what the store knows."""
    small.restart()
    follow(small)
    return {account.id: account.party for account in small.node.history.accounts().items if account.party}


def test_a_restart_keeps_balances_app_hash_and_bindings(stored_anywhere: SmallNode) -> None:
    stored_anywhere.pay("12.00")
    held, _ = stored_anywhere.pay("5.00", hold_for_s=300)
    before = (
        stored_anywhere.balance(stored_anywhere.alice),
        stored_anywhere.balance(stored_anywhere.bob),
        stored_anywhere.node.accounts.row(stored_anywhere.alice).tobytes(),
        stored_anywhere.node.engine.app_hash,
        stored_anywhere.node.engine.height,
        stored_anywhere.node.accounts.of_party(stored_anywhere.alice_party),
    )
    stored_anywhere.restart()
    after = (
        stored_anywhere.balance(stored_anywhere.alice),
        stored_anywhere.balance(stored_anywhere.bob),
        stored_anywhere.node.accounts.row(stored_anywhere.alice).tobytes(),
        stored_anywhere.node.engine.app_hash,
        stored_anywhere.node.engine.height,
        stored_anywhere.node.accounts.of_party(stored_anywhere.alice_party),
    )
    assert after == before
    assert before[5] == [stored_anywhere.alice]
    assert stored_anywhere.node.holds.close(held, ALL)[0].outcome is Outcome.CAPTURED
    stored_anywhere.node.engine.ledger.check_invariants()


def test_scores_after_a_restart_are_those_without_one(tmp_path: Path, model_file: Path) -> None:
    """The same payments at the same times through two nodes, one of which is restarted half way."""
    scores: list[list[int]] = []
    for restarts in (False, True):
        path = tmp_path / str(restarts)
        with SmallNode(path, model=model_file) as small:
            seen = []
            for turn in range(24):
                small.tick(40 + 7 * turn)
                amount = f"{(turn * 37) % 90 + 1}.00"
                sides = (small.alice, small.bob) if turn % 3 else (small.bob, small.alice)
                identity, _ = small.pay(amount, debtor=sides[0], creditor=sides[1])
                evidence = small.node.payments.evidence(identity)
                seen += [int(evidence["score_ppm"]), *evidence["x"].view(np.uint32).tolist()]
                if restarts and turn == 11:
                    small.restart()
            scores.append(seen)
    assert scores[0] == scores[1]
    assert len(set(scores[0])) > 24, "the scores and features do move"


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


def test_a_chain_without_its_vault_is_refused(shared: SmallNode) -> None:
    """With an empty vault the next party would get Alice's number, and Alice's accounts would be nobody's."""
    shared.node.close()
    vault, aside = shared.path / "vault", shared.path / "aside"
    vault.rename(aside)
    with pytest.raises(StorageError) as e:
        shared.restart()
    assert e.value.code == "vault_missing"
    assert not vault.exists()
    aside.rename(vault)
    assert shared.restart().accounts.of_party(shared.alice_party) == [shared.alice]


# Decisions.


def test_a_decision_can_be_computed_again_bit_for_bit(shared: SmallNode) -> None:
    ids = []
    for turn in range(12):
        shared.tick(30)
        ids.append(shared.pay(f"{turn * 71 + 1}.00")[0])
    named = shared.restart().models.named
    for identity in ids:
        again = shared.node.payments.replay_decision(identity, named)
        assert again.equal, again
    with pytest.raises(ModelError, match="replay it with that model's file"):
        shared.node.payments.replay_decision(ids[0], lambda name: None)


# Personal data.


def test_no_text_of_a_person_leaves_the_vault(stored: SmallNode) -> None:
    identity, _ = stored.pay("4.00", payload=TEXTS)
    follow(stored)
    assert stored.node.payments.payload(identity) == TEXTS
    stored.node.close()
    assert plaintext_in(stored.path) == {}
    assert (stored.path / "store.sqlite").stat().st_size > 0


def test_after_an_erasure_nothing_is_readable_and_every_proof_verifies(stored_anywhere: SmallNode) -> None:
    network = stored_anywhere.node.engine.network.hex()
    paid = [stored_anywhere.pay(f"{n}.00", payload=TEXTS)[0] for n in range(1, 4)]
    paid.append(stored_anywhere.pay("2.00", debtor=stored_anywhere.bob, creditor=stored_anywhere.alice)[0])
    held, _ = stored_anywhere.pay("9.00", hold_for_s=600, payload=TEXTS)
    follow(stored_anywhere)
    assert stored_anywhere.node.accounts.erase(stored_anywhere.alice_party) == [stored_anywhere.alice]
    for _ in range(2):
        with pytest.raises(VaultError) as caught:
            stored_anywhere.node.accounts.profile(stored_anywhere.alice_party)
        assert caught.value.code == "erased"
        for identity in (*paid[:3], held):
            with pytest.raises(VaultError):
                stored_anywhere.node.payments.payload(identity)
            with pytest.raises(VaultError):
                stored_anywhere.node.payments.evidence(identity)
        for identity in (*paid, held):
            receipt = stored_anywhere.node.payments.receipt(identity, open_debtor=True, open_creditor=True)
            verify_receipt(render_receipt(receipt), genesis_hash=network)
        assert stored_anywhere.node.accounts.row(stored_anywhere.alice)["standing"] == 1
        assert stored_anywhere.node.accounts.of_party(stored_anywhere.alice_party) == []
        later, answers = stored_anywhere.pay("1.00", payload=TEXTS)
        assert answers.first is Outcome.DEBTOR_FROZEN
        assert stored_anywhere.node.payments.payload(later) is None, "nothing new is kept for it"
        _, answers = stored_anywhere.pay("1.00", debtor=stored_anywhere.bob, creditor=stored_anywhere.alice)
        assert answers.first is Outcome.CREDITOR_FROZEN
        stored_anywhere.restart()
        stored_anywhere.tick()
    follow(stored_anywhere)
    assert stored_anywhere.node.accounts.erase(stored_anywhere.alice_party) == [], (
        "erasing twice changes nothing"
    )
    stored_anywhere.node.close()
    assert plaintext_in(stored_anywhere.path) == {}
    stored_anywhere.restart()


def test_an_erasure_while_payments_are_under_way_stops_nothing(shared: SmallNode) -> None:
    carol_party, carol = shared.enrol("Carol Cedar")
    futures = [
        shared.node.intake.future(
            shared.node.payments.prepare(carol, shared.bob, "0.01", "EUR", payload=TEXTS)
        )
        for _ in range(200)
    ]
    shared.node.accounts.erase(carol_party)
    allowed = {Outcome.APPLIED, Outcome.HELD_FOR_REVIEW, Outcome.DEBTOR_FROZEN}
    assert {future.result(30).first for future in futures} <= allowed
    assert shared.node.engine.failure is None
    assert shared.pay()[1].height > 0


def test_a_vault_that_says_erased_first_is_asked_again(shared: SmallNode) -> None:
    """The key goes between reading the columns and sealing: the row is left out, the block is written."""
    carol_party, carol = shared.enrol("Carol Cedar")
    vault, parties = shared.node.vault, shared.node.resources.parties
    row = int(np.flatnonzero(shared.node.engine.ledger.accounts["id_lo"] == carol & (2**64 - 1))[0])
    honest = parties.parties

    def erase_then_tell(rows: np.ndarray) -> np.ndarray:
        told = honest(rows)
        parties.parties = honest  # type: ignore[method-assign]
        parties.set(row, 0xFFFFFFFF, 0)
        vault.erase(carol_party)
        return told

    parties.parties = erase_then_tell  # type: ignore[method-assign]
    identity, answers = shared.pay("1.00", debtor=carol, payload=TEXTS)
    assert answers.height > 0
    assert shared.node.payments.payload(identity) is None


# The watchlist.


def test_listed_parties_are_reviewed_or_blocked(tmp_path: Path, model_file: Path) -> None:
    settings = '[screening]\nlist = "list.csv"\nreview_at = 80.0\n'
    small_path = tmp_path / "node"
    with SmallNode(small_path, model=model_file) as small:
        (unlisted,) = small.node.accounts.register_parties([PartyProfile("Xylo Quintrell Varga")])
        assert unlisted.hits == (), "no list is shipped"
        small.node.close()
        (small_path / "list.csv").write_text("id,name\nL-1,Xylo Quintrell Varga\n")
        (small_path / "bezant.toml").write_text(settings)
        small.restart()
        parties = small.node.accounts.register_parties(
            [
                PartyProfile("Xylo Quintrell Varga"),
                PartyProfile("Xylo Quintrel Vargo"),
                PartyProfile("Maud Fern"),
            ]
        )
        assert [party.screening for party in parties] == [Verdict.BLOCK, Verdict.REVIEW, Verdict.ALLOW]
        assert parties[0].hits[0].entry_id == "L-1"
        listed_party, listed = small.enrol("Xylo Quintrell Varga", funds_minor=0)
        _, similar = small.enrol("Xylo Quintrel Vargo", funds_minor=0)
        for _ in range(2):
            assert small.pay("1.00", creditor=listed)[1].first is Outcome.BLOCKED
            identity, answers = small.pay("1.00", creditor=similar)
            assert answers.first is Outcome.HELD_FOR_REVIEW
            assert small.node.payments.evidence(identity)["verdict"] == Verdict.REVIEW
            small.restart()
            small.tick()
        assert listed_party > 0


def test_ids_in_records_are_what_find_finds(shared: SmallNode) -> None:
    identity, answers = shared.pay("7.00")
    record, receipt = shared.node.payments.find(identity)
    assert id_of(record, "id") == identity
    assert receipt.tobytes() == answers.receipts[0].tobytes()
