"""Amounts in a column mean what the same amounts mean one by one."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bezant.errors import AmountError
from bezant.interfaces.files import CardMapping
from bezant.interfaces.files.columns import read_amounts
from bezant.model.money import parse_minor, render_minor

MAPPING = CardMapping(time="t", debtor="d", creditor="c", amount="a")


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1))
def test_rendered_amounts_come_back(minors: list[int]) -> None:
    column = pl.Series("a", [render_minor(minor, 2) for minor in minors])
    assert read_amounts(column, MAPPING, 1).tolist() == minors


@given(st.lists(st.integers(0, 10**13), min_size=1))
def test_floats_of_cents_come_back(minors: list[int]) -> None:
    column = pl.Series("a", [minor / 100 for minor in minors])
    assert read_amounts(column, MAPPING, 1).tolist() == minors


@given(st.from_regex(r"-?[0-9]{0,21}(\.[0-9]{0,4})?(e[0-9])?", fullmatch=True).filter(bool))
def test_a_column_accepts_what_one_amount_accepts(text: str) -> None:
    column = pl.Series("a", [text])
    try:
        expected = parse_minor(text, 2)
    except AmountError as problem:
        code = problem.code
    else:
        assert read_amounts(column, MAPPING, 1).tolist() == [expected]
        return
    digits = text.replace(".", "").lstrip("0")
    if len(digits) > 15 and code == "amount_over_precise":
        return
    with pytest.raises(AmountError) as caught:
        read_amounts(column, MAPPING, 1)
    assert caught.value.code == code
