"""What a node decides: the same after a restart, again bit for bit, and by the watchlist."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bezant.errors import ModelError
from bezant.gateway.accounts import PartyProfile
from bezant.model.outcomes import Outcome, Verdict
from bezant.model.records import id_of
from bezant.testing.nodes import SmallNode


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
