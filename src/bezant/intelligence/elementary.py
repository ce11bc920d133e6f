"""Exponential, logarithm, sine and cosine for compiled kernels, to about ten digits.

Features are float32. The C library rounds such functions to sixteen digits and is called for each; these
are a few products in line, four times as fast, and the same on every machine, for nothing in them
depends on which C library is installed. Every one is a polynomial after the argument is reduced;
the largest errors are measured in the tests.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from bezant.model.native import KERNEL

_LOG2_E = 1.0 / math.log(2.0)
_LN_2 = math.log(2.0)
# 2**f = exp(f ln 2) on [-1/2, 1/2]: Taylor's series, whose next term is below 2e-10.
_P1, _P2, _P3, _P4, _P5, _P6, _P7 = (math.log(2.0) ** n / math.factorial(n) for n in range(1, 8))
_SQRT_2 = math.sqrt(2.0)
_FRACTION = np.int64((1 << 52) - 1)
_ONE = np.int64(1023 << 52)


@njit(**KERNEL)
def fading(x: Any) -> Any:
    """Return exp(-x) for x >= 0; 0 beyond 700."""
    if x > 700.0:
        return 0.0
    turns = -x * _LOG2_E
    whole = math.floor(turns + 0.5)
    f = turns - whole
    power = 1.0 + f * (_P1 + f * (_P2 + f * (_P3 + f * (_P4 + f * (_P5 + f * (_P6 + f * _P7))))))
    return power * np.int64((np.int64(whole) + np.int64(1023)) << np.int64(52)).view(np.float64)


@njit(**KERNEL)
def log_one_plus(x: Any) -> Any:
    """Return log(1 + x) for x >= 0, to 1e-10 of the larger of itself and one."""
    bits = np.float64(1.0 + x).view(np.int64)
    exponent = (bits >> np.int64(52)) - np.int64(1023)
    m = np.int64((bits & _FRACTION) | _ONE).view(np.float64)
    if m > _SQRT_2:
        m *= 0.5
        exponent += np.int64(1)
    s = (m - 1.0) / (m + 1.0)
    q = s * s
    series = 1.0 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11)))))
    return float(exponent) * _LN_2 + 2.0 * s * series


@njit(**KERNEL)
def sine_of_turn(turn: Any) -> Any:
    """Return sin(2 pi turn) for turn in [0, 1]; the cosine is the sine a quarter of a turn later."""
    quarter = turn * 4.0
    if quarter > 4.0:
        quarter -= 4.0
    sign = 1.0
    if quarter > 2.0:
        quarter -= 2.0
        sign = -1.0
    a = (1.0 - abs(quarter - 1.0)) * (math.pi / 2)
    q = a * a
    inner = 1 / 120 + q * (-1 / 5040 + q * (1 / 362880 + q * (-1 / 39916800 + q * (1 / 6227020800))))
    return sign * a * (1.0 + q * (-1 / 6 + q * inner))
