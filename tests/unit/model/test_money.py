from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.errors import AmountError
from bezant.model.money import MAX_SCALE, U64_MAX, Asset, parse_minor, render_minor


@pytest.mark.parametrize(
    ("text", "scale", "minor"),
    [
        ("0", 2, 0),
        ("12.50", 2, 1250),
        ("12.5", 2, 1250),
        ("12", 2, 1200),
        ("12.5000", 2, 1250),
        ("0.01", 2, 1),
        ("007", 0, 7),
        ("1.000", 0, 1),
        ("0.000000001", 9, 1),
        ("18446744073709551615", 0, U64_MAX),
        ("184467440737095516.15", 2, U64_MAX),
        ("18446744073.709551615", 9, U64_MAX),
    ],
)
def test_text_becomes_minor_units_exactly(text: str, scale: int, minor: int) -> None:
    assert parse_minor(text, scale) == minor


@pytest.mark.parametrize(
    ("text", "scale", "code"),
    [
        ("-1", 2, "amount_negative"),
        ("-0.01", 2, "amount_negative"),
        ("", 2, "amount_malformed"),
        (".5", 2, "amount_malformed"),
        ("5.", 2, "amount_malformed"),
        ("+5", 2, "amount_malformed"),
        ("1e3", 2, "amount_malformed"),
        ("1E3", 2, "amount_malformed"),
        ("0x10", 2, "amount_malformed"),
        ("1_000", 2, "amount_malformed"),
        ("1,000.00", 2, "amount_malformed"),
        ("1.0.0", 2, "amount_malformed"),
        (" 1", 2, "amount_malformed"),
        ("1\n", 2, "amount_malformed"),
        ("NaN", 2, "amount_malformed"),
        ("Infinity", 2, "amount_malformed"),
        ("１２", 2, "amount_malformed"),
        ("٣", 2, "amount_malformed"),
        ("9" * 21, 2, "amount_malformed"),
        ("1." + "0" * 19, 2, "amount_malformed"),
        ("1.234", 2, "amount_over_precise"),
        ("0.001", 2, "amount_over_precise"),
        ("1.5", 0, "amount_over_precise"),
        ("18446744073709551616", 0, "amount_too_large"),
        ("184467440737095516.16", 2, "amount_too_large"),
        ("99999999999999999999", 9, "amount_too_large"),
    ],
)
def test_what_is_no_amount_is_refused(text: str, scale: int, code: str) -> None:
    with pytest.raises(AmountError) as caught:
        parse_minor(text, scale, param="instructed_amount")
    assert (caught.value.code, caught.value.param) == (code, "instructed_amount")
    assert len(caught.value.message) < 200, "what a stranger sent is not echoed at length"


@given(st.integers(0, U64_MAX), st.integers(0, MAX_SCALE))
def test_rendered_amounts_come_back(minor: int, scale: int) -> None:
    text = render_minor(minor, scale)
    assert parse_minor(text, scale) == minor
    assert len(text.partition(".")[2]) == scale


@pytest.mark.parametrize(
    ("minor", "scale", "text"),
    [(0, 2, "0.00"), (5, 2, "0.05"), (-5, 2, "-0.05"), (-1250, 2, "-12.50"), (7, 0, "7"), (-7, 0, "-7")],
)
def test_rendering(minor: int, scale: int, text: str) -> None:
    assert render_minor(minor, scale) == text


def test_an_asset_shows_its_scale() -> None:
    assert str(Asset(1, "EUR", 2)) == "EUR/2"
