"""Columns of a file become exact integers; the first value that cannot is named by row and column.

A float in a file is rendered as the shortest decimal that reads back as the same float, which is
what its writer meant, and that decimal is parsed: no arithmetic is ever done on it. A float that
carries the noise of someone else's arithmetic is rendered with the digits a float can be trusted with.
"""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bezant.errors import AmountError, InputError
from bezant.interfaces.files.mapping import NS_PER_UNIT, CardMapping
from bezant.model.money import U64_MAX, parse_minor

I64_MAX = 2**63 - 1

FLOAT64_DIGITS = 15
FLOAT32_DIGITS = 6
"""Decimal digits that survive a round trip (IEEE 754: DBL_DIG, FLT_DIG)."""

_ISO = (
    r"^(?P<day>\d{4}-\d{2}-\d{2})(?:[T ](?P<clock>\d{2}:\d{2}(?::\d{2})?)(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?$"
)


_LONG_DECIMAL = re.compile(r"([0-9]{1,15})\.([0-9]{1,40})", re.ASCII)


def refuse_first(bad: pl.Series, column: pl.Series, first_row: int, code: str, reason: str) -> None:
    """Raise for the first row that is marked bad, if one is.

    Raises: AmountError for codes that begin with ``amount``, else InputError.
    """
    if not bad.any():
        return
    index = bad.fill_null(True).arg_max()
    if index is None:
        return
    value = column[index]
    shown = "an empty cell" if value is None or value == "" else repr(value)[:48]
    kind = AmountError if code.startswith("amount") else InputError
    raise kind(
        f"row {first_row + index}, column {column.name!r}: {shown} {reason}", code=code, param=column.name
    )


def read_amounts(column: pl.Series, mapping: CardMapping, first_row: int) -> NDArray[np.uint64]:
    """Return amount_minor (rows,) uint64; zero is let through, for card checks are worth nothing.

    Raises: AmountError (``amount_missing``, ``amount_negative``, ``amount_malformed``,
    ``amount_over_precise``, ``amount_too_large``).
    """
    refuse_first(column.is_null(), column, first_row, "amount_missing", "is no amount")
    if column.dtype.is_integer():
        refuse_first(column < 0, column, first_row, "amount_negative", "is negative")
        if mapping.amount_unit == "minor":
            return column.cast(pl.UInt64).to_numpy()
    scale = 0 if mapping.amount_unit == "minor" else mapping.scale
    texts = _decimal_texts(column)
    return _parse_minor_column(texts, column, scale, first_row)


def _decimal_texts(column: pl.Series) -> pl.Series:
    """Return each value written out as a decimal; floats as the shortest one that reads back the same."""
    texts = column.cast(pl.String).str.strip_chars()
    if column.dtype.is_float():
        exponents = texts.str.contains("e", literal=True).arg_true()
        texts = _rewritten(texts, exponents, [_without_exponent(texts[index]) for index in exponents])
    return texts


def _without_exponent(text: str) -> str:
    return format(Decimal(text), "f")


def _rewritten(texts: pl.Series, places: pl.Series, replacements: list[str]) -> pl.Series:
    return texts.scatter(places, replacements) if replacements else texts


def _parse_minor_column(
    texts: pl.Series, column: pl.Series, scale: int, first_row: int
) -> NDArray[np.uint64]:
    minor = _minor_or_null(texts, scale)
    if minor.null_count():
        digits = FLOAT32_DIGITS if column.dtype == pl.Float32 else FLOAT64_DIGITS
        places = minor.is_null().arg_true()
        texts = _rewritten(texts, places, [_without_noise(texts[index], digits, scale) for index in places])
        minor = _minor_or_null(texts, scale)
    return _parse_one_by_one(texts, column, scale, first_row) if minor.null_count() else minor.to_numpy()


def _without_noise(text: str, digits: int, scale: int) -> str:
    """Return the decimal that a float certainly carries: 57.160000000000004 was 57.16 before arithmetic.

    A text of no more digits than a float can be trusted with is no such noise, and one whose
    trusted digits end before the last minor unit is left to be refused.
    """
    match = _LONG_DECIMAL.fullmatch(text)
    if match is None:
        return text
    whole, fraction = match.group(1).lstrip("0"), match.group(2)
    if len(whole) + len(fraction) <= digits or len(whole) + scale > digits:
        return text
    return _without_exponent(f"{Decimal(text):.{digits}g}")


def _minor_or_null(texts: pl.Series, scale: int) -> pl.Series:
    """Return minor units (rows,) uint64, null where a text is not a plain decimal that fits."""
    plain = texts.str.contains(r"^[0-9]{1,19}(\.[0-9]{1,18})?$")
    parts = texts.str.splitn(".", 2).struct
    fraction = parts.field("field_1").fill_null("")
    tail_is_zero = fraction.str.slice(scale).str.strip_chars("0") == ""
    digits = parts.field("field_0") + fraction.str.slice(0, scale).str.pad_end(scale, "0")
    minor = digits.cast(pl.UInt64, strict=False)
    return minor.set(~(plain & tail_is_zero), None)


def _parse_one_by_one(texts: pl.Series, column: pl.Series, scale: int, first_row: int) -> NDArray[np.uint64]:
    """Parse with the rules of `parse_minor`, whose error says what is wrong with the value."""
    minor = np.zeros(len(texts), dtype=np.uint64)
    for index, text in enumerate(texts):
        try:
            minor[index] = parse_minor(text, scale, param=column.name)
        except AmountError as problem:
            row = first_row + index
            raise AmountError(
                f"row {row}, column {column.name!r}: {problem.message}", code=problem.code, param=column.name
            ) from None
    return minor


def read_times(column: pl.Series, mapping: CardMapping, first_row: int) -> NDArray[np.int64]:
    """Return time_ns (rows,) int64 since 1970. Raises: InputError (``time_missing``, ``time_malformed``,
    ``time_out_of_range``)."""
    refuse_first(column.is_null(), column, first_row, "time_missing", "is no time")
    if column.dtype == pl.Datetime or column.dtype == pl.Date:
        return _from_datetimes(column, first_row)
    if mapping.time_unit == "text":
        return _from_text(column, first_row)
    return _from_counts(column, mapping, first_row)


def _from_datetimes(column: pl.Series, first_row: int) -> NDArray[np.int64]:
    counts = column.cast(pl.Datetime("us")) if column.dtype == pl.Date else column
    unit = counts.dtype.time_unit if isinstance(counts.dtype, pl.Datetime) else "us"
    return _scaled(counts.to_physical(), column, NS_PER_UNIT[unit or "us"], 0, first_row)


def _from_counts(column: pl.Series, mapping: CardMapping, first_row: int) -> NDArray[np.int64]:
    step = NS_PER_UNIT[mapping.time_unit]
    reason = f"is no count of {mapping.time_unit}; if the column holds ISO text set time_unit='text'"
    if column.dtype.is_integer():
        counts = column.cast(pl.Int64, strict=False)
    elif column.dtype.is_float() or column.dtype == pl.String:
        # Fractions of a second are exact as counts of nanoseconds only, so they go through text too.
        return _from_decimal_counts(column, step, mapping.epoch_ns(), first_row, reason)
    else:
        raise _wrong_type(column, "time", "integers, text or date-times")
    refuse_first(counts.is_null(), column, first_row, "time_out_of_range", "is outside 64 bits")
    return _scaled(counts, column, step, mapping.epoch_ns(), first_row)


def _from_decimal_counts(
    column: pl.Series, step: int, epoch_ns: int, first_row: int, reason: str
) -> NDArray[np.int64]:
    texts = _decimal_texts(column)
    plain = texts.str.contains(r"^-?[0-9]{1,19}(\.[0-9]{1,18})?$")
    refuse_first(~plain, column, first_row, "time_malformed", reason)
    parts = texts.str.splitn(".", 2).struct
    counts = parts.field("field_0").cast(pl.Int64, strict=False)
    refuse_first(counts.is_null(), column, first_row, "time_out_of_range", "is outside 64 bits")
    fractions = parts.field("field_1").fill_null("").str.slice(0, 9).str.pad_end(9, "0").cast(pl.Int64)
    whole_ns = _scaled(counts, column, step, epoch_ns, first_row)
    # step <= 8.64e13 and a fraction < 1e9: the product needs splitting to stay inside 64 bits.
    billion = 1_000_000_000
    values = fractions.to_numpy()
    extra = values * (step // billion) + values * (step % billion) // billion
    sign = np.where(texts.str.starts_with("-").to_numpy(), np.int64(-1), np.int64(1))
    return whole_ns + sign * extra


def _scaled(
    counts: pl.Series, column: pl.Series, step: int, offset_ns: int, first_row: int
) -> NDArray[np.int64]:
    low = -((I64_MAX + offset_ns) // step) if offset_ns < 0 else -(I64_MAX // step)
    high = (I64_MAX - max(offset_ns, 0)) // step - 1
    outside = (counts < low + 1) | (counts > high)
    refuse_first(
        outside,
        column,
        first_row,
        "time_out_of_range",
        "is outside the years 1677 to 2262; check the time unit",
    )
    return counts.to_numpy().astype(np.int64) * np.int64(step) + np.int64(offset_ns)


def _from_text(column: pl.Series, first_row: int) -> NDArray[np.int64]:
    if column.dtype != pl.String:
        raise _wrong_type(column, "time", "ISO text; set time_unit to s, ms, us or ns for counts")
    fields = column.str.strip_chars().str.extract_groups(_ISO).struct
    clock = fields.field("clock").fill_null("00:00").str.replace(r"^(.{5})$", "${1}:00")
    moment = (fields.field("day") + " " + clock).str.to_datetime(
        "%Y-%m-%d %H:%M:%S", time_unit="us", strict=False
    )
    reason = "is no time such as 2018-04-01 12:30:00; set time_unit if the column counts seconds"
    refuse_first(moment.is_null(), column, first_row, "time_malformed", reason)
    zone = fields.field("zone").fill_null("Z").replace("Z", "+00:00").str.replace(":", "", literal=True)
    hours = zone.str.slice(0, 3).cast(pl.Int64)
    minutes = zone.str.slice(3).replace("", "0").cast(pl.Int64)
    sign = pl.select(pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)).to_series()
    offset_us = (hours * 60 + sign * minutes) * 60_000_000
    fraction = fields.field("fraction").fill_null("").str.pad_end(9, "0").cast(pl.Int64)
    whole_ns = _scaled(moment.to_physical() - offset_us, column, 1_000, 0, first_row)
    return whole_ns + fraction.to_numpy()


def read_labels(column: pl.Series, first_row: int) -> NDArray[np.uint8]:
    """Return labels (rows,) uint8, 0 or 1. Raises: InputError ``label_malformed``."""
    numbers = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    numbers = numbers.replace({"true": "1", "false": "0", "1.0": "1", "0.0": "0"})
    bad = ~numbers.is_in(["0", "1"])
    refuse_first(bad.fill_null(True), column, first_row, "label_malformed", "is neither 0 nor 1")
    return numbers.cast(pl.UInt8).to_numpy()


def read_keys(column: pl.Series, first_row: int) -> pl.Series:
    """Return keys as text or integers, none missing or empty. Raises: InputError ``key_missing``."""
    if not (column.dtype.is_integer() or column.dtype == pl.String):
        if not column.dtype.is_float():
            raise _wrong_type(column, "key", "integers or text")
        # An integer column with a gap becomes floats in many tools: 17.0 is the key 17.
        column = column.cast(pl.String).str.strip_suffix(".0").alias(column.name)
    bad = column.is_null()
    if column.dtype == pl.String:
        column = column.str.strip_chars()
        bad = bad | (column == "")
    refuse_first(bad, column, first_row, "key_missing", "names nobody")
    return column


def _wrong_type(column: pl.Series, role: str, wanted: str) -> InputError:
    return InputError(
        f"column {column.name!r} has type {column.dtype}, and a {role} needs {wanted}",
        code=f"{role}_malformed",
        param=column.name,
    )


__all__ = ["I64_MAX", "U64_MAX", "read_amounts", "read_keys", "read_labels", "read_times", "refuse_first"]
