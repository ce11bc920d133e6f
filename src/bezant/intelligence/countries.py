"""Countries of parties as numbers, so that rules can ask about whole columns: two letters, one byte each."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = 0
"""A party that names no country, or none of two letters."""


def country_code(country: str) -> int:
    """Return the number of an ISO 3166-1 alpha-2 code, UNKNOWN for any other text.

    >>> hex(country_code("DE")), country_code("Germany")
    ('0x4445', 0)
    """
    if len(country) != 2 or not (country.isascii() and country.isalpha() and country.isupper()):
        return UNKNOWN
    return ord(country[0]) << 8 | ord(country[1])
