"""A shop's lake of any size, straight into Parquet: the same events for the same seed.

    python -m benchmarks._events HOME EVENTS

Of N events over D days 60 % are landings, 28 % recommendation lists of four items (0.5 % of them
logins instead), 10 % pins in cascades, 2 % orders and refunds. 1 % of each kind are repeats
received later, 1 % crawlers. Visitors, pins and products grow with N / D, so that a day is as
busy as any other and one more day of the same world can be written later.

The rules that are left out of what the engines compare keep out of it: one statement an order,
all signed, in one currency; refunds name a line and never exceed it; nobody re-pins below a pin
of her own; nobody has more than 200 touches a month.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks._texts import Ints, chosen, constant, event_ids, texts
from benchmarks._world import (
    DAY_MS,
    EPOCH_MS,
    REFUND_DAYS,
    UNKNOWN_PIN,
    Orders,
    World,
    has_account,
    has_two_owners,
    owner,
    times,
)
from pipelines.io.lake import write_parquet
from schemas.home import Home
from schemas.lake import lake_schema

SITE = "shop"
SETTINGS = f"""
[sites.{SITE}]
key = "bench-key"
currency = "GBP"
time_zone = "Europe/London"
necessity = 0
"""
_SLOTS, _RECOMMENDERS, _ITEMS = 24, 8, 4


def _customers(visitor: Ints, generator: np.random.Generator) -> pa.Array:
    """[rows] who is at the device: its owner, or one of two; null without an account."""
    other = has_two_owners(visitor) & (generator.random(len(visitor)) < 0.5)
    number = 2 * owner(visitor) + other
    return texts(np.where(has_account(visitor), number, -1), "customer")


def write_lake(
    home: Path, events: int, *, days: int = 100, seed: int = 1, first_day: int = 0
) -> None:
    """Writes about so many events over so many days, and the settings.

    Args:
      home: home directory; files of the same days are replaced.
      events: how many in all.
      days: over how many days.
      seed: another one makes another shop.
      first_day: day of the world that is the first to be written.
    """
    home.mkdir(parents=True, exist_ok=True)
    (home / "pinsphere.toml").write_text(SETTINGS, encoding="utf-8")
    world = World(round(events / days), first_day + days, seed)
    for day in range(first_day, first_day + days):
        _write_day(home, world, day)


def write_day(home: Path, events: int, day: int, *, days: int = 100, seed: int = 1) -> None:
    """Writes one day, such as the first after those of `write_lake` (its number is `days`).

    `events`, `days` and `seed` are those of the lake: they say how busy a day is.
    """
    _write_day(home, World(round(events / days), day + 1, seed), day)


def _write_day(home: Path, world: World, day: int) -> None:
    makers = {
        "pin": _pin_rows,
        "pin_visit": _visit_rows,
        "view_item_list": _list_rows,
        "identify": _identify_rows,
        "purchase": _purchase_rows,
        "refund": _refund_rows,
    }
    for kind, (event_name, make) in enumerate(makers.items()):
        generator = world.generator(10 + kind, day)
        at, columns = make(world, day, generator)
        if len(at):
            table = _with_repeats(_enveloped(event_name, at, columns, generator), generator)
            _place(home, event_name, day, table)


def _place(home: Path, event_name: str, day: int, table: pa.Table) -> None:
    date = np.datetime64(EPOCH_MS + day * DAY_MS, "ms").astype("datetime64[D]")
    folder = Home(home).lake / event_name / f"site={SITE}" / f"date={date}"
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(table, folder / f"day-{day:05d}.parquet")


def _enveloped(
    event_name: str, at: Ints, columns: dict[str, Any], generator: np.random.Generator
) -> pa.Table:
    """The rows as a lake file has them: by time, with the envelope around."""
    schema, rows = lake_schema(event_name), len(at)
    is_server = event_name in ("purchase", "refund")
    delay = generator.integers(40, 3_000, rows)
    delay[generator.random(rows) < 0.002] += 2 * DAY_MS  # the telephone was in a tunnel
    # One browser's clock in fifty is wrong, which what it says of sending gives away.
    wrong = (generator.random(rows) < 0.02) * generator.integers(-600_000, 600_000, rows)
    said = at if is_server else at + wrong
    agent = np.zeros(rows, np.int64)
    if not is_server and event_name != "identify":
        luck = generator.random(rows)
        agent = np.where(luck < 0.005, 2, np.where(luck < 0.01, 3, (luck < 0.3).astype(np.int64)))
    sent = pa.nulls(rows, pa.int64()) if is_server else pa.array(said + delay)
    envelope = {
        "event_id": event_ids(said, generator),
        "event_time_ms": said,
        "schema_version": np.ones(rows, np.int64),
        "site_id": constant(SITE, rows),
        "source": constant("server" if is_server else "web_js", rows),
        "sent_time_ms": sent,
        "received_time_ms": at + delay,
        "page_referrer": constant("https://www.pinterest.com/", rows),
        "user_agent_class": chosen(["human", "pinterest_inapp", "bot", "pinterestbot"], agent),
        "consent": constant("granted", rows),
        "is_signed": pa.repeat(pa.scalar(is_server), rows),
    }
    if is_server:
        envelope["page_referrer"] = constant(None, rows)
    else:
        network = columns.pop("visitor") * 1000 + at // DAY_MS % 1000
        envelope["network_hash"] = texts(network, "network")
    values = {**envelope, **columns}
    table = pa.table(
        [
            values[field.name] if field.name in values else pa.nulls(rows, field.type)
            for field in schema
        ],
        schema=schema,
    )
    return table.take(pa.array(np.argsort(at, kind="stable")))


def _with_repeats(table: pa.Table, generator: np.random.Generator) -> pa.Table:
    """One row in a hundred a second time, sent and received later: a retry."""
    rows = np.flatnonzero(generator.random(len(table)) < 0.01)
    later = pa.array(generator.integers(1_000, 900_000, len(rows)))
    again = table.take(pa.array(rows))
    for name in ("sent_time_ms", "received_time_ms"):
        place = again.schema.get_field_index(name)
        moved = pc.add(again[name], later)
        again = again.set_column(place, again.schema.field(name), moved)
    order = np.argsort(np.concatenate([np.arange(len(table)), rows]), kind="stable")
    return pa.concat_tables([table, again]).take(pa.array(order))


def _who(visitor: Ints, day: int) -> dict[str, Any]:
    """Columns of a browser's event."""
    return {
        "visitor": visitor,
        "visitor_id": texts(visitor, "visitor"),
        "session_id": texts(visitor * 100_000 + day, "session"),
    }


def item_names(world: World) -> list[str | None]:
    """The products' ids."""
    return [f"sku-{number:06d}" for number in range(world.products)]


def _pages(world: World, item: Ints) -> pa.Array:
    names = item_names(world)
    return chosen([f"https://shop.example/products/{name}" for name in names], item)


def _made(rows: Ints) -> Ints:
    """Of rows drawn as many as leave room for the repeats."""
    return rows[: round(len(rows) / 1.01)]


def _pin_rows(
    world: World, day: int, generator: np.random.Generator
) -> tuple[Ints, dict[str, Any]]:
    number = np.arange(world.days * world.daily_pins)[world.pins(day)]
    item = world.item[number].astype(np.int64)
    slot = generator.integers(0, _SLOTS, len(number))
    parent = world.parent[number].astype(np.int64)
    columns = _who(world.author[number].astype(np.int64), day) | {
        "page_location": _pages(world, item),
        "pin_id": texts(number, "pin"),
        "parent_pin_id": texts(parent, "pin"),
        "root_pin_id": texts(world.root[number].astype(np.int64), "pin"),
        "hop": world.hop[number].astype(np.int64),
        "pin_mode": chosen(["button", "repin"], (parent >= 0).astype(np.int64)),
        "item_id": chosen(item_names(world), item),
        **_slots(slot),
        "index": generator.integers(0, _ITEMS, len(number)),
    }
    return world.pinned_at[number].astype(np.int64), columns


def _slots(slot: Ints) -> dict[str, Any]:
    return {
        "item_list_id": chosen([f"slot-{number:02d}" for number in range(_SLOTS)], slot),
        "recommender_id": chosen(
            [f"recommender-{number}" for number in range(_RECOMMENDERS)], slot % _RECOMMENDERS
        ),
    }


def _visit_rows(
    world: World, day: int, _generator: np.random.Generator
) -> tuple[Ints, dict[str, Any]]:
    visitor, pin, at = (_made(column) for column in world.landings(day))
    has_token = (pin >= 0).astype(np.int64)
    known = np.where(pin >= UNKNOWN_PIN, pin - UNKNOWN_PIN, np.maximum(pin, 0))
    item = world.item[known].astype(np.int64)
    return at, _who(visitor, day) | {
        "page_location": _pages(world, item),
        "pin_id": texts(pin, "pin"),
        "token_carrier": chosen([None, "query"], has_token),
        "match_method": chosen(["user_agent", "token"], has_token),
        "item_id": chosen(item_names(world), item),
    }


def _list_rows(
    world: World, day: int, generator: np.random.Generator
) -> tuple[Ints, dict[str, Any]]:
    rows = round(0.275 * world.rate / 1.01)
    visitor = world.some_visitors(generator, rows)
    shown = chosen(item_names(world), world.some_items(generator, rows * _ITEMS))
    place = np.tile(np.arange(_ITEMS), rows)
    item = _item_field("view_item_list")
    structs = pa.StructArray.from_arrays([shown, pa.array(place)], fields=list(item.type))
    offsets = pa.array(np.arange(0, rows * _ITEMS + 1, _ITEMS), pa.int32())
    columns = _who(visitor, day) | {
        "page_location": _pages(world, world.some_items(generator, rows)),
        **_slots(generator.integers(0, _SLOTS, rows)),
        "page_type": constant("product", rows),
        "experiment_arm": chosen(["a", "b"], generator.integers(0, 2, rows)),
        "items": pa.ListArray.from_arrays(offsets, structs, type=pa.list_(item)),
    }
    return times(generator, day, rows), columns


def _identify_rows(
    world: World, day: int, generator: np.random.Generator
) -> tuple[Ints, dict[str, Any]]:
    rows = round(0.005 * world.rate / 1.01)
    visitor = world.some_visitors(generator, rows)
    visitor -= visitor % 10 - generator.integers(0, 4, rows)
    columns = _who(visitor, day) | {
        "customer_id": _customers(visitor, generator),
        "action": constant("login", rows),
    }
    return times(generator, day, rows), columns


def _purchase_rows(
    world: World, day: int, generator: np.random.Generator
) -> tuple[Ints, dict[str, Any]]:
    orders = world.orders(day)
    rows = len(orders.at)
    item = _item_field("purchase")
    micros = {
        "item_id": chosen(item_names(world), orders.item),
        "quantity": pa.array(orders.quantity),
        "price_micros": pa.array(orders.cents * 10_000),
        "discount_micros": pa.array(orders.discount * 10_000),
        "line_id": _line_ids(orders),
    }
    structs = pa.StructArray.from_arrays(
        [micros[field.name] for field in item.type], fields=list(item.type)
    )
    offsets = pa.array(np.append(0, np.cumsum(orders.lines)), pa.int32())
    # One order in ten comes without the visitor: the buyer blocked the script.
    names_visitor = generator.random(rows) < 0.9
    customer = _customers(orders.visitor, generator)
    columns = {
        "visitor_id": texts(np.where(names_visitor, orders.visitor, -1), "visitor"),
        "customer_id": customer,
        "order_id": _order_ids(orders.number),
        "currency": constant("GBP", rows),
        "tax_micros": np.full(rows, 0),
        "shipping_micros": np.full(rows, 4_990_000),
        "discount_micros": np.full(rows, 0),
        "items": pa.ListArray.from_arrays(offsets, structs, type=pa.list_(item)),
    }
    return orders.at, columns


def _line_ids(orders: Orders) -> pa.Array:
    first = np.repeat(np.cumsum(orders.lines) - orders.lines, orders.lines)
    return chosen(["1", "2", "3", "4"], np.arange(len(orders.item)) - first)


def _order_ids(number: Ints) -> pa.Array:
    padded = pc.utf8_lpad(pa.array(number).cast(pa.string()), 9, "0")
    return pc.binary_join_element_wise("order", padded, "-")


def _refund_rows(
    world: World, day: int, generator: np.random.Generator
) -> tuple[Ints, dict[str, Any]]:
    """All or a part of the first line of orders of the weeks before."""
    number, cents = [], []
    for day_before in range(max(day - REFUND_DAYS, 0), day):
        orders = world.orders(day_before)
        mine = np.flatnonzero(orders.refund_day == day)
        first = (np.cumsum(orders.lines) - orders.lines)[mine]
        gross = orders.quantity[first] * orders.cents[first] - orders.discount[first]
        number.append(orders.number[mine])
        cents.append(gross)
    at = np.zeros(0, np.int64)
    if not number:
        return at, {}
    numbers, gross = np.concatenate(number), np.concatenate(cents)
    rows = len(numbers)
    part = generator.random(rows) < 0.3
    amount = np.where(part, np.maximum(gross // 2, 1), gross) * 10_000
    item = _item_field("refund")
    values = {"line_id": constant("1", rows), "amount_micros": pa.array(amount)}
    structs = pa.StructArray.from_arrays(
        [values.get(field.name, pa.nulls(rows, field.type)) for field in item.type],
        fields=list(item.type),
    )
    offsets = pa.array(np.arange(rows + 1), pa.int32())
    columns = {
        "refund_id": pc.binary_join_element_wise(_order_ids(numbers), "r", "-"),
        "order_id": _order_ids(numbers),
        "kind": constant("return", rows),
        "currency": constant("GBP", rows),
        "items": pa.ListArray.from_arrays(offsets, structs, type=pa.list_(item)),
    }
    return times(generator, day, rows), columns


def _item_field(event_name: str) -> pa.Field:
    return lake_schema(event_name).field("items").type.value_field


if __name__ == "__main__":
    write_lake(Path(sys.argv[1]), int(sys.argv[2]))
