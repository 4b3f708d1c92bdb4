"""The rules of `pinsphere alerts`: each asks the views one question and judges the answer.

Every question is SQL as one would type it, with the values filled in: it is told with the verdict.
Values are dates, numbers and checked names of our own.
"""

import dataclasses
import datetime
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np

from pipelines.kernels.shifts import (
    LIMIT,
    RECENT_DAYS,
    USUAL_DAYS,
    growth_chances,
    shift_of,
    silence_of,
)
from schemas.models import DEFAULT_MODEL

Rows = list[dict[str, Any]]
Ask = Callable[[str], Rows]
State = Literal["ok", "alert", "unknown"]

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_KNOWN_DAYS = 90  # of a stream's hours: longer silences are no news
_LEAST_EVENTS = 5
_LEAST_PEOPLE, _CHANCE, _MOST_PINNERS = 20, 0.001, 20
_QUARANTINE_DAYS = 2  # a broken release is told on the day after, not after a week


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a rule says of one thing.

    Attributes:
      rule: its name in `[alerts]`.
      site_id: the shop; empty where all of them are meant.
      subject: whom or what within the shop, as a source or a pinner; else empty.
      state: `unknown` where there is too little to judge by.
      says: figure, what is usual and threshold, in words.
      figure: what was found.
      usual: what it was before, where that is compared.
      threshold: as `[alerts]` has it.
      as_of: the day that it is about.
      query: the SQL that gave the figure.
    """

    rule: str
    site_id: str = ""
    subject: str = ""
    state: State
    says: str
    figure: float | None = None
    usual: float | None = None
    threshold: float | None = None
    as_of: str
    query: str


@dataclasses.dataclass(frozen=True)
class Shop:
    """A site, and the days that its views know."""

    site_id: str
    time_zone: str
    first_day: datetime.date
    newest_day: datetime.date
    last_day: datetime.date  # of anything, even if all of it was refused

    def since(self, days: int) -> datetime.date:
        """The first of so many days up to the newest."""
        return self.newest_day - datetime.timedelta(days - 1)

    def begin_ms(self, day: datetime.date) -> int:
        """When a day begins there."""
        midnight = datetime.datetime.combine(
            day, datetime.time(), zoneinfo.ZoneInfo(self.time_zone)
        )
        return int(midnight.timestamp() * 1000)


def shop_of(ask: Ask, site_id: str, time_zone: str) -> Shop | None:
    """What is known of a site's days; None before its first event."""
    (row,) = ask(_days_of(site_id))
    if row["newest_day"] is None:
        return None
    days = (datetime.date.fromisoformat(row[n]) for n in ("first_day", "newest_day", "last_day"))
    return Shop(site_id, time_zone, *days)


def never_heard(site_id: str, hours: float, as_of: str) -> Verdict:
    """What there is to say of a site before its first event: is the snippet on its pages?"""
    return Verdict(
        rule="no_events",
        site_id=site_id,
        state="unknown",
        says="no event of this site has ever come",
        threshold=hours,
        as_of=as_of,
        query=_days_of(site_id),
    )


def _days_of(site_id: str) -> str:
    return f"""\
SELECT MIN(CASE WHEN received > duplicates + bots THEN day END) AS first_day,
       MAX(CASE WHEN received > duplicates + bots THEN day END) AS newest_day,
       MAX(day) AS last_day
FROM current_data_quality_daily
WHERE site_id = '{site_id}'"""


def token_survival(ask: Ask, shop: Shop, falls: float) -> Iterator[Verdict]:
    """The part of landings that still have the token of their pin."""
    query = f"""\
SELECT day, SUM(with_token) AS part, SUM(landings) AS whole
FROM token_survival
WHERE site_id = '{shop.site_id}' AND day >= '{shop.since(RECENT_DAYS + USUAL_DAYS)}'
GROUP BY day
ORDER BY day"""
    yield _judge_share(ask, query, shop, "token_survival", -falls, "of landings had their token")


def unattributed(ask: Ask, shop: Shop, rises: float) -> Iterator[Verdict]:
    """The part of orders that no pin came before."""
    query = f"""\
SELECT day, orders - credited_orders AS part, orders AS whole
FROM current_sales_daily
WHERE site_id = '{shop.site_id}' AND model = '{DEFAULT_MODEL}'
  AND day >= '{shop.since(RECENT_DAYS + USUAL_DAYS)}'
ORDER BY day"""
    yield _judge_share(ask, query, shop, "unattributed", rises, "of orders had no pin before them")


def quarantine(ask: Ask, shop: Shop, rises: float) -> Iterator[Verdict]:
    """The part of what came that broke its contract."""
    # On a day on which everything is refused no event is the newest.
    shop = dataclasses.replace(shop, newest_day=shop.last_day)
    query = f"""\
SELECT day, SUM(quarantined) AS part, SUM(received + quarantined) AS whole
FROM current_data_quality_daily
WHERE site_id = '{shop.site_id}' AND day >= '{shop.since(_QUARANTINE_DAYS + USUAL_DAYS)}'
GROUP BY day
ORDER BY day"""
    words = "of what came was refused"
    yield _judge_share(ask, query, shop, "quarantine", rises, words, _QUARANTINE_DAYS)


def _judge_share(
    ask: Ask,
    query: str,
    shop: Shop,
    rule: str,
    change: float,
    words: str,
    recent_days: int = RECENT_DAYS,
) -> Verdict:
    """Alarms when a share changes by so much, and by more than chance makes it."""
    rows = ask(query)
    part, whole = (
        np.array([int(row[name] or 0) for row in rows], dtype=np.int64)
        for name in ("part", "whole")
    )
    is_recent = np.array([row["day"] >= str(shop.since(recent_days)) for row in rows], np.bool_)
    days = f"in the {recent_days} days to {shop.newest_day}"
    verdict = Verdict(
        rule=rule,
        site_id=shop.site_id,
        state="unknown",
        says=f"too little {days}, or in the {USUAL_DAYS} before",
        threshold=abs(change),
        as_of=str(shop.newest_day),
        query=query,
    )
    found = shift_of(part, whole, is_recent)
    if found is None:
        return verdict
    sign = 1 if change > 0 else -1
    is_out = sign * found.difference >= abs(change) and sign * found.standard_errors >= LIMIT
    return dataclasses.replace(
        verdict,
        state="alert" if is_out else "ok",
        says=(
            f"{found.recent:.1%} {words} {days}, {found.usual:.1%} in the {USUAL_DAYS} before;"
            f" alarms when it {'rises' if change > 0 else 'falls'} by {100 * abs(change):g} points"
        ),
        figure=found.recent,
        usual=found.usual,
    )


def no_events(ask: Ask, shop: Shop, hours: float) -> Iterator[Verdict]:
    """How long each source has been silent, up to when the last good run began."""
    seen = ask("SELECT good_began_at FROM last_attempt WHERE good_began_at IS NOT NULL")
    if not seen:
        return
    end = seen[0]["good_began_at"] // _HOUR_MS * _HOUR_MS
    query = f"""\
SELECT source, hour_at, hour_at_utc, events
FROM current_arrivals_hourly
WHERE site_id = '{shop.site_id}' AND source <> 'file'
  AND hour_at >= {end - _KNOWN_DAYS * _DAY_MS} AND hour_at <= {end}
ORDER BY source, hour_at"""
    rows = ask(query)
    for source in sorted({row["source"] for row in rows}):
        own = [row for row in rows if row["source"] == source]
        first = own[0]["hour_at"]
        is_here = own[-1]["hour_at"] == end  # the hour that goes on counts if it has anything
        events = np.zeros((end - first) // _HOUR_MS + is_here, dtype=np.int64)
        for row in own:
            events[(row["hour_at"] - first) // _HOUR_MS] = row["events"]
        found = silence_of(events)
        silent = f"silent for {found.hours} whole hours, after {own[-1]['hour_at_utc']}"
        usual = (
            "not yet known how it usually is"
            if found.least is None
            else f"at least {found.least} events came in these hours of the day before"
        )
        is_out = found.hours >= hours and (found.least or 0) >= _LEAST_EVENTS
        state: State = "ok" if found.least is not None or found.hours < hours else "unknown"
        yield Verdict(
            rule="no_events",
            site_id=shop.site_id,
            subject=source,
            state="alert" if is_out else state,
            says=f"{source}: {silent}; {usual}" if found.hours else f"{source}: heard of just now",
            figure=found.hours,
            usual=found.least,
            threshold=hours,
            as_of=str(shop.newest_day),
            query=query,
        )


def sphere_growth(ask: Ask, shop: Shop, times: float) -> Iterator[Verdict]:
    """Pinners who reach far more people than they did, and than others do now."""
    begin, middle, end = (
        shop.begin_ms(day)
        for day in (
            shop.since(RECENT_DAYS + USUAL_DAYS),
            shop.since(RECENT_DAYS),
            shop.newest_day + datetime.timedelta(1),
        )
    )
    query = f"""\
WITH reached AS (
  SELECT pinner_id,
    SUM(CASE WHEN first_reached_at >= {middle} THEN 1 ELSE 0 END) AS recent,
    SUM(CASE WHEN first_reached_at < {middle} THEN 1 ELSE 0 END) AS usual
  FROM current_sphere_edges
  WHERE site_id = '{shop.site_id}' AND first_reached_at >= {begin} AND first_reached_at < {end}
  GROUP BY pinner_id
), together AS (
  SELECT COUNT(*) AS pinners, SUM(recent) AS all_recent, SUM(usual) AS all_usual FROM reached
)
SELECT r.pinner_id, r.recent, r.usual, t.pinners, t.all_recent, t.all_usual
FROM reached r CROSS JOIN together t
WHERE r.recent >= {_LEAST_PEOPLE}
ORDER BY r.recent DESC, r.pinner_id"""
    verdict = Verdict(
        rule="sphere_growth",
        site_id=shop.site_id,
        state="unknown",
        says=f"less than {RECENT_DAYS + USUAL_DAYS // 2} days are known",
        threshold=times,
        as_of=str(shop.newest_day),
        query=query,
    )
    if shop.first_day > shop.since(RECENT_DAYS + USUAL_DAYS // 2):
        yield verdict
        return
    rows = ask(query)
    recent, usual = (
        np.array([int(row[name]) for row in rows], dtype=np.int64) for name in ("recent", "usual")
    )
    a_week = usual * RECENT_DAYS / USUAL_DAYS
    totals = (int(rows[0][name]) if rows else 0 for name in ("pinners", "all_recent", "all_usual"))
    pinners, all_recent, all_usual = totals
    chance = growth_chances(recent, usual, all_recent, all_usual) * pinners
    unusual = np.flatnonzero((recent >= times * a_week) & (chance < _CHANCE))
    for place in unusual[:_MOST_PINNERS]:
        yield dataclasses.replace(
            verdict,
            subject=rows[place]["pinner_id"],
            state="alert",
            says=(
                f"{rows[place]['pinner_id']} reached {recent[place]} people in the {RECENT_DAYS}"
                f" days to {shop.newest_day}, {a_week[place]:.1f} in such a time before;"
                f" alarms at {times:g} times as many"
            ),
            figure=float(recent[place]),
            usual=float(a_week[place]),
        )
    if len(unusual) == 0:
        says = f"nobody reached {times:g} times her usual people, and {_LEAST_PEOPLE} or more"
        yield dataclasses.replace(verdict, state="ok", says=says)


OF_SHOPS: Mapping[str, Callable[[Ask, Shop, float], Iterator[Verdict]]] = {
    "token_survival": token_survival,
    "unattributed": unattributed,
    "quarantine": quarantine,
    "no_events": no_events,
    "sphere_growth": sphere_growth,
}
"""The rules that look at one shop each, by their names in `[alerts]`."""


_ATTEMPT = """\
SELECT is_good, failure, ended_at_utc, good_ended_at, good_ended_at_utc
FROM last_attempt"""


def run_failed(ask: Ask, as_of: str) -> Iterator[Verdict]:
    """Whether the last run ended well."""
    for row in ask(_ATTEMPT):
        ended = f"the last run, which ended {row['ended_at_utc']}"
        yield Verdict(
            rule="run_failed",
            state="ok" if row["is_good"] else "alert",
            says=ended if row["is_good"] else f"{ended}, failed with {row['failure']}: see its log",
            figure=float(not row["is_good"]),
            as_of=as_of,
            query=_ATTEMPT,
        )


def run_late(ask: Ask, as_of: str, hours: float, now: float) -> Iterator[Verdict]:
    """How long ago a run ended well, if any ever did."""
    found = [row for row in ask(_ATTEMPT) if row["good_ended_at"] is not None]
    since = (now - found[0]["good_ended_at"] / 1000) / 3_600 if found else None
    yield Verdict(
        rule="run_late",
        state="alert" if since is None or since > hours else "ok",
        says=(
            "no run has ended well yet"
            if since is None
            else f"the last good run ended {since:.1f} hours ago,"
            f" {found[0]['good_ended_at_utc']}; alarms after {hours:g}"
        ),
        figure=since,
        threshold=hours,
        as_of=as_of,
        query=_ATTEMPT,
    )
