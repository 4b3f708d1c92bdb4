"""The fan club: what the top pinners buy and are credited for; how deep their ties are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Ints, flat, ints, known, places, rounded, sort_by, take
from pipelines.kernels.concentration import (
    PERCENTS,
    Bounds,
    Rows,
    bounds,
    by_or_through,
    gini,
    ranks,
    top_counts,
    top_sums,
)
from pipelines.kernels.hashing import Hashes, hash_rows
from pipelines.transforms.daily import sum_by_key
from pipelines.transforms.lanes import on_threads
from pipelines.transforms.sphere_tables import Pairs
from schemas.batches import BUYER_CREDITS, BUYER_SALES, TIE_COUNTS, TIE_PARTS
from schemas.models import DEFAULT_MODEL

# Pinners by how many people they reached, from so many on.
REACH_CLASSES = np.array([1, 2, 5, 10, 25, 100, 1_000])
# A tie is at least so deep; a deeper one counts in each row that it fulfils.
VISITS = {"reached": 0, "visits_2": 2, "visits_5": 5, "visits_10": 10}


def buyer_sales(orders: pa.Table) -> pa.Table:
    """BUYER_SALES of whole buyers' orders."""
    unknown = pc.is_null(orders["person_id"])
    order_id = pc.if_else(unknown, orders["order_id"], pa.scalar(None, pa.string()))
    place = orders.column_names.index("order_id")
    table = orders.set_column(place, "order_id", order_id)
    return sum_by_key(table, BUYER_SALES, ("net_micros",))


def buyer_credits(orders: pa.Table, dues: pa.Table) -> pa.Table:
    """BUYER_CREDITS of whole buyers' orders, and of what each owes to each pinner.

    Args:
      orders: whose `person_id` is the buyer.
      dues: `order`, the row of the order, `pinner_id` and `credit_micros`; default model.
    """
    of_order = orders.take(dues["order"])
    rows = pa.table(
        {
            "site_id": of_order["site_id"],
            "pinner_id": dues["pinner_id"],
            "person_id": of_order["person_id"],
            "credited_micros": dues["credit_micros"],
        }
    ).filter(pc.is_valid(dues["pinner_id"]))
    return sum_by_key(rows, BUYER_CREDITS, ("credited_micros",))


def known_pinners(own_pins: pa.Table) -> pa.Table:
    """KNOWN_PINNERS, each once."""
    return own_pins.group_by(["site_id", "pinner_id"], use_threads=False).aggregate([])


def pinner_credits(model_credits: pa.Table) -> pa.Table:
    """PINNER_CREDITS of the credit by dimension and key."""
    rows = model_credits.filter(pc.equal(model_credits["dimension"], "pinner"))
    return rows.select(["site_id", "key", "model", "credited_micros"]).rename_columns(
        {"key": "pinner_id"}
    )


def tie_parts(pairs: Pairs) -> pa.Table:
    """TIE_PARTS of all pairs of whole pinners."""
    count = len(pairs.pinners)
    reach = np.bincount(pairs.pinner, minlength=count)
    people_from = REACH_CLASSES[np.searchsorted(REACH_CLASSES, reach, side="right") - 1]
    parts = [TIE_PARTS.empty_table()]
    for depth, sums in _ties(pairs, count):
        some = np.flatnonzero(sums["people"])
        parts.append(
            pa.table(
                {
                    "site_id": take(pairs.pinners["site_id"], some),
                    "people_from": people_from[some],
                    "depth": pa.repeat(depth, len(some)),
                    "pinners": np.ones(len(some), dtype=np.int64),
                    **{name: total[some] for name, total in sums.items()},
                }
            ).select(TIE_PARTS.names)
        )
    return sum_by_key(pa.concat_tables(parts), TIE_PARTS, TIE_COUNTS)


def _ties(pairs: Pairs, count: int) -> Iterator[tuple[str, dict[str, Ints]]]:
    """Each depth, and of ties that are at least so deep the sums by pinner."""

    def sums(code: Ints, codes: int, rows: Any = ...) -> dict[str, Ints]:
        totals = {"people": np.bincount(code, minlength=codes)}
        for name in ("visits", "pins", "influenced_micros"):
            totals[name] = np.zeros(codes, dtype=np.int64)
            np.add.at(totals[name], code, getattr(pairs, name)[rows])
        return totals

    # By the most visits that a tie has, and then up from the deepest: a row is added once.
    level = sum(pairs.visits >= least for least in list(VISITS.values())[1:])
    by_level = sums(pairs.pinner * len(VISITS) + level, count * len(VISITS))
    deeper = {
        name: np.cumsum(total.reshape(count, len(VISITS))[:, ::-1], axis=1)[:, ::-1]
        for name, total in by_level.items()
    }
    for place, depth in enumerate(VISITS):
        yield depth, {name: total[:, place] for name, total in deeper.items()}
    for depth, is_in in (
        ("repinned", np.flatnonzero(pairs.pins)),
        ("bought", np.flatnonzero(pairs.influenced_micros > 0)),
    ):
        yield depth, sums(pairs.pinner[is_in], count, is_in)


class Club(NamedTuple):
    """One site's pinners in the order of their ids, and who brought them what."""

    credited: Mapping[str, Ints]  # model: [pinners] micros
    own: Ints  # [pinners] net micros of their own orders
    credit: Rows  # under the default model
    buying: Rows  # their own orders
    buyer: Ints  # [rows of credit] the buyer as a pinner, -1 where she is none
    unit: Hashes  # [customers]
    sales: Ints  # [customers] net micros


def gather_club(
    pinners: pa.Table, credits: pa.Table, sales: pa.Table, pairs: pa.Table, models: Sequence[str]
) -> Club:
    """Takes all rows of one site."""
    names = flat(sort_by(pinners.select(["pinner_id"]), "pinner_id")["pinner_id"])
    sales = sort_by(sales, "person_id", "order_id")
    by_model = {model: np.zeros(len(names), dtype=np.int64) for model in models}
    credited, pinner = ints(credits["credited_micros"]), places(credits["pinner_id"], names)
    of_model = places(credits["model"], pa.array(models))
    for number, value in enumerate(by_model.values()):
        rows = of_model == number
        value[pinner[rows]] = credited[rows]
    net, of_customer = ints(sales["net_micros"]), places(sales["person_id"], names)
    buying = np.flatnonzero(of_customer >= 0)
    own = np.zeros(len(names), dtype=np.int64)
    own[of_customer[buying]] = net[buying]
    customer = places(pairs["person_id"], sales["person_id"])
    return Club(
        by_model,
        own,
        Rows(places(pairs["pinner_id"], names), customer, ints(pairs["credited_micros"])),
        Rows(of_customer[buying], buying, net[buying]),
        of_customer[customer],
        hash_rows(sales["site_id"], sales["person_id"], sales["order_id"]),
        net,
    )


class Curve(NamedTuple):
    """The top percents of one site's pinners, ranked one way under one model."""

    model: str
    ranked_by: str  # credited, own
    value: Ints  # [pinners] what they are ranked by
    credited: Ints  # [pinners]
    rank: Ints  # [pinners]
    bounds: Bounds | None  # None where no customers were looked at


def curves(club: Club) -> Iterator[Curve]:
    """Every curve; by customer only the default model's and that of own orders."""
    own_rank = ranks(club.own)
    credit_rank = {model: ranks(credited) for model, credited in club.credited.items()}
    rows, ranked = (club.credit, club.buying), (credit_rank[DEFAULT_MODEL], own_rank)
    of_default, of_own = bounds(rows, ranked, club.unit, club.sales, on_threads)
    for model, credited in club.credited.items():
        sure = of_default if model == DEFAULT_MODEL else None
        yield Curve(model, "credited", credited, credited, credit_rank[model], sure)
        yield Curve(model, "own", club.own, credited, own_rank, of_own)


def fan_club(site_id: str, club: Club, curve: Curve) -> pa.Table:
    """What the top 1, 2 ... 100 % of a site's pinners buy and are credited for."""
    size = len(PERCENTS)
    through = pa.nulls(size, pa.int64())
    if curve.model == DEFAULT_MODEL:
        through = pa.array(by_or_through(club.credit, club.own, club.buyer, curve.rank))
    return pa.table(
        {
            **_named(site_id, curve, size),
            "top_percent": PERCENTS,
            "pinners": top_counts(len(club.own)),
            "credited_micros": top_sums(curve.credited, curve.rank),
            "own_micros": top_sums(club.own, curve.rank),
            "by_or_through_micros": through,
            "sales_micros": np.full(size, club.sales.sum()),
            **_of_bounds(curve.bounds, size),
        }
    )


def _named(site_id: str, curve: Curve, size: int) -> dict[str, Any]:
    names = {"site_id": site_id, "model": curve.model, "ranked_by": curve.ranked_by}
    return {name: pa.array([value] * size, pa.string()) for name, value in names.items()}


def _of_bounds(sure: Bounds | None, size: int) -> dict[str, pa.Array]:
    nothing = np.full(size, np.nan)
    if sure is None:
        columns = dict.fromkeys(
            ("ci_low_micros", "ci_high_micros", "n_effective", "share_low", "share_high"), nothing
        )
    else:
        columns = {
            "ci_low_micros": sure.money.low,
            "ci_high_micros": sure.money.high,
            "n_effective": sure.money.n_effective,
            "share_low": sure.share_low,
            "share_high": sure.share_high,
        }
    return {
        name: rounded(column) if name.endswith("_micros") else known(column)
        for name, column in columns.items()
    }


def concentration(site_id: str, curve: Curve) -> pa.Table:
    """How unequally a site's pinners share what they are ranked by."""
    sure = curve.bounds
    numbers = {
        "gini": float(gini(np.sort(curve.value).astype(np.float64))),
        "gini_low": sure.gini_low if sure else np.nan,
        "gini_high": sure.gini_high if sure else np.nan,
        "n_effective": sure.money.n_effective[-1] if sure else np.nan,
    }
    return pa.table(
        {
            **_named(site_id, curve, 1),
            "pinners": [len(curve.value)],
            "pinners_above_zero": [int((curve.value > 0).sum())],
            "total_micros": [int(curve.value.sum())],
            **{name: known(np.array([number])) for name, number in numbers.items()},
        }
    )
