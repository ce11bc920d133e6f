"""A list of sanctioned parties, and matching names against it.

Parties are matched when they are registered and when the list changes, never per payment. Bezant
ships no list: `Watchlist.empty()` is what screens until an operator configures one, and it finds
nobody.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from bezant.errors import ConfigError, DecodeError
from bezant.intelligence.name_index import NameIndex, TokenWeights
from bezant.intelligence.names import Name, normalise_name

Verdict = Literal["clear", "review", "block"]

SHORT_NAME_LETTERS = 8
SHORT_NAME_CAP = 92.0
"""A listed name of fewer letters (a nickname, a first name) never scores above this: it may be anybody."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One listed party with every name it goes by."""

    id: str
    name: str
    kind: str = ""
    aliases: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)


@dataclass(frozen=True, slots=True)
class Hit:
    """A listed name like the one asked for; `score` is 0 to 100."""

    entry_id: str
    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which score a party is reviewed by a person, and from which it is blocked.

    Figures of the second half of public test names against the 24,624 names of the OFAC (2021) and
    UN (2026) lists; the name rules were written with both halves in view. At 85, 98.8 % of 161
    misspelled and all of 341 unchanged listed names are found, and 0.075 % of 4,000 other people are
    reviewed. At 97 it is 86.3 %, 96.8 % (the rest are short names, see `SHORT_NAME_CAP`) and 0.025 %,
    one namesake.
    """

    review_at: float = 85.0
    block_at: float = 97.0

    def __post_init__(self) -> None:
        if not 0.0 < self.review_at <= self.block_at <= 100.0:
            raise ConfigError(
                f"thresholds review_at={self.review_at}, block_at={self.block_at} are not in order: "
                "0 < review_at <= block_at <= 100"
            )

    def verdict(self, hits: Sequence[Hit]) -> Verdict:
        best = max((hit.score for hit in hits), default=0.0)
        if best >= self.block_at:
            return "block"
        return "review" if best >= self.review_at else "clear"


DEFAULT_THRESHOLDS = Thresholds()


@dataclass(frozen=True, slots=True)
class ListColumns:
    """Which column of a CSV file is what: header names, or positions from 0 for a file without header.

    `aliases` holds several names in one cell, separated by `alias_separator`. Columns left empty are
    not read; without `id` the name itself is the identifier. Rows with the same id are one party.
    """

    name: str | int = "name"
    id: str | int = "id"
    kind: str | int = "kind"
    aliases: str | int = "aliases"
    alias_separator: str = ";"

    @property
    def has_header(self) -> bool:
        return isinstance(self.name, str)


@dataclass(frozen=True, slots=True)
class ListChange:
    """What differs between two versions of a list."""

    changed: tuple[Entry, ...]
    """New entries, and those that gained or lost a name."""
    removed_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Watchlist:
    """Entries with an index over all their names; `digest` is the SHA-256 of what was loaded."""

    entries: tuple[Entry, ...]
    version: str
    digest: str
    _index: NameIndex = field(repr=False, compare=False)
    _weights: TokenWeights = field(repr=False, compare=False)
    _owners: tuple[tuple[Entry, str, Name], ...] = field(repr=False, compare=False)

    @classmethod
    def empty(cls) -> Watchlist:
        """Return the list that finds nobody; whoever configures it must say so."""
        return cls.of((), version="empty", digest=hashlib.sha256(b"").hexdigest())

    @classmethod
    def of(
        cls, entries: Iterable[Entry], *, version: str, digest: str, weights: TokenWeights | None = None
    ) -> Watchlist:
        """Return a list of these entries; those with the same id become one."""
        merged = _merged(entries)
        owners = tuple(
            (entry, name, normalised)
            for entry in merged
            for name in dict.fromkeys(entry.names())
            if (normalised := normalise_name(name))
        )
        names = [normalised for _, _, normalised in owners]
        shared = weights or TokenWeights.of(names)
        return cls(merged, version, digest, NameIndex(names, shared), shared, owners)

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        columns: ListColumns | None = None,
        version: str = "",
        encoding: str = "utf-8-sig",
    ) -> Watchlist:
        """Return the list in a CSV file (``.csv``), or in a text file with one name a line.

        Lines of a text file that begin with ``#`` are comments. Raises: ConfigError for a file that
        cannot be read or lacks the name column, DecodeError for one in another encoding.
        """
        try:
            data = path.read_bytes()
        except OSError as problem:
            raise ConfigError(
                f"the watchlist {path} cannot be read: {problem.strerror or problem}", param=str(path)
            ) from problem
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as problem:
            raise DecodeError(
                f"the watchlist {path} is not {encoding}: {problem.reason} at byte {problem.start}; "
                "set its encoding"
            ) from problem
        digest = hashlib.sha256(data).hexdigest()
        is_csv = columns is not None or path.suffix.lower() == ".csv"
        entries = _csv_entries(text, columns or ListColumns(), path) if is_csv else _line_entries(text)
        return cls.of(entries, version=version or digest[:12], digest=digest)

    def __len__(self) -> int:
        return len(self.entries)

    def merged(self, other: Watchlist) -> Watchlist:
        """Return both lists as one; entries with the same id share their names."""
        digest = hashlib.sha256(f"{self.digest}{other.digest}".encode()).hexdigest()
        version = f"{self.version}+{other.version}"
        return Watchlist.of((*self.entries, *other.entries), version=version, digest=digest)

    def match(
        self, name: str, limit: int = 5, *, at_least: float = DEFAULT_THRESHOLDS.review_at
    ) -> list[Hit]:
        """Return the entries whose names are at least so alike, best first, one hit an entry."""
        query = normalise_name(name)
        hits: dict[str, Hit] = {}
        for score, position in self._index.find(query, at_least):
            entry, listed, normalised = self._owners[position]
            if sum(map(len, normalised)) < SHORT_NAME_LETTERS:
                score = min(score, SHORT_NAME_CAP)
            known = hits.get(entry.id)
            if score >= at_least and (known is None or score > known.score):
                hits[entry.id] = Hit(entry.id, listed, round(score, 2))
        return sorted(hits.values(), key=lambda hit: (-hit.score, hit.entry_id))[:limit]

    def changes_since(self, previous: Watchlist) -> ListChange:
        """Return what this version changed."""
        before = {entry.id: entry for entry in previous.entries}
        after = {entry.id for entry in self.entries}
        changed = tuple(
            entry
            for entry in self.entries
            if entry.id not in before or set(entry.names()) != set(before[entry.id].names())
        )
        return ListChange(changed, tuple(sorted(before.keys() - after)))

    def only(self, entries: Iterable[Entry]) -> Watchlist:
        """Return a list of these entries that scores as this one does.

        After a change every party is matched against ``new.only(new.changes_since(old).changed)``,
        which is small; parties whose hits name a changed or removed entry lose those hits first.
        """
        return Watchlist.of(entries, version=self.version, digest=self.digest, weights=self._weights)


@cache
def matching_digest() -> str:
    """Return what names the code by which names are compared: after an upgrade verdicts may differ."""
    digest = hashlib.sha256(version("rapidfuzz").encode())
    for name in ("names.py", "name_index.py", "watchlist.py"):
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()


def _merged(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    parties: dict[str, Entry] = {}
    for entry in entries:
        known = parties.get(entry.id)
        if known is None:
            parties[entry.id] = entry
        else:
            names = dict.fromkeys((*known.aliases, *entry.names()))
            names.pop(known.name, None)
            parties[entry.id] = Entry(known.id, known.name, known.kind or entry.kind, tuple(names))
    return tuple(parties.values())


def _line_entries(text: str) -> Iterator[Entry]:
    for line in text.splitlines():
        name = line.strip()
        if name and not name.startswith("#"):
            yield Entry(name, name)


def _csv_entries(text: str, columns: ListColumns, path: Path) -> Iterator[Entry]:
    rows = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [cell.strip() for cell in next(rows, [])] if columns.has_header else []
        name_at = _position(columns.name, header)
        if name_at is None:
            raise ConfigError(
                f"the watchlist {path} has no column {columns.name!r}; it has {', '.join(header)}: "
                "set the name column",
                param="name",
            )
        id_at, kind_at, aliases_at = (
            _position(column, header) for column in (columns.id, columns.kind, columns.aliases)
        )
        for row in rows:
            name = _cell(row, name_at)
            if name:
                aliases = _cell(row, aliases_at).split(columns.alias_separator)
                listed = tuple(alias.strip() for alias in aliases if alias.strip())
                yield Entry(_cell(row, id_at) or name, name, _cell(row, kind_at), listed)
    except csv.Error as problem:
        raise DecodeError(f"the watchlist {path}, line {rows.line_num}: {problem}") from problem


def _position(column: str | int, header: list[str]) -> int | None:
    if isinstance(column, int):
        return column
    return header.index(column) if column in header else None


def _cell(row: list[str], position: int | None) -> str:
    return row[position].strip() if position is not None and 0 <= position < len(row) else ""
