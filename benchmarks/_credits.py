"""Result tables of a shop with so many credits; their sums hold, so they can be published."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.kernels.retention import POPULATIONS
from schemas.models import DEFAULT_MODEL, MODELS
from schemas.results import result_schema

DAY_MS, FIRST_DAY = 86_400_000, 20_454  # 2026-01-01
DAYS, ITEMS, SLOTS, RECOMMENDERS = 365, 2_000, 20, 5
Columns = dict[str, Any]
Ints = npt.NDArray[np.int64]


def as_table(name: str, columns: Columns) -> pa.Table:
    """A result table; what is not given is null, or else nothing."""
    rows = len(next(iter(columns.values())))
    nothing: dict[Any, Any] = {
        pa.string(): "", pa.int64(): 0, pa.bool_(): False, pa.float64(): 0.0,
    }  # fmt: skip
    columns = {"site_id": pa.repeat("acme", rows), **columns}
    arrays = [
        pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.nulls(rows, field.type)
        if field.nullable
        else pa.repeat(pa.scalar(nothing[field.type], field.type), rows)
        for field in result_schema(name)
    ]
    return pa.Table.from_arrays(arrays, schema=result_schema(name))


def named(prefix: str, numbers: Ints) -> pa.Array:
    """Ids of the length that ids have."""
    return pa.array([f"{prefix}-{number:020}" for number in numbers.tolist()])


def days(numbers: Ints) -> pa.Array:
    """Days as text."""
    texts = np.datetime_as_string(np.array(FIRST_DAY + np.arange(DAYS), "datetime64[D]"))
    return pa.array(texts[numbers].tolist())


def repeated(columns: Columns) -> Columns:
    """Each row once a model."""
    times = len(MODELS)
    rows = len(next(iter(columns.values())))
    every = pa.array(np.tile(np.arange(rows), times))
    shown = {name: pa.array(column).take(every) for name, column in columns.items()}
    return shown | {"model": pa.array(np.repeat(MODELS, rows).tolist())}


def tables(credits: int) -> dict[str, Columns]:
    """Columns of each result table: ten credits an order, and a fifth of the orders without."""
    rng = np.random.default_rng(1)
    orders = credits // (2 * len(MODELS))
    everything = orders * 6 // 5
    pinners, pins = max(orders // 5, 1), max(orders // 2, 1)
    number = np.arange(everything)
    is_credited = number < orders
    net = rng.integers(5_000_000, 90_000_000, everything)
    day = rng.integers(0, DAYS, everything)
    item = (ITEMS * rng.random(everything) ** 2).astype(np.int64)
    at = (FIRST_DAY + day) * DAY_MS + rng.integers(0, DAY_MS, everything)
    order_id, line_id = named("order", number), pa.array([str(n % 9) for n in number.tolist()])
    # Two pins a line, by pinners of whom few bring much.
    first = (pins * rng.random(orders) ** 2).astype(np.int64)
    second = rng.integers(0, pins, orders)
    parts = {
        model: (net[:orders] * share).astype(np.int64)
        for model, share in zip(MODELS, (1.0, 0.1, 0.5, 0.6, 0.7), strict=True)
    }
    chosen = pa.array(np.arange(orders))
    pin_id, pinner_id = named("pin", np.arange(pins)), named("person", np.arange(pinners))
    of_pin = np.arange(pins) % pinners
    credit: list[Columns] = []
    earned: dict[str, Ints] = {}
    for model, part in parts.items():
        earned[model] = np.zeros(pinners, np.int64)
        for place, (pin, share) in enumerate(((first, part), (second, net[:orders] - part))):
            np.add.at(earned[model], of_pin[pin], share)
            credit.append(
                {
                    "order_id": order_id.take(chosen),
                    "line_id": line_id.take(chosen),
                    "model": pa.repeat(model, orders),
                    "place": np.full(orders, place),
                    "touch_id": named("touch", first),
                    "pin_id": pin_id.take(pa.array(pin)),
                    "pinner_id": pinner_id.take(pa.array(of_pin[pin])),
                    "currency": pa.repeat("GBP", orders),
                    "credit_micros": share,
                    "touched_at": at[:orders] - DAY_MS,
                }
            )
    joined = {
        name: pa.chunked_array([pa.array(part[name]) for part in credit]) for name in credit[0]
    }
    money = {"gross_micros": net, "net_micros": net}
    return {
        "orders": {
            "order_id": order_id, "person_id": named("person", number), "ordered_at": at,
            "currency": pa.repeat("GBP", everything), **money,
        },
        "order_lines": {
            "order_id": order_id, "line_id": line_id, "item_id": named("item", item),
            "quantity": np.ones_like(net), "is_credited": is_credited, **money,
        },
        "order_credits": {name: column.combine_chunks() for name, column in joined.items()},
        "sales_daily": sales(day, net, is_credited),
        "pins": {
            "pin_id": pin_id, "person_id": pinner_id.take(pa.array(of_pin)),
            "item_id": named("item", np.arange(pins) % ITEMS), "root_pin_id": pin_id,
            "item_list_id": named("slot", np.arange(pins) % SLOTS),
            "pinned_at": np.arange(pins) + FIRST_DAY * DAY_MS, "hop": np.arange(pins) % 4,
        },
        "visits": {
            "event_id": named("touch", number), "pin_id": pin_id.take(pa.array(number % pins)),
            "match_method": pa.repeat("token", everything), "visited_at": at,
        },
        "pinner_spheres": {
            "pinner_id": pinner_id, "credited_micros": earned[DEFAULT_MODEL],
            "influenced_micros": earned[DEFAULT_MODEL] // 2, "pins": np.arange(pinners) % 7,
            "reach_total": np.arange(pinners) % 50,
        },
        "sphere_edges": {
            "pinner_id": pinner_id.take(pa.array(of_pin)),
            "person_id": named("reached", np.arange(pins)),
            "influenced_micros": np.arange(pins),
        },
        "cascades": {"root_pin_id": pin_id, "size": np.arange(pins) % 30},
        "item_daily": daily("item_id", "item", ITEMS, DAYS // 6),
        "slot_daily": daily("item_list_id", "slot", SLOTS, DAYS),
        "recommender_daily": daily("recommender_id", "recommender", RECOMMENDERS, DAYS),
        "model_credits": model_credits(pinner_id, earned),
        **loyalty(int(earned[DEFAULT_MODEL].sum()), int(net.sum())),
        "data_quality_daily": {
            "day": days(np.repeat(np.arange(DAYS), 3)),
            "event_name": pa.array(["pin", "pin_visit", "purchase"] * DAYS),
            "received": np.full(3 * DAYS, 1_000),
        },
        "quarantine": {
            "reject_id": named("reject", np.arange(1_000)), "origin": pa.repeat("beacon", 1_000),
            "place": pa.repeat("events[0]", 1_000), "reason": pa.repeat("too old", 1_000),
        },
    }  # fmt: skip


def loyalty(credited: int, sold: int) -> dict[str, Columns]:
    """Tables of some thousand rows, however many credits there are."""
    percent, month = np.arange(1, 101), np.arange(60)
    cohort, since = (grid[np.add.outer(month, month) < len(month)] for grid in np.indices((60, 60)))
    months = np.array([f"{2021 + number // 12}-{number % 12 + 1:02}" for number in month])
    people = np.full(len(cohort), 1_000)
    depths = ("reached", "visits_2", "visits_5", "visits_10", "repinned", "bought")
    return {
        "fan_clubs": repeated(
            {
                "ranked_by": pa.array(np.repeat(["credited", "own"], 100).tolist()),
                "top_percent": np.tile(percent, 2), "pinners": np.tile(percent, 2),
                "credited_micros": np.tile(credited * percent // 100, 2),
                "sales_micros": np.full(200, sold),
            }
        ),
        "concentrations": repeated(
            {"ranked_by": pa.array(["credited", "own"]), "total_micros": np.full(2, 100)}
        ),
        "relationship_depths": {
            "people_from": np.repeat([1, 2, 5, 10, 25, 100, 1_000], len(depths)),
            "depth": pa.array(depths * 7), "people": np.full(42, 50), "pinners": np.full(42, 5),
        },
        "retention_cohorts": {
            "population": pa.array(np.repeat(POPULATIONS, len(cohort)).tolist()),
            "cohort_month": pa.array(np.tile(months[cohort], 3).tolist()),
            "month": pa.array(np.tile(months[cohort + since], 3).tolist()),
            "months_since": np.tile(since, 3), "people": np.tile(people, 3),
            "active_people": np.tile(people // (1 + since), 3),
            "is_over": np.tile(cohort + since < len(month) - 1, 3),
        },
        "retention_fits": {
            "population": pa.array(np.repeat(POPULATIONS, 4).tolist()),
            "activity": pa.array(["act", "act", "order", "order"] * 3),
            "since": pa.array(["entry", "return"] * 6), "people": np.full(12, 1_000),
        },
    }  # fmt: skip


def sales(day: Ints, net: Ints, is_credited: npt.NDArray[np.bool_]) -> Columns:
    """Sales by day: one row each and model."""
    totals: list[Ints] = []
    for rows in (np.ones_like(is_credited), is_credited, ~is_credited):
        total = np.zeros(DAYS, np.int64)
        np.add.at(total, day[rows], net[rows])
        totals.append(total)
    return repeated(
        {
            "day": days(np.arange(DAYS)),
            "orders": np.bincount(day, minlength=DAYS),
            "credited_orders": np.bincount(day[is_credited], minlength=DAYS),
            "gross_micros": totals[0],
            "net_micros": totals[0],
            "credited_micros": totals[1],
            "unattributed_micros": totals[2],
        }
    )


def daily(key: str, prefix: str, keys: int, active: int) -> Columns:
    """Activity of each key on its active days."""
    rows = np.arange(keys * active)
    return repeated(
        {
            key: named(prefix, rows // active),
            "day": days(rows % active * (DAYS // active)),
            "views": rows % 900,
            "pins": rows % 9,
            "pin_visits": rows % 31,
            "orders": rows % 5,
            "credited_micros": rows * 1_000,
            "direct_micros": rows * 600,
            "refunded_micros": rows * 10,
        }
    )


def model_credits(pinner_id: pa.Array, earned: dict[str, Ints]) -> Columns:
    """Credit with its uncertainty: by pinner as it was earned, by the others made up."""
    others = {"product": ITEMS, "slot": SLOTS, "recommender": RECOMMENDERS}
    keys = [pinner_id, *(named(name, np.arange(count)) for name, count in others.items())]
    sizes = [len(pinner_id), *others.values()]
    one = {
        "dimension": pa.array(np.repeat(["pinner", *others], sizes).tolist()),
        "key": pa.concat_arrays(keys),
        "n_customers": np.arange(sum(sizes)) % 40,
        "n_effective": np.arange(sum(sizes)) % 40 / 3,
    }
    made_up = np.arange(sum(others.values())) * 1_000_000
    credited = [np.concatenate([earned[model], made_up]) for model in MODELS]
    return repeated(one) | {"credited_micros": np.concatenate(credited)}
