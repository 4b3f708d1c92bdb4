"""Shopify writes straight into Pub/Sub: its orders end in tables, its nonsense in quarantine."""

import sqlite3
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.flows.run import run
from pipelines.io import deliveries
from pipelines.io.drain import Drained
from pipelines.io.lake import lake_files
from pipelines.io.quarantine import read_rejects
from schemas.avro import encode_batch
from schemas.errors import SettingsError
from schemas.home import Home
from schemas.shopify import read_shopify
from tests.integration.archiving import Line, ids, touch
from tests.shop_payloads import (
    MUGS_NET,
    VASE_NET,
    body_of,
    mugs,
    shopify_order,
    shopify_refund,
    shopify_refund_line,
)

ORDER = body_of(shopify_order())
REFUND = body_of(shopify_refund(shopify_refund_line(mugs(), 2, "19.99", "3.33")))


@pytest.fixture
def line(fake_pubsub, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.pubsub_fake.PULL_SECONDS", 0.2)
    line = Line(tmp_path / "home", shopify=True)
    yield line
    line.close()


def deliver(
    line: Line, body: bytes, topic: str = "orders/create", to: str = "shopify", **more: str
) -> None:
    """One delivery as Shopify makes it."""
    attributes = {
        "X-Shopify-Topic": topic,
        "X-Shopify-Shop-Domain": "mugs.myshopify.com",
        "X-Shopify-API-Version": "2026-07",
        "X-Shopify-Webhook-Id": "b1234567-0000-4000-8000-000000000001",
        "X-Shopify-Triggered-At": "2026-03-01T09:00:01.000000000Z",
    }
    line.publish(body, topic=to, **attributes, **more)


def query(home: Home, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(home.path / "pinsphere.db") as database:
        return database.execute(sql).fetchall()


def test_orders_and_refunds_end_in_the_tables_and_batches_too(line):
    """A merchandiser sees Shopify's orders beside the pins that the beacon took."""
    deliver(line, ORDER)
    deliver(line, REFUND, "refunds/create")
    deliver(line, ORDER)  # at least once, says Shopify
    line.publish(encode_batch([touch("e1")], []))

    run(line.home, code_version="test", shards=2)

    assert query(line.home, "SELECT site_id, order_id, net_micros FROM current_orders") == [
        ("shopi", "5001", VASE_NET)
    ]
    gross = "SELECT SUM(gross_micros) FROM current_order_lines"
    assert query(line.home, gross) == [(MUGS_NET + VASE_NET,)]
    assert "e1" in ids(line.home)


def test_a_delivery_is_the_shops_own_word(line):
    """IAM lets nobody but Shopify publish there: as good as a signature."""
    deliver(line, ORDER)
    line.drain()

    (file,) = lake_files(line.home)
    (row,) = pq.read_table(file.path, partitioning=None).to_pylist()
    assert (row["site_id"], row["source"], row["is_signed"]) == ("shopi", "webhook", True)
    assert row["event_id"].startswith("b1234567-0000-4000-8000-000000000001")
    assert row["received_time_ms"] is not None


def test_what_is_no_order_goes_to_quarantine_without_anything_personal(line):
    """The buyer's address is nobody's business, not even in a broken payload."""
    deliver(line, body_of(shopify_order(currency="pounds", email="ann@example.com")))
    deliver(line, b"not JSON, ann@example.com")
    deliver(line, ORDER)

    assert line.drain().events == 1

    rejects = list(read_rejects(line.home))
    assert {reject.site_id for reject in rejects} == {"shopi"}
    assert sorted(reject.reason[:20] for reject in rejects) == [
        "Expected `str` of le",
        "the payload is not J",
    ]
    written = b"".join(path.read_bytes() for path in line.home.quarantine.rglob("*.*"))
    assert b"ann@example.com" not in written
    assert line.drain() == Drained()


def test_an_order_of_days_to_come_goes_to_quarantine(line):
    """The newest day decides who is away: one order dated 2062 would make strangers of all."""
    deliver(line, body_of(shopify_order(processed_at="2062-03-01T10:00:05Z")))

    assert line.drain() == Drained(rejects=1)
    reason = next(read_rejects(line.home)).reason
    assert reason == "event_time_ms 2908432805000 is more than a day ahead of now"


def test_a_payload_that_breaks_the_translation_stops_no_other(line, monkeypatch):
    """A subscription without dead letters would bring it back for ever."""
    read = read_shopify

    def breaks(topic, body, item_id_from):
        if b"odd" in body:
            raise ZeroDivisionError("by nothing")
        return read(topic, body, item_id_from)

    monkeypatch.setattr(deliveries, "read_shopify", breaks)
    deliver(line, b'{"odd": true}')
    deliver(line, ORDER)

    assert line.drain() == Drained(events=1, rejects=1, files=1)
    assert next(read_rejects(line.home)).reason == "ZeroDivisionError: by nothing"


def test_topics_that_tell_of_no_sale_are_passed_over(line):
    deliver(line, b"{}", "products/update")

    assert line.drain() == Drained()
    assert line.pull(name="shopify") == []


def test_a_batch_of_ours_is_no_delivery_of_shopifys(line):
    """Whoever may write to Shopify's topic may state orders of that one site, nothing else."""
    line.publish(encode_batch([touch("e1")], []), topic="shopify")
    deliver(line, encode_batch([touch("e1")], []))

    done = line.drain()

    assert (done.events, done.rejects) == (0, 2)


def test_shopifys_dead_letters_are_still_shopifys(line):
    """Orders that outlived an outage among the dead letters are orders."""
    line.subscribe("pinsphere-dead-letter", "pinsphere-dead-letter")
    dead = {
        "CloudPubSubDeadLetterSourceSubscription": "shopify",
        "CloudPubSubDeadLetterSourceSubscriptionProject": line.project,
    }
    deliver(line, ORDER, to="pinsphere-dead-letter", **dead)

    done = line.drain(subscription="pinsphere-dead-letter")

    assert done == Drained(events=1, rejects=0, files=1)


def test_a_shop_with_a_spool_and_shopifys_deliveries_has_both(line):
    """Without [pubsub] the spool is drained directly, and Shopify by its full name."""
    text = line.home.settings_file.read_text()
    name = line.subscription("shopify")
    text = text.partition("\n[sites")[2].replace(
        '_subscription = "shopify"', f'_subscription = "{name}"'
    )
    line.home.settings_file.write_text(f"[sites{text}")
    deliver(line, ORDER)

    assert run(line.home, code_version="test", shards=2).drained == 1


def test_a_short_name_without_a_project_is_told(line):
    text = line.home.settings_file.read_text().partition("\n[sites")[2]
    line.home.settings_file.write_text(f"[sites{text}")

    with pytest.raises(SettingsError, match="subscription 'shopify': set project in"):
        run(line.home, code_version="test", shards=2)
