"""Money on the wire: which texts are amounts, and which are not."""

import decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import EventError, MoneyError
from schemas.money import (
    MAX_MICROS,
    MICROS,
    check_currency,
    currency_codes,
    format_money,
    parse_money,
)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("12.34", 12_340_000),
        ("0", 0),
        ("-0", 0),
        ("-0.00", 0),
        ("+1", 1_000_000),
        ("-1.5", -1_500_000),
        ("1.", 1_000_000),
        ("007", 7_000_000),
        ("0.000001", 1),
        ("-0.000001", -1),
        ("1.0000000", 1_000_000),  # seven decimals, but nothing in the seventh
        ("1.1000000000000000000000000000", 1_100_000),
        ("4503599627.370495", MAX_MICROS),
        ("-4503599627.370495", -MAX_MICROS),
    ],
)
def test_decimal_strings_are_exact_micros(text: str, micros: int) -> None:
    """No float stands between a shop's text and its ledger."""
    assert parse_money(text) == micros


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a decimal number"),
        ("-", "not a decimal number"),
        (".", "not a decimal number"),
        (".5", "not a decimal number"),
        (" 1", "not a decimal number"),
        ("1 ", "not a decimal number"),
        ("1\n", "not a decimal number"),
        ("--1", "not a decimal number"),
        ("12.345.6", "not a decimal number"),
        ("1,5", "not a decimal number"),
        ("1_000", "not a decimal number"),
        ("1e999", "not a decimal number"),
        ("1E5", "not a decimal number"),
        ("0x10", "not a decimal number"),
        ("nan", "not a decimal number"),
        ("inf", "not a decimal number"),
        ("\u00a35", "not a decimal number"),
        ("\u0661\u0662", "not a decimal number"),  # Arabic digits
        ("\uff11", "not a decimal number"),  # a full-width 1
        ("\u22121", "not a decimal number"),  # a typographic minus
        ("1" * 40, "not a decimal number"),
        ("0." + "0" * 40, "not a decimal number"),
        ("9" * 30, "beyond 4503599627 units"),
        ("1.0000001", "more than six decimals"),
        ("4503599627.370496", "beyond 4503599627 units"),
        ("-4503599627.370496", "beyond 4503599627 units"),
    ],
)
def test_any_other_text_is_refused_with_its_reason(text: str, reason: str) -> None:
    """A guessed amount is worse than none; the reason goes to quarantine."""
    with pytest.raises(MoneyError, match=reason) as caught:
        parse_money(text)

    assert len(str(caught.value)) < 200
    assert isinstance(caught.value, EventError)


@given(st.integers(-MAX_MICROS, MAX_MICROS))
def test_every_amount_survives_its_text(micros: int) -> None:
    """What the console shows can be imported again to the micro."""
    text = format_money(micros)

    assert parse_money(text) == micros
    assert decimal.Decimal(text) * MICROS == micros


@given(st.text(alphabet="+-.0123456789", max_size=12) | st.text(max_size=12))
def test_a_text_is_an_amount_as_decimal_reads_it_or_refused(text: str) -> None:
    """Never another number, whatever the text; never another error."""
    try:
        micros = parse_money(text)
    except MoneyError:
        return

    assert decimal.Decimal(text) * MICROS == micros


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (12_340_000, "12.34"),
        (12_300_000, "12.30"),
        (1, "0.000001"),
        (-1, "-0.000001"),
        (0, "0.00"),
        (-5_000_000, "-5.00"),
        (1_234_567, "1.234567"),
    ],
)
def test_amounts_are_shown_with_two_decimals_at_least(micros: int, text: str) -> None:
    """As a price tag reads."""
    assert format_money(micros) == text


@pytest.mark.parametrize("code", ["GBP", "EUR", "USD", "JPY", "KWD", "XAU"])
def test_iso_codes_are_currencies(code: str) -> None:
    """Whatever the number of its decimals: micros hold them all."""
    assert check_currency(code) == code


@pytest.mark.parametrize("code", ["", "gbp", "GB", "XYZ", "\u20ac", "GBP ", "DEM", "G" * 1_000])
def test_other_codes_are_refused_by_name(code: str) -> None:
    """A typing error must not open a second ledger."""
    with pytest.raises(MoneyError, match="not an ISO 4217 code such as 'GBP'") as caught:
        check_currency(code)

    assert repr(code)[:20] in str(caught.value)
    assert len(str(caught.value)) < 200


def test_all_codes_in_force_are_known() -> None:
    """The table is pycountry's, not a list of our own that ages."""
    assert 150 < len(currency_codes()) < 250
    assert all(len(code) == 3 and code.isupper() for code in currency_codes())
