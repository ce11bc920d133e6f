"""Balance files: they verify offline, and break at any changed bit."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from bezant.chain.balances import build_balance, render_balance, verify_balance
from bezant.chain.leaves import account_seed
from bezant.chain.state_tree import state_blind
from bezant.errors import NotFound, ProofError
from bezant.model.identifiers import render_id
from bezant.testing.chains import LEDGER_SEED, ChainWorld
from bezant.testing.ledgers import ALICE


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainWorld]:
    world = ChainWorld(tmp_path_factory.mktemp("chain") / "data", segment_bytes=1024 * 1024)
    yield world
    world.engine.close()


@pytest.fixture(scope="module")
def alice(chain: ChainWorld) -> int:
    alice, bob = chain.fund(100_000)
    chain.submit((ALICE, chain.transfer(alice, bob, 1234)))
    return alice


def file_of(chain: ChainWorld, account: int) -> bytes:
    return render_balance(build_balance(chain.engine.prove_account(account)))


def test_a_balance_verifies(chain: ChainWorld, alice: int) -> None:
    found = verify_balance(file_of(chain, alice), genesis_hash=chain.network.hex())
    assert (found.summary.account, found.summary.balance) == (render_id(alice), "987.66")
    assert (found.summary.debits_posted, found.summary.credits_posted) == ("12.34", "1000.00")
    assert found.anchor.block == found.summary.after_block + 1
    assert bytes.fromhex(found.blind) == state_blind(LEDGER_SEED, alice)
    assert account_seed(LEDGER_SEED, alice).hex() not in file_of(chain, alice).decode(), (
        "one leaf opens, no more"
    )


def test_every_account_verifies(chain: ChainWorld, alice: int) -> None:
    for row in chain.engine.ledger.accounts:
        identity = int(row["id_hi"]) << 64 | int(row["id_lo"])
        verify_balance(file_of(chain, identity))


def test_a_changed_bit_anywhere_is_noticed(chain: ChainWorld, alice: int) -> None:
    data = file_of(chain, alice)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 7
        with pytest.raises(ProofError):
            verify_balance(bytes(changed), genesis_hash=chain.network.hex())


def test_what_is_said_again_in_other_words_is_noticed(chain: ChainWorld, alice: int) -> None:
    found = verify_balance(file_of(chain, alice))
    for changes in (
        {"position": found.position + 1},
        {"accounts": found.accounts + 1},
        {"accounts": -1},
        {"accounts": 2**64 + found.accounts},
        {"path": found.path[:-1]},
        {"tables": "00" * 32},
        {"summary": msgspec.structs.replace(found.summary, balance="1.00")},
        {"summary": msgspec.structs.replace(found.summary, after_block=1)},
        {"summary": msgspec.structs.replace(found.summary, after_block=found.summary.after_block + 2**64)},
        {"anchor": msgspec.structs.replace(found.anchor, block=found.anchor.block + 1)},
        {"anchor": msgspec.structs.replace(found.anchor, leaf_count=found.anchor.leaf_count + 1)},
    ):
        with pytest.raises(ProofError):
            verify_balance(render_balance(msgspec.structs.replace(found, **changes)))


def test_a_balance_moves_on_when_the_chain_covers_more(chain: ChainWorld, alice: int) -> None:
    before = verify_balance(file_of(chain, alice))
    chain.submit((ALICE, chain.transfer(alice, alice ^ 1, 1)))
    assert verify_balance(file_of(chain, alice)) == before, "the covered state is proved until another is"
    chain.engine.cover_state()
    assert verify_balance(file_of(chain, alice)).summary.after_block > before.summary.after_block


def test_an_unknown_account_has_none(chain: ChainWorld) -> None:
    with pytest.raises(NotFound):
        chain.engine.prove_account(12345)


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100_000, b"\xff", b'{"bezant_balance": 1}'])
def test_nonsense_is_refused(data: bytes) -> None:
    with pytest.raises(ProofError):
        verify_balance(data)
