"""Exponential, logarithm and sine against the C library's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bezant.intelligence import elementary
from bezant.testing.kernels import within_reach

fading, log_one_plus = within_reach(elementary.fading), within_reach(elementary.log_one_plus)
sine_of_turn = within_reach(elementary.sine_of_turn)
SPREAD = [0.0, *np.geomspace(1e-12, 1e19, 4_000).tolist()]


def test_the_exponential_is_right_to_nine_digits() -> None:
    errors = [abs(fading(x) / math.exp(-x) - 1) for x in SPREAD if x <= 700]
    assert max(errors) < 1e-8
    assert fading(0.0) == 1.0
    assert fading(3.2e18) == 0.0


def test_the_logarithm_is_right_to_nine_digits() -> None:
    errors = [abs(log_one_plus(x) - math.log1p(x)) / max(1.0, math.log1p(x)) for x in SPREAD]
    assert max(errors) < 1e-9
    assert log_one_plus(0.0) == 0.0


def test_the_logarithm_never_falls_where_its_argument_grows() -> None:
    values = [log_one_plus(x) for x in SPREAD]
    assert values == sorted(values)


@pytest.mark.parametrize("quarter", range(4))
def test_the_sine_is_right_to_nine_digits_in_every_quarter(quarter: int) -> None:
    turns = (quarter + np.linspace(0.0, 1.0, 1_001)) / 4
    assert max(abs(sine_of_turn(t) - math.sin(2 * math.pi * t)) for t in turns.tolist()) < 1e-9
    assert max(abs(sine_of_turn(t + 0.25) - math.cos(2 * math.pi * t)) for t in turns.tolist()) < 1e-9
