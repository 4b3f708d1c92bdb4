"""The OpenAPI document against the running beacon: some thousand requests made up from it.

They look for an answer the document does not list, a header or a body of another form, nonsense
acknowledged as good, sound data refused, a method or a signature nobody looks at.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any
from unittest import mock

import msgspec
import pytest
import requests
import schemathesis
from jsonschema_rs import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from requests.auth import AuthBase
from schemathesis.core.failures import FailureGroup

from schemas.contract import decode_event
from schemas.events import EVENTS
from schemas.openapi import openapi
from schemas.shopify import read_shopify
from schemas.woocommerce import read_woocommerce
from tests.beacon.answers import KEY, body_signature, signed
from tests.beacon.conftest import Server

BATCHES = ["/v1/events", "/v1/orders"]
WEBHOOKS = {
    "/v1/webhooks/shopify/{site}": "X-Shopify-Hmac-SHA256",
    "/v1/webhooks/woocommerce/{site}": "X-WC-Webhook-Signature",
}
# Other topics are not read, whatever stands in them.
TOPICS = {"X-Shopify-Topic": "orders/create", "X-WC-Webhook-Topic": "order.created"}
TRIED_EVENTS = ["view_item_list", "pin", "purchase", "refund", "identify"]
REFUSALS = ["400", "401", "403", "413", "415"]
ACCEPTED = ["2xx", "3xx", "401", "403", "413"]  # 64 KiB is a limit that no schema can say
CONFIG: dict[str, Any] = {
    # The same requests each time: who breaks the contract sees it, not who comes after her.
    "generation": {
        "deterministic": True, "database": "none", "max-examples": 30, "no-shrink": True,
    },
    "checks": {
        # The beacon has room, so a 503 is as wrong here as a 500.
        "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx"]},
        "positive_data_acceptance": {"expected-statuses": ACCEPTED},
        "negative_data_rejection": {"expected-statuses": REFUSALS},
    },
    "operations": [
        {
            # A bad event is no bad request: it is kept in quarantine, and named in a 200, as
            # `bad_events_are_named` holds. A 204 to nonsense remains forbidden.
            "include-path": [*BATCHES, *WEBHOOKS],
            "checks": {"negative_data_rejection": {"expected-statuses": ["200", *REFUSALS]}},
        },
        {
            # Either `e` or `t`: no list of parameters can say that.
            "include-path": "/v1/pixel.gif",
            "checks": {"positive_data_acceptance": {"expected-statuses": ["400", *ACCEPTED]}},
        },
        {
            "include-path": "/pin.js",  # a made-up version was never served
            "checks": {"positive_data_acceptance": {"expected-statuses": ["404", *ACCEPTED]}},
        },
        # Each rule of a body of events is tried at /v1/events; here it is about the signature.
        {"include-path": "/v1/orders", "phases": {"coverage": {"enabled": False}}},
    ],
}  # fmt: skip


def shortened(document: dict[str, Any]) -> dict[str, Any]:
    """The document with less to repeat: all of it would take minutes on a busy machine.

    One content type for `/v1/events` (the same lines read both), and five of the events (the
    envelope is tried with each; what is an event's own, `tests/schemas/` holds for all).
    """
    document = copy.deepcopy(document)
    del document["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"]
    batch = document["components"]["schemas"]["EventBatch"]
    items = batch["properties"]["events"]["items"]
    mapping = items["discriminator"]["mapping"]
    items["discriminator"]["mapping"] = {name: mapping[name] for name in TRIED_EVENTS}
    items["anyOf"] = [{"$ref": mapping[name]} for name in TRIED_EVENTS]
    return document


SCHEMA = schemathesis.openapi.from_dict(
    shortened(openapi()), config=schemathesis.Config.from_dict(CONFIG)
)


class Signing(AuthBase):
    """Signs what is really sent, as a shop's server or shop system does."""

    def __init__(self, header: str = "") -> None:
        self.header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        assert isinstance(body, bytes)
        if self.header:
            request.headers[self.header] = body_signature(body)
        else:
            header = "x-pinsphere-signature"
            request.headers[header] = signed(body)[header]
        return request


SCHEMA.auth.set_from_requests(Signing()).apply_to(path="/v1/orders")
for path, header in WEBHOOKS.items():
    SCHEMA.auth.set_from_requests(Signing(header)).apply_to(path=path)


def let_in(case: Any) -> None:
    """Gives a made-up request the key of a real site: none would come past the door else."""
    if isinstance(case.body, dict) and isinstance(case.body.get("site_key"), str):
        case.body["site_key"] = KEY
    if "k" in (case.query or {}):
        case.query["k"] = KEY
    if "site" in (case.path_parameters or {}):
        case.path_parameters["site"] = "acme"
        case.headers.update(TOPICS)
    if case.meta.generation.mode.is_negative and case.path == "/v1/events":
        # With GPC what names a person is cut out unread: what was wrong there is gone with it.
        case.headers.pop("Sec-GPC", None)


def bad_events_are_named(context: Any, response: Any, case: Any) -> None:
    """A 200 to a body that breaks the schema says which of its events was bad."""
    is_wrong = case.meta.generation.mode.is_negative and case.path in (*BATCHES, *WEBHOOKS)
    if is_wrong and response.status_code == 200:
        assert response.json()["quarantined"], "nonsense was taken for good"


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@SCHEMA.parametrize()
def test_the_beacon_answers_as_its_document_says(
    case: Any, server: Server, session: requests.Session
) -> None:
    """Whoever builds a client from the document meets no surprise."""
    let_in(case)
    session.cookies.clear()
    case.call_and_validate(
        base_url=f"http://127.0.0.1:{server.port}",
        session=session,
        additional_checks=[bad_events_are_named],
    )


def test_the_document_is_openapi() -> None:
    """Tools that read it refuse a document with a slip."""
    OpenAPIV31SpecValidator(copy.deepcopy(openapi())).validate()


def test_the_document_is_served(server: Server) -> None:
    """The copy in docs/ is for people; tools ask the beacon."""
    assert server.client.get("/openapi.json").json() == openapi()


def examples() -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Where each example of a body stands, its schema, and itself."""
    for path, operations in openapi()["paths"].items():
        for method, operation in operations.items():
            parts = {"request": operation.get("requestBody", {}), **operation["responses"]}
            for name, part in parts.items():
                for kind, content in part.get("content", {}).items():
                    if "example" in content:
                        where = f"{method} {path} {name} {kind}"
                        yield where, content["schema"], content["example"]


EXAMPLES = list(examples())


@pytest.mark.parametrize(
    ("schema", "example"), [each[1:] for each in EXAMPLES], ids=[each[0] for each in EXAMPLES]
)
def test_examples_keep_their_schemas(schema: dict[str, Any], example: Any) -> None:
    """An example is what people copy."""
    whole = {**schema, "components": openapi()["components"]}
    Draft202012Validator(whole).validate(example)


def test_example_requests_hold_sound_events_only() -> None:
    """They keep the contract beyond their schema too: money, ids, what must come together."""
    bodies = {where: body for where, _, body in EXAMPLES if " request " in where}
    events = [event for body in bodies.values() for event in body.get("events", [])]

    named = {decode_event(msgspec.json.encode(event)).__struct_config__.tag for event in events}

    assert named == {"pin_visit", "pin", "purchase", "refund"} <= set(EVENTS)
    shopify, woocommerce = (
        json.dumps(bodies[f"post {path} request application/json"]).encode() for path in WEBHOOKS
    )
    assert read_shopify("orders/create", shopify, "product_id")
    assert read_woocommerce("order.created", woocommerce, "product_id", 1_795_300_000_000)


def test_an_answer_that_is_not_documented_is_seen(server: Server) -> None:
    """The control: with one status less in the document the run above fails."""
    document = copy.deepcopy(openapi())
    del document["paths"]["/readyz"]["get"]["responses"]["200"]
    case = schemathesis.openapi.from_dict(document)["/readyz"]["GET"].Case()

    with pytest.raises(FailureGroup, match="Undocumented status code"):
        case.call_and_validate(base_url=f"http://127.0.0.1:{server.port}")


def test_nonsense_taken_for_good_is_seen() -> None:
    """The control: a receipt that names no event does not pass for a refusal."""
    case = mock.Mock(path="/v1/events", **{"meta.generation.mode.is_negative": True})
    response = mock.Mock(status_code=200, **{"json.return_value": {"quarantined": []}})

    with pytest.raises(AssertionError, match="taken for good"):
        bad_events_are_named(None, response, case)
