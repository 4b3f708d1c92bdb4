"""Every answer that the OpenAPI document lists, provoked; and docs/api.md names each of them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator

from schemas.openapi import openapi
from tests.beacon.answers import AFAR, CASES, GOOD, ODD, PIXEL, TEXT, Case
from tests.beacon.conftest import Server

API = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")
# What HTTP itself needs, or the server adds to each answer.
PLAIN_HEADERS = {"content-length", "content-type", "connection", "date", "server"}
BEACONS: dict[str, dict[str, Any]] = {
    "full": {"min_free_percent": 99.999},
    "busy": {"beacon": {"site_requests_a_minute": 1}},
    "wary": {"beacon": {"network_requests_a_minute": 1, "trusted_proxies": ["127.0.0.1"]}},
    "listed": {"without_open_site": True},
}
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in openapi()["paths"].items()
    for method, operation in operations.items()
}
Ask = Callable[[str], httpx.Client]


@pytest.fixture(scope="module")
def ask(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """The client of a beacon in some condition; each is started when it is first needed."""
    started: dict[str, Server] = {}

    def client_of(beacon: str) -> httpx.Client:
        if beacon == "shipped":
            return server.client
        if beacon not in started:
            started[beacon] = Server(tmp_path_factory.mktemp(beacon), **BEACONS[beacon])
        if beacon == "busy":  # the one request of its minute
            started[beacon].client.post("/v1/events", content=GOOD, headers=TEXT)
        if beacon == "wary":
            started[beacon].client.post("/v1/events", content=ODD, headers=AFAR)
        return started[beacon].client

    yield client_of
    for each in started.values():
        each.stop()


def resolved(part: Any) -> Any:
    """The part of the document that a reference stands for."""
    while isinstance(part, dict) and "$ref" in part:
        _, *names = part["$ref"].split("/")
        part = openapi()
        for name in names:
            part = part[name]
    return part


def check(answer: httpx.Response, call: str, status: int) -> None:
    """Holds an answer against what the document says of it: status, headers, type and body."""
    assert answer.status_code == status, answer.text[:300]
    documented = OPERATIONS[call]["responses"][str(status)]
    headers = {name.lower(): resolved(of) for name, of in documented.get("headers", {}).items()}
    assert set(answer.headers) - PLAIN_HEADERS <= set(headers), "a header is not documented"
    required = {name for name, of in headers.items() if of.get("required")}
    assert required <= set(answer.headers)
    for name in set(headers) & set(answer.headers):
        value: Any = answer.headers[name]
        schema = headers[name]["schema"]
        value = int(value) if schema.get("type") == "integer" else value
        Draft202012Validator(schema).validate(value)
    content = documented.get("content")
    if answer.content:
        (kind,) = {answer.headers["content-type"].partition(";")[0]} & set(content)
        if kind == "application/json":
            schema = {**content[kind]["schema"], "components": openapi()["components"]}
            Draft202012Validator(schema).validate(answer.json())
    else:
        assert content is None or call.startswith("HEAD ") or status == 200
        assert int(answer.headers.get("content-length", 0)) == 0 or call.startswith("HEAD ")


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_answers_as_documented(ask: Ask, case: Case) -> None:
    """Snippets and servers in the field act on these; they never change meaning."""
    answer = case.send(ask(case.beacon))

    check(answer, case.call, case.status)
    if case.status >= 400:
        assert len(answer.json()["error"]) > 10


GETS = [case for case in CASES if case.call.startswith("GET ") and case.call != PIXEL]


@pytest.mark.parametrize("case", GETS, ids=[case.name for case in GETS])
def test_head_is_answered_as_get_without_a_body(ask: Ask, case: Case) -> None:
    """A proxy that asks by HEAD whether its copy is current must not be misled."""
    answer = case.send(ask(case.beacon), "HEAD")

    check(answer, case.call.replace("GET", "HEAD"), case.status)
    assert answer.content == b""


@pytest.mark.parametrize("call", OPERATIONS)
def test_too_many_headers_are_refused(server: Server, call: str) -> None:
    """Whoever sends headers without end takes no more memory than this."""
    method, path = call.split()
    headers = {f"x-{number}": "x" for number in range(101)}

    check(server.client.request(method, path, headers=headers), call, 431)


def test_headers_that_are_too_long_are_refused(server: Server) -> None:
    """An address is part of the head: a pixel's event has no more room than this."""
    for address, header in (("x" * 60_000, "x" * 10_000), ("x", "x" * 70_000)):
        answer = server.client.get(f"/v1/pixel.gif?e={address}", headers={"x-long": header})

        check(answer, "GET /v1/pixel.gif", 431)


@pytest.mark.parametrize("path", openapi()["paths"])
def test_other_methods_are_refused_and_the_right_ones_named(server: Server, path: str) -> None:
    """A developer's first mistake is answered with the way out."""
    allowed = {call.split()[0] for call in OPERATIONS if call.split()[1] == path}

    for method in set(METHODS) - allowed:
        answer = server.client.request(method, path.replace("{site}", "acme"))

        assert answer.status_code == 405, method
        assert set(answer.headers["allow"].split(", ")) == allowed
        assert method == "HEAD" or answer.json()["error"].startswith(method)


@pytest.mark.parametrize("path", ["/", "/v1/events/", "/v1/webhooks/ebay/acme", "/pin.js.map"])
def test_other_addresses_are_not_found(server: Server, path: str) -> None:
    """A slip in an address must not look like success."""
    answer = server.client.get(path)

    assert answer.status_code == 404
    assert list(answer.json()) == ["error"]


def rows() -> list[tuple[str, str, list[str]]]:
    """The table of docs/api.md: call, status, cases."""
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in API.splitlines()
        if line.startswith("| `")
    ]
    return [
        (call.strip("`"), status, re.findall(r"`([\w-]+)`", names))
        for call, status, _, names in cells
    ]


def test_the_table_of_answers_is_complete() -> None:
    """A status without a row, or a row without a proof, is a promise nobody keeps."""
    told = sorted((call, int(status), name) for call, status, names in rows() for name in names)

    assert told == sorted((case.call, case.status, case.name) for case in CASES)
    documented = {
        (call, int(status))
        for call, operation in OPERATIONS.items()
        if not call.startswith("HEAD ")
        for status in operation["responses"]
        if status != "431"
    }
    assert documented == {(case.call, case.status) for case in CASES}


def test_the_table_would_miss_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with one row less the table is found out."""
    monkeypatch.setitem(globals(), "API", API.replace("| `GET /readyz` | 503 ", "| x | 503 "))

    with pytest.raises(AssertionError):
        test_the_table_of_answers_is_complete()


def test_an_undocumented_header_would_be_seen(server: Server) -> None:
    """The control: an answer that differs from the document in one header is found out."""
    answer = server.client.get("/healthz")
    answer.headers["x-powered-by"] = "pins"

    with pytest.raises(AssertionError, match="not documented"):
        check(answer, "GET /healthz", 200)
