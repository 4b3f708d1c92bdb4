"""Values as people read them, in markup that says what machines should read.

Without scripts the text is plain English; `static/console.js` puts it into the reader's language.
"""

from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from schemas.money import MICROS, format_money

_NUMBERS = {"count": "{:,.0f}", "number": "{:,.2f}", "share": "{:.1%}"}
# Decimals that ISO 4217 gives a currency, as browsers do: two where nothing is said.
_WHOLE = (
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV",
    "XAF", "XOF", "XPF",
)  # fmt: skip
_THOUSANDTHS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_DECIMALS = dict.fromkeys(_WHOLE, 0) | dict.fromkeys(_THOUSANDTHS, 3)
_LABELS = {
    "item_id": "Product",
    "re_pins": "Re-pins",
    "reach_total": "Reach",
    "credited_next_90_micros": "Credited in the next 90 days",
    "own_next_90_micros": "Own orders in the next 90 days",
}
NONE = Markup('<span class="none" aria-label="no value">&ndash;</span>')


def machine_value(value: Any, kind: str) -> str:
    """The value as a program reads it: decimals of money, ISO 8601 of time."""
    if kind == "money":
        return format_money(int(value))
    if kind == "time":
        return iso_time(int(value))
    if kind == "yes_no":
        return "yes" if value else "no"
    return str(value)


def iso_time(at: int) -> str:
    """UTC milliseconds in ISO 8601."""
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def plain_text(value: Any, kind: str, currency: str = "") -> str:
    """The value in plain English."""
    if value is None:
        return "-"
    if kind == "money":
        return f"{currency} {value / MICROS:,.{_DECIMALS.get(currency, 2)}f}".strip()
    if kind == "time":
        return iso_time(int(value)).replace("T", " ").replace("Z", " UTC")
    if kind in _NUMBERS:
        return _NUMBERS[kind].format(value)
    return machine_value(value, kind)


def shown(value: Any, kind: str, currency: str = "") -> Markup:
    """The value in markup."""
    if value is None:
        return NONE
    text, machine = plain_text(value, kind, currency), machine_value(value, kind)
    if kind in {"day", "month", "time"}:
        return Markup('<time datetime="{}" data-kind="{}">{}</time>').format(machine, kind, text)
    if kind in {"count", "number", "share"}:
        return Markup('<data value="{}" data-kind="{}">{}</data>').format(machine, kind, text)
    if kind == "money":
        return Markup('<data value="{}" data-kind="money" data-currency="{}">{}</data>').format(
            machine, currency, text
        )
    return Markup("{}").format(text)


def label_of(column: str) -> str:
    """What stands above a column: `credited_micros` is Credited, `is_self` is Self."""
    if column in _LABELS:
        return _LABELS[column]
    column = column.removeprefix("is_")
    for ending in ("_micros", "_at", "_id"):
        column = column.removesuffix(ending)
    return column.replace("_", " ").capitalize()
