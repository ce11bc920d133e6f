"""Checked integer money.

An amount is an unsigned 64-bit count of an asset's minor units. Text becomes an amount
exactly, digit by digit; a float never takes part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bezant.errors import AmountError

U64_MAX = 2**64 - 1
MAX_SCALE = 9

_DECIMAL = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,18}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asset:
    """What is held: a code of 1–8 capitals or digits, and how many decimals it carries.

    `number` is the u32 that records use; it is assigned by the ledger's genesis.
    """

    number: int
    code: str
    scale: int

    def __str__(self) -> str:
        return f"{self.code}/{self.scale}"


def parse_minor(text: str, scale: int, *, param: str = "amount") -> int:
    """Return the minor units of a decimal string.

    Trailing zeros beyond the scale are accepted, other digits there are not.
    Raises: AmountError for signs, exponents, over-precision, or above 2**64 - 1.

    >>> parse_minor("12.5", 2)
    1250
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        negative = text.startswith("-")
        code = "amount_negative" if negative else "amount_malformed"
        shown = text if len(text) <= 32 else text[:29] + "..."
        raise AmountError(
            f"amount {shown!r} is not a plain positive decimal; write it like 12.50",
            code=code,
            param=param,
        )
    whole, fraction = match.group(1), match.group(2) or ""
    if fraction[scale:].strip("0"):
        raise AmountError(
            f"amount {text!r} has more than {scale} decimals, the finest this asset has",
            code="amount_over_precise",
            param=param,
        )
    minor = int(whole + fraction[:scale].ljust(scale, "0"))
    if minor > U64_MAX:
        raise AmountError(
            f"amount {text!r} is above {U64_MAX} minor units", code="amount_too_large", param=param
        )
    return minor


def render_minor(minor: int, scale: int) -> str:
    """Return minor units as a decimal string with all decimals of the asset; may be negative.

    >>> render_minor(-1250, 2)
    '-12.50'
    """
    sign = "-" if minor < 0 else ""
    digits = str(abs(minor)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"
