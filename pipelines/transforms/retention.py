"""Who comes back, month by month: cohorts and lifetimes as parts that add up."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Bools, Ints, ints
from pipelines.kernels.groups import group_by
from pipelines.kernels.retention import NEVER, POPULATIONS, entries, first_of
from pipelines.transforms.acts import OF_OTHERS, PINS
from pipelines.transforms.histories import Histories
from schemas.batches import LIFETIME_PARTS, RETENTION_PARTS


class Watched(NamedTuple):
    """The months in which people of one population did something from their entry on."""

    name: str
    shops: Sequence[str]
    shop: Ints  # [people] place of each one's site among them
    entered: Ints  # [people] month of entry, NEVER for those outside
    person: Ints  # [months]
    month: Ints  # [months]
    has_bought: Bools  # [months]
    amount: Ints  # [months] net micros of orders


def retention_parts(populations: Sequence[Watched]) -> pa.Table:
    """RETENTION_PARTS: who of each cohort did something in each month."""
    return pa.concat_tables(map(_cohorts, populations))


def lifetime_parts(populations: Sequence[Watched]) -> pa.Table:
    """LIFETIME_PARTS: how many were watched from one month and did their last in another."""
    return pa.concat_tables(
        _lifetimes(watched, activity, since)
        for watched in populations
        for activity in ("act", "order")
        for since in ("entry", "return")
    )


def watch_people(told: Histories) -> list[Watched]:
    """Each population, and what its people did themselves, as far as they are asked about."""
    is_own = told.is_there & ~told.kinds.are(*OF_OTHERS)
    row = np.flatnonzero(is_own & told.is_asked[told.person])
    person, at, month = (column[row] for column in (told.person, told.at, told.month))
    is_order = told.kinds.are("order")[row]
    amount = np.where(is_order, ints(told.acts["amount_micros"])[row], 0)
    enters = told.kinds.are(*PINS)[row], told.kinds.are("visit")[row], is_order
    firsts = [first_of(person, at, chosen, len(told.shop)) for chosen in enters]
    watched = []
    for name, entered in zip(POPULATIONS, entries(*firsts), strict=True):
        entry_month = np.full(len(told.shop), NEVER, dtype=np.int64)
        since = entered[person]
        is_entry = at == since
        entry_month[person[is_entry]] = month[is_entry]
        after = np.flatnonzero(at >= since)
        active = group_by(person[after], month[after])
        one, orders = after[active.one], active.sums(is_order[after].astype(np.int64))
        months = (person[one], month[one], orders > 0, active.sums(amount[after]))
        watched.append(Watched(name, told.shops, told.shop, entry_month, *months))
    return watched


def _cohorts(watched: Watched) -> pa.Table:
    """Counts of people who did something, by shop, month of entry and month."""
    entered = watched.entered[watched.person]
    cohorts = group_by(watched.shop[watched.person], entered, watched.month)
    return _table(
        RETENTION_PARTS,
        watched,
        watched.person[cohorts.one],
        cohort_month=entered[cohorts.one],
        month=watched.month[cohorts.one],
        active_people=cohorts.size,
        buyers=cohorts.sums(watched.has_bought.astype(np.int64)),
        net_micros=cohorts.sums(watched.amount),
    )


def _lifetimes(watched: Watched, activity: str, since: str) -> pa.Table:
    """Those who entered, or came back after the month of entry; by months first and last."""
    chosen = watched.has_bought if activity == "order" else np.ones_like(watched.has_bought)
    person, month = watched.person[chosen], watched.month[chosen]
    first = watched.entered
    if since == "return":
        later = month > watched.entered[person]
        first = first_of(person, month, later, len(first))
    last = first.copy()
    np.maximum.at(last, person, month)
    person = np.flatnonzero(first < NEVER)
    lives = group_by(watched.shop[person], first[person], last[person])
    person = person[lives.one]
    return _table(
        LIFETIME_PARTS,
        watched,
        person,
        activity=pa.repeat(activity, len(person)),
        since=pa.repeat(since, len(person)),
        first_month=first[person],
        last_month=last[person],
        people=lives.size,
    )


def _table(schema: pa.Schema, watched: Watched, person: Ints, **columns: Any) -> pa.Table:
    """Rows of a population, each of the shop of one of its people."""
    columns["site_id"] = pa.array(watched.shops, pa.string()).take(pa.array(watched.shop[person]))
    columns["population"] = pa.repeat(watched.name, len(person))
    return pa.table(columns).select(schema.names).cast(schema)
