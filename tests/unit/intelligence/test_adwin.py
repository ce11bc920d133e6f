"""The adaptive window: it grows while nothing changes, and drops what was before a change."""

from __future__ import annotations

import numpy as np
import pytest

from bezant.intelligence.adwin import Adwin


@pytest.mark.parametrize("seed", range(5))
def test_what_does_not_change_is_not_found_changed(seed: int) -> None:
    random, adwin = np.random.default_rng(seed), Adwin()
    for _ in range(200):
        assert adwin.update(random.random(100)) is None
    assert adwin.width == 20_000
    assert adwin.mean == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("shift", [0.3, 0.1, -0.1])
def test_a_shift_is_found_soon_and_what_was_before_it_forgotten(shift: float) -> None:
    random, adwin = np.random.default_rng(3), Adwin()
    adwin.update(0.5 + 0.1 * random.standard_normal(2_000).clip(-3, 3))
    found, needed = None, 0
    while found is None and needed < 1_000:
        found = adwin.update(0.5 + shift + 0.1 * random.standard_normal(1).clip(-3, 3))
        needed += 1
    assert found is not None
    assert needed <= 200
    adwin.update(0.5 + shift + 0.1 * random.standard_normal(2_000).clip(-3, 3))
    assert adwin.mean == pytest.approx(0.5 + shift, abs=0.02)
    assert (found.after > found.before) == (shift > 0)


def test_a_rate_that_rises_is_found() -> None:
    random, adwin = np.random.default_rng(7), Adwin()
    assert adwin.update(random.random(5_000) < 0.01) is None
    found = adwin.update(random.random(2_000) < 0.05)
    assert found is not None
    assert found.after > 2 * found.before


def test_the_window_is_what_its_numbers_are() -> None:
    """Sums and variance kept in buckets are those of the numbers themselves."""
    random, adwin = np.random.default_rng(1), Adwin()
    values = random.random(777)
    for value in values:
        adwin.update([value])
    assert adwin.width == 777
    assert adwin.mean == pytest.approx(values.mean())
    assert adwin._window[2] / 777 == pytest.approx(values.var())
    bulk = Adwin()
    bulk.update(values)
    assert np.array_equal(bulk._window, adwin._window), "one by one or at once is the same"


def test_nothing_at_all() -> None:
    adwin = Adwin()
    assert adwin.update([]) is None
    assert (adwin.width, adwin.mean) == (0, 0.0)
