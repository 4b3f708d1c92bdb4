"""Who is a visitor, who a crawler, and what a crawler's visit is good for."""

import contextlib
import re
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from beacon.agents import user_agent_class
from pinsphere import VERSION
from pipelines.flows.run import run
from schemas.home import Home
from tests import services

ANDROID = (
    "Mozilla/5.0 (Linux; Android 14; SM-S918B Build/UP1A.231005.007; wv) AppleWebKit/537.36"
    " (KHTML, like Gecko) Version/4.0 Chrome/126.0.6478.71 Mobile Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Mobile/15E148"
)
IPAD = (
    "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Mobile/15E148"
)
NEXUS = (
    "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36"
    " (KHTML, like Gecko) Chrome/41.0.2272.96 Mobile Safari/537.36"
)
CRAWLER = "Mozilla/5.0 (compatible; Pinterestbot/1.0; +https://www.pinterest.com/bot.html)"
OLD_CRAWLER = "Pinterest/0.2 (+https://www.pinterest.com/bot.html)"
GOOGLE = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
DOCUMENT = (Path(__file__).parents[2] / "docs" / "beacon.md").read_text()


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (f"{IPHONE} [Pinterest/iOS]", "pinterest_inapp"),
        (f"{IPAD} [Pinterest/iOS]", "pinterest_inapp"),
        (f"{ANDROID} [Pinterest/Android]", "pinterest_inapp"),
        (ANDROID, "human"),
        (f"{IPHONE} Version/17.5 Safari/604.1", "human"),
        (f"{IPHONE} Instagram 335.1.8.26.85 (iPhone14,5; iOS 17_5_1)", "human"),
        (CRAWLER, "pinterestbot"),
        (OLD_CRAWLER, "pinterestbot"),
        (f"{NEXUS} {CRAWLER.removeprefix('Mozilla/5.0 ')}", "pinterestbot"),
        (f"{OLD_CRAWLER}{NEXUS}", "pinterestbot"),
        (GOOGLE, "bot"),
        ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "bot"),
        ("curl/8.5.0", "bot"),
        ("", "bot"),
        (" ", "bot"),
    ],
)  # fmt: skip
def test_pinterests_app_is_a_visitor_and_its_crawler_is_none(
    user_agent: str, expected: str
) -> None:
    """The app's browser is the traffic we are here for; a filter for `pinterest` drops it."""
    assert user_agent_class(user_agent) == expected


def pixel(server: Any, token: str, user_agent: str) -> int:
    answer = server.client.get(
        f"/v1/pixel.gif?k=open-public-key&t={token}", headers={"user-agent": user_agent}
    )
    return answer.status_code


def visits(server: Any, stored: Any, token: str) -> list[dict[str, Any]]:
    return [event for event in stored(server.spool) if event.get("pin_id") == token]


@pytest.mark.parametrize("token", ["pin-plain", "pin-child.pin-root", "pin_A-9"])
def test_a_token_pixel_is_a_landing_on_its_pin(server, stored, token: str) -> None:
    """A visitor without scripts came from a pin, too."""
    assert pixel(server, token, IPHONE) == 200

    (event,) = visits(server, stored, token.partition(".")[0])
    assert (event["event_name"], event["source"]) == ("pin_visit", "pixel")
    assert event["token_carrier"] == "query"
    assert event["site_id"] == "open"


def test_a_token_that_names_no_pin_goes_to_quarantine(server, quarantined) -> None:
    """A crawler that mangles addresses must not make pins up."""
    assert pixel(server, "%3Cscript%3E", CRAWLER) == 200

    assert "pin id '<script>'" in quarantined(server.spool)[-1]["reason"]


@pytest.mark.parametrize("query", ["", "&e=e30&t=pin-1", "&e=&t="])
def test_a_pixel_says_one_thing(server, query: str) -> None:
    """Two events in one picture would be two with one answer."""
    answer = server.client.get(f"/v1/pixel.gif?k=open-public-key{query}")

    assert answer.status_code == 400
    assert "or t" in answer.json()["error"]


def pin(pin_id: str) -> dict[str, Any]:
    return {
        "event_name": "pin",
        "event_id": f"click-{pin_id}",
        "event_time_ms": time.time_ns() // 1_000_000 - 60_000,
        "visitor_id": "anna",
        "pin_id": pin_id,
        "item_id": "mug",
    }


@pytest.mark.flow
def test_a_crawl_confirms_a_pin_and_is_never_a_visit(start) -> None:
    """A pinner must not look famous because a machine came by; nor unsaved though it did.

    The controls: a person is a visit, another crawler and silence are nothing.
    """
    server = start()
    pins = ["crawled", "crawled-long-ago", "visited", "googled", "untouched", "in-app"]
    assert server.post([pin(each) for each in pins], **{"user-agent": ANDROID}).status_code == 204

    for token, agent in (
        *(("crawled", CRAWLER), ("crawled", CRAWLER), ("crawled-long-ago", OLD_CRAWLER)),
        *(("visited", f"{IPHONE} Safari/604.1"), ("googled", GOOGLE)),
        ("in-app", f"{ANDROID} [Pinterest/Android]"),
    ):
        assert pixel(server, token, agent) == 200
    server.stop()
    home = Home(server.spool.parent)
    run(home, shards=2, code_version=VERSION)

    with contextlib.closing(sqlite3.connect(home.path / "pinsphere.db")) as database:
        rows = database.execute("SELECT pin_id, is_confirmed, visits FROM current_pins").fetchall()
    assert {name: (bool(is_confirmed), seen) for name, is_confirmed, seen in rows} == {
        "crawled": (True, 0),
        "crawled-long-ago": (True, 0),
        "visited": (True, 1),
        "googled": (False, 0),
        "untouched": (False, 0),
        "in-app": (True, 1),
    }


@contextlib.contextmanager
def nginx(folder: Path, beacon_port: int) -> Iterator[int]:
    """The documented proxy in front of a shop that is one page; gives its port."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        pytest.skip(f"{services.OPTIONAL}nginx is not installed")
    (block,) = re.findall(r"```nginx\n(map .*?)```", DOCUMENT, re.DOTALL)
    port, shop = free_port(), free_port()
    for written, tried in (
        ("127.0.0.1:8080", f"127.0.0.1:{port}"),
        ("127.0.0.1:3000", f"127.0.0.1:{shop}"),
        ("127.0.0.1:8000", f"127.0.0.1:{beacon_port}"),
        ("YOUR-KEY", "open-public-key"),
    ):
        assert block.count(written) == 1
        block = block.replace(written, tried)
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary}\n{block}\n"
        f'server {{ listen 127.0.0.1:{shop}; location / {{ return 200 "shop"; }} }} }}'
    )
    process = subprocess.Popen([binary, "-p", folder, "-c", folder / "nginx.conf"])
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None, (folder / "error.log").read_text()
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_the_documented_mirror_tells_of_crawlers_and_of_nobody_else(
    start, stored, tmp_path: Path
) -> None:
    """A recipe that mirrors people would count every landing twice."""
    server = start(beacon={"trusted_proxies": ["127.0.0.1"]})
    (tmp_path / "nginx").mkdir()
    asked = [
        ("/mug?pinsphere=by-crawler&x=1", CRAWLER),
        ("/mug?pinsphere=by-old.root", OLD_CRAWLER),
        ("/mug?pinsphere=by-person", f"{IPHONE} [Pinterest/iOS]"),
        ("/mug", CRAWLER),
    ]

    with nginx(tmp_path / "nginx", server.port) as port:
        for path, agent in asked:
            url = f"http://127.0.0.1:{port}{path}"
            assert httpx.get(url, headers={"user-agent": agent}).text == "shop"
        deadline = time.monotonic() + 10
        while len(stored(server.spool)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)

    told = {(event["pin_id"], event["user_agent_class"]) for event in stored(server.spool)}
    assert told == {("by-crawler", "pinterestbot"), ("by-old", "pinterestbot")}
