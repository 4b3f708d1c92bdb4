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
"""After Okabe and Ito, for the colour-blind; each at least 3 : 1 on paper, by day and by night."""
SYMBOLS = ("circle", "rect", "triangle", "diamond", "roundRect")
"""Of the models: in print, all greys are one."""
_DASHES: tuple[Any, ...] = ("solid", "dashed", "dotted", [8, 3, 2, 3])
_LEAST_HEIGHT = 192  # the style sheet keeps so much free
_SPOKEN = 10  # nobody listens to more
_SPOKEN_TOPS = (0.01, 0.05, 0.1, 0.2, 0.5)
_LABELLED = 12  # columns of a heat map; more leave no room for figures in the cells
_WIDE = {"right": 40}  # where the last figure of an axis stands out
_GOES_ON = {"borderColor": PALETTE[-1], "borderWidth": 1.5, "borderType": "dashed"}


def values_axis(kind: str) -> Option:
    """An axis of values: money, shares, or what is counted, which has no halves."""
    return {
        "type": "value",
        "axisLabel": {"formatter": f"={kind}", "hideOverlap": True},
        **({"minInterval": 1} if kind == "count" else {}),
    }


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
        "xAxis": _times(weeks, "day"),
        "yAxis": values_axis("money"),
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
        "grid": _WIDE,
        "xAxis": values_axis(kind),
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


def stacked_bars(
    times: Sequence[str], series: Mapping[str, Values], kinds: tuple[str, str], about: str
) -> Option:
    """A bar for each time, cut into parts that add up, the first at the bottom.

    `kinds` are those of times and values, such as `("day", "count")`.
    """
    time, kind = kinds
    return _said(about, [_say_line(name, times, each, kind) for name, each in series.items()]) | {
        "xAxis": _times(times, time),
        "yAxis": values_axis(kind),
        "tooltip": {"trigger": "axis", "valueFormatter": f"={kind}"},
        "legend": {"data": list(series)},
        "series": [
            {
                "type": "bar",
                "name": name,
                "stack": "all",
                "barMaxWidth": 40,
                "color": color,
                "data": list(values),
            }
            for (name, values), color in zip(series.items(), PALETTE, strict=False)
        ],
    }


def bars(values: Mapping[str, float | None], name: str, kind: str, about: str) -> Option:
    """A horizontal bar for each key, the first on top; `name` is what the values are."""
    said = [f"{key}: {say(value, kind)}." for key, value in values.items() if value is not None]
    return _said(about, said[:_SPOKEN]) | {
        "grid": _WIDE | {"top": 8},
        "xAxis": values_axis(kind),
        "yAxis": _names(list(values)),
        "tooltip": {"trigger": "axis", "valueFormatter": f"={kind}"},
        "series": [
            {
                "type": "bar",
                "name": name,
                "barMaxWidth": 18,
                "color": ACCENT,
                "data": list(values.values()),
            }
        ],
    }


def sankey(moves: Mapping[tuple[str, str], int], order: Sequence[str], about: str) -> Option:
    """Bands from stages on the left to stages on the right, as wide as people moved.

    A stage on both sides is two nodes: a band to itself would be a circle, which ECharts refuses.
    `order`, from the top to the bottom, has all stages, and a colour for each.
    """
    colors = dict(zip(order, PALETTE, strict=False))
    sides = {
        side: [stage for stage in order if any(stage == move[depth] for move in moves)]
        for depth, side in enumerate(("from", "to"))
    }
    most = sorted(moves, key=lambda move: -moves[move])[:_SPOKEN]
    return _said(about, [f"{one} to {other}: {moves[one, other]:,}." for one, other in most]) | {
        "tooltip": {"trigger": "item", "valueFormatter": "=count"},
        "series": [
            {
                "type": "sankey",
                "draggable": False,
                "layoutIterations": 0,  # keeps the order
                "top": 8,
                "bottom": 8,
                "left": 8,
                "right": 170,  # the names of the right side stand there
                "nodeGap": 14,
                "label": {"color": INK},
                "emphasis": {"focus": "adjacency"},
                "lineStyle": {"color": "source", "opacity": 0.35},
                "data": [
                    {
                        "name": f"{side} {stage}",
                        "depth": depth,
                        "itemStyle": {"color": colors[stage]},
                    }
                    for depth, (side, stages) in enumerate(sides.items())
                    for stage in stages
                ],
                "links": [
                    {"source": f"from {one}", "target": f"to {other}", "value": people}
                    for (one, other), people in moves.items()
                ],
            }
        ],
    }


def heat_map(
    rows: Sequence[Row], x: str, y: str, value: str, is_over: str, kind: str, about: str
) -> Option:
    """A cell for each x and y, the stronger in colour the greater; what goes on has a dashed edge.

    The names are those of columns; `is_over` is false where a cell's value may still change, and a
    cell without a value stays empty.
    """
    columns, lines = (sorted({row[name] for row in rows}) for name in (x, y))
    cells, values = [], []
    for row in rows:
        if row[value] is not None:
            at = [columns.index(row[x]), lines.index(row[y]), row[value]]
            cells.append({"value": at} | ({} if row[is_over] else {"itemStyle": _GOES_ON}))
            values.append(row[value])
    said = [f"Lines from {lines[0]} to {lines[-1]}."] if lines else ["Nothing."]
    if values:
        said.append(f"Values from {say(min(values), kind)} to {say(max(values), kind)}.")
    if any("itemStyle" in cell for cell in cells):
        said.append("Cells with a dashed edge still go on.")
    return _said(about, said) | {
        "grid": _WIDE | {"top": 8, "bottom": 64},
        "xAxis": {"type": "category", "data": [str(each) for each in columns]},
        "yAxis": _names([str(each) for each in lines]),
        "tooltip": {"trigger": "item", "valueFormatter": f"={kind}"},
        "visualMap": {
            "min": 0,
            "max": max(values, default=0) or 1,
            "orient": "horizontal",
            "left": "center",
            "bottom": 0,
            "text": ["more", "less"],
            "textStyle": {"color": INK},
            # Over the page's own ground, so that it is pale by day and dark by night.
            "inRange": {"color": [PALETTE[0]], "colorAlpha": [0.06, 0.6]},
            "outOfRange": {"color": "rgba(0,0,0,0)"},  # lies below the scale, pale even by night
        },
        "series": [
            {
                "type": "heatmap",
                "label": {
                    "show": len(columns) <= _LABELLED,
                    "formatter": f"={kind}",
                    "color": INK,
                },
                "data": cells,
            }
        ],
    }


def curve(curves: Mapping[str, Sequence[tuple[float, float]]], about: str) -> Option:
    """What the top have, from none to all, beside the line on which all have equally much.

    Each curve is a list of the part of all, from the top, and of what that part has.
    """
    series: list[Option] = [
        {
            "type": "line",
            "name": name,
            "color": color,
            "showSymbol": False,
            "lineStyle": {"width": 2.5, "type": dash},
            "data": [[0, 0], *([top, share] for top, share in points)],
        }
        for (name, points), color, dash in zip(curves.items(), PALETTE, _DASHES, strict=False)
    ]
    equal: Option = {
        "type": "line",
        "name": "all equal",
        "color": GREY,
        "showSymbol": False,
        "silent": True,
        "lineStyle": {"width": 1.5, "type": "dashed"},
        "data": [[0, 0], [1, 1]],
    }
    said = []
    for name, points in curves.items():
        tops = [(top, share) for top, share in points if top in _SPOKEN_TOPS]
        parts = [f"the top {say(top, 'share')} have {say(share, 'share')}" for top, share in tops]
        said.append(f"{name}: {', '.join(parts)}.")
    axis = {"type": "value", "min": 0, "axisLabel": {"formatter": "=share"}}
    return _said(about, said) | {
        "xAxis": axis | {"max": 1},
        "yAxis": axis,
        "tooltip": {"trigger": "axis", "valueFormatter": "=share"},
        "legend": {"data": [*curves, equal["name"]]},
        "series": [*series, equal],
    }


def height_of(keys: int, around: int = 40) -> int:
    """Pixels that a chart with so many keys below each other needs, with what is around them."""
    return max(around + 26 * keys, _LEAST_HEIGHT)


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


def _times(times: Sequence[str], kind: str) -> Option:
    """An axis of times."""
    label = {"formatter": f"={kind}", "hideOverlap": True}
    return {"type": "category", "data": list(times), "axisLabel": label}


def _names(names: Sequence[str]) -> Option:
    """An axis of names, the first on top."""
    return {
        "type": "category",
        "data": list(names),
        "inverse": True,
        "axisLabel": {"width": 150, "overflow": "truncate"},
        "axisTick": {"show": False},
    }
