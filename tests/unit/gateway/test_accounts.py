"""Parties, accounts and payments at the gateway, outcome by outcome."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bezant.errors import AmountError, BezantError, ConflictError, InputError, NotFound, VaultError
from bezant.gateway import commands
from bezant.gateway.accounts import Opening, PartyProfile
from bezant.gateway.holds import ALL, RELEASE, Closing
from bezant.model.identifiers import PaymentId
from bezant.model.outcomes import Outcome, SigningMode
from bezant.model.payment import Payload
from bezant.model.records import Kind
from bezant.testing.ledgers import seeded_key
from bezant.testing.nodes import EUR, SmallNode


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Iterator[SmallNode]:
    # Nothing is reviewed unless a test asks for it: what is tested here is the gateway.
    settings = "[policy]\nreview_ppm = 1000000\nblock = false\n"
    with SmallNode(tmp_path_factory.mktemp("town") / "node", model=model_file, settings=settings) as town:
        yield town


def test_a_party_is_registered_with_its_profile(town: SmallNode) -> None:
    first, second = town.node.accounts.register_parties(
        [PartyProfile("Dora Dill", "CH"), PartyProfile("Elm & Sons", kind="firm")]
    )
    assert second.number == first.number + 1
    assert town.node.accounts.profile(first.number) == PartyProfile("Dora Dill", "CH")
    assert town.node.accounts.register_parties([]) == []
    with pytest.raises(NotFound):
        town.node.accounts.profile(9_999)


def test_accounts_are_opened_funded_and_bound(town: SmallNode) -> None:
    party, account = town.enrol("Flora Fern", 5_000)
    assert town.balance(account) == 5_000
    assert town.node.accounts.of_party(party) == [account]
    row = town.node.accounts.row(account)
    assert row["delegate_cap"] == town.node.config.delegate_cap_minor
    with pytest.raises(NotFound) as caught:
        town.node.accounts.row(account ^ 1)
    assert caught.value.code == "account_unknown"
    with pytest.raises(InputError, match="EUR, USD"):
        town.node.accounts.asset("XAU")


def test_many_accounts_at_once_keep_their_order(town: SmallNode) -> None:
    eur = town.node.accounts.asset("EUR")
    (party,) = town.node.accounts.register_parties([PartyProfile("Gus Gorse")])
    openings = [Opening(party.number, eur, credit_limit=n) for n in range(1_100)]
    opened = town.node.accounts.open(openings, mandates=False)
    limits = [int(town.node.accounts.row(account)["credit_limit"]) for account in opened]
    assert limits == list(range(1_100))
    assert sorted(town.node.accounts.of_party(party.number)) == sorted(opened)


def test_a_holder_with_a_key_of_its_own_signs_for_itself(town: SmallNode) -> None:
    key = seeded_key("holder")
    (party,) = town.node.accounts.register_parties([PartyProfile("Hal Hazel")])
    opening = Opening(party.number, town.node.accounts.asset("EUR"), public_key=key.public)
    (account,) = town.node.accounts.open([opening])
    (again,) = town.node.accounts.open([opening])
    assert again != account, "a key may hold several accounts"
    town.pay("3.00", creditor=account)
    record = commands.transfer(town.new_id(), account, town.bob, EUR, 100)
    answers = town.node.intake.call(town.node.desk.sign(record, key))
    assert (answers.first, answers.receipts["mode"][0]) == (Outcome.APPLIED, SigningMode.SELF)
    by_gateway = town.pay("1.00", debtor=account)[1]
    assert by_gateway.receipts["mode"][0] == SigningMode.DELEGATE
    thief = town.node.intake.call(
        town.node.desk.sign(commands.transfer(town.new_id(), town.alice, account, EUR, 1), key)
    )
    assert thief.first is Outcome.NOT_AUTHORISED


def test_the_treasury_is_one_however_many_ask_first(town: SmallNode) -> None:
    gbp, found, start = town.node.accounts.asset("GBP"), [], threading.Barrier(4)

    def ask() -> None:
        start.wait()
        found.append(town.node.accounts.treasury(gbp))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_payments_and_their_refusals(town: SmallNode) -> None:
    alice, bob = town.balance(town.alice), town.balance(town.bob)
    identity, answers = town.pay("12.34", payload=Payload(end_to_end_id="E-1"))
    assert (answers.first, answers.receipts["mode"][0]) == (Outcome.APPLIED, SigningMode.DELEGATE)
    assert (town.balance(town.alice), town.balance(town.bob)) == (alice - 1_234, bob + 1_234)
    assert town.node.payments.payload(identity) == Payload(end_to_end_id="E-1")
    refusals = [
        (town.pay("999999.00"), Outcome.INSUFFICIENT_FUNDS),
        (town.pay("1000000.01"), Outcome.NOT_AUTHORISED),
        (town.pay(creditor=town.alice), Outcome.SAME_ACCOUNT),
        (town.pay(creditor=town.bob ^ 1), Outcome.CREDITOR_UNKNOWN),
        (town.pay(debtor=town.alice ^ 1), Outcome.DEBTOR_UNKNOWN),
    ]
    assert [answers.first for (_, answers), _ in refusals] == [expected for _, expected in refusals]
    assert town.balance(town.alice) == alice - 1_234
    for amount, error in (
        ("0", InputError),
        ("1.234", AmountError),
        ("-1", AmountError),
        ("1e2", AmountError),
    ):
        with pytest.raises(error):
            town.pay(amount)
    with pytest.raises(NotFound):
        town.node.payments.find(town.new_id())


def test_a_retry_of_the_same_submission_pays_once(town: SmallNode) -> None:
    before = town.balance(town.bob)
    made = town.node.payments.prepare(town.alice, town.bob, "5.00", "EUR")
    first, second = town.node.payments.submit(made), town.node.payments.submit(made)
    assert (first.first, second.first) == (Outcome.APPLIED, Outcome.EXISTS)
    assert second.first_outcome[0] == Outcome.APPLIED
    assert town.balance(town.bob) == before + 500


def test_holds_are_captured_in_part_released_or_run_out(town: SmallNode) -> None:
    holds, before = town.node.holds, town.balance(town.bob)
    in_part, _ = town.pay("10.00", hold_for_s=60)
    assert town.balance(town.bob) == before
    assert holds.close(in_part, Closing(Kind.CAPTURE, 400))[0].outcome is Outcome.CAPTURED
    assert town.balance(town.bob) == before + 400
    released, _ = town.pay("10.00", hold_for_s=60)
    assert holds.close(released, RELEASE)[0].outcome is Outcome.RELEASED
    late, _ = town.pay("10.00", hold_for_s=60)
    town.tick(61)
    plain, _ = town.pay("1.00")
    for identity in (in_part, released, late, plain):
        with pytest.raises(ConflictError) as caught:
            holds.close(identity, ALL)
        assert caught.value.code == "not_held"
    assert town.node.accounts.row(town.alice)["debits_pending_lo"] == 0
    too_much, _ = town.pay("10.00", hold_for_s=60)
    with pytest.raises(BezantError) as refused:
        holds.close(too_much, Closing(Kind.CAPTURE, 1_001))
    assert refused.value.code == "amount_above_hold"
    assert holds.close(too_much, RELEASE)[0].outcome is Outcome.RELEASED


def test_what_waits_for_review_is_approved_or_rejected(tmp_path: Path, model_file: Path) -> None:
    settings = "[policy]\nreview_ppm = 1\ncontrol_share = 0.0\nblock = false\n"
    with SmallNode(tmp_path / "node", model=model_file, settings=settings) as small:
        before = small.balance(small.bob)
        ids: list[PaymentId] = []
        for _ in range(2):
            identity, answers = small.pay("6.00")
            assert answers.first is Outcome.HELD_FOR_REVIEW
            ids.append(identity)
        assert small.node.holds.approve(ids[0])[0].outcome is Outcome.CAPTURED
        assert small.node.holds.reject(ids[1])[0].outcome is Outcome.RELEASED
        assert small.balance(small.bob) == before + 600
        for identity in ids:
            with pytest.raises(ConflictError) as caught:
                small.node.holds.approve(identity)
            assert caught.value.code in ("not_held", "not_in_review")
        held, answers = small.pay("1.00", hold_for_s=60)
        assert answers.first is Outcome.REVIEW_NOT_PERMITTED, "a hold is no transfer to review"
        with pytest.raises(ConflictError):
            small.node.holds.approve(held)


def test_frozen_accounts_neither_pay_nor_are_paid(town: SmallNode) -> None:
    _, account = town.enrol("Ivy Ives", 1_000)
    town.node.accounts.freeze(account, True)
    assert town.pay("1.00", debtor=account)[1].first is Outcome.DEBTOR_FROZEN
    assert town.pay("1.00", creditor=account)[1].first is Outcome.CREDITOR_FROZEN
    town.node.accounts.freeze(account, False)
    assert town.pay("1.00", debtor=account)[1].first is Outcome.APPLIED
    with pytest.raises(NotFound):
        town.node.accounts.freeze(account ^ 1, True)


def test_the_node_itself_and_strangers_cannot_be_erased(town: SmallNode) -> None:
    treasury = town.node.accounts.treasury(town.node.accounts.asset("EUR"))
    with pytest.raises(InputError) as caught:
        town.node.accounts.erase(0)
    assert caught.value.code == "party_permanent"
    assert town.node.accounts.row(treasury)["standing"] == 0
    with pytest.raises(VaultError):
        town.node.accounts.erase(99_999)
    assert np.count_nonzero(town.node.engine.ledger.accounts["standing"]) == 0
