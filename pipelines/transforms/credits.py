"""Orders credited to pins: paths, weights, the one split of each order line, and its sums.

Texts become integer codes once for the shard, and all models share one order of rows: texts are
taken again only for the rows of the tables that somebody wants.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import (
    Bools,
    Floats,
    Ints,
    Tables,
    bools,
    codes,
    expand,
    ints,
    take,
)
from pipelines.kernels.credit import Credits, Paths, build_paths, credit_lines, weigh_touches
from pipelines.kernels.dues import Dues, dues_of_links, units_of
from pipelines.kernels.groups import group_by
from pipelines.transforms.acts import acts_of_orders
from pipelines.transforms.club import buyer_credits, buyer_sales
from pipelines.transforms.daily import DIMENSIONS, days_of, sum_by_key
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.batches import CREDIT_SUMS, DAILY_COUNTS, DAILY_PARTS, SALES_PARTS, SALES_SUMS
from schemas.errors import AuditError
from schemas.models import DEFAULT_MODEL, MODELS
from schemas.settings import Site


class Links(NamedTuple):
    """Every pin on every touch of every order, in the order in which money is split."""

    start: Ints  # [orders + 1] links of order i are start[i]:start[i + 1]
    order: Ints  # [links]
    pair: Ints  # [links] row in the paths
    pin: Ints  # [links] row in the touches' flattened chains
    distance: Ints  # [links]
    share: Floats  # [links] layer 2, sums to 1 over each pair


class Shard(NamedTuple):
    """The orders of some people, and the pins on their way."""

    orders: pa.Table
    buyer: Ints  # [orders] code of site and person, -1 for an order that takes no credit
    day: Any  # [orders] text
    lines: pa.Table
    line_order: Ints  # [lines]
    touches: pa.Table
    pins: pa.Table  # [chain pins]
    paths: Paths
    links: Links


def credit_shard(tables: Tables, sites: Mapping[str, Site], wanted: Wanted = EVERYTHING) -> Tables:
    """Credits each order line of a shard's people to the pins on its way, under every model.

    Takes touches and orders of whole people.
    """
    shard = _shard(tables, sites)
    orders, lines, links = shard.orders, shard.lines, shard.links
    has_path = np.diff(links.start) > 0

    @functools.cache
    def credits() -> Credits:
        weight = _weights(shard, sites, wanted.models)
        net, gross = ints(lines["net_micros"]), ints(lines["gross_micros"])
        found = credit_lines(weight, links.start, shard.line_order, net, gross)
        _check_conserved(shard, found, wanted.models)
        return found

    @functools.cache
    def dues() -> Dues:
        return dues_of_links(
            credits(), _is_same_item(shard, credits()), len(links.order), len(wanted.models)
        )

    order_rows = functools.cache(lambda: _order_rows(orders, lines, shard.line_order))
    owed = functools.cache(lambda: _pinners_dues(shard, dues(), wanted.models))
    return wanted.made(
        orders=order_rows,
        order_lines=lambda: _line_rows(shard),
        order_credits=lambda: _credit_rows(shard, credits(), wanted.models),
        acts=lambda: acts_of_orders(order_rows(), owed()),
        sales_parts=lambda: _sales(order_rows(), has_path, shard.day),
        influence=lambda: _influence(shard, ints(order_rows()["net_micros"])),
        credit_sums=lambda: _credit_sums(shard, dues(), wanted),
        buyer_sales=lambda: buyer_sales(order_rows()),
        buyer_credits=lambda: buyer_credits(orders, owed()),
        daily_parts=lambda: _daily(shard, credits(), dues(), wanted),
    )


def _shard(tables: Tables, sites: Mapping[str, Site]) -> Shard:
    orders, touches = tables["orders_to_credit"], tables["chained_touches"]
    person, buyer = codes(*([t["site_id"], t["person_id"]] for t in (touches, orders)))
    buyer = np.where(bools(orders["is_creditable"]), buyer, -1)
    by = pa.table({"person": person, "at": touches["at"], "touch_id": touches["touch_id"]})
    row = pc.sort_indices(by, sort_keys=[(name, "ascending") for name in by.column_names])
    touches, person = touches.take(row), person[row]
    window = np.array([sites[site].window_ms for site in orders["site_id"].to_pylist()], np.int64)
    paths = build_paths(person, ints(touches["at"]), buyer, ints(orders["at"]), window)
    lists = orders["lines"].combine_chunks()
    lines = pa.Table.from_struct_array(pc.list_flatten(lists))
    net = ints(lines["gross_micros"]) - ints(lines["refunded_micros"])
    return Shard(
        orders,
        buyer,
        days_of(orders, sites),
        lines.append_column("net_micros", pa.array(net)),
        ints(pc.list_parent_indices(lists)),
        touches,
        _chain_pins(touches),
        paths,
        _links(paths, touches),
    )


def _chain_pins(touches: pa.Table) -> pa.Table:
    """[chain pins] the touches' chains laid end to end; a chain ends at its root."""
    columns = {
        name.removesuffix("s"): pc.list_flatten(touches[name].combine_chunks())
        for name in touches.column_names
        if pa.types.is_list(touches.schema.field(name).type)
    }
    length = ints(pc.list_value_length(touches["pin_ids"]))
    root = take(columns["pin_id"], np.repeat(np.cumsum(length) - 1, length))
    return pa.table({**columns, "root_pin_id": root})


def _links(paths: Paths, touches: pa.Table) -> Links:
    length = ints(pc.list_value_length(touches["pin_ids"]))
    pair, distance = expand(length[paths.touch])
    pin = (np.cumsum(length) - length)[paths.touch][pair] + distance
    pair_start = np.concatenate(([0], np.cumsum(length[paths.touch])))
    share = np.asarray(
        pc.list_flatten(touches["shares"].combine_chunks()).to_numpy(zero_copy_only=False)
    )
    return Links(pair_start[paths.start], paths.order[pair], pair, pin, distance, share[pin])


def _weights(shard: Shard, sites: Mapping[str, Site], models: tuple[str, ...]) -> Floats:
    """[models, links] both layers together."""
    paths, links, orders, touches = shard.paths, shard.links, shard.orders, shard.touches
    age = ints(orders["at"])[paths.order] - ints(touches["at"])[paths.touch]
    half_life = np.array([sites[site].half_life_days for site in orders["site_id"].to_pylist()])
    half_life_ms = (half_life * 86_400_000.0)[paths.order]
    (pin,) = codes([touches["pin_id"]])
    weights = np.empty((len(models), len(links.order)))
    for weight, model in zip(weights, models, strict=True):
        of_touch = weigh_touches(model, paths, age, pin[paths.touch], half_life_ms)
        weight[:] = of_touch[links.pair] * links.share
    return weights


def _check_conserved(shard: Shard, credits: Credits, models: tuple[str, ...]) -> None:
    """In every run: of each credited line all of its net is credited, and of others nothing.

    Raises:
      AuditError: money was lost or made up.
    """
    lines, is_credited = shard.lines, (np.diff(shard.links.start) > 0)[shard.line_order]
    total = np.zeros(len(models) * len(lines), dtype=np.int64)
    np.add.at(total, credits.model * len(lines) + credits.line, credits.net)
    wrong = np.flatnonzero(total != np.tile(ints(lines["net_micros"]) * is_credited, len(models)))
    if len(wrong):
        model, row = divmod(int(wrong[0]), len(lines))
        line = _line_rows(shard).slice(row, 1).select(["order_id", "line_id", "net_micros"])
        raise AuditError(
            f"{models[model]} credits {total[wrong[0]]} micros of {line.to_pylist()[0]}, and"
            f" {len(wrong)} lines wrongly"
        )


def _is_same_item(shard: Shard, credits: Credits) -> Bools:
    """[credits] whether the product pinned is the product bought."""
    pinned, bought = codes([shard.pins["item_id"]], [shard.lines["item_id"]])
    pinned = pinned[shard.links.pin][credits.link]
    return (pinned >= 0) & (pinned == bought[credits.line])


def _credit_rows(shard: Shard, credits: Credits, models: tuple[str, ...]) -> pa.Table:
    order, pin = shard.line_order[credits.line], shard.links.pin[credits.link]
    touch = shard.paths.touch[shard.links.pair[credits.link]]
    pinner, buyer = codes([shard.pins["pinner_id"]], [shard.orders["person_id"]])
    return pa.table(
        {
            "site_id": take(shard.orders["site_id"], order),
            "order_id": take(shard.orders["order_id"], order),
            "line_id": take(shard.lines["line_id"], credits.line),
            "model": take(pa.array(models, pa.string()), credits.model),
            "place": credits.link - shard.links.start[order],
            "touch_id": take(shard.touches["touch_id"], touch),
            "pin_id": take(shard.pins["pin_id"], pin),
            "pinner_id": take(shard.pins["pinner_id"], pin),
            "currency": take(shard.orders["currency"], order),
            "distance": shard.links.distance[credits.link],
            "credit_micros": credits.net,
            "refunded_micros": credits.gross - credits.net,
            "is_self": (pinner[pin] >= 0) & (pinner[pin] == buyer[order]),
            "is_same_item": _is_same_item(shard, credits),
            "touched_at": take(shard.touches["at"], touch),
        }
    )


def _line_rows(shard: Shard) -> pa.Table:
    is_credited = (np.diff(shard.links.start) > 0)[shard.line_order]
    rows = shard.lines.append_column("is_credited", pa.array(is_credited))
    for name in ("site_id", "order_id"):
        rows = rows.append_column(name, take(shard.orders[name], shard.line_order))
    return rows


def _order_rows(orders: pa.Table, lines: pa.Table, line_order: Ints) -> pa.Table:
    rows = orders.rename_columns({"at": "ordered_at"})
    for name in ("gross_micros", "refunded_micros", "net_micros"):
        total = np.zeros(len(orders), dtype=np.int64)
        np.add.at(total, line_order, ints(lines[name]))
        rows = rows.append_column(name, pa.array(total))
    return rows


def _sales(orders: pa.Table, is_credited: Bools, day: pa.Array) -> pa.Table:
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
    return sum_by_key(table, SALES_PARTS, ("site_id", "day"), SALES_SUMS)


def _influence(shard: Shard, net: Ints) -> pa.Table:
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


def _pinners_dues(shard: Shard, dues: Dues, models: tuple[str, ...]) -> pa.Table:
    """What each order owes to each pinner under the default model."""
    default = models.index(DEFAULT_MODEL)
    (pinner,) = codes([shard.pins["pinner_id"]])
    owed = dues.credits[:, default] > 0
    pairs = group_by(shard.links.order, np.where(owed, pinner[shard.links.pin], -1))
    return pa.table(
        {
            "order": shard.links.order[pairs.one],
            "pinner_id": take(shard.pins["pinner_id"], shard.links.pin[pairs.one]),
            "credit_micros": pairs.sums(dues.net[:, default]),
        }
    )


def _credit_sums(shard: Shard, dues: Dues, wanted: Wanted) -> pa.Table:
    """Credit by customer to each key of each dimension; a cascade only under the default."""
    parts = [CREDIT_SUMS.empty_table()]
    links = shard.links
    dimensions = {"pinner": "pinner_id", "cascade": "root_pin_id", **DIMENSIONS}
    for dimension, column in wanted.keys("credit_sums", dimensions).items():
        models = (DEFAULT_MODEL,) if dimension == "cascade" else wanted.models
        (key,) = codes([shard.pins[column]])
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


def _daily(shard: Shard, credits: Credits, dues: Dues, wanted: Wanted) -> pa.Table:
    """DAILY_PARTS of credit; orders and units once for each key, however many pins it has."""
    parts = [DAILY_PARTS.empty_table()]
    links, models = shard.links, wanted.models
    (day,) = codes([shard.orders["site_id"], shard.day])
    for dimension, column in wanted.keys("daily_parts", DIMENSIONS).items():
        (key,) = codes([shard.pins[column]])
        key = key[links.pin]
        pairs = group_by(links.order, key)
        order = links.order[pairs.one]
        pair = pairs.of_rows(len(key))
        units = units_of(
            credits, pair, order, shard.line_order, ints(shard.lines["quantity"]), len(models)
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
