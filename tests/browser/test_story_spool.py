"""The story as far as the beacon's spool: what happened is durable, and hangs together."""

from decimal import Decimal

import pytest

from schemas.ids import Token
from tests.browser import story

pytestmark = pytest.mark.browser


def test_a_pin_that_leads_to_an_order_is_durable_from_end_to_end(shop_and_beacon, new_visitor):
    """Everything the pipeline will credit was in the browser and is now on the disk."""
    running = shop_and_beacon
    ann, bob, cy = new_visitor(), new_visitor(), new_visitor()
    first = story.ann_pins(ann.page, running.shop_url)
    second = story.bob_pins_on(bob.page, first.url)
    order = story.cy_buys(cy.page, second.url)
    refund_id = story.refund_line(running.shop_url, order.order_id)

    (refund,) = running.wait_for("refund")
    (purchase,) = running.wait_for("purchase")
    ann_pin, bob_pin = running.wait_for("pin", 2)
    visits = running.wait_for("pin_visit", 2)

    assert (ann_pin["item_id"], ann_pin["index"], ann_pin["visitor_id"]) == (
        "mug",
        0,
        first.visitor_id,
    )
    assert (ann_pin["item_list_id"], ann_pin["recommender_id"]) == ("home_recs", "cf-v2")
    assert ann_pin["media_url"] == running.shop_url + "/images/mug.svg"
    assert second.token == Token(bob_pin["pin_id"], ann_pin["pin_id"])
    assert bob_pin["parent_pin_id"] == bob_pin["root_pin_id"] == first.token.pin_id
    assert [(visit["pin_id"], visit["visitor_id"]) for visit in visits] == [
        (first.token.pin_id, second.visitor_id),
        (second.token.pin_id, order.visitor_id),
    ]
    assert len({first.visitor_id, second.visitor_id, order.visitor_id}) == 3
    assert (purchase["order_id"], purchase["visitor_id"]) == (order.order_id, order.visitor_id)
    assert (purchase["is_signed"], purchase["source"]) == (True, "server")
    assert tuple(item["item_id"] for item in purchase["items"]) == order.item_ids
    assert order.total == Decimal("12.50") + Decimal("34.00") + Decimal("3.95")
    assert (refund["refund_id"], refund["items"]) == (
        refund_id,
        [{"line_id": "1", "quantity": 1, "amount": "12.50"}],
    )
    assert {event["item_list_id"] for event in running.wait_for("view_item_list", 2)} >= {
        "home_recs"
    }
    assert len(running.wait_for("add_to_cart", 2)) == 2
    assert {event["site_id"] for event in running.spooled()} == {running.site_id}
