"""Finding the listed names that may be a given one, in well under a millisecond.

Letter triples of the tokens point to the names that hold them. A query adds up the weights of its
triples over these lists, and only the best candidates are compared letter by letter.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bezant.intelligence.names import Name, compare_names

CANDIDATES = 40
"""How many names are compared in full; the cost of a query is mostly theirs."""

UNSEEN_WEIGHT = 0.8
"""A token no listed name has may be a misspelling of any, so it weighs a little less than a unique one."""


@dataclass(frozen=True, slots=True)
class TokenWeights:
    """How much a token tells: the logarithm of how rare it is among the listed names."""

    weights: dict[str, float]
    unseen: float

    @classmethod
    def of(cls, names: Sequence[Name]) -> TokenWeights:
        seen = Counter(token for name in names for token in set(name))
        count = len(names)
        weights = {token: math.log(1 + count / times) for token, times in seen.items()}
        return cls(weights, UNSEEN_WEIGHT * math.log(2 + count))

    def weigh(self, token: str) -> float:
        return self.weights.get(token, self.unseen)


class NameIndex:
    """Listed names by their letter triples; immutable once built.

    Two indices with the same `weights` give the same score to the same pair of names.
    """

    __slots__ = ("_length", "_names", "_places", "_triple_weight", "_weights")

    def __init__(self, names: Sequence[Name], weights: TokenWeights) -> None:
        places: dict[str, list[int]] = {}
        for position, name in enumerate(names):
            for triple in _triples(name):
                places.setdefault(triple, []).append(position)
        count = len(names)
        self._names = tuple(names)
        self._weights = weights
        self._triple_weight = {triple: math.log(1 + count / len(at)) ** 2 for triple, at in places.items()}
        self._places = {triple: np.array(at, dtype=np.int32) for triple, at in places.items()}
        self._length = np.array(
            [
                math.sqrt(sum(self._triple_weight[triple] for triple in _triples(name))) or 1.0
                for name in names
            ]
        )

    def find(self, query: Name, at_least: float) -> list[tuple[float, int]]:
        """Return (score, position) of the names at least so alike, best first."""
        found = []
        for position in self._candidates(query):
            score = compare_names(query, self._names[position], self._weights.weigh)
            if score >= at_least:
                found.append((score, int(position)))
        found.sort(key=lambda hit: (-hit[0], hit[1]))
        return found

    def _candidates(self, query: Name) -> Iterable[int]:
        triples = [triple for triple in sorted(_triples(query)) if triple in self._places]
        if not triples:
            return ()
        lists = [self._places[triple] for triple in triples]
        weights = np.repeat([self._triple_weight[triple] for triple in triples], [len(at) for at in lists])
        shared = np.bincount(np.concatenate(lists), weights=weights, minlength=len(self._names))
        alike: NDArray[np.float64] = shared / self._length
        if len(alike) > CANDIDATES:
            best = np.argpartition(alike, -CANDIDATES)[-CANDIDATES:]
        else:
            best = np.arange(len(alike))
        return [int(position) for position in best if alike[position] > 0.0]


def _triples(name: Name) -> set[str]:
    triples: set[str] = set()
    for token in name:
        padded = f"^{token}$"
        triples.update(padded[start : start + 3] for start in range(max(1, len(padded) - 2)))
    return triples
