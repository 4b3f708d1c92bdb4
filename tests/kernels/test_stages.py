"""Stages by hand: each threshold from both sides, and what months do at their edges."""

import datetime
from typing import Any

import numpy as np
import pytest

from pipelines.kernels import stages
from pipelines.kernels.calendar import month_begins, month_texts, months_of
from pipelines.kernels.stages import Acts, Returns, Rule, Rules

DAY_MS = 86_400_000
EASY = Rule(recency_months=99, active_months=1, depth=0, reciprocity=0, purchases=0)
NOBODY = Returns(*np.zeros((4, 0), dtype=np.int64))
NEVER = EASY._replace(active_months=99)
RULES = Rules(look_back_months=3, burst_ms=30 * DAY_MS, casual=NEVER, teammate=NEVER)
# Month 24,300 is 2025-01.
JANUARY = 24_300


def at(day: int) -> int:
    """Noon of a day of 2025, from 0."""
    return int(datetime.datetime(2025, 1, 1, 12, tzinfo=datetime.UTC).timestamp() * 1000) + (
        day * DAY_MS
    )


def acts(*days: int, person: int = 0, **columns: Any) -> Acts:
    """Pins of one person on these days, unless columns say otherwise."""
    count = len(days)
    times = np.array([at(day) for day in days], dtype=np.int64)
    no, yes = np.zeros(count, dtype=np.bool_), np.ones(count, dtype=np.bool_)
    given = {
        "rung": np.full(count, 2), "is_own": yes, "is_pin": yes, "is_purchase": no,
    }  # fmt: skip
    given |= {name: np.array(column) for name, column in columns.items()}
    return Acts(np.full(count, person), times, months_of(times, "UTC"), **given)


def story(some: Acts, returns: Returns = NOBODY, **rules: Any) -> list[int]:
    """Stages month by month."""
    return stages.stage_months(some, returns, RULES._replace(**rules)).stage.tolist()


def came_back(*days: int) -> Returns:
    """Somebody came back to one person on these days."""
    months = months_of(np.array([at(day) for day in days], dtype=np.int64), "UTC")
    return Returns(0 * months, months, np.ones_like(months), 0 * months)


def test_one_burst_is_a_fling_until_it_is_forgotten() -> None:
    """Twenty pins in a weekend are no acquaintance."""
    months = stages.stage_months(acts(*[30] * 10, *[31] * 10), NOBODY, RULES)

    assert months.stage.tolist() == [stages.FLING] * 4 + [stages.STRANGER]
    assert months.month.tolist() == [JANUARY + n for n in range(5)]
    assert months.scores.recency_months.tolist() == [0, 0, 1, 2, 3]
    assert months.scores.active_months.tolist() == [1, 2, 2, 1, 0]


@pytest.mark.parametrize(("day", "stage"), [(30, stages.FLING), (31, stages.FLEETING)])
def test_a_burst_ends_a_day_after_its_length(day: int, stage: int) -> None:
    """Thirty days to the millisecond are within it."""
    assert story(acts(0, day))[-2] == stage


@pytest.mark.parametrize("name", ["casual", "teammate"])
@pytest.mark.parametrize(
    "harder",
    [
        {"active_months": 3}, {"depth": 3}, {"reciprocity": 2}, {"purchases": 2},
    ],
)  # fmt: skip
def test_each_threshold_alone_keeps_her_out(name: str, harder: dict[str, int]) -> None:
    """A threshold that decides nothing would be a setting that lies."""
    hers, returned = acts(0, 40, is_purchase=[True, False]), came_back(0)
    just = Rule(recency_months=0, active_months=2, depth=2, reciprocity=1, purchases=1)
    stage = {"casual": stages.CASUAL, "teammate": stages.TEAMMATE}[name]

    assert story(hers, returned, **{name: just})[:3] == [stages.FLING, stage, stages.FLEETING]
    assert stage not in story(hers, returned, **{name: just._replace(**harder)})


def test_a_later_recency_keeps_her_in() -> None:
    """The month after her last act is month 1 without her."""
    rule = EASY._replace(recency_months=1)

    assert story(acts(0), casual=rule) == [stages.CASUAL] * 2 + [stages.FLING, stages.STRANGER]


def test_the_closer_stage_wins() -> None:
    """Who is a teammate is an acquaintance as well."""
    assert story(acts(0), casual=EASY, teammate=EASY)[0] == stages.TEAMMATE


def test_what_others_do_keeps_nobody_active() -> None:
    """Her pins are landed on for years; she is a stranger all the same."""
    own = [True, False, False]
    hers = acts(0, 80, 400, is_own=own, is_pin=own, rung=[2, 4, 4])

    months = stages.stage_months(hers, NOBODY, RULES)

    assert months.stage.tolist() == [stages.FLING] * 3 + [stages.STRANGER]
    assert months.scores.depth.tolist() == [2, 2, 4, 4]


def test_what_others_did_before_her_first_act_counts() -> None:
    """A child may be older than its parent where clocks are wrong."""
    own = [False, True]

    months = stages.stage_months(acts(20, 40, is_own=own, is_pin=own, rung=[4, 2]), NOBODY, RULES)

    assert months.month[0] == JANUARY + 1
    assert months.scores.depth.tolist() == [4, 4, 2, 0]


@pytest.mark.parametrize(
    ("parts", "ways"), [([(1, 0), (1, 0)], 1), ([(1, 0), (0, 1)], 2), ([(1, 1), (0, -1)], 1)]
)
def test_each_way_of_coming_back_counts_once(parts: list[tuple[int, int]], ways: int) -> None:
    """How often somebody came says no more than that she did, in however many parts it is told."""
    some = came_back(*[0] * len(parts))
    to_her, by_her = np.array(parts).T

    months = stages.stage_months(acts(0), some._replace(to_her=to_her, by_her=by_her), RULES)

    assert months.scores.reciprocity.tolist() == [ways] * 3 + [0]


def test_who_came_back_before_her_first_act_counts() -> None:
    """Her pin was made later than it was landed on, where clocks are wrong."""
    months = stages.stage_months(acts(40), came_back(20), RULES)

    assert months.scores.reciprocity.tolist() == [1, 1, 0, 0]


def test_nobody_has_a_stage_before_she_pins() -> None:
    """Visitors without a pin are not pinners; what a pinner did before counts."""
    pins = acts(0, 40, is_pin=[False, True])

    months = stages.stage_months(pins, NOBODY, RULES)

    assert months.month[0] == JANUARY + 1
    assert months.scores.active_months[0] == 2
    assert story(acts(0, 40, is_pin=[False, False])) == []


def test_people_do_not_mix() -> None:
    """The second's look-back must not reach into the first's last months."""
    columns: Any = zip(acts(0, 31, 60), acts(0, person=1), strict=True)
    both = Acts(*(np.concatenate(column) for column in columns))

    months = stages.stage_months(both, NOBODY, RULES)

    assert months.stage[months.person == 1].tolist() == story(acts(0))
    assert stages.stages_before(months)[months.person == 1][0] == stages.NEW
    assert np.flatnonzero(stages.last_months(months)).tolist() == [5, 9]


def value(day: float, *, is_own: bool = True, zone: str = "UTC", pinned: int = 0) -> dict[int, int]:
    """Micros by month of who pinned on a day, for an order of 7 micros on a day of 2025."""
    months = stages.stage_months(acts(pinned), NOBODY, RULES)
    when = np.array([at(0) + round((day - 0.5) * DAY_MS)])
    found = stages.value_months(
        months, np.array([0]), when, np.array([7]), np.array([is_own]), zone
    )
    amount = found.own if is_own else found.credited
    return dict(zip(found.month.tolist(), amount.tolist(), strict=True))


@pytest.mark.parametrize(
    ("day", "months"),
    [
        (31 - 1e-6, []),  # the last moments of January are not after January
        (31, [0]),  # the first of February
        (121 - 1e-6, [3, 2, 1, 0]),  # the 90th day after January, a moment before its end
        (121, [3, 2, 1]),
        (400, [12, 11, 10]),
    ],
)
def test_value_is_of_the_90_days_after_a_month(day: float, months: list[int]) -> None:
    """An order counts for each month that it follows within 90 days, forgotten ones too."""
    assert value(day) == {JANUARY + month: 7 for month in months}
    assert value(day, is_own=False) == value(day)


def test_four_months_end_within_90_days_where_clocks_change() -> None:
    """January to March have 90 days, in London less an hour: April begins within December's."""
    begin = 90 - 1 / 24

    assert len(value(begin, zone="Europe/London", pinned=-17)) == 4
    assert len(value(begin, zone="UTC", pinned=-17)) == 3


@pytest.mark.parametrize("zone", ["UTC", "Europe/London"])
def test_a_span_has_one_value(zone: str) -> None:
    """What a popular pinner is credited is told by span: no order may change its months by it."""
    days = np.concatenate([np.arange(28, 128, 3) + part for part in (-1 / 24, 0, 0.999)])
    times = at(0) + np.round((days - 0.5) * DAY_MS).astype(np.int64)

    spans = stages.value_spans(times, zone)

    of_times, of_spans = (
        [value((when - at(0)) / DAY_MS + 0.5, zone=zone, pinned=-200) for when in each.tolist()]
        for each in (times, spans)
    )
    assert of_times == of_spans
    assert (spans <= times).all()
    assert len(set(spans.tolist())) < 10  # about two a month


def test_squares_are_exact_where_int64_is_too_small() -> None:
    """Sums of squares decide intervals: of few large amounts too."""
    micros = np.array([2**52 - 1, -(2**52) + 1, 123_456_789, 9_999])

    high, low = stages.squares(micros)

    assert [int(one) * 2**40 + int(other) for one, other in zip(high, low, strict=True)] == [
        (abs(int(one)) // 10_000) ** 2 for one in micros
    ]


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/London", "Pacific/Apia", "America/Havana", "Asia/Gaza"]
)
def test_months_begin_where_days_do(zone: str) -> None:
    """A month's first moment is in it, and the one before is not."""
    months = np.arange(24_000, 25_000)
    begins = month_begins(months, zone)

    assert months_of(begins, zone).tolist() == months.tolist()
    assert months_of(begins - 1, zone).tolist() == (months - 1).tolist()
    assert month_texts(np.array([24_300, 24_011])).to_pylist() == ["2025-01", "2000-12"]
