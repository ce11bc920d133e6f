"""Receipts of a network of validators: both verifiers say yes and no to the same files."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bezant.chain import finality
from bezant.chain.anchors import trust_statement
from bezant.chain.finality import Finality
from bezant.chain.receipts import Evidence, Receipt, build_receipt, render_receipt, verify_receipt
from bezant.errors import ProofError
from bezant.model.records import id_of
from bezant.testing.altered import altered
from bezant.testing.chains import ChainWorld
from bezant.testing.ledgers import ALICE, small_genesis
from bezant.testing.validators import Validators

from .test_verify_receipt import auditor_says, package_says, votes

FIRST, SECOND = Validators((1, 1, 1, 1)), Validators((5, 1, 1), name="second")


class Network:
    """A chain whose genesis names validators; its blocks are final by votes made by hand."""

    def __init__(self, folder: Path) -> None:
        genesis = msgspec.structs.replace(small_genesis(), validators=FIRST.granted())
        self.chain = ChainWorld(folder / "data", genesis=genesis, segment_bytes=1024 * 1024)
        self.name = finality.chain_id(self.chain.network)
        alice, bob = self.chain.fund()
        block = self.chain.submit((ALICE, self.chain.transfer(alice, bob, 1234)))
        self.evidence = self.chain.engine.prove(id_of(block.records[0], "id"))
        self.change = FIRST.hand_over(self.name, 2, SECOND)

    @property
    def trust(self) -> str:
        return self.chain.network.hex()

    def final(self, by: Validators = FIRST, **more: Any) -> Finality:
        at = self.evidence
        return by.finality(
            self.name, at.height, at.time_ns, at.app_hash, previous=at.previous_app_hash, **more
        )

    def file(self, proof: Finality | None, evidence: Evidence | None = None) -> bytes:
        made = build_receipt(replace(evidence or self.evidence, finality=proof), open_debtor=True)
        return render_receipt(made)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    made = Network(tmp_path_factory.mktemp("network"))
    yield made
    made.chain.engine.close()


def both_say(data: bytes, trust: str) -> bool:
    package, auditor = package_says(data, trust), auditor_says(data, trust)
    assert package is auditor
    return package


def test_a_receipt_rests_on_votes_through_a_change_of_validators(network: Network) -> None:
    plain = network.file(network.final())
    assert both_say(plain, network.trust)
    changed = network.file(network.final(SECOND, changes=[network.change]))
    assert both_say(changed, network.trust)
    assert not both_say(changed, "00" * 32)
    statement = trust_statement(network.trust, finality=verify_receipt(changed).finality)
    assert statement.startswith("BFT: 7 of 7 votes of 3 validators signed, followed through a change of")
    assert json.loads(changed)["engine"] == "cometbft"


def test_forged_votes_are_refused(network: Network) -> None:
    strangers, at = Validators(name="stranger"), network.evidence
    forged = [
        network.final(signers=2),
        network.final(strangers),
        network.final(SECOND),
        network.final(SECOND, signers=0, changes=[network.change]),
        network.final(SECOND, changes=[strangers.hand_over(network.name, 2, SECOND)]),
        network.final(keys=strangers.keys()),
        FIRST.finality(network.name, at.height, at.time_ns, bytes(32), previous=at.previous_app_hash),
        FIRST.finality("bezant-other", at.height, at.time_ns, at.app_hash, previous=at.previous_app_hash),
    ]
    for proof in forged:
        assert not both_say(network.file(proof), network.trust)


def test_a_receipt_is_not_of_the_empty_block_behind_its_own(network: Network) -> None:
    at = network.evidence
    later = replace(at, height=at.height + 1, time_ns=at.time_ns + 3_600_000_000_000)
    votes_for_later = FIRST.finality(
        network.name, later.height, later.time_ns, at.app_hash, previous=at.app_hash
    )
    assert not both_say(network.file(votes_for_later, later), network.trust)


def spelled_otherwise(receipt: Any) -> Iterator[Any]:
    """Yield the receipt with the same votes in other letters, with a blank, or with more beside them."""
    final = receipt["finality"]
    after = final["after"]
    shouted = [text.upper() for text in after["fields"]]
    voters = [{**one, "key": one["key"].upper()} for one in after["validators"]]
    votes_ = [{**one, "signature": one["signature"].upper()} for one in after["votes"]]
    for changed in (
        {"after": after | {"fields": shouted}},
        {"after": after | {"parts_hash": after["parts_hash"].upper()}},
        {"after": after | {"validators": voters}},
        {"after": after | {"validators": [one | {"institution": 1} for one in after["validators"]]}},
        {"after": after | {"votes": votes_}},
        {"header": [final["header"][0][:2] + " " + final["header"][0][2:], *final["header"][1:]]},
    ):
        yield receipt | {"finality": final | changed}


def test_votes_have_one_spelling(network: Network) -> None:
    tried = 0
    for changed in spelled_otherwise(json.loads(network.file(network.final()))):
        tried += 1
        data = json.dumps(changed, indent=1).encode() + b"\n"
        assert not both_say(data, network.trust), changed["finality"]
    assert tried == 6


def test_a_validators_own_seal_does_not_do(network: Network) -> None:
    assert not both_say(network.file(None), network.trust)


def test_votes_do_not_do_where_the_genesis_names_no_validators(network: Network) -> None:
    lone = replace(network.evidence, genesis=small_genesis())
    assert not both_say(network.file(network.final(), lone), "")


def test_both_verifiers_agree_on_whatever_is_changed_in_the_votes(network: Network) -> None:
    receipt = json.loads(network.file(network.final(SECOND, changes=[network.change])))
    chance = random.Random(7)
    changes = list(altered(receipt["finality"]))
    for changed in chance.sample(changes, min(len(changes), 250)):
        data = json.dumps(receipt | {"finality": changed}, indent=1).encode() + b"\n"
        assert not both_say(data, network.trust), changed
    for odd in (None, {}, [], 1, "x"):
        data = json.dumps(receipt | {"finality": odd}, indent=1).encode() + b"\n"
        assert not both_say(data, network.trust)


def test_a_receipt_with_votes_and_a_seal_or_checkpoint_is_refused(network: Network) -> None:
    sealed = build_receipt(network.evidence).seal
    receipt = msgspec.json.decode(network.file(network.final()), type=Receipt)
    both = render_receipt(msgspec.structs.replace(receipt, seal=sealed))
    assert not both_say(both, network.trust)
    with pytest.raises(ProofError, match="proof of theirs"):
        verify_receipt(both)


def test_encodings_of_the_second_verifier_are_the_packages() -> None:
    for value in (0, 1, 127, 128, 300, 2**31, 2**62):
        assert votes.number(value) == finality.varint(value)
        assert votes.time(value) == finality.time_field(value)
    for members in (FIRST.members, SECOND.members, SECOND.members[:1]):
        listed = [{"key": one.key, "power": one.power} for one in members]
        assert votes.set_hash(listed) == finality.validators_hash(members)
