"""Finality of blocks, on commits that CometBFT v0.38.25 made: four validators, two changes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bezant.chain import finality
from bezant.chain.cometbft.headers import nanoseconds, signed_header, validator
from bezant.chain.finality import Finality, Signed, SignedHeader, Validator, check_finality
from bezant.errors import DecodeError, ProofError
from bezant.testing.altered import altered
from bezant.testing.validators import Validators

TOLD = json.loads((Path(__file__).parents[2] / "conformance/golden/cometbft_commits.json").read_text())
CHAIN = TOLD["genesis"]["chain_id"]
GENESIS = [validator(one) for one in TOLD["genesis"]["validators"]]
PAID = int(TOLD["paid"])


def at(height: int) -> SignedHeader:
    return signed_header(TOLD["commits"][str(height)], TOLD["validators"][str(height)])


CHANGES = tuple(at(h) for h in sorted(map(int, TOLD["commits"])) if h < PAID)
PROOF = Finality(CHANGES, at(PAID).fields, at(PAID + 1))
TIME_NS = nanoseconds(TOLD["commits"][str(PAID)]["header"]["time"])
PREVIOUS, APP_HASH = (bytes.fromhex(TOLD["commits"][str(h)]["header"]["app_hash"]) for h in (PAID, PAID + 1))


def check(proof: Finality = PROOF, **otherwise: Any) -> Signed:
    given: dict[str, Any] = {"height": PAID, "time_ns": TIME_NS, "previous": PREVIOUS, "app_hash": APP_HASH}
    given |= otherwise
    return check_finality(proof, given.pop("genesis", GENESIS), given.pop("chain", CHAIN), **given)


def test_the_recorded_block_is_final_through_two_changes_of_validators() -> None:
    signed = check()
    assert (signed.changes, signed.validators, signed.total) == (2, 3, 7)
    assert 3 * signed.power > 2 * signed.total


def test_hashes_are_those_of_the_engine() -> None:
    for told in TOLD["commits"].values():
        header = signed_header(told, [])
        fields = [bytes.fromhex(field) for field in header.fields]
        assert finality.header_hash(fields).hex().upper() == told["commit"]["block_id"]["hash"]
        told_validators = TOLD["validators"][told["header"]["height"]]
        hashed = finality.validators_hash([validator(one) for one in told_validators])
        assert hashed.hex().upper() == told["header"]["validators_hash"]


@pytest.mark.parametrize(
    "otherwise",
    [
        {"height": PAID - 1},
        {"height": PAID + 1},
        {"time_ns": TIME_NS + 1},
        {"app_hash": bytes(32)},
        {"previous": bytes(32)},
        {"previous": APP_HASH},
        {"chain": CHAIN + "x"},
        {"genesis": GENESIS[:3]},
        {"genesis": [Validator(GENESIS[0].key, 2), *GENESIS[1:]]},
    ],
    ids=lambda given: next(iter(given)),
)
def test_another_block_chain_or_genesis_is_refused(otherwise: dict[str, Any]) -> None:
    with pytest.raises(ProofError):
        check(**otherwise)


def test_no_change_of_validators_may_be_left_out_or_come_twice() -> None:
    for changes in ((), CHANGES[:1], CHANGES[1:], CHANGES[::-1], (CHANGES[0], *CHANGES)):
        with pytest.raises(ProofError):
            check(msgspec.structs.replace(PROOF, changes=changes))


def test_whatever_is_changed_is_noticed() -> None:
    tried = 0
    for changed in altered(json.loads(msgspec.json.encode(PROOF))):
        tried += 1
        with pytest.raises((ProofError, msgspec.ValidationError)):
            check(msgspec.convert(changed, Finality))
    assert tried > 500


# A network of our own, so that who signs can be chosen.


NAME = finality.chain_id(bytes(32))
OWN = Validators()
GIVEN: Any = {"height": 5, "time_ns": 1_000, "previous": bytes(32), "app_hash": b"a" * 32}


def check_own(proof: Finality) -> Signed:
    return check_finality(proof, OWN.members, NAME, **GIVEN)


def own_proof(signers: int | None = None, **more: Any) -> Finality:
    return OWN.finality(NAME, 5, 1_000, b"a" * 32, signers=signers, **more)


def test_more_than_two_thirds_have_to_sign() -> None:
    assert check_own(own_proof(3)).power == 3
    assert check_own(own_proof()).power == 4
    for few in (0, 1, 2):
        with pytest.raises(ProofError, match="two thirds"):
            check_own(own_proof(few))


def test_power_counts_and_not_heads() -> None:
    heavy = Validators((10, 1, 1, 1))
    proof = heavy.finality(NAME, 5, 1_000, b"a" * 32, signers=1)
    assert check_finality(proof, heavy.members, NAME, **GIVEN).power == 10
    exactly = Validators((2, 1))
    proof = exactly.finality(NAME, 5, 1_000, b"a" * 32, signers=1)
    with pytest.raises(ProofError, match="2 of 3 votes"):
        check_finality(proof, exactly.members, NAME, **GIVEN)


def test_one_validator_cannot_sign_for_another() -> None:
    one = OWN.keys()[0]
    with pytest.raises(ProofError, match="signature"):
        check_own(own_proof(keys=[one] * 4))


def test_a_validator_named_twice_does_not_count_twice() -> None:
    proof = own_proof()
    first, second, third, _ = proof.after.validators
    vote = proof.after.votes[0]
    doubled = msgspec.structs.replace(
        proof.after, validators=(first, first, second, third), votes=(vote, vote, None, None)
    )
    with pytest.raises(ProofError, match="twice"):
        check_own(msgspec.structs.replace(proof, after=doubled))


def test_validators_who_were_handed_nothing_cannot_vote() -> None:
    others = Validators(name="other")
    forged = others.finality(NAME, 5, 1_000, b"a" * 32)
    with pytest.raises(ProofError, match="not the validators"):
        check_own(forged)
    taken = others.hand_over(NAME, 3, others)
    with pytest.raises(ProofError, match="not the validators"):
        check_own(others.finality(NAME, 5, 1_000, b"a" * 32, changes=[taken]))
    handed = OWN.hand_over(NAME, 3, others)
    assert check_own(others.finality(NAME, 5, 1_000, b"a" * 32, changes=[handed])).changes == 1
    with pytest.raises(ProofError, match="not the validators"):
        check_own(OWN.finality(NAME, 5, 1_000, b"a" * 32, changes=[handed]))


def test_a_vote_that_does_not_verify_is_left_out_and_spoils_nothing() -> None:
    sound = own_proof()
    first, *others = sound.after.votes
    assert first is not None
    spoiled = msgspec.structs.replace(first, signature="00" * 64)
    after = msgspec.structs.replace(sound.after, votes=(spoiled, *others))
    with pytest.raises(ProofError, match="signature"):
        check_own(msgspec.structs.replace(sound, after=after))
    kept = finality.drop_invalid_votes(after, NAME)
    assert kept.votes == (None, *others)
    assert check_own(msgspec.structs.replace(sound, after=kept)).power == 3
    assert finality.drop_invalid_votes(sound.after, NAME) == sound.after


@pytest.mark.parametrize("told", [{}, {"commit": {}}, {"commit": None, "header": 3}])
def test_what_the_engine_does_not_say_is_a_clear_error(told: dict[str, Any]) -> None:
    with pytest.raises(DecodeError, match="does not parse"):
        signed_header(told, [])


def test_times_keep_their_nanoseconds() -> None:
    assert nanoseconds("1970-01-01T00:00:01.5Z") == 1_500_000_000
    assert nanoseconds("2026-11-28T22:05:54.670258566Z") % 10**9 == 670_258_566
