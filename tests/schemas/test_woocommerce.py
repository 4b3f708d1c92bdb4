"""WooCommerce's payloads become orders and what was taken back of them, to the micro."""

from typing import Any

import pytest

from schemas.errors import EventError
from schemas.events import Purchase, Refund
from schemas.money import parse_money
from schemas.woocommerce import TOPICS, bare_woocommerce, is_ping, read_woocommerce
from tests.shop_payloads import (
    MUG_LINE,
    MUGS_NET,
    VASE_LINE,
    VASE_NET,
    body_of,
    woocommerce_line,
    woocommerce_order,
)

MARCH_1 = 1_772_355_600_000  # 2026-03-01T09:00:00Z
NOW = MARCH_1 + 86_400_000


def told(topic: str = "order.updated", **fields: Any) -> tuple[Purchase, Refund]:
    """The order, and what was taken back of it."""
    body = body_of(woocommerce_order(**fields))
    purchase, refund = read_woocommerce(topic, body, "product_id", NOW)
    assert isinstance(purchase, Purchase)
    assert isinstance(refund, Refund)
    return purchase, refund


def worths(purchase: Purchase) -> dict[str, int]:
    """Micros of each line, as attribution counts them."""
    return {
        str(item.line_id): item.quantity * parse_money(item.price) - parse_money(item.discount)
        for item in purchase.items
    }


def test_an_order_is_told_whole() -> None:
    """A merchandiser finds the order under WooCommerce's id, at the time it was placed."""
    order, _ = told("order.created")

    assert (order.order_id, order.currency, order.customer_id) == ("5001", "GBP", "7007")
    assert order.visitor_id == "visitor-of-ann"
    assert (order.event_time_ms, order.updated_time_ms) == (MARCH_1, MARCH_1 + 6000)
    assert (order.tax, order.shipping, order.discount) == ("8.30", "4.00", "0.00")
    assert [(item.item_id, item.quantity) for item in order.items] == [("9101", 2), ("9102", 1)]


def test_a_line_is_worth_its_total_after_coupons_without_tax() -> None:
    order, refund = told()

    assert worths(order) == {str(MUG_LINE): MUGS_NET, str(VASE_LINE): VASE_NET}
    assert (refund.items, refund.amount) == ([], "0.00")


@pytest.mark.parametrize("status", ["on-hold", "processing", "completed", "shipped-by-plugin"])
def test_orders_of_these_statuses_count(status: str) -> None:
    """As in WooCommerce's own reports; plugins have statuses of their own."""
    _, refund = told(status=status)

    assert (refund.kind, refund.amount) == ("refund", "0.00")


@pytest.mark.parametrize("status", ["pending", "failed", "cancelled", "refunded", "trash"])
def test_orders_of_these_statuses_are_taken_back_whole(status: str) -> None:
    """Nothing was sold, or it went back."""
    _, refund = told(status=status)

    assert (refund.kind, refund.items, refund.amount) == ("cancel", [], None)


@pytest.mark.parametrize("status", ["checkout-draft", "auto-draft"])
def test_drafts_are_no_orders_yet(status: str) -> None:
    """Each visitor of the checkout page leaves one."""
    assert read_woocommerce("order.created", body_of(woocommerce_order(status=status)),
                            "sku", NOW) == []  # fmt: skip


def test_cancelling_and_taking_up_again_are_versions_of_one_refund() -> None:
    """The later one decides: a cancelled order that is paid after all counts again."""
    _, cancelled = told(status="cancelled", date_modified_gmt="2026-03-02T09:00:00")
    _, revived = told(status="processing", date_modified_gmt="2026-03-03T09:00:00")

    assert cancelled.refund_id == revived.refund_id == "refunds:5001"
    assert (cancelled.updated_time_ms or 0) < (revived.updated_time_ms or 0)
    assert (cancelled.amount, revived.amount) == (None, "0.00")


def test_a_refund_takes_the_goods_share_of_what_was_paid_back() -> None:
    """WooCommerce tells a sum with tax and shipping: 10.00 of 49.80, of which 37.50 is goods."""
    _, refund = told(refunds=[{"id": 1, "reason": "broken", "total": "-10.00"}])

    assert parse_money(refund.amount or "") == 10_000_000 * 37_500_000 // 49_800_000


def test_refunds_add_up_until_nothing_is_left() -> None:
    """In two parts or at once, all of it is all of it, to the micro."""
    parts = [{"id": 1, "total": "-24.90"}, {"id": 2, "total": "-24.90"}]

    _, half = told(refunds=parts[:1])
    _, whole = told(refunds=parts)

    assert half.amount == "18.75"
    assert (whole.kind, whole.amount) == ("cancel", None)


def test_a_deleted_order_is_taken_back_whole() -> None:
    """The payload is the id alone, so its time is when it came."""
    (refund,) = read_woocommerce("order.deleted", b'{"id":5001}', "sku", NOW)

    assert isinstance(refund, Refund)
    assert (refund.refund_id, refund.kind, refund.amount) == ("refunds:5001", "cancel", None)
    assert (refund.event_time_ms, refund.updated_time_ms) == (NOW, None)


@pytest.mark.parametrize("topic", TOPICS)
def test_the_payload_decides_whatever_the_topic(topic: str) -> None:
    """The topic is in a header that nobody signs: it must turn nothing into a deletion."""
    order, refund = told(topic)

    assert (order, refund) == told("order.updated")
    assert order.updated_time_ms == refund.updated_time_ms
    assert refund.amount == "0.00"


def test_without_a_time_of_change_a_payload_is_as_old_as_its_order() -> None:
    """Dated by its receipt, an old one that is sent again would be the newest."""
    order, _ = told(date_modified_gmt=None)

    assert order.updated_time_ms == order.event_time_ms


def test_an_order_without_lines_is_worth_nothing() -> None:
    """All its lines were taken out; or it never was about goods."""
    (refund,) = read_woocommerce(
        "order.updated", body_of(woocommerce_order(line_items=[])), "sku", NOW
    )

    assert isinstance(refund, Refund)
    assert refund.amount is None


def test_a_guest_has_no_customer() -> None:
    """WooCommerce writes 0; all guests would be one person."""
    assert told(customer_id=0)[0].customer_id is None


def test_a_negative_fee_is_a_discount_and_another_fee_no_goods() -> None:
    """Plugins make their discounts so; a surcharge for paying late is no product."""
    fees = [{"id": 1, "total": "-5.00"}, {"id": 2, "total": "2.00"}]

    assert told(fee_lines=fees)[0].discount == "5.00"


@pytest.mark.parametrize(("quantity", "units"), [(0.5, 1), (2.5, 3), (0, 1), (3, 3)])
def test_parts_of_a_unit_keep_the_lines_worth(quantity: float, units: int) -> None:
    """Half a metre of cloth has its price too."""
    order, _ = told(line_items=[woocommerce_line(1, "Cloth", quantity, "9.99", "9.99")])

    assert (order.items[0].quantity, worths(order)) == (units, {"1": 9_990_000})


def test_the_variant_is_the_variation_where_there_is_one() -> None:
    lines = [
        woocommerce_line(1, "Mug", 1, "9.99", "9.99", variation_id=77),
        woocommerce_line(2, "Vase", 1, "9.99", "9.99"),
        woocommerce_line(3, "Gone", 1, "9.99", "9.99", product_id=0, sku=""),
    ]
    order, _ = read_woocommerce(
        "order.created", body_of(woocommerce_order(line_items=lines)), "variant_id", NOW
    )

    assert isinstance(order, Purchase)
    assert [item.item_id for item in order.items] == ["77", "102", "Gone"]


def test_other_topics_say_nothing() -> None:
    assert read_woocommerce("product.updated", b"{}", "sku", NOW) == []


def test_the_ping_is_known_by_its_form() -> None:
    """WooCommerce saves a webhook only when its unsigned ping was answered."""
    assert is_ping(b"webhook_id=12")
    assert not is_ping(b"webhook_id=")
    assert not is_ping(b"webhook_id=12&x=1")
    assert not is_ping(b'{"id": 1}')


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b'{"code":"woocommerce_rest_shop_order_invalid_id","message":"Invalid ID."}', "id"),
        (body_of(woocommerce_order(currency="")), "currency"),
        (body_of(woocommerce_order(total="12,00")), "'12,00'"),
        (body_of(woocommerce_order(date_created_gmt="soon")), "'soon'"),
        (b"webhook_id=3", "not JSON"),
    ],
)
def test_what_breaks_the_contract_is_named(payload: bytes, text: str) -> None:
    """WooCommerce itself sends an error's text now and then, signed."""
    with pytest.raises(EventError, match=text):
        read_woocommerce("order.updated", payload, "product_id", NOW)


def test_nothing_personal_is_left_in_a_bare_payload() -> None:
    bare = bare_woocommerce(body_of(woocommerce_order()))

    for personal in (b"Ann", b"ann@", b"555", b"203.0.113", b"Leeds", b"door", b"visitor-of"):
        assert personal not in bare, personal
    assert len(read_woocommerce("order.updated", bare, "sku", NOW)) == 2
