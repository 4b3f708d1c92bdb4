"""Orders credited to pins under every model: weights, and the one split of each order line."""

import functools
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Bools, Floats, Ints, Tables, codes, ints, places, take
from pipelines.kernels.credit import Credits, credit_lines, weigh_touches
from pipelines.kernels.dues import Dues, dues_of_links
from pipelines.transforms.acts import acts_of_orders, credit_parts
from pipelines.transforms.club import buyer_credits, buyer_sales
from pipelines.transforms.credit_sums import (
    credit_by_customer,
    credit_totals,
    daily_dues,
    dues_to_pinners,
    influence,
    sales,
)
from pipelines.transforms.order_links import Shard, link_orders
from pipelines.transforms.parts import Part
from pipelines.transforms.sites import of_sites
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.errors import AuditError
from schemas.settings import Site


def credit_pins(
    parts: Iterable[tuple[Part, Tables]], sites: Mapping[str, Site], wanted: Wanted = EVERYTHING
) -> Iterator[tuple[int, Tables]]:
    """Credits each order line to the pins on its way, under every model.

    Takes touches and orders of whole people. Asked for are orders, buyers, and what a buyer's
    orders owe to a pinner.
    """
    of = 0
    for part, tables in parts:
        yield part.number, _credited(link_orders(tables, sites, part), sites, wanted)
        of = part.of
    yield of, {}


def _credited(shard: Shard, sites: Mapping[str, Site], wanted: Wanted) -> Tables:
    orders, lines, links, asked = shard.orders, shard.lines, shard.links, shard.asked
    has_path = np.diff(links.start) > 0

    @functools.cache
    def credits() -> Credits:
        weight = _weights(shard, sites, wanted.models)
        net, gross = ints(lines["net_micros"]), ints(lines["gross_micros"])
        found = credit_lines(weight, links.start, shard.line_order, net, gross)
        _check_conserved(shard, found, wanted.models)
        return found

    is_same_item = functools.cache(lambda: _is_same_item(shard, credits()))

    @functools.cache
    def dues() -> Dues:
        return dues_of_links(credits(), is_same_item(), len(links.order), len(wanted.models))

    order_rows = functools.cache(lambda: _order_rows(orders, lines, shard.line_order))
    owed = functools.cache(lambda: dues_to_pinners(shard, dues(), wanted.models))
    return wanted.made(
        orders=lambda: _some(order_rows(), asked.orders),
        order_lines=lambda: _some(_line_rows(shard), asked.orders[shard.line_order]),
        order_credits=lambda: _credit_rows(shard, credits(), is_same_item(), wanted.models),
        acts=lambda: acts_of_orders(_some(order_rows(), asked.orders)),
        credit_parts=lambda: credit_parts(order_rows(), owed(), sites),
        sales_parts=lambda: sales(order_rows(), has_path, shard),
        influence=lambda: influence(shard, ints(order_rows()["net_micros"])),
        credit_sums=lambda: credit_by_customer(shard, dues(), wanted),
        credit_totals=lambda: credit_totals(shard, dues(), wanted),
        buyer_sales=lambda: buyer_sales(_some(order_rows(), asked.buyers)),
        buyer_credits=lambda: buyer_credits(orders, owed()),
        due_parts=lambda: daily_dues(shard, credits(), dues(), wanted),
    )


def _some(table: pa.Table, which: Bools) -> pa.Table:
    return table if which.all() else table.filter(pa.array(which))


def _weights(shard: Shard, sites: Mapping[str, Site], models: tuple[str, ...]) -> Floats:
    """[models, links] both layers together."""
    paths, links, orders, touches = shard.paths, shard.links, shard.orders, shard.touches
    age = ints(orders["at"])[paths.order] - ints(touches["at"])[paths.touch]
    half_life = of_sites(orders["site_id"], sites, "half_life_days")
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
    bought = places(shard.lines["item_id"], shard.coded("item_id").dictionary)
    pinned = shard.key("item_id")[shard.links.pin[credits.link]]
    return (pinned >= 0) & (pinned == bought[credits.line])


def _credit_rows(
    shard: Shard, credits: Credits, is_same_item: Bools, models: tuple[str, ...]
) -> pa.Table:
    if not shard.asked.ties.all():
        asked = shard.asked.ties[credits.link]
        credits, is_same_item = Credits(*(each[asked] for each in credits)), is_same_item[asked]
    order, pin = shard.line_order[credits.line], shard.links.pin[credits.link]
    touch = shard.paths.touch[shard.links.pair[credits.link]]
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
            "is_self": shard.is_own(order, pin),
            "is_same_item": is_same_item,
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
