"""Texts of persons: in the vault alone, and readable nowhere once they are erased."""

from __future__ import annotations

import numpy as np
import pytest
from tests.unit.node.nodes import TEXTS, follow, plaintext_in

from bezant.chain.receipts import render_receipt, verify_receipt
from bezant.errors import VaultError
from bezant.model.outcomes import Outcome
from bezant.testing.nodes import SmallNode


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
