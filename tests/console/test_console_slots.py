"""The page of slots and recommenders says what the known shop knows, on both databases."""

from collections import Counter, defaultdict

import pytest

from console.pages.slots import build
from schemas.models import MODELS
from tests.console.known_answers import (
    Read,
    answers,
    of_acme,
    option_of,
    page_of,
    rows_of,
    series_of,
)
from tests.oracle_sums import model_credits

BOTH = [("Slots", "slot", "item_list_id"), ("Recommenders", "recommender", "recommender_id")]


@pytest.mark.parametrize(("title", "name", "column"), BOTH)
def test_pins_are_those_that_were_made_there(
    reading: Read, title: str, name: str, column: str
) -> None:
    """A slot that is said to be pinned from more than it is, is given a better place."""
    made = Counter(pin[column] for pin in of_acme("pins") if pin[column])

    rows = rows_of(page_of(build, reading(site="acme")), title)

    assert {row[name]: row["pins"] for row in rows if row["pins"]} == made
    assert all(
        row["pin_rate"] == (row["pins"] / row["views"] if row["views"] else None) for row in rows
    )


@pytest.mark.parametrize("model", ["first", "time_decay"])
@pytest.mark.parametrize(("title", "name", "column"), BOTH)
def test_credit_is_that_of_the_ledger(
    reading: Read, title: str, name: str, column: str, model: str
) -> None:
    """Under any model, to the micro: direct and assisted are together what is credited."""
    known = {
        key: micros
        for (site, dimension, key, of_model), (micros, _) in model_credits(answers()).items()
        if (site, dimension, of_model) == ("acme", name, model)
    }

    rows = rows_of(page_of(build, reading(site="acme", model=model)), title)

    credited = {row[name]: row["credited_micros"] for row in rows if row["credited_micros"]}
    assert credited == {key: micros for key, micros in known.items() if micros}
    assert all(
        row["direct_micros"] + row["assisted_micros"] == row["credited_micros"] for row in rows
    )


def test_a_dot_stands_where_its_model_says(reading: Read) -> None:
    """Disagreement is to be seen as great as it is."""
    known: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for (site, dimension, key, model), (micros, _) in model_credits(answers()).items():
        if (site, dimension) == ("acme", "slot"):
            known[key][model] = micros / 1_000_000

    option = option_of(
        page_of(build, reading(site="acme")), "Credit of slots, a dot for each model"
    )

    drawn = {
        model: {dot["name"]: dot["value"][0] for dot in dots}
        for model, dots in series_of(option).items()
    }
    assert drawn == {
        model: {key: credit.get(model, 0) for key, credit in known.items()} for model in MODELS
    }


def test_two_spans_of_days_are_together_the_whole(reading: Read) -> None:
    """The dates in the address are kept: both ends are included, and no day is counted twice."""
    days = sorted(row["day"] for row in of_acme("sales_daily"))
    middle, after = days[len(days) // 2], next(day for day in days if day > days[len(days) // 2])

    parts: Counter[str] = Counter()
    for span in ({"until": middle}, {"since": after}):
        for row in rows_of(page_of(build, reading(site="acme", **span)), "Slots"):
            parts[row["slot"]] += row["credited_micros"]

    whole = rows_of(page_of(build, reading(site="acme")), "Slots")
    assert parts == {row["slot"]: row["credited_micros"] for row in whole}


def test_a_few_customers_are_too_little_data(reading: Read) -> None:
    """A dozen customers give no interval, and the page says so instead of nothing."""
    rows = rows_of(page_of(build, reading(site="acme")), "How sure the credit of slots is")

    assert rows
    for row in rows:
        assert row["data"] == "too little data"
        assert row["interval_low_micros"] is None
        assert (
            row["least_of_models_micros"] <= row["credited_micros"] <= row["most_of_models_micros"]
        )


@pytest.mark.parametrize("model", ["first", "time_decay"])
def test_the_band_is_over_all_models(reading: Read, model: str) -> None:
    """A model that gives a slot nothing disagrees most of all."""
    credit: defaultdict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(MODELS, 0))
    for (site, dimension, key, of_model), (micros, _) in model_credits(answers()).items():
        if (site, dimension) == ("acme", "slot"):
            credit[key][of_model] = micros

    rows = rows_of(
        page_of(build, reading(site="acme", model=model)), "How sure the credit of slots is"
    )

    names = ("credited_micros", "least_of_models_micros", "most_of_models_micros")
    assert {row["slot"]: tuple(row[name] for name in names) for row in rows} == {
        key: (models[model], min(models.values()), max(models.values()))
        for key, models in credit.items()
    }


def test_days_without_a_list_say_what_to_do(reading: Read) -> None:
    """An empty page leaves a merchandiser alone."""
    blocks = page_of(build, reading(site="acme", since="2020-01-01", until="2020-01-31"))

    assert {"No slots in these days.", "No recommenders in these days."} <= set(blocks)
