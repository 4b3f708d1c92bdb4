"""Events wait until the beacon has them, and carry the same ids each time they are sent."""

import json
import re

import pytest

from tests.browser.site import KEY

pytestmark = pytest.mark.browser

PUSH = "pinsphere.push({ event_name: 'view_item', item_id: 'cup' })"
QUEUE = "JSON.parse(localStorage.pinsphere).queue"


def ids(bodies):
    return [event["event_id"] for body in bodies for event in json.loads(body)["events"]]


def test_a_batch_is_plain_text_with_key_and_clock(site, visitor):
    """text/plain needs no preflight; anything else was lost in real browsers."""
    page = visitor.visit(site.show("<p>cup</p>"))
    page.evaluate(PUSH)

    (event,) = site.wait_for("view_item")

    batch = json.loads(site.bodies[-1])
    assert set(batch) == {"site_key", "sent_time_ms", "events"}
    assert batch["site_key"] == KEY
    assert site.content_types[-1].startswith("text/plain")
    assert re.fullmatch(
        r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", event["event_id"]
    )
    assert int(event["event_id"].replace("-", "")[:12], 16) == event["event_time_ms"]
    page.wait_for_function(f"{QUEUE}.length === 0")


@pytest.mark.parametrize("status", [429, 503])
def test_events_survive_a_beacon_that_is_down(site, visitor, status):
    """What was refused is sent again, on this page or the next, once, under the same ids."""
    site.status = status
    page = visitor.visit(site.show("<p>cup</p>"))
    page.evaluate(PUSH)
    site.wait_for("view_item")
    page.wait_for_function(f"{QUEUE}.length === 1")
    refused = ids(site.bodies)
    site.status = 204
    site.bodies.clear()

    visitor.visit(site.origin + "/")

    site.wait_for("view_item")
    page.wait_for_function(f"{QUEUE}.length === 0")
    assert set(ids(site.bodies)) == set(refused)


def test_an_unreachable_beacon_loses_nothing(site, visitor):
    """No network: the queue keeps, the page does not mind."""
    page = visitor.visit(site.show("<p>cup</p>"))
    visitor.context.set_offline(True)
    page.evaluate(PUSH)
    page.wait_for_timeout(200)
    assert page.evaluate(QUEUE + ".length") == 1
    visitor.context.set_offline(False)

    assert site.wait_for("view_item")


def test_the_beacon_says_when_to_come_back(site, visitor):
    """Retry-After is kept; without it the waits grow."""
    site.status, site.headers = 503, {"Retry-After": "2"}  # by itself it would wait one
    page = visitor.visit(site.show("<p>cup</p>"))
    page.evaluate(PUSH)
    page.wait_for_timeout(1500)
    page.evaluate(PUSH)
    for _ in range(100):
        if len(site.times) > 1:
            break
        page.wait_for_timeout(100)

    # Only too early is wrong: a busy machine comes later.
    assert site.times[1] - site.times[0] >= 1.95


def test_what_can_never_be_taken_is_dropped(site, visitor):
    """A wrong key must not fill every visitor's storage for good."""
    site.status = 401
    page = visitor.visit(site.show("<p>cup</p>"))
    page.evaluate(PUSH)

    page.wait_for_function(f"{QUEUE}.length === 0")

    assert len(site.bodies) == 1


def test_the_queue_is_bounded_and_goes_in_small_batches(site, visitor):
    """At most 100 events wait; all beacons in flight share 64 KiB, so a batch has 16."""
    site.status = 503
    page = visitor.visit(site.show("<p>cup</p>"))
    page.evaluate(f"for (let n = 0; n < 130; n++) {PUSH}")
    assert page.evaluate(QUEUE + ".length") == 100
    site.wait_for("view_item")
    site.status = 204
    site.bodies.clear()

    visitor.visit(site.origin + "/")

    site.wait_for("view_item", 100)
    assert len(site.bodies) > 1
    assert max(map(len, site.bodies)) <= 16_384


def test_leaving_the_page_sends_a_beacon_and_keeps_the_queue(site, new_visitor):
    """The last click of a visit must arrive; if it did not, the next page sends it again."""
    visitor = new_visitor(script="window.fetch = () => new Promise(() => {})")
    page = visitor.visit(site.show("<p>cup</p>"))
    page.evaluate(PUSH)

    page.goto("about:blank")

    (event,) = site.wait_for("view_item")
    assert site.content_types[-1].startswith("text/plain")
    page.goto(site.origin + "/")
    assert json.loads(page.evaluate(QUEUE + "[0]"))["event_id"] == event["event_id"]
