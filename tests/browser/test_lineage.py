"""A pin knows the pin that brought its visitor, and a landing says how it was recognised."""

import pytest

from schemas.ids import parse_token
from tests.browser.chromium import USER_AGENT
from tests.browser.pinterest import given

pytestmark = pytest.mark.browser

PIN = (
    '<a id="b" target="_blank" href="https://www.pinterest.com/pin/create/button/'
    '?media=https%3A%2F%2Fshop.example%2Fcup.jpg">Pin</a>'
)


def pin_on(visitor, site, landing, path="/cup"):
    """Lands on a tagged URL, looks at another page, pins; gives the pinned URL and the pin."""
    visitor.visit(landing)
    visitor.visit(site.origin + path)
    before = len(site.named("pin"))
    url = given(visitor.pin("#b"), "url")
    return url, site.wait_for("pin", before + 1)[-1]


def test_a_cascade_keeps_its_root_over_profiles_and_pages(site, new_visitor):
    """Ann's pin brings Bob, Bob's brings Cy: one root, and each knows its parent."""
    head = f'<link rel="canonical" href="{site.origin}/cup?pinsphere=stale">'
    site.show(PIN, path="/cup", head=head)
    first, ann = pin_on(new_visitor(), site, site.origin + "/cup")
    second, bob = pin_on(new_visitor(), site, first)
    third, cy = pin_on(new_visitor(), site, second)

    token = parse_token(third.partition("pinsphere=")[2])
    assert ann.get("parent_pin_id") is ann.get("root_pin_id") is None
    assert (ann["hop"], bob["hop"], cy.get("hop")) == (0, 1, None)
    assert (bob["parent_pin_id"], bob["root_pin_id"]) == (ann["pin_id"], ann["pin_id"])
    assert (cy["parent_pin_id"], cy["root_pin_id"]) == (bob["pin_id"], ann["pin_id"])
    assert token == (cy["pin_id"], ann["pin_id"])
    visits = [visit["pin_id"] for visit in site.wait_for("pin_visit", 2)]
    assert visits == [ann["pin_id"], bob["pin_id"]]
    assert len({event["visitor_id"] for event in (ann, bob, cy)}) == 3


def test_the_token_stands_nowhere_on_the_page(site, visitor):
    """Crawlers and Pinterest's counters read canonical and og:url: these stay the shop's."""
    head = (
        f'<link rel="canonical" href="{site.origin}/cup">'
        f'<meta property="og:url" content="{site.origin}/cup">'
    )
    page = visitor.visit(site.show(PIN, path="/cup", head=head) + "?pinsphere=abc")
    site.wait_for("pin_visit")
    visitor.pin("#b")
    page.wait_for_timeout(50)

    assert "pinsphere=" not in page.content() + page.url
    assert "abc" not in page.content()


def test_the_source_pin_is_forgotten_after_thirty_days(site, new_visitor):
    """Somebody's pin of last year did not bring this one."""
    visitor = new_visitor()
    site.show(PIN, path="/cup")
    visitor.visit(site.origin + "/cup?pinsphere=old")
    visitor.page.clock.set_fixed_time("2030-01-01")
    visitor.visit(site.origin + "/cup")

    visitor.pin("#b")

    assert site.wait_for("pin")[0].get("parent_pin_id") is None


def test_a_landing_counts_once(site, visitor):
    """Reloading or walking on is no new visit."""
    site.show("<p>cup</p>")
    visitor.visit(site.origin + "/?pinsphere=abc")
    visitor.page.reload()
    visitor.visit(site.origin + "/?epik=dj0yJnU9")
    visitor.page.reload()
    visitor.visit(site.origin + "/", referrer=site.origin + "/")
    visitor.visit(site.origin + "/?pinsphere=last")

    found = [visit.get("pin_id") for visit in site.wait_for("pin_visit", 3)]

    assert found == ["abc", None, "last"]


@pytest.mark.parametrize(
    ("query", "referrer", "agent", "method"),
    [
        ("?pinsphere=abc&epik=dj0y", "https://www.pinterest.com/", "", "token"),
        ("?epik=dj0yJnU9", "https://www.pinterest.com/", "", "epik"),
        ("", "https://www.pinterest.co.uk/", "", "referrer"),
        ("", "android-app://com.pinterest/", "", "referrer"),
        ("", None, " [Pinterest/iOS]", "user_agent"),
        ("", "https://www.pinterest.com/", " [Pinterest/Android]", "user_agent"),
        ("", "https://notpinterest.com/", "", None),
        ("?pinsphere=", None, "", None),
        ("", None, "", None),
    ],
)
def test_a_landing_says_by_what_it_was_recognised(
    site, new_visitor, query, referrer, agent, method
):
    """Token before click id before app before referrer; without evidence there is no visit."""
    visitor = new_visitor(
        user_agent=USER_AGENT + agent,
        script=f"Object.defineProperty(document, 'referrer', {{ get: () => {referrer!r} }})"
        if referrer
        else "",
    )
    visitor.visit(site.show("<p>cup</p>") + query)

    if method is None:
        visitor.page.wait_for_timeout(200)
        assert site.named("pin_visit") == []
    else:
        (visit,) = site.wait_for("pin_visit")
        assert visit["match_method"] == method
        assert visit.get("click_id") == (query.partition("epik=")[2] or None)
        assert visit.get("pin_id") == ("abc" if method == "token" else None)
