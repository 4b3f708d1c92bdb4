"""Pages that break what scripts rely on: nothing is thrown, and what can still work does."""

import re

import pytest

from schemas.ids import parse_token
from tests.browser.pinterest import given
from tests.browser.site import KEY, SCRIPT

pytestmark = pytest.mark.browser

PIN = (
    '<a id="b" target="_blank" href="https://www.pinterest.com/pin/create/button/'
    '?url=https%3A%2F%2Fshop.example%2Fcup">Pin</a>'
    '<ul data-pinsphere-list="recs"><li data-pinsphere-item="cup">cup</li></ul>'
)
ORDER = (
    "pinsphere.push({ event_name: 'purchase', order_id: 'A1', currency: 'GBP',"
    " items: [{ item_id: 'cup', quantity: 2, price: '12.50' }] })"
)
GONE = "Object.defineProperty(window, '{}', {{ value: undefined }})"
# What a page, a browser or an extension can do to the world before the snippet comes.
HARMLESS = {
    "localStorage that throws": "Object.defineProperty(window, 'localStorage',"
    " { get() { throw new DOMException('denied', 'SecurityError') } })",
    "no localStorage": GONE.format("localStorage"),
    "a store that takes nothing": "Storage.prototype.setItem = () => { throw Error('quota') };"
    "Object.defineProperty(window, 'localStorage', { value: new Proxy({}, {"
    " set() { throw new DOMException('full', 'QuotaExceededError') } }) })",
    "nonsense in the store": "try { localStorage.pinsphere = '7' } catch {}",
    "an old store": """try { localStorage.pinsphere = '{"queue":[],"ids":{}}' } catch {}""",
    "no crypto": GONE.format("crypto"),
    "no random values": "Crypto.prototype.getRandomValues = undefined",
    "frozen prototypes": "for (const one of [Object, Array, String, Function, RegExp, Element,"
    " HTMLElement, Node, EventTarget]) { Object.freeze(one.prototype); Object.freeze(one) }",
    "frozen globals": "for (const one of [JSON, Math, Promise, history, location, navigator,"
    " document]) { try { Object.freeze(one) } catch {} }",
    "Prototype.js": "Object.prototype.each = Array.prototype.each = () => 0;"
    "for (const one of [Array, String, Number, Date])"
    " one.prototype.toJSON = function () { return JSON.stringify(String(this)) };",
    "no replaceState": "History.prototype.replaceState = () => { throw Error('too often') }",
    "no observer": GONE.format("IntersectionObserver"),
    "no performance.navigation": "Object.defineProperty(performance, 'navigation', { value: 0 })",
    "a data layer that is none": "window.dataLayer = { push: 1 }",
    "a queue that is none": "window.pinsphere = { forEach: 1 }",
    "a window.open that stays": "Object.defineProperty(window, 'open',"
    " { value: window.open, writable: false, configurable: false })",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_pins_and_orders_count_in_a_broken_world(site, new_visitor, name):
    """A shop's page is what it is: its other scripts must not cost the pins."""
    visitor = new_visitor(script=HARMLESS[name])
    page = visitor.visit(site.show(PIN) + "?pinsphere=abc.root")
    page.evaluate(ORDER)

    url = str(given(visitor.pin("#b"), "url"))

    plain, _, token = url.partition("?pinsphere=")
    (pin,) = site.wait_for("pin")
    (order,) = site.wait_for("purchase")
    assert plain == "https://shop.example/cup"
    assert parse_token(token) == (pin["pin_id"], "root")
    assert pin["parent_pin_id"] == "abc"
    assert re.fullmatch(r"[\w-]{16}", pin["pin_id"])
    assert order["items"] == [{"item_id": "cup", "quantity": 2, "price": "12.50"}]
    assert site.wait_for("pin_visit")[0]["pin_id"] == "abc"
    assert visitor.errors == []


CRIPPLING = {
    "no fetch": GONE.format("fetch"),
    "a fetch that throws": "window.fetch = () => { throw Error('blocked') }",
    "a fetch that gives nothing": "window.fetch = () => {}",
    "a fetch that is refused": "window.fetch = () => Promise.reject(Error('blocked'))",
    "no fetch, no beacon": "window.fetch = Navigator.prototype.sendBeacon = undefined",
    "a global reader that throws": "Object.prototype.toJSON = () => { throw Error('no') }",
    "no listeners": "window.addEventListener = () => { throw Error('no') }",
    "no timers": "window.setInterval = window.setTimeout = undefined",
    "no script element to be found": "Object.defineProperty(Document.prototype, 'currentScript',"
    " { get: () => null }); document.querySelector = () => null",
    "no URL": GONE.format("URL"),
    "no WeakSet, no Promise": "window.WeakSet = window.Promise = undefined",
}


@pytest.mark.parametrize("name", CRIPPLING)
def test_nothing_is_thrown_where_nothing_works(site, new_visitor, name):
    """The shop's own error reporting must never hear of us; its Pin It link still opens."""
    visitor = new_visitor(script=CRIPPLING[name])
    visitor.page.goto(site.show(PIN) + "?pinsphere=abc", wait_until="load")
    visitor.page.wait_for_timeout(700)  # more than one look at the page

    assert str(given(visitor.pin("#b"), "url")).startswith("https://shop.example/cup")

    visitor.page.goto("about:blank")
    assert visitor.errors == []


def test_a_page_that_does_throw_is_noticed(browser, site):
    """The control: what the tests take for silence would show an error and a rejection."""
    from tests.browser.conftest import Visitor

    visitor = Visitor(browser.new_context())
    throwing = "<script>setTimeout(() => { throw Error('one') })</script>"
    rejecting = "<script>Promise.reject(Error('two'))</script>"
    asking = '<img src="https://tracker.example/x.gif">'
    visitor.page.goto(site.show_without(throwing + rejecting + asking), wait_until="load")
    visitor.page.wait_for_timeout(200)
    visitor.context.close()

    with pytest.raises(AssertionError):
        visitor.check()
    assert {word for error in visitor.errors for word in re.findall("one|two", error)} == {
        *("one", "two")
    }
    assert visitor.asked == {"tracker.example"}


@pytest.mark.parametrize(
    "inject",
    [
        "document.head.append(tag)",
        "document.body.insertBefore(tag, document.body.firstChild)",
        # As a tag manager that runs the text itself: no script is the current one.
        """tag.type = 'text/plain'; document.head.append(tag);
        fetch(tag.src).then((answer) => answer.text()).then((text) => (0, eval)(text))""",
    ],
)
def test_a_tag_manager_may_bring_the_snippet(site, visitor, inject):
    """Google Tag Manager makes elements and runs texts; the tag is found by its attributes."""
    script = f"""<script>
      const tag = document.createElement("script");
      tag.src = "{site.beacon}/pin.js?v={SCRIPT.version}";
      tag.setAttribute("data-site-key", "{KEY}");
      {inject};
    </script>"""
    visitor.visit(site.show_without(PIN + script))

    visitor.pin("#b")

    assert site.wait_for("pin")


def test_it_works_under_a_policy_of_two_hosts(site, visitor):
    """A shop allows the beacon in script-src and connect-src: no eval, nothing inline."""
    refused = []
    visitor.context.on("console", lambda message: refused.append(message.text))
    policy = f"default-src 'none'; script-src {site.beacon}; connect-src {site.beacon}"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    page = visitor.visit(site.show(PIN, head=head) + "?pinsphere=abc")

    visitor.pin("#b")

    assert site.wait_for("pin")
    assert site.wait_for("view_item_list")
    assert page.url == site.origin + "/"
    assert not [text for text in refused if "Content Security Policy" in text]
