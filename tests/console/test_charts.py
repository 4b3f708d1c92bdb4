"""Charts are plain data, show what the rows say, and say it in words as well."""

import json
from decimal import Decimal
from itertools import combinations

import pytest

from console.charts import PALETTE, SYMBOLS, Unit, dots_per_model, line_with_greys
from schemas.models import MODELS

EUROS = Unit("money", "EUR")
WEEKS = [
    {"week": week, "model": model, "credited": Decimal(amount)}
    for week, amounts in (("2025-03-03", (10, 20, 30)), ("2025-03-10", (40, 50, 60)))
    for model, amount in zip(("linear", "first", "time_decay"), amounts, strict=True)
]
SLOTS = [
    {"slot": "b", "model": "last", "credited": 3},
    {"slot": "b", "model": "time_decay", "credited": Decimal("7.5")},
    {"slot": "a", "model": "time_decay", "credited": 5},
]


def lines(chosen="time_decay"):
    about = "Credited revenue by week"
    return line_with_greys(WEEKS, "week", "credited", "model", chosen, EUROS, about)


def dots():
    return dots_per_model(SLOTS, "slot", "credited", "time_decay", EUROS, "Credit of slots")


def series(option):
    return {each["name"]: each for each in option["series"]}


def words(option):
    return option["aria"]["label"]["description"]


def luminance(color):
    """Relative luminance, as WCAG defines it."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("color", PALETTE)
def test_each_color_stands_out_on_white_and_on_near_black(color):
    """Whoever reads at night sees the same chart."""
    assert 1.05 / (luminance(color) + 0.05) >= 3
    assert (luminance(color) + 0.05) / (luminance("#15181c") + 0.05) >= 3


def seen_without_red_or_green(color):
    """How a color looks to the commonest two kinds of color blindness (Vienot, 1999)."""
    red, green, blue = [(int(color[place : place + 2], 16) / 255) ** 2.2 for place in (1, 3, 5)]
    blind_to_green = (0.293 * red + 0.707 * green, -0.022 * red + 0.022 * green + blue)
    blind_to_red = (0.112 * red + 0.888 * green, 0.004 * red - 0.004 * green + blue)
    return blind_to_green, blind_to_red


def test_neighbours_of_the_palette_differ_for_the_color_blind():
    """One man in twelve cannot tell red from green."""
    for one, other in combinations(PALETTE[:4], 2):
        pairs = zip(seen_without_red_or_green(one), seen_without_red_or_green(other), strict=True)
        assert all(max(abs(x - y) for x, y in zip(a, b, strict=True)) > 0.04 for a, b in pairs)


@pytest.mark.parametrize("option", [lines(), dots()], ids=["lines", "dots"])
def test_options_are_plain_data(option):
    """They cross to the page as JSON; a function in text would need `eval`, which is refused."""
    assert json.loads(json.dumps(option, allow_nan=False)) == option
    assert option["pinsphere"]["kind"] == "money"
    assert option["pinsphere"]["currency"] == "EUR"
    assert option["tooltip"]["renderMode"] == "richText"


def test_the_chosen_model_is_in_color_and_drawn_last():
    """The eye finds what was chosen, and the others beside it."""
    option = lines("linear")

    assert [each["name"] for each in option["series"]] == ["first", "time_decay", "linear"]
    assert series(option)["linear"]["lineStyle"]["color"] == PALETTE[0]
    assert {series(option)[name]["lineStyle"]["color"] for name in ("first", "time_decay")} == {
        PALETTE[-1]
    }


def test_a_line_has_the_points_of_its_model():
    """A week under another model's line would be a wrong decision."""
    assert series(lines())["first"]["data"] == [["2025-03-03", 20.0], ["2025-03-10", 50.0]]


def test_a_missing_value_is_a_gap_and_not_zero():
    """Nothing known is not nothing sold."""
    rows = [{"week": "2025-03-03", "model": "last", "credited": None}]

    option = line_with_greys(rows, "week", "credited", "model", "last", EUROS, "Credit")

    assert series(option)["last"]["data"] == [["2025-03-03", None]]


def test_a_line_is_told_in_words():
    """Who hears the page learns the same as who sees it."""
    assert words(lines()) == (
        "Credited revenue by week. time_decay: 2 points from 2025-03-03 to 2025-03-10,"
        " least 30.00 EUR (2025-03-03), most 60.00 EUR (2025-03-10). In grey: first, linear."
    )


def test_every_key_has_a_dot_for_every_model():
    """A model that gives a slot nothing disagrees most of all, and has no row."""
    option = series(dots())

    assert [each["value"] for each in option["last"]["data"]] == [[3, 0], [0, 1]]
    assert [each["value"] for each in option["time_decay"]["data"]] == [[7.5, 0], [5, 1]]
    assert [each["coords"] for each in option["least to most"]["data"]] == [
        [[0, 0], [7.5, 0]],
        [[0, 1], [5, 1]],
    ]


def test_models_differ_by_more_than_their_color():
    """In print, all greys are one."""
    assert len(set(SYMBOLS[: len(MODELS)])) == len(MODELS)


def test_disagreement_is_told_in_words():
    """Who hears the page learns how far the models are apart."""
    assert words(dots()) == (
        "Credit of slots. b: 0.00 EUR to 7.50 EUR over 5 models, 7.50 EUR under time_decay."
        " a: 0.00 EUR to 5.00 EUR over 5 models, 5.00 EUR under time_decay."
    )


@pytest.mark.parametrize(
    ("unit", "value", "said"),
    [
        (EUROS, 1234.5, "1,234.50 EUR"),
        (Unit("share"), 0.1234, "12.3 %"),
        (Unit("count"), 1200, "1,200"),
        (Unit("number"), 2.5, "2.5"),
    ],
)
def test_values_are_said_with_their_unit(unit, value, said):
    """A bare number is no answer."""
    assert unit.say(value) == said
