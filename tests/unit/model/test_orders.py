"""Orders as bytes: they come back, and nothing that is cut, changed or hostile is taken for one."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from bezant.chain.signatures import gateway_accepted
from bezant.errors import DecodeError
from bezant.model.digest import as_rows
from bezant.model.keys import authority_id, verify
from bezant.model.merkle import leaf_hashes, path, root_from_path
from bezant.model.orders import (
    HEADER,
    Order,
    attest,
    authorisation_messages,
    authorisation_roots,
    authorise,
    check_shape,
    decode_order,
    encode_order,
    join_authorised,
)
from bezant.model.records import AUTHORISATION, RECORD, Kind, RecordArray, join_rows
from bezant.testing.ledgers import ALICE, BOB, GATEWAY, Scribe, record

NETWORK = bytes(range(32))
GATEWAYS = {authority_id(GATEWAY.public): GATEWAY.public}


def rows(count: int) -> RecordArray:
    scribe = Scribe(NETWORK)
    made = [record(Kind.TRANSFER, id=scribe.new_id(), debtor=1, creditor=2, amount=n) for n in range(count)]
    return np.concatenate(made)


def test_rows_are_joined_in_order_and_with_every_byte() -> None:
    made = rows(7)
    made.view(np.uint8)[:] = np.arange(made.nbytes) % 251

    joined = join_rows([made[:2], made[2:2], made[2:][::2]], RECORD)

    assert joined.dtype == RECORD
    assert joined.tobytes() == made[[0, 1, 2, 4, 6]].tobytes()
    assert not np.shares_memory(joined, made)
    assert join_rows([], RECORD).shape == (0,)


def order(*counts: int) -> Order:
    batch = Scribe(NETWORK).batch(*[((ALICE, BOB)[n % 2], rows(count)) for n, count in enumerate(counts)])
    gateway = authority_id(GATEWAY.public)
    return attest(NETWORK, Order(gateway, batch.authorisations, batch.records, batch.decisions), GATEWAY)


@pytest.mark.parametrize("counts", [(1,), (5,), (1, 1, 1), (3, 1, 4), (1024,)])
def test_an_order_comes_back(counts: tuple[int, ...]) -> None:
    sent = order(*counts)
    data = encode_order(NETWORK, sent)
    read = decode_order(data, NETWORK)
    assert len(read) == sum(counts)
    assert encode_order(NETWORK, read) == data
    assert gateway_accepted(NETWORK, GATEWAYS, read)
    assert decode_order(memoryview(data), NETWORK).records.flags.writeable, "a copy of its own"
    check_shape(read)


def test_every_truncation_and_addition_is_refused() -> None:
    data = encode_order(NETWORK, order(2, 1))
    for end in range(len(data)):
        with pytest.raises(DecodeError):
            decode_order(data[:end], NETWORK)
    with pytest.raises(DecodeError):
        decode_order(data + b"\0", NETWORK)


def test_every_bit_of_the_header_matters() -> None:
    """Decoding refuses it, or, where the gateway's name changes, its signature does not fit any more."""
    data = encode_order(NETWORK, order(2, 1))
    gateway = range(HEADER.fields["gateway_lo"][1], HEADER.fields["network"][1])
    for at in range(HEADER.itemsize):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            if at in gateway:
                assert not gateway_accepted(NETWORK, GATEWAYS, decode_order(bytes(changed), NETWORK))
            else:
                with pytest.raises(DecodeError):
                    decode_order(bytes(changed), NETWORK)


def test_the_gateways_signature_covers_every_byte() -> None:
    data = encode_order(NETWORK, order(1))
    for at in range(HEADER.itemsize, len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        try:
            read = decode_order(bytes(changed), NETWORK)
        except DecodeError:
            continue
        assert not gateway_accepted(NETWORK, GATEWAYS, read), f"byte {at}"


def test_only_what_the_gateway_signed_in_this_process_passes_unverified() -> None:
    made = order(1)
    assert made.attested_by == made.gateway
    assert gateway_accepted(NETWORK, GATEWAYS, made)
    altered = replace(made, signature=bytes(64))
    assert altered.attested_by is None, "a copy"
    assert not gateway_accepted(NETWORK, GATEWAYS, altered)
    assert not gateway_accepted(NETWORK, GATEWAYS, attest(NETWORK, made, ALICE)), "in the gateway's name"
    assert not gateway_accepted(NETWORK, {}, made), "no gateway of this network"


@pytest.mark.parametrize("field", ["authorisations", "records"])
@pytest.mark.parametrize("count", [2**20, 2**31, 2**32 - 1])
def test_hostile_lengths_are_refused_before_anything_is_allocated(field: str, count: int) -> None:
    data = bytearray(encode_order(NETWORK, order(1)))
    header = np.frombuffer(bytes(data[: HEADER.itemsize]), HEADER).copy()
    header[field] = count
    data[: HEADER.itemsize] = header.tobytes()
    tracemalloc.start()
    with pytest.raises(DecodeError):
        decode_order(bytes(data), NETWORK)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("count", [0, 3]),
        ("count", [1, 1]),
        ("count", [2, 2]),
        ("count", [2**32 - 1, 4]),
        ("first", [1, 2]),
        ("first", [0, 0]),
        ("first", [2, 0]),
    ],
)
def test_authorisations_must_cover_every_record_once(field: str, values: list[int]) -> None:
    sent = order(2, 1)
    wrong = sent.authorisations.copy()
    wrong[field] = values
    data = encode_order(NETWORK, Order(sent.gateway, wrong, sent.records, sent.decisions, sent.signature))
    with pytest.raises(DecodeError) as caught:
        decode_order(data, NETWORK)
    assert caught.value.code == "order_coverage"


def test_another_network_is_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        decode_order(encode_order(NETWORK, order(1)), bytes(32))
    assert caught.value.code == "other_network"


@pytest.mark.parametrize("count", [0, 1025])
def test_an_authorisation_covers_1_to_1024(count: int) -> None:
    with pytest.raises(DecodeError):
        authorise(NETWORK, ALICE, rows(1).repeat(count))


def test_each_record_may_have_a_signature_of_its_own() -> None:
    made = authorise(NETWORK, ALICE, rows(5), together=False)
    assert made["first"].tolist() == [0, 1, 2, 3, 4]
    assert made["count"].tolist() == [1] * 5
    assert len({row.tobytes() for row in made["signature"]}) == 5


def test_what_is_signed_binds_network_authority_count_and_records() -> None:
    records = rows(3)
    made = authorise(NETWORK, ALICE, records)
    roots = authorisation_roots(made, records)
    signature = made["signature"][0].tobytes()

    def message(network: bytes = NETWORK, **changed: int) -> bytes:
        other = made.copy()
        for name, value in changed.items():
            other[name] = value
        return authorisation_messages(network, other, roots)[0].tobytes()

    assert verify(ALICE.public, message(), signature)
    assert verify(ALICE.public, message(first=7), signature), "where it stands in an Order is not signed"
    for other in (message(bytes(32)), message(count=2), message(authority_lo=1), message(authority_hi=1)):
        assert not verify(ALICE.public, other, signature)


def test_one_record_is_proved_without_the_others() -> None:
    records = rows(7)
    made = authorise(NETWORK, ALICE, records)
    hashed = leaf_hashes(as_rows(records))
    whole = authorisation_roots(made, records)[0].tobytes()
    for index in range(7):
        assert root_from_path(hashed[index].tobytes(), index, 7, path(hashed, index)) == whole


def test_joined_authorisations_move_behind_each_other() -> None:
    parts = [(authorise(NETWORK, ALICE, rows(n)), rows(n)) for n in (2, 3, 1)]
    authorisations, records = join_authorised(parts)
    assert authorisations["first"].tolist() == [0, 2, 5]
    assert len(records) == 6
    assert parts[1][0]["first"].tolist() == [0], "what was given is left as it was"
    none, nothing = join_authorised([])
    assert (len(none), len(nothing), none.dtype) == (0, 0, AUTHORISATION)
