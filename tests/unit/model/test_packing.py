"""Orders as they travel: shorter, back as they were, and in one form only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.model.test_orders import NETWORK, order

from bezant.errors import DecodeError
from bezant.model.digest import as_rows
from bezant.model.keys import authority_id
from bezant.model.orders import HEADER, MAX_ORDER_BYTES, Order, attest, encode_order, order_bytes
from bezant.model.packing import is_packed, pack_order, unpack_order
from bezant.model.records import AUTHORISATION, DECISION, RECORD
from bezant.testing.ledgers import GATEWAY


def random_order(seed: int, authorisations: int, records: int, share: float) -> Order:
    """Return an Order in which about such a share of the columns of bytes varies."""
    random = np.random.default_rng(seed)
    parts = []
    for dtype, count in ((AUTHORISATION, authorisations), (RECORD, records), (DECISION, records)):
        octets = np.empty((count, dtype.itemsize), np.uint8)
        octets[:] = random.integers(0, 256, dtype.itemsize, np.uint8)
        varies = random.random(dtype.itemsize) < share
        octets[:, varies] = random.integers(0, 2, (count, int(varies.sum())), np.uint8)
        parts.append(octets.reshape(-1).view(dtype))
    parts[0]["first"], parts[0]["count"] = np.arange(authorisations), 1
    parts[0]["count"][-1] = records - authorisations + 1
    return attest(NETWORK, Order(authority_id(GATEWAY.public), *parts), GATEWAY)


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(0, 60), st.sampled_from((0, 0.1, 0.5, 1)))
def test_an_order_comes_back(seed: int, authorisations: int, more: int, share: float) -> None:
    sent = random_order(seed, authorisations, authorisations + more, share)
    data = pack_order(NETWORK, sent)
    whole = encode_order(NETWORK, sent)
    assert len(data) <= len(whole) == order_bytes(authorisations, authorisations + more)
    if is_packed(data):
        read = unpack_order(data, NETWORK)
        assert encode_order(NETWORK, read) == whole
        assert read.records.flags.writeable, "a copy of its own"
    else:
        assert data == whole


@pytest.mark.parametrize(("counts", "share"), [((1024,), 0.1), ((1,) * 64, 0.6), ((3, 1, 4), 0.7)])
def test_what_has_much_in_common_becomes_short(counts: tuple[int, ...], share: float) -> None:
    sent = order(*counts)
    packed = pack_order(NETWORK, sent)
    assert len(packed) < share * len(encode_order(NETWORK, sent))
    assert (as_rows(unpack_order(packed, NETWORK).records) == as_rows(sent.records)).all()


@pytest.mark.parametrize("counts", [(), (1,)])
def test_what_would_become_longer_travels_as_it_is(counts: tuple[int, ...]) -> None:
    assert pack_order(NETWORK, order(*counts)) == encode_order(NETWORK, order(*counts))


def test_every_truncation_and_addition_is_refused() -> None:
    data = pack_order(NETWORK, order(2, 1))
    assert is_packed(data)
    for end in range(len(data)):
        with pytest.raises(DecodeError):
            unpack_order(data[:end], NETWORK)
    with pytest.raises(DecodeError):
        unpack_order(data + b"\0", NETWORK)


def packed_by_hand(sent: Order, also: int | None = None) -> bytes:
    """Return the packed form, even where it is longer; column `also` of the records sent row by row."""
    made = [b"BZOP", encode_order(NETWORK, sent)[4 : HEADER.itemsize]]
    for rows in (sent.authorisations, sent.records, sent.decisions):
        octets = as_rows(rows)
        varies = (octets != octets[0]).any(axis=0)
        if rows is sent.records and also is not None:
            varies[also] = True
        made += [np.packbits(varies, bitorder="little").tobytes(), octets[0][~varies].tobytes()]
        made.append(octets[:, varies].tobytes())
    return b"".join((*made, sent.signature))


def test_a_column_that_is_sent_row_by_row_varies() -> None:
    sent = order(5)
    assert packed_by_hand(sent) == pack_order(NETWORK, sent)
    offset = (RECORD.fields or {})["asset"][1]
    with pytest.raises(DecodeError, match="in common"):
        unpack_order(packed_by_hand(sent, also=offset), NETWORK)


def test_what_is_shorter_unpacked_or_too_long_is_not_packed() -> None:
    with pytest.raises(DecodeError, match="only what becomes shorter"):
        unpack_order(packed_by_hand(order(1)), NETWORK)
    long = random_order(1, 1_000, 1_000, 0.1)
    assert order_bytes(1_000, 1_000) > MAX_ORDER_BYTES
    assert pack_order(NETWORK, long) == encode_order(NETWORK, long)
    with pytest.raises(DecodeError, match="the most"):
        unpack_order(packed_by_hand(long), NETWORK)


def test_an_order_for_another_network_is_refused() -> None:
    with pytest.raises(DecodeError) as refused:
        unpack_order(pack_order(NETWORK, order(3)), bytes(32))
    assert refused.value.code == "other_network"
