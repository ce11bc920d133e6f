"""Receipt files: they verify offline, open what they should, and break at any changed bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bezant.chain.anchors import trust_statement
from bezant.chain.leaves import account_seed, blind_of, build_leaves, side_commitment
from bezant.chain.readings import decided
from bezant.chain.receipts import Receipt, build_receipt, render_receipt, verify_receipt
from bezant.errors import ProofError
from bezant.ledger.state import ACCOUNT
from bezant.model.digest import as_rows
from bezant.model.identifiers import render_id
from bezant.model.keys import SigningKey
from bezant.model.outcomes import Outcome
from bezant.model.records import DECISION, NO_ROW, RECEIPT, Kind, id_of
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE, BANK, BOB, NODE, record, seeded_key


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainWorld]:
    world = ChainWorld(tmp_path_factory.mktemp("chain") / "data", segment_bytes=1024 * 1024)
    yield world
    world.engine.close()


@pytest.fixture(scope="module")
def parties(chain: ChainWorld) -> tuple[int, int]:
    return chain.fund()


@pytest.fixture(scope="module")
def alone(chain: ChainWorld, parties: tuple[int, int]) -> int:
    """The id of a payment that its payer signed alone."""
    block = chain.submit((ALICE, chain.transfer(*parties, 1234)))
    return id_of(block.records[0], "id")


@pytest.fixture(scope="module")
def among_many(chain: ChainWorld, parties: tuple[int, int]) -> int:
    """The id of a payment under one signature over 1,000."""
    rows = np.concatenate([chain.transfer(*parties, 1 + n) for n in range(1000)])
    block = chain.submit((BANK, rows))
    assert not block.receipts["outcome"].any()
    return id_of(block.records[617], "id")


def file_of(chain: ChainWorld, payment: int, **opened: bool) -> bytes:
    return render_receipt(build_receipt(chain.engine.prove(payment), **opened))


@pytest.mark.parametrize("payment", ["alone", "among_many"])
def test_a_receipt_verifies(chain: ChainWorld, payment: str, request: pytest.FixtureRequest) -> None:
    data = file_of(chain, request.getfixturevalue(payment))
    receipt = verify_receipt(data, genesis_hash=chain.network.hex())
    assert receipt.summary.outcome == "applied"
    assert receipt.summary.signed_by == ("self" if payment == "alone" else "institution")
    assert receipt.summary.amount == ("12.34" if payment == "alone" else "6.18")
    assert receipt.debtor_side is None
    assert receipt.creditor_side is None


@pytest.mark.parametrize("payment", ["alone", "among_many"])
def test_a_changed_bit_anywhere_is_noticed(
    chain: ChainWorld, payment: str, request: pytest.FixtureRequest
) -> None:
    """Every byte of the file, a different bit each; balances of both sides are open in it."""
    identity = request.getfixturevalue(payment)
    data = file_of(chain, identity, open_debtor=True, open_creditor=True)
    verify_receipt(data)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises(ProofError):
            verify_receipt(bytes(changed))


def test_every_truncation_and_addition_is_noticed(chain: ChainWorld, alone: int) -> None:
    data = file_of(chain, alone)
    for end in range(len(data)):
        with pytest.raises(ProofError):
            verify_receipt(data[:end])
    for added in (data + b" ", data + b"\n", b" " + data, data + data, b""):
        with pytest.raises(ProofError):
            verify_receipt(added)


def test_a_genesis_that_is_not_trusted_is_refused(chain: ChainWorld, alone: int) -> None:
    data = file_of(chain, alone)
    with pytest.raises(ProofError, match="not to the one you trust"):
        verify_receipt(data, genesis_hash="00" * 32)
    assert verify_receipt(data, genesis_hash=chain.network.hex().upper()).summary.block == 4


def test_the_trust_statement_names_what_it_rests_on(chain: ChainWorld) -> None:
    assert "trusts the node key" in trust_statement(None)
    assert "inside the file" in trust_statement(None)
    assert "the genesis you named" in trust_statement(chain.network.hex())


def test_opened_sides_show_the_balances_after_the_payment(
    chain: ChainWorld, parties: tuple[int, int]
) -> None:
    block = chain.submit((ALICE, chain.transfer(*parties, 77)))
    identity = id_of(block.records[0], "id")
    receipt = verify_receipt(file_of(chain, identity, open_debtor=True, open_creditor=True))
    for side, account, name in (
        (receipt.debtor_side, parties[0], "debtor_side"),
        (receipt.creditor_side, parties[1], "creditor_side"),
    ):
        assert side is not None
        assert side.account == render_id(account)
        assert bytes.fromhex(side.counters) == block.receipts[0][name].tobytes()
    one = verify_receipt(file_of(chain, identity, open_creditor=True))
    assert one.debtor_side is None
    assert receipt.debtor_side is not None
    assert receipt.debtor_side.blind not in render_receipt(one).decode()


def changed(receipt: Receipt, **fields: object) -> bytes:
    return render_receipt(msgspec.structs.replace(receipt, **fields))


def resealed(receipt: Receipt, key: SigningKey) -> bytes:
    """Seal the same block with another node's key, as whoever forges a history would."""
    from bezant.chain.leaves import seal_message
    from bezant.model.genesis import network_id

    summary = receipt.summary
    message = seal_message(
        network_id(receipt.genesis),
        summary.block,
        summary.time_ns,
        receipt.leaf_count,
        bytes.fromhex(receipt.app_hash),
    )
    seal = msgspec.structs.replace(receipt.seal, key=key.public.hex(), signature=key.sign(message).hex())
    return changed(receipt, seal=seal)


def test_an_opened_decision_is_the_one_that_was_ordered(chain: ChainWorld, parties: tuple[int, int]) -> None:
    block = chain.submit((ALICE, chain.transfer(*parties, 78)), (ALICE, chain.transfer(*parties, 79)))
    identity = id_of(block.records[0], "id")
    receipt = verify_receipt(file_of(chain, identity, open_decision=True))
    assert bytes.fromhex(receipt.decision) == block.decisions[0].tobytes()
    assert decided(verify_receipt(file_of(chain, identity))) is None
    other = block.decisions[0].copy()
    other["model"][0] ^= 1
    for forged in (other.tobytes().hex(), receipt.decision[:-2], "00" * 64 + "zz"):
        with pytest.raises(ProofError) as caught:
            verify_receipt(changed(receipt, decision=forged))
        assert caught.value.param == "decision"


FORGERIES: dict[str, Callable[[Receipt], bytes]] = {
    "another block": lambda r: changed(r, summary=msgspec.structs.replace(r.summary, block=5)),
    "negative block": lambda r: changed(r, summary=msgspec.structs.replace(r.summary, block=-1)),
    "huge block": lambda r: changed(r, summary=msgspec.structs.replace(r.summary, block=2**64)),
    "another time": lambda r: changed(r, summary=msgspec.structs.replace(r.summary, time_ns=1)),
    "another amount": lambda r: changed(r, summary=msgspec.structs.replace(r.summary, amount="99.00")),
    "another leaf count": lambda r: changed(r, leaf_count=r.leaf_count + 1),
    "another leaf index": lambda r: changed(r, leaf_index=r.leaf_index ^ 1),
    "negative leaf index": lambda r: changed(r, leaf_index=-1),
    "huge leaf count": lambda r: changed(r, leaf_count=2**63),
    "longer path": lambda r: changed(r, leaf_path=(*r.leaf_path, "00" * 32)),
    "another index": lambda r: changed(r, signed=msgspec.structs.replace(r.signed, index=1)),
    "another count": lambda r: changed(r, signed=msgspec.structs.replace(r.signed, count=2)),
    "no count": lambda r: changed(r, signed=msgspec.structs.replace(r.signed, count=0)),
    "stranger's seal": lambda r: resealed(r, seeded_key("a stranger")),
    "capitals": lambda r: changed(r, app_hash=r.app_hash.upper()),
    "no genesis sealers": lambda r: changed(r, genesis=msgspec.structs.replace(r.genesis, sealers=())),
    "another engine": lambda r: changed(r, engine="cometbft"),
    "another format": lambda r: changed(r, bezant_receipt=2),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_receipt_is_refused(chain: ChainWorld, alone: int, forgery: str) -> None:
    receipt = verify_receipt(file_of(chain, alone))
    assert verify_receipt(resealed(receipt, NODE)) == receipt, "the forger's tools work"
    with pytest.raises(ProofError):
        verify_receipt(FORGERIES[forgery](receipt))


def test_a_proof_of_one_record_does_not_fit_another(chain: ChainWorld, parties: tuple[int, int]) -> None:
    rows = np.concatenate([chain.transfer(*parties, n) for n in (5, 6)])
    block = chain.submit((ALICE, rows))
    one, other = (verify_receipt(file_of(chain, id_of(row, "id"))) for row in block.records)
    for mixed in (
        msgspec.structs.replace(one, signed=other.signed),
        msgspec.structs.replace(one, leaf=other.leaf),
        msgspec.structs.replace(one, leaf=other.leaf, leaf_index=1, leaf_path=other.leaf_path),
        msgspec.structs.replace(one, summary=other.summary),
    ):
        with pytest.raises(ProofError):
            verify_receipt(render_receipt(mixed))


def test_refusals_holds_and_commands_have_receipts_too(chain: ChainWorld, parties: tuple[int, int]) -> None:
    debtor, creditor = parties
    hold = record(
        Kind.HOLD, id=chain.scribe.new_id(), debtor=debtor, creditor=creditor, amount=9, hold_for_s=600
    )
    opened, _ = chain.scribe.open(2, BOB, salt=3)
    block = chain.submit(
        (ALICE, np.concatenate([chain.transfer(debtor, creditor, 10**12), hold])), (BANK, opened)
    )
    outcomes = [Outcome.INSUFFICIENT_FUNDS, Outcome.HELD, Outcome.APPLIED]
    assert block.receipts["outcome"].tolist() == outcomes
    for row, outcome in zip(block.records, outcomes, strict=True):
        data = file_of(chain, id_of(row, "id"), open_debtor=True, open_creditor=True)
        receipt = verify_receipt(data, genesis_hash=chain.network.hex())
        assert receipt.summary.outcome == outcome.label
        assert (receipt.debtor_side is None) == (outcome is Outcome.INSUFFICIENT_FUNDS)


def test_a_receipt_is_the_same_after_a_restart(chain: ChainWorld, alone: int, among_many: int) -> None:
    before = [file_of(chain, payment, open_debtor=True) for payment in (alone, among_many)]
    chain.reopen()
    assert [file_of(chain, payment, open_debtor=True) for payment in (alone, among_many)] == before


def test_another_seed_opens_nothing(chain: ChainWorld, alone: int) -> None:
    evidence = replace(chain.engine.prove(alone), debtor_seed=bytes(32))
    with pytest.raises(ProofError, match="not the ones committed to"):
        verify_receipt(render_receipt(build_receipt(evidence, open_debtor=True)))


def test_nonsense_is_no_receipt(tmp_path: Path) -> None:
    for data in (b"{}", b"[" * 100_000, b"\xff\xfe", b"null", b'{"bezant_receipt":1}', b"1" * 10_000):
        with pytest.raises(ProofError):
            verify_receipt(data)


def test_making_leaves_leaves_the_receipts_alone() -> None:
    """A block with nothing but one hold that expired: its only receipt keeps its id."""
    receipts = np.zeros(1, RECEIPT)
    receipts["id_hi"], receipts["debtor_row"], receipts["creditor_row"] = 0x7ABC, NO_ROW, NO_ROW
    before = receipts.tobytes()
    build_leaves(
        receipts, np.zeros((0, 32), np.uint8), np.zeros(0, DECISION), bytes(32), np.zeros(1, ACCOUNT)
    )
    assert receipts.tobytes() == before


@pytest.mark.parametrize("count", [1, 4, 5, 16, 37])
def test_sides_are_what_their_holders_can_make_again(count: int) -> None:
    """In blocks of any size, zeros where there is no account; none fills what the one beside it left."""
    random = np.random.default_rng(count)
    receipts, accounts, seed = np.zeros(count, RECEIPT), np.zeros(9, ACCOUNT), random.bytes(32)
    as_rows(accounts)[:] = random.integers(0, 256, (9, ACCOUNT.itemsize))
    as_rows(receipts)[:] = random.integers(0, 256, (count, RECEIPT.itemsize))
    for side in ("debtor", "creditor"):
        rows = random.integers(0, 9, count)
        receipts[f"{side}_row"] = np.where(random.random(count) < 0.3, NO_ROW, rows)
    hashes, decisions = np.zeros((count, 32), np.uint8), np.zeros(count, DECISION)
    leaves = build_leaves(receipts, hashes, decisions, seed, accounts)
    for receipt, leaf in zip(receipts, leaves, strict=True):
        for side in ("debtor", "creditor"):
            row, expected = int(receipt[f"{side}_row"]), bytes(32)
            if row != NO_ROW:
                account = id_of(accounts[row], "id")
                blind = blind_of(account_seed(seed, account), id_of(receipt, "id"))
                expected = side_commitment(blind, account, receipt[f"{side}_side"].tobytes())
            assert leaf[f"{side}_side"].tobytes() == expected
