"""Names put together from syllables, so that nobody and no company is meant."""

from __future__ import annotations

import numpy as np

_ONSETS = ("v", "dr", "k", "l", "m", "tz", "br", "n", "s", "th", "y", "r", "f", "j", "q", "pl", "w", "zh")
_VOWELS = ("a", "e", "i", "o", "u", "ae", "io", "ou")
_CODAS = ("", "", "", "n", "r", "l", "sk", "m", "th", "x")
_TRADES = {
    "GROCERIES": ("Market", "Larder", "Pantry"),
    "RESTAURANT": ("Kitchen", "Table", "Grill"),
    "TRANSPORT": ("Lines", "Rides", "Transit"),
    "FASHION": ("Wear", "Tailors", "Threads"),
    "ELECTRONICS": ("Devices", "Circuits", "Screens"),
    "TRAVEL": ("Journeys", "Voyages", "Stays"),
    "UTILITIES": ("Power", "Water", "Networks"),
    "LEISURE": ("Stage", "Games", "Pictures"),
}
_FORMS = ("Works", "Trading", "Components", "Logistics", "Materials", "Systems", "Foundry", "Estates")


def person_names(rng: np.random.Generator, count: int) -> list[str]:
    """Return `count` two-word names; two people may share one, as people do."""
    words = _words(rng, 2 * count)
    return [f"{first} {last}" for first, last in zip(words[::2], words[1::2], strict=True)]


def shop_names(rng: np.random.Generator, categories: list[str]) -> list[str]:
    """Return one name for each category, ending in a word of its trade."""
    words, picks = _words(rng, len(categories)), rng.integers(0, 3, len(categories))
    return [f"{w} {_TRADES[c][int(p)]}" for w, c, p in zip(words, categories, picks, strict=True)]


def firm_names(rng: np.random.Generator, count: int) -> list[str]:
    words, picks = _words(rng, count), rng.integers(0, len(_FORMS), count)
    return [f"{word} {_FORMS[int(pick)]}" for word, pick in zip(words, picks, strict=True)]


def _words(rng: np.random.Generator, count: int) -> list[str]:
    syllables = rng.integers(2, 4, count)
    onsets = rng.integers(0, len(_ONSETS), (count, 3)).tolist()
    vowels = rng.integers(0, len(_VOWELS), (count, 3)).tolist()
    codas = rng.integers(0, len(_CODAS), count).tolist()
    return [
        (
            "".join(_ONSETS[onsets[i][k]] + _VOWELS[vowels[i][k]] for k in range(int(syllables[i])))
            + _CODAS[codas[i]]
        ).capitalize()
        for i in range(count)
    ]
