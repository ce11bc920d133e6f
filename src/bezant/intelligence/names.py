"""Names made comparable: one script, one case, no titles, no legal forms; and how alike two are.

A name becomes a tuple of tokens. Two names are compared token by token, whatever their order, and
each token counts by how rare it is, so that a shared "Bank" or "Ali" proves little.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

from rapidfuzz.distance import OSA, JaroWinkler

Name = tuple[str, ...]

TOKEN_FLOOR = 0.80
"""Two tokens less alike than this are different words."""

LENGTH_FLOOR = 2 * TOKEN_FLOOR - 1

_LETTERS = str.maketrans(
    {
        "ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "œ": "oe",
        "ħ": "h", "ŋ": "n", "ə": "a",
        "ʻ": "", "ʼ": "", "’": "", "‘": "", "'": "", "`": "", "´": "", "ʿ": "", "ʾ": "",
        "а": "a", "б": "b", "в": "v", "г": "g", "ґ": "g", "д": "d", "е": "e", "ё": "yo", "є": "ye",
        "ж": "zh", "з": "z", "и": "i", "і": "i", "ї": "yi", "й": "y", "к": "k", "л": "l", "м": "m",
        "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ў": "u", "ф": "f",
        "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ы": "y", "ь": "", "э": "e",
        "ю": "yu", "я": "ya", "ђ": "dj", "ј": "j", "љ": "lj", "њ": "nj", "ћ": "c", "џ": "dz", "ѓ": "g",
        "ќ": "k", "ѕ": "dz",
        "α": "a", "β": "v", "γ": "g", "δ": "d", "ε": "e", "ζ": "z", "η": "i", "θ": "th", "ι": "i",
        "κ": "k", "λ": "l", "μ": "m", "ν": "n", "ξ": "x", "ο": "o", "π": "p", "ρ": "r", "σ": "s",
        "ς": "s", "τ": "t", "υ": "y", "φ": "f", "χ": "ch", "ψ": "ps", "ω": "o",
    }
)  # fmt: skip
_WORD = re.compile(r"[^\W_]+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Legal forms and titles say nothing about who it is. Dotted forms (S.A.R.L.) are joined before this.
_LEGAL_FORMS = _words(
    """
    ab ag aktiengesellschaft as asa bhd bv co company corp corporation cv doo eg ev fze gmbh
    gmbhcokg hf inc incorporated jsc kft kg kgaa limited llc llp lp ltd ltda nv oao ojsc ooo oy oyj
    pao pjsc plc pte pty pvt sa sae sal sarl sas sdn se sl spa spk spzoo sro srl zao zrt
    """
)
_TITLES = _words(
    """
    mr mrs ms miss dr prof sir dame lord lady rev hon gen col maj capt lt sgt herr frau mme mlle
    don dona sheikh shaykh shaikh sheik haji hajji hadji mullah mawlawi maulavi maulawi mawlavi
    qari sayyid syed ustad ustaz engineer eng
    """
)
_PARTICLES = _words(
    """
    al el ul ibn bin ben bint abu ould of the and de da do dos del della di du la le van von der
    den
    """
)
_IDLE = _LEGAL_FORMS | _TITLES | _PARTICLES

_SERVANT = _words("abd abdul abdel abdal abdoul abdool")
_SERVANT_OF = re.compile(r"^abd(?:ul|el|al|oul|ool)(?=[a-z]{3})")
_MUHAMMAD = re.compile(r"m[ou]h*a*m+[aei]+d|mehm[ae][td]|muhammet")

_LEGAL_PHRASE = re.compile(
    r"\b(?:(?:open|closed|public|private) )?joint[ -]stock company\b"
    r"|\b(?:(?:public|private) )?limited (?:liability )?(?:company|partnership)\b"
    r"|\bsp\.? ?z ?o\.? ?o\b|\bgesellschaft mit beschrankter haftung\b"
    r"|\bsociete anonyme\b|\bsociedad anonima\b|\bsocieta per azioni\b"
)
_DOTTED = re.compile(r"\b(?:[^\W\d_]\.){2,}")


@lru_cache(maxsize=65_536)
def normalise_name(text: str) -> Name:
    """Return the tokens of a name that identify somebody, in the order written.

    Letters of Latin, Cyrillic and Greek become ASCII; those of other scripts are kept as they are.
    Legal forms, titles and particles are dropped unless nothing else is left.

    >>> normalise_name("Dr. Ågot Øverlie-Lund, GmbH")
    ('agot', 'overlie', 'lund')
    """
    folded = fold_letters(text)
    tokens = tuple(_WORD.findall(folded))
    weighty = tuple(token for token in _WORD.findall(_LEGAL_PHRASE.sub(" ", folded)) if token not in _IDLE)
    return _one_spelling(weighty or tokens)


def _one_spelling(tokens: Name) -> Name:
    """Return tokens with the commonest transliterations made one: Abd al-Rahim and Abdulrahim, Mohamed.

    "Servant of" is one name with the word that follows, however a registrar broke it.
    """
    spelled: list[str] = []
    for token in tokens:
        if spelled and spelled[-1] in _SERVANT:
            spelled[-1] = "abd" + token
        else:
            spelled.append("muhammad" if _MUHAMMAD.fullmatch(token) else token)
    return tuple(_SERVANT_OF.sub("abd", token) for token in spelled)


def fold_letters(text: str) -> str:
    """Return text in lower case with letters of known scripts as ASCII and marks taken off."""
    # Greek and Cyrillic letters with marks (ё, й) are one character before decomposition.
    lowered = unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS)
    bare = "".join(
        letter for letter in unicodedata.normalize("NFKD", lowered) if not unicodedata.combining(letter)
    ).translate(_LETTERS)
    return _DOTTED.sub(lambda match: match.group().replace(".", ""), bare)


def compare_names(query: Sequence[str], entry: Sequence[str], weigh: Callable[[str], float]) -> float:
    """Return how alike two names are, 0 to 100.

    Tokens are paired best first; the score is the weight of what was paired, on the side that has
    less of it counting more. Names that differ only in where their words break are compared joined.
    """
    if not query or not entry:
        return 0.0
    pairs = _pairs(query, entry)
    query_weight = sum(map(weigh, query))
    entry_weight = sum(map(weigh, entry))
    query_found = sum(weigh(query[i]) * alike for alike, i, _ in pairs) / query_weight
    entry_found = sum(weigh(entry[j]) * alike for alike, _, j in pairs) / entry_weight
    low, high = sorted((query_found, entry_found))
    aligned = 0.65 * low + 0.35 * high
    if len(query) != len(entry) or low < 0.9:
        joined = OSA.normalized_similarity("".join(query), "".join(entry), score_cutoff=aligned)
        aligned = max(aligned, joined)
    return 100.0 * aligned


def _pairs(query: Sequence[str], entry: Sequence[str]) -> list[tuple[float, int, int]]:
    found = []
    for i, left in enumerate(query):
        for j, right in enumerate(entry):
            alike = compare_tokens(left, right)
            if alike >= TOKEN_FLOOR:
                found.append((alike, i, j))
    found.sort(reverse=True)
    used_query: set[int] = set()
    used_entry: set[int] = set()
    pairs = []
    for alike, i, j in found:
        if i not in used_query and j not in used_entry:
            used_query.add(i)
            used_entry.add(j)
            pairs.append((alike, i, j))
    return pairs


def compare_tokens(left: str, right: str) -> float:
    """Return how alike two tokens are, 0 to 1; short ones must be the same."""
    if left == right:
        return 1.0
    shorter, longer = sorted((len(left), len(right)))
    # Below this ratio of lengths the edits alone keep the two under `TOKEN_FLOOR`.
    if shorter <= 3 or shorter < LENGTH_FLOOR * longer:
        return 0.0
    edits = OSA.normalized_similarity(left, right)
    return 0.5 * (edits + JaroWinkler.similarity(left, right))
