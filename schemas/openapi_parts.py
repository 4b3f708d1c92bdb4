"""What the answers and calls of `schemas.openapi` are made of: headers, parameters, examples."""

from typing import Any

from schemas.events import SCHEMA_VERSION

Json = dict[str, Any]
INFO: Json = {
    "title": "PinSphere beacon",
    "version": str(SCHEMA_VERSION),
    "description": """\
Takes events of shops' pages and servers, and answers when they are durable.

Beside what each call lists: any other address is answered 404, any other method 405 (`Allow`
lists the right ones), both with a `Problem`; what is not HTTP at all 400, without a body. A
connection that sends no whole header within 10 seconds is closed without an answer.""",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
HEADERS: Json = {
    "Retry-After": {
        "description": "Seconds to wait before the same request may be sent again",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Vary": {
        "description": "Which header of the request the answer depends on",
        "required": True,
        "schema": {"enum": ["Origin", "Accept-Encoding"]},
    },
    "Access-Control-Allow-Origin": {
        "description": "The page's own origin, when it is on the site's list; before the site"
        " is known, when it is on any list",
        "schema": {"type": "string"},
    },
    "Access-Control-Expose-Headers": {
        "description": "Comes with Access-Control-Allow-Origin",
        "schema": {"const": "Retry-After"},
    },
    "Access-Control-Allow-Methods": {"required": True, "schema": {"const": "POST, OPTIONS"}},
    "Access-Control-Allow-Headers": {"required": True, "schema": {"const": "Content-Type"}},
    "Access-Control-Max-Age": {
        "description": "Seconds for which the page need not ask again",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Allow": {"required": True, "schema": {"const": "POST, OPTIONS"}},
    "ETag": {
        "description": "Names the script's bytes in this content encoding",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9a-f]{20}(-br|-gzip)?"$'},
    },
    "Content-Encoding": {
        "description": "Missing when the client takes neither",
        "schema": {"enum": ["br", "gzip"]},
    },
    "Cache-Control": {
        "description": "The snippet is private: it comes with a visitor's cookie",
        "required": True,
        "schema": {
            "type": "string",
            "pattern": "^(no-store$|private, max-age=[0-9])",
        },
    },
    "Set-Cookie": {
        "description": "The visitor cookie, made or renewed; none with Sec-GPC: 1",
        "schema": {"type": "string", "pattern": "^pinsphere_visitor=[A-Za-z0-9_-]{1,64}; Path=/; "},
    },
}
PARAMETERS: Json = {
    "Origin": {
        "name": "Origin",
        "in": "header",
        "description": "Where the page is from; a browser sets it",
        "schema": {"type": "string"},
        "example": "https://shop.example",
    },
    "Referer": {
        "name": "Referer",
        "in": "header",
        "description": "The page the picture is on; a browser sets it",
        "schema": {"type": "string"},
        "example": "https://shop.example/mug",
    },
    "Sec-GPC": {
        "name": "Sec-GPC",
        "in": "header",
        "description": "1 counts as denied consent: nothing that names a person is stored or set",
        "schema": {"type": "string"},
        "example": "1",
    },
    "pinsphere_visitor": {
        "name": "pinsphere_visitor",
        "in": "cookie",
        "description": "The visitor, for events without a visitor_id",
        "schema": {"type": "string"},
        "example": "xmUMS1Jn5sBQ4_xX0-ATxg",
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "description": "ETag of the copy at hand",
        "schema": {"type": "string"},
        "example": '"2cd2df6984ffebbc733c-br"',
    },
    "k": {
        "name": "k",
        "in": "query",
        "required": True,
        "description": "The site's public write key",
        "schema": {"type": "string", "minLength": 1},
        "example": "acme-public-key",
    },
    "e": {
        "name": "e",
        "in": "query",
        "description": "base64url of one event's JSON (pin_visit, view_item or view_item_list);"
        " event_id and event_time_ms may be left out",
        "schema": {"type": "string"},
        "example": "eyJldmVudF9uYW1lIjogInZpZXdfaXRlbSIsICJpdGVtX2lkIjogIm11ZyJ9",
    },
    "t": {
        "name": "t",
        "in": "query",
        "description": "The token of a landing's address: a pin_visit of that pin",
        "schema": {"type": "string"},
    },
    "site": {
        "name": "site",
        "in": "path",
        "required": True,
        "description": "The site's id in `pinsphere.toml`",
        "schema": {"type": "string", "pattern": "^[a-z0-9_-]{1,63}$"},
        "example": "acme",
    },
    "v": {
        "name": "v",
        "in": "query",
        "description": "The version that the page's tag names with its hash; else the current one",
        "schema": {"type": "string"},
    },
    "X-Shopify-Topic": {
        "name": "X-Shopify-Topic",
        "in": "header",
        "description": "Other topics than `orders/create`, `orders/updated`, `orders/cancelled`"
        " and `refunds/create` are answered 204 and not kept",
        "schema": {"type": "string"},
        "example": "orders/create",
    },
    "X-Shopify-Webhook-Id": {
        "name": "X-Shopify-Webhook-Id",
        "in": "header",
        "description": "The delivery; sent twice it counts once",
        "schema": {"type": "string"},
        "example": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
    },
    "X-WC-Webhook-Topic": {
        "name": "X-WC-Webhook-Topic",
        "in": "header",
        "description": "Other topics than those of orders are answered 204 and not kept",
        "schema": {"type": "string"},
        "example": "order.created",
    },
    "X-WC-Webhook-Delivery-ID": {
        "name": "X-WC-Webhook-Delivery-ID",
        "in": "header",
        "description": "The delivery; sent twice it counts once",
        "schema": {"type": "string"},
        "example": "1f3870be274f6c49b3e31a0c6728957f",
    },
}
SECURITY: Json = {
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-PinSphere-Signature",
        "description": 't=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body"> with the site\'s secret;'
        " at most 5 minutes old",
    },
    "shopify": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Shopify-Hmac-SHA256",
        "description": "base64 HMAC-SHA256 of the body with the app's or the shop's webhook secret",
    },
    "woocommerce": {
        "type": "apiKey",
        "in": "header",
        "name": "X-WC-Webhook-Signature",
        "description": "base64 HMAC-SHA256 of the body with the webhook's secret",
    },
}
PAGE_BATCH: Json = {
    "site_key": "acme-public-key",
    "sent_time_ms": 1795300001000,
    "events": [
        {
            "event_name": "pin_visit",
            "event_id": "019ab1f0-5a6b-7c1d-8e2f-0123456789ab",
            "event_time_ms": 1795300000000,
            "visitor_id": "xmUMS1Jn5sBQ4_xX0-ATxg",
            "page_location": "https://shop.example/p/mug",
            "pin_id": "Zk3vX0pQ9sLm2Tn7",
            "token_carrier": "query",
        },
        {
            "event_name": "pin",
            "event_id": "019ab1f0-5f00-7aaa-9bbb-0123456789ab",
            "event_time_ms": 1795300000900,
            "visitor_id": "xmUMS1Jn5sBQ4_xX0-ATxg",
            "pin_id": "b7QeT1rYw5KzN0aD",
            "parent_pin_id": "Zk3vX0pQ9sLm2Tn7",
            "hop": 1,
            "item_id": "mug",
            "item_list_id": "home_recs",
            "recommender_id": "cf-v2",
            "index": 0,
        },
    ],
}
ORDER_BATCH: Json = {
    "site_key": "acme-public-key",
    "events": [
        {
            "event_name": "purchase",
            "event_id": "019ab1f1-0000-7000-8000-000000001001",
            "event_time_ms": 1795300600000,
            "visitor_id": "xmUMS1Jn5sBQ4_xX0-ATxg",
            "customer_id": "c-17",
            "order_id": "1001",
            "currency": "GBP",
            "shipping": "4.99",
            "items": [{"line_id": "1", "item_id": "mug", "quantity": 2, "price": "12.50"}],
        },
        {
            "event_name": "refund",
            "event_id": "019ab1f2-0000-7000-8000-000000000007",
            "event_time_ms": 1795387000000,
            "refund_id": "7",
            "order_id": "1001",
            "items": [{"line_id": "1", "quantity": 1}],
        },
    ],
}
RECEIPT: Json = {
    "accepted": 1,
    "quarantined": [{"index": 1, "reason": "pin 'a' names itself as its parent"}],
}
SHOPIFY_ORDER: Json = {
    "id": 5001,
    "created_at": "2026-11-22T10:00:00+00:00",
    "updated_at": "2026-11-22T10:00:00+00:00",
    "currency": "GBP",
    "total_tax": "0.00",
    "customer": {"id": 17},
    "note_attributes": [{"name": "pinsphere_visitor", "value": "xmUMS1Jn5sBQ4_xX0-ATxg"}],
    "line_items": [{"id": 9001, "product_id": 7001, "quantity": 2, "price": "12.50"}],
}
WOOCOMMERCE_ORDER: Json = {
    "id": 727,
    "status": "processing",
    "currency": "GBP",
    "date_created_gmt": "2026-11-22T10:00:00",
    "date_modified_gmt": "2026-11-22T10:00:05",
    "total": "25.00",
    "customer_id": 17,
    "meta_data": [{"id": 1, "key": "pinsphere_visitor", "value": "xmUMS1Jn5sBQ4_xX0-ATxg"}],
    "line_items": [{"id": 315, "product_id": 93, "quantity": 2, "total": "25.00"}],
}
