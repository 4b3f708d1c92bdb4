"""Who comes back, month by month: cohorts and lifetimes as parts that add up."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Bools, Ints, codes, first_rows, ints, take
from pipelines.kernels.retention import NEVER, POPULATIONS, entries, first_of
from pipelines.transforms.acts import OF_OTHERS, PINS, Kinds
from pipelines.transforms.daily import months_in, sum_by_key
from schemas.batches import LIFETIME_PARTS, RETENTION_PARTS, RETENTION_SUMS
from schemas.settings import Site


class Watched(NamedTuple):
    """What people of one population did from their entry on."""

    name: str
    people: pa.Table  # [people] site_id of each
    entered: Ints  # [people] month of entry, NEVER for those outside
    person: Ints  # [acts]
    month: Ints  # [acts]
    is_order: Bools  # [acts]
    amount: Ints  # [acts] net micros of orders, else 0


def retention_parts(populations: Sequence[Watched]) -> pa.Table:
    """RETENTION_PARTS: who of each cohort did something in each month."""
    parts = [_cohorts(watched) for watched in populations]
    return sum_by_key(pa.concat_tables(parts), RETENTION_PARTS, RETENTION_SUMS)


def lifetime_parts(populations: Sequence[Watched]) -> pa.Table:
    """LIFETIME_PARTS: how many were watched from one month and did their last in another."""
    parts = [
        _lifetimes(watched, activity, since)
        for watched in populations
        for activity in ("act", "order")
        for since in ("entry", "return")
    ]
    return sum_by_key(pa.concat_tables(parts), LIFETIME_PARTS, ("people",))


def watch_people(acts: pa.Table, sites: Mapping[str, Site]) -> list[Watched]:
    """Each population, and what its people did themselves. Takes all acts of whole people."""
    acts = acts.select(["site_id", "person_id", "act", "at", "amount_micros"])
    acts = acts.filter(pa.array(~Kinds(acts).are(*OF_OTHERS)))
    (person,) = codes([acts["site_id"], acts["person_id"]])
    at, month, kinds = ints(acts["at"]), months_in(acts, sites), Kinds(acts)
    first = first_rows(person)
    people = acts.select(["site_id"]).take(pa.array(first))
    is_order = kinds.are("order")
    amount = np.where(is_order, ints(acts["amount_micros"]), 0)
    enters = kinds.are(*PINS), kinds.are("visit"), is_order
    firsts = [first_of(person, at, chosen, len(first)) for chosen in enters]
    watched = []
    for name, entered in zip(POPULATIONS, entries(*firsts), strict=True):
        entry_month = np.full(len(first), NEVER, dtype=np.int64)
        is_entry = at == entered[person]
        entry_month[person[is_entry]] = month[is_entry]
        after = at >= entered[person]
        whose, bought = (person[after], month[after]), (is_order[after], amount[after])
        watched.append(Watched(name, people, entry_month, *whose, *bought))
    return watched


def _cohorts(watched: Watched) -> pa.Table:
    """One row for each person and month in which she did something, as counts."""
    table = pa.table(
        {"person": watched.person, "month": watched.month, "is_order": watched.is_order,
         "amount": watched.amount}
    )  # fmt: skip
    months = table.group_by(["person", "month"], use_threads=False).aggregate(
        [("is_order", "max"), ("amount", "sum")]
    )
    person = ints(months["person"])
    return pa.table(
        {
            "site_id": take(watched.people["site_id"], person),
            "population": pa.repeat(watched.name, len(months)),
            "cohort_month": watched.entered[person],
            "month": months["month"],
            "active_people": np.ones(len(months), dtype=np.int64),
            "buyers": ints(months["is_order_max"]),
            "net_micros": months["amount_sum"],
        }
    )


def _lifetimes(watched: Watched, activity: str, since: str) -> pa.Table:
    """Those who entered, or came back after the month of entry; by months first and last."""
    chosen = watched.is_order if activity == "order" else np.ones_like(watched.is_order)
    person, month = watched.person[chosen], watched.month[chosen]
    first = watched.entered
    if since == "return":
        later = month > watched.entered[person]
        first = first_of(person, month, later, len(first))
    last = first.copy()
    np.maximum.at(last, person, month)
    is_in = first < NEVER
    return pa.table(
        {
            "site_id": watched.people["site_id"].combine_chunks().filter(pa.array(is_in)),
            "population": pa.repeat(watched.name, int(is_in.sum())),
            "activity": pa.repeat(activity, int(is_in.sum())),
            "since": pa.repeat(since, int(is_in.sum())),
            "first_month": first[is_in],
            "last_month": last[is_in],
            "people": np.ones(int(is_in.sum()), dtype=np.int64),
        }
    )
