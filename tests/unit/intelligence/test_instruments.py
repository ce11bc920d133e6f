"""Devices and terminals: new or familiar, alone or shared."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.intelligence.features import COLUMN, FeatureState
from bezant.intelligence.instruments import INSTRUMENT_FEATURES

S = 1_000_000_000
DAY = 86_400 * S
NOON = 1_767_268_800 * S


def read(
    state: FeatureState, debtor: int, device: int, terminal: int = 0, at: int = NOON
) -> dict[str, float]:
    x = state.compute([debtor], [99], [1_000], [at], device=[device], terminal=[terminal])
    return {name: float(x[0, COLUMN[name]]) for name in INSTRUMENT_FEATURES}


def pay(state: FeatureState, debtor: int, device: int, terminal: int = 0, at: int = NOON) -> None:
    state.learn([debtor], [99], [1_000], [at], device=[device], terminal=[terminal])


def test_a_payment_that_names_nothing_is_neither_new_nor_familiar() -> None:
    state = FeatureState()
    pay(state, 1, 0)
    f = read(state, 1, 0)
    assert (f["device_new"], f["terminal_new"], f["device_gap"]) == (-1.0, -1.0, -1.0)
    assert f["device_count_30d"] == f["device_payers_30d"] == f["terminal_count_30d"] == 0.0


def test_a_device_is_new_once_and_then_counted() -> None:
    state = FeatureState()
    assert read(state, 1, 7)["device_new"] == 1.0
    pay(state, 1, 7)
    pay(state, 1, 7, at=NOON + DAY)
    f = read(state, 1, 7, at=NOON + 2 * DAY)
    assert f["device_new"] == 0.0
    assert f["device_count_30d"] == pytest.approx(np.exp(-2 / 30) + np.exp(-1 / 30), rel=1e-5)
    assert f["device_gap"] == pytest.approx(np.log1p(86_400), rel=1e-5)
    assert read(state, 2, 7)["device_new"] == 1.0


def test_a_device_that_many_pay_from_shows() -> None:
    state = FeatureState()
    for debtor in range(5):
        pay(state, debtor, 7)
        pay(state, debtor, 7)
    assert read(state, 50, 7)["device_payers_30d"] == pytest.approx(5.0)
    assert read(state, 50, 8)["device_payers_30d"] == 0.0


def test_terminals_and_devices_of_one_number_are_two_things() -> None:
    state = FeatureState()
    pay(state, 1, 7)
    assert read(state, 1, 0, terminal=7)["terminal_new"] == 1.0
    pay(state, 1, 0, terminal=7)
    f = read(state, 1, 0, terminal=7)
    assert (f["terminal_new"], f["terminal_count_30d"]) == (0.0, 1.0)


def test_the_table_is_bounded_and_what_was_used_longest_ago_is_new_again() -> None:
    state = FeatureState(instruments=8)
    for k in range(9):
        pay(state, 1, 0, terminal=10 + k, at=NOON + k * S)
    new = [read(state, 1, 0, terminal=10 + k, at=NOON + DAY)["terminal_new"] for k in range(9)]
    assert new == [1.0] + [0.0] * 8
