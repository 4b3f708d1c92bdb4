"""Without consent nothing is stored; with a broken browser the shop's page still works."""

import pytest

from tests.browser.pinterest import given

pytestmark = pytest.mark.browser

GPC = """Object.defineProperty(Navigator.prototype, "globalPrivacyControl", {
  configurable: true, get: () => true
})"""
NO_STORAGE = "Object.defineProperty(window, 'localStorage', { get() { throw Error('denied') } })"
FULL_STORAGE = """for (let size = 4e6; size > 1; size /= 2) {
  try { for (let n = 0; ; n++) localStorage[`fill-${size}-${n}`] = "x".repeat(size); } catch {}
}"""
NO_COOKIES = """Object.defineProperty(document, "cookie", {
  configurable: true, get() { throw Error("denied") }, set() { throw Error("denied") }
});"""
PIN = (
    '<a id="b" target="_blank" href="https://www.pinterest.com/pin/create/button/'
    '?url=https%3A%2F%2Fshop.example%2Fcup">Pin</a>'
)
STORED = "[document.cookie, localStorage.length]"


@pytest.mark.parametrize("how", ["gpc", "attribute", "push before", "push after"])
def test_without_consent_pins_count_but_nobody_is_known(site, new_visitor, how):
    """Global Privacy Control or a no: no id in any event, no cookie, nothing stored."""
    visitor = new_visitor(script=GPC if how == "gpc" else "")
    deny = "pinsphere.push({ event_name: 'consent', consent: 'denied' });"
    before = f"<script>window.pinsphere = []; {deny}</script>" if how == "push before" else ""
    attributes = 'data-consent="denied"' if how == "attribute" else ""
    page = visitor.visit(site.show(before + PIN, attributes=attributes) + "?pinsphere=abc")
    if how == "push after":
        page.evaluate(deny)

    url = given(visitor.pin("#b"), "url")

    (pin,) = site.wait_for("pin")
    assert url == f"https://shop.example/cup?pinsphere={pin['pin_id']}.abc"
    assert pin["consent"] == "denied"
    assert "visitor_id" not in pin
    assert "session_id" not in pin
    assert page.evaluate(STORED) == ["", 0]
    assert not page.evaluate("pinsphere.visitor()")


def test_a_later_yes_starts_to_remember(site, visitor):
    """The banner comes first, the answer later: the landing's pin is still the parent."""
    page = visitor.visit(site.show(PIN, attributes='data-consent="denied"') + "?pinsphere=abc")
    page.evaluate("pinsphere.push({ event_name: 'consent', consent: 'granted' })")

    visitor.pin("#b")

    (pin,) = site.wait_for("pin")
    assert (pin["consent"], pin["parent_pin_id"]) == ("granted", "abc")
    assert len(pin["visitor_id"]) == len(pin["session_id"]) == 16
    assert page.evaluate("pinsphere.visitor()") == pin["visitor_id"]
    assert pin["visitor_id"] in page.evaluate("localStorage.pinsphere")


def test_ids_last_over_pages_and_sessions_end(site, visitor):
    """One visitor over all pages; half an hour of silence begins a new session."""
    page = visitor.visit(site.show("<p>cup</p>"))
    push = "pinsphere.push({ event_name: 'view_item', item_id: 'cup' })"
    page.evaluate(push)
    visitor.visit(site.origin + "/")
    page.evaluate(push)
    page.evaluate("const now = Date.now; Date.now = () => now() + 31 * 60e3")
    page.evaluate(push)

    first, second, third = site.wait_for("view_item", 3)

    assert first["visitor_id"] == second["visitor_id"] == third["visitor_id"]
    assert first["session_id"] == second["session_id"] != third["session_id"]
    assert {event.consent for event in site.decoded()} == {"unknown"}


def test_the_visitor_set_by_http_is_used(site, visitor):
    """The cookie that came with the snippet outlives one that a script would set."""
    visitor.context.add_cookies(
        [{"name": "pinsphere_visitor", "value": "v" * 22, "url": site.origin}]
    )
    page = visitor.visit(site.show("<p>cup</p>"))

    assert page.evaluate("pinsphere.visitor()") == "v" * 22


@pytest.mark.parametrize(
    "broken",
    [NO_STORAGE, FULL_STORAGE, NO_COOKIES],
    ids=["no storage", "full storage", "no cookies"],
)
def test_pins_work_in_a_broken_browser(site, new_visitor, broken):
    """Blocked or full storage: no error on the shop's page, and the pin counts."""
    visitor = new_visitor(script=broken)
    visitor.visit(site.show(PIN))

    url = given(visitor.pin("#b"), "url")

    (pin,) = site.wait_for("pin")
    assert url == f"https://shop.example/cup?pinsphere={pin['pin_id']}"
    assert len(pin["pin_id"]) == 16
    assert visitor.errors == []


def test_nothing_leaves_but_to_the_beacon(site, visitor):
    """No third party learns of a visit."""
    hosts = set()
    visitor.context.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    visitor.visit(site.show("<p>cup</p>") + "?pinsphere=abc")
    site.wait_for("pin_visit")

    assert hosts == {f"127.0.0.1:{site.port}", f"localhost:{site.port}"}


def test_it_works_under_a_strict_content_security_policy(site, visitor):
    """A shop allows the script's host and connect-src, nothing else."""
    policy = f"default-src 'none'; script-src {site.beacon}; connect-src {site.beacon}"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    visitor.visit(site.show(PIN, head=head))

    visitor.pin("#b")

    assert site.wait_for("pin")
