"""A shop whose Cleo wants to be forgotten, and a search for what is left of her."""

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from beacon.spool_file import Entry, SpoolFile
from pipelines.io.drain import drain_spool
from pipelines.io.lake import LakeFile, lake_files
from pipelines.io.quarantine import write_rejects
from schemas.home import Home
from schemas.spool import Reject, text_of

DAY_MS = 86_400_000
MONDAY_MS = 1_790_000_000_000
NOW_MS = MONDAY_MS + 30 * DAY_MS
SETTINGS = """
spool_keep_days = 3650

[sites.acme]
key = "acme-public-key"
currency = "GBP"
"""
CLEO, DORA = "customer-cleo", "customer-dora"
PHONE, TABLET, SHARED = "visitor-cleo-phone", "visitor-cleo-tablet", "visitor-family"
EMAIL, SESSION = "c1e0" * 16, "session-of-cleo"
# What may be found nowhere once she is forgotten.
NAMES = (CLEO, PHONE, TABLET, EMAIL, SESSION, "click-of-cleo", "guid-of-cleo", "network-of-cleo")


def mug(order_id: str, **fields: object) -> dict[str, object]:
    item = {"line_id": "1", "item_id": "mug", "quantity": 1, "price": "10.00"}
    return {"order_id": order_id, "currency": "GBP", "items": [item], **fields}


def story() -> list[dict[str, Any]]:
    """Anna pins; Cleo follows, pins on and buys; Ben follows Cleo and buys; a family shares."""
    cleo = {"visitor_id": PHONE, "session_id": SESSION, "network_hash": "network-of-cleo"}
    account = f"https://shop.example/p/mug?customer={CLEO}"
    told: list[tuple[str, float, dict[str, object]]] = [
        ("pin", 0, {"visitor_id": "visitor-anna", "pin_id": "pin-a", "item_id": "mug"}),
        ("pin_visit", 1, {**cleo, "pin_id": "pin-a", "click_id": "click-of-cleo"}),
        (
            "pin",
            1.1,
            {
                **cleo,
                "pin_id": "pin-c",
                "parent_pin_id": "pin-a",
                "root_pin_id": "pin-a",
                "item_id": "mug",
                "item_list_id": f"for-{CLEO}",
                "pinterest_guid": "guid-of-cleo",
                "page_location": account,
            },
        ),
        ("identify", 1.2, {**cleo, "customer_id": CLEO, "email_sha256": EMAIL}),
        ("identify", 1.3, {"visitor_id": TABLET, "email_sha256": EMAIL}),
        ("purchase", 2, mug("o-cleo", customer_id=CLEO, visitor_id=PHONE)),
        ("view_item", 2.1, {"visitor_id": TABLET, "item_id": "mug", "page_referrer": account}),
        ("pin_visit", 3, {"visitor_id": "visitor-ben", "pin_id": "pin-c"}),
        ("purchase", 4, mug("o-ben", visitor_id="visitor-ben", page_referrer=account)),
        ("identify", 5, {"visitor_id": SHARED, "customer_id": DORA}),
        ("pin_visit", 5.1, {"visitor_id": SHARED, "pin_id": "pin-a"}),
        ("purchase", 5.2, mug("o-dora", visitor_id=SHARED, customer_id=DORA)),
        ("identify", 6, {"visitor_id": SHARED, "customer_id": CLEO}),
        ("pin_visit", 6.1, {"visitor_id": SHARED, "pin_id": "pin-a"}),
        ("identify", 7, {"visitor_id": SHARED, "customer_id": DORA}),
        ("pin_visit", 7.1, {"visitor_id": SHARED, "pin_id": "pin-c"}),
        ("refund", 8, {"refund_id": "r-1", "order_id": "o-ben", "amount": "1.00"}),
    ]
    return [
        {
            "event_name": name,
            "event_id": f"event-{number:02}",
            "event_time_ms": MONDAY_MS + round(day * DAY_MS),
            "received_time_ms": MONDAY_MS + round(day * DAY_MS),
            "site_id": "acme",
            "is_signed": name in {"purchase", "refund"},
            **fields,
        }
        for number, (name, day, fields) in enumerate(told)
    ]


class Shop:
    """A home directory with a spool that a beacon still holds open."""

    def __init__(self, path: Path, settings: str = SETTINGS) -> None:
        self.home = Home(path)
        self.home.spool.mkdir(parents=True)
        self.home.settings_file.write_text(settings)
        self.spool = SpoolFile.create(self.home.spool)

    def send(self, *events: dict[str, Any]) -> None:
        """One request each, as the beacon stores them."""
        self.spool.commit(
            [Entry(event["received_time_ms"], msgspec.json.encode([event])) for event in events]
        )

    def refuse(self, record: str, name: str) -> None:
        """Puts a record into quarantine."""
        reject = Reject(
            reject_id=name, site_id="acme", received_time_ms=MONDAY_MS, origin="beacon",
            place="events[0]", reason=f"customer_id '{CLEO}' is wrong", record=record,
        )  # fmt: skip
        write_rejects(self.home, [reject], name)

    def close(self) -> None:
        self.spool.close()


def places(home: Home, names: Iterable[str] = NAMES, dumps: Sequence[bytes] = ()) -> list[str]:
    """Files below a home in which one of the names stands, compressed pages and rows too."""
    needles = [name.encode() for name in names]
    found = []
    for path in sorted(home.path.rglob("*")):
        if path.is_dir():
            continue
        content = path.read_bytes()
        if content.startswith(b"PAR1"):
            content += repr(pq.ParquetFile(path).read().to_pylist()).encode()
        if path.suffix == ".spool":
            content += b"".join(_spool_texts(path))
        if any(needle in content for needle in needles):
            found.append(path.relative_to(home.path).parts[0])
    found += ["dump" for dump in dumps if any(needle in dump for needle in needles)]
    return sorted(set(found))


def _spool_texts(path: Path) -> list[bytes]:
    """What the rows say, read from a copy: a reader would fold the log into the file."""
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copy(file, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / path.name)) as spool:
            rows = spool.execute("SELECT CAST(events AS BLOB) FROM requests").fetchall()
    return [text_of(content) for (content,) in rows]


def rows(home: Home, query: str) -> list[tuple[Any, ...]]:
    """Answers of the embedded database."""
    connection = sqlite3.connect(home.path / "pinsphere.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def drained(shop: Shop, *events: dict[str, Any]) -> list[LakeFile]:
    shop.send(*events)
    drain_spool(shop.home, shop.home.settings())
    return lake_files(shop.home)


def said(shop: Shop, *columns: str) -> list[tuple[Any, ...]]:
    """Columns of the lake's events, by event id."""
    rows = [
        row
        for file in lake_files(shop.home)
        for row in pq.ParquetFile(file.path).read().to_pylist()
    ]
    return [tuple(row.get(name) for name in columns) for row in sorted(rows, key=_id)]


def _id(row: dict[str, Any]) -> str:
    return str(row["event_id"])


def view(number: int, **fields: Any) -> dict[str, Any]:
    at = MONDAY_MS + number * 1000
    return {
        "event_name": "view_item", "event_id": f"view-{number:02}", "site_id": "acme",
        "event_time_ms": at, "received_time_ms": at, "item_id": "mug", **fields,
    }  # fmt: skip


def login(number: int, **fields: Any) -> dict[str, Any]:
    return {**view(number, **fields), "event_name": "identify"}
