"""What fan club and retention are made of, on a few people that one can count by hand."""

import datetime
import zoneinfo
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.transforms.club import buyer_sales, tie_parts
from pipelines.transforms.histories import Histories
from pipelines.transforms.loyalty import cohorts, lost
from pipelines.transforms.retention import lifetime_parts, retention_parts, watch_people
from pipelines.transforms.sphere_tables import Pairs
from schemas.batches import ACTS, LIFETIME_PARTS, RETENTION_PARTS
from schemas.settings import Site

ZONE = "America/New_York"
SITES = {"acme": Site(key="key-of-acme", currency="USD", time_zone=ZONE)}
JUNE = 2026 * 12 + 5


def acts(*told: tuple[str, str, str, int]) -> pa.Table:
    """Acts by person, act, local time and micros."""
    rows: list[dict[str, Any]] = []
    for person, act, when, micros in told:
        local = datetime.datetime.fromisoformat(when).replace(tzinfo=zoneinfo.ZoneInfo(ZONE))
        at = int(local.timestamp()) * 1000
        row = {"site_id": "acme", "person_id": person, "act": act, "at": at}
        rows.append({**row, "amount_micros": micros})
    return pa.Table.from_pylist(rows, ACTS)


def counted(parts: pa.Table, *names: str) -> dict[tuple[Any, ...], Any]:
    """The last of these columns by the others."""
    return {tuple(row[n] for n in names[:-1]): row[names[-1]] for row in parts.to_pylist()}


def test_what_others_do_is_no_act_of_hers() -> None:
    """A pinner who never came back is not there because her pins are."""
    table = acts(
        ("ann", "pin", "2026-01-10", 0),
        ("ann", "repinned", "2026-03-10", 0),
    )

    parts = retention_parts(watch_people(Histories(table, SITES)))

    assert counted(parts, "population", "month", "active_people") == {("pinners", JUNE - 5): 1}


def test_months_are_the_shop_s_own() -> None:
    """The last evening of May in New York is June in Greenwich."""
    table = acts(("ann", "pin", "2026-05-31T23:30", 0))

    parts = retention_parts(watch_people(Histories(table, SITES)))

    assert parts["cohort_month"].to_pylist() == parts["month"].to_pylist() == [JUNE - 1]


def test_whoever_enters_several_populations_is_in_each() -> None:
    """Bought, landed, pinned: each cohort tells what became of all who entered it."""
    table = acts(
        ("ann", "order", "2026-01-10", 7),
        ("ann", "visit", "2026-02-10", 0),
        ("ann", "pin", "2026-03-10", 0),
        ("ann", "order", "2026-03-05", 20),
    )

    parts = retention_parts(watch_people(Histories(table, SITES)))

    assert counted(parts, "population", "cohort_month", "month", "net_micros") == {
        ("customers", JUNE - 5, JUNE - 5): 7,
        ("customers", JUNE - 5, JUNE - 4): 0,
        ("customers", JUNE - 5, JUNE - 3): 20,
        ("reached", JUNE - 4, JUNE - 4): 0,
        ("reached", JUNE - 4, JUNE - 3): 20,
        ("pinners", JUNE - 3, JUNE - 3): 0,  # she bought before she pinned
    }


def test_the_example_of_the_page_comes_out() -> None:
    """Ann, Ben and Cleo of docs/retention.md: two lost in five months."""
    table = acts(
        *(("ann", "pin", f"2026-0{month}-10", 0) for month in (1, 2)),
        *(("ben", "pin", f"2026-0{month}-10", 0) for month in (3, 5)),
        ("cleo", "pin", "2026-03-20", 0),
        ("dora", "pin", "2026-06-02", 0),
    )

    fits = lost(lifetime_parts(watch_people(Histories(table, SITES))), 1).to_pylist()

    (fit,) = [row for row in fits if (row["activity"], row["since"]) == ("act", "entry")]
    assert (fit["people"], fit["lost"], fit["person_months"]) == (3, 2, 5)
    assert fit["hazard"] == pytest.approx(0.4)
    assert fit["hazard_low"] is fit["half_life_high"] is None  # too few people


def test_the_ends_of_a_half_life_are_not_swapped() -> None:
    """The greater the part lost, the sooner half are gone."""
    rows = [(JUNE - 30, JUNE - 10, 20), (JUNE - 30, JUNE, 30)]
    names = {"site_id": "acme", "population": "pinners", "activity": "act", "since": "entry"}
    table = pa.Table.from_pylist(
        [{**names, "first_month": f, "last_month": last, "people": n} for f, last, n in rows],
        LIFETIME_PARTS,
    )

    (fit,) = lost(table, 6).to_pylist()

    assert fit["hazard_low"] < fit["hazard"] < fit["hazard_high"]
    assert fit["half_life_low"] < fit["half_life_months"] < fit["half_life_high"]
    assert fit["lost_a_year_low"] < fit["lost_a_year"] < fit["lost_a_year_high"]


@pytest.mark.parametrize(("people", "is_told"), [(29, False), (30, True)])
def test_below_thirty_people_no_rate_has_an_interval(people: int, is_told: bool) -> None:
    """Thirty are enough, one less is too little data."""
    names = {"site_id": "acme", "population": "pinners", "cohort_month": JUNE - 2}
    table = pa.Table.from_pylist(
        [
            {**names, "month": JUNE - 2, "active_people": people, "buyers": 0, "net_micros": 0},
            {**names, "month": JUNE, "active_people": 6, "buyers": 3, "net_micros": 9},
        ],
        RETENTION_PARTS,
    )

    rows = cohorts(table).to_pylist()

    assert [row["month"] for row in rows] == ["2026-04", "2026-05", "2026-06"]
    assert [row["active_people"] for row in rows] == [people, 0, 6]
    assert [row["is_over"] for row in rows] == [True, True, False]
    assert [row["buyers_low"] is not None for row in rows] == [is_told] * 3


def test_orders_of_unknown_buyers_are_a_customer_each() -> None:
    """Taken for one customer they would be a wholesaler, and nothing would be sure."""
    table = pa.table(
        {
            "site_id": ["acme"] * 4,
            "person_id": pa.array([None, None, "ann", "ann"], pa.string()),
            "order_id": ["o-1", "o-2", "o-3", "o-4"],
            "net_micros": [1, 2, 3, 4],
        }
    )

    found = buyer_sales(table)

    assert counted(found, "person_id", "order_id", "net_micros") == {
        (None, "o-1"): 1, (None, "o-2"): 2, ("ann", None): 7,
    }  # fmt: skip


def test_a_tie_counts_in_each_depth_that_it_fulfils() -> None:
    """Few deep or many thin: classes begin where they say."""
    nothing = np.zeros(4, dtype=np.int64)
    pairs = Pairs(
        pinners=pa.table({"site_id": ["acme"] * 3, "pinner_id": ["ann", "ben", "cleo"]}),
        pinner=np.array([0, 1, 1, 2]),
        hop=nothing + 1,
        visits=np.array([1, 2, 5, 10]),
        pins=np.array([0, 1, 0, 0]),
        influenced_micros=np.array([0, 0, 0, 8]),
        first_reached_at=nothing,
        delay_ms=nothing,
        person=np.arange(4),
    )

    found = tie_parts(pairs)

    assert counted(found, "people_from", "depth", "people") == {
        (1, "reached"): 2, (1, "visits_2"): 1, (1, "visits_5"): 1, (1, "visits_10"): 1,
        (1, "bought"): 1, (2, "reached"): 2, (2, "visits_2"): 2, (2, "visits_5"): 1,
        (2, "repinned"): 1,
    }  # fmt: skip
    assert counted(found, "people_from", "depth", "pinners")[2, "reached"] == 1
