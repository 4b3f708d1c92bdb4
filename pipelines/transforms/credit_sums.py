"""Sums of a shard's credit: by pinner, cascade and dimension of the pin, by customer and by day.

Amounts are arrays of links by models, so that rows are put in order once for all models; texts
are taken only for the rows of the sums.
"""

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Bools, Ints, codes, ints, take
from pipelines.kernels.credit import Credits
from pipelines.kernels.dues import Dues, units_of
from pipelines.kernels.groups import group_by
from pipelines.transforms.daily import DIMENSIONS, sum_by_key
from pipelines.transforms.order_links import Shard
from pipelines.transforms.wanted import Wanted
from schemas.batches import CREDIT_SUMS, DAILY_COUNTS, DAILY_PARTS, SALES_PARTS, SALES_SUMS
from schemas.models import DEFAULT_MODEL, MODELS


def sales(orders: pa.Table, is_credited: Bools, day: pa.Array) -> pa.Table:
    """SALES_PARTS: all lines of an order are credited, or none is."""
    net = ints(orders["net_micros"])
    table = pa.table(
        {
            "site_id": orders["site_id"],
            "day": day,
            "orders": np.ones(len(orders), dtype=np.int64),
            "credited_orders": is_credited.astype(np.int64),
            "gross_micros": orders["gross_micros"],
            "refunded_micros": orders["refunded_micros"],
            "net_micros": net,
            "credited_micros": np.where(is_credited, net, 0),
            "unattributed_micros": np.where(is_credited, 0, net),
        }
    )
    return sum_by_key(table, SALES_PARTS, SALES_SUMS)


def influence(shard: Shard, net: Ints) -> pa.Table:
    """Net value of each order once for every pinner on its way but the buyer; overlaps."""
    pinner, buyer = codes([shard.pins["pinner_id"]], [shard.orders["person_id"]])
    pinner, order = pinner[shard.links.pin], shard.links.order
    others = np.where(pinner == buyer[order], -1, pinner)
    once = group_by(order, others).one
    edges = group_by(shard.buyer[order[once]], pinner[once])
    link = once[edges.one]
    return pa.table(
        {
            "site_id": take(shard.orders["site_id"], order[link]),
            "pinner_id": take(shard.pins["pinner_id"], shard.links.pin[link]),
            "person_id": take(shard.orders["person_id"], order[link]),
            "influenced_micros": edges.sums(net[order[once]]),
        }
    )


def dues_to_pinners(shard: Shard, dues: Dues, models: tuple[str, ...]) -> pa.Table:
    """What each order owes to each pinner under the default model."""
    default = models.index(DEFAULT_MODEL)
    pinner = shard.key("pinner_id")
    owed = dues.credits[:, default] > 0
    pairs = group_by(shard.links.order, np.where(owed, pinner[shard.links.pin], -1))
    return pa.table(
        {
            "order": shard.links.order[pairs.one],
            "pinner_id": take(shard.pins["pinner_id"], shard.links.pin[pairs.one]),
            "credit_micros": pairs.sums(dues.net[:, default]),
        }
    )


def credit_by_customer(shard: Shard, dues: Dues, wanted: Wanted) -> pa.Table:
    """Credit by customer to each key of each dimension; a cascade only under the default."""
    parts = [CREDIT_SUMS.empty_table()]
    links = shard.links
    dimensions = {"pinner": "pinner_id", "cascade": "root_pin_id", "site": "site_id", **DIMENSIONS}
    for dimension, column in wanted.keys("credit_sums", dimensions).items():
        models = (DEFAULT_MODEL,) if dimension == "cascade" else wanted.models
        key = shard.key(column)
        sums = group_by(shard.buyer[links.order], key[links.pin])
        owed, net = sums.sums(dues.credits) > 0, sums.sums(dues.net)
        of = [wanted.models.index(model) for model in models]
        kept = np.flatnonzero(owed[:, of].any(axis=1))
        link = sums.one[kept]
        by_model = {
            model: pa.array(net[kept, place], mask=~owed[kept, place])
            for model, place in zip(models, of, strict=True)
        }
        table = pa.table(
            {
                "site_id": take(shard.orders["site_id"], links.order[link]),
                "dimension": pa.array([dimension] * len(kept), pa.string()),
                "key": take(shard.pins[column], links.pin[link]),
                "person_id": take(shard.orders["person_id"], links.order[link]),
                **dict.fromkeys(MODELS, pa.nulls(len(kept), pa.int64())),
                **by_model,
            }
        )
        parts.append(table)
    return pa.concat_tables(parts)


def daily_credit(shard: Shard, credits: Credits, dues: Dues, wanted: Wanted) -> pa.Table:
    """DAILY_PARTS of credit; orders and units once for each key, however many pins it has."""
    parts = [DAILY_PARTS.empty_table()]
    links, models = shard.links, wanted.models
    (day,) = codes([shard.orders["site_id"], shard.day])
    for dimension, column in wanted.keys("daily_parts", DIMENSIONS).items():
        key = shard.key(column)
        key = key[links.pin]
        pairs = group_by(links.order, key)
        order = links.order[pairs.one]
        units = units_of(
            credits, pairs.code, order, shard.line_order, ints(shard.lines["quantity"]), len(models)
        )
        days = group_by(day[order], key[pairs.one])
        orders = days.sums((pairs.sums(dues.credits) > 0).astype(np.int64))
        row, model = np.nonzero(orders)
        link = pairs.one[days.one[row]]
        counts = dict.fromkeys(DAILY_COUNTS, np.zeros(len(row), dtype=np.int64))
        counts |= {
            name: total[row, model]
            for name, total in {
                "orders": orders,
                "units": days.sums(units),
                "credited_micros": days.sums(pairs.sums(dues.net)),
                "direct_micros": days.sums(pairs.sums(dues.direct)),
                "refunded_micros": days.sums(pairs.sums(dues.refunded)),
            }.items()
        }
        parts.append(
            pa.table(
                {
                    "site_id": take(shard.orders["site_id"], links.order[link]),
                    "dimension": pa.array([dimension] * len(row), pa.string()),
                    "key": take(shard.pins[column], links.pin[link]),
                    "day": take(shard.day, links.order[link]),
                    "model": take(pa.array(models, pa.string()), model),
                    **counts,
                }
            )
        )
    return pa.concat_tables(parts)
