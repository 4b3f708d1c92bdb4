"""Relationship stages: the step against its oracle, and rules that everybody can check."""

import datetime
import random
import re
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pyarrow as pa
import pytest
from hypothesis import strategies as st
from msgspec.structs import replace

from pipelines.kernels import meetings as meetings_kernel
from pipelines.kernels import stages as kernel
from pipelines.kernels.columns import ints, joint_places
from pipelines.transforms import relationships
from pipelines.transforms.acts import in_spans
from pipelines.transforms.histories import Histories
from pipelines.transforms.meetings import meetings_between, return_parts
from pipelines.transforms.relationships import add_stages_up, stage_pinners
from schemas.batches import ACTS, CREDIT_PARTS, MEETINGS
from schemas.results import result_schema
from schemas.settings import Site
from schemas.stages import CasualAcquaintance, Stages, Teammate
from schemas.tables import RESULTS
from tests.flow.telling import as_acts, as_credits, as_meetings
from tests.oracle_stages import RUNGS, Act, stages_truth

KINDS = sorted({act for acts in RUNGS.values() for act in acts} - {"re-pin"} | {"order", "credit"})
# Winter and summer, a leap year, ends of months and 90 days before and after them.
DAY_MS = 86_400_000
BEGIN_MS = 1_703_980_800_000  # 2023-12-31 UTC
MOMENTS = st.one_of(
    st.integers(0, 430 * 24).map(lambda hours: BEGIN_MS + hours * 3_600_000),
    st.sampled_from((1_704_067_200_000, 1_711_843_200_000, 1_719_788_400_000)).flatmap(
        lambda begin: st.sampled_from((0, -1, 90 * DAY_MS, 90 * DAY_MS - 1, DAY_MS)).map(
            lambda shift: begin + shift
        )
    ),
)
OTHER_SIDE = {"visit": "visited", "visited": "visit", "pin": "repinned", "repinned": "pin"}


@st.composite
def histories(draw: st.DrawFn) -> list[Act]:
    """Acts of a few people who know each other."""
    people = st.sampled_from(("ann", "bob", "cleo"))
    acts = []
    for _ in range(draw(st.integers(0, 25))):
        act = draw(st.sampled_from([*KINDS, "pin", "pin", "visited", "visit", "order", "credit"]))
        has_other = act in {*OTHER_SIDE, "credit"}
        other = draw(st.one_of(st.none(), people)) if has_other else None
        amount = draw(st.sampled_from((0, 1, -5, 12_345_678, 10**12)))
        money = amount if act in {"order", "credit"} else 0
        acts += both_sides(Act(draw(people), act, draw(MOMENTS), other, money))
    return acts


def both_sides(act: Act) -> list[Act]:
    """An act, and how the other tells it; on her own pin she is nobody's guest."""
    if act.act not in OTHER_SIDE or act.other_id is None:
        return [act]
    if act.other_id == act.person_id:
        return [act if act.act == "pin" else act._replace(other_id=None)]
    other = act._replace(person_id=act.other_id, act=OTHER_SIDE[act.act], other_id=act.person_id)
    return [act, other]


@st.composite
def rules(draw: st.DrawFn) -> Site:
    """A site with thresholds that a short history can meet."""
    few = st.integers(0, 3)
    rung: Any = st.sampled_from(list(RUNGS))
    asked = {"reciprocity": st.integers(0, 2), "purchases": st.integers(0, 1)}
    stages = Stages(
        look_back_months=draw(st.integers(1, 14)),
        burst_days=draw(st.sampled_from((0.0, 1.0, 30.0, 45.0))),
        casual_acquaintance=CasualAcquaintance(
            recency_months=draw(few), active_months=draw(st.integers(1, 2)), depth=draw(rung)
        ),
        teammate=Teammate(
            recency_months=draw(few),
            active_months=draw(st.integers(1, 3)),
            depth=draw(rung),
            **{name: draw(values) for name, values in asked.items()},
        ),
    )
    zone = draw(st.sampled_from(("UTC", "Europe/London", "America/New_York", "Pacific/Apia")))
    return Site(key="key-of-acme", currency="GBP", time_zone=zone, stages=stages)


def staged(histories: Mapping[str, list[Act]], sites: Mapping[str, Site]) -> dict[str, pa.Table]:
    """Both tables of some shops."""
    rows = [
        {"site_id": site_id, **act._asdict()} for site_id, acts in histories.items() for act in acts
    ]
    acts = pa.Table.from_pylist(as_acts(rows), schema=ACTS)
    met = pa.Table.from_pylist(as_meetings(rows), schema=MEETINGS)
    people = acts.select(["site_id", "person_id"])
    guest, host = (
        joint_places([met["site_id"], met[name]], people.columns)
        for name in ("guest_id", "host_id")
    )
    meetings = meetings_between(people, guest, host, ints(met["at"]))
    earned = pa.Table.from_pylist(as_credits(rows), schema=CREDIT_PARTS)
    came, credits = return_parts(meetings, sites), in_spans(earned, sites)
    tables = stage_pinners(Histories(acts, sites), came, credits, sites)
    return tables | {"stage_transitions": add_stages_up(tables["stage_parts"])}


def found(acts: list[Act], site: Site) -> dict[str, list[dict[str, Any]]]:
    """What the steps say, as rows without their site."""
    tables = staged({"acme": acts}, {"acme": site})
    return {
        name: sorted(table.select(result_schema(name).names[1:]).to_pylist(), key=str)
        for name, table in tables.items()
        if name in RESULTS
    }


@hypothesis.given(histories(), rules())
@hypothesis.settings(max_examples=80)
def test_stages_are_what_the_rules_say(acts: list[Act], site: Site) -> None:
    """A merchandiser who reads the rules must find the stages that they give."""
    stages, transitions = stages_truth(acts, site)

    rows = found(acts, site)

    assert rows["pinner_stages"] == sorted(_ordered(stages, "pinner_stages"), key=str)
    wanted = sorted(_ordered(transitions, "stage_transitions"), key=str)
    assert [_rounded(row) for row in rows["stage_transitions"]] == [_rounded(r) for r in wanted]


def _ordered(rows: list[dict[str, Any]], table: str) -> list[dict[str, Any]]:
    names = result_schema(table).names[1:]
    return [{name: row[name] for name in names} for row in rows]


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    error = row["standard_error_micros"]
    return row | {"standard_error_micros": pytest.approx(error) if error else error}


# The page's example ------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "relationships.md").read_text()


def tables_of(heading: str) -> list[list[dict[str, str]]]:
    """The tables below a heading, as rows by column."""
    part = PAGE.split(f"### {heading}\n")[1].split("\n#")[0]
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", part, re.MULTILINE):
        head, _, *rows = ([c.strip() for c in line.split("|")[1:-1]] for line in block.splitlines())
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


def test_the_example_on_the_page_is_right() -> None:
    """Who recomputes Ann's story by hand must get what PinSphere shows."""
    told, wanted = tables_of("An example, by hand")
    site = Site(key="key-of-acme", currency="GBP", time_zone="Europe/London")
    zone = zoneinfo.ZoneInfo(site.time_zone)
    acts = []
    for row in told:
        day = datetime.datetime.fromisoformat(row["day"]).replace(hour=12, tzinfo=zone)
        amount = int(row["amount"] or 0) * 1_000_000
        at = int(day.timestamp()) * 1000
        acts += both_sides(Act("ann", row["act"], at, row["other"] or None, amount))

    rows = found(acts, site)

    names = list(wanted[0])
    assert [
        {name: "" if row[name] is None else str(row[name]) for name in names}
        for row in sorted(rows["pinner_stages"], key=lambda row: str(row["month"]))
    ] == wanted
    worth = {
        row["month"]: (row["credited_next_90_micros"], row["own_next_90_micros"])
        for row in rows["stage_transitions"]
    }
    assert worth["2025-01"] == (40_000_000, 25_000_000)
    assert worth["2025-02"] == (0, 0)


# Mistakes ----------------------------------------------------------------------------------


def shops(count: int = 60) -> tuple[dict[str, Site], dict[str, list[Act]]]:
    """Shops of all rules, each with a history that meets their edges."""
    rng = random.Random(7)
    sites, histories = {}, {}
    for number in range(count):
        stages = Stages(
            look_back_months=rng.choice((2, 3, 6)),
            burst_days=rng.choice((0.0, 1.0, 30.0)),
            casual_acquaintance=CasualAcquaintance(
                recency_months=rng.randint(0, 2), active_months=rng.randint(1, 2)
            ),
            teammate=Teammate(
                recency_months=rng.randint(0, 2),
                active_months=rng.randint(1, 2),
                depth=rng.choice(("consumption", "curation", "creation", "collaboration")),
                reciprocity=rng.randint(0, 2),
                purchases=rng.randint(0, 1),
            ),
        )
        zone = rng.choice(("Europe/London", "America/New_York"))
        site_id = f"shop-{number}"
        sites[site_id] = Site(key="key", currency="GBP", time_zone=zone, stages=stages)
        acts = [_random_act(rng, LONG if number % 2 else SHORT) for _ in range(30)]
        histories[site_id] = [side for act in acts for side in both_sides(act)]
    return sites, histories


SHORT = (0, 1, 30)
LONG = (0, 1, 2, 29, 30, 31, 60, 89, 90, 91, 120, 121, 150, 400)


def _random_act(rng: random.Random, days: Sequence[int]) -> Act:
    people = ("ann", "bob")
    act = rng.choice([*KINDS, "pin", "visited", "visit", "order", "credit"])
    other = rng.choice((*people, None)) if act in {*OTHER_SIDE, "credit"} else None
    amount = rng.choice((0, 7_000_000)) if act in {"order", "credit"} else 0
    at = 1_704_067_200_000 + rng.choice(days) * DAY_MS + rng.choice((-1, 0, 3_600_000))
    return Act(rng.choice(people), act, at, other, amount)


SHOPS, HISTORIES = shops()


def answer(sites: dict[str, Site]) -> tuple[list[Any], list[Any]]:
    """Rows of both tables of all shops."""
    tables = staged(HISTORIES, sites)
    both = tables["pinner_stages"], tables["stage_transitions"]
    first, second = (sorted(map(str, table.to_pylist())) for table in both)
    return first, second


RIGHT = answer(SHOPS)


def test_the_shops_of_the_mistakes_are_right() -> None:
    """The control of the mistakes below."""
    for site_id, acts in HISTORIES.items():
        stages, _ = stages_truth(acts, SHOPS[site_id])
        mine = [row for row in RIGHT[0] if f"'{site_id}'" in row]
        names = result_schema("pinner_stages").names
        assert mine == sorted(
            str({name: row[name] for name in names}) for row in _of_site(stages, site_id)
        )


def _of_site(rows: list[dict[str, Any]], site_id: str) -> list[dict[str, Any]]:
    return [{"site_id": site_id, **row} for row in rows]


def _rule(name: str, field: str, more: int) -> Callable[[Site], Site]:
    """A site one of whose thresholds is off."""

    def off(site: Site) -> Site:
        rule = getattr(site.stages, name)
        value = getattr(rule, field)
        wrong = (
            list(RUNGS)[(list(RUNGS).index(value) + more) % 4] if field == "depth" else value + more
        )
        stages = replace(site.stages, **{name: replace(rule, **{field: wrong})})
        return replace(site, stages=stages)

    return off


def _stages(**change: Callable[[Any], Any]) -> Callable[[Site], Site]:
    def off(site: Site) -> Site:
        values = {name: wrong(getattr(site.stages, name)) for name, wrong in change.items()}
        return replace(site, stages=replace(site.stages, **values))

    return off


WRONG_SITES = {
    "the look-back is a month long": _stages(look_back_months=lambda months: months + 1),
    "the look-back is a month short": _stages(look_back_months=lambda months: months - 1),
    "a burst is a day longer": _stages(burst_days=lambda days: days + 1),
    "a burst is a millisecond longer": _stages(burst_days=lambda days: days + 1 / DAY_MS),
    "months are of UTC": lambda site: replace(site, time_zone="UTC"),
    **{
        f"{name}: {field} is off": _rule(name, field, 1)
        for name, fields in {
            "casual_acquaintance": ("recency_months", "active_months", "depth"),
            "teammate": ("recency_months", "active_months", "depth", "reciprocity", "purchases"),
        }.items()
        for field in fields
    },
}


def _lowered(rung: int) -> Callable[[kernel.Acts, kernel.Rules], kernel.PersonMonths]:
    """A kernel for which one rung is worth no more than the one below."""
    right = kernel.stage_months

    def wrong(acts: kernel.Acts, *rest: Any) -> kernel.PersonMonths:
        return right(acts._replace(rung=acts.rung - (acts.rung == rung)), *rest)

    return wrong


WRONG_CODE: dict[str, tuple[Any, str, Any]] = {
    "what others do is hers": (relationships, "OF_OTHERS", ()),
    "coming back takes no day": (meetings_kernel, "_DAY_MS", 0),
    "91 days are looked at": (kernel, "_VALUE_MS", 91 * DAY_MS),
    "89 days are looked at": (kernel, "_VALUE_MS", 89 * DAY_MS),
    "two months of value are looked at": (kernel, "_MONTHS_OF_VALUE", 2),
    **{
        f"rung {rung} is the one below": (kernel, "stage_months", _lowered(rung))
        for rung in (2, 3, 4)
    },
    "new pinners were strangers": (kernel, "NEW", kernel.STRANGER),
    "the closer stage loses": (kernel, "TEAMMATE", kernel.CASUAL),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG_SITES)
def test_a_threshold_that_is_off_is_found_out(mistake: str) -> None:
    """An edge that no history meets would let the rule drift."""
    wrong = WRONG_SITES[mistake]

    assert answer({site_id: wrong(site) for site_id, site in SHOPS.items()}) != RIGHT


@pytest.mark.parametrize("mistake", WRONG_CODE)
def test_a_rule_that_is_wrong_is_found_out(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever changes a rule by accident is told."""
    monkeypatch.setattr(*WRONG_CODE[mistake])

    assert answer(SHOPS) != RIGHT
