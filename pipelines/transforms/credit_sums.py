"""Sums of a shard's credit: by pinner, cascade and dimension of the pin, by customer and by day.

Amounts are arrays of links by models, so that rows are put in order once for all models; texts
are taken only for the rows of the sums.
"""

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Bools, Ints, encoded, ints, take
from pipelines.kernels.credit import Credits
from pipelines.kernels.dues import Dues, units_of
from pipelines.kernels.groups import group_by
from pipelines.transforms.daily import DIMENSIONS, sum_by_key
from pipelines.transforms.order_links import Shard
from pipelines.transforms.wanted import Wanted
from schemas.batches import SALES_PARTS, SALES_SUMS
from schemas.models import DEFAULT_MODEL

# What is told of the default model alone, and the pins' column with its key.
_TOTALS = {"pinner": "pinner_id", "cascade": "root_pin_id"}


def sales(orders: pa.Table, is_credited: Bools, shard: Shard) -> pa.Table:
    """SALES_PARTS: all lines of an order are credited, or none is."""
    net = ints(orders["net_micros"])
    table = pa.table(
        {
            "site_id": orders["site_id"],
            "day": shard.day,
            "orders": np.ones(len(orders), dtype=np.int64),
            "credited_orders": is_credited.astype(np.int64),
            "gross_micros": orders["gross_micros"],
            "refunded_micros": orders["refunded_micros"],
            "net_micros": net,
            "credited_micros": np.where(is_credited, net, 0),
            "unattributed_micros": np.where(is_credited, 0, net),
        }
    )
    return sum_by_key(table.filter(pa.array(shard.asked.orders)), SALES_PARTS, SALES_SUMS)


def influence(shard: Shard, net: Ints) -> pa.Table:
    """Net value of each order once for every pinner on its way but the buyer; overlaps."""
    order, pin = shard.links.order[shard.ties], shard.links.pin[shard.ties]
    pinner = shard.key("pinner_id")[pin]
    others = np.where(shard.is_own(order, pin), -1, pinner)
    once = group_by(order, others).one
    edges = group_by(shard.buyer[order[once]], pinner[once])
    link = once[edges.one]
    return pa.table(
        {
            "site_id": take(shard.orders["site_id"], order[link]),
            "pinner_id": take(shard.pins["pinner_id"], pin[link]),
            "person_id": take(shard.orders["person_id"], order[link]),
            "influenced_micros": edges.sums(net[order[once]]),
        }
    )


def dues_to_pinners(shard: Shard, dues: Dues, models: tuple[str, ...]) -> pa.Table:
    """What each order owes to each pinner under the default model."""
    default = models.index(DEFAULT_MODEL)
    order, pin = shard.links.order[shard.ties], shard.links.pin[shard.ties]
    owed = dues.credits[shard.ties, default] > 0
    pairs = group_by(order, np.where(owed, shard.key("pinner_id")[pin], -1))
    return pa.table(
        {
            "order": order[pairs.one],
            "pinner_id": take(shard.pins["pinner_id"], pin[pairs.one]),
            "credit_micros": pairs.sums(dues.net[shard.ties, default]),
        }
    )


def credit_by_customer(shard: Shard, dues: Dues, wanted: Wanted) -> pa.Table:
    """Credit by customer to each key of each dimension."""
    parts = []
    site, buyers = encoded(shard.orders["site_id"]), shard.links_of(shard.asked.buyers)
    dimensions = {"pinner": "pinner_id", "site": "site_id", **DIMENSIONS}
    for dimension, column in wanted.keys("credit_sums", dimensions).items():
        rows = shard.ties if dimension == "pinner" else buyers
        order, pin = shard.links.order[rows], shard.links.pin[rows]
        sums = group_by(shard.buyer[order], shard.key(column)[pin])
        owed, net = (sums.sums(dues.credits[rows]) > 0).T, sums.sums(dues.net[rows]).T
        kept = np.flatnonzero(np.any(owed, axis=0))
        link = sums.one[kept]
        by_model = {
            model: pa.array(amount[kept], mask=~is_owed[kept])
            for model, amount, is_owed in zip(wanted.models, net, owed, strict=True)
        }
        table = pa.table(
            {
                "site_id": take(site, order[link]),
                "dimension": pa.repeat(dimension, len(kept)),
                "key": take(shard.coded(column), pin[link]),
                **by_model,
            }
        )
        parts.append(table)
    return pa.concat_tables(parts)


def credit_totals(shard: Shard, dues: Dues, wanted: Wanted) -> pa.Table:
    """CREDIT_TOTALS: to each pinner and cascade, under the default model."""
    parts = []
    site, default = encoded(shard.orders["site_id"]), wanted.models.index(DEFAULT_MODEL)
    for dimension, column in wanted.keys("credit_totals", _TOTALS).items():
        rows = shard.ties if dimension == "pinner" else shard.links_of(shard.asked.buyers)
        order, pin = shard.links.order[rows], shard.links.pin[rows]
        sums = group_by(ints(site.indices)[order], shard.key(column)[pin])
        total = sums.sums(dues.net[rows, default])
        link, total = sums.one[total != 0], total[total != 0]
        parts.append(
            pa.table(
                {
                    "site_id": take(site, order[link]),
                    "dimension": pa.repeat(dimension, len(link)),
                    "key": take(shard.coded(column), pin[link]),
                    "credited_micros": total,
                }
            )
        )
    return pa.concat_tables(parts)


def daily_dues(shard: Shard, credits: Credits, dues: Dues, wanted: Wanted) -> pa.Table:
    """DUE_PARTS; orders and units once for each key, however many pins it has."""
    parts = []
    models, site = wanted.models, encoded(shard.orders["site_id"])
    rows = shard.links_of(shard.asked.orders)
    order, pin = shard.links.order[rows], shard.links.pin[rows]
    quantity, dues = ints(shard.lines["quantity"]), Dues(*(amounts[rows] for amounts in dues))
    pair = np.full(len(shard.links.order), -1, dtype=np.int64)
    for dimension, column in wanted.keys("due_parts", DIMENSIONS).items():
        pairs = group_by(order, shard.key(column)[pin])
        pair[rows] = pairs.code
        units = units_of(credits, pair, order[pairs.one], shard.line_order, quantity, len(models))
        model, row = np.nonzero(pairs.sums(dues.credits).T > 0)
        link = pairs.one[row]
        sums = {
            "units": units,
            "credited_micros": pairs.sums(dues.net),
            "direct_micros": pairs.sums(dues.direct),
            "refunded_micros": pairs.sums(dues.refunded),
        }
        parts.append(
            pa.table(
                {
                    "site_id": take(site, order[link]),
                    "dimension": pa.repeat(dimension, len(row)),
                    "key": take(shard.coded(column), pin[link]),
                    "day": take(shard.day, order[link]),
                    "model": take(pa.array(models, pa.string()), model),
                    "orders": np.ones_like(row),
                    **{name: total[row, model] for name, total in sums.items()},
                }
            )
        )
    return pa.concat_tables(parts)
