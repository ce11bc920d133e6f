"""The account graph: what each feature says, parity, undo, bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bezant.intelligence import graph
from bezant.intelligence.graph import (
    BYTES_PER_ACCOUNT,
    GRAPH_FEATURES,
    GRAPH_UNDO,
    PERIOD_S,
    REMEMBERED,
    new_graph,
)
from bezant.model.records import NO_ROW
from bezant.testing.kernels import within_reach

learn_rows, look_rows = within_reach(graph.learn_rows), within_reach(graph.look_rows)
undo_rows = within_reach(graph.undo_rows)
S = 1_000_000_000
NOON = 1_767_268_800 * S  # Thursday 2026-01-01 12:00 UTC
HOUR, DAY = 3_600 * S, 86_400 * S
Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class Graph:
    """The state of forty accounts, asked and told one payment at a time."""

    def __init__(self, accounts: int = 40) -> None:
        self.floats, self.words = new_graph(accounts)

    def look(self, columns: Columns) -> np.ndarray:
        """Features of payments whose traces stay."""
        x, _ = self.look_with_undo(columns)
        return x

    def look_with_undo(self, columns: Columns) -> tuple[np.ndarray, np.ndarray]:
        count = len(columns[0])
        x = np.full((count, len(GRAPH_FEATURES)), np.nan, np.float32)
        undo = np.empty(count, GRAPH_UNDO)
        look_rows(self.floats, self.words, *columns, undo, x)
        return x, undo

    def learn(self, columns: Columns, settled: np.ndarray | None = None) -> None:
        mask = np.ones(len(columns[0]), np.bool_) if settled is None else settled
        learn_rows(self.floats, self.words, *columns, mask)

    def undo(self, columns: Columns, undo: np.ndarray) -> None:
        undo_rows(self.floats, self.words, *columns[:2], undo)

    def pay(self, debtor: int, creditor: int, amount: float, at: int) -> None:
        self.learn(one(debtor, creditor, amount, at))

    def ask(self, debtor: int, creditor: int, amount: float, at: int) -> dict[str, float]:
        columns = one(debtor, creditor, amount, at)
        x, undo = self.look_with_undo(columns)
        self.undo(columns, undo)
        return dict(zip(GRAPH_FEATURES, x[0].tolist(), strict=True))

    def bytes(self) -> bytes:
        return self.floats.tobytes() + self.words.tobytes()


def one(debtor: int, creditor: int, amount: float, at: int) -> Columns:
    return (
        np.array([debtor], np.int64),
        np.array([creditor], np.int64),
        np.array([amount], np.float64),
        np.array([at], np.int64),
    )


def part(columns: Columns, rows: slice) -> Columns:
    return columns[0][rows], columns[1][rows], columns[2][rows], columns[3][rows]


def stream(seed: int, count: int, accounts: int = 40) -> Columns:
    rng = np.random.default_rng(seed)
    debtor, creditor = rng.integers(0, accounts, (2, count))
    debtor[::17], creditor[::19] = NO_ROW, -1
    return (
        debtor,
        creditor,
        rng.uniform(0.01, 5_000, count),
        NOON + np.cumsum(rng.integers(-2 * S, DAY, count)),
    )


def test_names_are_distinct_and_memory_is_bounded() -> None:
    assert len(set(GRAPH_FEATURES)) == len(GRAPH_FEATURES) == 19
    floats, words = new_graph(100)
    assert floats.nbytes + words.nbytes == 100 * BYTES_PER_ACCOUNT == 100 * 96


def test_a_first_payment_knows_nothing() -> None:
    f = Graph().ask(1, 2, 50.0, NOON)
    assert {name: value for name, value in f.items() if value} == {
        "debtor_stay": -1.0,
        "held_for": -1.0,
        "creditor_stay": -1.0,
    }


@pytest.mark.parametrize("counterparties", [1, 3, 10, 40, 120])
def test_fan_in_and_out_count_distinct_counterparties(counterparties: int) -> None:
    graph = Graph(500)
    for k in range(counterparties):
        for _ in range(3):  # However often they pay, they are one.
            graph.pay(1, 10 + k, 5.0, NOON)
            graph.pay(10 + k, 2, 5.0, NOON)
    f = graph.ask(1, 2, 5.0, NOON)
    assert math.expm1(f["debtor_fan_out"]) == pytest.approx(counterparties, rel=0.25, abs=1)
    assert math.expm1(f["creditor_fan_in"]) == pytest.approx(counterparties, rel=0.25, abs=1)
    assert f["debtor_fan_in"] == f["creditor_fan_out"] == 0.0


def test_a_full_bitmap_says_many_and_stays_finite() -> None:
    graph = Graph(5_000)
    for k in range(4_000):
        graph.pay(10 + k, 2, 5.0, NOON)
    f = graph.ask(1, 2, 5.0, NOON)
    assert 250 < math.expm1(f["creditor_fan_in"]) < 400
    assert 100 < math.expm1(f["creditor_fan_in_recent"]) < 200


def test_recent_counterparties_are_forgotten_and_others_are_not() -> None:
    graph = Graph()
    start = NOON // (PERIOD_S * S) * PERIOD_S * S
    for k in range(6):
        graph.pay(1, 10 + k, 5.0, start)
    now, next_period, later = (graph.ask(1, 2, 5.0, start + n * PERIOD_S * S) for n in (0, 1, 2))
    assert now["debtor_fan_out_recent"] == next_period["debtor_fan_out_recent"] > 1.5
    assert later["debtor_fan_out_recent"] == 0.0
    assert later["debtor_fan_out"] == now["debtor_fan_out"]


def test_money_that_leaves_as_it_came() -> None:
    graph = Graph()
    graph.pay(1, 2, 1_000.0, NOON)
    passing = graph.ask(2, 3, 950.0, NOON + 600 * S)
    assert passing["passed_on_1d"] == passing["passed_on_3d"] == 1.0
    assert passing["held_for"] == pytest.approx(math.log1p(600), abs=0.01)
    assert passing["debtor_stay"] == -1.0
    graph.pay(2, 3, 950.0, NOON + 600 * S)
    mule = graph.ask(2, 4, 1_000.0, NOON + 601 * S)
    assert mule["debtor_passed_1d"] == pytest.approx(0.95, abs=0.01)
    assert mule["debtor_stay"] == pytest.approx(math.log1p(600), abs=0.01)
    assert mule["passed_on_1d"] == pytest.approx(0.05, abs=0.01), "what has left cannot leave again"
    assert graph.ask(5, 2, 10.0, NOON + 601 * S)["creditor_passed_1d"] == mule["debtor_passed_1d"]


def test_money_that_stays_is_not_passed_on() -> None:
    graph = Graph()
    graph.pay(1, 2, 1_000.0, NOON)
    saver = graph.ask(2, 3, 900.0, NOON + 10 * DAY)
    assert saver["passed_on_1d"] < 0.001
    assert saver["passed_on_3d"] == pytest.approx(math.exp(-10 / 3) / 0.9, rel=0.01)
    assert saver["held_for"] == pytest.approx(math.log1p(10 * 86_400), rel=0.01)


def test_the_age_of_what_waits_is_weighed_by_value() -> None:
    graph = Graph()
    graph.pay(1, 2, 100.0, NOON)
    graph.pay(1, 2, 100.0, NOON + HOUR)
    assert math.expm1(graph.ask(2, 3, 5.0, NOON + HOUR)["held_for"]) == pytest.approx(1_800, rel=0.02)


def test_paid_back_and_circles() -> None:
    graph = Graph()
    graph.pay(1, 2, 50.0, NOON)
    assert graph.ask(2, 1, 50.0, NOON)["paid_back"] == 1.0
    assert graph.ask(1, 2, 50.0, NOON)["paid_back"] == 0.0
    graph.pay(2, 3, 50.0, NOON)
    assert graph.ask(3, 1, 50.0, NOON)["circle"] == 1.0
    assert graph.ask(1, 3, 50.0, NOON)["circle"] == 0.0
    graph.pay(2, 4, 50.0, NOON)
    graph.pay(1, 5, 50.0, NOON)
    graph.pay(5, 3, 50.0, NOON)
    assert graph.ask(3, 1, 50.0, NOON)["circle"] == 2.0


def test_only_the_last_distinct_counterparties_are_remembered() -> None:
    graph = Graph()
    graph.pay(1, 2, 50.0, NOON)
    for k in range(REMEMBERED):
        graph.pay(1, 10 + k, 50.0, NOON)
        graph.pay(20 + k, 2, 50.0, NOON)
    assert graph.ask(2, 1, 50.0, NOON)["paid_back"] == 0.0
    graph.pay(1, 2, 50.0, NOON)
    for _ in range(10):
        graph.pay(1, 30, 50.0, NOON)  # One and the same pushes nobody out.
        graph.pay(31, 2, 50.0, NOON)
    assert graph.ask(2, 1, 50.0, NOON)["paid_back"] == 1.0


def test_a_clock_that_steps_back_does_no_harm() -> None:
    graph = Graph()
    graph.pay(1, 2, 50.0, NOON)
    graph.pay(2, 1, 50.0, NOON - 100 * DAY)
    f = graph.ask(1, 2, 50.0, -(2**62))
    assert all(math.isfinite(value) for value in f.values())
    assert f["paid_back"] == 1.0


def test_looking_then_undoing_changes_nothing() -> None:
    graph = Graph()
    graph.learn(stream(1, 300))
    before = graph.bytes()
    columns = stream(2, 200)
    x, undo = graph.look_with_undo(columns)
    assert np.isfinite(x).all()
    assert graph.bytes() != before
    graph.undo(columns, undo)
    assert graph.bytes() == before


def test_looking_leaves_what_learning_leaves() -> None:
    columns = stream(3, 2_000)
    looked, learned = Graph(), Graph()
    looked.look(columns)
    learned.learn(columns)
    assert looked.bytes() == learned.bytes()


def test_only_what_settled_is_learned() -> None:
    columns, settled = stream(4, 400), np.arange(400) % 3 != 0
    some, others = Graph(), Graph()
    some.learn(columns, settled)
    others.learn((columns[0][settled], columns[1][settled], columns[2][settled], columns[3][settled]))
    assert some.bytes() == others.bytes()


def test_accounts_that_do_not_exist_read_as_new_ones_and_leave_no_trace() -> None:
    graph = Graph()
    graph.pay(1, 2, 100.0, NOON)
    before = graph.bytes()
    columns = one(2, NO_ROW, 90.0, NOON + HOUR)
    x, _ = graph.look_with_undo(columns)
    f = dict(zip(GRAPH_FEATURES, x[0].tolist(), strict=True))
    assert f["passed_on_1d"] == 1.0
    assert f["creditor_fan_in"] == 0.0
    assert graph.bytes() == before


ROW = st.one_of(st.integers(0, 6), st.just(NO_ROW), st.just(-1))
PAYMENT = st.tuples(ROW, ROW, st.floats(0.0, 1e15), st.integers(-(2**62), 2**62))


@settings(max_examples=80, deadline=None)
@given(payments=st.lists(PAYMENT, min_size=1, max_size=25), cut=st.integers(0, 25))
def test_the_cut_into_batches_does_not_matter(payments: list[tuple[int, int, float, int]], cut: int) -> None:
    types = (np.int64, np.int64, np.float64, np.int64)
    columns: Columns = tuple(np.array(c, t) for c, t in zip(zip(*payments, strict=True), types, strict=True))  # type: ignore[assignment]
    whole, parts = Graph(8), Graph(8)
    x = whole.look(columns)
    first = parts.look(part(columns, slice(0, cut)))
    before = parts.bytes()
    second, undo = parts.look_with_undo(part(columns, slice(cut, None)))
    assert np.isfinite(x).all()
    assert np.concatenate([first, second]).tobytes() == x.tobytes()
    parts.undo(part(columns, slice(cut, None)), undo)
    assert parts.bytes() == before
    parts.learn(part(columns, slice(cut, None)))
    assert parts.bytes() == whole.bytes()
