"""Orders credited to pins: paths, weights, and the one split of each order line."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

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
    sort_by,
    take,
)
from pipelines.kernels.credit import Paths, build_paths, weigh_touches
from pipelines.kernels.money import split_micros
from pipelines.transforms.acts import acts_of_orders
from pipelines.transforms.club import buyer_credits, buyer_sales
from pipelines.transforms.daily import DIMENSIONS, add_up, days_of
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.batches import (
    CREDIT_SUMS,
    DAILY_COUNTS,
    DAILY_PARTS,
    INFLUENCE,
    SALES_PARTS,
    SALES_SUMS,
)
from schemas.errors import AuditError
from schemas.models import DEFAULT_MODEL
from schemas.settings import Site


class Links(NamedTuple):
    """Every pin on every touch of every order, in the order in which money is split."""

    start: Ints  # [orders + 1] links of order i are start[i]:start[i + 1]
    order: Ints  # [links]
    pair: Ints  # [links] row in the paths
    flat: Ints  # [links] row in the touches' flattened chains
    distance: Ints  # [links]
    share: Floats  # [links] layer 2, sums to 1 over each pair


def credit_shard(tables: Tables, sites: Mapping[str, Site], wanted: Wanted = EVERYTHING) -> Tables:
    """Credits each order line of a shard's people to the pins on its way, under every model.

    Takes touches and orders of whole people.
    """
    orders = sort_by(tables["orders_to_credit"], "site_id", "order_id")
    touches = sort_by(tables["order_touches"], "site_id", "person_id", "at", "touch_id")
    lines = _lines(orders)
    line_order = ints(lines["order"])
    touch_person, order_person = codes(
        [touches["site_id"], touches["person_id"]], [orders["site_id"], orders["person_id"]]
    )
    # Codes grow in order of first appearance, so sorted touches have sorted codes.
    order_person = np.where(bools(orders["is_creditable"]), order_person, -1)
    of_site = [sites[site] for site in orders["site_id"].to_pylist()]
    window = np.array([site.window_ms for site in of_site], dtype=np.int64)
    half_life = np.array([site.half_life_days for site in of_site]) * 86_400_000.0
    paths = build_paths(touch_person, ints(touches["at"]), order_person, ints(orders["at"]), window)
    links = _links(paths, touches)
    flat = _flat_chains(touches)
    age = ints(orders["at"])[paths.order] - ints(touches["at"])[paths.touch]
    touched_pin = codes([take(flat["pin_id"], _chain_starts(touches))])[0][paths.touch]
    has_path = np.diff(links.start)[line_order] > 0
    lines = lines.append_column("is_credited", pa.array(has_path))
    day = days_of(orders, sites)
    order_rows = functools.cache(lambda: _order_rows(orders, lines))

    @functools.cache
    def credit() -> pa.Table:
        credited = []
        for model in wanted.models:
            weight = weigh_touches(model, paths, age, touched_pin, half_life[paths.order])
            weight = weight[links.pair] * links.share
            rows = _credits(model, weight, links, lines, orders, touches, paths)
            _check_conserved(model, rows, lines)
            credited.append(rows)
        return _with_pins(pa.concat_tables(credited), flat)

    return wanted.made(
        orders=order_rows,
        order_lines=lambda: lines,
        order_credits=credit,
        acts=lambda: acts_of_orders(order_rows(), credit()),
        sales_parts=lambda: _sales(order_rows(), np.diff(links.start) > 0, day),
        influence=lambda: _influence(links, flat, orders, lines),
        credit_sums=lambda: _credit_sums(credit(), wanted),
        buyer_sales=lambda: buyer_sales(order_rows()),
        buyer_credits=lambda: buyer_credits(credit()),
        daily_parts=lambda: _daily(
            credit().append_column("day", take(day, ints(credit()["order"]))), wanted
        ),
    )


def _lines(orders: pa.Table) -> pa.Table:
    """Order lines of all orders, with the order's row and fields."""
    lists = orders["lines"].combine_chunks()
    order = ints(pc.list_parent_indices(lists))
    flat = pa.Table.from_struct_array(pc.list_flatten(lists))
    for name in ("site_id", "order_id", "currency", "person_id"):
        flat = flat.append_column(name, take(orders[name], order))
    net = ints(flat["gross_micros"]) - ints(flat["refunded_micros"])
    return flat.append_column("net_micros", pa.array(net)).append_column("order", pa.array(order))


def _chain_starts(touches: pa.Table) -> Ints:
    length = ints(pc.list_value_length(touches["pin_ids"]))
    return np.cumsum(length) - length


def _flat_chains(touches: pa.Table) -> pa.Table:
    """[chain pins] the touches' chains laid end to end."""
    columns = {
        name.removesuffix("s"): pc.list_flatten(touches[name].combine_chunks())
        for name in touches.column_names
        if pa.types.is_list(touches.schema.field(name).type)
    }
    return pa.table(columns)


def _links(paths: Paths, touches: pa.Table) -> Links:
    length = ints(pc.list_value_length(touches["pin_ids"]))
    first = _chain_starts(touches)
    pair, distance = expand(length[paths.touch])
    flat = first[paths.touch][pair] + distance
    pair_start = np.concatenate(([0], np.cumsum(length[paths.touch])))
    share = np.asarray(
        pc.list_flatten(touches["shares"].combine_chunks()).to_numpy(zero_copy_only=False)
    )
    return Links(pair_start[paths.start], paths.order[pair], pair, flat, distance, share[flat])


def _credits(
    model: str,
    weight: Floats,
    links: Links,
    lines: pa.Table,
    orders: pa.Table,
    touches: pa.Table,
    paths: Paths,
) -> pa.Table:
    """One model's credit rows: each line's net split over its order's links."""
    size = np.diff(links.start)
    line_order = ints(lines["order"])
    chosen = np.flatnonzero(size[line_order] > 0)
    line, place = expand(size[line_order[chosen]])
    line = chosen[line]
    link = links.start[:-1][line_order[line]] + place
    start = np.concatenate(([0], np.cumsum(size[line_order[chosen]])))
    net = split_micros(ints(lines["net_micros"])[chosen], weight[link], start)
    gross = split_micros(ints(lines["gross_micros"])[chosen], weight[link], start)
    keep = (weight[link] > 0) & ((net != 0) | (gross != 0))
    line, link, place, net, gross = (a[keep] for a in (line, link, place, net, gross))
    touch = paths.touch[links.pair[link]]
    return pa.table(
        {
            "site_id": take(lines["site_id"], line),
            "model": pa.array([model] * len(line), pa.string()),
            "order_id": take(lines["order_id"], line),
            "line_id": take(lines["line_id"], line),
            "place": place,
            "touch_id": take(touches["touch_id"], touch),
            "touched_at": take(touches["at"], touch),
            "distance": links.distance[link],
            "credit_micros": net,
            "refunded_micros": gross - net,
            "currency": take(lines["currency"], line),
            "order": line_order[line],
            "line": line,
            "buyer_id": take(orders["person_id"], line_order[line]),
            "bought_item_id": take(lines["item_id"], line),
            "quantity": take(lines["quantity"], line),
            "flat": links.flat[link],
        }
    )


def _check_conserved(model: str, credit: pa.Table, lines: pa.Table) -> None:
    """In every run: of each credited line all of its net is credited, and of others nothing.

    Raises:
      AuditError: money was lost or made up.
    """
    total = np.zeros(len(lines), dtype=np.int64)
    np.add.at(total, ints(credit["line"]), ints(credit["credit_micros"]))
    wrong = np.flatnonzero(total != ints(lines["net_micros"]) * ints(lines["is_credited"]))
    if len(wrong):
        line = lines.slice(wrong[0], 1).select(["order_id", "line_id", "net_micros"]).to_pylist()
        raise AuditError(
            f"{model} credits {total[wrong[0]]} micros of {line[0]}, and {len(wrong)} lines wrongly"
        )


def _with_pins(credit: pa.Table, flat: pa.Table) -> pa.Table:
    """Credit rows with the pin's own columns, looked up once for all models."""
    row = ints(credit["flat"])
    for name in ("pin_id", "pinner_id", "root_pin_id", *DIMENSIONS.values()):
        credit = credit.append_column(name, take(flat[name], row))
    is_self = pc.fill_null(pc.equal(credit["pinner_id"], credit["buyer_id"]), False)
    same = pc.fill_null(pc.equal(credit["item_id"], credit["bought_item_id"]), False)
    return credit.append_column("is_self", is_self).append_column("is_same_item", same)


def _order_rows(orders: pa.Table, lines: pa.Table) -> pa.Table:
    order = ints(lines["order"])
    sums = {}
    for name in ("gross_micros", "refunded_micros", "net_micros"):
        total = np.zeros(len(orders), dtype=np.int64)
        np.add.at(total, order, ints(lines[name]))
        sums[name] = pa.array(total)
    rows = orders.rename_columns({"at": "ordered_at"})
    for name, total in sums.items():
        rows = rows.append_column(name, total)
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
    return add_up(table, SALES_PARTS, ("site_id", "day"), SALES_SUMS)


def _influence(links: Links, flat: pa.Table, orders: pa.Table, lines: pa.Table) -> pa.Table:
    """Net value of each order once for every pinner on its way but the buyer; overlaps."""
    rows = pa.table(
        {
            "order": links.order,
            "site_id": take(orders["site_id"], links.order),
            "person_id": take(orders["person_id"], links.order),
            "pinner_id": take(flat["pinner_id"], links.flat),
        }
    )
    others = pc.fill_null(pc.not_equal(rows["pinner_id"], rows["person_id"]), False)
    once = rows.filter(others).group_by(rows.column_names, use_threads=False).aggregate([])
    net = np.zeros(len(orders), dtype=np.int64)
    np.add.at(net, ints(lines["order"]), ints(lines["net_micros"]))
    once = once.append_column("influenced_micros", pa.array(net[ints(once["order"])]))
    keys = ("site_id", "pinner_id", "person_id")
    return add_up(once, INFLUENCE, keys, ("influenced_micros",))


def _credit_sums(credit: pa.Table, wanted: Wanted) -> pa.Table:
    """Credit by customer to each key of each dimension; a cascade only under the default."""
    parts = [CREDIT_SUMS.empty_table()]
    dimensions = {"pinner": "pinner_id", "cascade": "root_pin_id", **DIMENSIONS}
    for dimension, column in wanted.keys("credit_sums", dimensions).items():
        rows = credit
        if dimension == "cascade":
            rows = credit.filter(pc.equal(credit["model"], DEFAULT_MODEL))
        rows = rows.filter(pc.is_valid(rows[column]))
        table = pa.table(
            {
                "site_id": rows["site_id"],
                "dimension": pa.array([dimension] * len(rows), pa.string()),
                "key": rows[column],
                "model": rows["model"],
                "person_id": rows["buyer_id"],
                "credited_micros": rows["credit_micros"],
            }
        )
        keys = ("site_id", "dimension", "key", "model", "person_id")
        parts.append(add_up(table, CREDIT_SUMS, keys, ("credited_micros",)))
    return pa.concat_tables(parts)


def _daily(credit: pa.Table, wanted: Wanted) -> pa.Table:
    """DAILY_PARTS of credit; orders and units once for each key, however many pins it has."""
    parts = []
    direct = ints(credit["credit_micros"]) * ints(credit["is_same_item"])
    credit = credit.append_column("direct_micros", pa.array(direct))
    for dimension, column in wanted.keys("daily_parts", DIMENSIONS).items():
        rows = credit.filter(pc.is_valid(credit[column]))
        keys = [rows["site_id"], rows[column], rows["model"]]
        table = pa.table(
            {
                "site_id": rows["site_id"],
                "dimension": pa.array([dimension] * len(rows), pa.string()),
                "key": rows[column],
                "day": rows["day"],
                "model": rows["model"],
                **{name: np.zeros(len(rows), dtype=np.int64) for name in DAILY_COUNTS[:5]},
                "orders": _firsts(codes([*keys, rows["order_id"]])[0]).astype(np.int64),
                "units": ints(rows["quantity"])
                * _firsts(codes([*keys, rows["order_id"], rows["line_id"]])[0]),
                "credited_micros": rows["credit_micros"],
                "direct_micros": rows["direct_micros"],
                "refunded_micros": rows["refunded_micros"],
            }
        )
        by = ("site_id", "dimension", "key", "day", "model")
        parts.append(add_up(table, DAILY_PARTS, by, DAILY_COUNTS))
    return pa.concat_tables(parts)


def _firsts(code: Ints) -> Bools:
    """[rows] whether the row is the first with its code."""
    first = np.zeros(len(code), dtype=np.bool_)
    first[np.unique(code, return_index=True)[1]] = True
    return first
