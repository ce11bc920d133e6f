"""Names: whatever is written, comparing stays within its bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bezant.intelligence.names import compare_names, normalise_name
from bezant.intelligence.watchlist import Entry, Watchlist

WORDS = st.lists(st.text("abdgklmnoprstuvz", min_size=4, max_size=9), min_size=1, max_size=5, unique=True)


@given(st.text(max_size=60))
def test_normalising_is_total_and_settles(text: str) -> None:
    tokens = normalise_name(text)
    assert all(token and " " not in token for token in tokens)
    assert Watchlist.empty().match(text) == []


@given(st.text(max_size=40), st.text(max_size=40))
def test_scores_stay_between_0_and_100(one: str, other: str) -> None:
    assert 0.0 <= compare_names(normalise_name(one), normalise_name(other), lambda token: 1.0) <= 100.000001


@given(WORDS, st.randoms(use_true_random=False))
def test_order_never_matters_to_a_full_match(words: list[str], source: object) -> None:
    shuffled = list(words)
    source.shuffle(shuffled)  # type: ignore[attr-defined]
    watchlist = Watchlist.of([Entry("1", " ".join(words))], version="1", digest="")
    assert watchlist.match(" ".join(shuffled), at_least=50.0)[0].entry_id == "1"
