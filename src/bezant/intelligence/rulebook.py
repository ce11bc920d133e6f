"""Rules beside the model, from configuration: what a node asks for whatever the score says.

A book is compiled once and asked of whole batches. Its canonical text holds the rules and the lines of every
list they name, and its SHA-256 names it: decisions record the first 16 bytes, and the texts are kept, so
that an old decision is computed again with the rules and lists of its day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from bezant.errors import ConfigError, ModelError
from bezant.intelligence.conditions import Condition, Facts, list_in, read_condition
from bezant.model.digest import TAG_RULEBOOK, sha256
from bezant.model.genesis import GenesisAsset
from bezant.model.outcomes import Verdict

MOST_RULES: Final = 64
"""One bit each in the evidence."""
SUFFIX: Final = ".rules"
NO_BOOK: Final = bytes(16)
"""Where a book's name stands, if there was none."""
_ASKS: Final = {"review": Verdict.REVIEW, "block": Verdict.BLOCK}


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One ``[[rules]]`` of bezant.toml: where all of `when` holds, it asks for `verdict`."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,64}$")]
    verdict: Literal["review", "block"]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    """What people read."""
    when: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=16)]


class _Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The canonical text of a book."""

    rules: tuple[Rule, ...]
    lists: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Rulebook:
    """Compiled rules; safe to ask from many threads."""

    rules: tuple[Rule, ...]
    text: bytes
    name: bytes
    """The 16 bytes by which decisions name this book; zeros where it has no rule."""
    _conditions: tuple[tuple[Condition, ...], ...]

    def ask(self, facts: Facts) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
        """Return which rules hold, bits (n,) uint64 in their order, and the worst they ask for (n,) uint8."""
        fired = np.zeros(len(facts.records), np.uint64)
        asked = np.zeros(len(fired), np.uint8)
        for place, (rule, conditions) in enumerate(zip(self.rules, self._conditions, strict=True)):
            holds = conditions[0](facts)
            for condition in conditions[1:]:
                holds = holds & condition(facts)
            rows = np.flatnonzero(holds)
            if len(rows):
                fired[rows] |= np.uint64(1 << place)
                asked[rows] = np.maximum(asked[rows], np.uint8(_ASKS[rule.verdict]))
        return fired, asked

    def of(self, fired: int) -> tuple[Rule, ...]:
        """Return the rules of a bit set."""
        return tuple(rule for place, rule in enumerate(self.rules) if fired >> place & 1)


def read_rulebook(
    settings: Sequence[Mapping[str, object]], folder: Path, assets: Sequence[GenesisAsset]
) -> Rulebook:
    """Return the book of a configuration; lists are files relative to a folder.

    Raises: ConfigError that names the rule.
    """
    if len(settings) > MOST_RULES:
        raise ConfigError(f"{len(settings)} rules are more than {MOST_RULES}", param="rules")
    rules: list[Rule] = []
    for place, raw in enumerate(settings, 1):
        try:
            rules.append(msgspec.convert(raw, Rule))
        except msgspec.ValidationError as error:
            raise ConfigError(f"rule {raw.get('name') or place}: {error}", param="rules") from None
    lists: dict[str, tuple[str, ...]] = {}
    for rule in rules:
        for path in filter(None, map(list_in, rule.when)):
            lists[path] = _read_list(rule.name, folder / path)
    return _compile(_Text(tuple(rules), lists), assets)


def _compile(text: _Text, assets: Sequence[GenesisAsset]) -> Rulebook:
    names = [rule.name for rule in text.rules]
    compiled: list[tuple[Condition, ...]] = []
    for rule in text.rules:
        if names.count(rule.name) > 1:
            raise ConfigError(f"rule {rule.name}: two rules have this name", param="rules")
        try:
            compiled.append(tuple(read_condition(when, assets, text.lists) for when in rule.when))
        except ConfigError as error:
            raise ConfigError(f"rule {rule.name}: {error.message}", param="rules") from None
    content = msgspec.json.encode(text, order="sorted")
    name = sha256(TAG_RULEBOOK, content)[:16] if text.rules else NO_BOOK
    return Rulebook(text.rules, content, name, tuple(compiled))


def _read_list(rule: str, path: Path) -> tuple[str, ...]:
    """Return the lines of a list, each once and in order; ``#`` begins a remark."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise ConfigError(f"rule {rule}: {path} cannot be read: {error.strerror}", param="rules") from None
    except UnicodeDecodeError:
        raise ConfigError(f"rule {rule}: {path} is no text", param="rules") from None
    return tuple(sorted({said for line in lines if (said := line.partition("#")[0].strip())}))


EMPTY: Final = _compile(_Text((), {}), ())


class Bookshelf:
    """The texts of every book that was in force, as files ``<name>.rules`` of a folder."""

    def __init__(self, folder: Path, assets: Sequence[GenesisAsset]) -> None:
        self._folder, self._assets = folder, assets

    def keep(self, book: Rulebook) -> None:
        """Write a book's text before it decides anything; whole, or not at all."""
        path = self._path(book.name)
        if not book.rules or path.exists():
            return
        draft = path.with_name(path.name + ".new")
        draft.write_bytes(book.text)
        draft.replace(path)

    def find(self, name: bytes) -> Rulebook:
        """Return the book that a decision names. Raises: ModelError ``rules_missing``, ``rules_altered``."""
        if name == NO_BOOK:
            return EMPTY
        try:
            content = self._path(name).read_bytes()
        except OSError:
            raise ModelError(
                f"the rules {name.hex()} that this decision names are not in {self._folder}; put their file "
                "there",
                code="rules_missing",
            ) from None
        if sha256(TAG_RULEBOOK, content)[:16] != name:
            raise ModelError(f"{self._path(name)} was altered; restore it", code="rules_altered")
        return _compile(msgspec.json.decode(content, type=_Text), self._assets)

    def _path(self, name: bytes) -> Path:
        return self._folder / f"{name.hex()}{SUFFIX}"


Books = Callable[[bytes], Rulebook]
"""Finds a book by the name that decisions have for it."""
