"""Known fraud at terminals and creditors: nothing before its label, honest receipts after a week."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.intelligence.features import COLUMN, FEATURES, FeatureState
from bezant.intelligence.places import PLACE_FEATURES

S = 1_000_000_000
DAY = 86_400 * S
NOON = 1_767_268_800 * S
WEEK = 7 * DAY


def read(
    state: FeatureState, at: int, debtor: int = 1, creditor: int = 2, terminal: int = 0
) -> dict[str, float]:
    x = state.compute([debtor], [creditor], [1_000], [at], terminal=[terminal])
    return {name: float(x[0, COLUMN[name]]) for name in PLACE_FEATURES}


def pay(state: FeatureState, at: int, debtor: int = 1, creditor: int = 2, terminal: int = 0) -> None:
    state.learn([debtor], [creditor], [1_000], [at], terminal=[terminal])


def fraud(
    state: FeatureState, paid: int, known: int, debtor: int = 1, creditor: int = 2, terminal: int = 0,
    payment: int = 0,
) -> None:  # fmt: skip
    state.label([debtor], [creditor], [paid], [known], terminal=[terminal], payment=[payment])


def genuine(state: FeatureState, paid: int, known: int, payment: int, terminal: int = 0) -> None:
    state.label([1], [2], [paid], [known], terminal=[terminal], payment=[payment], fraud=False)


def test_nothing_is_known_before_the_label() -> None:
    state = FeatureState()
    pay(state, NOON)
    before = read(state, NOON + 3 * DAY)
    assert before["place_last_fraud"] == before["place_first_fraud"] == -1.0
    assert sum(before.values()) == -2.0
    fraud(state, NOON, NOON + 3 * DAY)
    known = read(state, NOON + 3 * DAY)
    assert known["place_frauds_1d"] == known["place_frauds_30d"] == known["place_series"] == 1.0
    assert known["place_last_fraud"] == pytest.approx(np.log1p(3 * 86_400), rel=1e-5)
    assert known["debtor_frauds_30d"] == 1.0
    assert read(state, NOON + 3 * DAY, debtor=9)["debtor_frauds_30d"] == 0.0
    assert read(state, NOON + 3 * DAY, creditor=9)["place_frauds_30d"] == 0.0


def test_known_frauds_fade_by_window() -> None:
    state = FeatureState()
    fraud(state, NOON, NOON + DAY)
    week_later = read(state, NOON + DAY + WEEK)
    assert week_later["place_frauds_7d"] == pytest.approx(np.exp(-1), rel=1e-5)
    assert week_later["place_frauds_30d"] == pytest.approx(np.exp(-7 / 30), rel=1e-5)
    assert week_later["debtor_frauds_30d"] == pytest.approx(np.exp(-7 / 30), rel=1e-5)


def test_receipts_count_as_honest_after_a_week_and_those_from_before_the_label_too() -> None:
    state = FeatureState()
    pay(state, NOON)
    pay(state, NOON + DAY)
    pay(state, NOON + DAY, debtor=5)
    fraud(state, NOON, NOON + 2 * DAY)
    assert read(state, NOON + 6 * DAY)["place_honest"] == 0.0
    seen = read(state, NOON + 9 * DAY)
    assert seen["place_honest"] == 2.0
    assert seen["place_fraud_share"] == pytest.approx(1 / 4)
    assert seen["place_risk_fast"] == pytest.approx(0.3 * 0.7**2)
    assert seen["place_risk_slow"] == pytest.approx(0.1 * 0.9**2)


def test_the_labelled_payment_itself_never_counts_as_honest() -> None:
    state = FeatureState()
    pay(state, NOON)
    fraud(state, NOON, NOON + 2 * DAY)
    assert read(state, NOON + 20 * DAY)["place_honest"] == 0.0


def test_three_honest_payments_end_a_series() -> None:
    state = FeatureState()
    fraud(state, NOON, NOON + DAY)
    fraud(state, NOON + DAY, NOON + 2 * DAY)
    assert read(state, NOON + 2 * DAY)["place_series"] == 2.0
    for k in range(3):
        pay(state, NOON + 3 * DAY + k * S)
    fraud(state, NOON + 12 * DAY, NOON + 13 * DAY)
    f = read(state, NOON + 13 * DAY)
    assert f["place_series"] == 1.0
    assert f["place_first_fraud"] == f["place_last_fraud"] == pytest.approx(np.log1p(86_400), rel=1e-5)


def test_a_terminal_with_known_fraud_speaks_before_its_creditor() -> None:
    state = FeatureState()
    fraud(state, NOON, NOON + DAY, terminal=77)
    fraud(state, NOON, NOON + DAY, debtor=4)
    at = NOON + DAY
    assert read(state, at, terminal=77)["place_frauds_30d"] == 1.0
    assert read(state, at, terminal=78)["place_frauds_30d"] == 2.0
    assert read(state, at)["place_frauds_30d"] == 2.0
    assert read(state, at, creditor=9, terminal=77)["place_frauds_30d"] == 1.0


def test_places_are_bounded_and_the_one_known_longest_goes() -> None:
    state = FeatureState(places=8)
    for k in range(9):
        fraud(state, NOON, NOON + k * S, creditor=10 + k)
    known = [read(state, NOON + DAY, creditor=10 + k)["place_series"] for k in range(9)]
    assert known == [0.0] + [1.0] * 8


def test_many_receipts_saturate_and_stay_finite() -> None:
    state, n = FeatureState(), 70_000
    state.learn([1] * 300, [2] * 300, [1] * 300, [NOON] * 300)
    fraud(state, NOON - DAY, NOON)
    state.learn(np.full(n, 1), np.full(n, 2), np.ones(n), np.full(n, NOON))
    f = read(state, NOON + 30 * DAY)
    assert f["place_honest"] == 65_535.0
    assert all(np.isfinite(v) for v in f.values())


def test_a_label_of_accounts_that_do_not_exist_is_kept_for_the_terminal_alone() -> None:
    state = FeatureState(4)
    state.label([-1], [-1], [NOON], [NOON + DAY], terminal=[5])
    assert state.account_nbytes == FeatureState(4).account_nbytes
    assert read(state, NOON + DAY, terminal=5)["place_series"] == 1.0


def test_every_feature_of_a_place_is_named() -> None:
    assert set(PLACE_FEATURES) < set(FEATURES)


def test_a_payment_called_fraud_again_counts_once() -> None:
    state, again = FeatureState(), FeatureState()
    fraud(state, NOON, NOON + DAY, payment=7)
    for later in range(1, 4):
        fraud(again, NOON, NOON + later * DAY, payment=7)
    assert read(again, NOON + 4 * DAY) == read(state, NOON + 4 * DAY)
    fraud(again, NOON, NOON + 4 * DAY, payment=8)
    fraud(again, NOON, NOON + 4 * DAY, debtor=3, payment=7)
    assert read(again, NOON + 4 * DAY)["place_series"] == 3.0


@pytest.mark.parametrize("terminal", [0, 77])
def test_the_only_fraud_taken_back_leaves_nothing(terminal: int) -> None:
    state = FeatureState()
    nothing = read(state, NOON + 3 * DAY, terminal=terminal)
    fraud(state, NOON, NOON + DAY, payment=7, terminal=terminal)
    assert read(state, NOON + 3 * DAY, terminal=terminal)["place_series"] == 1.0
    genuine(state, NOON, NOON + 2 * DAY, payment=7, terminal=terminal)
    left = read(state, NOON + 3 * DAY, terminal=terminal)
    assert left.pop("debtor_frauds_30d") == pytest.approx(0.0, abs=1e-6)
    assert nothing.pop("debtor_frauds_30d") == 0.0
    assert left == nothing
    fraud(state, NOON, NOON + 4 * DAY, payment=7, terminal=terminal)
    assert read(state, NOON + 4 * DAY, terminal=terminal)["place_frauds_7d"] == 1.0


def test_one_of_two_frauds_taken_back_leaves_the_other_and_an_honest_payment() -> None:
    state, one = FeatureState(), FeatureState()
    for each in (state, one):
        fraud(each, NOON, NOON + DAY, payment=7)
    fraud(state, NOON + DAY, NOON + 2 * DAY, payment=8)
    genuine(state, NOON + DAY, NOON + 3 * DAY, payment=8)
    at = NOON + 3 * DAY
    left, right = read(state, at), read(one, at)
    assert left.pop("place_honest") == 1.0
    assert right.pop("place_honest") == 0.0
    assert left.pop("place_fraud_share") == pytest.approx(1 / 3)
    assert right.pop("place_fraud_share") == 0.5
    for name, kept in (("place_risk_fast", 0.7), ("place_risk_slow", 0.9)):
        assert left.pop(name) == pytest.approx(right.pop(name) * kept, rel=1e-5)
    assert left == pytest.approx(right, rel=1e-5)


def test_a_terminal_whose_frauds_were_taken_back_leaves_the_word_to_its_creditor() -> None:
    state = FeatureState()
    fraud(state, NOON, NOON + DAY, payment=7, terminal=77)
    fraud(state, NOON, NOON + DAY, payment=8)
    genuine(state, NOON, NOON + 2 * DAY, payment=7, terminal=77)
    assert read(state, NOON + 2 * DAY, terminal=77)["place_series"] == 1.0


def test_genuine_said_of_what_nobody_called_fraud_changes_nothing() -> None:
    state = FeatureState()
    fraud(state, NOON, NOON + DAY, payment=7)
    before = {name: rows.tobytes() for name, rows in state.dump().items()}
    genuine(state, NOON, NOON + DAY, payment=9)
    genuine(state, NOON, NOON + DAY, payment=0)
    assert {name: rows.tobytes() for name, rows in state.dump().items()} == before


def call_refused(state: FeatureState, known: int, payment: int, *, fraudulent: bool, terminal: int) -> None:
    state.label(
        [1], [2], [NOON], [known], terminal=[terminal], payment=[payment], fraud=fraudulent, refused=True
    )


@pytest.mark.parametrize("terminal", [0, 77])
def test_a_refused_payment_counts_as_what_it_is_called_and_once(terminal: int) -> None:
    """Were only its frauds told, a place where much is refused would stay suspicious for ever."""
    state, at = FeatureState(), NOON + 5 * DAY
    fraud(state, NOON, NOON + DAY, payment=7, terminal=terminal)
    suspected = read(state, at, terminal=terminal)
    for later in (2, 3):
        call_refused(state, NOON + later * DAY, 8, fraudulent=False, terminal=terminal)
    honest = read(state, at, terminal=terminal)
    assert (suspected["place_honest"], honest["place_honest"]) == (0.0, 1.0)
    for name, kept in (("place_risk_fast", 0.7), ("place_risk_slow", 0.9)):
        assert honest[name] == pytest.approx(kept * suspected[name], rel=1e-6)
    call_refused(state, NOON + 4 * DAY, 8, fraudulent=True, terminal=terminal)
    both, other = read(state, at, terminal=terminal), FeatureState()
    fraud(other, NOON, NOON + DAY, payment=7, terminal=terminal)
    call_refused(other, NOON + 4 * DAY, 8, fraudulent=True, terminal=terminal)
    assert both == pytest.approx(read(other, at, terminal=terminal), rel=1e-5)
    assert both["place_series"] == 2.0
    call_refused(state, NOON + 5 * DAY, 8, fraudulent=False, terminal=terminal)
    again = read(state, at, terminal=terminal)
    assert (again["place_series"], again["place_honest"]) == (1.0, 1.0)


@pytest.mark.parametrize("terminal", [0, 77])
def test_what_never_counted_as_honest_is_not_taken_back(terminal: int) -> None:
    """Called genuine while no fraud was known there, it counted for nothing."""
    state, other = FeatureState(), FeatureState()
    call_refused(state, NOON + DAY, 8, fraudulent=False, terminal=terminal)
    for each in (state, other):
        fraud(each, NOON, NOON + 2 * DAY, payment=7, terminal=terminal)
        call_refused(each, NOON + 3 * DAY, 9, fraudulent=False, terminal=terminal)
        call_refused(each, NOON + 4 * DAY, 8, fraudulent=True, terminal=terminal)
    assert read(state, NOON + 5 * DAY, terminal=terminal) == read(other, NOON + 5 * DAY, terminal=terminal)


def test_labels_are_bounded_and_the_oldest_cannot_be_taken_back_any_more() -> None:
    state = FeatureState(labels=8)
    for k in range(9):
        fraud(state, NOON, NOON + k * S, payment=1 + k)
    for payment in (1, 9):
        genuine(state, NOON, NOON + DAY, payment=payment)
    assert read(state, NOON + DAY)["place_series"] == 8.0
