"""Which relationship each pinner has with the shop, when it changed, and what came of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels import stages
from pipelines.kernels.calendar import local_days, month_texts
from pipelines.kernels.columns import Bools, Ints, Tables, ints
from pipelines.kernels.groups import group_by
from pipelines.transforms.acts import OF_OTHERS, PINS
from pipelines.transforms.daily import sum_by_key
from pipelines.transforms.histories import Histories
from pipelines.transforms.ladder import rungs_of
from schemas.batches import RETURN_COUNTS, STAGE_PARTS, STAGE_SUMS
from schemas.ladder import RUNGS
from schemas.results import result_schema
from schemas.settings import Site
from schemas.stages import NEW_PINNER, STAGES, StageRule


class _Revenue(NamedTuple):
    """What orders brought people, by their own or by others'. All [rows]."""

    person: Ints
    at: Ints
    micros: Ints
    is_own: Bools


_Rows = TypeVar("_Rows", stages.Acts, stages.Returns, _Revenue)


def stage_pinners(
    told: Histories, returns: pa.Table, credits: pa.Table, sites: Mapping[str, Site]
) -> Tables:
    """`pinner_stages` of whole people, and their part of `stage_transitions`.

    Args:
      told: what they did.
      returns: RETURN_PARTS.
      credits: CREDIT_PARTS.
      sites: for their time zones and rules.
    """
    entered = [result_schema("pinner_stages").empty_table()]
    parts = [STAGE_PARTS.empty_table()]
    acts, came, earned = _acts(told), _returns(returns, told), _revenue(told, credits)
    # Nobody else has a stage.
    is_pinner = told.among(told.person[acts.is_pin & told.is_there])
    for code, site_id in enumerate(told.shops):
        here = is_pinner & (told.shop == code)
        site = sites[site_id]
        months = stages.stage_months(_of(here, acts), _of(here, came), _rules(site))
        values = stages.value_months(months, *_of(here, earned), site.time_zone)
        entered.append(_entered(months, told.people["person_id"], site_id))
        parts.append(_parts(months, values, site_id, site))
    return {"pinner_stages": pa.concat_tables(entered), "stage_parts": pa.concat_tables(parts)}


def _acts(told: Histories) -> stages.Acts:
    """Acts as the kernel takes them."""
    return stages.Acts(
        person=np.where(told.is_there, told.person, -1),
        at=told.at,
        month=told.month,
        rung=1 + rungs_of(told.kinds),
        is_own=~told.kinds.are(*OF_OTHERS),
        is_pin=told.kinds.are(*PINS),
        is_purchase=told.kinds.are("order") & (ints(told.acts["amount_micros"]) > 0),
    )


def _returns(parts: pa.Table, told: Histories) -> stages.Returns:
    """The same of returns."""
    columns = (ints(parts[name]) for name in ("month", *RETURN_COUNTS))
    return stages.Returns(told.places(parts), *columns)


def _revenue(told: Histories, credits: pa.Table) -> _Revenue:
    """Their own orders, and credit of others'."""
    bought = np.flatnonzero(told.kinds.are("order") & told.is_there)
    amount = ints(told.acts["amount_micros"])[bought]
    return _Revenue(
        person=np.append(told.person[bought], told.places(credits)),
        at=np.append(told.at[bought], ints(credits["at"])),
        micros=np.append(amount, ints(credits["credited_micros"])),
        is_own=np.arange(len(bought) + len(credits)) < len(bought),
    )


def _of(people: Bools, rows: _Rows) -> _Rows:
    """The rows of these [codes] people; of whoever has no acts there are none."""
    kept = np.flatnonzero(people[rows.person] & (rows.person >= 0))
    return rows._replace(**{name: column[kept] for name, column in rows._asdict().items()})


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
