"""User agents, cookie, signature, documents, and what is not imported."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from beacon import wire
from beacon.agents import user_agent_class
from beacon.cookie import format_cookie, mint_visitor, read_visitor
from beacon.server import serve
from schemas.errors import BusyError, SettingsError
from schemas.events import EVENTS
from schemas.home import Home
from schemas.openapi import json_schemas, openapi
from schemas.signature import sign, signature_error
from tests.beacon.exchange import request

ROOT = Path(__file__).parents[2]
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"


def run(coroutine):
    """Runs it in a thread of its own: a browser's driver may keep a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (CHROME, "human"),
        (f"{IPHONE} [Pinterest/iOS]", "pinterest_inapp"),
        (f"{CHROME} [Pinterest/Android]", "pinterest_inapp"),
        (
            "Mozilla/5.0 (compatible; Pinterestbot/1.0; +http://www.pinterest.com/bot.html)",
            "pinterestbot",
        ),
        ("Pinterest/0.2 (+http://www.pinterest.com/bot.html)", "pinterestbot"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
        ("curl/8.5.0", "bot"),
        ("", "bot"),
        ("   ", "bot"),
    ],
)
def test_user_agents_fall_into_four_classes(user_agent: str, expected: str):
    """The in-app browser is the traffic we want; a crawler is never a visit."""
    assert user_agent_class(user_agent) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("pinsphere_visitor=abc", "abc"),
        ("a=1; pinsphere_visitor=a-b_C; b=2", "a-b_C"),
        ("a=1;pinsphere_visitor=abc;b=2", "abc"),
        ("xpinsphere_visitor=abc", None),
        ("pinsphere_visitor=", None),
        ("pinsphere_visitor=a b", None),
        ("pinsphere_visitor=" + "x" * 65, None),
        ("", None),
    ],
)
def test_only_a_well_formed_visitor_is_read(header: str, expected: str | None):
    """Whatever else is in the header, and whoever wrote it."""
    assert read_visitor(header) == expected


def test_a_minted_visitor_is_readable_and_new():
    """22 URL-safe characters, renewed for 400 days, sent over TLS only when there is TLS."""
    first, second = mint_visitor(), mint_visitor()

    assert first != second
    assert len(first) == 22
    assert read_visitor(f"pinsphere_visitor={first}") == first
    assert format_cookie("abc", is_secure=True) == (
        "pinsphere_visitor=abc; Path=/; Max-Age=34560000; SameSite=Lax; Secure"
    )
    assert "Secure" not in format_cookie("abc", is_secure=False)


@pytest.mark.parametrize("age", [-300, 0, 300])
def test_a_fresh_signature_holds(age: int):
    """Within five minutes, either way: clocks differ."""
    assert signature_error(sign("s", b"body", 1000), "s", b"body", 1000 + age) is None


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("", "missing"),
        ("t=1000", "missing"),
        ("t=1000,v1=", "missing"),
        ("t=x,v1=" + "0" * 64, "missing"),
        ("t=1000,v1=" + "0" * 64, "does not match"),
        ("t=1000,v1=" + "\u00e9" * 64, "missing"),
        (sign("other", b"body", 1000), "does not match"),
        (sign("s", b"other", 1000), "does not match"),
        (sign("s", b"body", 1000).replace("t=1000", "t=1001"), "does not match"),
        (sign("s", b"body", 699), "off"),
        (sign("s", b"body", 1301), "off"),
    ],
)
def test_any_other_signature_does_not(header: str, named: str):
    """Forged, moved to another body or time, or played again later."""
    assert named in (signature_error(header, "s", b"body", 1000) or "")


def test_the_committed_openapi_is_the_code():
    """Refresh it with: python -m schemas.openapi > docs/openapi.json."""
    committed = json.loads((ROOT / "docs" / "openapi.json").read_text())

    assert committed == openapi()


def test_openapi_names_every_event_and_refers_to_what_exists():
    """Generated clients follow every reference."""
    document = openapi()
    schemas = document["components"]["schemas"]
    mapping = schemas["EventBatch"]["properties"]["events"]["items"]["discriminator"]["mapping"]

    assert set(mapping) == set(EVENTS) == set(json_schemas())
    for reference in json.dumps(document).split('"#/components/schemas/')[1:]:
        assert reference.partition('"')[0] in schemas


def test_the_beacon_never_loads_the_pipelines_libraries(tmp_path: Path):
    """A collector that pulls in Beam starts in seconds and dies with it."""
    script = (
        "import sys\n"
        "from beacon import server, app, connection\n"
        "from schemas.home import Home\n"
        "home = Home(sys.argv[1])\n"
        "app.Beacon(home, home.settings())\n"
        "from schemas.money import currency_codes; currency_codes()\n"
        "from schemas.ids import new_event_id; new_event_id()\n"
        "heavy = {'pyarrow', 'sqlalchemy', 'apache_beam', 'networkx', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    (tmp_path / "pinsphere.toml").write_text("")

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize("lines", [[], [("content-length", "9000")]], ids=["chunked", "declared"])
def test_a_body_that_does_not_come_is_given_up(monkeypatch, lines):
    """A sender who drips bytes must not hold a place for ever."""
    monkeypatch.setattr(wire, "BODY_SECONDS", 0.02)

    async def drip() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.015)
            yield b"x"

    with pytest.raises(wire.Refusal, match="did not come"):
        run(request(lines, drip()).body())


def test_an_address_in_use_is_refused(tmp_path: Path):
    """A second beacon would take half of the first one's requests."""
    (tmp_path / "pinsphere.toml").write_text("")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BusyError, match="in use"):
            serve(Home(tmp_path), host="127.0.0.1", port=taken.getsockname()[1])


def test_wrong_settings_are_told_before_anything_starts(tmp_path: Path):
    """Not from a worker's traceback."""
    with pytest.raises(SettingsError, match="pinsphere init"):
        serve(Home(tmp_path), host="127.0.0.1", port=1)
