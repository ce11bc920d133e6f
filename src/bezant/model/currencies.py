"""How many decimals the currencies of ISO 4217 have.

Source: ISO 4217, list one, column "minor unit". Two is the rule; the table holds the exceptions.
"""

from __future__ import annotations

import re

from bezant.errors import InputError

USUAL_SCALE = 2

_CODE = re.compile(r"[A-Z]{3}", re.ASCII)
_WITHOUT_MINOR = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_WITH_THREE = "BHD IQD JOD KWD LYD OMR TND"
_WITH_FOUR = "CLF UYW"
_EXCEPTIONS: dict[str, int] = {
    code: scale
    for codes, scale in ((_WITHOUT_MINOR, 0), (_WITH_THREE, 3), (_WITH_FOUR, 4))
    for code in codes.split()
}


def currency_scale(code: str) -> int:
    """Return the decimals of a currency; a code outside the table has two.

    >>> currency_scale("JPY"), currency_scale("EUR")
    (0, 2)
    """
    return _EXCEPTIONS.get(code, USUAL_SCALE)


def check_currency(code: str, *, param: str = "currency") -> str:
    """Return the code if it has the form of ISO 4217, three capital letters.

    Raises: InputError with code ``currency_malformed``.
    """
    if _CODE.fullmatch(code) is None:
        shown = code if len(code) <= 16 else code[:13] + "..."
        raise InputError(
            f"{param}: currency {shown!r} is not three capital letters such as EUR",
            code="currency_malformed",
            param=param,
        )
    return code
