"""Reading XML that strangers wrote: bounded, without entities, one subtree at a time.

A message arrives with any namespace, prefix, encoding and envelope, so elements are known here by
their local names alone, and a subtree becomes `Leaves`: its texts under their paths.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from lxml import etree

from bezant.errors import DecodeError, InputError

CHUNK_BYTES = 1 << 16

LAST_KNOWN_LINE = 65_534
"""libxml2 keeps an element's line in 16 bits; above that an error names the payment, not the line."""

_DTD = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
# Exports that build a message in a two-byte string and save it in one-byte letters keep this label.
_MISLABELLED = re.compile(
    rb"""(?:\xef\xbb\xbf)?<\?xml[^>]{0,100}encoding=["'](?:utf-16|ucs-2)""", re.IGNORECASE
)
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class Leaves:
    """The texts of a subtree, in document order, each under its path of local names.

    An attribute is a leaf too: ``Amt/InstdAmt/@Ccy``. Surrounding white space is dropped and empty
    texts are left out. `names` holds the local names of the children themselves.
    """

    __slots__ = ("_first", "_ordered", "line", "names")

    def __init__(self, ordered: list[tuple[str, str]], names: frozenset[str], line: int | None) -> None:
        self._ordered = ordered
        self._first = dict(reversed(ordered))
        self.names = names
        self.line = line

    @classmethod
    def of(cls, element: etree._Element, *, skip: tuple[str, ...] = ()) -> Leaves:
        """Return the leaves below `element`; children with the local names `skip` are passed over."""
        ordered: list[tuple[str, str]] = []
        names = set()
        for child in element:
            name = local_name(child)
            if name not in skip:
                names.add(name)
                _collect(child, name, ordered)
        return cls(ordered, frozenset(names), known_line(element))

    def first(self, *paths: str) -> str:
        """Return the text at the first of these paths that has one, or an empty string."""
        for path in paths:
            text = self._first.get(path)
            if text is not None:
                return text
        return ""

    def below(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield (path below the prefix, text) in document order."""
        start = prefix + "/"
        for path, text in self._ordered:
            if path.startswith(start):
                yield path[len(start) :], text

    def holds(self, prefix: str) -> bool:
        return any(True for _ in self.below(prefix))


def _collect(element: etree._Element, path: str, ordered: list[tuple[str, str]]) -> None:
    text = element.text
    if text is not None:
        text = text.strip()
        if text:
            ordered.append((path, text))
    for key, value in element.attrib.items():
        ordered.append((f"{path}/@{_without_namespace(str(key))}", str(value).strip()))
    for child in element:
        _collect(child, f"{path}/{local_name(child)}", ordered)


@lru_cache(maxsize=4_096)
def _without_namespace(tag: str) -> str:
    return tag.rpartition("}")[2]


def local_name(element: etree._Element) -> str:
    """Return the element's name without its namespace."""
    return _without_namespace(str(element.tag))


def known_line(element: etree._Element) -> int | None:
    line = element.sourceline
    return line if isinstance(line, int) and line <= LAST_KNOWN_LINE else None


def describe_place(path: str, line: int | None) -> str:
    """Return where something is, for an error: its path, and its line where that is known."""
    return path if line is None else f"{path} (line {line})"


def check_size(source: bytes | Path, max_bytes: int) -> int:
    """Return the size of the source in bytes.

    Raises: InputError ``message_too_large``, or ``file_unreadable`` when there is no such file.
    """
    if isinstance(source, bytes):
        size = len(source)
    else:
        try:
            size = source.stat().st_size
        except OSError as problem:
            raise _unreadable(source, problem) from problem
    if size > max_bytes:
        raise InputError(
            f"the message has {size} bytes and the limit is {max_bytes}; split it, or raise max_bytes",
            code="message_too_large",
        )
    return size


def read_elements(source: bytes | Path, names: tuple[str, ...]) -> Iterator[tuple[str, etree._Element]]:
    """Yield ("start" | "end", element) for the elements with these local names, as they are read.

    The caller frees what it has used (`release`). Raises: DecodeError with the line for XML that is
    not well formed, or with code ``xml_entities_refused`` for any DTD or entity declaration.
    """
    chunks = _chunks(source)
    head = next(chunks, b"")
    parser: etree.XMLPullParser = etree.XMLPullParser(
        encoding="utf-8" if _MISLABELLED.match(head) else None,
        events=("start", "end"),
        tag=[f"{{*}}{name}" for name in names],
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    checked = False
    try:
        for chunk in chain((head,), chunks):
            parser.feed(chunk)
            for event, element in _elements(parser):
                if not checked:
                    _refuse_dtd(element)
                    checked = True
                yield event, element
        root = parser.close()
    except etree.XMLSyntaxError as problem:
        raise _decode_error(problem, head) from problem
    except (LookupError, ValueError) as problem:
        raise DecodeError(f"the XML cannot be read: {problem}") from problem
    _refuse_dtd(root)
    yield from _elements(parser)


def _elements(parser: etree.XMLPullParser) -> Iterator[tuple[str, etree._Element]]:
    for event, element in parser.read_events():
        if isinstance(element, etree._Element):
            yield event, element


def release(element: etree._Element) -> None:
    """Free an element that was read, and everything before it under the same parent.

    The element's own empty node stays until the next one: the parser may still be writing behind it.
    """
    for child in list(element):
        element.remove(child)
    element.text = None
    parent = element.getparent()
    if parent is not None:
        while (previous := element.getprevious()) is not None:
            parent.remove(previous)


def _chunks(source: bytes | Path) -> Iterator[bytes]:
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
            yield from _without_leading_space(stream)
    except OSError as problem:
        raise _unreadable(source, problem) from problem


def _without_leading_space(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the stream in chunks; blank lines before the prolog, which exports often have, are dropped."""
    first = stream.read(CHUNK_BYTES)
    if not first.startswith(_BOMS[1:]):
        first = first.removeprefix(_BOMS[0]).lstrip()
    if first:
        yield first
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk


def _refuse_dtd(element: etree._Element) -> None:
    information = element.getroottree().docinfo
    if information.internalDTD is not None or information.externalDTD is not None:
        raise _entities_refused()


def _entities_refused() -> DecodeError:
    return DecodeError(
        "the XML declares a document type or entities, which a payment message never needs; remove them",
        code="xml_entities_refused",
    )


def _decode_error(problem: etree.XMLSyntaxError, head: bytes) -> DecodeError:
    # Two-byte encodings show the same letters once their zero bytes are out.
    if _DTD.search(head.replace(b"\0", b"")):
        return _entities_refused()
    line = problem.lineno
    where = f" at line {line}" if line else ""
    reason = problem.msg or "it is empty"
    return DecodeError(f"the XML is not well formed{where}: {reason}")


def _unreadable(source: bytes | Path, problem: OSError) -> InputError:
    name = source if isinstance(source, Path) else "the message"
    return InputError(
        f"{name} cannot be read: {problem.strerror or problem}; check the path and its permissions",
        code="file_unreadable",
    )
