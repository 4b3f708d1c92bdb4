"""A page runs the bytes whose hash it bears, and an upgrade of the beacon stops no page."""

import re

import httpx
import pytest

from beacon.script import SNIPPET, Script, Scripts
from schemas.home import Home
from tests.browser import processes
from tests.browser.processes import KEY
from tests.browser.site import SCRIPT

pytestmark = pytest.mark.browser

OLD_TEXT = b"window.old = document.currentScript.src; window.pinsphere = { visitor() {} }"
RUNS = "!!window.pinsphere?.visitor"


@pytest.fixture(scope="module")
def beacon(tmp_path_factory):
    """A beacon that has served another snippet before it was brought to this release."""
    folder = tmp_path_factory.mktemp("home")
    old_release = folder / "old.js"
    old_release.write_bytes(OLD_TEXT)
    Scripts(Home(folder).snippets, old_release)
    with processes.installation(folder) as running:
        yield running


def test_the_right_hash_runs(site, visitor, beacon):
    """The tag as it is printed, over a real beacon on another origin."""
    page = visitor.visit(site.show_without(SCRIPT.tag(beacon.beacon_url, KEY)))

    assert page.evaluate(RUNS)
    assert Scripts(Home(beacon.home).snippets).current.text == SNIPPET.read_bytes()


def test_a_wrong_hash_does_not_run(site, visitor, beacon):
    """Bytes that somebody changed on their way never run in a shop's page."""
    tag = re.sub('(?<=sha384-)[^"]*', "A" * 64, SCRIPT.tag(beacon.beacon_url, KEY))
    visitor.page.goto(site.show_without(tag), wait_until="load")
    visitor.page.wait_for_timeout(200)

    assert not visitor.page.evaluate(RUNS)


def test_a_page_with_the_old_hash_still_runs_after_an_upgrade(site, visitor, beacon):
    """Nobody edits the pages of a shop on the night of an upgrade."""
    page = visitor.visit(site.show_without(Script(OLD_TEXT).tag(beacon.beacon_url, KEY)))

    assert page.evaluate("window.old").startswith(beacon.beacon_url)


def test_a_tag_without_a_version_brings_the_current_snippet(site, visitor, beacon):
    """Who does not check hashes gets each release as it comes."""
    tag = f'<script src="{beacon.beacon_url}/pin.js" data-site-key="{KEY}"></script>'
    page = visitor.visit(site.show_without(tag))

    assert page.evaluate(RUNS)
    assert page.evaluate("typeof window.old") == "undefined"


def test_the_cookie_comes_with_a_checked_snippet_of_the_same_host(visitor, beacon):
    """`crossorigin` takes no cookie from another host, and leaves those of the page's own."""
    visitor.context.route(
        "**/page",
        lambda route: route.fulfill(
            content_type="text/html", body=SCRIPT.tag(beacon.beacon_url, KEY)
        ),
    )

    page = visitor.visit(f"{beacon.beacon_url}/page")

    (cookie,) = visitor.context.cookies()
    assert cookie["name"] == "pinsphere_visitor"
    assert page.evaluate("pinsphere.visitor()") == cookie["value"]


def test_another_host_sets_no_cookie(site, visitor, beacon):
    """The other side of it: there the snippet keeps an id of its own."""
    page = visitor.visit(site.show_without(SCRIPT.tag(beacon.beacon_url, KEY)))

    assert visitor.context.cookies() == []
    assert len(page.evaluate("pinsphere.visitor()")) == 16


def test_a_version_that_never_was_says_so_to_the_page(beacon):
    """Whoever looks into the browser's network panel reads what to do."""
    answer = httpx.get(f"{beacon.beacon_url}/pin.js?v={'0' * 20}")

    assert answer.status_code == 404
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cache-control"] == "no-store"
    assert "pinsphere snippet" in answer.json()["error"]
