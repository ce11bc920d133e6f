"""Models get their roles by ordered commands, and take them up while payments flow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bezant.chain.receipts import render_receipt, verify_receipt
from bezant.errors import BezantError, ConflictError, InputError, ModelError, NotFound
from bezant.intelligence import health
from bezant.intelligence.model import Model, _content
from bezant.intelligence.shelf import Shelf, resolve
from bezant.model.digest import sha256
from bezant.model.outcomes import Outcome
from bezant.model.records import Label, ModelRole, id_of
from bezant.node import Node
from bezant.testing.nodes import SmallNode

RETIRED, REGISTERED, CHALLENGER, CHAMPION = ModelRole


@pytest.fixture
def stored(tmp_path: Path, model_file: Path) -> Iterator[SmallNode]:
    with SmallNode(tmp_path / "node", model=model_file, with_store=True) as node:
        yield node


def another(small: SmallNode, name: str) -> Model:
    """Put a model on the node's shelf that differs from the first by its card alone."""
    first = Model.load(small.node.folder.models / f"{small.node.models.known()[0].digest.hex()}.model")
    model = Model.build(msgspec.structs.replace(first.card, source=name), first.trees)
    model.save(Shelf(small.node.folder.models).path(model.digest))
    return model


def roles(node: Node) -> dict[bytes, ModelRole]:
    return {standing.digest: standing.role for standing in node.models.known()}


def decided_by(small: SmallNode) -> bytes:
    """Pay, and return the name of the model in the Decision."""
    identity, answers = small.pay()
    block = next(small.node.engine.blocks_from(answers.height))
    (row,) = [row for row, record in enumerate(block.records) if id_of(record, "id") == identity]
    return block.decisions[row]["model"].tobytes()


def test_the_first_model_is_registered_and_promoted(small: SmallNode, model_file: Path) -> None:
    first = Model.load(model_file)
    (standing,) = small.node.models.known()
    assert (standing.digest, standing.role, standing.in_use) == (first.digest, CHAMPION, True)
    assert standing.card == first.card
    assert decided_by(small) == first.name
    assert not (small.path / "models" / "current.model").exists()
    height = small.node.engine.height
    small.restart()
    assert small.node.engine.height == height, "nothing is ordered again"
    assert decided_by(small) == first.name


def test_a_promotion_is_taken_up_without_a_restart_and_survives_one(small: SmallNode) -> None:
    first = small.node.model
    second = another(small, "second")
    small.node.models.set_role(second.digest, REGISTERED)
    assert decided_by(small) == first.name
    generation = small.node.flow.generation
    small.node.models.set_role(second.digest, CHAMPION)
    assert decided_by(small) == second.name
    assert small.node.flow.generation == generation + 1, "score and decide change over together"
    assert roles(small.node) == {first.digest: REGISTERED, second.digest: CHAMPION}
    small.restart()
    assert decided_by(small) == second.name


def test_a_decision_is_replayed_with_the_model_that_made_it(small: SmallNode) -> None:
    identity, _ = small.pay()
    second = another(small, "second")
    small.node.models.set_role(second.digest, REGISTERED)
    small.node.models.set_role(second.digest, CHAMPION)
    assert small.node.payments.replay_decision(identity, small.node.models.named).equal


def test_rolling_back_and_forth(stored: SmallNode) -> None:
    models, first = stored.node.models, stored.node.model
    with pytest.raises(ConflictError) as caught:
        models.roll_back(stored.new_id())
    assert caught.value.code == "no_earlier_champion"
    second = another(stored, "second")
    for role in (REGISTERED, CHAMPION):
        models.set_role(second.digest, role)
    key = stored.new_id()
    answered, before = models.roll_back(key)
    assert (answered.outcome, before) == (Outcome.APPLIED, False)
    assert stored.node.model.digest == first.digest
    assert models.roll_back(key) == (answered, True)
    assert stored.node.model.digest == first.digest, "the same request again changes nothing"
    models.roll_back(stored.new_id())
    assert stored.node.model.digest == second.digest
    changes = [(change.digest, change.role) for change in models.history()]
    assert changes == [
        (first.digest, REGISTERED),
        (first.digest, CHAMPION),
        (second.digest, REGISTERED),
        (second.digest, CHAMPION),
        (first.digest, CHAMPION),
        (second.digest, CHAMPION),
    ]
    heights = [change.height for change in models.history()]
    assert heights == sorted(set(heights))


def test_without_a_champion_rules_decide(small: SmallNode) -> None:
    small.node.models.set_role(small.node.model.digest, RETIRED)
    assert small.node.model is None
    assert decided_by(small) == bytes(16)
    small.restart()
    assert decided_by(small) == bytes(16)


@pytest.mark.parametrize("damage", ["missing", "altered", "another"])
def test_a_champion_whose_file_is_of_no_use_leaves_rules_to_decide(small: SmallNode, damage: str) -> None:
    champion = small.node.model
    other = another(small, "other")
    small.node.close()
    path = small.path / "models" / f"{champion.digest.hex()}.model"
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "altered":
        path.write_bytes(data.replace(b"tree", b"tree ", 1))
    else:
        path.write_bytes((small.path / "models" / f"{other.digest.hex()}.model").read_bytes())
    small.restart()
    assert decided_by(small) == bytes(16)
    (standing,) = small.node.models.known()
    assert (standing.role, standing.in_use, standing.card) == (CHAMPION, False, None)
    assert path.name in standing.problem
    assert small.node.lineup.problems.keys() == {CHAMPION}
    path.write_bytes(data)
    small.restart()
    assert decided_by(small) == champion.name


def test_a_waiting_model_of_another_version_goes_on_waiting(small: SmallNode) -> None:
    champion = small.node.model
    card = msgspec.structs.replace(champion.card, features=champion.card.features[:-1])
    older = Model(card, champion.trees, sha256(_content(card, champion.trees)), champion.forest)
    small.node.close()
    waiting = small.path / "models" / "current.model"
    older.save(waiting)
    small.restart()
    assert decided_by(small) == champion.name
    assert "trained on" in small.node.lineup.problems[CHAMPION]
    assert waiting.exists()


def test_what_has_no_usable_file_gets_no_role(small: SmallNode) -> None:
    height = small.node.engine.height
    for role in (REGISTERED, CHALLENGER, CHAMPION):
        with pytest.raises(ModelError) as missing:
            small.node.models.set_role(b"m" * 32, role)
        assert missing.value.code == "model_missing"
    assert small.node.engine.height == height, "nothing was ordered"
    second = another(small, "second")
    with pytest.raises(BezantError) as unknown:
        small.node.models.set_role(second.digest, CHAMPION)
    assert unknown.value.code == "model_unknown", "it has to be registered first"


def test_changes_of_champion_while_payments_flow_lose_none(small: SmallNode) -> None:
    first, second = small.node.model, another(small, "second")
    small.node.models.set_role(second.digest, REGISTERED)
    stop, turns = threading.Event(), 0

    def change() -> None:
        nonlocal turns
        while not stop.is_set():
            small.node.models.set_role((second, first)[turns % 2].digest, CHAMPION)
            turns += 1

    changer = threading.Thread(target=change)
    changer.start()
    names, both = set(), {first.name, second.name}
    try:
        while (turns < 6 or not names >= both) and changer.is_alive():
            small.tick()
            identity, answers = small.pay("0.01")
            assert not answers.first.refused
            names.add(small.node.payments.evidence(identity)["model"].tobytes()[:16])
    finally:
        stop.set()
        changer.join()
    assert turns >= 6
    assert names >= both


def test_digests_are_found_by_how_they_begin() -> None:
    one, two = bytes.fromhex("ab" * 32), bytes.fromhex("ab" * 5 + "cd" * 27)
    assert resolve("ab" * 32, []) == one
    assert resolve("ab" * 5 + "cd", [one, two]) == two
    for text, code, error in (
        ("ab" * 4, "model_ambiguous", InputError),
        ("cd" * 4, "model_unknown", NotFound),
        ("ab" * 3, "model_digest_invalid", InputError),
        ("AB" * 32, "model_digest_invalid", InputError),
        ("../" * 4, "model_digest_invalid", InputError),
        ("ab" * 33, "model_digest_invalid", InputError),
    ):
        with pytest.raises(error) as caught:
            resolve(text, [one, two, one])
        assert caught.value.code == code


# The challenger.


def test_a_challenger_scores_beside_the_champion_and_is_compared_with_it(stored: SmallNode) -> None:
    node = stored.node
    with pytest.raises(ConflictError) as caught:
        node.models.compare(0.5)
    assert caught.value.code == "no_challenger"
    second = another(stored, "second")
    node.observer.look()
    node.models.set_role(second.digest, REGISTERED)
    node.models.set_role(second.digest, CHALLENGER)
    paid = []
    for turn in range(40):
        stored.tick(60)
        identity, answers = stored.pay(f"{turn + 1}.00")
        assert not answers.first.refused
        paid.append(identity)
    assert node.model.name == first_name(stored), "the champion decided all along"
    for turn, identity in enumerate(paid):
        node.labels.say(identity, Label.FRAUD if turn % 4 == 0 else Label.GENUINE, stored.new_id())
    node.observer.look()
    compared = node.models.compare(0.5)
    assert (compared.champion, compared.challenger) == (node.model.digest, second.digest)
    assert compared.result.labelled == len(node.score_log.rows(node.model, second))
    # The same trees and calibration: whatever they say, they say alike.
    assert compared.result.recall_difference.value in (0.0, None)
    assert node.challenge.scored >= node.score_log.written


def first_name(small: SmallNode) -> bytes:
    return small.node.models.known()[0].digest[:16]


def test_a_promoted_challenger_challenges_no_more(small: SmallNode) -> None:
    second = another(small, "second")
    for role in (REGISTERED, CHALLENGER):
        small.node.models.set_role(second.digest, role)
    assert small.node.challenge.challenger.digest == second.digest
    small.node.models.set_role(second.digest, CHAMPION)
    assert small.node.challenge.challenger is None
    assert small.node.model.digest == second.digest


# A champion that answers nonsense.


def test_a_champion_that_answers_no_numbers_leaves_each_payment_to_the_rules(small: SmallNode) -> None:
    small.node.model.forest.value[:] = float("nan")
    assert decided_by(small) == bytes(16)
    assert small.node.flow.telemetry["score"].failures == 1


def test_a_champion_that_scores_everything_alike_is_suspended(
    small: SmallNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "STEADY", 16)
    champion = small.node.model
    for turn in range(20):
        small.tick(3_600)
        small.pay(f"{turn * 7 + 1}.00")
    small.node.observer.look()
    assert small.node.model is champion, "it tells payments apart"
    champion.forest.value[:] = 0.01
    for turn in range(20):
        small.tick(3_600)
        small.pay(f"{turn * 7 + 1}.00")
    small.node.observer.look()
    assert small.node.model is None
    assert "suspended" in small.node.lineup.problems[CHAMPION]
    assert decided_by(small) == bytes(16)
    (standing,) = small.node.models.known()
    assert (standing.role, standing.in_use) == (CHAMPION, False), "the ledger still names it"
    small.node.models.set_role(champion.digest, CHAMPION)
    assert decided_by(small) == champion.name, "given the role anew it is loaded anew"


def test_labels_and_roles_are_proved_like_payments(stored: SmallNode) -> None:
    node = stored.node
    paid, _ = stored.pay("12.00")
    said = stored.new_id()
    node.labels.say(paid, Label.FRAUD, said)
    second = another(stored, "second")
    for role in (REGISTERED, CHAMPION):
        node.models.set_role(second.digest, role)
    back = stored.new_id()
    node.models.roll_back(back)
    for identity, amount in ((said, "12.00"), (back, None)):
        receipt = render_receipt(node.payments.receipt(identity))
        shown = verify_receipt(receipt, genesis_hash=node.engine.network.hex()).summary
        assert shown.outcome == "applied"
        assert amount is None or shown.amount == amount
