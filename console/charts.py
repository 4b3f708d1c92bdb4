"""Charts: rows in, options of ECharts 6 out; plain data, without a function or a formatter.

Every option has `aria` with what it shows in words, no colour of text (the page's theme gives it,
light or dark), no animation, and tooltips without HTML: ECharts would give their markup inline
styles, which the page's policy refuses, and an item's name stays text.

How numbers are written is left to the reader's locale. `option["pinsphere"]` tells the script
that draws the chart, which takes it out before it gives the option to ECharts:

    {"kind": "money", "currency": "EUR", "height": 320}

- `kind` is `money`, `share`, `count` or `number`, `currency` the code of money and else empty. It
  is that of every value: of axes of the type `value`, tooltips, the legend of a heat map and
  labels of its cells. Money is in units, not in micros; shares go from 0 to 1.
- `height` is what the chart needs, in pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from schemas.models import MODELS

Option = dict[str, Any]
Row = Mapping[str, Any]
Rows = Sequence[Row]

ACCENT, GREY = "#0072b2", "#808890"
PALETTE = (ACCENT, "#d55e00", "#009268", "#b0609a", "#8a6d1f", GREY)
"""After Okabe and Ito; each at least 3 : 1 against white and against near-black."""
SYMBOLS = ("circle", "rect", "triangle", "diamond", "roundRect", "arrow")
"""Beside the colour, since not everybody sees it."""
_LINES: tuple[Any, ...] = ("solid", "dashed", "dotted", [8, 3, 2, 3])
_ROW_HEIGHT = 26
_SPOKEN = 10  # nobody listens to more
_PLAIN_TOOLTIP = {"renderMode": "richText", "confine": True}


class Unit(NamedTuple):
    """What the values of a chart are."""

    kind: str = "count"
    currency: str = ""

    def say(self, value: float) -> str:
        """The value in words, for who cannot see the chart."""
        if self.kind == "share":
            return f"{100 * value:.1f} %"
        if self.kind == "money":
            return f"{value:,.2f} {self.currency}".strip()
        return f"{value:,.2f}".rstrip("0").rstrip(".")


def line_with_greys(
    rows: Rows, x: str, y: str, by: str, chosen: str, unit: Unit, about: str
) -> Option:
    """A line for each `by` over time: the chosen one in colour and on top, the others grey.

    Args:
      rows: one for each x and `by`; x is a day or month as text.
      x: column of the time.
      y: column of the values; None is a gap.
      by: column that tells the lines apart.
      chosen: value of `by` to show in colour.
      unit: what y is.
      about: what the chart shows, in words.
    """
    lines = _series(rows, by, MODELS)
    others = [name for name in lines if name != chosen]
    series = [
        _grey_line(name, place, _points(lines[name], x, y)) for place, name in enumerate(others)
    ]
    if chosen in lines:
        series.append(_line(chosen, ACCENT, _points(lines[chosen], x, y)) | {"z": 3})
    described = [_describe(chosen, lines.get(chosen, []), x, y, unit)]
    if others:
        described.append(f"In grey: {', '.join(others)}.")
    return _framed(about, described, unit) | {
        "tooltip": {"trigger": "axis", **_PLAIN_TOOLTIP},
        "legend": {"data": [each["name"] for each in reversed(series)], "top": 0},
        "xAxis": {"type": "time"},
        "yAxis": {"type": "value"},
        "series": series,
    }


def dots_per_model(rows: Rows, key: str, y: str, chosen: str, unit: Unit, about: str) -> Option:
    """A line for each key with a dot for each model on it: far apart where models disagree.

    Args:
      rows: one for each key and `model`, in the order in which keys are to be shown; a model
        that gives a key nothing may have no row for it and counts as 0.
      key: column of what the models are compared on.
      y: column of the values.
      chosen: model whose dots are in colour and largest.
      unit: what y is.
      about: what the chart shows, in words.
    """
    keys = list(dict.fromkeys(str(row[key]) for row in rows))
    credit = {(str(row[key]), row["model"]): number(row[y]) or 0 for row in rows}
    spread = {k: [credit.get((k, model), 0) for model in MODELS] for k in keys}
    series: list[Option] = [
        {
            "name": "least to most",
            "type": "lines",
            "coordinateSystem": "cartesian2d",
            "silent": True,
            "symbol": "none",
            "lineStyle": {"color": GREY, "width": 2, "opacity": 0.6, "curveness": 0},
            "tooltip": {"show": False},
            "data": [
                {"coords": [[min(values), place], [max(values), place]]}
                for place, values in enumerate(spread.values())
            ],
        }
    ]
    for place, model in enumerate(MODELS):
        is_chosen = model == chosen
        series.append(
            {
                "name": model,
                "type": "scatter",
                "symbol": SYMBOLS[place % len(SYMBOLS)],
                "symbolSize": 13 if is_chosen else 9,
                "itemStyle": {"color": ACCENT if is_chosen else GREY, "opacity": 1},
                "z": 4 if is_chosen else 3,
                "encode": {"x": 0, "y": 1, "tooltip": [0]},
                "data": [
                    {"name": k, "value": [credit.get((k, model), 0), place]}
                    for place, k in enumerate(keys)
                ],
            }
        )
    described = [
        f"{k}: {unit.say(min(values))} to {unit.say(max(values))} over {len(MODELS)} models"
        f", {unit.say(credit.get((k, chosen), 0))} under {chosen}."
        for k, values in list(spread.items())[:_SPOKEN]
    ]
    return _framed(about, described, unit, height=90 + _ROW_HEIGHT * len(keys)) | {
        "tooltip": {"trigger": "item", **_PLAIN_TOOLTIP},
        "legend": {"data": list(MODELS), "top": 0, "itemWidth": 14},
        "xAxis": {"type": "value"},
        "yAxis": _names(keys) | {"inverse": True},
        "series": series,
    }


def number(value: Any) -> float | int | None:
    """A value of a row as JSON knows it; PostgreSQL gives decimals."""
    return value if value is None or isinstance(value, int) else float(value)


def _framed(about: str, described: Iterable[str], unit: Unit, height: int = 320) -> Option:
    """What all charts have in common."""
    return {
        "pinsphere": {"kind": unit.kind, "currency": unit.currency, "height": height},
        "aria": {
            "enabled": True,
            "label": {"enabled": True, "description": " ".join([f"{about}.", *described])},
        },
        "animation": False,
        "grid": {"top": 40, "left": 12, "right": 32, "bottom": 24},
    }


def _series(rows: Rows, by: str, order: Sequence[str]) -> dict[str, list[Row]]:
    """Rows by the values of a column: those of an order first, in it."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[by], []).append(row)
    known = [name for name in order if name in found]
    return {name: found[name] for name in [*known, *(n for n in found if n not in known)]}


def _points(rows: Rows, x: str, y: str) -> list[list[Any]]:
    return [[row[x], number(row[y])] for row in rows]


def _line(name: str, color: str, data: list[list[Any]]) -> Option:
    return {
        "name": name,
        "type": "line",
        "symbol": "circle",
        "symbolSize": 6,
        "lineStyle": {"color": color, "width": 2.5},
        "itemStyle": {"color": color},
        "data": data,
    }


def _grey_line(name: str, place: int, data: list[list[Any]]) -> Option:
    style = {"color": GREY, "width": 1.25, "type": _LINES[place % len(_LINES)]}
    return _line(name, GREY, data) | {"symbolSize": 3, "lineStyle": style}


def _names(names: Sequence[str]) -> Option:
    return {
        "type": "category",
        "data": list(names),
        "axisLabel": {"width": 150, "overflow": "truncate"},
        "axisTick": {"show": False},
    }


def _describe(name: str, rows: Rows, x: str, y: str, unit: Unit) -> str:
    """How many points a line has, its ends, its least and its most."""
    known = [(number(row[y]), row[x]) for row in rows]
    points = [(value, at) for value, at in known if value is not None]
    if not points:
        return f"{name}: nothing."
    least, most = min(points), max(points)
    return (
        f"{name}: {len(points)} points from {points[0][1]} to {points[-1][1]},"
        f" least {unit.say(least[0])} ({least[1]}), most {unit.say(most[0])} ({most[1]})."
    )
