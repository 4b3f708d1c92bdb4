"""The example shop reports as a retailer's server must: signed, exact, and again until taken."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TypeVar

import httpx
import pytest

from examples.shop.app import build_app
from examples.shop.orders import post_over_http
from schemas.contract import decode_event
from schemas.events import Purchase, Refund
from schemas.signature import signature_error
from tests.browser.processes import KEY, SECRET

BEACON = "http://beacon.example"
Kind = TypeVar("Kind", Purchase, Refund)


class Beacon:
    """Takes notes instead of events."""

    def __init__(self):
        self.status = 204
        self.calls = []

    def post(self, url, body, headers):
        self.calls.append((url, body, dict(headers)))
        return self.status

    def events(self):
        return [json.loads(body)["events"] for _, body, _ in self.calls]


@pytest.fixture
def beacon():
    return Beacon()


def checked(event, kind: type[Kind]) -> Kind:
    """The event as its struct, against its whole contract."""
    read = decode_event(json.dumps(event).encode())
    assert isinstance(read, kind)
    return read


class Client:
    """A browser without scripts: it keeps cookies and follows redirects."""

    def __init__(self, app):
        transport = httpx.ASGITransport(app)
        self.http = httpx.AsyncClient(
            transport=transport, base_url="http://shop.example", follow_redirects=True
        )
        # A thread of its own: the browser's driver keeps a loop in this one.
        self.thread = ThreadPoolExecutor(1)
        self.runner = asyncio.Runner()

    def run(self, request):
        return self.thread.submit(self.runner.run, request).result()

    def get(self, path):
        return self.run(self.http.get(path))

    def post(self, path, data=None):
        return self.run(self.http.post(path, data=data))

    def close(self):
        self.run(self.http.aclose())
        self.thread.submit(self.runner.close).result()
        self.thread.shutdown()


@pytest.fixture
def client(beacon):
    client = Client(build_app(BEACON, KEY, SECRET, post=beacon.post))
    yield client
    client.close()


def order(client, *item_ids, **form):
    for item_id in item_ids:
        client.post("/cart", data={"item_id": item_id})
    return client.post("/checkout", data=form)


def test_an_order_is_signed_and_keeps_its_contract(client, beacon):
    """Revenue that the beacon refuses is revenue nobody credits."""
    page = order(client, "mug", "vase", "mug", visitor_id="v1", email="Cy@example.org")

    ((url, body, headers),) = beacon.calls
    (event,) = json.loads(body)["events"]
    purchase = checked(event, Purchase)
    assert url == BEACON + "/v1/orders"
    sent_time = json.loads(body)["sent_time_ms"] / 1000
    assert signature_error(headers["X-PinSphere-Signature"], [SECRET], body, sent_time) is None
    assert (purchase.visitor_id, len(purchase.customer_id or "")) == ("v1", 16)
    lines = [(item.line_id, item.item_id, item.quantity, item.price) for item in purchase.items]
    assert lines == [("1", "mug", 2, "12.50"), ("2", "vase", 1, "34.00")]
    total = sum((Decimal(item.price) * item.quantity for item in purchase.items), Decimal())
    assert str(total + Decimal(purchase.shipping)) == "62.95"
    assert "62.95" in page.text


def test_the_visitor_comes_from_the_cookie_where_the_form_has_none(client, beacon):
    """Without scripts at the checkout the beacon's own cookie names the visitor."""
    client.http.cookies.set("pinsphere_visitor", "from-cookie")

    order(client, "mug", visitor_id="")

    assert beacon.events()[0][0]["visitor_id"] == "from-cookie"


def test_what_the_beacon_did_not_take_goes_again_under_the_same_id(client, beacon):
    """A beacon that restarts during a sale must cost no order."""
    beacon.status = 503
    order(client, "mug")
    assert "1 events wait" in client.get("/admin").text
    beacon.status = 204

    order(client, "vase")

    first, second = beacon.events()
    assert [event["event_id"] for event in second][:1] == [first[0]["event_id"]]
    assert len(second) == 2
    assert "0 events wait" in client.get("/admin").text


def test_a_line_is_refunded_once(client, beacon):
    """Money is given back once, whatever is clicked twice."""
    order(client, "mug", "mug", "vase")
    form = {"order_id": "A1001", "line_id": "1"}

    assert client.post("/admin/refunds", data=form).status_code == 200
    assert client.post("/admin/refunds", data=form).status_code == 404

    refund = checked(beacon.events()[-1][0], Refund)
    assert (refund.kind, refund.items[0].quantity, refund.items[0].amount) == ("return", 2, "25.00")
    assert len(beacon.calls) == 2


@pytest.mark.parametrize("path", ["/products/none", "/images/none.svg", "/orders/A1"])
def test_what_is_not_there_is_404(client, path):
    """A mistyped address is no server error."""
    assert client.get(path).status_code == 404


def test_an_empty_cart_orders_nothing(client, beacon):
    """A form sent twice buys once."""
    order(client, "mug")
    client.post("/checkout")

    assert len(beacon.calls) == 1


def test_an_unreachable_beacon_is_a_503():
    """The outbox keeps what was not answered."""

    def refuse(request):
        raise httpx.ConnectError("nobody there", request=request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx, "post", lambda url, **_: refuse(httpx.Request("POST", url)))
        assert post_over_http(BEACON, b"", {}) == 503
