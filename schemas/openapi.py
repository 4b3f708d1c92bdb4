"""OpenAPI 3.1 and JSON Schema of the beacon, derived from the event structs.

`python -m schemas.openapi > docs/openapi.json` writes the committed copy.
"""

import functools
import inspect
import sys
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from schemas.events import EVENTS, MAX_EVENTS, SCHEMA_VERSION, AnyEvent, Millis

_REF = "#/components/schemas/{name}"
_JSON = "application/json"


class EventBatch(msgspec.Struct, kw_only=True):
    """Body of `/v1/events` and `/v1/orders`."""

    site_key: Annotated[str, Meta(description="The site's public write key")]
    events: Annotated[list[AnyEvent], Meta(max_length=MAX_EVENTS)]
    sent_time_ms: Millis | None = None


class QuarantinedEvent(msgspec.Struct, kw_only=True):
    """One event that broke its contract; it is kept, with this reason, and can be replayed."""

    index: Annotated[int, Meta(ge=0, description="Place in the request's `events`")]
    reason: str


class Receipt(msgspec.Struct, kw_only=True):
    """Says which events of a request were taken. All of it is durable."""

    accepted: Annotated[int, Meta(ge=0)]
    quarantined: list[QuarantinedEvent]


class Problem(msgspec.Struct, kw_only=True):
    """Any error answer."""

    error: Annotated[str, Meta(description="What was wrong, and with which value")]


class Status(msgspec.Struct, kw_only=True):
    """Answer of the health checks."""

    status: str


def json_schemas() -> dict[str, Any]:
    """A self-contained JSON Schema for each event name."""
    return {name: msgspec.json.schema(event) for name, event in EVENTS.items()}


@functools.cache
def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document of the beacon. Shared: do not change what it returns."""
    structs = [EventBatch, Receipt, Problem, Status]
    refs, components = msgspec.json.schema_components(structs, ref_template=_REF)
    components = _undented(components)
    batch, receipt, problem, status = refs
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PinSphere beacon",
            "version": str(SCHEMA_VERSION),
            "description": "Takes events of shops' pages and servers; answers when durable.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": _paths(batch, receipt, problem, status),
        "components": {
            "schemas": components,
            "securitySchemes": {
                "signature": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-PinSphere-Signature",
                    "description": 't=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">',
                }
            },
        },
    }


def _paths(
    batch: dict[str, Any], receipt: dict[str, Any], problem: dict[str, Any], status: dict[str, Any]
) -> dict[str, Any]:
    body = {
        "required": True,
        "content": {kind: {"schema": batch} for kind in (_JSON, "text/plain")},
    }
    retry_after = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}

    def error(text: str) -> dict[str, Any]:
        return _answer(text, problem)

    busy = {**error("Not promised: send it again later"), "headers": retry_after}
    taken = {
        "200": _answer("Durable; some events went to quarantine", receipt),
        "204": {"description": "Every event is durable"},
        "400": error("Unreadable: cut short, not JSON or of the wrong shape"),
        "413": error(f"More than 64 KiB or {MAX_EVENTS} events"),
        "415": error("Content type is not text/plain or application/json"),
        "503": busy,
    }
    return {
        "/v1/events": {
            "post": {
                "operationId": "sendEvents",
                "summary": "Events of a page",
                "requestBody": body,
                "responses": {
                    **taken,
                    "401": error("Unknown key"),
                    "403": error("Origin is not on the site's list"),
                },
            },
            "options": {
                "operationId": "askToSendEvents",
                "summary": "CORS preflight",
                "responses": {
                    "204": {"description": "Allowed"},
                    "403": error("Origin is on no site's list"),
                },
            },
        },
        "/v1/orders": {
            "post": {
                "operationId": "sendOrders",
                "summary": "Events of a shop's server, signed",
                "security": [{"signature": []}],
                "requestBody": body,
                "responses": {
                    **taken,
                    "401": error("Unknown key, or the signature is missing, wrong or too old"),
                },
            }
        },
        "/v1/pixel.gif": {
            "get": {
                "operationId": "sendPixel",
                "summary": "One event from a page without scripts or an e-mail",
                "parameters": [
                    _query("k", "The site's public write key"),
                    _query("e", "base64url of one event's JSON; times and ids may be left out"),
                ],
                "responses": {
                    "200": _file("Durable, in quarantine if it was bad", "image/gif"),
                    "400": error("No event"),
                    "401": error("Unknown key"),
                    "403": error("Origin is not on the site's list"),
                    "414": {"description": "The address is longer than 65,535 bytes"},
                    "503": busy,
                },
            }
        },
        "/pin.js": {
            "get": {
                "operationId": "getSnippet",
                "summary": "The snippet; sets or renews the visitor cookie",
                "responses": {
                    "200": _file("The script", "text/javascript"),
                    "304": {"description": "The copy you have is current"},
                },
            }
        },
        "/healthz": _probe("isAlive", "The process is alive", status),
        "/readyz": _probe("isReady", "Events can be made durable now", status, busy),
        "/metrics": {
            "get": {
                "operationId": "getMetrics",
                "summary": "Prometheus metrics",
                "responses": {"200": _file("Text format", "text/plain")},
            }
        },
        "/openapi.json": {
            "get": {
                "operationId": "getOpenapi",
                "summary": "This document",
                "responses": {"200": _answer("OpenAPI 3.1", {"type": "object"})},
            }
        },
    }


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


def _answer(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {_JSON: {"schema": schema}}}


def _file(text: str, media_type: str) -> dict[str, Any]:
    return {"description": text, "content": {media_type: {"schema": {"type": "string"}}}}


def _query(name: str, text: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"name": name, "in": "query", "required": True, "description": text, "schema": schema}


def _probe(
    operation: str, text: str, status: dict[str, Any], busy: dict[str, Any] | None = None
) -> dict[str, Any]:
    responses = {"200": _answer("Yes", status)}
    if busy is not None:
        responses["503"] = busy
    return {"get": {"operationId": operation, "summary": text, "responses": responses}}


def main() -> None:
    """Prints the document, as committed in `docs/openapi.json`."""
    text = msgspec.json.format(msgspec.json.encode(openapi()), indent=2)
    sys.stdout.buffer.write(text + b"\n")


if __name__ == "__main__":
    main()
