"""The overview's direct credit is that of the chosen shop, days and model, on both databases."""

import itertools
from datetime import date
from typing import Any

import pytest

from console.pages.overview import build
from schemas.models import MODELS
from tests.console.known_answers import (
    Read,
    answers,
    figures_of,
    near,
    of_acme,
    option_of,
    page_if,
    page_of,
    series_of,
    world,
)
from tests.oracle_sums import daily_of_credit

CREDITED, DIRECT = "Credited revenue by week", "Direct part of it by week"


def days_of_orders() -> list[str]:
    """Days of the shop with orders, in order."""
    return sorted({row["day"] for row in of_acme("sales_daily")})


@pytest.mark.parametrize("model", ["first", "time_decay"])
@pytest.mark.parametrize("part", [1, 3])
def test_direct_credit_is_of_what_was_chosen(reading: Read, part: int, model: str) -> None:
    """A figure beside the form that ignores the form is worse than none."""
    days = days_of_orders()
    since, until = days[0], days[(len(days) - 1) // part]
    known = dict.fromkeys(MODELS, 0)
    by_day = daily_of_credit(answers(), "item_id", world().sites)
    for (site, _, day, of_model), (*_, direct, _) in by_day.items():
        if site == "acme" and since <= day <= until:
            known[of_model] += direct

    blocks = page_of(build, reading(site="acme", since=since, until=until, model=model))

    figure = figures_of(blocks, "In these days")["Of it, direct"]
    assert figure.value == known[model] > 0
    assert figure.band == (min(known.values()), max(known.values()))
    drawn = series_of(option_of(blocks, DIRECT))
    assert {name: sum(data) for name, data in drawn.items()} == {
        name: near(micros / 1_000_000) for name, micros in known.items()
    }


def test_both_charts_have_the_weeks_of_the_orders(reading: Read) -> None:
    """One under the other, a week without any direct credit must not shift the rest."""
    blocks = page_of(build, reading(site="acme"))

    weeks = option_of(blocks, CREDITED)["xAxis"]["data"]
    assert weeks == option_of(blocks, DIRECT)["xAxis"]["data"]
    days = [date.fromisoformat(week) for week in weeks]
    assert {day.weekday() for day in days} == {0}
    assert {(later - day).days for day, later in itertools.pairwise(days)} == {7}
    first, *_, last = (date.fromisoformat(day) for day in days_of_orders())
    assert 0 <= (first - days[0]).days < 7
    assert 0 <= (last - days[-1]).days < 7


def test_of_a_shop_without_orders_the_page_says_what_to_do() -> None:
    """Figures without a number, and a heading with nothing below it, are riddles."""
    blocks = page_if(build, {"overview_pins": [{"pins": 2, "pinners": 1}]})

    assert list(blocks) == ["In these days", "No orders in these days."]


def test_of_one_pinner_without_sales_the_fan_club_says_so() -> None:
    """`by 1 pinners; no interval: too little data` stood beside no figure at all."""
    club: dict[str, Any] = dict.fromkeys(("share_of_sales", "share_low", "share_high"))
    club |= {"top_percent": 1, "pinners": 1}
    pins = {"pins": 2, "pinners": 1}

    blocks = page_if(build, {"overview_pins": [pins], "overview_fan_club": [club]})

    (figure,) = figures_of(blocks, "The fan club, over all days").values()

    assert figure.note == "by one pinner; no sales yet"
