"""The oracle's fifth part: the engagement ladder, one person and one day at a time.

docs/ladder.md read aloud.
"""

import datetime
import zoneinfo
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from schemas.settings import Site

Row = dict[str, Any]
RUNGS = {
    "consumption": ("view", "visit"),
    "curation": ("pin", "share", "vote"),
    "creation": ("comment", "review", "photo", "question"),
    "collaboration": ("answer", "re-pin", "repinned"),
}
LADDER = list(RUNGS)


def ladder_of(acts: Iterable[Row], site: Site, items: Mapping[str, str]) -> dict[str, list[Row]]:
    """`ladder_daily` and `ladder_moves` of one site.

    Args:
      acts: as `tests.oracle_acts` tells them.
      site: time zone, and after how many days a person is away.
      items: item -> category.
    """
    people: Counter[tuple[str, ...]] = Counter()
    done: Counter[tuple[str, ...]] = Counter()
    moved: Counter[tuple[str, ...]] = Counter()
    # (dimension, key, person) -> day -> rungs of her acts that day
    lives: dict[tuple[str, str, str], dict[datetime.date, list[str]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for act in acts:
        rung = rung_of(act)
        if rung is None:
            continue
        day = day_of(act["at"], site)
        for dimension, key in keys_of(act, items):
            done[dimension, key, day.isoformat(), rung] += 1
            lives[dimension, key, act["person_id"]][day].append(rung)
    for (dimension, key, _), life in lives.items():
        highest = {day: max(rungs, key=LADDER.index) for day, rungs in life.items()}
        for day, rung in highest.items():
            people[dimension, key, day.isoformat(), rung] += 1
        for day, before, after in moves_of(highest, site.away_after_days):
            moved[dimension, key, day.isoformat(), before, after] += 1
    return {
        "ladder_daily": [
            {**_named(row, "rung"), "people": people[row], "acts": acts}
            for row, acts in done.items()
        ],
        "ladder_moves": [
            {**_named(row, "from_rung", "to_rung"), "people": count} for row, count in moved.items()
        ],
    }


def rung_of(act: Row) -> str | None:
    """The rung of an act, if it is on any."""
    is_repin = act["act"] == "pin" and act["other_id"] not in {None, act["person_id"]}
    name = "re-pin" if is_repin else act["act"]
    return next((rung for rung, acts in RUNGS.items() if name in acts), None)


def keys_of(act: Row, items: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The ladders that an act counts on."""
    yield "all", "(all)"
    yield "category", items.get(act["item_id"], "(none)")
    yield "slot", act["item_list_id"] or "(none)"


def moves_of(
    highest: Mapping[datetime.date, str], away_after: int
) -> Iterator[tuple[datetime.date, str, str]]:
    """How one person moved: day, from, to."""
    state, last = "new", None
    for day in sorted(highest):
        if last is not None and (day - last).days > away_after:
            yield last + datetime.timedelta(away_after + 1), state, "away"
            state = "away"
        yield day, state, highest[day]
        state, last = highest[day], day
    if last is not None:
        yield last + datetime.timedelta(away_after + 1), state, "away"


def day_of(at: int, site: Site) -> datetime.date:
    """The shop's own day of a moment."""
    return datetime.datetime.fromtimestamp(at / 1000, zoneinfo.ZoneInfo(site.time_zone)).date()


def _named(row: tuple[str, ...], *states: str) -> Row:
    return dict(zip(("dimension", "key", "day", *states), row, strict=True))
