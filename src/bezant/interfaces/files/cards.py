"""Card payments from a Parquet or CSV file, in columns, batch by batch, in bounded memory.

Batches come in the order of time, which everything downstream needs. A file that is not sorted is
refused with the row that shows it; ``sort=True`` sorts it first, in memory, up to `SORT_ROWS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bezant.errors import DecodeError, InputError
from bezant.interfaces.files.columns import read_amounts, read_keys, read_labels, read_times
from bezant.interfaces.files.mapping import READY_MAPPINGS, CardMapping, detect_mapping

BATCH_ROWS = 65_536
SORT_ROWS = 20_000_000
SEPARATORS = ",;\t|"

# A damaged Parquet file can make the reader panic; the file is at fault, so it is an ordinary error.
_UNDECODABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


class KeyIndex:
    """Keys in the order they were first seen; a key's code is its position, and never changes."""

    __slots__ = ("_codes", "keys")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._codes: dict[str | int, int] = {}

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, code: int) -> str:
        return self.keys[code]

    def encode(self, column: pl.Series) -> NDArray[np.uint32]:
        """Return the codes (rows,) uint32 of a column of integers or text, adding what is new."""
        distinct = column.unique(maintain_order=True)
        codes = self._codes
        for key in distinct:
            if key not in codes:
                codes[key] = len(self.keys)
                self.keys.append(str(key))
        numbers = pl.Series([codes[key] for key in distinct], dtype=pl.UInt32)
        return column.replace_strict(distinct, numbers, return_dtype=pl.UInt32).to_numpy()


@dataclass(frozen=True, slots=True)
class CardBatch:
    """Card payments in columns, sorted by time.

    `row` counts data rows from 1 as in the file; `debtor` and `creditor` are codes into the file's
    `debtors` and `creditors`, two separate lists, for customer 5 is not terminal 5.
    """

    row: NDArray[np.int64]
    debtor: NDArray[np.uint32]
    creditor: NDArray[np.uint32]
    amount_minor: NDArray[np.uint64]
    time_ns: NDArray[np.int64]
    label: NDArray[np.uint8] | None
    id: tuple[str, ...] | None

    def __len__(self) -> int:
        return len(self.row)

    def head(self, count: int) -> CardBatch:
        """Return the first `count` payments; the columns are views."""
        return _taken(self, slice(0, count))


class CardFile:
    """A file of card payments; iterate for its `CardBatch`es, as often as wanted.

    `mapping` is a `CardMapping`, the name of a ready one, or nothing to find one by column names.
    Raises: DecodeError for a file that is neither Parquet nor CSV or lacks a column, InputError
    while iterating, naming row, column and value.
    """

    def __init__(
        self,
        path: Path,
        mapping: CardMapping | str | None = None,
        *,
        batch_rows: int = BATCH_ROWS,
        sort: bool = False,
        separator: str = "",
    ) -> None:
        if batch_rows < 1:
            raise InputError(f"batch_rows is {batch_rows}; at least 1", param="batch_rows")
        self.path = path
        self.debtors = KeyIndex()
        self.creditors = KeyIndex()
        self._batch_rows = batch_rows
        self._sort = sort
        self._frame = _scan(path, separator)
        present = _names(self._frame, path)
        self.mapping = _choose(mapping, present)
        _check_columns(self.mapping, present, path)
        # Reading the last column too makes a row with too many cells an error: "12,50" is not 12.
        self._read_names = list(dict.fromkeys((*self.mapping.columns().values(), present[-1])))
        self._rows: int | None = None

    @property
    def rows(self) -> int:
        """How many payments the file holds: from the Parquet footer, or by counting CSV lines once."""
        if self._rows is None:
            try:
                self._rows = int(self._frame.select(pl.len()).collect().item())
            except _UNDECODABLE as problem:
                raise _undecodable(self.path, problem) from problem
        return self._rows

    def __iter__(self) -> Iterator[CardBatch]:
        return self._sorted() if self._sort else self._in_file_order()

    def _in_file_order(self) -> Iterator[CardBatch]:
        latest = np.iinfo(np.int64).min
        for batch in self._batches():
            times = batch.time_ns
            back = np.flatnonzero(times[1:] < times[:-1])
            if len(times) and (times[0] < latest or len(back)):
                index = 0 if times[0] < latest else int(back[0]) + 1
                raise InputError(
                    f"row {int(batch.row[index])}, column {self.mapping.time!r}: earlier than the row "
                    "before; sort the file by time, or replay it with --sort",
                    code="rows_unsorted",
                    param=self.mapping.time,
                )
            if len(times):
                latest = times[-1]
            yield batch

    def _batches(self) -> Iterator[CardBatch]:
        first_row = 1
        for frame in _frames(self._frame.select(self._read_names), self._batch_rows, self.path):
            yield self._convert(frame, first_row)
            first_row += frame.height

    def _convert(self, frame: pl.DataFrame, first_row: int) -> CardBatch:
        names = self.mapping
        return CardBatch(
            row=np.arange(first_row, first_row + frame.height, dtype=np.int64),
            debtor=self.debtors.encode(read_keys(frame[names.debtor], first_row)),
            creditor=self.creditors.encode(read_keys(frame[names.creditor], first_row)),
            amount_minor=read_amounts(frame[names.amount], names, first_row),
            time_ns=read_times(frame[names.time], names, first_row),
            label=read_labels(frame[names.label], first_row) if names.label else None,
            id=_texts(read_keys(frame[names.id], first_row)) if names.id else None,
        )

    def _sorted(self) -> Iterator[CardBatch]:
        if self.rows > SORT_ROWS:
            raise InputError(
                f"{self.path} has {self.rows} rows; at most {SORT_ROWS} are sorted in memory: sort the file",
                code="too_many_rows_to_sort",
            )
        batches = list(self._batches())
        if not batches:
            return
        whole = _joined(batches)
        order = np.argsort(whole.time_ns, kind="stable")
        for start in range(0, len(order), self._batch_rows):
            yield _taken(whole, order[start : start + self._batch_rows])


def _scan(path: Path, separator: str) -> pl.LazyFrame:
    try:
        with path.open("rb") as stream:
            head = stream.read(65_536)
    except OSError as problem:
        raise InputError(
            f"{path} cannot be read: {problem.strerror or problem}; check the path and its permissions",
            code="file_unreadable",
        ) from problem
    if head.startswith(b"PAR1"):
        return pl.scan_parquet(path, glob=False)
    if path.suffix.lower() in (".parquet", ".pq"):
        raise DecodeError(f"{path} does not begin like a Parquet file; it may be cut off or something else")
    header = head.splitlines()[0].decode("utf-8", "replace") if head else ""
    chosen = separator or max(SEPARATORS, key=header.count)
    # Every column is read as text: a guessed type would round amounts before anyone looked at them.
    return pl.scan_csv(path, infer_schema=False, separator=chosen, glob=False)


def _names(frame: pl.LazyFrame, path: Path) -> list[str]:
    try:
        return frame.collect_schema().names()
    except _UNDECODABLE as problem:
        raise _undecodable(path, problem) from problem


def _choose(mapping: CardMapping | str | None, present: list[str]) -> CardMapping:
    if mapping is None:
        return detect_mapping(present)
    if isinstance(mapping, CardMapping):
        return mapping
    if mapping not in READY_MAPPINGS:
        raise InputError(
            f"there is no mapping {mapping!r}; ready are {', '.join(READY_MAPPINGS)}",
            code="mapping_unknown",
            param="mapping",
        )
    return READY_MAPPINGS[mapping]


def _check_columns(mapping: CardMapping, present: list[str], path: Path) -> None:
    for role, name in mapping.columns().items():
        if name not in present:
            raise DecodeError(
                f"{path} has no column {name!r} for {role}; it has {', '.join(present)}: "
                f"set {role}=... in the CardMapping",
                code="column_missing",
                param=role,
            )


def _frames(frame: pl.LazyFrame, rows: int, path: Path) -> Iterator[pl.DataFrame]:
    try:
        yield from frame.collect_batches(chunk_size=rows, maintain_order=True, lazy=True)
    except _UNDECODABLE as problem:
        raise _undecodable(path, problem) from problem


def _undecodable(path: Path, problem: BaseException) -> DecodeError:
    reason = str(problem).strip().partition("\n")[0]
    return DecodeError(f"{path} cannot be decoded: {reason}")


def _texts(column: pl.Series) -> tuple[str, ...]:
    return tuple(column.cast(pl.String).to_list())


def _joined(batches: list[CardBatch]) -> CardBatch:
    labels = [batch.label for batch in batches if batch.label is not None]
    ids = [batch.id for batch in batches if batch.id is not None]
    return CardBatch(
        row=np.concatenate([batch.row for batch in batches]),
        debtor=np.concatenate([batch.debtor for batch in batches]),
        creditor=np.concatenate([batch.creditor for batch in batches]),
        amount_minor=np.concatenate([batch.amount_minor for batch in batches]),
        time_ns=np.concatenate([batch.time_ns for batch in batches]),
        label=np.concatenate(labels) if labels else None,
        id=tuple(text for part in ids for text in part) if ids else None,
    )


def _taken(whole: CardBatch, order: NDArray[np.intp] | slice) -> CardBatch:
    return CardBatch(
        row=whole.row[order],
        debtor=whole.debtor[order],
        creditor=whole.creditor[order],
        amount_minor=whole.amount_minor[order],
        time_ns=whole.time_ns[order],
        label=None if whole.label is None else whole.label[order],
        id=None if whole.id is None else _picked(whole.id, order),
    )


def _picked(texts: tuple[str, ...], order: NDArray[np.intp] | slice) -> tuple[str, ...]:
    return texts[order] if isinstance(order, slice) else tuple(texts[index] for index in order)


__all__ = ["BATCH_ROWS", "SORT_ROWS", "CardBatch", "CardFile", "KeyIndex"]
