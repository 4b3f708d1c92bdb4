"""Relationship stages: the step against its oracle, and rules that everybody can check."""

from typing import Any

import hypothesis
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from pipelines.transforms.relationships import add_stages_up, stage_pinners
from schemas.results import result_schema
from schemas.settings import Site
from schemas.stages import CasualAcquaintance, Stages, Teammate
from tests.oracle_stages import RUNGS, Act, stages_truth

KINDS = [*{act for acts in RUNGS.values() for act in acts} - {"re-pin"}, "order", "credit"]
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
ACTS = pa.schema(
    [
        ("site_id", pa.string()), ("person_id", pa.string()), ("act", pa.string()),
        ("at", pa.int64()), ("other_id", pa.string()), ("amount_micros", pa.int64()),
    ]
)  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[Act]:
    """Acts of a few people who know each other."""
    people = st.sampled_from(("ann", "bob", "cleo"))
    acts = []
    for _ in range(draw(st.integers(0, 25))):
        act = draw(st.sampled_from([*KINDS, "pin", "pin", "visited", "visit", "order", "credit"]))
        has_other = act in {"visit", "visited", "pin", "repinned", "credit"}
        other = draw(st.one_of(st.none(), people)) if has_other else None
        amount = draw(st.sampled_from((0, 1, -5, 12_345_678, 10**12)))
        money = amount if act in {"order", "credit"} else 0
        acts.append(Act(draw(people), act, draw(MOMENTS), other, money))
    return acts


@st.composite
def rules(draw: st.DrawFn) -> Site:
    """A site with thresholds that a short history can meet."""
    few = st.integers(0, 3)
    rung = st.sampled_from(list(RUNGS))
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


def table_of(acts: list[Act], site_id: str = "acme") -> pa.Table:
    """Acts as the step is given them."""
    rows = [{"site_id": site_id, **act._asdict()} for act in acts]
    return pa.Table.from_pylist(rows, schema=ACTS)


def found(acts: list[Act], site: Site) -> dict[str, list[dict[str, Any]]]:
    """What the step says, as rows without their site."""
    tables = stage_pinners(table_of(acts), {"acme": site})
    tables["stage_transitions"] = add_stages_up(tables.pop("stage_parts"))
    return {
        name: sorted(table.select(result_schema(name).names[1:]).to_pylist(), key=str)
        for name, table in tables.items()
    }


@hypothesis.given(histories(), rules())
@hypothesis.settings(max_examples=150)
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
