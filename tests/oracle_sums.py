"""The naive oracle of sums: the ledger's rows added up one by one."""

import datetime
import zoneinfo
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from schemas.settings import Site

Rows = Mapping[str, list[dict[str, Any]]]
KEYS = {
    "pinner": "person_id",
    "product": "item_id",
    "slot": "item_list_id",
    "recommender": "recommender_id",
    "site": "site_id",
}


def model_credits(rows: Rows) -> dict[tuple[str, str, str, str], tuple[int, int]]:
    """By site, dimension, key and model: credit, and how many customers it comes from."""
    pins = {(pin["site_id"], pin["pin_id"]): pin for pin in rows["pins"]}
    buyers = {(order["site_id"], order["order_id"]): order["person_id"] for order in rows["orders"]}
    total: dict[Any, int] = defaultdict(int)
    customers: dict[Any, set[str]] = defaultdict(set)
    for row in rows["order_credits"]:
        pin = pins[row["site_id"], row["pin_id"]]
        for dimension, column in KEYS.items():
            if pin[column] is not None:
                place = (row["site_id"], dimension, pin[column], row["model"])
                total[place] += row["credit_micros"]
                customers[place].add(buyers[row["site_id"], row["order_id"]])
    return {place: (total[place], len(customers[place])) for place in total}


def daily_of_credit(
    rows: Rows, column: str, sites: Mapping[str, Site]
) -> dict[tuple[str, str, str, str], tuple[int, int, int, int, int]]:
    """By site, key of the pin, local day of the order and model.

    Orders and units once for each key; credited, direct and refunded micros.
    """
    pins = {(pin["site_id"], pin["pin_id"]): pin for pin in rows["pins"]}
    days = {
        (order["site_id"], order["order_id"]): datetime.datetime.fromtimestamp(
            order["ordered_at"] / 1000, zoneinfo.ZoneInfo(sites[order["site_id"]].time_zone)
        )
        .date()
        .isoformat()
        for order in rows["orders"]
    }
    units = {
        (r["site_id"], r["order_id"], r["line_id"]): r["quantity"] for r in rows["order_lines"]
    }
    orders: dict[Any, set[str]] = defaultdict(set)
    lines: dict[Any, set[Any]] = defaultdict(set)
    sums: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in rows["order_credits"]:
        site, order = row["site_id"], row["order_id"]
        key = pins[site, row["pin_id"]][column]
        if key is None:
            continue
        place = (site, key, days[site, order], row["model"])
        orders[place].add(order)
        lines[place].add((site, order, row["line_id"]))
        sums[place][0] += row["credit_micros"]
        sums[place][1] += row["credit_micros"] if row["is_same_item"] else 0
        sums[place][2] += row["refunded_micros"]
    return {
        place: (len(orders[place]), sum(units[line] for line in lines[place]), *three)
        for place, three in sums.items()
    }
