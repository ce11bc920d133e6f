"""Options that name columns: all that are needed, or none, and never one that is passed over in silence."""

from __future__ import annotations

import pytest

from bezant.errors import ConfigError
from bezant.interfaces.cli.columns import mapping_of
from bezant.interfaces.files.mapping import CardMapping

COLUMNS = {"time": "at", "debtor": "card", "creditor": "shop", "amount": "eur"}


def test_columns_are_named_with_or_without_their_decimals() -> None:
    assert mapping_of("", None, **COLUMNS) == CardMapping("at", "card", "shop", "eur")
    assert mapping_of("", 0, **COLUMNS) == CardMapping("at", "card", "shop", "eur", scale=0)


def test_without_any_the_ready_mapping_is_meant_or_the_one_that_fits() -> None:
    assert mapping_of("handbook", None, time="", amount="") == "handbook"
    assert mapping_of("", None, time="", amount="") is None


@pytest.mark.parametrize(("columns", "scale"), [({"time": "at"}, None), ({}, 3)])
def test_a_part_of_them_is_refused_with_what_is_missing(columns: dict[str, str], scale: int | None) -> None:
    with pytest.raises(ConfigError, match="debtor, creditor, amount"):
        mapping_of("", scale, **columns)


@pytest.mark.parametrize(("columns", "scale", "named"), [(COLUMNS, None, "--debtor"), ({}, 3, "--scale")])
def test_a_ready_mapping_beside_them_is_refused(
    columns: dict[str, str], scale: int | None, named: str
) -> None:
    with pytest.raises(ConfigError, match=named) as refused:
        mapping_of("handbook", scale, **columns)
    assert refused.value.param == "mapping"
