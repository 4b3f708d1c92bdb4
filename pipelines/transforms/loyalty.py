"""Stage after the summaries: what can be said of a site's pinners and people only together."""

import functools
import itertools
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.calendar import month_texts
from pipelines.kernels.columns import Tables, codes, expand, group_starts, ints, sort_by
from pipelines.kernels.retention import fit_hazard, half_life, wilson, yearly_loss
from pipelines.kernels.uncertainty import MIN_EFFECTIVE
from pipelines.transforms.club import concentration, curves, fan_club, gather_club
from pipelines.transforms.daily import sum_by_key
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.batches import (
    LIFETIME_PARTS,
    RETENTION_PARTS,
    RETENTION_SUMS,
    TIE_COUNTS,
    TIE_PARTS,
)
from schemas.results import result_schema
from schemas.settings import Site


def measure_loyalty(
    tables: Tables, sites: Mapping[str, Site], wanted: Wanted = EVERYTHING
) -> Tables:
    """Ranks pinners, and says how many came back and are lost. Takes all rows of whole sites."""
    club = functools.cache(functools.partial(_clubs, tables, wanted))
    return wanted.made(
        fan_clubs=lambda: club()[0],
        concentrations=lambda: club()[1],
        relationship_depths=lambda: sum_by_key(tables["tie_parts"], TIE_PARTS, TIE_COUNTS),
        retention_cohorts=lambda: _of_sites(
            tables["retention_parts"], "retention_cohorts", cohorts
        ),
        retention_fits=lambda: _of_sites(
            tables["lifetime_parts"],
            "retention_fits",
            lambda parts: lost(parts, sites[parts["site_id"][0].as_py()].lapse_months),
        ),
    )


def _clubs(tables: Tables, wanted: Wanted) -> tuple[pa.Table, pa.Table]:
    """What `fan_clubs` and `concentrations` hold: both rest on the same replicates."""
    names = ("known_pinners", "pinner_credits", "buyer_sales", "buyer_credits")
    clubs = [result_schema("fan_clubs").empty_table()]
    unequal = [result_schema("concentrations").empty_table()]
    for site_id in _sites(tables["known_pinners"]):
        pinners, credits, sales, pairs = (_of_site(tables[name], site_id) for name in names)
        club = gather_club(pinners, credits, sales, pairs, wanted.models)
        for curve in curves(club):
            clubs.append(fan_club(site_id, club, curve).cast(clubs[0].schema))
            unequal.append(concentration(site_id, curve).cast(unequal[0].schema))
    return pa.concat_tables(clubs), pa.concat_tables(unequal)


def _sites(table: pa.Table) -> list[str]:
    return sorted(pc.unique(table["site_id"]).to_pylist())


def _of_site(table: pa.Table, site_id: str) -> pa.Table:
    is_own = pc.equal(table["site_id"], site_id)
    # Most installations have one site: no copy of all that it has.
    return table if pc.all(is_own, min_count=0).as_py() else table.filter(is_own)


def _of_sites(table: pa.Table, result: str, tell: Callable[[pa.Table], pa.Table]) -> pa.Table:
    schema = result_schema(result)
    told = [tell(_of_site(table, site_id)).select(schema.names) for site_id in _sites(table)]
    return pa.concat_tables([schema.empty_table(), *(each.cast(schema) for each in told)])


def cohorts(parts: pa.Table) -> pa.Table:
    """Every month of every cohort up to the newest act, those in which nobody came included.

    Takes RETENTION_PARTS of one site.
    """
    keys = ["population", "cohort_month", "month"]
    summed = sort_by(sum_by_key(parts, RETENTION_PARTS, RETENTION_SUMS), *keys)
    began_in, month = ints(summed["cohort_month"]), ints(summed["month"])
    newest = int(month.max())
    # Everybody does something in the month of entry: a cohort's first row.
    first = np.flatnonzero(began_in == month)
    grid = newest - began_in[first] + 1
    cohort, since = expand(grid)
    of_cohort = np.cumsum(began_in == month) - 1
    place = (np.cumsum(grid) - grid)[of_cohort] + month - began_in
    columns = {}
    for name in RETENTION_SUMS:
        columns[name] = np.zeros(len(cohort), dtype=np.int64)
        columns[name][place] = ints(summed[name])
    people = columns["active_people"][np.cumsum(grid) - grid][cohort]
    is_enough = people >= MIN_EFFECTIVE
    for name, counted in (("active", "active_people"), ("buyers", "buyers")):
        low, high = wilson(columns[counted], people)
        columns[f"{name}_low"] = pa.array(low, mask=~is_enough)
        columns[f"{name}_high"] = pa.array(high, mask=~is_enough)
    began = summed.select(["site_id", "population"]).take(pa.array(first[cohort]))
    return pa.table(
        {
            "site_id": began["site_id"],
            "population": began["population"],
            "cohort_month": month_texts(began_in[first][cohort]),
            "months_since": since,
            "month": month_texts(began_in[first][cohort] + since),
            "people": people,
            **columns,
            "is_over": began_in[first][cohort] + since < newest,
        }
    )


def lost(parts: pa.Table, lapse_months: int) -> pa.Table:
    """How fast people of each population are lost.

    Takes LIFETIME_PARTS of one site.
    """
    keys = ["population", "activity", "since"]
    parts = sort_by(sum_by_key(parts, LIFETIME_PARTS, ("people",)), *keys)
    newest = int(ints(parts["last_month"]).max())
    (group,) = codes([parts[key] for key in keys])
    starts = np.append(group_starts(group), len(parts)).tolist()
    rows = []
    for low, high in itertools.pairwise(starts):
        some = parts.slice(low, high - low)
        first, last, people = (ints(some[n]) for n in ("first_month", "last_month", "people"))
        fit = fit_hazard(first, last, people, newest, lapse_months)
        rows.append(
            {
                **some.select(["site_id", *keys]).slice(0, 1).to_pylist()[0],
                "lapse_months": lapse_months,
                "people": fit.people,
                "lost": fit.lost,
                "person_months": fit.person_months,
                "hazard": fit.hazard,
                "hazard_low": fit.low,
                "hazard_high": fit.high,
                "half_life_months": half_life(fit.hazard),
                "half_life_low": half_life(fit.high),
                "half_life_high": half_life(fit.low),
                "lost_a_year": yearly_loss(fit.hazard),
                "lost_a_year_low": yearly_loss(fit.low),
                "lost_a_year_high": yearly_loss(fit.high),
            }
        )
    schema = result_schema("retention_fits")
    # NaN says that there is too little to tell: null.
    return pa.table(
        {
            field.name: pa.array([row[field.name] for row in rows], field.type, from_pandas=True)
            for field in schema
        }
    )
