"""Several keys, two schemes and reversals through a real chain: verified, journaled, replayed, proved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bezant.chain.readings import signing_statement
from bezant.chain.receipts import build_receipt, render_receipt, verify_receipt
from bezant.errors import DecodeError, ProofError
from bezant.model.keys import SCHEME_SECP256K1, SigningKey, authority_id
from bezant.model.orders import Order, attest
from bezant.model.outcomes import Outcome
from bezant.model.records import Kind, RecordArray, Role, id_of
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE, BANK, BOB, GATEWAY, Quorum, record, seeded_key

SECOND = SigningKey(seeded_key("second").seed, SCHEME_SECP256K1)
THIRD = seeded_key("third")
ALICE_ID = authority_id(ALICE.public)
BOTH = Quorum(ALICE_ID, {0: ALICE, 1: SECOND})


@pytest.fixture
def chain(tmp_path: Path) -> Any:
    world = ChainWorld(tmp_path / "data", segment_bytes=256 * 1024)
    yield world
    world.engine.close()


def command(chain: ChainWorld, kind: Kind, **fields: Any) -> RecordArray:
    return record(kind, **({"id": chain.scribe.new_id(), "debtor": ALICE_ID} | fields))


def outcomes(chain: ChainWorld, *parts: Any) -> list[Outcome]:
    block = chain.submit(*parts)
    return [Outcome(int(code)) for code in block.receipts["outcome"][block.system_count :]]


def add_second(chain: ChainWorld, pay_threshold: int = 2) -> None:
    """Give ALICE's authority a secp256k1 key beside her own; both must sign to pay."""
    key = {"related": 1, "amount": SCHEME_SECP256K1, "max_fee": int(Role.PAY), "commitment": SECOND.public}
    rows = [
        command(chain, Kind.SET_KEY, **key),
        command(chain, Kind.SET_THRESHOLDS, amount=0x010100 + pay_threshold),
    ]
    assert outcomes(chain, (ALICE, np.concatenate(rows))) == [Outcome.APPLIED] * 2


def test_two_keys_of_two_schemes_pay_together_and_neither_alone(chain: ChainWorld) -> None:
    alice, bob = chain.fund()
    add_second(chain)
    alone = chain.transfer(alice, bob, 5)
    assert outcomes(chain, (ALICE, alone)) == [Outcome.THRESHOLD_NOT_MET]
    only_second = Quorum(ALICE_ID, {1: SECOND})
    assert outcomes(chain, (only_second, chain.transfer(alice, bob, 5))) == [Outcome.THRESHOLD_NOT_MET]
    assert outcomes(chain, (BOTH, alone)) == [Outcome.APPLIED], "a minority burned no id"
    before = chain.balances()
    chain.reopen()
    assert chain.balances() == before


@pytest.mark.parametrize("forged", [0, 1])
def test_one_signature_that_does_not_verify_spoils_the_group(chain: ChainWorld, forged: int) -> None:
    alice, bob = chain.fund()
    add_second(chain, pay_threshold=1)
    order = chain.order((BOTH, chain.transfer(alice, bob, 5)))
    order.authorisations["signature"][forged][7] ^= 1
    spoiled = attest(chain.network, replace(order, signature=b""), GATEWAY)
    block = chain.engine.submit([spoiled])
    assert block.receipts["outcome"].tolist() == [Outcome.BAD_SIGNATURE]


@pytest.mark.parametrize(
    ("field", "value"), [("key_index", 0), ("key_index", 16), ("authority_lo", 1), ("first", 0)]
)
def test_a_cosignature_that_follows_nothing_is_no_order(chain: ChainWorld, field: str, value: int) -> None:
    alice, bob = chain.fund()
    order = chain.order((BOTH, chain.transfer(alice, bob, 5)))
    order.authorisations[field][1] = value
    with pytest.raises(DecodeError):
        chain.engine.submit([order])


def test_a_cosignature_cannot_stand_first(chain: ChainWorld) -> None:
    alice, bob = chain.fund()
    order = chain.order((BOTH, chain.transfer(alice, bob, 5)))
    turned = Order(order.gateway, order.authorisations[1:], order.records[:0], order.decisions[:0])
    turned.authorisations["first"] = 0
    with pytest.raises(DecodeError):
        chain.engine.submit([attest(chain.network, turned, GATEWAY)])


def test_a_receipt_shows_both_signatures_and_still_verifies_after_the_keys_are_gone(
    chain: ChainWorld,
) -> None:
    alice, bob = chain.fund()
    first = chain.transfer(alice, bob, 5)
    assert outcomes(chain, (ALICE, first)) == [Outcome.APPLIED]
    add_second(chain)
    paid = chain.transfer(alice, bob, 7)
    assert outcomes(chain, (BOTH, paid)) == [Outcome.APPLIED]
    files = [render_receipt(build_receipt(chain.engine.prove(id_of(row[0], "id")))) for row in (first, paid)]
    one, two = (verify_receipt(data) for data in files)
    assert [len(found.signed.signatures) for found in (one, two)] == [1, 2]
    assert "hash of" in signing_statement(one)
    assert "ordered command" in signing_statement(two)
    rows = [
        command(chain, Kind.SET_THRESHOLDS, amount=0x010101),
        command(chain, Kind.SET_KEY, related=1),
        command(chain, Kind.SET_KEY, related=0, amount=1, max_fee=7, commitment=THIRD.public),
    ]
    assert outcomes(chain, (ALICE, np.concatenate(rows))) == [Outcome.APPLIED] * 3
    assert outcomes(chain, (ALICE, chain.transfer(alice, bob, 1))) == [Outcome.BAD_SIGNATURE]
    rotated = Quorum(ALICE_ID, {0: THIRD})
    assert outcomes(chain, (rotated, chain.transfer(alice, bob, 1))) == [Outcome.APPLIED]
    for restart in (False, True):
        if restart:
            chain.reopen()
        again = [build_receipt(chain.engine.prove(id_of(row[0], "id"))) for row in (first, paid)]
        assert [render_receipt(receipt) for receipt in again] == files
    twice = msgspec.structs.replace(two.signed, signatures=(two.signed.signatures[0],) * 2)
    with pytest.raises(ProofError, match="each once"):
        verify_receipt(render_receipt(msgspec.structs.replace(two, signed=twice)))


def test_an_authority_of_a_secp256k1_key(chain: ChainWorld) -> None:
    _, bob = chain.fund()
    opened, account = chain.scribe.open(2, SECOND)
    assert outcomes(chain, (BANK, np.concatenate([chain.scribe.register(SECOND), opened]))) == [0, 0]
    assert outcomes(chain, (BOB, chain.transfer(bob, account, 50))) == [Outcome.APPLIED]
    paid = chain.transfer(account, bob, 20)
    assert outcomes(chain, (SECOND, paid)) == [Outcome.APPLIED]
    receipt = verify_receipt(render_receipt(build_receipt(chain.engine.prove(id_of(paid[0], "id")))))
    assert receipt.signed.signatures[0].scheme == SCHEME_SECP256K1
    order = chain.order((SECOND, chain.transfer(account, bob, 20)))
    order.authorisations["scheme"] = 1
    block = chain.engine.submit([attest(chain.network, replace(order, signature=b""), GATEWAY)])
    assert block.receipts["outcome"].tolist() == [Outcome.BAD_SIGNATURE]


def back(chain: ChainWorld, paid: RecordArray, amount: int, **fields: Any) -> RecordArray:
    way = {"debtor": id_of(paid[0], "creditor"), "creditor": id_of(paid[0], "debtor")}
    given = {"related": id_of(paid[0], "id"), "amount": amount} | way | fields
    return record(Kind.REVERSE, id=chain.scribe.new_id(), **given)


def test_a_payment_is_paid_back_up_to_what_it_was_and_replays(chain: ChainWorld) -> None:
    alice, bob = chain.fund()
    paid = chain.transfer(alice, bob, 100)
    at_once = back(chain, paid, 1)
    assert outcomes(chain, (ALICE, paid), (BOB, at_once)) == [Outcome.APPLIED, Outcome.ORIGINAL_UNKNOWN]
    part, rest, more = (back(chain, paid, amount) for amount in (60, 40, 1))
    assert outcomes(chain, (BOB, np.concatenate([part, rest, more]))) == [0, 0, Outcome.ABOVE_ORIGINAL]
    assert outcomes(chain, (BOB, part)) == [Outcome.EXISTS]
    assert outcomes(chain, (BOB, back(chain, part, 1))) == [Outcome.ORIGINAL_UNKNOWN], "not a payment"
    stranger = back(chain, paid, 1, creditor=bob, debtor=alice)
    assert outcomes(chain, (ALICE, stranger)) == [Outcome.ORIGINAL_UNKNOWN], "the other way"
    before = chain.balances()
    chain.reopen()
    assert chain.balances() == before
    assert outcomes(chain, (BOB, back(chain, paid, 1))) == [Outcome.ABOVE_ORIGINAL]


def test_of_two_payments_under_one_id_the_one_between_these_accounts_is_meant(chain: ChainWorld) -> None:
    alice, bob = chain.fund()
    paid = chain.transfer(alice, bob, 100)
    decoy = chain.transfer(bob, alice, 900, id=id_of(paid[0], "id"))
    assert outcomes(chain, (BOB, decoy), (ALICE, paid)) == [Outcome.APPLIED] * 2
    assert outcomes(chain, (BOB, back(chain, paid, 101))) == [Outcome.ABOVE_ORIGINAL]
    assert outcomes(chain, (BOB, back(chain, paid, 100))) == [Outcome.APPLIED]
    assert outcomes(chain, (ALICE, back(chain, decoy, 900))) == [Outcome.APPLIED]
