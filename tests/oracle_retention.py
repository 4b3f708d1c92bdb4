"""The oracle's part on loyalty: the fan club, how deep ties are, who comes back and who is lost.

Read off docs/relationships.md, one person and one order at a time. What a bootstrap says is no
rule and has tests of its own (tests/kernels/test_concentration.py).
"""

import datetime
import math
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from schemas.settings import Site

Row = dict[str, Any]
MODELS = ("first", "last", "linear", "position", "time_decay")
DEFAULT_MODEL = "time_decay"
PASSIVE = ("visited", "repinned", "credit")
CLASSES = (1, 2, 5, 10, 25, 100, 1_000)
SUMS = ("people", "visits", "pins", "influenced_micros")


def loyalty_truth(
    tables: Mapping[str, Sequence[Row]], sites: Mapping[str, Site]
) -> dict[str, list[Row]]:
    """All tables on loyalty, from the oracle's other tables and acts."""
    told: dict[str, list[Row]] = defaultdict(list)
    for site_id, site in sites.items():
        own = {
            name: [row for row in rows if row["site_id"] == site_id]
            for name, rows in tables.items()
        }
        for name, rows in _of_site(own, site).items():
            told[name] += [{"site_id": site_id, **row} for row in rows]
    return told


def _of_site(tables: Mapping[str, Sequence[Row]], site: Site) -> dict[str, list[Row]]:
    lives = _lives([act for act in tables["acts"] if act["act"] not in PASSIVE], site)
    return {
        **_fan_club(tables),
        "relationship_depths": _depths(tables["sphere_edges"]),
        "retention_cohorts": _cohorts(lives),
        "retention_fits": _fits(lives, site.lapse_months),
    }


# The fan club ----------------------------------------------------------------------------


def _fan_club(tables: Mapping[str, Sequence[Row]]) -> dict[str, list[Row]]:
    pinners = sorted(row["pinner_id"] for row in tables["pinner_spheres"])
    buyer = {row["order_id"]: row["person_id"] for row in tables["orders"]}
    own = {
        who: sum(row["net_micros"] for row in tables["orders"] if row["person_id"] == who)
        for who in pinners
    }
    sales = sum(row["net_micros"] for row in tables["orders"])
    clubs, unequal = [], []
    for model in MODELS if pinners else ():
        credits = [row for row in tables["order_credits"] if row["model"] == model]
        credited = {
            who: sum(row["credit_micros"] for row in credits if row["pinner_id"] == who)
            for who in pinners
        }
        for ranked_by, value in (("credited", credited), ("own", own)):
            ranked = sorted(pinners, key=lambda who: (-value[who], who))
            for percent in range(1, 101):
                top = ranked[: math.ceil(len(ranked) * percent / 100)]
                clubs.append(
                    {
                        "model": model,
                        "ranked_by": ranked_by,
                        "top_percent": percent,
                        "pinners": len(top),
                        "credited_micros": sum(credited[who] for who in top),
                        "own_micros": sum(own[who] for who in top),
                        "by_or_through_micros": _by_or_through(set(top), own, credits, buyer)
                        if model == DEFAULT_MODEL
                        else None,
                        "sales_micros": sales,
                    }
                )
            unequal.append(
                {
                    "model": model,
                    "ranked_by": ranked_by,
                    "pinners": len(pinners),
                    "pinners_above_zero": sum(value[who] > 0 for who in pinners),
                    "total_micros": sum(value.values()),
                    "gini": _gini(list(value.values())),
                }
            )
    return {"fan_clubs": clubs, "concentrations": unequal}


def _by_or_through(
    top: set[str], own: Mapping[str, int], credits: Iterable[Row], buyer: Mapping[str, Any]
) -> int:
    """All of what they bought, and of others' orders what is credited to them."""
    through = sum(
        row["credit_micros"]
        for row in credits
        if row["pinner_id"] in top and buyer[row["order_id"]] not in top
    )
    return sum(own[who] for who in top) + through


def _gini(values: Sequence[int]) -> float | None:
    """Half of the mean difference between two of them, in terms of the mean."""
    if sum(values) <= 0:
        return None
    apart = sum(abs(one - other) for one in values for other in values)
    return apart / (2 * len(values) * sum(values))


# Depth against count ---------------------------------------------------------------------


def _depths(edges: Sequence[Row]) -> list[Row]:
    reach = {
        who: sum(edge["pinner_id"] == who for edge in edges)
        for who in {edge["pinner_id"] for edge in edges}
    }
    found: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for edge in edges:
        of_class = max(least for least in CLASSES if least <= reach[edge["pinner_id"]])
        depths = {
            "reached": True,
            "visits_2": edge["visits"] >= 2,
            "visits_5": edge["visits"] >= 5,
            "visits_10": edge["visits"] >= 10,
            "repinned": edge["pins"] > 0,
            "bought": edge["influenced_micros"] > 0,
        }
        for depth, is_so in depths.items():
            if is_so:
                found[of_class, depth].append(edge)
    return [
        {
            "people_from": people_from,
            "depth": depth,
            "pinners": len({tie["pinner_id"] for tie in ties}),
            "people": len(ties),
            **{name: sum(tie[name] for tie in ties) for name in SUMS[1:]},
        }
        for (people_from, depth), ties in found.items()
    ]


# Retention -------------------------------------------------------------------------------

# (population, month of entry, her acts from then on as (month, is an order, net micros))
Life = tuple[str, int, list[tuple[int, bool, int]]]


def _lives(acts: Iterable[Row], site: Site) -> list[Life]:
    """Everybody's life in each population that she entered."""
    zone = zoneinfo.ZoneInfo(site.time_zone)
    of_person: dict[str, list[Row]] = defaultdict(list)
    for act in acts:
        of_person[act["person_id"]].append(act)
    lives = []
    for hers in of_person.values():
        first = {
            kind: min((act["at"] for act in hers if act["act"] == kind), default=math.inf)
            for kind in ("pin", "visit", "order")
        }
        entered = {"pinners": first["pin"]}
        if first["visit"] < first["pin"]:
            entered["reached"] = first["visit"]
        if first["order"] < min(first["pin"], first["visit"]):
            entered["customers"] = first["order"]
        for population, at in entered.items():
            if at < math.inf:
                after = [
                    (_month(act["at"], zone), act["act"] == "order", act["amount_micros"])
                    for act in hers
                    if act["at"] >= at
                ]
                lives.append((population, _month(int(at), zone), after))
    return lives


def _month(at: int, zone: zoneinfo.ZoneInfo) -> int:
    day = datetime.datetime.fromtimestamp(at / 1000, zone)
    return day.year * 12 + day.month - 1


def _text(month: int) -> str:
    return f"{month // 12}-{month % 12 + 1:02}"


def _newest(lives: Iterable[Life]) -> int:
    return max((month for _, _, acts in lives for month, _, _ in acts), default=0)


def _cohorts(lives: Sequence[Life]) -> list[Row]:
    rows, newest = [], _newest(lives)
    for population, began in sorted({(life[0], life[1]) for life in lives}):
        cohort = [acts for name, month, acts in lives if (name, month) == (population, began)]
        for month in range(began, newest + 1):
            active = sum(any(when == month for when, _, _ in acts) for acts in cohort)
            bought = [
                [net for when, is_order, net in acts if is_order and when == month]
                for acts in cohort
            ]
            buyers = sum(map(bool, bought))
            row = {
                "population": population,
                "cohort_month": _text(began),
                "months_since": month - began,
                "month": _text(month),
                "people": len(cohort),
                "active_people": active,
                "buyers": buyers,
                "net_micros": sum(map(sum, bought)),
                "is_over": month < newest,
            }
            for name, count in (("active", active), ("buyers", buyers)):
                row[f"{name}_low"], row[f"{name}_high"] = _wilson(count, len(cohort), len(cohort))
            rows.append(row)
    return rows


def _fits(lives: Sequence[Life], lapse: int) -> list[Row]:
    rows, told = [], _newest(lives) - 1 - lapse
    for population in sorted({life[0] for life in lives}):
        for activity in ("act", "order"):
            for since in ("entry", "return"):
                watched = _watched(lives, population, activity, since)
                if watched:
                    names = {"population": population, "activity": activity, "since": since}
                    rows.append(names | {"lapse_months": lapse} | _fit(watched, told))
    return rows


def _watched(
    lives: Iterable[Life], population: str, activity: str, since: str
) -> list[tuple[int, int]]:
    """First and last month in which each is known to be there."""
    found = []
    for name, entered, acts in lives:
        months = {month for month, is_order, _ in acts if is_order or activity == "act"}
        later = [month for month in months if month > entered]
        if name == population and since == "entry":
            found.append((entered, max([entered, *later])))
        elif name == population and later:
            found.append((min(later), max(later)))
    return found


def _fit(watched: Sequence[tuple[int, int]], told: int) -> Row:
    """Month by month: who could have been lost in it, and who was."""
    people = [(first, last) for first, last in watched if first <= told]
    trials = losses = 0
    for first, last in people:
        for month in range(first + 1, told + 2):
            trials += 1
            if month > last:  # silent from here to the newest month
                losses += 1
                break
    hazard = losses / trials if trials else None
    low, high = _wilson(losses, trials, len(people)) if trials else (None, None)
    row: Row = {"people": len(people), "lost": losses, "person_months": trials}
    for end, value in (("", hazard), ("_low", low), ("_high", high)):
        row[f"hazard{end}"] = value
        row[f"lost_a_year{end}"] = None if value is None else 1 - (1 - value) ** 12
    row["half_life_months"] = _half_life(hazard)
    row["half_life_low"], row["half_life_high"] = _half_life(high), _half_life(low)
    return row


def _half_life(hazard: float | None) -> float | None:
    if hazard is None or hazard == 0:
        return None
    return 0.0 if hazard == 1 else math.log(2) / -math.log(1 - hazard)


def _wilson(successes: int, trials: int, people: int) -> tuple[float | None, float | None]:
    """The roots of (rate - p)^2 = z^2 p (1 - p) / n."""
    if people < 30:
        return None, None
    z = 1.959963984540054
    a, b = 1 + z**2 / trials, 2 * successes / trials + z**2 / trials
    root = math.sqrt(max(b**2 - 4 * a * (successes / trials) ** 2, 0))
    return (b - root) / (2 * a), (b + root) / (2 * a)
