"""Bytes and JSON documents that were good once, as Hypothesis strategies; and a watch over memory.

What decodes hostile input answers with a typed error or with what it read, soon, and never takes room for
what a length only claims.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

SUITE_EXAMPLES = 100
"""What Hypothesis tries by default; `--hypothesis-profile=soak` raises it, and everything here with it."""
NUMBERS = (0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
"""Where counts, lengths and heights go wrong."""
MANY = 8 * 1024 * 1024
"""Bytes that no refusal of a small input may come near."""
_WORDS = ("", "0", "-1", "é", "\0", "00" * 32, "ff" * 128, "9" * 400, "1e400", "bezant")
_ANYTHING: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.sampled_from((*NUMBERS, -1, 2**80, 0.5, *_WORDS)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=3),
    max_leaves=5,
)


def bounded(examples: int, *, dear: int = 1) -> settings:
    """Return settings for so many examples in the suite, and as many times more as the profile asks for.

    `dear` divides what the profile asks for, where an example takes tens of milliseconds. In the suite
    an answer comes within 5 s; a soak goes on for hours beside other work, which may stop it for longer.
    """
    factor = settings.default.max_examples // SUITE_EXAMPLES if settings.default else 1
    if factor <= 1:
        return settings(max_examples=examples, deadline=5_000, derandomize=True, database=None)
    return settings(max_examples=examples * max(factor // dear, 1), deadline=120_000, database=None)


@st.composite
def changed_bytes(draw: DrawFn, originals: Sequence[bytes]) -> bytes:
    """Return one of the originals with a few bytes flipped, cut out, put in, doubled, or made a number."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(("flip", "number", "number", "cut", "end", "insert", "double"))):
            case "flip":
                data[at : at + 1] = bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) if data else b""
            case "number":
                width = draw(st.sampled_from((2, 4, 8)))
                number = draw(st.sampled_from(NUMBERS)) % 2 ** (8 * width)
                data[at : at + width] = number.to_bytes(width, "little")
            case "cut":
                del data[at : at + draw(st.integers(1, 64))]
            case "end":
                del data[at:]
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=64))
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 512))]
    return bytes(data)


@st.composite
def changed_json(draw: DrawFn, originals: Sequence[bytes]) -> Any:
    """Return one of the documents, decoded, with one to three of its values changed, dropped or added."""
    document = json.loads(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document))
        if not places:
            break
        parent, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(("replace", "replace", "nudge", "drop", "repeat"))):
            case "replace":
                parent[key] = draw(_ANYTHING)
            case "nudge":
                parent[key] = _nudged(draw, parent[key])
            case "drop":
                del parent[key]
            case "repeat" if isinstance(parent, list):
                parent.append(parent[key])
    return document


@contextmanager
def small_memory(most: int = MANY) -> Iterator[None]:
    """Raise AssertionError if what runs inside takes more bytes at once than that."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if peak > most:
        raise AssertionError(f"it took {peak:,} bytes at once, {most:,} at most are allowed")


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key) of every value inside a document."""
    if not isinstance(document, dict | list):
        return
    keys = list(document) if isinstance(document, dict) else range(len(document))
    for key in keys:
        yield document, key
        yield from _places(document[key])


def _nudged(draw: DrawFn, value: Any) -> Any:
    """Return a value of the same kind that is not quite the same."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw(st.sampled_from((value + 1, value - 1, -value, *NUMBERS)))
    if isinstance(value, str) and value:
        at = draw(st.integers(0, len(value) - 1))
        return value[:at] + draw(st.sampled_from(("", "0", "f", "F", "é", value[at:]))) + value[at + 1 :]
    return value
