"""Shopify's payloads become orders and refunds, to the micro."""

from typing import Any

import pytest

from schemas.errors import EventError
from schemas.events import Purchase, Refund
from schemas.money import parse_money
from schemas.shopify import bare_shopify, read_shopify
from schemas.webhooks import ItemIdFrom
from tests.shop_payloads import (
    MUG_LINE,
    MUGS_NET,
    VASE_LINE,
    VASE_NET,
    adjustment,
    body_of,
    money_set,
    mugs,
    shopify_line,
    shopify_order,
    shopify_refund,
    shopify_refund_line,
    vase,
)

MARCH_1 = 1_772_355_600_000  # 2026-03-01T09:00:00Z


def purchase_of(topic: str = "orders/create", **fields: Any) -> Purchase:
    """The order a payload tells of."""
    (purchase,) = (
        event
        for event in read_shopify(topic, body_of(shopify_order(**fields)), "product_id")
        if isinstance(event, Purchase)
    )
    return purchase


def refund_of(refund: dict[str, Any]) -> Refund:
    """The one refund a payload of refunds/create tells of."""
    (found,) = read_shopify("refunds/create", body_of(refund), "product_id")
    assert isinstance(found, Refund)
    return found


def worths(purchase: Purchase) -> dict[str, int]:
    """Micros of each line, as attribution counts them."""
    return {
        str(item.line_id): item.quantity * parse_money(item.price) - parse_money(item.discount)
        for item in purchase.items
    }


def amounts(refund: Refund) -> list[tuple[str | None, int | None, str | None]]:
    """Line, units and amount of each item."""
    return [(item.line_id, item.quantity, item.amount) for item in refund.items]


def test_an_order_is_told_whole() -> None:
    """A merchandiser finds the order under Shopify's id, at the time it was placed."""
    order = purchase_of()

    assert (order.order_id, order.currency, order.customer_id) == ("5001", "GBP", "7007")
    assert order.visitor_id == "visitor-of-ann"
    assert (order.event_time_ms, order.updated_time_ms) == (MARCH_1, MARCH_1 + 6000)
    assert (order.tax, order.shipping, order.discount) == ("8.30", "4.80", "0")
    assert [(item.item_id, item.quantity) for item in order.items] == [("9101", 2), ("9102", 1)]


def test_a_line_is_worth_its_price_less_discounts_without_tax() -> None:
    """Tax is the state's: a shop that shows prices with it earns what one without earns."""
    assert worths(purchase_of()) == {str(MUG_LINE): MUGS_NET, str(VASE_LINE): VASE_NET}


def test_tax_on_top_is_not_taken_off() -> None:
    order = purchase_of(taxes_included=False)

    assert worths(order) == {str(MUG_LINE): 19_990_000, str(VASE_LINE): 25_010_000}


def test_the_shops_currency_counts_not_the_buyers() -> None:
    """A buyer in dollars must not make pounds of dollars."""
    order = purchase_of(
        line_items=[vase(price="55.00", price_set=money_set("30.00", "55.00"))],
    )

    assert order.currency == "GBP"
    assert worths(order) == {str(VASE_LINE): VASE_NET}


def test_amounts_without_sets_are_read_from_the_plain_fields() -> None:
    """Older API versions know one currency only."""
    line = mugs(price_set=None, tax_lines=[{"price": "3.33", "rate": 0.2}])
    line["discount_allocations"] = [{"amount": "4.01"}]

    assert worths(purchase_of(line_items=[line])) == {str(MUG_LINE): MUGS_NET}


def test_a_discount_of_the_line_alone_is_taken_off() -> None:
    line = shopify_line(1, "Mug", 1, "10.00", "0.00", "0.00", total_discount_set=money_set("2.50"))

    assert worths(purchase_of(line_items=[line])) == {"1": 7_500_000}


def test_a_price_that_does_not_divide_stays_exact() -> None:
    """Three for 10.00: no micro may be lost on the way."""
    line = shopify_line(1, "Mug", 3, "4.00", "2.00", "0.00")

    (item,) = purchase_of(line_items=[line]).items

    assert (item.price, item.discount) == ("3.333334", "0.000002")


@pytest.mark.parametrize(
    ("item_id_from", "item_id"),
    [("product_id", "9101"), ("variant_id", "9201"), ("sku", "SKU-9001")],
)
def test_the_setting_chooses_the_item_id(item_id_from: ItemIdFrom, item_id: str) -> None:
    """Pins name items as the pages do, by product, variant or SKU."""
    (order,) = read_shopify("orders/create", body_of(shopify_order()), item_id_from)

    assert isinstance(order, Purchase)
    assert order.items[0].item_id == item_id


@pytest.mark.parametrize(
    ("missing", "item_id"),
    [
        ({"sku": None}, "9101"),
        ({"sku": "", "product_id": None}, "9201"),
        ({"sku": None, "product_id": None, "variant_id": None}, "Blue mug"),
        ({"sku": None, "product_id": None, "variant_id": None, "name": None}, "unknown"),
    ],
)
def test_a_line_without_the_chosen_id_falls_back(missing: dict[str, Any], item_id: str) -> None:
    """A custom line has no product; its revenue counts nevertheless."""
    body = body_of(shopify_order(line_items=[mugs(**missing)]))
    (order,) = read_shopify("orders/create", body, "sku")

    assert isinstance(order, Purchase)
    assert order.items[0].item_id == item_id


def test_a_guest_has_no_customer() -> None:
    assert purchase_of(customer=None).customer_id is None


@pytest.mark.parametrize("value", ["", "x" * 65, "not a visitor", 5, None, {"a": 1}])
def test_a_strange_cart_attribute_is_no_visitor_and_costs_no_order(value: Any) -> None:
    """A shopper can write anything there."""
    order = purchase_of(note_attributes=[{"name": "pinsphere_visitor", "value": value}])

    assert order.visitor_id is None


@pytest.mark.parametrize("line", [mugs(gift_card=True), mugs(tip={"payment_method": "card"})])
def test_gift_cards_and_tips_are_no_sales(line: dict[str, Any]) -> None:
    """A gift card is a sale when it pays for one, not when it is bought."""
    assert worths(purchase_of(line_items=[line, vase()])) == {
        str(MUG_LINE): 0,
        str(VASE_LINE): VASE_NET,
    }


@pytest.mark.parametrize("status", ["pending", "authorized", "partially_paid", "voided"])
def test_an_order_counts_before_it_is_paid(status: str) -> None:
    """As in Shopify's own sales reports, until it is cancelled."""
    assert len(read_shopify("orders/create", body_of(shopify_order(financial_status=status)),
                            "product_id")) == 1  # fmt: skip


def test_test_orders_count_nowhere() -> None:
    """The merchant's "send test notification" must not make revenue."""
    refund = shopify_refund(shopify_refund_line(mugs(), 1, "9.99", "1.66"))
    refund["transactions"][0]["test"] = True

    assert read_shopify("orders/create", body_of(shopify_order(test=True)), "sku") == []
    assert read_shopify("refunds/create", body_of(refund), "sku") == []


def test_other_topics_say_nothing() -> None:
    assert read_shopify("products/update", b"{}", "sku") == []


def test_a_line_that_an_edit_took_out_is_gone() -> None:
    """Some edits leave no refund behind: then the order was never that large."""
    order = purchase_of("orders/updated", line_items=[mugs(current_quantity=0), vase()])

    assert worths(order) == {str(VASE_LINE): VASE_NET}


def test_a_line_that_an_edit_lessened_is_worth_its_units() -> None:
    order = purchase_of("orders/updated", line_items=[mugs(current_quantity=1), vase()])

    assert worths(order) == {str(MUG_LINE): MUGS_NET // 2, str(VASE_LINE): VASE_NET}


def test_refunded_units_stay_in_the_order() -> None:
    """They are taken back by the refund; out of the order too, they would count twice."""
    refund = shopify_refund(shopify_refund_line(mugs(), 1, "9.99", "1.66"))
    events = read_shopify(
        "orders/updated",
        body_of(shopify_order(line_items=[mugs(current_quantity=1), vase()], refunds=[refund])),
        "product_id",
    )

    order, back = events
    assert isinstance(order, Purchase)
    assert isinstance(back, Refund)
    assert worths(order)[str(MUG_LINE)] == MUGS_NET
    assert amounts(back) == [(str(MUG_LINE), 1, None)]


def test_an_order_with_nothing_left_is_worth_nothing() -> None:
    lines = [mugs(current_quantity=0), vase(current_quantity=0)]

    assert set(worths(purchase_of("orders/updated", line_items=lines)).values()) == {0}


def test_a_refund_of_whole_units_names_no_amount() -> None:
    """It takes back exactly what the units were worth, discount and tax rounding included."""
    refund = refund_of(shopify_refund(shopify_refund_line(mugs(), 2, "19.99", "3.33")))

    assert (refund.refund_id, refund.order_id, refund.currency) == ("6001", "5001", "GBP")
    assert amounts(refund) == [(str(MUG_LINE), 2, None)]
    assert refund.updated_time_ms == refund.event_time_ms == MARCH_1 + 4 * 86_400_000 + 7_200_000


def test_shipping_that_goes_back_is_no_refund_of_goods() -> None:
    lines = [shopify_refund_line(mugs(), 1, "9.99", "1.66")]
    shipping = adjustment("-4.80", "shipping_refund")

    with_goods = refund_of(shopify_refund(*lines, order_adjustments=[shipping]))
    alone = body_of(shopify_refund(order_adjustments=[shipping]))

    assert amounts(with_goods) == [(str(MUG_LINE), 1, None)]
    assert read_shopify("refunds/create", alone, "sku") == []


def test_less_given_back_than_the_lines_are_worth() -> None:
    """Both mugs came back, a fee of 5.00 was kept: 16.66 - 5.00 of goods."""
    lines = [shopify_refund_line(mugs(), 2, "19.99", "3.33")]

    refund = refund_of(shopify_refund(*lines, order_adjustments=[adjustment("5.00")]))

    assert amounts(refund) == [(str(MUG_LINE), 2, "11.66")]


def test_more_given_back_than_the_lines_are_worth_is_spread_by_worth() -> None:
    lines = [
        shopify_refund_line(mugs(), 2, "19.99", "3.33"),
        shopify_refund_line(vase(), 1, "25.01", "4.17"),
    ]

    refund = refund_of(shopify_refund(*lines, order_adjustments=[adjustment("-3.00")]))

    parts = [parse_money(item.amount or "") for item in refund.items]
    assert sum(parts) == MUGS_NET + VASE_NET + 3_000_000
    assert parts[0] == 40_500_000 * MUGS_NET // 37_500_000


def test_goods_given_back_for_nothing_take_nothing_back() -> None:
    lines = [shopify_refund_line(mugs(), 2, "19.99", "3.33")]

    refund = refund_of(shopify_refund(*lines, order_adjustments=[adjustment("19.99")]))

    assert amounts(refund) == [(str(MUG_LINE), 2, "0.00")]


def test_money_given_back_without_goods_is_an_amount() -> None:
    """A gesture of 5.85 is spread over the order."""
    refund = refund_of(shopify_refund(order_adjustments=[adjustment("-5.85")]))

    assert (refund.items, refund.amount) == ([], "5.85")


def test_a_refund_alone_knows_by_its_lines_whether_tax_is_included() -> None:
    """refunds/create does not say; told by an order that says, the amounts are the same."""
    lines = [shopify_refund_line(mugs(), 2, "19.99", "3.33")]
    refund = shopify_refund(*lines, order_adjustments=[adjustment("5.00")])
    on_top = mugs(tax_lines=[{"price": "4.00", "rate": 0.2}])
    other = shopify_refund(
        shopify_refund_line(on_top, 2, "19.99", "4.00"), order_adjustments=[adjustment("5.00")]
    )

    _, told = read_shopify("orders/updated", body_of(shopify_order(refunds=[refund])), "sku")

    assert isinstance(told, Refund)
    assert amounts(told) == amounts(refund_of(refund)) == [(str(MUG_LINE), 2, "11.66")]
    assert amounts(refund_of(other)) == [(str(MUG_LINE), 2, "14.99")]


def test_a_refund_in_an_order_is_the_same_refund_in_a_later_version() -> None:
    """Whichever message comes last, it is taken back once."""
    refund = shopify_refund(shopify_refund_line(mugs(), 1, "9.99", "1.66"))
    order = shopify_order(refunds=[refund], updated_at="2026-03-05T12:00:01+01:00")

    _, told = read_shopify("orders/updated", body_of(order), "sku")

    assert isinstance(told, Refund)
    alone = refund_of(refund)
    assert told.refund_id == alone.refund_id
    assert (told.updated_time_ms or 0) == (alone.updated_time_ms or 0) + 1000


def test_a_cancelled_order_is_taken_back_whole() -> None:
    order = shopify_order(cancelled_at="2026-03-02T10:00:00Z", updated_at="2026-03-02T10:00:01Z")

    _, cancel = read_shopify("orders/cancelled", body_of(order), "sku")

    assert isinstance(cancel, Refund)
    assert (cancel.refund_id, cancel.kind) == ("cancel:5001", "cancel")
    assert (cancel.items, cancel.amount) == ([], None)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"note": ' + b"[" * 100_000, "not JSON"),
        (b"[]", "Expected `object`, got `array`"),
        (body_of(shopify_order(id=None)), r"\$\.id"),
        (body_of(shopify_order(currency="QQQ")), "'QQQ'"),
        (body_of(shopify_order(line_items=[])), "items"),
        (body_of(shopify_order(line_items=[mugs(price_set=None, price="12,00")])), "'12,00'"),
        (body_of(shopify_order(line_items=[mugs(price_set=None, price=1e300)])), "1e\\+300"),
        (body_of(shopify_order(processed_at="yesterday")), "'yesterday'"),
        (body_of(shopify_order(processed_at=None, created_at=None)), "5001"),
        (body_of(shopify_order(updated_at="1999-01-01T00:00:00Z")), "updated_time_ms"),
        (body_of(shopify_order(line_items=[mugs(), mugs()])), "line_id twice"),
        (body_of(shopify_order(line_items=[mugs(product_id="a\0b")])), "U\\+0000"),
    ],
)
def test_what_breaks_the_contract_is_named(payload: bytes, text: str) -> None:
    """Who mends the payload must know which value to look at."""
    with pytest.raises(EventError, match=text):
        read_shopify("orders/create", payload, "product_id")


def test_a_refund_without_its_order_is_refused() -> None:
    with pytest.raises(EventError, match="refund 6001 names no order_id"):
        read_shopify("refunds/create", body_of(shopify_refund(order_id=None)), "sku")


def test_nothing_personal_is_left_in_a_bare_payload() -> None:
    """Quarantine keeps what we read, and no more: a name and an address have no use there."""
    bare = bare_shopify(body_of(shopify_order()))

    for personal in (
        b"Ann",
        b"ann@",
        b"555",
        b"203.0.113",
        b"Leeds",
        b"door",
        b'gift"',
        b"visitor-of",
    ):
        assert personal not in bare, personal
    assert worths_of(bare) == {str(MUG_LINE): MUGS_NET, str(VASE_LINE): VASE_NET}
    assert bare_shopify(b"not JSON, from ann@example.com") == b""


def worths_of(body: bytes) -> dict[str, int]:
    """Micros of each line of the order in a payload."""
    (order,) = read_shopify("orders/create", body, "product_id")
    assert isinstance(order, Purchase)
    return worths(order)
