"""Which relationship each pinner has with the shop, when it changed, and what came of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels import stages
from pipelines.kernels.calendar import local_days, month_texts, months_of
from pipelines.kernels.columns import Ints, Tables, codes, ints, places
from pipelines.kernels.groups import group_by
from pipelines.transforms.acts import OF_OTHERS, PINS, Kinds
from pipelines.transforms.daily import sum_by_key
from pipelines.transforms.ladder import rungs_of
from schemas.batches import RETURN_COUNTS, STAGE_PARTS, STAGE_SUMS
from schemas.ladder import RUNGS
from schemas.results import result_schema
from schemas.settings import Site
from schemas.stages import NEW_PINNER, STAGES, StageRule


def stage_pinners(acts: pa.Table, returns: pa.Table, sites: Mapping[str, Site]) -> Tables:
    """`pinner_stages` of whole people, and their part of `stage_transitions`.

    Args:
      acts: ACTS.
      returns: RETURN_PARTS.
      sites: for their time zones and rules.
    """
    entered = [result_schema("pinner_stages").empty_table()]
    parts = [STAGE_PARTS.empty_table()]
    for site_id in sorted(pc.unique(acts["site_id"]).to_pylist()):
        rows, came = (each.filter(pc.equal(each["site_id"], site_id)) for each in (acts, returns))
        kinds = Kinds(rows)
        (person,) = codes([rows["person_id"]])
        people = pc.unique(rows["person_id"])  # in the order of their codes
        site = sites[site_id]
        months = stages.stage_months(
            _acts(rows, kinds, person, site), _returns(came, people), _rules(site)
        )
        entered.append(_entered(months, people, site_id))
        parts.append(_parts(months, _values(rows, kinds, person, months, site), site_id, site))
    return {"pinner_stages": pa.concat_tables(entered), "stage_parts": pa.concat_tables(parts)}


def _acts(rows: pa.Table, kinds: Kinds, person: Ints, site: Site) -> stages.Acts:
    """One site's acts as the kernel takes them."""
    at = ints(rows["at"])
    return stages.Acts(
        person=person,
        at=at,
        month=months_of(at, site.time_zone),
        rung=1 + rungs_of(kinds),
        is_own=~kinds.are(*OF_OTHERS),
        is_pin=kinds.are(*PINS),
        is_purchase=kinds.are("order") & (ints(rows["amount_micros"]) > 0),
    )


def _returns(parts: pa.Table, people: pa.Array) -> stages.Returns:
    """The same of returns; who has no acts has no stage."""
    person = places(parts["person_id"], people)
    is_one = person >= 0
    columns = (ints(parts[name])[is_one] for name in ("month", *RETURN_COUNTS))
    return stages.Returns(person[is_one], *columns)


def _rules(site: Site) -> stages.Rules:
    """The site's thresholds as numbers."""

    def rule(of: StageRule) -> stages.Rule:
        return stages.Rule(
            recency_months=of.recency_months,
            active_months=of.active_months,
            depth=1 + RUNGS.index(of.depth),
            reciprocity=of.reciprocity,
            purchases=of.purchases,
        )

    chosen = site.stages
    return stages.Rules(
        look_back_months=chosen.look_back_months,
        burst_ms=chosen.burst_ms,
        casual=rule(chosen.casual_acquaintance),
        teammate=rule(chosen.teammate),
    )


def _entered(months: stages.PersonMonths, people: pa.Array, site_id: str) -> pa.Table:
    """A row for each stage entered, with the scores of that month."""
    row = np.flatnonzero(stages.stages_before(months) != months.stage)
    month, is_for_good = months.month[row], stages.last_months(months)[row]
    left = np.roll(month, -1)  # means nothing where she stays for good
    scores = stages.Scores(*(score[row] for score in months.scores))
    columns = {
        "pinner_id": people.take(pa.array(months.person[row])),
        "month": month_texts(month),
        "stage": _name(months.stage[row]),
        "left_month": pc.if_else(pa.array(is_for_good), None, month_texts(left)),
        **scores._asdict(),
        "depth": pa.array([None, *RUNGS], pa.string()).take(pa.array(scores.depth)),
    }
    return _of_site(site_id, result_schema("pinner_stages"), columns, len(row))


def _values(
    rows: pa.Table, kinds: Kinds, person: Ints, months: stages.PersonMonths, site: Site
) -> stages.Values:
    """Revenue after each month: her own orders, and credit of others'."""
    is_own = kinds.are("order")
    place = np.flatnonzero(kinds.are("order", "credit"))
    at, amount = ints(rows["at"])[place], ints(rows["amount_micros"])[place]
    return stages.value_months(months, person[place], at, amount, is_own[place], site.time_zone)


def _parts(
    months: stages.PersonMonths, values: stages.Values, site_id: str, site: Site
) -> pa.Table:
    """STAGE_PARTS: months of one or more people, and what came after months."""
    before = stages.stages_before(months)
    was_known = values.row >= 0
    # Of whom nothing is left but her pins: a stranger before and after.
    was, became = (
        np.append(stage, np.where(was_known, stage[values.row], stages.STRANGER))
        for stage in (before, months.stage)
    )
    month = np.append(months.month, values.month)
    square_high, square_low = stages.squares(values.credited + values.own)
    none, one = np.zeros(len(months.month), dtype=np.int64), np.ones_like(values.row)
    sums: dict[str, Ints] = {
        "people": np.append(none + 1, 0 * one),
        "settled": np.append(stages.last_months(months), 0 * one),
        "people_with_revenue": np.append(none, one),
        "credited_next_90_micros": np.append(none, values.credited),
        "own_next_90_micros": np.append(none, values.own),
        "square_high": np.append(none, square_high),
        "square_low": np.append(none, square_low),
    }
    # A few moves of many people: named when they are counted.
    moves = group_by(month - month.min(initial=0), was - stages.NEW, became)
    month, was, became = (each[moves.one] for each in (month, was, became))
    columns = {
        "month": month_texts(month),
        "from_stage": _name(was),
        "to_stage": _name(became),
        "last_day": local_days(stages.ends_of_value(month, site.time_zone) - 1, site.time_zone),
        **{name: moves.sums(amount) for name, amount in sums.items()},
    }
    return _of_site(site_id, STAGE_PARTS, columns, len(month))


def _name(stage: Ints) -> pa.Array:
    """[rows] names of stages; NEW, which is -1, is the last one."""
    return pa.array((*STAGES, NEW_PINNER)).take(pa.array(stage % (len(STAGES) + 1)))


def _of_site(site_id: str, schema: pa.Schema, columns: Mapping[str, Any], rows: int) -> pa.Table:
    table = pa.table({"site_id": pa.repeat(site_id, rows), **columns})
    return table.select(schema.names).cast(schema)


def add_stages_up(parts: pa.Table) -> pa.Table:
    """`stage_transitions` from STAGE_PARTS."""
    table = sum_by_key(parts, STAGE_PARTS, STAGE_SUMS)
    high, low = (ints(table[name]).astype(np.float64) for name in ("square_high", "square_low"))
    error = np.sqrt(high * 2.0**40 + low) * stages.MICROS_OF_SQUARES
    return table.append_column("standard_error_micros", pa.array(error))
