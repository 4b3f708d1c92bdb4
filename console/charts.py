"""Options of charts for ECharts: plain data, drawn in the browser by `static/console.js`.

A text that begins with `--` is a colour of the style sheet, `=money` and its like are formatters
(see `blocks.Chart`). Money is in units here, not in micros.
"""

from collections.abc import Mapping, Sequence
from typing import Any

ACCENT, GREY, INK = "--accent", "--grey", "--ink"


def line_with_greys(
    weeks: Sequence[str], series: Mapping[str, Sequence[float | None]], chosen: str
) -> dict[str, Any]:
    """Money by week under each model: the chosen one in colour and in front, the others grey."""
    return {
        "xAxis": {"type": "category", "data": list(weeks), "axisLabel": {"formatter": "=day"}},
        "yAxis": {"type": "value", "axisLabel": {"formatter": "=money"}},
        "tooltip": {"trigger": "axis", "valueFormatter": "=money"},
        "legend": {"data": list(series)},
        "series": [
            {
                "type": "line",
                "name": name,
                "data": list(values),
                "showSymbol": False,
                "z": 3 if name == chosen else 2,
                "lineStyle": {"width": 3 if name == chosen else 1},
                "color": ACCENT if name == chosen else GREY,
            }
            for name, values in series.items()
        ],
    }
