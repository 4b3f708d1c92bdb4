"""Shop systems' webhooks against the real server: who is believed, what is kept, what is told."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from beacon.collect import Taken
from beacon.intake import Intake, Sender
from beacon.webhooks import Webhooks, _Delivery
from beacon.wire import Response
from schemas.signature import sign
from tests.shop_payloads import (
    body_of,
    mugs,
    shopify_line,
    shopify_order,
    shopify_refund,
    shopify_refund_line,
    signed,
    woocommerce_order,
)

SHOPIFY, WOOCOMMERCE = "/v1/webhooks/shopify/acme", "/v1/webhooks/woocommerce/acme"
# (address, header with the signature, header with the topic, header with the delivery, topic)
KINDS = {
    "shopify": (
        SHOPIFY, "X-Shopify-Hmac-SHA256", "X-Shopify-Topic", "X-Shopify-Webhook-Id",
        "orders/create",
    ),
    "woocommerce": (
        WOOCOMMERCE, "X-WC-Webhook-Signature", "X-WC-Webhook-Topic", "X-WC-Webhook-Delivery-ID",
        "order.created",
    ),
}  # fmt: skip
ORDERS = {"shopify": body_of(shopify_order()), "woocommerce": body_of(woocommerce_order())}
Deliver = Callable[..., httpx.Response]
NOON = 1_790_000_000_000


@pytest.fixture
def deliver(server: Any) -> Deliver:
    """Sends a webhook as the shop system does; `secret=None` leaves the signature out."""

    def send(kind: str, body: bytes | None = None, **given: Any) -> httpx.Response:
        path, by, about, number, topic = KINDS[kind]
        content = ORDERS[kind] if body is None else body
        secret = given.get("secret", server.secret)
        headers = {
            "content-type": "application/json",
            about: given.get("topic", topic),
            number: given.get("delivery", "delivery-1"),
        }
        if secret is not None:
            headers[by] = given.get("signature") or signed(secret, content)
        return server.client.post(given.get("path", path), content=content, headers=headers)

    return send


@pytest.fixture
def fresh(server: Any, stored: Any) -> Callable[[], list[dict[str, Any]]]:
    """The events stored since the test began."""
    before = len(stored(server.spool))
    return lambda: stored(server.spool)[before:]


@pytest.mark.parametrize("kind", KINDS)
def test_a_signed_order_is_stored_as_the_shops_word(
    kind: str, deliver: Deliver, fresh: Callable[[], list[dict[str, Any]]]
) -> None:
    """Its revenue counts without a server of the merchant's own."""
    assert deliver(kind).status_code == 204

    order = fresh()[0]
    assert (order["event_name"], order["order_id"]) == ("purchase", "5001")
    assert (order["site_id"], order["source"], order["is_signed"]) == ("acme", "webhook", True)
    assert order["visitor_id"] == "visitor-of-ann"
    assert order["event_id"].startswith("delivery-1-")
    assert "network_hash" not in order
    assert abs(order["received_time_ms"] - time.time() * 1000) < 60_000


@pytest.mark.parametrize("kind", KINDS)
def test_two_secrets_live_while_one_is_changed(kind: str, server: Any, deliver: Deliver) -> None:
    """No delivery is lost on the day a merchant changes the secret; the third is refused."""
    assert deliver(kind, secret=server.secret).status_code == 204
    assert deliver(kind, secret=server.next_secret).status_code == 204
    assert deliver(kind, secret="another").status_code == 401


def test_two_secrets_live_for_signed_calls_too(server: Any) -> None:
    body = b'{"site_key": "acme-public-key", "events": []}'

    def post(secret: str) -> int:
        headers = {
            "content-type": "application/json",
            "x-pinsphere-signature": sign(secret, body, int(time.time())),
        }
        return int(server.client.post("/v1/orders", content=body, headers=headers).status_code)

    answers = [post(secret) for secret in (server.secret, server.next_secret, "another")]
    assert answers == [204, 204, 401]


@pytest.mark.parametrize("kind", KINDS)
def test_strangers_are_all_told_the_same(kind: str, deliver: Deliver) -> None:
    """Whoever guesses may not learn which shops are here, nor which have no secret."""
    folder = KINDS[kind][0].removesuffix("acme")
    answers = [
        deliver(kind, secret=None),
        deliver(kind, secret="guess"),
        deliver(kind, signature="x" * 44),
        deliver(kind, signature=b"\xfc" * 44),
        deliver(kind, signature="short"),
        deliver(kind, path=f"{folder}open"),  # has no secret
        deliver(kind, path=f"{folder}nobody"),
        deliver(kind, path=folder),
        deliver(kind, path=f"{folder}nobody", secret=""),
    ]

    assert {(answer.status_code, answer.text) for answer in answers} == {
        (401, answers[0].text),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_body_is_refused(kind: str, server: Any, deliver: Deliver) -> None:
    """The control: the signature is of the body, each byte of it."""
    body = ORDERS[kind]
    changed = body.replace(b"GBP", b"JPY")

    assert deliver(kind, changed, signature=signed(server.secret, changed)).status_code == 204
    assert deliver(kind, changed, signature=signed(server.secret, body)).status_code == 401


@pytest.mark.parametrize("kind", KINDS)
def test_a_topic_of_no_use_is_counted_and_forgotten(
    kind: str, server: Any, deliver: Deliver, fresh: Callable[[], list[dict[str, Any]]]
) -> None:
    """Subscribed to by mistake, it must not be sent again and again."""
    line = 'pinsphere_beacon_events_total{outcome="ignored",site="acme",source="webhook"}'
    before = server.metric(line)

    assert deliver(kind, topic="products/update").status_code == 204

    assert fresh() == []
    assert server.metric(line) == before + 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_payload_that_cannot_be_read_goes_to_quarantine(
    kind: str,
    server: Any,
    deliver: Deliver,
    quarantined: Callable[[Path], list[dict[str, Any]]],
) -> None:
    """Refused, it would come again for hours, and then nothing would come any more."""
    body = ORDERS[kind].replace(b'"GBP"', b'"pound"')

    answer = deliver(kind, body, delivery="bad-1")

    assert answer.status_code == 200
    reject = quarantined(server.spool)[-1]
    assert answer.json()["quarantined"] == [{"index": 0, "reason": reject["reason"]}]
    assert (reject["site_id"], reject["origin"]) == ("acme", KINDS[kind][0].removesuffix("/acme"))
    assert reject["place"].endswith(" bad-1")
    assert '"line_items"' in reject["record"]
    assert "ann@example.com" not in reject["record"]
    assert "High St" not in reject["record"]


class Kept:
    """Stands in for the collector: what it is given to store."""

    def __init__(self) -> None:
        self.intakes: list[Intake] = []

    def check_room(self) -> None:
        """There is."""

    async def keep(self, taken: Taken) -> Response:
        self.intakes.append(taken.intake)
        return Response(200)


def test_a_payload_that_breaks_the_translation_goes_to_quarantine_too() -> None:
    """After some 500s the shop system would send nothing more, this time for a fault of ours."""
    kept, sender = Kept(), Sender("acme", "webhook", "/v1/webhooks/shopify/acme", NOON)
    webhooks: Any = object.__new__(Webhooks)
    webhooks._collector = kept

    def breaks() -> list[Any]:
        raise ZeroDivisionError("by nothing")

    delivery = _Delivery(sender, "orders/create", "odd-1", b"{}")
    answer = asyncio.run(webhooks._keep(delivery, breaks, lambda body: body))

    assert answer.status == 200
    (rejected,) = kept.intakes[0].rejected
    assert rejected.reject.reason == "ZeroDivisionError: by nothing"


@pytest.mark.parametrize("kind", KINDS)
def test_a_delivery_that_comes_again_has_the_same_event_ids(
    kind: str, deliver: Deliver, fresh: Callable[[], list[dict[str, Any]]]
) -> None:
    """The pipeline keeps one of them, whenever the second comes."""
    for _ in range(2):
        assert deliver(kind).status_code == 204

    ids = [event["event_id"] for event in fresh()]
    assert ids[: len(ids) // 2] == ids[len(ids) // 2 :]
    assert len(set(ids)) == len(ids) // 2


def test_two_orders_of_one_second_are_told_apart(
    deliver: Deliver, fresh: Callable[[], list[dict[str, Any]]]
) -> None:
    """WooCommerce makes a delivery's id of the webhook and the second: it may name two orders."""
    for order_id in (1, 2):
        deliver("woocommerce", body_of(woocommerce_order(id=order_id)), delivery="same")

    assert len({event["event_id"] for event in fresh()}) == 4


def test_an_order_with_refunds_becomes_several_events(
    deliver: Deliver, fresh: Callable[[], list[dict[str, Any]]]
) -> None:
    refunds = [
        shopify_refund(shopify_refund_line(mugs(), 1, "9.99", "1.66"), refund_id=number)
        for number in range(150)
    ]
    delivery = "b54557e4-0c2e-4d1c-8a9f-1d1f1f9e9d8e"

    answer = deliver("shopify", body_of(shopify_order(refunds=refunds)), delivery=delivery)

    assert answer.status_code == 204
    events = fresh()
    assert [event["event_name"] for event in events] == ["purchase"] + ["refund"] * 150
    assert len({event["event_id"] for event in events}) == 151
    assert all(len(event["event_id"]) <= 64 for event in events)


def test_a_large_order_is_taken_whole(
    deliver: Deliver, fresh: Callable[[], list[dict[str, Any]]]
) -> None:
    """A wholesaler's order of 900 lines is far above the limit of other calls."""
    lines = [shopify_line(n + 1, "Mug", 2, "12.00", "4.01", "3.33") for n in range(900)]
    body = body_of(shopify_order(line_items=lines))
    assert len(body) > 1_000_000

    assert deliver("shopify", body).status_code == 204

    assert len(fresh()[0]["items"]) == 900


@pytest.mark.parametrize("kind", KINDS)
def test_more_than_two_mebibytes_are_refused(kind: str, deliver: Deliver) -> None:
    assert deliver(kind, b" " * (2 * 1024 * 1024 + 1)).status_code == 413


def test_the_ping_of_woocommerce_is_answered(server: Any) -> None:
    """Unsigned, before the first delivery; for any site, so that it tells nothing."""
    for site in ("acme", "nobody"):
        answer = server.client.post(
            f"/v1/webhooks/woocommerce/{site}",
            content=b"webhook_id=12",
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        assert (answer.status_code, answer.content) == (200, b"")


def test_an_unsigned_order_is_no_ping(server: Any) -> None:
    order = server.client.post(WOOCOMMERCE, content=ORDERS["woocommerce"])
    short = server.client.post(WOOCOMMERCE, content=b'{"id": 1}')

    assert (order.status_code, short.status_code) == (401, 401)


def test_a_shops_name_is_in_no_metric(server: Any, deliver: Deliver) -> None:
    """A stranger who tries a million names must not make a million counters."""
    before = server.metric(_requests(401))

    deliver("shopify", path="/v1/webhooks/shopify/never-heard-of", secret="guess")

    assert server.metric(_requests(401)) == before + 1
    assert "never-heard-of" not in server.client.get("/metrics").text


def _requests(status: int) -> str:
    call = "/v1/webhooks/shopify"
    return f'pinsphere_beacon_requests_total{{call="{call}",site="",status="{status}"}}'


def test_other_methods_and_deeper_addresses_are_not_there(server: Any) -> None:
    assert server.client.get(SHOPIFY).status_code == 405
    assert server.client.post("/v1/webhooks/shopify").status_code == 404
    assert server.client.post(f"{SHOPIFY}/more").status_code == 404
    assert server.client.post("/v1/webhooks/magento/acme").status_code == 404


def test_a_full_disk_is_said_and_not_acknowledged(start: Callable[..., Any]) -> None:
    """The shop system comes again after a 503; what was only promised would be lost."""
    full = start(min_free_percent=99.99)
    body = ORDERS["shopify"]
    headers = {
        "X-Shopify-Hmac-SHA256": signed(full.secret, body),
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Webhook-Id": "d",
    }

    answer = full.client.post(SHOPIFY, content=body, headers=headers)

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
