"""The conditions of configured rules: one line of text each, read once, asked of whole columns.

======================================  ========================================================
``amount >= 5000.00 EUR``               the payment's amount, exactly, where it is in that asset
``sent_count_1h >= 5``                  any feature, in the units that people count in (`units`)
``creditor in lists/closed.txt``        account ids of a file, one a line; ``debtor`` likewise
``creditor_party in lists/staff.txt``   numbers of parties; ``debtor_party`` likewise
``creditor_country in lists/far.txt``   countries of parties, ISO 3166-1 alpha-2; ``debtor_country``
======================================  ========================================================

``not in`` is the opposite of ``in``: it holds too for a party that names no country. Comparisons are
``<  <=  =  >=  >``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bezant.errors import BezantError, ConfigError
from bezant.intelligence.countries import country_code
from bezant.intelligence.features import COLUMN, FloatMatrix
from bezant.intelligence.units import as_feature
from bezant.model.genesis import GenesisAsset
from bezant.model.identifiers import parse_account_id, words
from bezant.model.money import parse_minor
from bezant.model.records import RecordArray

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules may ask about n payments: RECORD rows, features (n, F), and each side's party and country
    (n,), 0 where an account has none."""

    records: RecordArray
    x: FloatMatrix
    debtor_party: npt.NDArray[np.uint32]
    creditor_party: npt.NDArray[np.uint32]
    debtor_country: npt.NDArray[np.uint16]
    creditor_country: npt.NDArray[np.uint16]


Condition = Callable[[Facts], Mask]
Lists = Mapping[str, Sequence[str]]
"""The lines of each list, by the path that conditions name it by."""

_COMPARED: Final[dict[str, Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    "=": np.equal,
    ">=": np.greater_equal,
    ">": np.greater,
}
_COMPARISON: Final = re.compile(r"(\w+) *(<=|>=|<|>|=) *([-0-9.e+]+)(?: +([A-Z0-9]{2,12}))?")
_MEMBERSHIP: Final = re.compile(r"(debtor|creditor)(_party|_country)? +(not +)?in +(\S.*)")


def list_in(text: str) -> str | None:
    """Return the path of the list that a condition names, None where it names none."""
    found = _MEMBERSHIP.fullmatch(text.strip())
    return None if found is None else found[4]


def read_condition(text: str, assets: Sequence[GenesisAsset], lists: Lists) -> Condition:
    """Return a condition that answers for whole columns. Raises: ConfigError that says what is wrong."""
    member = _MEMBERSHIP.fullmatch(text.strip())
    if member is not None:
        side, what, opposite, path = member.groups()
        read = {"_party": _of_parties, "_country": _of_countries, None: _of_accounts}[what]
        return read(side, lists[path], bool(opposite), path)
    compared = _COMPARISON.fullmatch(text.strip())
    if compared is None:
        raise ConfigError(
            f"{text!r} is no condition; write one like 'amount >= 5000.00 EUR', 'sent_count_1h >= 5' or "
            "'creditor in lists/closed.txt'"
        )
    name, sign, number, asset = compared.groups()
    if asset is not None:
        return _of_amount(name, sign, number, asset, assets)
    return _of_feature(name, sign, number)


def _of_amount(name: str, sign: str, number: str, code: str, assets: Sequence[GenesisAsset]) -> Condition:
    if name != "amount":
        raise ConfigError(f"only an amount is in an asset; write '{name} {sign} {number}' without {code}")
    position = next((place for place, asset in enumerate(assets, 1) if asset.code == code), None)
    if position is None:
        raise ConfigError(f"{code} is no asset of this network; it has {', '.join(a.code for a in assets)}")
    try:
        minor = np.uint64(parse_minor(number, assets[position - 1].scale))
    except BezantError as error:
        raise ConfigError(error.message) from None
    compare = _COMPARED[sign]

    def holds(facts: Facts) -> Mask:
        found: Mask = (facts.records["asset"] == position) & compare(facts.records["amount"], minor)
        return found

    return holds


def _of_feature(name: str, sign: str, number: str) -> Condition:
    if name not in COLUMN:
        raise ConfigError(f"{name!r} is no feature; 'bezant decisions show' lists them with their values")
    try:
        bound = np.float32(as_feature(name, float(number)))
    except ValueError:
        raise ConfigError(f"{number!r} is not a number") from None
    column, compare = COLUMN[name], _COMPARED[sign]

    def holds(facts: Facts) -> Mask:
        found: Mask = compare(facts.x[:, column], bound)
        return found

    return holds


def _of_accounts(side: str, lines: Sequence[str], opposite: bool, path: str) -> Condition:
    try:
        pairs = {words(parse_account_id(line)) for line in lines}
    except BezantError as error:
        raise ConfigError(f"{path}: {error.message}") from None
    low = np.array(sorted({pair[0] for pair in pairs}), np.uint64)

    def holds(facts: Facts) -> Mask:
        lo, hi = facts.records[f"{side}_lo"], facts.records[f"{side}_hi"]
        listed = np.isin(lo, low)
        # Few are left, and of those both halves are looked at.
        for row in np.flatnonzero(listed):
            listed[row] = (int(lo[row]), int(hi[row])) in pairs
        return ~listed if opposite else listed

    return holds


def _of_parties(side: str, lines: Sequence[str], opposite: bool, path: str) -> Condition:
    bad = next((line for line in lines if not line.isdecimal() or not 0 < int(line) < 2**32 - 1), None)
    if bad is not None:
        raise ConfigError(f"{path}: {bad!r} is not the number of a party")
    numbers = np.array(sorted({int(line) for line in lines}), np.uint32)

    def holds(facts: Facts) -> Mask:
        party = facts.debtor_party if side == "debtor" else facts.creditor_party
        return np.isin(party, numbers, invert=opposite)

    return holds


def _of_countries(side: str, lines: Sequence[str], opposite: bool, path: str) -> Condition:
    bad = next((line for line in lines if not country_code(line)), None)
    if bad is not None:
        raise ConfigError(f"{path}: {bad!r} is no country; write two capital letters, as DE")
    codes = np.array(sorted({country_code(line) for line in lines}), np.uint16)

    def holds(facts: Facts) -> Mask:
        country = facts.debtor_country if side == "debtor" else facts.creditor_country
        return np.isin(country, codes, invert=opposite)

    return holds
