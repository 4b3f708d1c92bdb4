"""The job in Beam as one would write it first: an element an event, a dictionary each."""

import bisect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.transforms.combiners import Count

WINDOW_MS = 30 * 86_400_000
CRAWLERS = ("bot", "pinterestbot")
Row = dict[str, Any]


def answer(home: Path, out: Path) -> None:
    """Does the job; writes `credits.parquet` and `items.parquet`."""
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        events = {name: _events(pipeline, home, name) for name in _KINDS}
        logins = (
            (events["identify"], events["purchase"])
            | beam.Flatten()
            | beam.Filter(lambda e: e["visitor_id"] and e["customer_id"])
            | "LoginByVisitor" >> beam.Map(lambda e: (e["visitor_id"], e))
        )
        stitched = {
            name: _stitch(name, events[name], logins) for name in ("pin", "pin_visit", "purchase")
        }
        landed = (
            {
                "pins": stitched["pin"] | "PinById" >> beam.Map(lambda e: (e["pin_id"], e)),
                "visits": stitched["pin_visit"]
                | beam.Filter(lambda e: e["pin_id"] is not None)
                | "VisitByPin" >> beam.Map(lambda e: (e["pin_id"], e)),
            }
            | "JoinPins" >> beam.CoGroupByKey()
            | beam.FlatMap(_land)
        )
        orders = (
            {
                "orders": stitched["purchase"]
                | "OrderById" >> beam.Map(lambda e: (e["order_id"], e)),
                "refunds": events["refund"]
                | "RefundById" >> beam.Map(lambda e: (e["order_id"], e)),
            }
            | "JoinRefunds" >> beam.CoGroupByKey()
            | beam.FlatMap(_settle)
        )
        credits = (
            {
                "touches": landed
                | beam.Filter(lambda t: t["person_id"] is not None)
                | "TouchByPerson" >> beam.Map(lambda t: (t["person_id"], t)),
                "orders": orders
                | beam.Filter(lambda o: o["person_id"] is not None)
                | "OrderByPerson" >> beam.Map(lambda o: (o["person_id"], o)),
            }
            | "JoinTouches" >> beam.CoGroupByKey()
            | beam.FlatMap(_credit)
        )
        sums = (
            credits
            | beam.FlatMap(_credit_keys)
            | "SumCredits" >> beam.CombinePerKey(sum)
            | beam.Map(lambda row: (row[0][0], row[0][1], row[0][2], row[1]))
        )
        _write(sums, ("dimension", "key", "model", "micros"), out / "credits.parquet")
        counts = (
            (
                events["view_item_list"]
                | beam.FlatMap(lambda e: [(i["item_id"], "views") for i in e["items"]]),
                landed | beam.FlatMap(_counted),
                credits
                | beam.Map(lambda c: (c["item_id"], f"orders {c['model']}", c["order_id"]))
                | beam.Distinct()
                | beam.Map(lambda c: (c[0], c[1])),
            )
            | "AllCounts" >> beam.Flatten()
            | beam.Filter(lambda c: c[0] is not None)
            | "CountItems" >> Count.PerElement()
            | "ItemRow" >> beam.Map(lambda row: (row[0][0], row[0][1], row[1]))
        )
        _write(counts, ("item_id", "what", "n"), out / "items.parquet")


_KINDS = {
    "pin_visit": ["visitor_id", "customer_id", "pin_id"],
    "pin": ["visitor_id", "customer_id", "pin_id", "item_id"],
    "identify": ["visitor_id", "customer_id", "action"],
    "purchase": ["visitor_id", "customer_id", "order_id", "items"],
    "refund": ["order_id", "items"],
    "view_item_list": ["items"],
}
_ENVELOPE = ["event_id", "event_time_ms", "sent_time_ms", "received_time_ms", "user_agent_class"]


def _events(pipeline: Any, home: Path, name: str) -> Any:
    pattern = str(home / "lake" / name / "*/*/*.parquet")
    return (
        pipeline
        | f"Read {name}" >> beam.io.ReadFromParquet(pattern, columns=_ENVELOPE + _KINDS[name])
        | f"ById {name}" >> beam.Map(lambda event: (event["event_id"], event))
        | f"GroupById {name}" >> beam.GroupByKey()
        | f"Once {name}" >> beam.Map(_first_received)
        | f"Humans {name}" >> beam.Filter(lambda e: e["user_agent_class"] not in CRAWLERS)
        | f"Time {name}" >> beam.Map(_with_time)
    )


def _first_received(group: tuple[str, Iterable[Row]]) -> Row:
    return min(group[1], key=lambda event: event["received_time_ms"])


def _with_time(event: Row) -> Row:
    sent = event["sent_time_ms"]
    error = 0 if sent is None else event["received_time_ms"] - sent
    return event | {"at": event["event_time_ms"] + error}


def _stitch(name: str, events: Any, logins: Any) -> Any:
    known = events | f"Known {name}" >> beam.Filter(lambda e: e["visitor_id"] is not None)
    nobody = events | f"Unknown {name}" >> beam.Filter(lambda e: e["visitor_id"] is None)
    by_visitor = known | f"ByVisitor {name}" >> beam.Map(lambda e: (e["visitor_id"], e))
    joined = (
        {"events": by_visitor, "logins": logins}
        | f"JoinLogins {name}" >> beam.CoGroupByKey()
        | f"Stitch {name}" >> beam.FlatMap(_people)
    )
    named = nobody | f"Named {name}" >> beam.Map(lambda e: e | {"person_id": e["customer_id"]})
    return (joined, named) | f"People {name}" >> beam.Flatten()


def _people(group: tuple[str, dict[str, Iterable[Row]]]) -> Iterator[Row]:
    visitor, rows = group
    logins = sorted((login["at"], login["customer_id"]) for login in rows["logins"])
    times = [at for at, _ in logins]
    for event in rows["events"]:
        person = event["customer_id"]
        if person is None and logins:
            place = bisect.bisect_right(times, event["at"]) - 1
            if place < 0:
                place = bisect.bisect_right(times, times[0]) - 1
            person = logins[place][1]
        yield event | {"person_id": person or f"v:{visitor}"}


def _land(group: tuple[str, dict[str, Iterable[Row]]]) -> Iterator[Row]:
    for pin in group[1]["pins"]:
        for touch in (pin, *group[1]["visits"]):
            yield {
                "person_id": touch["person_id"],
                "event_id": touch["event_id"],
                "at": touch["at"],
                "pin_id": pin["pin_id"],
                "pinner_id": pin["person_id"],
                "item_id": pin["item_id"],
                "is_pin": touch is pin,
            }


def _settle(group: tuple[str, dict[str, Iterable[Row]]]) -> Iterator[Row]:
    refunded: dict[str, int] = {}
    for refund in group[1]["refunds"]:
        for item in refund["items"]:
            line = item["line_id"]
            refunded[line] = refunded.get(line, 0) + item["amount_micros"]
    for order in group[1]["orders"]:
        nets = [
            item["quantity"] * item["price_micros"]
            - item["discount_micros"]
            - refunded.get(item["line_id"], 0)
            for item in order["items"]
        ]
        yield {
            "person_id": order["person_id"],
            "order_id": order["order_id"],
            "at": order["at"],
            "nets": nets,
        }


def _credit(group: tuple[str, dict[str, Iterable[Row]]]) -> Iterator[Row]:
    touches = sorted(group[1]["touches"], key=lambda touch: (touch["at"], touch["event_id"]))
    for order in group[1]["orders"]:
        path = [t for t in touches if 0 <= order["at"] - t["at"] <= WINDOW_MS]
        if not path:
            continue
        once = [
            touch
            for touch, after in zip(path, [*path[1:], None], strict=True)
            if after is None or after["pin_id"] != touch["pin_id"]
        ]
        for net in order["nets"]:
            whole, left = divmod(net, len(once))
            shares = [
                ("first", path[0], net),
                ("last", path[-1], net),
                *(("linear", t, whole + (place < left)) for place, t in enumerate(once)),
            ]
            for model, touch, micros in shares:
                yield {
                    "model": model,
                    "order_id": order["order_id"],
                    "pinner_id": touch["pinner_id"],
                    "item_id": touch["item_id"],
                    "micros": micros,
                }


def _credit_keys(row: Row) -> Iterator[tuple[tuple[str, str, str], int]]:
    for dimension, column in (("pinner", "pinner_id"), ("product", "item_id")):
        if row[column] is not None:
            yield (dimension, row[column], row["model"]), row["micros"]


def _counted(touch: Row) -> Iterator[tuple[str, str]]:
    if touch["is_pin"]:
        yield touch["item_id"], "pins"
    elif touch["person_id"] is None or touch["person_id"] != touch["pinner_id"]:
        yield touch["item_id"], "pin_visits"


def _write(rows: Any, names: tuple[str, ...], path: Path) -> None:
    label = path.stem
    _ = (
        rows
        | f"One {label}" >> beam.Map(lambda row: (0, row))
        | f"Gather {label}" >> beam.GroupByKey()
        | f"Write {label}" >> beam.Map(lambda group: _write_table(group[1], names, str(path)))
    )


def _write_table(rows: Iterable[tuple[Any, ...]], names: tuple[str, ...], path: str) -> None:
    columns = zip(*rows, strict=True)
    pq.write_table(pa.table(dict(zip(names, map(list, columns), strict=True))), path)
