"""Every way in which one thing in a decoded file can be another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def altered(tree: Any) -> Iterator[Any]:
    """Yield copies of what was decoded from JSON, each with one text, number or item in it changed."""
    if isinstance(tree, str):
        for place in {0, len(tree) // 2, len(tree) - 1} if tree else ():
            yield tree[:place] + ("0" if tree[place] != "0" else "1") + tree[place + 1 :]
        yield tree + "00"
        yield tree[:-2] if tree else "0a"
    elif isinstance(tree, int):
        yield from (tree + 1, -1, 2**63)
    elif isinstance(tree, list):
        for place, item in enumerate(tree):
            yield tree[:place] + tree[place + 1 :]
            for other in altered(item):
                yield [*tree[:place], other, *tree[place + 1 :]]
    elif isinstance(tree, dict):
        for name, item in tree.items():
            for other in altered(item):
                yield tree | {name: other}
