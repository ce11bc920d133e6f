"""Amounts and control sums of messages: exact decimal strings, never floats."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bezant.errors import AmountError, InputError
from bezant.interfaces.iso20022.documents import Leaves, describe_place
from bezant.model.currencies import check_currency, currency_scale
from bezant.model.money import parse_minor

_SUM_DECIMALS = 18
_SUM = re.compile(r"\+?([0-9]{0,40})(?:\.([0-9]{0,18}))?", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class StatedAmount:
    """An amount as a message states it; `transfer_currency` is set when another one is to arrive."""

    text: str
    currency: str
    transfer_currency: str = ""


def read_amount(leaves: Leaves, path: str, scales: Mapping[str, int]) -> StatedAmount:
    """Return the InstdAmt or EqvtAmt below `path`/Amt.

    `scales` names the decimals of assets that are not ISO 4217 currencies. Raises: AmountError
    (``amount_missing``, ``amount_malformed``, ``amount_negative``, ``amount_over_precise``,
    ``amount_too_large``, ``amount_zero``) and InputError (``currency_malformed``).
    """
    for tail in ("Amt/InstdAmt", "Amt/EqvtAmt/Amt"):
        written = leaves.first(tail)
        if written or leaves.holds(tail):
            place = describe_place(f"{path}/{tail}", leaves.line)
            currency = check_currency(leaves.first(f"{tail}/@Ccy"), param=f"{place}/@Ccy")
            text = _check_amount(written, scales.get(currency, currency_scale(currency)), place)
            return StatedAmount(text, currency, _transfer_currency(leaves, path))
    place = describe_place(f"{path}/Amt", leaves.line)
    raise AmountError(
        f"{place}: there is no InstdAmt and no EqvtAmt; state the amount", code="amount_missing", param=place
    )


def _transfer_currency(leaves: Leaves, path: str) -> str:
    code = leaves.first("Amt/EqvtAmt/CcyOfTrf")
    return check_currency(code, param=f"{path}/Amt/EqvtAmt/CcyOfTrf") if code else ""


def _check_amount(written: str, scale: int, place: str) -> str:
    # XML Schema allows ".50" and "5."; everything after this reader sees 0.50 and 5.
    text = f"0{written}" if written.startswith(".") else written.removesuffix(".")
    try:
        minor = parse_minor(text, scale, param=place)
    except AmountError as problem:
        raise AmountError(f"{place}: {problem.message}", code=problem.code, param=place) from None
    if minor == 0:
        raise AmountError(f"{place}: the amount is zero; nothing to pay", code="amount_zero", param=place)
    return text


class Tally:
    """Counts and sums payments while they are read, and compares with what the message declared."""

    __slots__ = ("_declared_total", "_place", "_total", "count", "declared_count", "declared_sum")

    def __init__(self, leaves: Leaves, place: str) -> None:
        self._place = place
        self._total = 0
        self.count = 0
        self.declared_count = leaves.first("NbOfTxs")
        self.declared_sum = leaves.first("CtrlSum")
        if self.declared_count and _COUNT.fullmatch(self.declared_count) is None:
            raise InputError(
                f"{place}/NbOfTxs {self.declared_count[:32]!r} is not a count",
                code="count_malformed",
                param=f"{place}/NbOfTxs",
            )
        self._declared_total = _exact(self.declared_sum, place) if self.declared_sum else None

    def add(self, amount: str) -> None:
        self.count += 1
        self._total += _exact(amount, self._place)

    @property
    def is_complete(self) -> bool:
        """Whether both a count and a sum were declared."""
        return bool(self.declared_count) and self._declared_total is not None

    def repeats(self, other: Tally) -> bool:
        """Whether both declare the same count and the same sum."""
        return (
            self.is_complete
            and other.is_complete
            and int(self.declared_count) == int(other.declared_count)
            and self._declared_total == other._declared_total
        )

    def check(self) -> None:
        """Raises: InputError ``count_mismatch`` or ``control_sum_mismatch``."""
        if self.declared_count and int(self.declared_count) != self.count:
            raise InputError(
                f"{self._place}/NbOfTxs says {self.declared_count} and there are {self.count} payments",
                code="count_mismatch",
                param=f"{self._place}/NbOfTxs",
            )
        if self._declared_total is not None and self._declared_total != self._total:
            raise InputError(
                f"{self._place}/CtrlSum says {self.declared_sum} and the amounts add up to "
                f"{_render(self._total)}; a payment was changed, added or lost on the way",
                code="control_sum_mismatch",
                param=f"{self._place}/CtrlSum",
            )


def _exact(text: str, place: str) -> int:
    """Return a decimal as an integer count of 10**-18."""
    match = _SUM.fullmatch(text)
    if match is None or not (match.group(1) or match.group(2)):
        raise InputError(
            f"{place}/CtrlSum {text[:48]!r} is not a plain decimal",
            code="control_sum_malformed",
            param=f"{place}/CtrlSum",
        )
    return int((match.group(1) or "0") + (match.group(2) or "").ljust(_SUM_DECIMALS, "0"))


def _render(total: int) -> str:
    whole, fraction = divmod(total, 10**_SUM_DECIMALS)
    decimals = str(fraction).rjust(_SUM_DECIMALS, "0").rstrip("0")
    return f"{whole}.{decimals.ljust(2, '0')}"
