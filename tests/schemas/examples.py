"""One sound JSON example of every event, with all its own fields set."""

from typing import Any

NOON = 1_767_268_800_000
ENVELOPE: dict[str, Any] = {
    "event_id": "0199-a",
    "event_time_ms": NOON,
    "schema_version": 1,
    "site_id": "shop",
    "source": "server",
    "sent_time_ms": NOON + 1,
    "received_time_ms": NOON + 2,
    "visitor_id": "visitor-1",
    "session_id": "session-1",
    "customer_id": "customer-1",
    "page_location": "https://shop.example/p/mug",
    "page_referrer": "https://www.pinterest.com/",
    "user_agent_class": "pinterest_inapp",
    "consent": "granted",
    "is_signed": True,
    "network_hash": "Zk3x_0aQ-9vB1c2D",
}
_ITEM = {
    "item_id": "mug",
    "item_list_id": "also-liked",
    "recommender_id": "als-7",
    "index": 3,
}
OWN_FIELDS: dict[str, dict[str, Any]] = {
    "view_item_list": {
        "item_list_id": "also-liked",
        "recommender_id": "als-7",
        "page_type": "product",
        "experiment_arm": "b",
        "items": [{"item_id": "mug", "index": 0}, {"item_id": "vase"}],
    },
    "select_item": {**_ITEM, "quantity": 1},
    "view_item": {**_ITEM, "quantity": 1},
    "add_to_cart": {**_ITEM, "quantity": 2},
    "pin": {
        "pin_id": "pin_2",
        "parent_pin_id": "pin_1",
        "root_pin_id": "pin_0",
        "hop": 2,
        "pin_mode": "repin",
        **_ITEM,
        "pin_url": "https://shop.example/p/mug?pinsphere=pin_2.pin_0",
        "media_url": "https://shop.example/i/mug.jpg",
        "pinterest_guid": "guid",
    },
    "pin_visit": {
        "pin_id": "pin_2",
        "token_carrier": "query",
        "match_method": "epik",
        "click_id": "dj0y",
        "item_id": "mug",
    },
    "purchase": {
        "updated_time_ms": NOON + 3,
        "order_id": "o-1",
        "currency": "GBP",
        "tax": "2",
        "shipping": "4.99",
        "discount": "1.5",
        "items": [
            {
                "item_id": "mug",
                "quantity": 2,
                "price": "12.34",
                "discount": "0.34",
                "line_id": "line-1",
            },
            {"item_id": "vase", "price": "0.000001"},
        ],
    },
    "refund": {
        "updated_time_ms": NOON + 3,
        "refund_id": "r-1",
        "order_id": "o-1",
        "kind": "return",
        "currency": "GBP",
        "items": [
            {"line_id": "line-1", "item_id": "mug", "quantity": 1, "amount": "12.34"},
            {"item_id": "vase", "quantity": 1},
        ],
    },
    "identify": {"email_sha256": "0123456789abcdef" * 4, "action": "logout"},
    "engage": {"activity": "review", "item_id": "mug"},
    "touch": {
        "channel": "email",
        "campaign": "spring",
        "touch_source": "newsletter",
        "medium": "mail",
    },
    "erase": {"request_id": "e-1"},
}


def example(event_name: str, /, **changes: Any) -> dict[str, Any]:
    """A sound event of this name with some fields changed; None takes a field away."""
    fields = {"event_name": event_name, **ENVELOPE, **OWN_FIELDS[event_name], **changes}
    return {name: value for name, value in fields.items() if value is not None}
