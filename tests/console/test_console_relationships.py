"""The page of relationships says what the naive oracle says, on both databases."""

from collections import Counter
from typing import Any

from console.blocks import Chart, Empty, Figures
from console.pages.relationships import build
from tests.console.known_answers import (
    Read,
    answers,
    figures_of,
    near,
    of_acme,
    option_of,
    page_if,
    page_of,
    rows_of,
    series_of,
    world,
)
from tests.oracle_ladder import ladder_of

NEWEST = "2024-04"  # month of the known shop's newest event
MONTHS = ["2024-01", "2024-02", "2024-03", "2024-04"]


def moved_by_hand() -> Counter[tuple[str, str]]:
    """Moves of the months that are over: each pinner's stage at the end of each, one by one."""
    moves: Counter[tuple[str, str]] = Counter()
    for pinner in {row["pinner_id"] for row in of_acme("pinner_stages")}:
        entered = {
            row["month"]: row["stage"]
            for row in of_acme("pinner_stages")
            if row["pinner_id"] == pinner
        }
        before = "new"
        for month in MONTHS:
            stage = entered.get(month, before)
            if stage != "new" and month < NEWEST:
                moves[before, stage] += 1
            before = stage
    return moves


def test_bands_are_as_wide_as_people_moved(reading: Read) -> None:
    """Who looks for where teammates come from follows the bands."""
    option = option_of(page_of(build, reading(site="acme")), "Moves between stages")

    links = option["series"][0]["links"]
    drawn = {(link["source"], link["target"]): link["value"] for link in links}
    assert drawn == {
        (f"from {before}", f"to {stage}"): people
        for (before, stage), people in moved_by_hand().items()
    }


def test_a_span_within_the_month_at_work_shows_its_moves(reading: Read) -> None:
    """Better the moves so far than none, if it is said that they may be taken back."""
    blocks = page_of(build, reading(site="acme", since="2024-04-01"))

    chart = blocks["Moves between stages"]
    assert isinstance(chart, Chart)
    assert chart.note.startswith("No month in these days is over")
    entered = [row for row in of_acme("pinner_stages") if row["month"] <= NEWEST]
    people = sum(link["value"] for link in chart.option["series"][0]["links"])
    assert people == len({row["pinner_id"] for row in entered})


def test_a_stage_is_worth_what_its_pinners_brought(reading: Read) -> None:
    """The value of a stage is the mean over all who are in it, those without revenue too."""
    rows = rows_of(page_of(build, reading(site="acme")), "What a stage is worth, January 2024")

    known = {
        row["to_stage"]: (
            row["people"],
            row["credited_next_90_micros"],
            row["own_next_90_micros"],
        )
        for row in of_acme("stage_transitions")
        if row["month"] == "2024-01"
    }
    assert known
    for row in rows:
        people, credited, own = known[row["stage"]]
        assert (row["people"], row["credited_next_90_micros"]) == (people, credited)
        assert row["value_per_pinner_micros"] == round((credited + own) / people)


def test_the_ladder_has_each_active_person_once_a_day(reading: Read) -> None:
    """A bar is as high as people were there."""
    ladder = ladder_of(of_acme("acts"), world().sites["acme"], {})["ladder_daily"]
    known = {
        (row["rung"], row["day"]): row["people"]
        for row in ladder
        if row["dimension"] == "all" and row["people"]
    }

    option = option_of(page_of(build, reading(site="acme")), "The engagement ladder, day by day")

    days = option["xAxis"]["data"]
    drawn = {
        (rung, day): people
        for rung, data in series_of(option).items()
        for day, people in zip(days, data, strict=True)
        if people
    }
    assert drawn == known


def test_steps_add_up(reading: Read) -> None:
    """Of each hundred steps from a rung, so many lead up, so many down and so many away."""
    blocks = page_of(build, reading(site="acme"))

    moves = Counter[str]()
    for row in rows_of(blocks, "How people move between rungs"):
        moves[row["direction"]] += row["moves"]
    total = sum(moves[each] for each in ("up", "down", "same", "left"))
    figures = figures_of(blocks, "Steps from rung to rung")
    assert figures["Up"].value == near(moves["up"] / total)
    assert figures["Away"].value == near(moves["left"] / total)


def test_cells_are_the_parts_that_came_back(reading: Read) -> None:
    """The month at work has a dashed edge, all others none."""
    title = "Retention. Pinners, from their first pin"

    option = option_of(page_of(build, reading(site="acme")), title)

    months, since = option["yAxis"]["data"], option["xAxis"]["data"]
    drawn = {
        (months[row], int(since[column])): (share, "itemStyle" in cell)
        for cell in option["series"][0]["data"]
        for column, row, share in [cell["value"]]
    }
    assert drawn == {
        (row["cohort_month"], row["months_since"]): (
            near(row["active_people"] / row["people"]),
            not row["is_over"],
        )
        for row in of_acme("retention_cohorts")
        if row["population"] == "pinners"
    }


def test_the_curve_is_that_of_the_chosen_model(reading: Read) -> None:
    """Under another model other pinners lead, and have another part."""
    option = option_of(page_of(build, reading(site="acme", model="first")), "The fan club")

    known = {
        row["top_percent"] / 100: row["credited_micros"]
        for row in of_acme("fan_clubs")
        if (row["model"], row["ranked_by"]) == ("first", "credited")
    }
    drawn = {top: share for top, share in series_of(option)["credited (first)"] if top}
    assert drawn == {top: near(micros / known[1.0]) for top, micros in known.items()}


def test_gini_is_beside_the_curve(reading: Read) -> None:
    """One number to compare with last year's."""
    figures = figures_of(page_of(build, reading(site="acme")), "How unequal pinners are")

    known = {
        row["ranked_by"]: row["gini"]
        for row in answers()["concentrations"]
        if (row["site_id"], row["model"]) == ("acme", "time_decay")
    }
    assert figures["Gini, credited (time_decay)"].value == near(known["credited"])
    assert figures["Gini, own orders"].value == near(known["own"])


def half_life(**changes: Any) -> dict[str, Any]:
    usual = {
        "population": "pinners", "activity": "act", "watched_from": "entry", "lapse_months": 6,
        "people": 400, "lost": 90, "half_life_months": 31.0, "half_life_low": 25.0,
        "half_life_high": 40.0, "yardstick_half_life_months": 60.0,
    }  # fmt: skip
    return {**usual, **changes}


def test_half_lives_stand_beside_the_yardstick() -> None:
    """31 months say nothing to who does not know that 60 are usual."""
    rows = [half_life(), half_life(population="reached", half_life_high=None)]
    entered = {"retention_cohorts": [cohort()], "retention_half_lives": rows}

    blocks = page_if(build, entered)

    figures = figures_of(blocks, "How fast people are lost")
    pinners = figures["Half-life of pinners"]
    assert (pinners.value, pinners.low, pinners.high) == (31.0, 25.0, 40.0)
    assert pinners.note == "months, beside a yardstick of 60; 90 of 400 lost"
    assert figures["Half-life of reached"].note.endswith("no end of the interval in sight")


def cohort() -> dict[str, Any]:
    return {
        "population": "pinners", "cohort_month": "2024-01", "months_since": 0, "people": 9,
        "active_share": 1.0, "active_low": None, "is_over": True,
    }  # fmt: skip


def test_who_is_lost_cannot_be_told_before_months_have_passed() -> None:
    """A half-life of nobody is no half-life."""
    rows = [half_life(people=0, lost=0, half_life_months=None)]

    blocks = page_if(build, {"retention_cohorts": [cohort()], "retention_half_lives": rows})

    empty = blocks["Too little data to tell how fast people are lost."]
    assert isinstance(empty, Empty)
    assert "6 whole months" in empty.what_to_do


def test_thin_cohorts_are_called_too_little_data(reading: Read) -> None:
    """Nine people of whom three came back are no third."""
    chart = page_of(build, reading(site="acme"))["Retention. Pinners, from their first pin"]

    assert isinstance(chart, Chart)
    assert "Too little data" in chart.note


def test_the_newest_final_month_goes_before_a_newer_one() -> None:
    """A month whose 90 days go on looks worth nothing."""
    row = {"stage": "fling", "people": 2, "credited_next_90_micros": 1}
    months = [("2024-02", True), ("2024-01", True), ("2024-03", False)]
    worth = [{**row, "month": month, "is_final": is_final} for month, is_final in months]
    move = {"from_stage": "new", "to_stage": "fling", "people": 2, "is_over": True}

    blocks = page_if(build, {"stage_moves_counted": [move], "stage_worth": worth})

    assert "What a stage is worth, February 2024" in blocks


def test_days_without_anybody_say_what_to_do(reading: Read) -> None:
    """Each part of the page says for itself what is missing."""
    blocks = page_of(build, reading(site="acme", since="2020-01-01", until="2020-01-31"))

    missing = {what for what, block in blocks.items() if isinstance(block, Empty)}
    assert {
        "No moves between stages in these months.",
        "Nobody known did anything in these days.",
        "Nobody entered in these months.",
    } <= missing
    # The fan club has no days: it is there, and says so.
    assert isinstance(blocks["How unequal pinners are"], Figures)
