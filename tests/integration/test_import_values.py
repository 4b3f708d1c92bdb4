"""Values of order files mean what the event contract says, in whatever type they come."""

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.io.order_values import parse_column, parse_micros, parse_quantity
from schemas.errors import EventError, MoneyError
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
