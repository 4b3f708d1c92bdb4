"""A home, a file given to it, and what the lake holds then: for tests of order imports."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.io.import_orders import Imported, import_orders
from pipelines.io.lake import lake_files
from schemas.home import Home

NOW = 1_798_761_600_000  # 2027: all that these tests order lies behind
HEADER = "order_id,ordered_at,customer_id,item_id,quantity,price"


def make_home(path: Path, time_zone: str = "Europe/London") -> Home:
    path.mkdir(exist_ok=True)
    home = Home(path)
    home.settings_file.write_text(
        f'[sites.acme]\nkey = "acme-key"\ncurrency = "GBP"\ntime_zone = "{time_zone}"\n',
        encoding="utf-8",
    )
    return home


def give(home: Home, text: str | bytes, name: str = "orders.csv", **options) -> Imported:
    path = home.path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return import_orders(home, [path], site="acme", now_ms=NOW, **options)


def rows(home: Home, event_name: str) -> list[dict[str, Any]]:
    """All events of one name in the lake, without ids that depend on the file."""
    found = [
        row
        for file in lake_files(home)
        if file.event_name == event_name
        for row in pq.read_table(file.path, partitioning=None).to_pylist()
    ]
    key = "refund_id" if event_name == "refund" else "order_id"
    return sorted(({**row, "event_id": ""} for row in found), key=lambda row: row[key])


def lines(home: Home) -> list[tuple[Any, ...]]:
    return [
        (order["order_id"], item["line_id"], item["quantity"], item["price_micros"])
        for order in rows(home, "purchase")
        for item in order["items"]
    ]
