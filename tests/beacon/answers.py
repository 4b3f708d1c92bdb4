"""One request for each documented answer of the beacon; docs/api.md names them."""

import base64
import hashlib
import hmac
import http.client
import json
import socket
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx
import msgspec

from beacon.script import SNIPPET, Script
from schemas.openapi_parts import SHOPIFY_ORDER, WOOCOMMERCE_ORDER
from schemas.signature import sign

SHOP = "https://shop.example"
EVIL = "https://evil.example"
VERSION = Script(SNIPPET.read_bytes()).version
SECRET = "a secret of the shop's server"
KEY = "acme-public-key"
NOW_MS = time.time_ns() // 1_000_000
VIEW = {"event_name": "view_item", "event_id": "v", "event_time_ms": NOW_MS, "item_id": "mug"}
REFUND = {**VIEW, "event_name": "refund", "refund_id": "r", "order_id": "1001"}
DANCE = {"event_name": "dance"}
TEXT = {"content-type": "text/plain"}
JSON = {"content-type": "application/json"}


def batch(*events: Any, key: str = KEY) -> bytes:
    """A body of events."""
    return msgspec.json.encode({"site_key": key, "sent_time_ms": NOW_MS, "events": events})


def pixel(event: Any, key: str = KEY) -> str:
    """The address of a pixel."""
    text = base64.urlsafe_b64encode(json.dumps(event).encode()).decode().rstrip("=")
    return f"/v1/pixel.gif?k={key}&e={text}"


def signed(body: bytes, secret: str = SECRET, age: int = 0) -> dict[str, str]:
    """The headers of a call to `/v1/orders`. A signature lives for five minutes only."""
    return {**TEXT, "x-pinsphere-signature": sign(secret, body, int(time.time()) - age)}


def body_signature(body: bytes, secret: str = SECRET) -> str:
    """What shop systems put into their webhooks' headers."""
    return base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()


class Case(NamedTuple):
    """A request and the status it is answered with.

    `beacon` says which one is asked: as shipped; `full`, without room on its disk; `busy`, which
    takes one request a minute; `wary`, which has just had enough of the network of `AFAR`;
    `listed`, where each site has a list of origins. With `is_cut` the connection ends in the
    middle of the body.
    """

    name: str
    call: str
    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    url: str = ""
    beacon: str = "shipped"
    signature: str = ""
    age: int = 0
    is_cut: bool = False

    def send(self, client: httpx.Client, method: str = "") -> httpx.Response:
        """Sends it, signed now if it is to be signed."""
        own_method, path = self.call.split()
        headers = dict(self.headers)
        if self.signature:
            headers |= signed(self.body, self.signature, self.age)
        if self.is_cut:
            return _send_half(client, self.url or path, headers, self.body)
        return client.request(
            method or own_method, self.url or path, headers=headers, content=self.body
        )


def _send_half(
    client: httpx.Client, path: str, headers: Mapping[str, str], body: bytes
) -> httpx.Response:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {2 * len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    address = (client.base_url.host, client.base_url.port or 80)
    with socket.create_connection(address, timeout=5) as sender:
        sender.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        sender.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(sender)
        answer.begin()
        return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())


EVENTS, ORDERS, PIXEL = "POST /v1/events", "POST /v1/orders", "GET /v1/pixel.gif"
SHOPIFY = "POST /v1/webhooks/shopify/{site}"
WOO = "POST /v1/webhooks/woocommerce/{site}"
SHOPIFY_URL, WOO_URL = "/v1/webhooks/shopify/acme", "/v1/webhooks/woocommerce/acme"
GOOD, MIXED, EMPTY = batch(VIEW), batch(VIEW, DANCE, VIEW), batch()
MANY = batch(*[VIEW] * 101)
HUGE = b"x" * (64 * 1024 + 1)
ENORMOUS = b"x" * (2 * 1024 * 1024 + 1)
STRANGER = batch(VIEW, key="nobody's key")
UNFAMILIAR = {**TEXT, "origin": EVIL}
ODD = b'{"site_key": "%s", "events": [NaN]}' % KEY.encode()
AFAR = {**TEXT, "x-forwarded-for": "203.0.113.7"}


def _shopify(body: bytes, topic: str = "orders/create", secret: str = SECRET) -> dict[str, str]:
    return {
        **JSON,
        "x-shopify-topic": topic,
        "x-shopify-webhook-id": "delivery-1",
        "x-shopify-hmac-sha256": body_signature(body, secret),
    }


def _woo(body: bytes, topic: str = "order.created", secret: str = SECRET) -> dict[str, str]:
    return {
        **JSON,
        "x-wc-webhook-topic": topic,
        "x-wc-webhook-delivery-id": "delivery-1",
        "x-wc-webhook-signature": body_signature(body, secret),
    }


_SHOPIFY_ORDER = json.dumps(SHOPIFY_ORDER).encode()
_WOO_ORDER = json.dumps(WOOCOMMERCE_ORDER).encode()
_NO_ORDER = b'{"id": []}'
CASES = [
    Case("events-good", EVENTS, 204, TEXT, GOOD),
    Case("events-json", EVENTS, 204, JSON, GOOD),
    Case("events-charset", EVENTS, 204, {"content-type": "text/plain;charset=UTF-8"}, GOOD),
    Case("events-empty", EVENTS, 204, TEXT, EMPTY),
    Case("events-origin", EVENTS, 204, {**TEXT, "origin": SHOP}, GOOD),
    Case("events-mixed", EVENTS, 200, TEXT, MIXED),
    Case("events-refund", EVENTS, 200, TEXT, batch(REFUND)),
    Case("events-nothing", EVENTS, 400, TEXT, b""),
    Case("events-list", EVENTS, 400, TEXT, b"[]"),
    Case("events-broken", EVENTS, 400, TEXT, b'{"site_key": "acme-public-key"'),
    Case("events-cut", EVENTS, 400, TEXT, GOOD, is_cut=True),
    Case("events-stranger", EVENTS, 401, TEXT, STRANGER),
    Case("events-foreign", EVENTS, 403, UNFAMILIAR, GOOD),
    Case("events-null-origin", EVENTS, 403, {**TEXT, "origin": "null"}, GOOD),
    Case("events-huge", EVENTS, 413, TEXT, HUGE),
    Case("events-many", EVENTS, 413, TEXT, MANY),
    Case("events-untyped", EVENTS, 415, {}, GOOD),
    Case("events-form", EVENTS, 415, {"content-type": "application/x-www-form-urlencoded"}, GOOD),
    Case("events-profile", EVENTS, 415, {"content-type": "application/json; profile=x"}, GOOD),
    Case("events-busy", EVENTS, 429, {**TEXT, "origin": SHOP}, GOOD, beacon="busy"),
    Case("events-failed", EVENTS, 429, AFAR, GOOD, beacon="wary"),
    Case("events-full", EVENTS, 503, {**TEXT, "origin": SHOP}, GOOD, beacon="full"),
    Case("preflight", "OPTIONS /v1/events", 204, {"origin": SHOP}),
    Case("preflight-open-site", "OPTIONS /v1/events", 204, {"origin": EVIL}),
    Case("preflight-foreign", "OPTIONS /v1/events", 403, {"origin": EVIL}, beacon="listed"),
    Case("orders-good", ORDERS, 204, body=GOOD, signature=SECRET),
    Case("orders-refund", ORDERS, 204, body=batch(REFUND), signature=SECRET),
    Case("orders-mixed", ORDERS, 200, body=MIXED, signature=SECRET),
    Case("orders-shapeless", ORDERS, 400, body=b"{}", signature=SECRET),
    Case("orders-unsigned", ORDERS, 401, TEXT, GOOD),
    Case("orders-guessed", ORDERS, 401, body=GOOD, signature="guess"),
    Case("orders-late", ORDERS, 401, body=GOOD, signature=SECRET, age=301),
    Case("orders-other-body", ORDERS, 401, signed(MIXED), GOOD),
    Case("orders-stranger", ORDERS, 401, body=STRANGER, signature=SECRET),
    Case("orders-no-secret", ORDERS, 401, body=batch(key="open-public-key"), signature="x"),
    Case("orders-many", ORDERS, 413, body=MANY, signature=SECRET),
    Case("orders-huge", ORDERS, 413, body=HUGE, signature=SECRET),
    Case("orders-html", ORDERS, 415, {"content-type": "text/html"}, GOOD),
    Case("orders-odd", ORDERS, 429, AFAR, ODD, signature=SECRET, beacon="wary"),
    Case("orders-full", ORDERS, 503, body=GOOD, signature=SECRET, beacon="full"),
    Case("pixel-good", PIXEL, 200, url=pixel(VIEW)),
    Case("pixel-bad", PIXEL, 200, url=pixel(DANCE)),
    Case("pixel-order", PIXEL, 200, url=pixel({**VIEW, "event_name": "identify"})),
    Case("pixel-token", PIXEL, 200, url=f"/v1/pixel.gif?k={KEY}&t=Zk3vX0pQ9sLm2Tn7"),
    Case("pixel-nothing", PIXEL, 400, url=f"/v1/pixel.gif?k={KEY}"),
    Case("pixel-both", PIXEL, 400, url=pixel(VIEW) + "&t=Zk3vX0pQ9sLm2Tn7"),
    Case("pixel-stranger", PIXEL, 401, url=pixel(VIEW, key="nobody")),
    Case("pixel-foreign", PIXEL, 403, {"origin": EVIL}, url=pixel(VIEW)),
    Case("pixel-elsewhere", PIXEL, 403, {"referer": f"{EVIL}/"}, url=pixel(VIEW)),
    Case("pixel-failed", PIXEL, 429, AFAR, url=pixel(VIEW), beacon="wary"),
    Case("pixel-busy", PIXEL, 429, url=pixel(VIEW), beacon="busy"),
    Case("pixel-full", PIXEL, 503, url=pixel(VIEW), beacon="full"),
    Case("shopify-order", SHOPIFY, 204, _shopify(_SHOPIFY_ORDER), _SHOPIFY_ORDER, SHOPIFY_URL),
    Case("shopify-other", SHOPIFY, 204, _shopify(b"{}", "carts/update"), b"{}", SHOPIFY_URL),
    Case("shopify-unreadable", SHOPIFY, 200, _shopify(_NO_ORDER), _NO_ORDER, SHOPIFY_URL),
    Case("shopify-cut", SHOPIFY, 400, _shopify(b"{}"), b"{}", SHOPIFY_URL, is_cut=True),
    Case("shopify-unsigned", SHOPIFY, 401, JSON, _SHOPIFY_ORDER, SHOPIFY_URL),
    Case("shopify-guessed", SHOPIFY, 401, _shopify(b"{}", secret="guess"), b"{}", SHOPIFY_URL),
    Case("shopify-no-site", SHOPIFY, 401, _shopify(b"{}"), b"{}", SHOPIFY_URL + "x"),
    Case("shopify-huge", SHOPIFY, 413, _shopify(ENORMOUS), ENORMOUS, SHOPIFY_URL),
    Case("shopify-full", SHOPIFY, 503, _shopify(b"{}"), b"{}", SHOPIFY_URL, "full"),
    Case("woo-order", WOO, 204, _woo(_WOO_ORDER), _WOO_ORDER, WOO_URL),
    Case("woo-other", WOO, 204, _woo(b"{}", "product.updated"), b"{}", WOO_URL),
    Case("woo-unreadable", WOO, 200, _woo(_NO_ORDER), _NO_ORDER, WOO_URL),
    Case("woo-ping", WOO, 200, {}, b"webhook_id=7", WOO_URL),
    Case("woo-cut", WOO, 400, _woo(b"{}"), b"{}", WOO_URL, is_cut=True),
    Case("woo-unsigned", WOO, 401, JSON, _WOO_ORDER, WOO_URL),
    Case("woo-guessed", WOO, 401, _woo(b"{}", secret="guess"), b"{}", WOO_URL),
    Case("woo-no-site", WOO, 401, _woo(b"{}"), b"{}", WOO_URL + "x"),
    Case("woo-huge", WOO, 413, _woo(ENORMOUS), ENORMOUS, WOO_URL),
    Case("woo-full", WOO, 503, _woo(b"{}"), b"{}", WOO_URL, "full"),
    Case("snippet", "GET /pin.js", 200),
    Case("snippet-plain", "GET /pin.js", 200, {"accept-encoding": "identity", "sec-gpc": "1"}),
    Case("snippet-current", "GET /pin.js", 304, {"if-none-match": "*"}),
    Case("snippet-version", "GET /pin.js", 200, url=f"/pin.js?v={VERSION}"),
    Case("snippet-unknown", "GET /pin.js", 404, url="/pin.js?v=0123456789abcdef0123"),
    Case("alive", "GET /healthz", 200),
    Case("ready", "GET /readyz", 200),
    Case("not-ready", "GET /readyz", 503, beacon="full"),
    Case("metrics", "GET /metrics", 200),
    Case("metrics-outside", "GET /metrics", 403, {"x-forwarded-for": "203.0.113.1"}),
    Case("metrics-proxied", "GET /metrics", 403, {"x-forwarded-for": "203.0.113.9"}),
    Case("description", "GET /openapi.json", 200),
]
