"""Charts are plain data, show what they are given, and say it in words as well."""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest

from console.charts import (
    PALETTE,
    SYMBOLS,
    bars,
    curve,
    dots_per_model,
    heat_map,
    line_with_greys,
    sankey,
    say,
    stacked_bars,
    values_axis,
)
from schemas.models import MODELS

CSS = Path(__file__).parents[2] / "console" / "static" / "console.css"
PAPERS = sorted(set(re.findall(r"--paper: (#[0-9a-f]{6})", CSS.read_text())))
WEEKS = ["2025-03-03", "2025-03-10"]
CREDIT: dict[str, list[float | None]] = {
    "first": [20.0, 50.0],
    "linear": [10.0, None],
    "time_decay": [30.0, 60.0],
}
SLOTS = {"b": {"last": 3.0, "time_decay": 7.5}, "a": {"time_decay": 5.0}}


def lines(chosen="time_decay"):
    return line_with_greys(WEEKS, CREDIT, chosen)


def dots():
    return dots_per_model(SLOTS, "time_decay", "money", "Credit of slots")


def stages():
    order = ("teammate", "fling", "stranger", "new")
    moves = {("fling", "fling"): 7, ("new", "fling"): 3, ("fling", "stranger"): 1}
    return sankey(moves, order, "Moves between stages")


def cohorts():
    cells = [("2025-01", 0, 1.0, True), ("2025-01", 1, 0.25, False), ("2025-02", 0, None, False)]
    names = ("cohort_month", "months_since", "share", "is_over")
    rows = [dict(zip(names, cell, strict=True)) for cell in cells]
    return heat_map(rows, "months_since", "cohort_month", "share", "is_over", "share", "Retention")


def fans():
    points = {"credited": [(0.01, 0.3), (0.02, 0.5)], "own": [(0.01, 0.1), (0.02, 0.2)]}
    return curve(points, "Fan club")


def rungs():
    people = {"consumption": [3, 0], "curation": [1, 2]}
    return stacked_bars(["2025-03-01", "2025-03-02"], people, ("day", "count"), "People by rung")


def rates():
    return bars({"b": 0.5, "a": None}, "pin rate", "share", "Pin rate of slots")


ALL = {
    each.__name__: each() for each in (lines, dots, stages, cohorts, fans, rungs, rates)
}  # fmt: skip


def test_there_is_a_day_and_a_night():
    """Else the contrast of colors would be looked at on no paper at all."""
    assert len(PAPERS) == 2


def series(option):
    return {each.get("name"): each for each in option["series"]}


def words(option):
    return option["aria"]["label"]["description"]


def luminance(color):
    """Relative luminance, as WCAG defines it."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("paper", PAPERS)
@pytest.mark.parametrize("color", PALETTE)
def test_each_color_stands_out_by_day_and_by_night(color, paper):
    """Whoever reads in the dark sees the same chart."""
    dark, light = sorted((luminance(color), luminance(paper)))

    assert (light + 0.05) / (dark + 0.05) >= 3


def seen_without_red_or_green(color):
    """How a color looks to the commonest two kinds of color blindness (Vienot, 1999)."""
    red, green, blue = [(int(color[place : place + 2], 16) / 255) ** 2.2 for place in (1, 3, 5)]
    blind_to_green = (0.293 * red + 0.707 * green, -0.022 * red + 0.022 * green + blue)
    blind_to_red = (0.112 * red + 0.888 * green, 0.004 * red - 0.004 * green + blue)
    return blind_to_green, blind_to_red


def test_parts_of_a_bar_differ_for_the_color_blind():
    """One man in twelve cannot tell red from green."""
    for one, other in combinations(PALETTE[:4], 2):
        pairs = zip(seen_without_red_or_green(one), seen_without_red_or_green(other), strict=True)
        assert all(max(abs(x - y) for x, y in zip(a, b, strict=True)) > 0.04 for a, b in pairs)


@pytest.mark.parametrize("option", ALL.values(), ids=ALL)
def test_options_are_plain_data(option):
    """They cross to the page as JSON; a function in text would need `eval`, which is refused."""
    assert json.loads(json.dumps(option, allow_nan=False)) == option


def test_the_chosen_model_is_in_color_and_in_front():
    """The eye finds what was chosen, and the others beside it."""
    option = series(lines("linear"))

    assert [name for name, each in option.items() if each["color"] == "--accent"] == ["linear"]
    assert max(option, key=lambda name: option[name]["z"]) == "linear"


def test_a_line_has_the_points_of_its_model():
    """A gap stays a gap: nothing known is not nothing sold."""
    assert {name: each["data"] for name, each in series(lines()).items()} == CREDIT


def test_a_line_is_told_in_words():
    """Who hears the page learns the same as who sees it."""
    assert words(lines()) == (
        "Credited revenue by week and model. time_decay: 2 points from 2025-03-03 to 2025-03-10,"
        " least 30.00 (2025-03-03), most 60.00 (2025-03-10). In grey: first, linear."
    )


def test_every_key_has_a_dot_for_every_model():
    """A model that gives a slot nothing disagrees most of all."""
    option = series(dots())

    assert [each["value"] for each in option["last"]["data"]] == [[3.0, 0], [0, 1]]
    assert [each["value"] for each in option["time_decay"]["data"]] == [[7.5, 0], [5.0, 1]]
    assert [each["coords"] for each in option[None]["data"]] == [
        [[0, 0], [7.5, 0]],
        [[0, 1], [5.0, 1]],
    ]


def test_models_differ_by_more_than_their_color():
    """In print, all greys are one."""
    assert len(set(SYMBOLS)) == len(MODELS)


def test_disagreement_is_told_in_words():
    """Who hears the page learns how far the models are apart."""
    assert words(dots()) == (
        "Credit of slots. b: 0.00 to 7.50 over the models, 7.50 under time_decay."
        " a: 0.00 to 5.00 over the models, 5.00 under time_decay."
    )


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [("money", 1234.5, "1,234.50"), ("share", 0.1234, "12.3 %"), ("count", 1200, "1,200")],
)
def test_values_are_said_by_their_kind(kind, value, said):
    """A share is no amount."""
    assert say(value, kind) == said


def test_a_stage_on_both_sides_is_two_nodes():
    """ECharts draws nothing at all when a band leads back to where it began."""
    (flow,) = stages()["series"]

    assert [(node["name"], node["depth"]) for node in flow["data"]] == [
        ("from fling", 0),
        ("from new", 0),
        ("to fling", 1),
        ("to stranger", 1),
    ]
    assert {link["source"] for link in flow["links"]}.isdisjoint(
        link["target"] for link in flow["links"]
    )


def test_a_stage_has_one_color_on_both_sides():
    """The eye follows a stage from the left to the right."""
    colors = {node["name"]: node["itemStyle"]["color"] for node in stages()["series"][0]["data"]}

    assert colors["from fling"] == colors["to fling"] != colors["from new"]


def test_moves_are_told_in_words_the_greatest_first():
    """Who hears the page learns where most people go."""
    assert words(stages()) == (
        "Moves between stages. fling to fling: 7. new to fling: 3. fling to stranger: 1."
    )


def test_a_month_that_goes_on_is_marked():
    """A month half over looks like people who left."""
    cells = {tuple(cell["value"][:2]): cell for cell in cohorts()["series"][0]["data"]}

    assert {at: "itemStyle" in cell for at, cell in cells.items()} == {(0, 0): False, (1, 0): True}
    assert words(cohorts()).endswith("still go on.")


def test_a_cohort_without_a_share_has_no_cell():
    """Too little data is not nobody."""
    assert [0, 1] not in [cell["value"][:2] for cell in cohorts()["series"][0]["data"]]
    assert cohorts()["yAxis"]["data"] == ["2025-01", "2025-02"]


def test_curves_start_at_nothing_beside_equality():
    """Without the line of equality a curve says nothing."""
    option = series(fans())

    assert option["own"]["data"] == [[0, 0], [0.01, 0.1], [0.02, 0.2]]
    assert option["all equal"]["data"] == [[0, 0], [1, 1]]
    assert words(fans()) == (
        "Fan club. credited: the top 1.0 % have 30.0 %. own: the top 1.0 % have 10.0 %."
    )


def test_parts_of_bars_stand_on_each_other():
    """The rungs of a day add up to everybody who was there."""
    assert {each["stack"] for each in rungs()["series"]} == {"all"}
    assert [each["data"] for each in rungs()["series"]] == [[3, 0], [1, 2]]


def test_what_is_counted_has_no_halves():
    """An axis up to two people read 0, 1, 1, 2, 2."""
    assert rungs()["yAxis"]["minInterval"] == 1
    assert "minInterval" not in values_axis("share")


def test_a_bar_without_a_value_is_not_told():
    """A rate of no views is no rate."""
    assert rates()["series"][0]["data"] == [0.5, None]
    assert words(rates()) == "Pin rate of slots. b: 50.0 %."
