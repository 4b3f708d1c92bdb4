"""Options of charts for ECharts: plain data, drawn in the browser by `static/console.js`.

A text that begins with `--` is a colour of the style sheet, `=money` and its like are formatters
(see `blocks.Chart`). Money is in units here, not in micros; shares go from 0 to 1. Every option
says in words what it shows, for who does not see it: `about` is the first sentence.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.models import MODELS

Option = dict[str, Any]
Row = Mapping[str, Any]
Values = Sequence[float | None]

ACCENT, GREY, INK = "--accent", "--grey", "--ink"
PALETTE = ("#0072b2", "#d55e00", "#009268", "#b0609a", "#8a6d1f", "#808890")
"""After Okabe and Ito, for the colour-blind; each at least 3 : 1 against white and near-black."""
SYMBOLS = ("circle", "rect", "triangle", "diamond", "roundRect")
"""Of the models: in print, all greys are one."""
_DASHES: tuple[Any, ...] = ("solid", "dashed", "dotted", [8, 3, 2, 3])
_SPOKEN = 10  # nobody listens to more
_SPOKEN_TOPS = (0.01, 0.05, 0.1, 0.2, 0.5)
_LABELLED = 12  # columns of a heat map; more leave no room for figures in the cells
_GOES_ON = {"borderColor": PALETTE[-1], "borderWidth": 1.5, "borderType": "dashed"}


def line_with_greys(
    weeks: Sequence[str],
    series: Mapping[str, Values],
    chosen: str,
    about: str = "Credited revenue by week and model",
) -> Option:
    """Money by week under each model: the chosen one in colour and in front, the others grey."""
    greys = [name for name in series if name != chosen]
    said = [_say_line(chosen, weeks, series[chosen], "money")] if chosen in series else []
    return _said(about, [*said, *([f"In grey: {', '.join(greys)}."] if greys else [])]) | {
        "xAxis": {"type": "category", "data": list(weeks), "axisLabel": {"formatter": "=day"}},
        "yAxis": {"type": "value", "axisLabel": {"formatter": "=money"}},
        "tooltip": {"trigger": "axis", "valueFormatter": "=money"},
        "legend": {"data": list(series)},
        "series": [
            {
                "type": "line",
                "name": name,
                "data": list(values),
                "showSymbol": len(weeks) == 1,
                "z": 3 if name == chosen else 2,
                "lineStyle": {"width": 3}
                if name == chosen
                else {"width": 1, "type": _DASHES[greys.index(name) % len(_DASHES)]},
                "color": ACCENT if name == chosen else GREY,
            }
            for name, values in series.items()
        ],
    }


def dots_per_model(
    credit: Mapping[str, Mapping[str, float]], chosen: str, kind: str, about: str
) -> Option:
    """A line for each key with a dot for each model on it: far apart where models disagree.

    `credit` is by key, then by model; a model that gives a key nothing may be missing.
    """
    keys = list(credit)
    spread = [[of_key.get(model, 0) for model in MODELS] for of_key in credit.values()]
    said = [
        f"{key}: {say(min(values), kind)} to {say(max(values), kind)} over the models,"
        f" {say(credit[key].get(chosen, 0), kind)} under {chosen}."
        for key, values in zip(keys, spread, strict=True)
    ]
    dots = [
        {
            "type": "scatter",
            "name": model,
            "symbol": SYMBOLS[place],
            "symbolSize": 13 if model == chosen else 9,
            "z": 4 if model == chosen else 3,
            "color": ACCENT if model == chosen else GREY,
            "encode": {"x": 0, "y": 1, "tooltip": [0]},
            "data": [
                {"name": key, "value": [values[place], row]}
                for row, (key, values) in enumerate(zip(keys, spread, strict=True))
            ],
        }
        for place, model in enumerate(MODELS)
    ]
    return _said(about, said[:_SPOKEN]) | {
        "xAxis": {"type": "value", "axisLabel": {"formatter": f"={kind}", "hideOverlap": True}},
        "yAxis": _names(keys),
        "tooltip": {"trigger": "item", "valueFormatter": f"={kind}"},
        "legend": {"data": list(MODELS), "itemWidth": 14},
        "series": [
            {
                "type": "lines",
                "coordinateSystem": "cartesian2d",
                "silent": True,
                "lineStyle": {"color": GREY, "width": 2, "opacity": 0.6, "curveness": 0},
                "tooltip": {"show": False},
                "data": [
                    {"coords": [[min(values), row], [max(values), row]]}
                    for row, values in enumerate(spread)
                ],
            },
            *dots,
        ],
    }


def height_of(keys: int) -> int:
    """Pixels that a chart with so many keys below each other needs."""
    return 110 + 26 * keys


def say(value: float, kind: str) -> str:
    """A value in words."""
    if kind == "share":
        return f"{100 * value:.1f} %"
    return f"{value:,.2f}" if kind == "money" else f"{value:,.2f}".rstrip("0").rstrip(".")


def _said(about: str, sentences: Iterable[str]) -> Option:
    words = " ".join([f"{about}.", *sentences])
    return {"aria": {"enabled": True, "label": {"enabled": True, "description": words}}}


def _say_line(name: str, times: Sequence[str], values: Values, kind: str) -> str:
    """How many points a line has, its least and its most."""
    points = [(value, at) for value, at in zip(values, times, strict=True) if value is not None]
    if not points:
        return f"{name}: nothing."
    least, most = min(points), max(points)
    return (
        f"{name}: {len(points)} points from {points[0][1]} to {points[-1][1]}, least"
        f" {say(least[0], kind)} ({least[1]}), most {say(most[0], kind)} ({most[1]})."
    )


def _names(names: Sequence[str]) -> Option:
    """An axis of names, the first on top."""
    return {
        "type": "category",
        "data": list(names),
        "inverse": True,
        "axisLabel": {"width": 150, "overflow": "truncate"},
        "axisTick": {"show": False},
    }
