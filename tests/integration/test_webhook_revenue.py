"""Shop systems' webhooks through the real beacon and `pinsphere run`: one exact revenue.

Each site gets the same deliveries in another order, some of them three times.
"""

import contextlib
import os
import random
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pyarrow as pa
import pytest

from pipelines.flows.cuts import FileGroup
from pipelines.flows.reading import read_group
from pipelines.kernels.orders import settle_orders
from tests.shop_payloads import (
    MUGS_NET,
    ORDER_ID,
    adjustment,
    body_of,
    mugs,
    shopify_line,
    shopify_order,
    shopify_refund,
    shopify_refund_line,
    signed,
    vase,
    woocommerce_line,
    woocommerce_order,
)

ROOT = Path(__file__).parents[2]
SECRET = "of both shop systems"
LAMP_LINE, LAMPS_NET, LAMPS_BACK = 9003, 25_000_000, 20_000_000
ARRIVALS = ("straight", "backwards", "shuffled", "tripled", "shuffled-and-tripled")


class Delivery(NamedTuple):
    """One webhook: its topic, its id, and what it tells."""

    topic: str
    delivery_id: str
    payload: dict[str, Any]


def shopify_story(*, is_cancelled: bool) -> list[Delivery]:
    """Ordered, edited (a vase out, three lamps in), partly refunded twice, perhaps cancelled."""
    lamps = shopify_line(LAMP_LINE, "Lamp", 3, "10.00", "0.00", "5.00")
    edited = [mugs(), vase(current_quantity=0), lamps]
    one_mug = shopify_refund(shopify_refund_line(mugs(), 1, "9.99", "1.66"), refund_id=1)
    for_a_fee = shopify_refund(
        shopify_refund_line(lamps, 3, "30.00", "5.00"),
        refund_id=2,
        order_adjustments=[adjustment("5.00")],
        processed_at="2026-03-06T10:00:00Z",
    )

    def order(day: int, **fields: Any) -> dict[str, Any]:
        return shopify_order(updated_at=f"2026-03-{day:02}T10:00:00Z", **fields)

    refunded = [
        mugs(current_quantity=1),
        vase(current_quantity=0),
        {**lamps, "current_quantity": 0},
    ]
    both: dict[str, Any] = {"line_items": refunded, "refunds": [one_mug, for_a_fee]}
    told = [
        Delivery("orders/create", "a", shopify_order()),
        Delivery("orders/updated", "b", order(2, line_items=edited)),
        Delivery("refunds/create", "c", one_mug),
        Delivery("orders/updated", "d", order(5, line_items=edited, refunds=[one_mug])),
        Delivery("refunds/create", "e", for_a_fee),
        Delivery("orders/updated", "f", order(6, **both)),
    ]
    cancel = order(7, cancelled_at="2026-03-07T10:00:00Z", **both)
    return told + [Delivery("orders/cancelled", "g", cancel)] * is_cancelled


def woocommerce_story() -> list[Delivery]:
    """Ordered, paid, edited, refunded, cancelled, taken up again, half of it given back."""
    lines = [*woocommerce_order()["line_items"], woocommerce_line(3, "Lamp", 3, "25.00", "25.00")]
    whole = {"line_items": lines, "total": "79.80"}
    half = [{"id": 2, "total": "-39.90"}]

    def order(day: int, status: str, **fields: Any) -> dict[str, Any]:
        modified = f"2026-03-{day:02}T10:00:00"
        return woocommerce_order(status=status, date_modified_gmt=modified, **fields)

    return [
        Delivery("order.created", "same", woocommerce_order(status="pending")),
        Delivery("order.updated", "same", order(2, "processing")),
        Delivery("order.updated", "same", order(3, "processing", **whole)),
        Delivery("order.updated", "x", order(4, "completed", refunds=half[:0], **whole)),
        Delivery("order.updated", "y", order(5, "cancelled", **whole)),
        Delivery("order.updated", "z", order(6, "processing", refunds=half, **whole)),
    ]


STORIES = {
    "kept": ("shopify", shopify_story(is_cancelled=False)),
    "cancelled": ("shopify", shopify_story(is_cancelled=True)),
    "woo": ("woocommerce", woocommerce_story()),
}
# What each order is worth and what of it went back, in micros.
REVENUE = {
    "kept": (MUGS_NET + LAMPS_NET, MUGS_NET // 2 + LAMPS_BACK),
    "cancelled": (MUGS_NET + LAMPS_NET, MUGS_NET + LAMPS_NET),
    "woo": (62_500_000, 31_250_000),
}


def arranged(story: Sequence[Delivery], arrival: str) -> list[Delivery]:
    """The deliveries as a shop system may send them."""
    told = list(story) * (3 if "tripled" in arrival else 1)
    if arrival == "backwards":
        told.reverse()
    if "shuffled" in arrival:
        random.Random(arrival).shuffle(told)
    return told


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after all stories were told at its beacon, and one run."""
    home = tmp_path_factory.mktemp("home")
    sites = [f"{story}-{arrival}" for story in STORIES for arrival in ARRIVALS]
    lines = ["[beacon]", "min_free_percent = 0"]
    for site in sites:
        lines += [f"[sites.{site}]", f'key = "key-of-{site}"', 'currency = "GBP"']
        lines += ['shopify_secret_env = "SHOPS"', 'woocommerce_secret_env = "SHOPS"']
    (home / "pinsphere.toml").write_text("\n".join(lines))
    with beacon(home) as client:
        for site in sites:
            name, _, arrival = site.partition("-")
            kind, story = STORIES[name]
            for delivery in arranged(story, arrival):
                assert send(client, kind, site, delivery) == 204
    run = [sys.executable, "-m", "pinsphere", "run", "--home", str(home)]
    # The tables are looked at in the home's own file.
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    subprocess.run(run, check=True, cwd=ROOT, env=environment, capture_output=True)
    return home


@contextlib.contextmanager
def beacon(home: Path) -> Iterator[httpx.Client]:
    """`pinsphere beacon` on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "pinsphere",
        "beacon",
        "--home",
        str(home),
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "SHOPS": SECRET})
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        try:
            wait_until_ready(client)
            yield client
        finally:
            process.terminate()
            assert process.wait(timeout=30) == 0


def wait_until_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if client.get("/readyz").status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the beacon did not start within 20 seconds")


def send(client: httpx.Client, kind: str, site: str, delivery: Delivery) -> int:
    body = body_of(delivery.payload)
    prefix, signature, number = {
        "shopify": ("X-Shopify", "Hmac-SHA256", "Webhook-Id"),
        "woocommerce": ("X-WC-Webhook", "Signature", "Delivery-ID"),
    }[kind]
    headers = {
        f"{prefix}-{signature}": signed(SECRET, body),
        f"{prefix}-Topic": delivery.topic,
        f"{prefix}-{number}": delivery.delivery_id,
    }
    return client.post(f"/v1/webhooks/{kind}/{site}", content=body, headers=headers).status_code


def rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(home / "pinsphere.db")) as database:
        return database.execute(query).fetchall()


def test_the_revenue_is_exact_however_the_deliveries_come(home: Path) -> None:
    """A merchandiser's figures must not depend on what overtook what."""
    found = rows(
        home,
        "SELECT site_id, order_id, gross_micros, refunded_micros, net_micros FROM current_orders",
    )

    assert sorted(found) == sorted(
        (f"{name}-{arrival}", str(ORDER_ID), gross, refunded, gross - refunded)
        for name, (gross, refunded) in REVENUE.items()
        for arrival in ARRIVALS
    )


def test_each_line_stands_as_the_shop_last_told_it(home: Path) -> None:
    """The vase that an edit took out is in no line; the lamps that came in are."""
    found = rows(
        home,
        "SELECT DISTINCT line_id, item_id, quantity, gross_micros, refunded_micros"
        " FROM current_order_lines WHERE site_id LIKE 'kept-%' ORDER BY line_id",
    )

    assert found == [
        ("9001", "9101", 2, MUGS_NET, MUGS_NET // 2),
        ("9003", "9103", 3, LAMPS_NET, LAMPS_BACK),
    ]


def test_by_the_time_of_receipt_the_revenue_would_be_another(home: Path) -> None:
    """The control: what came last of `backwards` is what the shop told first."""
    found = {}
    for name in ("purchase", "refund"):
        files = (home / "lake" / name / "site=kept-backwards").rglob("*.parquet")
        events = read_group(FileGroup(name, tuple(map(str, files)), ""))[name]
        place = events.schema.get_field_index("updated_time_ms")
        unsaid = pa.nulls(len(events), pa.int64())
        found[name] = events.set_column(place, "updated_time_ms", unsaid)

    site = "kept-backwards"
    settled = settle_orders(
        found["purchase"], found["refund"], {site: "server"}, {site: "GBP"}
    ).orders.to_pylist()

    (order,) = settled
    gross = sum(line["gross_micros"] for line in order["lines"])
    assert gross != REVENUE["kept"][0]


def test_nothing_went_to_quarantine(home: Path) -> None:
    assert rows(home, "SELECT * FROM current_quarantine") == []
