"""Hostile Orders: refused by their shape, or answered by both ledgers with the same bytes."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bezant.errors import DecodeError
from bezant.ledger.batch import Batch
from bezant.model.digest import as_rows
from bezant.model.identifiers import words
from bezant.model.keys import authority_id
from bezant.model.merkle import leaf_hashes
from bezant.model.orders import HEADER, MAX_ORDER_BYTES, Order, attest, decode_order, encode_order
from bezant.model.outcomes import Verdict
from bezant.model.packing import is_packed, pack_order, unpack_order
from bezant.model.records import DECISION, ORIGINAL, Flag, Kind, Role, names_original
from bezant.testing.ledgers import ALICE, BANK, BOB, GATEWAY, LEDGERS, Quorum, World, seeded_key
from bezant.testing.mutations import MANY, NUMBERS, bounded, changed_bytes, small_memory

SECOND = seeded_key("second of alice")
ALICE_ID = authority_id(ALICE.public)
POLICY = dict.fromkeys(("freezable", "pausable", "clawback", "member_credit"), True)


def worlds() -> list[World]:
    """Both ledgers, with a hold, a mandate, a refund and a second key of Alice's, the same in each."""
    made = []
    for kind in LEDGERS:
        world = World(kind, POLICY)
        paid, held = world.transfer(world.alice, world.bob, 100), world.hold(50, flags=int(Flag.LINKED))
        lock = world.after(Kind.LOCK, held, commitment=bytes([1]) * 32)
        mandate = world.command(
            Kind.SET_MANDATE, debtor=world.alice, related=authority_id(BOB.public), amount=9
        )
        key = world.command(
            Kind.SET_KEY,
            debtor=ALICE_ID,
            related=1,
            amount=1,
            max_fee=int(Role.PAY),
            commitment=SECOND.public,
        )
        world.apply((ALICE, np.concatenate([paid, held, lock, mandate, key])))
        world.apply((BOB, world.after(Kind.REVERSE, paid, 30)))
        made.append(world)
    return made


WORLDS = worlds()
NETWORK = WORLDS[0].scribe.network


def sample_orders() -> list[bytes]:
    """Encoded Orders of several shapes."""
    world = WORLDS[0]
    both = Quorum(ALICE_ID, {0: ALICE, 1: SECOND})
    every = [
        world.command(kind, debtor=world.alice, creditor=world.bob, amount=3, related=5) for kind in Kind
    ]
    parts: list[Any] = [
        [(ALICE, world.transfer(world.alice, world.bob, 5))],
        [(both, world.transfer(world.alice, world.bob, 5)), (BANK, np.concatenate(every))],
        [(BOB, np.concatenate([world.transfer(world.bob, world.alice, 1, flags=1) for _ in range(4)]))],
    ]
    encoded = []
    for chosen in parts:
        batch = world.scribe.batch(*chosen)
        order = Order(authority_id(GATEWAY.public), batch.authorisations, batch.records, batch.decisions)
        encoded.append(encode_order(NETWORK, attest(NETWORK, order, GATEWAY)))
    return encoded


ORDERS = sample_orders()
PACKED = list(filter(is_packed, (pack_order(NETWORK, decode_order(one, NETWORK)) for one in ORDERS)))


@bounded(250)
@given(changed_bytes(ORDERS))
def test_an_order_is_read_back_as_it_is_or_refused(data: bytes) -> None:
    with small_memory():
        try:
            order = decode_order(data, NETWORK)
        except DecodeError:
            return
    assert encode_order(NETWORK, order) == data


@bounded(250)
@given(changed_bytes(PACKED))
def test_a_packed_order_is_read_back_as_it_is_or_refused(data: bytes) -> None:
    """Whatever is read has this one packed form: nobody sends an Order in a second one."""
    with small_memory():
        try:
            order = unpack_order(data, NETWORK)
        except DecodeError:
            return
    assert pack_order(NETWORK, order) == data


@bounded(300)
@given(changed_bytes(ORDERS), st.integers(0, 2**32 - 1))
def test_what_can_be_read_is_answered_alike(data: bytes, seed: int) -> None:
    """Signatures are taken for good at random, so that changed records get all the way to their effect."""
    try:
        order = decode_order(data, NETWORK)
    except DecodeError:
        return
    random = np.random.default_rng(seed)
    many = len(order.authorisations)
    authentic = (random.random(many) < 0.9).astype(np.uint8)
    answers = []
    # So little that the ids of a long run stay in time.
    WORLDS[0].scribe.now_ns += 1_000_000
    for world in WORLDS:
        batch = Batch(
            WORLDS[0].scribe.now_ns,
            order.records,
            order.decisions,
            order.authorisations,
            authentic,
            np.ones(many, np.uint8),
            leaf_hashes(as_rows(order.records)),
            np.zeros(np.count_nonzero(names_original(order.records)), ORIGINAL),
        )
        answers.append(world.ledger.apply(batch).tobytes())
        world.ledger.check_invariants()
    assert answers[0] == answers[1]


_FIELDS = ("amount", "max_fee", "asset", "valid_for_s", "hold_for_s", "kind", "flags")


@bounded(300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Kind)),
            st.lists(st.tuples(st.sampled_from(_FIELDS), st.sampled_from(NUMBERS)), max_size=2),
            st.integers(0, 3),
            st.integers(0, 3),
            st.integers(0, 4),
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from((ALICE, BOB, BANK)),
    st.sampled_from(list(Verdict)),
)
def test_records_of_extremes_are_answered_alike(rows: Any, key: Any, verdict: Verdict) -> None:
    """Every kind with fields at the ends of their range, about accounts that exist and that do not."""
    first = WORLDS[0]
    ids = (first.alice, first.bob, first.treasury, 2**128 - 1)
    related = (0, 1, 16, 2**128 - 1, ALICE_ID)
    records = []
    for kind, changes, debtor, creditor, to in rows:
        row = first.command(
            kind, debtor=ids[debtor], creditor=ids[creditor], amount=2, related=related[to], max_fee=1
        )
        for name, number in changes:
            row[name] = number % 2 ** (8 * row.dtype[name].itemsize)
        records.append(row)
    batch = first.scribe.batch(
        (key, np.concatenate(records)), verdicts=dict.fromkeys(range(len(rows)), verdict)
    )
    answers = [world.ledger.apply(batch).tobytes() for world in WORLDS]
    assert answers[0] == answers[1]
    for world in WORLDS:
        world.ledger.check_invariants()


def test_hostile_counts_take_no_room() -> None:
    """A header that claims four thousand million of each, in front of nothing."""
    for many in NUMBERS[:7]:
        for count in NUMBERS[:7]:
            header = np.frombuffer(ORDERS[0], HEADER, 1).copy()
            header["authorisations"], header["records"] = many, count
            header["gateway_lo"], header["gateway_hi"] = words(2**128 - 1)
            for rest in (ORDERS[0][HEADER.itemsize :], b"", bytes(64)):
                with small_memory(MANY // 8):
                    try:
                        decode_order(header.tobytes() + rest, NETWORK)
                    except DecodeError:
                        continue
                assert (many, count) in ((1, 1), (0, 0))
            header["magic"] = PACKED[0][:4]
            for rest in (PACKED[0][HEADER.itemsize :], b"", bytes(64)):
                with small_memory(MAX_ORDER_BYTES), contextlib.suppress(DecodeError):
                    unpack_order(header.tobytes() + rest, NETWORK)


def test_a_verdict_that_there_is_not_is_answered_alike() -> None:
    """The one column that neither payer nor ledger bounds by its type."""
    for verdict in (3, 7, 255):
        batch = WORLDS[0].scribe.batch((ALICE, WORLDS[0].transfer(WORLDS[0].alice, WORLDS[0].bob, 1)))
        decisions = np.zeros(1, DECISION)
        decisions["verdict"] = verdict
        changed = Batch(
            batch.time_ns,
            batch.records,
            decisions,
            batch.authorisations,
            batch.authentic,
            batch.accepted,
            batch.record_hashes,
        )
        assert len({world.ledger.apply(changed).tobytes() for world in WORLDS}) == 1
