"""What features learn from blocks: payments that moved value, and labels from when they were ordered."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.intelligence.features import COLUMN, FeatureState
from bezant.intelligence.learning import Decided, NothingNamed, learn_block
from bezant.model.identifiers import payment_time_ms
from bezant.model.outcomes import Verdict
from bezant.model.records import NO_ROW, Kind, Label, RecordArray, id_of
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK

SCALES = np.array([0, 2, 0], np.int64)


def learned(world: BlockScribe) -> dict[str, bytes]:
    features = FeatureState()
    for block in world.blocks:
        learn_block(features, block, SCALES, NothingNamed())
    return {name: np.ascontiguousarray(rows).tobytes() for name, rows in features.dump().items()}


def label(world: BlockScribe, paid: RecordArray, said: Label) -> RecordArray:
    return world.pays(Kind.LABEL, world.alice, world.bob, said, related=id_of(paid[0], "id"))


def test_an_ordered_fraud_label_is_learned_as_a_label_given_by_hand() -> None:
    world = BlockScribe()
    paid = world.transfer(world.alice, world.bob, 40)
    world.commit((BANK, paid))
    by_hand = FeatureState()
    for block in world.blocks:
        learn_block(by_hand, block, SCALES, NothingNamed())
    before = learned(world)
    block = world.commit((BANK, label(world, paid, Label.FRAUD)))
    paid_ns = payment_time_ms(id_of(paid[0], "id")) * 1_000_000
    by_hand.label([1], [2], [paid_ns], [block.time_ns], payment=paid["id_lo"])
    after = learned(world)
    assert after == {n: np.ascontiguousarray(rows).tobytes() for n, rows in by_hand.dump().items()}
    assert after != before


class DecidedHere(NothingNamed):
    """Whoever decided every payment between two accounts, by their rows."""

    def __init__(self, debtor: int, creditor: int) -> None:
        self._rows = debtor, creditor

    def decided(self, ids_lo: np.ndarray, ids_hi: np.ndarray) -> Decided:  # type: ignore[override]
        return Decided(*(np.full(len(ids_lo), row, np.int64) for row in self._rows))


def refused_and_labelled(names: NothingNamed, *said: Label) -> np.ndarray:
    """Return the features of a payment from Alice to Bob, after one that was blocked had been labelled."""
    world, features = BlockScribe(), FeatureState()
    blocked = world.transfer(world.alice, world.bob, 40)
    world.commit((BANK, blocked), verdicts={0: Verdict.BLOCK})
    for label_ in said:
        named = world.pays(Kind.LABEL, world.alice, 0, label_, related=id_of(blocked[0], "id"))
        assert world.commit((BANK, named)).receipts["outcome"].tolist() == [0]
    for block in world.blocks:
        learn_block(features, block, SCALES, names)
    return features.compute([1], [2], [40], [world.blocks[-1].time_ns])[0]


def test_only_who_decided_a_refused_payment_learns_to_whom_it_was_to_go() -> None:
    frauds, suffered = COLUMN["place_frauds_30d"], COLUMN["debtor_frauds_30d"]
    here = refused_and_labelled(DecidedHere(1, 2), Label.FRAUD)
    assert (here[frauds], here[suffered]) == (1.0, 1.0)
    for names in (NothingNamed(), DecidedHere(2, 1), DecidedHere(1, NO_ROW)):
        elsewhere = refused_and_labelled(names, Label.FRAUD)
        assert (elsewhere[frauds], elsewhere[suffered]) == (0.0, 0.0), "nobody is suspected for it"
    never = refused_and_labelled(DecidedHere(1, 2))
    received = COLUMN["received_count_30d"]
    assert here[received] == pytest.approx(never[received], abs=1e-4), "it never took place"


def test_a_refused_payment_found_genuine_leaves_nothing_behind_where_no_other_fraud_is_known() -> None:
    said = refused_and_labelled(DecidedHere(1, 2), Label.FRAUD, Label.GENUINE)
    never = refused_and_labelled(DecidedHere(1, 2))
    for name in ("place_frauds_30d", "place_risk_slow", "place_risk_fast"):
        assert abs(said[COLUMN[name]] - never[COLUMN[name]]) < 1e-6
    genuine = refused_and_labelled(DecidedHere(1, 2), Label.GENUINE)
    assert np.array_equal(genuine, refused_and_labelled(NothingNamed(), Label.GENUINE))


def test_genuine_labels_of_payments_that_were_made_and_refused_labels_teach_nothing() -> None:
    world = BlockScribe()
    paid = world.transfer(world.alice, world.bob, 40)
    world.commit((BANK, paid))
    before = learned(world)
    other = world.pays(Kind.LABEL, world.alice, world.bob, Label.FRAUD, related=12345)
    block = world.commit((BANK, label(world, paid, Label.GENUINE)), (BANK, other))
    assert block.receipts["outcome"].tolist() == [0, 42]
    assert learned(world) == before


def test_a_payment_found_genuine_counts_as_fraud_no_more_and_one_said_twice_once() -> None:
    world = BlockScribe()
    paid = world.transfer(world.alice, world.bob, 40)
    world.commit((BANK, paid))
    world.commit((BANK, label(world, paid, Label.FRAUD)))
    once = learned(world)
    world.commit((BANK, label(world, paid, Label.FRAUD)))
    assert learned(world) == once
    world.commit((BANK, label(world, paid, Label.GENUINE)))
    features = FeatureState()
    for block in world.blocks:
        learn_block(features, block, SCALES, NothingNamed())
    x = features.compute([1], [2], [40], [world.blocks[-1].time_ns])
    assert x[0, COLUMN["place_frauds_30d"]] == 0.0
    assert x[0, COLUMN["debtor_frauds_30d"]] < 1e-6
