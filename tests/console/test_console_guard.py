"""Who gets in, who does not, and what every answer says to browsers."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from console.app import build_app
from console.guard import CONTENT_SECURITY_POLICY, Door
from console.server import make_door
from schemas.errors import SettingsError, UsageError
from schemas.home import Home

TOKEN = "a-token-of-24-characters"
NOT_YET = 503  # there is no database: whoever reads this got in


@pytest.fixture
def visit(tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """Makes a client of a console with a door."""
    clients = []

    def make(door: Door, base_url: str = "http://localhost") -> TestClient:
        client = TestClient(build_app(Home(tmp_path), door), base_url, follow_redirects=False)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.mark.parametrize("host", ["localhost", "localhost:8001", "127.0.0.1:8001", "[::1]:8001"])
def test_the_console_answers_by_its_own_names(visit, host):
    """Whoever runs it on her machine opens it without a setting."""
    assert visit(Door()).get("/", headers={"host": host}).status_code == NOT_YET


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "x@localhost", ""]
)
def test_a_foreign_host_is_refused(visit, host):
    """A page elsewhere that rebinds its name to 127.0.0.1 would read everything."""
    assert visit(Door()).get("/", headers={"host": host}).status_code == 421


def test_a_name_that_was_given_is_ours(visit):
    """Behind a proxy people use its name."""
    door = make_door("127.0.0.1", is_behind_proxy=False, hosts=("Pins.Intern.example",))

    answer = visit(door).get("/", headers={"host": "pins.intern.example"})

    assert answer.status_code == NOT_YET


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/rows/overview_sales", "/static/console.css"])
def test_nothing_but_reading_is_let_through(visit, method, path):
    """What cannot be asked cannot go wrong."""
    answer = visit(Door()).request(method, path)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_a_form_is_read_for_its_token_and_nothing_else(visit):
    """The form stands in the place of every page; what is posted never reaches the page."""
    client = visit(Door(TOKEN))

    assert client.post("/rows/products.csv", data={"search": "x"}).status_code == 401
    assert client.post("/static/console.css", data={"token": TOKEN}).status_code == 405
    assert client.put("/", data={"token": TOKEN}).status_code == 405


@pytest.mark.parametrize("path", ["/", "/static/console.css", "/no-such-page", "/rows/none.csv"])
@pytest.mark.parametrize("door", [Door(), Door(TOKEN), Door(is_behind_proxy=True)])
def test_every_answer_tells_browsers_what_they_may_do(visit, path, door):
    """A script that got in somewhere could neither run nor call home."""
    headers = visit(door).get(path).headers

    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    is_static = path.startswith("/static")
    assert headers["cache-control"] == (
        "public, max-age=31536000, immutable" if is_static else "no-store"
    )


def test_what_is_missing_is_not_kept(visit):
    """A file asked for in the middle of an upgrade would be missing in that browser for a year."""
    answer = visit(Door()).get("/static/no-such-file.js")

    assert answer.status_code == 404
    assert answer.headers["cache-control"] == "no-store"


def test_each_refusal_has_its_own_words(visit, monkeypatch):
    """Who reads that there is no such page looks for the page, not for the rights of a file."""
    assert "There is no such page" in visit(Door()).get("/no-such-page").text
    monkeypatch.setattr(StaticFiles, "lookup_path", refuse)

    answer = visit(Door()).get("/static/console.css")

    assert answer.status_code == 401
    assert "Unauthorized" in answer.text


def refuse(*_arguments: object) -> None:
    """What a file says to who may not read it."""
    raise PermissionError


def test_without_the_token_nobody_reads(visit):
    """A figure on the sign-in page would be one too many."""
    client = visit(Door(TOKEN))

    for path in ("/", "/rows/overview_sales.csv", "/?token=wrong", "/no-such-page"):
        assert client.get(path).status_code == 401, path
    assert client.get("/static/console.css").status_code == 200


def test_signing_in_gives_a_cookie_that_opens(visit):
    """The cookie is for this console alone, no script reads it, and it does not hold the token."""
    client = visit(Door(TOKEN))

    assert client.post("/", data={"token": "wrong"}).status_code == 401
    answer = client.post("/", data={"token": TOKEN})

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert client.get("/").status_code == NOT_YET


@pytest.mark.parametrize("path", ["/products?site=acme&model=linear", "/rows/products.csv"])
def test_signing_in_leads_to_what_was_asked_for(visit, path):
    """The link a colleague sent shows what he saw, not the overview."""
    client = visit(Door(TOKEN))

    assert '<form class="choices" method="post">' in client.get(path).text
    answer = client.post(path, data={"token": TOKEN})

    assert (answer.status_code, answer.headers["location"]) == (303, path)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/", "///evil.example", "/\\evil.example", "/%5Cevil.example",
        "/\\/evil.example", "/%09/evil.example", "/https://evil.example", "/%0d%0aevil: 1",
    ],
)  # fmt: skip
def test_signing_in_leads_nowhere_else(visit, method, path):
    """A link to us that ends elsewhere is a gift to thieves."""
    client = visit(Door(TOKEN))
    url = f"http://localhost{path}"

    if method == "POST":
        answer = client.post(url, data={"token": TOKEN})
        target = answer.headers["location"]
        assert "evil" not in answer.headers
    else:
        answer = client.get(url, params={"token": TOKEN})
        (target,) = re.findall(r'content="0;url=([^"]*)"', answer.text)

    assert urljoin("http://localhost/", target.replace("\\", "/")).startswith("http://localhost/")
    assert re.fullmatch(r"/[^/\\\s][^\\\s]*", target)


def test_behind_tls_the_cookie_never_travels_in_the_clear(visit):
    """A network in between would read it."""
    client = visit(Door(TOKEN), "https://localhost")

    assert "Secure" in client.post("/", data={"token": TOKEN}).headers["set-cookie"]


def test_a_link_with_the_token_signs_in_and_leaves_it_behind(visit):
    """The token must not stay in the address bar, nor in what is shared from there."""
    client = visit(Door(TOKEN))

    answer = client.get("/products", params={"site": "acme", "token": TOKEN})

    assert answer.status_code == 200
    assert "url=/products?site=acme" in answer.text
    assert TOKEN not in answer.text
    assert client.get("/").status_code == NOT_YET


def test_a_program_shows_the_token_in_a_header(visit):
    """A nightly export signs in without a form."""
    client = visit(Door(TOKEN))

    for words, status in ((f"Bearer {TOKEN}", NOT_YET), ("Bearer wrong", 401), (TOKEN, 401)):
        assert client.get("/", headers={"authorization": words}).status_code == status


def test_a_long_form_is_not_read(visit):
    """Before it is known who somebody is, little is read of her."""
    client = visit(Door(TOKEN))

    assert client.post("/", data={"token": "x" * 5_000}).status_code == 413


def test_behind_a_proxy_only_those_it_names_get_in(visit):
    """The proxy signs people in; without its word nobody is anybody."""
    client = visit(Door(is_behind_proxy=True))

    assert client.get("/").status_code == 401
    assert client.get("/", headers={"x-forwarded-user": "anna"}).status_code == NOT_YET


def test_no_tunnel_is_opened(visit):
    """A WebSocket would not be under any of these rules."""
    with pytest.raises(WebSocketDisconnect), visit(Door()).websocket_connect("/"):
        pass


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "shop.example", ""])
def test_others_are_let_in_only_if_it_is_said_who_they_are(monkeypatch, host):
    """A console on all addresses, by mistake, shows a shop's revenue to its neighbours."""
    monkeypatch.delenv("PINSPHERE_CONSOLE_TOKEN", raising=False)
    with pytest.raises(UsageError, match="PINSPHERE_CONSOLE_TOKEN"):
        make_door(host, is_behind_proxy=False, hosts=())

    make_door(host, is_behind_proxy=True, hosts=())
    monkeypatch.setenv("PINSPHERE_CONSOLE_TOKEN", TOKEN)
    assert make_door(host, is_behind_proxy=False, hosts=()).token == TOKEN


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_on_the_own_machine_nothing_is_asked(monkeypatch, host):
    """Who can open a loopback port can read the files as well, in the default."""
    monkeypatch.delenv("PINSPHERE_CONSOLE_TOKEN", raising=False)

    assert make_door(host, is_behind_proxy=False, hosts=()).token == ""


def test_a_short_token_is_refused(monkeypatch):
    """Whoever guesses it reads everything; the error does not repeat it."""
    monkeypatch.setenv("PINSPHERE_CONSOLE_TOKEN", "hunter2")

    with pytest.raises(SettingsError, match="less than 16") as caught:
        make_door("127.0.0.1", is_behind_proxy=False, hosts=())

    assert "hunter2" not in str(caught.value)
    assert TOKEN not in repr(Door(TOKEN))


@pytest.mark.parametrize("token", ["geheim-für-die-Händler", "a token with blanks", TOKEN + "\n"])
def test_a_token_no_header_can_hold_is_refused(monkeypatch, token):
    """People would get in and the nightly export would not, and nobody would know why."""
    monkeypatch.setenv("PINSPHERE_CONSOLE_TOKEN", token)

    with pytest.raises(SettingsError, match="beyond ASCII") as caught:
        make_door("127.0.0.1", is_behind_proxy=False, hosts=())

    assert token.strip() not in str(caught.value)
