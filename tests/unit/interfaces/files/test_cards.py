"""Card payments from files: mappings, exact conversion, order, and errors that name the place."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bezant.errors import AmountError, BezantError, ConfigError, DecodeError, InputError
from bezant.interfaces.files import READY_MAPPINGS, CardBatch, CardFile, CardMapping, detect_mapping

HEADER = "id,time,debtor,creditor,amount,label\n"
DAY_NS = 86_400 * 1_000_000_000
NEW_YEAR_2020_NS = 18_262 * DAY_NS
DATA = Path(os.environ.get("BEZANT_DATA", Path(__file__).parents[5] / "shared" / "data"))


def csv_file(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "cards.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def parquet_file(tmp_path: Path, **columns: object) -> Path:
    path = tmp_path / "cards.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def only_batch(file: CardFile) -> CardBatch:
    (batch,) = file
    return batch


def plain(**options: object) -> CardMapping:
    names = {"time": "time", "debtor": "debtor", "creditor": "creditor", "amount": "amount"}
    return CardMapping(**{**names, **options})  # type: ignore[arg-type]


def refused(path: Path, mapping: CardMapping | str | None = None) -> BezantError:
    with pytest.raises(BezantError) as caught:
        list(CardFile(path, mapping))
    return caught.value


def test_a_plain_csv_file(tmp_path: Path) -> None:
    rows = "a,2020-01-01,x,s,12.5,0\nb,2020-01-02T00:00:00.25Z,y,s,0.01,1\n"
    file = CardFile(csv_file(tmp_path, HEADER + rows))
    batch = only_batch(file)
    assert file.rows == len(batch) == 2
    assert batch.row.tolist() == [1, 2]
    assert batch.id == ("a", "b")
    assert [file.debtors[code] for code in batch.debtor] == ["x", "y"]
    assert [file.creditors[code] for code in batch.creditor] == ["s", "s"]
    assert batch.amount_minor.tolist() == [1250, 1]
    assert batch.time_ns.tolist() == [NEW_YEAR_2020_NS, NEW_YEAR_2020_NS + DAY_NS + 250_000_000]
    assert batch.label is not None
    assert batch.label.tolist() == [0, 1]
    assert (batch.amount_minor.dtype, batch.time_ns.dtype) == (np.uint64, np.int64)


def test_the_handbook_layout_is_found_and_needs_no_options(tmp_path: Path) -> None:
    path = parquet_file(
        tmp_path,
        tx_id=[0, 1],
        ts=pl.Series([31, 130], dtype=pl.Int32),
        customer_id=pl.Series([596, 4961], dtype=pl.Int16),
        terminal_id=pl.Series([596, 3412], dtype=pl.Int16),
        amount_cents=pl.Series([5716, 0], dtype=pl.Int32),
        fraud=pl.Series([0, 1], dtype=pl.Int8),
        scenario=pl.Series([0, 3], dtype=pl.Int8),
    )
    file = CardFile(path)
    batch = only_batch(file)
    assert file.mapping == READY_MAPPINGS["handbook"]
    assert batch.amount_minor.tolist() == [5716, 0]
    assert batch.time_ns[0] == (17_622 * 86_400 + 31) * 1_000_000_000
    assert file.debtors.keys == ["596", "4961"]
    assert file.creditors.keys == ["596", "3412"]


def test_batches_are_bounded_and_codes_stay(tmp_path: Path) -> None:
    count = 1_000
    path = parquet_file(
        tmp_path,
        time=list(range(count)),
        debtor=[f"d{number % 7}" for number in range(count)],
        creditor=[number % 5 for number in range(count)],
        amount=["1.00"] * count,
    )
    file = CardFile(path, plain(time_unit="s"), batch_rows=64)
    first, second = list(file), list(file)
    assert max(len(batch) for batch in first) <= 64
    assert np.concatenate([batch.row for batch in first]).tolist() == list(range(1, count + 1))
    codes = np.concatenate([batch.debtor for batch in first])
    assert [file.debtors[code] for code in codes] == [f"d{number % 7}" for number in range(count)]
    assert np.array_equal(codes, np.concatenate([batch.debtor for batch in second]))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([57.16, 0.1 + 0.2, 1e2], [5716, 30, 10_000]),
        ([57.160000000000004, 4.35, 1.1], [5716, 435, 110]),
        ([123_456_789_012.34], [12_345_678_901_234]),
        (pl.Series([57.16, 0.1], dtype=pl.Float32), [5716, 10]),
        (pl.Series(["1.20", "3"]).cast(pl.Decimal(10, 2)), [120, 300]),
        ([7, 8], [700, 800]),
        (["57.160000000000004", " 2.50 "], [5716, 250]),
        (["184467440737095516.15"], [2**64 - 1]),
    ],
)
def test_amounts_are_converted_exactly(tmp_path: Path, values: object, expected: list[int]) -> None:
    count = len(expected)
    path = parquet_file(tmp_path, time=[1] * count, debtor=[1] * count, creditor=[1] * count, amount=values)
    assert only_batch(CardFile(path, plain(time_unit="s"))).amount_minor.tolist() == expected


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "amount_missing"),
        ("-1.00", "amount_negative"),
        ("1.234", "amount_over_precise"),
        ("12345678901234567.891", "amount_over_precise"),
        ("1e3", "amount_malformed"),
        ("NaN", "amount_malformed"),
        ("184467440737095516.16", "amount_too_large"),
    ],
)
def test_bad_amounts_name_row_column_and_value(tmp_path: Path, value: str, code: str) -> None:
    good = "a,2020-01-01,x,s,1,0\n"
    problem = refused(csv_file(tmp_path, f"{HEADER}{good}{good}b,2020-01-01,x,s,{value},0\n{good}"))
    assert isinstance(problem, AmountError)
    assert problem.code == code
    assert problem.param == "amount"
    assert "row 3" in problem.message
    assert (value or "empty") in problem.message


@pytest.mark.parametrize("value", [-1.5, float("nan"), float("inf"), 1.005, None])
def test_bad_floats(tmp_path: Path, value: float | None) -> None:
    path = parquet_file(tmp_path, time=[1, 1], debtor=[1, 1], creditor=[1, 1], amount=[1.0, value])
    problem = refused(path, plain(time_unit="s"))
    assert isinstance(problem, AmountError)
    assert "row 2" in problem.message


def test_negative_minor_units(tmp_path: Path) -> None:
    path = parquet_file(tmp_path, time=[1, 1], debtor=[1, 1], creditor=[1, 1], amount=[5, -3])
    problem = refused(path, plain(time_unit="s", amount_unit="minor"))
    assert (problem.code, "-3" in problem.message) == ("amount_negative", True)


@pytest.mark.parametrize(
    ("time", "options", "expected_ns"),
    [
        ("5", {"time_unit": "s", "epoch": "2020-01-01"}, NEW_YEAR_2020_NS + 5_000_000_000),
        ("1577836800", {"time_unit": "s"}, NEW_YEAR_2020_NS),
        ("1577836800.000000001", {"time_unit": "s"}, NEW_YEAR_2020_NS + 1),
        ("-1.5", {"time_unit": "s"}, -1_500_000_000),
        ("1577836800000", {"time_unit": "ms"}, NEW_YEAR_2020_NS),
        ("1577836800000000000", {"time_unit": "ns"}, NEW_YEAR_2020_NS),
        ("1.5", {"time_unit": "h"}, 5_400_000_000_000),
        ("2020-01-01T01:30:00+01:30", {}, NEW_YEAR_2020_NS),
        ("2019-12-31 22:30:00-0130", {}, NEW_YEAR_2020_NS),
        ("2020-01-01 00:00", {}, NEW_YEAR_2020_NS),
        ("2020-01-01T00:00:00.123456789Z", {}, NEW_YEAR_2020_NS + 123_456_789),
    ],
)
def test_times(tmp_path: Path, time: str, options: dict[str, str], expected_ns: int) -> None:
    path = csv_file(tmp_path, f"time,debtor,creditor,amount\n{time},x,s,1\n")
    assert only_batch(CardFile(path, plain(**options))).time_ns.tolist() == [expected_ns]


@pytest.mark.parametrize(
    ("time", "options", "code"),
    [
        ("", {}, "time_missing"),
        ("2020-02-30", {}, "time_malformed"),
        ("12/31/2020", {}, "time_malformed"),
        ("1577836800", {}, "time_malformed"),
        ("2020-01-01", {"time_unit": "s"}, "time_malformed"),
        ("0001-01-01", {}, "time_out_of_range"),
        ("1577836800000", {"time_unit": "s"}, "time_out_of_range"),
        ("99999999999999999999", {"time_unit": "ns"}, "time_malformed"),
    ],
)
def test_bad_times(tmp_path: Path, time: str, options: dict[str, str], code: str) -> None:
    path = csv_file(tmp_path, f"time,debtor,creditor,amount\n{time},x,s,1\n")
    problem = refused(path, plain(**options))
    assert (problem.code, problem.param) == (code, "time")


def test_date_time_columns(tmp_path: Path) -> None:
    times = pl.Series([0, 1], dtype=pl.Int64).cast(pl.Datetime("ms"))
    path = parquet_file(tmp_path, time=times, debtor=[1, 1], creditor=[1, 1], amount=[1, 1])
    assert only_batch(CardFile(path)).time_ns.tolist() == [0, 1_000_000]


def test_unsorted_rows_are_refused_or_sorted_on_request(tmp_path: Path) -> None:
    rows = "a,2020-01-01,x,s,1,0\nb,2020-01-03,y,s,2,1\nc,2020-01-02,z,s,3,0\n"
    path = csv_file(tmp_path, HEADER + rows)
    problem = refused(path)
    assert (problem.code, "row 3" in problem.message) == ("rows_unsorted", True)
    batches = list(CardFile(path, sort=True, batch_rows=2))
    assert [len(batch) for batch in batches] == [2, 1]
    assert np.concatenate([batch.row for batch in batches]).tolist() == [1, 3, 2]
    assert sum((batch.id or () for batch in batches), ()) == ("a", "c", "b")


def test_order_is_checked_across_batches(tmp_path: Path) -> None:
    path = parquet_file(tmp_path, time=[1, 2, 3, 2], debtor=[1] * 4, creditor=[1] * 4, amount=[1] * 4)
    with pytest.raises(InputError, match="row 4"):
        list(CardFile(path, plain(time_unit="s"), batch_rows=3))


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("a,2020-01-01,,s,1,0", "key_missing"),
        ("a,2020-01-01,x", "key_missing"),
        ("a,2020-01-01,x,s,1,2", "label_malformed"),
        ("a,2020-01-01,x,s,1,", "label_malformed"),
    ],
)
def test_bad_keys_and_labels(tmp_path: Path, row: str, code: str) -> None:
    assert refused(csv_file(tmp_path, HEADER + row + "\n")).code == code


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_noticed(tmp_path: Path, separator: str) -> None:
    text = (HEADER + "a,2020-01-01,x,s,1,0\n").replace(",", separator)
    assert len(only_batch(CardFile(csv_file(tmp_path, text)))) == 1


def test_missing_columns_name_what_is_there_and_the_option(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "when,who,shop,paid\n")
    problem = refused(path, "handbook")
    assert isinstance(problem, DecodeError)
    assert problem.code == "column_missing"
    assert "when, who, shop, paid" in problem.message
    assert "id=" in problem.message
    unknown = refused(path)
    assert unknown.code == "columns_unknown"
    assert "--debtor" in unknown.message


@pytest.mark.parametrize("content", [b"", b"PAR1 not really PAR1", b"a,b\n1,2,3\n", b"a\n\xff\n", b'a\n"x\n'])
@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_damaged_files(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    mapping = CardMapping(time="a", debtor="a", creditor="a", amount="a")
    assert isinstance(refused(path, mapping), DecodeError)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "absent.parquet").code == "file_unreadable"


def test_a_decimal_comma_is_not_cut_to_a_round_amount(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "time,debtor,creditor,amount,note\n2020-01-01,x,s,12,50,hi\n")
    assert isinstance(refused(path), DecodeError)


def test_an_empty_table_has_no_batches(tmp_path: Path) -> None:
    file = CardFile(csv_file(tmp_path, HEADER))
    assert (file.rows, list(file)) == (0, [])


@pytest.mark.parametrize(
    "options", [{"amount_unit": "euro"}, {"time_unit": "week"}, {"scale": 10}, {"epoch": "x"}, {"debtor": ""}]
)
def test_impossible_mappings(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        plain(**options)


@pytest.mark.parametrize("name", sorted(READY_MAPPINGS))
def test_every_ready_mapping_is_found_by_its_columns(name: str) -> None:
    mapping = READY_MAPPINGS[name]
    assert detect_mapping(mapping.columns().values()) == mapping


def test_the_handbook_file_streams_whole() -> None:
    path = DATA / "fraud" / "handbook_transactions.parquet"
    if not path.exists():
        pytest.skip(f"the public fraud data is not beside this checkout ({path})")
    file = CardFile(path)
    rows = total = frauds = 0
    for batch in file:
        rows += len(batch)
        total += int(batch.amount_minor.sum())
        frauds += int(batch.label.sum()) if batch.label is not None else 0
    whole = pl.read_parquet(path)
    assert rows == file.rows == whole.height
    assert total == whole["amount_cents"].cast(pl.Int64).sum()
    assert frauds == whole["fraud"].cast(pl.Int64).sum()
