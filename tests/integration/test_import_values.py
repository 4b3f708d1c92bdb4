"""Values of order files mean what the event contract says, in whatever type they come."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.io.given_values import parse_column
from pipelines.io.import_orders import import_orders
from pipelines.io.order_values import parse_micros, parse_quantity
from pipelines.io.quarantine import read_rejects
from schemas.errors import EventError, MoneyError, UsageError
from schemas.home import Home
from schemas.money import parse_money

AMOUNTS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    st.from_regex(r"[+-]?[0-9]{1,17}(\.[0-9]{0,9})?", fullmatch=True),
    st.text("0123456789.+-eE, £", max_size=12),
    st.sampled_from(["4503599627.370495", "4503599627.370496", "-0", "1.", ".5", "\u0661"]),
)


def expected(text: str) -> tuple[int | None, str | None]:
    if text == "":
        return None, None
    try:
        return parse_money(text), None
    except MoneyError as error:
        return None, str(error)


@given(st.lists(AMOUNTS, max_size=20))
def test_a_column_of_texts_is_parsed_as_parse_money_parses_each(texts):
    parsed = parse_column(pa.array(texts, pa.string()), parse_micros, pa.int64())

    reasons = [parsed.reason(row) if is_bad else None for row, is_bad in enumerate(parsed.is_bad)]
    assert list(zip(parsed.values.to_pylist(), reasons, strict=True)) == [
        expected(text) for text in texts
    ]


@given(st.decimals(-(10**9), 10**9, places=6))
def test_decimals_of_any_scale_keep_every_micro(amount):
    """Arrow prints some of them with an exponent, which parse_money refuses."""
    for scale in (6, 9, 18):
        column = pa.array([amount], pa.decimal128(38, scale))
        parsed = parse_column(column, parse_micros, pa.int64())
        assert parsed.values.to_pylist() == [int(amount * 1_000_000)]


@given(st.integers(-(10**9), 10**9))
def test_a_float_means_its_shortest_text(cents):
    """0.1 is ten cents, though no float is a tenth."""
    assert parse_micros(cents / 100) == parse_money(str(Decimal(cents) / 100))


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), 1e300, 1e-7, Decimal("NaN")])
def test_amounts_that_are_no_money_are_refused(amount):
    with pytest.raises(MoneyError):
        parse_micros(amount)


@pytest.mark.parametrize("quantity", ["1_0", "\u0661", " 1", "1.5", "1e2", float("inf"), "", "--1"])
def test_quantities_are_whole_ascii_numbers(quantity):
    with pytest.raises(EventError):
        parse_quantity(quantity)


@pytest.mark.parametrize("quantity", ["2", "+2", "2.0", "2.", 2, 2.0, Decimal("2.00")])
def test_a_whole_number_may_be_written_with_a_point(quantity):
    assert parse_quantity(quantity) == 2


def parquet(path: Path, **columns: Any) -> Path:
    """A file of three sales whose columns may be replaced."""
    sales = {
        "order_id": pa.array(["1", "2", "3"]),
        "item_id": pa.array(["mug"] * 3),
        "quantity": pa.array([1] * 3),
        "price": pa.array(["2.50"] * 3),
        "ordered_at": pa.array([1_790_000_000_000] * 3, pa.timestamp("ms")),
    }
    pq.write_table(pa.table(sales | columns), path / "orders.parquet")
    return path / "orders.parquet"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "pinsphere.toml").write_text('[sites.acme]\nkey = "acme-key"\ncurrency = "GBP"\n')
    return Home(tmp_path)


NOW, YEAR_10000 = 1_790_000_000, 253_402_300_800
ODD = {
    "year 10000": (
        pa.array([NOW * 1000, YEAR_10000 * 1000, NOW * 1000], pa.timestamp("ms")),
        f"{YEAR_10000}000 ms is not between 2000 and 2100",
    ),
    "year 10000 in Sydney": (
        pa.array([NOW, YEAR_10000, NOW], pa.timestamp("s", "Australia/Sydney")),
        f"{YEAR_10000}000 ms is not",
    ),
    # Cut to microseconds it would come out as 1970, or any other time.
    "after all times": (
        pa.array([NOW * 1000, 2**62, NOW * 1000], pa.timestamp("ms")),
        "ms is not between",
    ),
    "before all times": (
        pa.array([NOW * 1000, -(2**62), NOW * 1000], pa.timestamp("ms", "UTC")),
        "ms is not between",
    ),
    "a date": (pa.array([20_000, 2**31 - 1, 20_000], pa.date32()), "is not between 2000 and 2100"),
}


@pytest.mark.parametrize(("times", "reason"), ODD.values(), ids=ODD)
def test_a_time_beyond_reason_costs_its_row_only(home, tmp_path, times, reason):
    """Another program's "never" is the year 10000, which Python cannot say."""
    file = parquet(tmp_path, ordered_at=times)

    imported = import_orders(home, [file], site="acme", now_ms=NOW * 1000)

    assert (imported.lines, imported.quarantined) == (2, 1)
    (reject,) = read_rejects(home)
    assert reason in reject.reason
    assert reject.place == "orders.parquet line 2"
    assert '"order_id":"2"' in reject.record


def test_a_text_that_is_none_costs_its_row_only(home, tmp_path):
    """Arrow takes any bytes for text."""
    bad = pa.array([b"1", b"\xff", b"3"]).view(pa.string())

    imported = import_orders(
        home, [parquet(tmp_path, order_id=bad)], site="acme", now_ms=NOW * 1000
    )

    assert (imported.lines, imported.quarantined) == (2, 1)
    (reject,) = read_rejects(home)
    assert reject.reason == "order_id is not UTF-8 text"
    assert "xff" in reject.record


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "BST5"])
def test_an_unknown_time_zone_is_told_with_file_and_column(home, tmp_path, zone):
    file = parquet(tmp_path, ordered_at=pa.array([NOW] * 3, pa.timestamp("s", zone)))

    with pytest.raises(
        UsageError, match=f"orders.parquet: column 'ordered_at' .* time zone '{zone}'"
    ):
        import_orders(home, [file], site="acme")


def test_a_damaged_file_is_named(home, tmp_path):
    file = parquet(tmp_path)
    whole = file.read_bytes()
    for damaged in (whole[:-20], b"\0" * 200 + whole[200:], b""):
        file.write_bytes(damaged)
        with pytest.raises(UsageError, match=r"orders\.parquet is"):
            import_orders(home, [file], site="acme")
