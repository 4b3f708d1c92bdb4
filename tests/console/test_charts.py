"""Charts are plain data, show what they are given, and say it in words as well."""

import json
from itertools import combinations

import pytest

from console.charts import PALETTE, SYMBOLS, dots_per_model, line_with_greys, say
from schemas.models import MODELS

WEEKS = ["2025-03-03", "2025-03-10"]
CREDIT = {"first": [20.0, 50.0], "linear": [10.0, None], "time_decay": [30.0, 60.0]}
SLOTS = {"b": {"last": 3.0, "time_decay": 7.5}, "a": {"time_decay": 5.0}}


def lines(chosen="time_decay"):
    return line_with_greys(WEEKS, CREDIT, chosen)


def dots():
    return dots_per_model(SLOTS, "time_decay", "money", "Credit of slots")


def series(option):
    return {each.get("name"): each for each in option["series"]}


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
    assert (luminance(color) + 0.05) / (luminance("#14181f") + 0.05) >= 3


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


@pytest.mark.parametrize("option", [lines(), dots()], ids=["lines", "dots"])
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
