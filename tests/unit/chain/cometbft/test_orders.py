"""What is remembered of Orders between mempool and block, and how much room it takes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from bezant.chain.cometbft.orders import KnownOrders
from bezant.chain.signatures import gateway_keys
from bezant.model.genesis import network_id
from bezant.model.keys import SigningKey, authority_id
from bezant.model.orders import Order, attest
from bezant.model.packing import pack_order
from bezant.model.records import AUTHORISATION, DECISION, RECORD
from bezant.testing.ledgers import GATEWAY, seeded_key, small_genesis

GENESIS = small_genesis()
NETWORK = network_id(GENESIS)


def order(number: int, rows: int = 1, key: SigningKey = GATEWAY) -> bytes:
    authorisations = np.zeros(rows, AUTHORISATION)
    authorisations["first"], authorisations["count"] = np.arange(rows), 1
    records = np.zeros(rows, RECORD)
    records["id_lo"] = number
    gateway = authority_id(GATEWAY.public, GATEWAY.scheme)
    made = Order(gateway, authorisations, records, np.zeros(rows, DECISION))
    return pack_order(NETWORK, attest(NETWORK, made, key))


def known_orders(limit: int = 1 << 20) -> KnownOrders:
    return KnownOrders(NETWORK, gateway_keys(GENESIS.gateways), limit)


def test_an_order_is_read_once_until_it_is_in_a_block() -> None:
    orders, data = known_orders(), order(1)
    first = orders.read(data)
    assert first.accepted
    assert orders.read(bytes(data)) is first
    orders.forget(first.name)
    assert orders.read(data) is not first


def test_what_no_gateway_signed_pushes_nothing_out() -> None:
    orders, data = known_orders(limit=8192), order(1)
    first = orders.read(data)
    stranger = seeded_key("stranger")
    assert not any(orders.read(order(number, 8, stranger)).accepted for number in range(2, 50))
    assert orders.read(data) is first


@pytest.mark.parametrize("rows", [1, 16])
def test_the_bound_is_of_the_memory_that_is_taken(rows: int) -> None:
    limit = 1 << 20
    orders, data = known_orders(limit), [order(number, rows) for number in range(1500)]
    for one in data[:10]:
        orders.read(one)
    tracemalloc.start()
    for one in data:
        orders.read(one)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert limit // 3 < taken < 1.1 * limit
    assert orders.read(data[-1]) is orders.read(data[-1])
