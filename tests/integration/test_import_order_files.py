"""Order lines from files of every kind: the lake is the same, and keeps the contract."""

import csv
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.io.import_orders import Imported, import_orders
from pipelines.io.quarantine import read_rejects
from schemas.contract import decode_event
from schemas.home import Home
from schemas.money import format_money
from tests.integration.order_imports import NOW, give, make_home, rows


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


def some_orders(count: int = 300) -> list[dict[str, Any]]:
    chance = random.Random(7)
    return [
        {
            "order_id": f"o{chance.randrange(60)}",
            "ordered_at": f"2026-{chance.randrange(1, 13):02d}-03 {chance.randrange(24):02d}:30:00",
            "item_id": chance.choice(["mug", "cup, blue", 'jug "L"', "two\nlines", "ü"]),
            "quantity": chance.choice([1, 2, 12, -1]),
            "price": f"{chance.randrange(5000) / 100:.2f}",
            "visitor_id": None,
        }
        for _ in range(count)
    ]


def as_csv(orders: list[dict[str, Any]], path: Path, delimiter: str = ",", bom: str = "") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(bom)
        writer = csv.DictWriter(file, orders[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(orders)
    return path


def as_jsonl(orders: list[dict[str, Any]], path: Path) -> Path:
    # Half of the prices as JSON numbers.
    for place, order in enumerate(orders[::2]):
        orders[place * 2] = {**order, "price": float(order["price"])}
    path.write_text("".join(json.dumps(order) + "\n" for order in orders), encoding="utf-8")
    return path


def as_parquet(orders: list[dict[str, Any]], path: Path, price: pa.DataType) -> Path:
    def typed(value: str) -> object:
        return float(value) if pa.types.is_floating(price) else Decimal(value)

    columns = {name: [order[name] for order in orders] for name in orders[0]}
    columns["price"] = pa.array([typed(value) for value in columns["price"]], price)
    times = pa.array([f"{moment}" for moment in columns["ordered_at"]])
    columns["ordered_at"] = times.cast(pa.timestamp("ns"))
    columns["item_id"] = pa.array(columns["item_id"]).dictionary_encode()
    pq.write_table(pa.table(columns), path)
    return path


def test_all_kinds_of_file_give_the_same_rows(tmp_path):
    """However a shop exports its orders, the lake is the same."""
    orders = some_orders()
    files = [
        as_csv(orders, tmp_path / "comma.csv"),
        as_csv(orders, tmp_path / "semicolon.csv", ";", "\ufeff"),
        as_csv(orders, tmp_path / "tab.tsv", "\t"),
        as_jsonl(orders[:], tmp_path / "lines.jsonl"),
        as_parquet(orders, tmp_path / "decimal.parquet", pa.decimal128(12, 3)),
        as_parquet(orders, tmp_path / "wide.parquet", pa.decimal128(30, 12)),
        as_parquet(orders, tmp_path / "float.parquet", pa.float64()),
    ]
    results = []
    for place, file in enumerate(files):
        home = make_home(tmp_path / f"home{place}")
        imported = import_orders(home, [file], site="acme", now_ms=NOW)
        results.append((imported, rows(home, "purchase"), rows(home, "refund")))

    assert results[0][0].quarantined == 0
    assert results[0][0].read == 300
    for result in results[1:]:
        assert result == results[0]


def test_what_is_imported_keeps_the_contract_of_events(home):
    """Columnar rows skip the event structs; read back as events they must pass every check."""
    import_orders(home, [as_csv(some_orders(), home.path / "a.csv")], site="acme", now_ms=NOW)

    def as_wire(row: dict[str, Any]) -> dict[str, Any]:
        wire = {name: value for name, value in row.items() if value is not None}
        for name in [name for name in wire if name.endswith("_micros")]:
            wire[name.removesuffix("_micros")] = format_money(wire.pop(name))
        return wire

    for event_name in ("purchase", "refund"):
        for row in rows(home, event_name):
            wire = as_wire(row) | {"event_name": event_name, "event_id": "e"}
            wire["items"] = [as_wire(item) for item in row["items"]]
            decode_event(json.dumps(wire).encode())


def test_lines_are_named_within_their_order_only(tmp_path):
    """Orders shuffled among each other, and cut into two files, give the same lines."""
    orders = sorted(some_orders(), key=lambda order: order["order_id"])
    shuffled = orders[:]
    chance = random.Random(3)
    groups: dict[str, list[dict[str, Any]]] = {}
    for order in orders:
        groups.setdefault(order["order_id"], []).append(order)
    waiting = [group[:] for group in groups.values()]
    shuffled = []
    while waiting:
        group = chance.choice(waiting)
        shuffled.append(group.pop(0))
        waiting = [group for group in waiting if group]
    one, two = make_home(tmp_path / "one"), make_home(tmp_path / "two")

    import_orders(one, [as_csv(orders, tmp_path / "a.csv")], site="acme", now_ms=NOW)
    parts = [as_csv(shuffled[:99], tmp_path / "b.csv"), as_csv(shuffled[99:], tmp_path / "c.csv")]
    import_orders(two, parts, site="acme", now_ms=NOW)

    assert shuffled != orders
    assert rows(one, "purchase") == rows(two, "purchase")
    assert rows(one, "refund") == rows(two, "refund")


def test_a_json_line_that_is_no_row_spares_its_neighbours(home):
    good = {"order_id": 7, "ordered_at": "2026-03-01", "item_id": "m", "quantity": 1, "price": 1.10}
    bad = ["[1]", "{", json.dumps({**good, "item_id": ["m"]}), json.dumps({**good, "price": True})]
    text = "\n".join([json.dumps(good), *bad, json.dumps(good)])

    assert give(home, text, "orders.jsonl") == Imported(6, 1, 2, 0, 0, 4)

    rejects = list(read_rejects(home))
    assert [reject.place for reject in rejects] == [f"orders.jsonl line {n}" for n in range(2, 6)]
    assert [reject.record for reject in rejects] == bad
    assert rejects[2].reason == "item_id is neither text nor a number"


def test_a_bad_parquet_row_is_shown_as_json(home):
    table = {"order_id": ["a", "b"], "item_id": ["m", "m"], "quantity": [1, 0], "price": [1, 1]}
    pq.write_table(pa.table({**table, "ordered_at": [NOW, NOW]}), home.path / "x.parquet")

    import_orders(home, [home.path / "x.parquet"], site="acme", now_ms=NOW)

    (reject,) = read_rejects(home)
    assert reject.place == "x.parquet line 2"
    assert json.loads(reject.record)["order_id"] == "b"
