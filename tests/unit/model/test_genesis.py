from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bezant.errors import DecodeError
from bezant.model.genesis import (
    MAX_POWER,
    MAX_UNIT,
    Genesis,
    GenesisAsset,
    GenesisValidator,
    Rules,
    Stake,
    decode_genesis,
    encode_genesis,
    network_id,
)
from bezant.testing.ledgers import small_genesis


def spoiled(**fields: Any) -> bytes:
    return encode_genesis(msgspec.structs.replace(small_genesis(), **fields))


def test_a_genesis_comes_back_with_its_id() -> None:
    genesis = small_genesis()
    data = encode_genesis(genesis)
    assert decode_genesis(data) == genesis
    assert network_id(genesis) == network_id(decode_genesis(data))
    assert len(network_id(genesis)) == 32


def test_every_field_is_in_the_id() -> None:
    genesis = small_genesis()
    changed = [
        spoiled(network="other"),
        spoiled(created_ms=1),
        spoiled(rules=Rules(id_window_s=599)),
        spoiled(gateways=(*genesis.gateways, "00" * 32)),
        spoiled(sealers=(*genesis.sealers, "00" * 32)),
        spoiled(assets=genesis.assets[:1]),
    ]
    ids = {network_id(decode_genesis(data)) for data in changed}
    assert len(ids | {network_id(genesis)}) == len(changed) + 1


def test_every_truncation_and_changed_bit_is_refused_or_another_network() -> None:
    data = encode_genesis(small_genesis())
    for end in range(len(data)):
        with pytest.raises(DecodeError):
            decode_genesis(data[:end])
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        try:
            other = decode_genesis(bytes(changed))
        except DecodeError:
            continue
        assert network_id(other) != network_id(small_genesis())


@pytest.mark.parametrize("data", [b" {}", b"null", b"[" * 100_000, b"\xff", b'{"\xff":1}', b""])
def test_nonsense_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_genesis(data)


def test_only_the_canonical_form_is_taken() -> None:
    data = encode_genesis(small_genesis())
    for other in (
        data + b" ",
        b" " + data,
        data.replace(b":", b": ", 1),
        msgspec.json.format(data, indent=1),
    ):
        with pytest.raises(DecodeError, match="genesis"):
            decode_genesis(other)


A, B = small_genesis().assets
ONE, TWO = small_genesis().institutions
REPLACE = msgspec.structs.replace
VALIDATOR = GenesisValidator("ab" * 32, 10, 1)
STAKE = Stake(asset=1, unit=10)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"version": 2}, "version"),
        ({"rules": Rules(version=2)}, "version"),
        ({"assets": ()}, "numbered"),
        ({"assets": (B, A)}, "numbered"),
        ({"assets": (A, REPLACE(A, number=2))}, "share a code"),
        ({"assets": (REPLACE(A, code="eur"),)}, "capitals"),
        ({"assets": (REPLACE(A, code=""),)}, "capitals"),
        ({"assets": (REPLACE(A, code="ÄUR"),)}, "capitals"),
        ({"assets": (REPLACE(A, code="LONGCODE9"),)}, "characters"),
        ({"assets": (REPLACE(A, scale=10),)}, "scale"),
        ({"assets": (REPLACE(A, scale=-1),)}, "scale"),
        ({"assets": (REPLACE(A, issuer=3),)}, "does not exist"),
        ({"assets": (REPLACE(A, issuer=0),)}, "does not exist"),
        ({"institutions": (TWO, ONE)}, "numbered"),
        ({"institutions": (ONE, REPLACE(TWO, key=ONE.key))}, "key each"),
        ({"gateways": (ONE.key,)}, "key each"),
        ({"gateways": ()}, "at least one"),
        ({"sealers": ()}, "at least one"),
        ({"gateways": ("00" * 31,)}, "64 lower-case"),
        ({"sealers": ("AB" * 32,)}, "64 lower-case"),
        ({"rules": Rules(id_window_s=0)}, "id_window_s"),
        ({"rules": Rules(id_window_s=604_801)}, "id_window_s"),
        ({"rules": Rules(id_future_s=-1)}, "id_future_s"),
        ({"rules": Rules(review_for_s=0)}, "positive"),
        ({"rules": Rules(review_for_s=2**32)}, "positive"),
        ({"rules": Rules(checkpoint_interval=0)}, "positive"),
        ({"rules": Rules(max_live_ids=0)}, "positive"),
        ({"validators": (VALIDATOR, VALIDATOR)}, "a key each"),
        ({"validators": (REPLACE(VALIDATOR, key="x"),)}, "64 lower-case"),
        ({"validators": (REPLACE(VALIDATOR, power=0),)}, "power is 1"),
        ({"validators": (REPLACE(VALIDATOR, power=MAX_POWER + 1),)}, "power is 1"),
        ({"validators": (REPLACE(VALIDATOR, institution=3),)}, "does not exist"),
        ({"validators": (REPLACE(VALIDATOR, institution=0),)}, "does not exist"),
        ({"stake": REPLACE(STAKE, asset=3)}, "does not exist"),
        ({"stake": REPLACE(STAKE, unit=0)}, "a vote takes"),
        ({"stake": REPLACE(STAKE, unit=MAX_UNIT + 1)}, "a vote takes"),
        ({"stake": REPLACE(STAKE, unbonding_s=0)}, "unbonding_s"),
        ({"stake": REPLACE(STAKE, jail_s=2**32)}, "jail_s"),
        ({"stake": REPLACE(STAKE, away_blocks=0)}, "away_blocks"),
        ({"stake": REPLACE(STAKE, slash_ppm=1_000_001)}, "slash_ppm"),
        ({"stake": REPLACE(STAKE, least_bond=2**53)}, "least_bond"),
        ({"stake": REPLACE(STAKE, least_bond=-1)}, "least_bond"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(DecodeError, match=problem) as caught:
        decode_genesis(spoiled(**fields))
    assert caught.value.code == "genesis_invalid"


def test_a_ledger_without_a_network_keeps_the_id_it_had() -> None:
    assert b"validators" not in encode_genesis(small_genesis())
    network = REPLACE(small_genesis(), validators=(VALIDATOR,))
    assert decode_genesis(encode_genesis(network)) == network
    assert network_id(network) != network_id(small_genesis())


def test_looking_up() -> None:
    genesis: Genesis = small_genesis()
    assert (genesis.asset("JPY").number, genesis.asset("JPY").scale) == (2, 0)
    with pytest.raises(KeyError):
        genesis.asset("USD")
    assert GenesisAsset(1, "EUR", 2, 1) == genesis.assets[0]


def test_a_least_bond_is_part_of_the_bytes_only_where_there_is_one() -> None:
    plain, asking = (small_genesis(stake=REPLACE(STAKE, least_bond=least)) for least in (0, 7))
    assert b"least_bond" not in encode_genesis(plain)
    assert encode_genesis(plain).endswith(
        b'"stake":{"asset":1,"unit":10,"unbonding_s":172800,"slash_ppm":50000,"jail_s":600,"away_blocks":500}}'
    )
    assert b'"away_blocks":500,"least_bond":7}' in encode_genesis(asking)
    for genesis in (plain, asking):
        assert decode_genesis(encode_genesis(genesis)) == genesis
    written = encode_genesis(asking).replace(b'"least_bond":7', b'"least_bond":0')
    with pytest.raises(DecodeError, match="canonical"):
        decode_genesis(written)
