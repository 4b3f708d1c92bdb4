"""The events: one envelope, one struct per event name.

Names follow GA4 e-commerce and the Pinterest Conversions API. JSON Schema, OpenAPI and
Arrow schemas are derived from these structs (see `schemas.openapi`, `schemas.lake`). What types
and lengths cannot say is checked by `schemas.contract`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.ids import MAX_HOP

SCHEMA_VERSION = 1
MAX_EVENT_BYTES = 64 * 1024
MAX_EVENTS = 100
# 2000-01-01 to 2100-01-01: a wrong clock is corrected, nonsense is refused.
EARLIEST_MS, LATEST_MS = 946_684_800_000, 4_102_444_800_000
# How far a sender's clock may run ahead: what lies further ahead cannot have happened.
LEAD_MS = 86_400_000

Id = Annotated[str, Meta(min_length=1, max_length=64)]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
Url = Annotated[str, Meta(max_length=2048)]
Millis = Annotated[int, Meta(ge=EARLIEST_MS, lt=LATEST_MS, description="UTC epoch milliseconds")]
Updated = Annotated[
    int,
    Meta(
        ge=EARLIEST_MS,
        lt=LATEST_MS,
        description="When the sender last changed this; decides which version is the latest,"
        " else `received_time_ms` does",
    ),
]
Index = Annotated[int, Meta(ge=0, le=100_000, description="Place in the list, from 0")]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Money = Annotated[
    str,
    Meta(max_length=64, description="Decimal string, e.g. '12.34'", extra={"money": True}),
]
NetworkHash = Annotated[
    str,
    Meta(
        description="Keyed hash of the sender's /24 or /48, comparable within one site and UTC day"
    ),
]
Currency = Annotated[str, Meta(min_length=3, max_length=3, description="ISO 4217 code")]

Source = Literal["web_js", "server", "webhook", "file", "pixel"]
UserAgentClass = Literal["human", "pinterest_inapp", "pinterestbot", "bot"]
Consent = Literal["granted", "denied", "unknown"]


# gc=False: nothing in an event refers back to it, so it needs no looking for cycles.
class Event(msgspec.Struct, kw_only=True, tag_field="event_name", omit_defaults=True, gc=False):
    """The envelope.

    `site_id`, `source`, `received_time_ms`, `user_agent_class`, `is_signed` and
    `network_hash` are the receiver's words: whatever the sender put there is overwritten.
    """

    event_id: Id
    event_time_ms: Millis
    schema_version: int = SCHEMA_VERSION
    site_id: str = ""
    source: Source = "web_js"
    sent_time_ms: Millis | None = None
    received_time_ms: Millis | None = None
    visitor_id: Id | None = None
    session_id: Id | None = None
    customer_id: Name | None = None
    page_location: Url | None = None
    page_referrer: Url | None = None
    user_agent_class: UserAgentClass = "human"
    consent: Consent = "unknown"
    is_signed: bool = False
    network_hash: NetworkHash | None = None


class ListItem(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One product shown in a recommendation list."""

    item_id: Name
    index: Index | None = None


class ViewItemList(Event, tag="view_item_list", kw_only=True):
    """A recommendation list was shown."""

    item_list_id: Name | None = None
    recommender_id: Name | None = None
    page_type: Name | None = None
    experiment_arm: Name | None = None
    items: Annotated[list[ListItem], Meta(max_length=500)] = []


class _ItemEvent(Event, kw_only=True):
    item_id: Name
    item_list_id: Name | None = None
    recommender_id: Name | None = None
    index: Index | None = None
    quantity: Quantity | None = None


class SelectItem(_ItemEvent, tag="select_item", kw_only=True):
    """A product was chosen from a list."""


class ViewItem(_ItemEvent, tag="view_item", kw_only=True):
    """A product page was seen."""


class AddToCart(_ItemEvent, tag="add_to_cart", kw_only=True):
    """A product went into the cart."""


class Pin(Event, tag="pin", kw_only=True):
    """A click on Pin It: an intent, since the save itself is invisible to the shop.

    A pin without `root_pin_id` belongs to its parent's cascade as if the parent were the
    root; without `parent_pin_id` as well it is a root itself.
    """

    pin_id: Id
    parent_pin_id: Id | None = None
    root_pin_id: Id | None = None
    hop: Annotated[int, Meta(ge=0, le=MAX_HOP)] | None = None
    pin_mode: Literal["button", "custom", "hover", "link", "any_image", "repin"] = "button"
    item_id: Name | None = None
    item_list_id: Name | None = None
    recommender_id: Name | None = None
    index: Index | None = None
    pin_url: Url | None = None
    media_url: Url | None = None
    pinterest_guid: Id | None = None


class PinVisit(Event, tag="pin_visit", kw_only=True):
    """A landing that came back from a pin; without a token `pin_id` is missing."""

    pin_id: Id | None = None
    token_carrier: Literal["query", "fragment"] | None = None
    match_method: Literal["token", "epik", "user_agent", "referrer"] = "token"
    click_id: Annotated[str, Meta(max_length=512)] | None = None
    item_id: Name | None = None


class OrderItem(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One order line. Its value is ``quantity * price - discount``.

    Without a `line_id` a line is named by its place in the list, from "1".
    """

    item_id: Name
    quantity: Quantity = 1
    price: Annotated[
        str,
        Meta(
            max_length=64,
            description="Price of one unit before the discount, without tax: '12.34'",
            extra={"money": True},
        ),
    ]
    discount: Annotated[
        str,
        Meta(max_length=64, description="Taken off the whole line", extra={"money": True}),
    ] = "0"
    line_id: Name | None = None


class Purchase(Event, tag="purchase", kw_only=True):
    """An order as it stands.

    `discount` is the order's own, spread over its lines by value; `tax` and `shipping` are
    kept but never credited.
    """

    order_id: Name
    currency: Currency
    tax: Money = "0"
    shipping: Money = "0"
    discount: Money = "0"
    items: Annotated[list[OrderItem], Meta(min_length=1, max_length=10_000)]
    updated_time_ms: Updated | None = None


class RefundItem(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One refunded line, by `line_id`, else by `item_id`.

    Without an `amount` the refund is the line's value of `quantity` units.
    """

    line_id: Name | None = None
    item_id: Name | None = None
    quantity: Quantity | None = None
    amount: Money | None = None


class Refund(Event, tag="refund", kw_only=True):
    """Money given back: by line, by amount, or, with neither, all that is left of the order.

    One `amount` is spread over the order's lines by value.
    """

    refund_id: Name
    order_id: Name
    kind: Literal["refund", "return", "cancel", "chargeback"] = "refund"
    currency: Currency | None = None
    items: Annotated[list[RefundItem], Meta(max_length=10_000)] = []
    amount: Money | None = None
    updated_time_ms: Updated | None = None


class Identify(Event, tag="identify", kw_only=True):
    """A visitor said who she is. An e-mail address comes as its SHA-256 in lower-case hex."""

    email_sha256: Annotated[str, Meta(min_length=64, max_length=64)] | None = None
    action: Literal["login", "logout"] = "login"


class Engage(Event, tag="engage", kw_only=True):
    """A step on the engagement ladder."""

    activity: Literal["comment", "review", "photo", "question", "answer", "share", "vote"]
    item_id: Name | None = None


class Touch(Event, tag="touch", kw_only=True):
    """A visit from another channel; `touch_source` is what GA4 calls `source`."""

    channel: Name
    campaign: Name | None = None
    touch_source: Name | None = None
    medium: Name | None = None


class Erase(Event, tag="erase", kw_only=True):
    """A request to forget a visitor or a customer."""

    request_id: Id


AnyEvent = (
    ViewItemList
    | SelectItem
    | ViewItem
    | AddToCart
    | Pin
    | PinVisit
    | Purchase
    | Refund
    | Identify
    | Engage
    | Touch
    | Erase
)
EVENTS: dict[str, type[Event]] = {
    str(event.__struct_config__.tag): event for event in AnyEvent.__args__
}
# What an unsigned sender (a browser) may say; the rest comes from the shop's server or files.
UNSIGNED_EVENTS = frozenset(EVENTS) - {"refund", "erase"}
# What a picture may say: any page can show one, and have its own visitors' browsers fetch it.
PIXEL_EVENTS = frozenset(("pin_visit", "view_item", "view_item_list"))
# What names a person. Without consent none of it is stored, in quarantine neither.
IDENTITY = (
    *("visitor_id", "session_id", "customer_id", "email_sha256", "email"),
    *("click_id", "pinterest_guid", "network_hash"),
)


def line_ids_of(order: Purchase) -> list[str]:
    """[lines] the order's line ids; a line without one is named by its place, from "1"."""
    return [item.line_id or str(place) for place, item in enumerate(order.items, start=1)]
