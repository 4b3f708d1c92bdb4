"""Purchases that a shop tells Google Analytics 4 are claimed to the beacon, exactly and once."""

import json
from decimal import Decimal

import pytest

pytestmark = pytest.mark.browser

SOCKS = {"item_id": "socks", "item_name": "Socks", "price": 4, "discount": 2, "quantity": 3}
ORDER = {
    "transaction_id": "T1",
    "value": 41.6,
    "currency": "USD",
    "tax": 3.33,
    "shipping": "5.00",
    "items": [SOCKS, {"item_name": "Red Widget", "price": "17.60", "discount": 4.4}],
}
CLAIMED = {
    "order_id": "T1",
    "currency": "USD",
    "tax": "3.33",
    "shipping": "5",
    "items": [
        {"item_id": "socks", "quantity": 3, "price": "6", "discount": "6"},
        {"item_id": "Red Widget", "quantity": 1, "price": "22", "discount": "4.4"},
    ],
}
LAYER = "window.dataLayer = window.dataLayer || [];"
PUSHES = {
    "Tag Manager": LAYER + "dataLayer.push({{ ecommerce: null }});"
    "dataLayer.push({{ event: 'purchase', ecommerce: {} }});",
    "gtag": LAYER + "function gtag() {{ dataLayer.push(arguments) }} gtag('js', new Date());"
    "gtag('event', 'purchase', {});",
}


def push(how, order=ORDER):
    return PUSHES[how].format(json.dumps(order))


def claimed(event):
    return {key: event[key] for key in CLAIMED}


@pytest.mark.parametrize("how", PUSHES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_purchase_is_claimed_whenever_it_is_told(site, regular, how, when):
    """Thank-you pages push in the head, or when an answer has come."""
    regular.page.goto("about:blank")
    order = {**ORDER, "transaction_id": f"{how} {when}"}
    head = f"<script>{push(how, order)}</script>" if when == "before" else ""
    page = regular.visit(site.show("<p>Thank you</p>", head=head))
    if when == "after":
        page.evaluate(push(how, order))

    (event,) = site.wait_for("purchase")

    assert claimed(event) == {**CLAIMED, "order_id": f"{how} {when}"}


def test_the_money_is_that_of_the_order_to_the_micro(site, visitor):
    """GA4's price is after the discount of one unit; 10.1 + 0.2 must not become 10.299999."""
    items = [
        {"item_id": "a", "price": 10.1, "discount": 0.2, "quantity": 3},
        {"item_id": "b", "price": 0.1, "discount": 0.7, "quantity": "7"},
        {"item_id": 17, "price": 0.000001, "quantity": 1},
        {"item_id": "c", "price": 1234567.89, "discount": None, "quantity": 2},
        {"item_id": "free", "price": 0},
    ]
    page = visitor.visit(site.show("<p>Thank you</p>"))
    page.evaluate(push("gtag", {"transaction_id": 99, "currency": "GBP", "items": items}))

    (event,) = site.wait_for("purchase")

    assert (event["order_id"], event["tax"], event["shipping"]) == ("99", "0", "0")
    lines = [(line["item_id"], line["price"], line["discount"]) for line in event["items"]]
    assert lines == [
        *(("a", "10.3", "0.6"), ("b", "0.8", "4.9"), ("17", "0.000001", "0")),
        *(("c", "1234567.89", "0"), ("free", "0", "0")),
    ]
    paid = sum(
        Decimal(line["price"]) * line["quantity"] - Decimal(line["discount"])
        for line in event["items"]
    )
    assert paid == 3 * Decimal("10.1") + 7 * Decimal("0.1") + Decimal("2469135.780001")


def test_a_reload_tells_no_order_twice(site, visitor):
    """Shoppers come back to their thank-you page, and some shops push twice."""
    twice = push("Tag Manager") + push("gtag")
    page = visitor.visit(site.show("<p>Thank you</p>", head=f"<script>{twice}</script>"))
    site.wait_for("purchase")
    page.reload()
    page.wait_for_function("!!window.pinsphere?.visitor")
    page.evaluate(push("gtag", {**ORDER, "transaction_id": "T2"}))

    orders = site.wait_for("purchase", 2)

    page.wait_for_timeout(100)
    assert [order["order_id"] for order in orders] == ["T1", "T2"]
    assert len(site.named("purchase")) == 2


def test_an_order_told_while_leaving_is_not_lost(site, visitor):
    """A page that goes on at once: what was pushed a moment ago still counts."""
    page = visitor.visit(site.show("<p>Thank you</p>"))
    page.wait_for_timeout(30)
    page.evaluate(push("gtag"))
    page.goto("about:blank")

    assert claimed(site.wait_for("purchase")[0]) == CLAIMED


def test_others_who_wrap_the_layer_hear_everything(site, visitor):
    """Tag Manager puts its own push there; it must see what it would have seen."""
    wrap = """window.heard = []; const before = dataLayer.push;
      dataLayer.push = function (...all) { heard.push(...all); return before.apply(this, all) };"""
    page = visitor.visit(site.show("<p>Thank you</p>", head=f"<script>{LAYER}{wrap}</script>"))
    length = page.evaluate("dataLayer.push({ event: 'view_cart' })")
    page.evaluate(push("Tag Manager"))

    assert claimed(site.wait_for("purchase")[0]) == CLAIMED
    assert length == 1
    assert page.evaluate("heard.length") == page.evaluate("dataLayer.length") == 3


@pytest.mark.parametrize(
    "pushed",
    [
        "{ event: 'purchase', ecommerce: { items: [] } }",
        "{ event: 'refund', ecommerce: { transaction_id: 'T1' } }",
        "{ event: 'purchase' }",
        "null, 'purchase', 7, undefined, ['event', 'purchase'], [null, 'purchase', null]",
        "{ get event() { throw Error('no') } }",
    ],
)
def test_what_is_no_order_is_passed_over(site, visitor, pushed):
    """The layer is everybody's: one strange entry must not hide the order behind it."""
    page = visitor.visit(site.show("<p>Thank you</p>"))
    page.evaluate(f"{LAYER} dataLayer.push({pushed})")
    page.evaluate(push("gtag"))

    (order,) = site.wait_for("purchase")

    assert claimed(order) == CLAIMED


def test_a_denial_keeps_the_order_out_of_the_store(site, visitor):
    """Without consent the claim still counts, without a person, and nothing stays."""
    page = visitor.visit(site.show("<p>Thank you</p>", attributes='data-consent="denied"'))
    page.evaluate(push("gtag"))

    (order,) = site.wait_for("purchase")

    assert order["consent"] == "denied"
    assert "visitor_id" not in order
    assert page.evaluate("localStorage.length") == 0
