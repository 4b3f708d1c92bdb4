"""Money: decimal strings on the wire, int64 micros (1e-6 of the currency unit) inside."""

import functools
import re

from schemas.errors import MoneyError

MICROS = 1_000_000
# Shares of an amount are taken in float64; below 2**52 their floors are exact.
MAX_MICROS = 2**52 - 1
_DECIMAL = re.compile(r"([+-]?)([0-9]{1,30})(?:\.([0-9]{0,30}))?", re.ASCII)


@functools.lru_cache(maxsize=4096)  # amounts repeat; one costs 1 us to read
def parse_money(text: str) -> int:
    """Turns a decimal string such as ``"12.34"`` into micros, exactly.

    Raises:
      MoneyError: not a plain decimal number (no exponent, one point, ASCII digits),
        more than six significant decimals, or 2**52 micros and above.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise MoneyError(
            f"amount {_short(text)} is not a decimal number such as '12.34'"
            " (digits, at most one point, no exponent or separators)"
        )
    sign, whole, fraction = match.groups(default="")
    digits = fraction.rstrip("0")
    if len(digits) > 6:
        raise MoneyError(f"amount {_short(text)} has more than six decimals")
    micros = int(whole) * MICROS + int(digits.ljust(6, "0") or "0")
    if micros > MAX_MICROS:
        raise MoneyError(f"amount {_short(text)} is beyond {MAX_MICROS // MICROS} units")
    return -micros if sign == "-" else micros


def format_money(micros: int) -> str:
    """The decimal string of an amount in micros, with at least two decimals."""
    sign = "-" if micros < 0 else ""
    whole, rest = divmod(abs(micros), MICROS)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{decimals}"


def check_currency(code: str) -> str:
    """Gives back an ISO 4217 code, or raises a MoneyError that names it."""
    if code not in currency_codes():
        raise MoneyError(f"currency {_short(code)} is not an ISO 4217 code such as 'GBP'")
    return code


@functools.cache
def currency_codes() -> frozenset[str]:
    """All ISO 4217 codes in force (from pycountry's table)."""
    import pycountry  # reads a table from disk; only who checks money pays for it

    return frozenset(currency.alpha_3 for currency in pycountry.currencies)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
