"""The oracle's part on relationships: docs/relationships.md, pinner by pinner, month by month."""

import datetime
import functools
import math
import zoneinfo
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.settings import Site
from schemas.stages import StageRule

Row = dict[str, Any]
DAY_MS = 86_400_000
VALUE_MS = 90 * DAY_MS
OTHERS = ("visited", "repinned", "credit")  # acts of others with her
STRANGER = "stranger"
RUNGS = {
    "consumption": ("view", "visit"),
    "curation": ("pin", "share", "vote"),
    "creation": ("comment", "review", "photo", "question"),
    "collaboration": ("answer", "re-pin", "repinned"),
}


class Act(NamedTuple):
    """Something a person did, or another with her."""

    person_id: str
    act: str
    at: int
    other_id: str | None = None
    amount_micros: int = 0

    @classmethod
    def of(cls, row: Row) -> "Act":
        """An act as the oracle of acts tells it."""
        return cls(**{name: row[name] for name in cls._fields})


@dataclass(frozen=True, order=True)
class Month:
    """A month of the calendar."""

    year: int
    number: int

    @classmethod
    def of(cls, at: int, site: Site) -> "Month":
        """The month of a moment in the shop's own time."""
        return _month(at // 1000, site.time_zone)

    def plus(self, months: int) -> "Month":
        """So many months later."""
        place = self.year * 12 + self.number - 1 + months
        return Month(place // 12, place % 12 + 1)

    def since(self, earlier: "Month") -> int:
        """Months between."""
        return (self.year - earlier.year) * 12 + self.number - earlier.number

    def began_at(self, site: Site) -> int:
        """Its first moment in the shop's own time."""
        zone = zoneinfo.ZoneInfo(site.time_zone)
        return int(datetime.datetime(self.year, self.number, 1, tzinfo=zone).timestamp()) * 1000

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"


@functools.cache
def _month(second: int, time_zone: str) -> Month:
    when = datetime.datetime.fromtimestamp(second, zoneinfo.ZoneInfo(time_zone))
    return Month(when.year, when.month)


def stages_truth(acts: Iterable[Act], site: Site) -> tuple[list[Row], list[Row]]:
    """Rows of `pinner_stages` and of `stage_transitions`."""
    by_person: dict[str, list[Act]] = {}
    for act in acts:
        by_person.setdefault(act.person_id, []).append(act)
    stages: list[Row] = []
    transitions: dict[tuple[Month, str, str], Row] = {}
    for person_id, hers in by_person.items():
        if any(act.act == "pin" for act in hers):
            story = list(tell(hers, site))
            stages += [{"pinner_id": person_id, **row} for row in changes(story)]
            _count(transitions, story, hers, site)
    rows = [
        {
            "month": str(month),
            "from_stage": before,
            "to_stage": stage,
            "last_day": last_day(month, site),
            **{name: amount for name, amount in row.items() if name != "squares"},
            "standard_error_micros": math.sqrt(row["squares"]) * 10_000,
        }
        for (month, before, stage), row in transitions.items()
    ]
    return stages, rows


def tell(acts: Sequence[Act], site: Site) -> Iterator[tuple[Month, str, Row]]:
    """A pinner's months from her first pin until she is forgotten: stage and scores of each."""
    month = min(Month.of(act.at, site) for act in acts if act.act == "pin")
    last = max(Month.of(act.at, site) for act in acts if act.act not in OTHERS)
    while month <= last.plus(site.stages.look_back_months):
        scores = score(acts, month, site)
        yield month, stage_of(acts, scores, month, site), scores
        month = month.plus(1)


def score(acts: Sequence[Act], month: Month, site: Site) -> Row:
    """The scores at the end of a month."""

    def lately(some: Iterable[Act]) -> list[Act]:
        since = month.plus(1 - site.stages.look_back_months)
        return [act for act in some if since <= Month.of(act.at, site) <= month]

    own = [act for act in acts if act.act not in OTHERS]
    until = [Month.of(act.at, site) for act in own if Month.of(act.at, site) <= month]
    rungs = [rung for rung in RUNGS if any(_is_on(act, rung) for act in lately(acts))]
    to_her, by_her = came_back(acts)
    return {
        "recency_months": month.since(max(until)),
        "active_months": len({Month.of(act.at, site) for act in lately(own)}),
        "depth": rungs[-1] if rungs else None,
        "reciprocity": bool(lately(to_her)) + bool(lately(by_her)),
        "purchases": sum(act.act == "order" and act.amount_micros > 0 for act in lately(own)),
    }


def _is_on(act: Act, rung: str) -> bool:
    is_repin = act.act == "pin" and act.other_id not in {None, act.person_id}
    return ("re-pin" if is_repin else act.act) in RUNGS[rung]


def came_back(acts: Sequence[Act]) -> tuple[list[Act], list[Act]]:
    """Acts in which one she had reached came back to her, and in which she came to such a one."""
    reached = [act for act in acts if act.act in {"visited", "repinned"} and act.other_id]
    met = {
        other: min(act.at for act in reached if act.other_id == other)
        for other in {act.other_id for act in reached}
    }
    to_her = [act for act in reached if act.at - met[act.other_id] >= DAY_MS]
    by_her = [
        act
        for act in acts
        if act.act in {"visit", "pin"}
        and act.other_id in met
        and act.other_id != act.person_id
        and act.at > met[act.other_id]
    ]
    return to_her, by_her


def stage_of(acts: Sequence[Act], scores: Row, month: Month, site: Site) -> str:
    """The first of the stages whose rule holds."""

    def holds(rule: StageRule) -> bool:
        ladder = [None, *RUNGS]
        return (
            scores["recency_months"] <= rule.recency_months
            and scores["active_months"] >= rule.active_months
            and ladder.index(scores["depth"]) >= ladder.index(rule.depth)
            and scores["reciprocity"] >= rule.reciprocity
            and scores["purchases"] >= rule.purchases
        )

    if scores["active_months"] == 0:
        return STRANGER
    if holds(site.stages.teammate):
        return "teammate"
    if holds(site.stages.casual_acquaintance):
        return "casual acquaintance"
    times = [act.at for act in acts if act.act not in OTHERS and Month.of(act.at, site) <= month]
    is_burst = max(times) - min(times) <= site.stages.burst_days * DAY_MS
    return "fling" if is_burst else "fleeting acquaintance"


def revenue_after(month: Month, acts: Iterable[Act], site: Site) -> tuple[int, int]:
    """What a pinner brought in the 90 days after a month: credited, and her own."""
    end = month.plus(1).began_at(site)
    due = [act for act in acts if end <= act.at < end + VALUE_MS]
    credited = [one for one in due if one.act == "credit" and one.other_id != one.person_id]
    own = [one for one in due if one.act == "order"]
    return sum(one.amount_micros for one in credited), sum(one.amount_micros for one in own)


def last_day(month: Month, site: Site) -> str:
    """The local day on which the 90 days after a month are over, to the last millisecond."""
    last_second = (month.plus(1).began_at(site) + VALUE_MS) // 1000 - 1
    zone = zoneinfo.ZoneInfo(site.time_zone)
    return datetime.datetime.fromtimestamp(last_second, zone).date().isoformat()


def changes(story: Sequence[tuple[Month, str, Row]]) -> Iterator[Row]:
    """A row for each stage she enters."""
    entered = [
        (month, stage, scores)
        for place, (month, stage, scores) in enumerate(story)
        if place == 0 or story[place - 1][1] != stage
    ]
    lefts: list[Month | None] = [*(month for month, _, _ in entered[1:]), None]
    for (month, stage, scores), left in zip(entered, lefts, strict=True):
        yield {
            "month": str(month),
            "stage": stage,
            "left_month": left and str(left),
            **scores,
        }


def _count(
    transitions: dict[tuple[Month, str, str], Row],
    story: Sequence[tuple[Month, str, Row]],
    acts: Sequence[Act],
    site: Site,
) -> None:
    """Adds one pinner's moves, and what came of her, to those of all."""
    told = [(month, stage, True) for month, stage, _ in story]
    # Her pins may still bring others' orders when she is long forgotten.
    month, latest = told[-1][0], max(Month.of(act.at, site) for act in acts)
    told += [(month.plus(n), STRANGER, False) for n in range(1, latest.since(month) + 1)]
    before = "new"
    for place, (month, stage, is_counted) in enumerate(told):
        credited, own = revenue_after(month, acts, site)
        nothing: Row = dict.fromkeys(
            (
                "people", "settled", "people_with_revenue", "credited_next_90_micros",
                "own_next_90_micros", "squares",
            ),
            0,
        )  # fmt: skip
        if is_counted or credited or own:
            row = transitions.setdefault((month, before, stage), nothing)
            row["people"] += is_counted
            row["settled"] += place == len(story) - 1
            row["people_with_revenue"] += bool(credited or own)
            row["credited_next_90_micros"] += credited
            row["own_next_90_micros"] += own
            row["squares"] += (abs(credited + own) // 10_000) ** 2
        before = stage
