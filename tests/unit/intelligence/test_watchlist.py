"""Names and watchlists; every listed name here is made of syllables and names nobody."""

from __future__ import annotations

import csv
import os
import random
from pathlib import Path

import polars as pl
import pytest

from bezant.errors import ConfigError, DecodeError
from bezant.intelligence.names import compare_names, normalise_name
from bezant.intelligence.watchlist import Entry, ListColumns, Thresholds, Watchlist

DATA = Path(os.environ.get("BEZANT_DATA", Path(__file__).parents[4] / "shared" / "data"))
SYLLABLES = [first + vowel for first in "bdgklmnprstvz" for vowel in "aeiou"]


def syllable_name(source: random.Random) -> str:
    return " ".join("".join(source.choices(SYLLABLES, k=source.randint(3, 4))) for _ in range(3))


@pytest.fixture(scope="module")
def names() -> list[str]:
    source = random.Random(20022)
    return [syllable_name(source) for _ in range(2_000)]


@pytest.fixture(scope="module")
def watchlist(names: list[str]) -> Watchlist:
    entries = [Entry(f"E{number}", name) for number, name in enumerate(names)]
    return Watchlist.of(entries, version="1", digest="")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Dr. Ågot Øverlie-Lund, GmbH", ("agot", "overlie", "lund")),
        ("MERU TRADING CO., LTD.", ("meru", "trading")),
        ("Société Tola S.A.R.L.", ("societe", "tola")),
        ("Meru Public Limited Company", ("meru",)),
        ("Меру Тола", ("meru", "tola")),
        ("Μερου Τολά", ("meroy", "tola")),
        ("Straße & Söhne", ("strasse", "sohne")),
        ("Abd al-Rahim Mohamed", ("abdrahim", "muhammad")),
        ("ABDULRAHIM MUHAMMAD", ("abdrahim", "muhammad")),
        ("Sab'awi O’Tola", ("sabawi", "otola")),
        ("العجلان", ("العجلان",)),
        ("AG", ("ag",)),
        ("  ...  ", ()),
        ("", ()),
    ],
)
def test_normalised_names(text: str, tokens: tuple[str, ...]) -> None:
    assert normalise_name(text) == tokens


def weigh_all_alike(token: str) -> float:
    return 1.0


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        ("Tola Meruka", "MERUKA, Tola", 100, 100),
        ("Tola Meruka", "Tola Merukka", 90, 99.9),
        ("Tola Meruka Ltd", "Tola Meruka", 100, 100),
        ("TolaMeruka", "Tola Meruka", 100, 100),
        ("Tola Meruka", "Tola Sabine", 0, 70),
        ("Tola Meruka", "Pedu Nizo", 0, 40),
        ("Ali", "Ali Meruka Sanodi", 0, 70),
    ],
)
def test_alikeness(one: str, other: str, low: float, high: float) -> None:
    left, right = normalise_name(one), normalise_name(other)
    assert low <= compare_names(left, right, weigh_all_alike) <= high
    assert compare_names(left, right, weigh_all_alike) == pytest.approx(
        compare_names(right, left, weigh_all_alike)
    )


def test_every_listed_name_is_blocked_whatever_its_order_and_case(
    watchlist: Watchlist, names: list[str]
) -> None:
    for number in range(0, 2_000, 37):
        shuffled = " ".join(reversed(names[number].upper().split()))
        hits = watchlist.match(shuffled)
        assert hits[0].entry_id == f"E{number}"
        assert Thresholds().verdict(hits) == "block"


def test_a_slip_of_one_letter_is_reviewed(watchlist: Watchlist, names: list[str]) -> None:
    source = random.Random(7)
    for number in range(0, 2_000, 37):
        name = names[number]
        place = source.choice([at for at in range(1, len(name) - 1) if name[at].isalpha()])
        hits = watchlist.match(name[:place] + "x" + name[place + 1 :])
        assert f"E{number}" in [hit.entry_id for hit in hits]


def test_other_names_are_clear(watchlist: Watchlist) -> None:
    source = random.Random(99)
    false_hits = sum(bool(watchlist.match(syllable_name(source))) for _ in range(300))
    assert false_hits <= 3


def test_short_names_are_never_blocked() -> None:
    watchlist = Watchlist.of([Entry("1", "Arato"), Entry("2", "Meru Tolakina")], version="1", digest="")
    assert Thresholds().verdict(watchlist.match("Arato")) == "review"
    assert Thresholds().verdict(watchlist.match("Meru Tolakina")) == "block"


def test_hits_are_limited_and_one_an_entry() -> None:
    entries = [Entry(str(number), "Meru Tolakina", aliases=("Tolakina Meru",)) for number in range(9)]
    hits = Watchlist.of(entries, version="1", digest="").match("Meru Tolakina", 4)
    assert [hit.entry_id for hit in hits] == ["0", "1", "2", "3"]


def test_the_empty_list_finds_nobody() -> None:
    empty = Watchlist.empty()
    assert len(empty) == 0
    assert empty.match("Meru Tolakina") == []
    assert Thresholds().verdict([]) == "clear"


def test_names_without_letters_match_nothing(watchlist: Watchlist) -> None:
    assert watchlist.match("...") == []


def test_csv_with_header_and_aliases(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("id,name,kind,aliases\n7,Meru Tolakina,person,Mera Tola;Tolakin\n7,Merut,,\n8,Pedu,,\n")
    watchlist = Watchlist.load(path)
    assert watchlist.entries == (
        Entry("7", "Meru Tolakina", "person", ("Mera Tola", "Tolakin", "Merut")),
        Entry("8", "Pedu"),
    )
    assert len(watchlist.digest) == 64
    assert watchlist.version == watchlist.digest[:12]
    assert watchlist.match("Mera Tola")[0].entry_id == "7"


def test_csv_without_header_by_position(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    with path.open("w", newline="", encoding="latin-1") as stream:
        csv.writer(stream).writerows([["9", "x", "MÉRU, Tolakina"]])
    columns = ListColumns(name=2, id=0, kind="", aliases="")
    assert Watchlist.load(path, columns=columns, encoding="latin-1").match("Tolakina Meru")[0].score == 100
    with pytest.raises(DecodeError, match="encoding"):
        Watchlist.load(path, columns=columns)


def test_text_file_with_one_name_a_line(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# names of nobody\n\nMeru Tolakina\n  Pedu Nizolata \n")
    assert [entry.name for entry in Watchlist.load(path, version="v2").entries] == [
        "Meru Tolakina",
        "Pedu Nizolata",
    ]


def test_lists_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Watchlist.load(tmp_path / "absent.csv")
    path = tmp_path / "list.csv"
    path.write_text("who\nMeru\n")
    with pytest.raises(ConfigError, match="it has who"):
        Watchlist.load(path)


def test_a_change_is_screened_alone_with_the_same_scores() -> None:
    old = Watchlist.of([Entry("1", "Meru Tolakina"), Entry("2", "Pedu Nizolata")], version="1", digest="")
    new = Watchlist.of(
        [Entry("2", "Pedu Nizolata", aliases=("Peda Nizo",)), Entry("3", "Sabine Goratuli")],
        version="2",
        digest="",
    )
    change = new.changes_since(old)
    assert [entry.id for entry in change.changed] == ["2", "3"]
    assert change.removed_ids == ("1",)
    assert new.changes_since(new).changed == ()
    part = new.only(change.changed[1:])
    assert part.match("Sabina Goratuli") == new.match("Sabina Goratuli")
    assert part.match("Pedu Nizolata") == []


def test_merged_lists_share_entries() -> None:
    one = Watchlist.of([Entry("1", "Meru Tolakina")], version="a", digest="x")
    other = Watchlist.of([Entry("1", "Mera Tolakin"), Entry("2", "Pedu")], version="b", digest="y")
    both = one.merged(other)
    assert both.entries == (Entry("1", "Meru Tolakina", aliases=("Mera Tolakin",)), Entry("2", "Pedu"))
    assert both.version == "a+b"


@pytest.mark.parametrize(("review_at", "block_at"), [(0, 90), (95, 90), (90, 101)])
def test_thresholds_in_order(review_at: float, block_at: float) -> None:
    with pytest.raises(ConfigError):
        Thresholds(review_at, block_at)


def test_public_lists_recall_and_false_hits() -> None:
    folder = DATA / "sanctions"
    if not (folder / "un_consolidated_names.parquet").exists():
        pytest.skip(f"the public lists are not beside this checkout ({folder})")
    listed = pl.read_parquet(folder / "un_consolidated_names.parquet")
    watchlist = Watchlist.of(
        (Entry(number, name) for number, name in zip(listed["dataid"], listed["name"], strict=True)),
        version="un",
        digest="",
    )

    def hit_rate(file: str, rows: int) -> float:
        asked = pl.read_parquet(folder / file)["full_name"].to_list()[1::2][:rows]
        return sum(bool(watchlist.match(name, 1)) for name in asked) / len(asked)

    assert hit_rate("yente_positives_un_perturbed.parquet", 500) >= 0.98
    assert hit_rate("yente_positives_un_untreated.parquet", 500) >= 0.99
    assert hit_rate("yente_negatives_us.parquet", 1_000) <= 0.005
