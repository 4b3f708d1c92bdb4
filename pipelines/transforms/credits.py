"""Orders credited to pins under every model: weights, and the one split of each order line."""

import functools
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from pipelines.kernels.columns import Bools, Floats, Ints, Tables, codes, ints, take
from pipelines.kernels.credit import Credits, credit_lines, weigh_touches
from pipelines.kernels.dues import Dues, dues_of_links
from pipelines.transforms.acts import acts_of_orders
from pipelines.transforms.club import buyer_credits, buyer_sales
from pipelines.transforms.credit_sums import (
    credit_by_customer,
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

    Takes touches and orders of whole people. What is told of an order needs that order's touches
    alone; what is told of a buyer needs all of her orders.
    """
    of = 0
    for part, tables in parts:
        yield part.number, _told(part, tables, sites, wanted)
        of = part.of
    yield of, {}


def _told(part: Part, tables: Tables, sites: Mapping[str, Site], wanted: Wanted) -> Tables:
    orders = tables["orders_to_credit"]

    def credited(which: Bools) -> _Credited:
        of_some = {**tables, "orders_to_credit": orders.filter(pa.array(which))}
        return _Credited(link_orders(of_some, sites), sites, wanted)

    buyers = credited(part.asks(orders))
    some = buyers if part.told is None else credited(part.asks(orders, "order_id"))
    return wanted.made(
        orders=lambda: some.order_rows,
        order_lines=lambda: _line_rows(some.shard),
        order_credits=some.credit_rows,
        acts=lambda: acts_of_orders(some.order_rows, some.owed),
        sales_parts=lambda: sales(some.order_rows, some.has_path, some.shard.day),
        due_parts=lambda: daily_dues(some.shard, some.credits, some.dues, wanted),
        influence=lambda: influence(buyers.shard, ints(buyers.order_rows["net_micros"])),
        credit_sums=lambda: credit_by_customer(buyers.shard, buyers.dues, wanted),
        buyer_sales=lambda: buyer_sales(buyers.order_rows),
        buyer_credits=lambda: buyer_credits(buyers.shard.orders, buyers.owed),
    )


class _Credited:
    """Some orders and what each of them owes, found out when it is asked for."""

    def __init__(self, shard: Shard, sites: Mapping[str, Site], wanted: Wanted) -> None:
        self.shard, self._sites, self._wanted = shard, sites, wanted

    @functools.cached_property
    def has_path(self) -> Bools:
        """[orders]."""
        return np.diff(self.shard.links.start) > 0

    @functools.cached_property
    def credits(self) -> Credits:
        """Of every line, checked."""
        shard, models = self.shard, self._wanted.models
        weight = _weights(shard, self._sites, models)
        net, gross = ints(shard.lines["net_micros"]), ints(shard.lines["gross_micros"])
        found = credit_lines(weight, shard.links.start, shard.line_order, net, gross)
        _check_conserved(shard, found, models)
        return found

    @functools.cached_property
    def is_same_item(self) -> Bools:
        """[credits] whether the product pinned is the product bought."""
        return _is_same_item(self.shard, self.credits)

    @functools.cached_property
    def dues(self) -> Dues:
        """By link and model."""
        links, models = len(self.shard.links.order), len(self._wanted.models)
        return dues_of_links(self.credits, self.is_same_item, links, models)

    @functools.cached_property
    def owed(self) -> pa.Table:
        """To each pinner under the default model."""
        return dues_to_pinners(self.shard, self.dues, self._wanted.models)

    @functools.cached_property
    def order_rows(self) -> pa.Table:
        """The orders with what they are worth."""
        return _order_rows(self.shard.orders, self.shard.lines, self.shard.line_order)

    def credit_rows(self) -> pa.Table:
        """The ledger."""
        return _credit_rows(self.shard, self.credits, self.is_same_item, self._wanted.models)


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
    pinned, bought = codes([shard.pins["item_id"]], [shard.lines["item_id"]])
    pinned = pinned[shard.links.pin[credits.link]]
    return (pinned >= 0) & (pinned == bought[credits.line])


def _credit_rows(
    shard: Shard, credits: Credits, is_same_item: Bools, models: tuple[str, ...]
) -> pa.Table:
    order, pin = shard.line_order[credits.line], shard.links.pin[credits.link]
    touch = shard.paths.touch[shard.links.pair[credits.link]]
    pinner, buyer = shard.people
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
