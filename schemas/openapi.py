"""OpenAPI 3.1 and JSON Schema of the beacon: which calls there are, how each is answered.

Events and bodies are derived from their structs. `python -m schemas.openapi > docs/openapi.json`
writes the committed copy.
"""

import functools
import inspect
import sys
from typing import Any

import msgspec

from schemas.answers import EventBatch, Problem, Receipt, Status
from schemas.events import EVENTS, MAX_EVENTS
from schemas.openapi_parts import (
    HEADERS,
    INFO,
    ORDER_BATCH,
    PAGE_BATCH,
    PARAMETERS,
    RECEIPT,
    SECURITY,
    SHOPIFY_ORDER,
    WOOCOMMERCE_ORDER,
    Json,
)

_JSON = "application/json"
_PIXEL = "/v1/pixel.gif"
_CORS = ("Vary", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers")
_PREFLIGHT = (
    "Allow",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
    "Access-Control-Max-Age",
)


def json_schemas() -> Json:
    """A self-contained JSON Schema for each event name."""
    return {name: msgspec.json.schema(event) for name, event in EVENTS.items()}


@functools.cache
def openapi() -> Json:
    """The OpenAPI 3.1 document of the beacon. Shared: do not change what it returns."""
    structs = [EventBatch, Receipt, Problem, Status]
    _, schemas = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    paths = {**_page_calls(), **_server_calls(), **_readings()}
    for path, operations in paths.items():
        for operation in operations.values():
            # The HTTP server's own answer: the call itself has not been looked at.
            operation["responses"]["431"] = {
                "description": "Over 100 headers, or address and headers beyond 32 KiB"
            }
        if "get" in operations and path != _PIXEL:  # a pixel's GET stores
            operations["head"] = _head(operations["get"])
    return {
        "openapi": "3.1.0",
        "info": INFO,
        "servers": [{"url": "/", "description": "Wherever the shop serves the beacon"}],
        "paths": paths,
        "components": {
            "schemas": _undented(schemas),
            "headers": HEADERS,
            "parameters": PARAMETERS,
            "securitySchemes": SECURITY,
        },
    }


def _page_calls() -> Json:
    """What pages and e-mails send."""
    unknown = _problem("Unknown key", "unknown site key 'acme-publik-key'")
    foreign = _problem(
        "Origin is not on the site's list", "origin 'https://evil.example' is not on the list"
    )
    framed = _problem(
        "Origin, or the origin of Referer, is not on the site's list",
        "page 'https://evil.example/' is not on the list of this site",
    )
    preflight = {"description": "Allowed", "headers": _headers(*_PREFLIGHT)}
    pixel = {"description": "Durable, in quarantine if it was bad", "content": {"image/gif": {}}}
    return {
        "/v1/events": {
            "post": {
                "operationId": "sendEvents",
                "summary": "Events of a page",
                "parameters": _parameters("Origin", "Sec-GPC", "pinsphere_visitor"),
                "requestBody": _batch(PAGE_BATCH),
                "responses": _adding(
                    _CORS,
                    {**_taken(), "401": unknown, "403": foreign, "415": _untyped(), "429": _many()},
                ),
            },
            "options": {
                "operationId": "askToSendEvents",
                "summary": "CORS preflight",
                "parameters": _parameters("Origin"),
                "responses": _adding(_CORS, {"204": preflight, "403": foreign}),
            },
        },
        _PIXEL: {
            "get": {
                "operationId": "sendPixel",
                "summary": "One look at a page without scripts or an e-mail: `e`, or `t`",
                "parameters": _parameters(
                    *("k", "e", "t", "Origin", "Referer", "Sec-GPC", "pinsphere_visitor")
                ),
                "responses": {
                    "200": {**pixel, "headers": _headers("Cache-Control")},
                    "400": _problem(
                        "Neither `e` nor `t`, or both",
                        "needs e (base64url of one event's JSON) or t (a pin's token)",
                    ),
                    "401": unknown,
                    "403": framed,
                    "429": _many(),
                    "503": _busy(),
                },
            }
        },
    }


def _server_calls() -> Json:
    """What a shop's server sends, signed."""
    unsigned = _problem(
        "Unknown key, or the signature is missing, wrong or too old",
        "X-PinSphere-Signature is more than 300 seconds off",
    )
    return {
        "/v1/orders": {
            "post": {
                "operationId": "sendOrders",
                "summary": "Events of a shop's server, signed",
                "security": [{"signature": []}],
                "requestBody": _batch(ORDER_BATCH),
                "responses": {**_taken(), "401": unsigned, "415": _untyped(), "429": _dear()},
            }
        },
        "/v1/webhooks/shopify/{site}": _webhook(
            "takeShopify",
            "Orders, cancellations and refunds in Shopify's own format",
            "shopify",
            ("X-Shopify-Topic", "X-Shopify-Webhook-Id"),
            SHOPIFY_ORDER,
        ),
        "/v1/webhooks/woocommerce/{site}": _webhook(
            "takeWoocommerce",
            "Orders and refunds in WooCommerce's own format; its unsigned ping is answered 200",
            "woocommerce",
            ("X-WC-Webhook-Topic", "X-WC-Webhook-Delivery-ID"),
            WOOCOMMERCE_ORDER,
        ),
    }


def _webhook(
    operation: str, summary: str, system: str, headers: tuple[str, ...], example: Json
) -> Json:
    payload = {"type": "object", "description": "As the shop system documents it"}
    responses = {
        **_taken(),
        "204": {"description": "Durable, or about something that is not kept"},
        "400": _problem("Cut short", "the connection ended before the body did"),
        "401": _problem(
            "Not signed with a secret of this site, or there is no such site",
            "the signature is missing, or not that of this body under this site's secret",
        ),
        "413": _problem("More than 2 MiB", "the body is larger than 2097152 bytes"),
    }
    return {
        "post": {
            "operationId": operation,
            "summary": summary,
            "security": [{system: []}],
            "parameters": _parameters("site", *headers),
            "requestBody": {
                "required": True,
                "content": {_JSON: {"schema": payload, "example": example}},
            },
            "responses": responses,
        }
    }


def _readings() -> Json:
    """The snippet, the health checks, the metrics, this document."""
    # A page that checks the script's hash must be allowed to read it.
    any_page = {"Access-Control-Allow-Origin": {"required": True, "schema": {"const": "*"}}}
    script = {**any_page, **_headers("ETag", "Vary", "Cache-Control", "Set-Cookie")}
    return {
        "/pin.js": _get(
            "getSnippet",
            "The snippet; sets or renews the visitor cookie",
            {
                "200": {
                    "description": "The script",
                    "headers": {**script, **_headers("Content-Encoding")},
                    "content": {"text/javascript": {"schema": {"type": "string"}}},
                },
                "304": {"description": "The copy you have is current", "headers": script},
                "404": {
                    **_problem("Not a version served here", "snippet 'abc' was never served here"),
                    "headers": {**any_page, **_headers("Cache-Control")},
                },
            },
            _parameters("v", "If-None-Match", "Sec-GPC", "pinsphere_visitor"),
        ),
        "/healthz": _get("isAlive", "The process is alive", {"200": _healthy("alive")}),
        "/readyz": _get(
            "isReady",
            "An empty commit was just flushed",
            {"200": _healthy("ready"), "503": _busy()},
        ),
        "/metrics": _get(
            "getMetrics",
            "Prometheus metrics",
            {
                "200": {
                    "description": "Text format",
                    "headers": _headers("Cache-Control"),
                    "content": {"text/plain": {"schema": {"type": "string"}}},
                },
                "403": _problem(
                    "Asked from a public address, or through a proxy",
                    "metrics are for local and private addresses, by no proxy",
                ),
            },
        ),
        "/openapi.json": _get(
            "getOpenapi",
            "This document",
            {
                "200": {
                    "description": "OpenAPI",
                    "content": {_JSON: {"schema": {"type": "object"}}},
                }
            },
        ),
    }


def _taken() -> Json:
    """How a body of events is answered, whoever sends it."""
    receipt = {"schema": _ref("schemas", "Receipt"), "example": RECEIPT}
    return {
        "200": {
            "description": "Durable; some events went to quarantine",
            "content": {_JSON: receipt},
        },
        "204": {"description": "Every event is durable"},
        "400": _problem(
            "Unreadable: cut short, not JSON or of the wrong shape",
            "the body has the wrong shape: Object missing required field `site_key`",
        ),
        "413": _problem(
            f"More than 64 KiB or {MAX_EVENTS} events",
            f"{MAX_EVENTS + 1} events; at most {MAX_EVENTS} a request",
        ),
        "503": _busy(),
    }


def _untyped() -> Json:
    return _problem(
        "Content type is not text/plain or application/json",
        "content type 'text/html' is not text/plain or application/json",
    )


def _many() -> Json:
    return _problem(
        "Too many requests of this site, or of the sender's network; or too many it failed with",
        "your network has sent too many requests; come again in 3 s",
        "Retry-After",
    )


def _dear() -> Json:
    return _problem(
        "Too many bodies of the sender's network that are no strict JSON (half an emoji, a NaN)",
        "your network has sent too many requests; come again in 3 s",
        "Retry-After",
    )


def _busy() -> Json:
    text = "Not promised: send it again later"
    return _problem(text, "less than 5 % of the disk is free", "Retry-After")


def _problem(text: str, example: str, *headers: str) -> Json:
    content = {"schema": _ref("schemas", "Problem"), "example": {"error": example}}
    problem = {"description": text, "content": {_JSON: content}}
    return {**problem, "headers": _headers(*headers)} if headers else problem


def _healthy(status: str) -> Json:
    content = {"schema": _ref("schemas", "Status"), "example": {"status": status}}
    return {
        "description": "Yes",
        "headers": _headers("Cache-Control"),
        "content": {_JSON: content},
    }


def _batch(example: Json) -> Json:
    content = {"schema": _ref("schemas", "EventBatch"), "example": example}
    return {"required": True, "content": {_JSON: content, "text/plain": content}}


def _get(
    operation: str, summary: str, responses: Json, parameters: list[Json] | None = None
) -> Json:
    described = {"operationId": operation, "summary": summary, "responses": responses}
    return {"get": {**described, "parameters": parameters} if parameters else described}


def _head(get: Json) -> Json:
    """The same without bodies."""
    return {
        **get,
        "operationId": f"{get['operationId']}Head",
        "summary": f"{get['summary']}; no body",
        "responses": {
            status: {name: part for name, part in response.items() if name != "content"}
            for status, response in get["responses"].items()
        },
    }


def _adding(names: tuple[str, ...], responses: Json) -> Json:
    """The answers, each with more headers."""
    return {
        status: {**response, "headers": {**response.get("headers", {}), **_headers(*names)}}
        for status, response in responses.items()
    }


def _headers(*names: str) -> Json:
    return {name: _ref("headers", name) for name in names}


def _parameters(*names: str) -> list[Json]:
    return [_ref("parameters", name) for name in names]


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _undented(part: Any) -> Any:
    """The schema with its descriptions cleaned: Python 3.13 cuts a docstring's indent, 3.11 not."""
    if isinstance(part, dict):
        return {
            name: inspect.cleandoc(value)
            if name == "description" and isinstance(value, str)
            else _undented(value)
            for name, value in part.items()
        }
    return [_undented(value) for value in part] if isinstance(part, list) else part


def main() -> None:
    """Prints the document, as committed in `docs/openapi.json`."""
    text = msgspec.json.format(msgspec.json.encode(openapi()), indent=2)
    sys.stdout.buffer.write(text + b"\n")


if __name__ == "__main__":
    main()
