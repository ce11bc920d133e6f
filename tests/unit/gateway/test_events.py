"""Events follow from the block alone, name no person, and reach whoever wants them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bezant.chain.blocks import CommittedBlock
from bezant.gateway.delivery import MAX_BODY_BYTES
from bezant.gateway.events import PAYMENT_EVENTS, EventAmount, PaymentEvent, PaymentEvents
from bezant.ledger.fees import FEE_SALT
from bezant.ledger.state import ACCOUNT
from bezant.model.genesis import Fee
from bezant.model.identifiers import render_id, render_payment_id
from bezant.model.outcomes import Verdict
from bezant.model.records import Flag, Kind, id_of, set_id
from bezant.store.endpoints import Endpoint
from bezant.testing.blocks import BlockScribe
from bezant.testing.ledgers import BANK, ISSUER, record, small_genesis


class Town(BlockScribe):
    """Blocks, and the accounts by row that events of expiries are named from."""

    def accounts(self) -> np.ndarray:
        rows = np.zeros(3, ACCOUNT)
        for row, account in enumerate((self.treasury, self.alice, self.bob)):
            set_id(rows[row], "id", account)
        rows["asset"] = 1
        return rows

    def events_of(self, block: CommittedBlock) -> list[PaymentEvent]:
        return list(PaymentEvents(small_genesis().assets, self.accounts).of(block))


@pytest.fixture
def town() -> Town:
    return Town()


def test_a_settled_payment_is_told_with_ids_and_decimals(town: Town) -> None:
    record = town.transfer(town.alice, town.bob, 1250)
    block = town.commit((BANK, record))
    (event,) = town.events_of(block)
    assert event.type == "payment.settled"
    assert event.timestamp.startswith("2023-11-14T22:13:")
    data = event.data
    assert data.id == f"{block.height}-0"
    assert data.payment_id == render_payment_id(id_of(record[0], "id"))
    assert (data.amount.amount, data.amount.asset, data.outcome) == ("12.50", "EUR", "applied")
    assert (data.debtor, data.creditor) == (render_id(town.alice), render_id(town.bob))
    assert data.height == block.height


def test_every_change_of_a_payment_has_its_type(town: Town) -> None:
    hold = town.pays(Kind.HOLD, town.alice, town.bob, 500, hold_for_s=60)
    reviewed = town.transfer(town.alice, town.bob, 600, flags=Flag.MAY_REVIEW)
    blocked = town.transfer(town.alice, town.bob, 700)
    refused = town.transfer(town.alice, town.bob, 10**9)
    brief = town.pays(Kind.HOLD, town.alice, town.bob, 3, hold_for_s=1)
    first = town.commit(
        *[(BANK, rows) for rows in (hold, reviewed, blocked, refused, brief)],
        verdicts={1: Verdict.REVIEW, 2: Verdict.BLOCK},
    )
    told = [(e.type, e.data.amount.amount) for e in town.events_of(first)]
    assert told == [
        ("payment.held", "5.00"),
        ("payment.in_review", "6.00"),
        ("payment.blocked", "7.00"),
        ("payment.refused", "10000000.00"),
        ("payment.held", "0.03"),
    ]
    capture = town.pays(Kind.CAPTURE, town.alice, town.bob, 400, related=id_of(hold[0], "id"))
    release = town.pays(Kind.RELEASE, town.alice, town.bob, 0, related=id_of(reviewed[0], "id"))
    second = town.commit((BANK, capture), (BANK, release))
    expired, captured, released = town.events_of(second)
    assert [e.type for e in (expired, captured, released)] == [
        "payment.expired",
        "payment.captured",
        "payment.released",
    ]
    back = town.pays(Kind.REVERSE, town.bob, town.alice, 100, related=id_of(capture[0], "id"))
    (reversal,) = town.events_of(town.commit((BANK, back)))
    assert (reversal.type, reversal.data.amount.amount) == ("payment.reversed", "1.00")
    assert reversal.data.refund_of == render_payment_id(id_of(capture[0], "id"))
    assert captured.data.refund_of == ""
    assert captured.data.payment_id == render_payment_id(id_of(hold[0], "id")), "the payment, not its capture"
    assert captured.data.amount.amount == "4.00"
    assert released.data.payment_id == render_payment_id(id_of(reviewed[0], "id"))
    assert expired.data.payment_id == render_payment_id(id_of(brief[0], "id"))
    assert (expired.data.amount.amount, expired.data.amount.asset) == ("0.03", "EUR")
    assert (expired.data.debtor, expired.data.creditor) == (render_id(town.alice), render_id(town.bob))
    seen = {t for t, _ in told} | {e.type for e in (*town.events_of(second), reversal)} | {"payment.settled"}
    assert seen == set(PAYMENT_EVENTS)


def test_what_was_charged_is_told_with_what_it_was_charged_for() -> None:
    town = Town(fees=(Fee(1, flat=2, maximum=2),))
    opened, _ = town.scribe.open(1, ISSUER, salt=FEE_SALT)
    town.commit((ISSUER, opened))
    given = {"debtor": town.alice, "creditor": town.bob, "amount": 500}
    paid, dear = (record(Kind.TRANSFER, id=town.new_id(), max_fee=most, **given) for most in (2, 1))
    hold = record(Kind.HOLD, id=town.new_id(), hold_for_s=60, **given)
    settled, refused, held = town.events_of(town.commit((BANK, paid), (BANK, dear), (BANK, hold)))
    assert settled.data.fee == EventAmount("0.02", "EUR")
    assert settled.data.amount == EventAmount("5.00", "EUR"), "the fee comes beside it"
    assert (refused.data.outcome, refused.data.fee, held.data.fee) == ("fee_above_max", None, None)
    capture = record(Kind.CAPTURE, id=town.new_id(), related=id_of(hold[0], "id"), **given)
    (captured,) = town.events_of(town.commit((BANK, capture)))
    assert (captured.type, captured.data.fee) == ("payment.captured", EventAmount("0.02", "EUR"))
    back = town.pays(Kind.REVERSE, town.bob, town.alice, 100, related=id_of(paid[0], "id"))
    (reversal,) = town.events_of(town.commit((BANK, back)))
    assert (reversal.type, reversal.data.fee) == ("payment.reversed", None)
    everything = Endpoint("we_a", "https://a.example/", (), "whsec_eA==", 0)
    events = PaymentEvents(small_genesis().assets, town.accounts, lambda: (everything,))
    told = [json.loads(row.body)["data"] for block in town.blocks[-3:] for row in events.rows(block)]
    assert [one.get("fee") for one in told] == [
        {"amount": "0.02", "asset": "EUR"}, None, None, {"amount": "0.02", "asset": "EUR"}, None
    ]  # fmt: skip


def test_what_is_no_news_of_a_payment_is_not_told(town: Town) -> None:
    record = town.transfer(town.alice, town.bob, 1)
    town.commit((BANK, record))
    assert town.events_of(town.blocks[0]) == [], "accounts are no payments"
    assert town.events_of(town.commit((BANK, record))) == [], "answered before"
    assert town.events_of(town.commit((BANK, town.transfer(town.alice, town.bob, 1)), authentic=False)) == []
    unknown = town.pays(Kind.CAPTURE, town.alice, town.bob, 1, related=int(town.new_id()))
    assert town.events_of(town.commit((BANK, unknown))) == [], "a refused capture changes nothing"


def test_rows_are_one_for_each_endpoint_that_wants_the_type(town: Town) -> None:
    everything = Endpoint("we_a", "https://a.example/", (), "whsec_eA==", 0)
    only = Endpoint("we_b", "https://b.example/", ("payment.refused",), "whsec_eA==", 0)
    off = Endpoint("we_c", "https://c.example/", (), "whsec_eA==", 0, enabled=False)
    block = town.commit(
        (BANK, town.transfer(town.alice, town.bob, 1)), (BANK, town.transfer(town.alice, town.bob, 10**9))
    )
    events = PaymentEvents(small_genesis().assets, town.accounts, lambda: (everything, only, off))
    rows = list(events.rows(block))
    assert [(row.endpoint, row.type) for row in rows] == [
        ("we_a", "payment.settled"),
        ("we_a", "payment.refused"),
        ("we_b", "payment.refused"),
    ]
    assert rows == list(events.rows(block)), "the same block gives the same rows"
    assert len({row.id for row in rows}) == 3
    assert rows[0].sequence < rows[1].sequence == rows[2].sequence
    for row in rows:
        assert len(row.body) < MAX_BODY_BYTES
        assert json.loads(row.body)["type"] == row.type
    assert list(PaymentEvents(small_genesis().assets, town.accounts, lambda: (off,)).rows(block)) == []


def test_an_asset_that_does_not_exist_does_not_stop_the_store(town: Town) -> None:
    record = town.transfer(town.alice, town.bob, 5)
    record["asset"] = 77
    (event,) = town.events_of(town.commit((BANK, record)))
    assert (event.type, event.data.amount.amount, event.data.amount.asset) == ("payment.refused", "5", "#77")
