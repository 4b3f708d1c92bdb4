"""Shops that change their pages without loading them."""

import pytest

from tests.browser.pinterest import PINIT, given

pytestmark = pytest.mark.browser

CREATE = "https://www.pinterest.com/pin/create/button/"
PIN = f'<a id="b" target="_blank" href="{CREATE}?media=https%3A%2F%2Fshop.example%2Fcup.jpg">P</a>'
LIST = '<ul data-pinsphere-list="recs"><li data-pinsphere-item="cup">cup</li></ul>'
PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
# A router: the address, the canonical tag and what is shown change together.
ROUTER = """<script>
  const link = document.head.appendChild(document.createElement("link"));
  link.rel = "canonical";
  function show() { link.href = location.origin + "/canonical" + location.pathname; }
  function go(path, how) { history[how || "pushState"]({ router: 1 }, "", path); show(); }
  addEventListener("popstate", show);
  show();
</script>"""


def test_a_pin_is_of_the_page_that_is_shown(site, visitor):
    """The canonical tag of the first page must not be pinned from the second."""
    page = visitor.visit(site.show(ROUTER + PIN))
    pinned = []
    for step in ("go('/a?x=1')", "go('/b', 'replaceState')", "history.back()"):
        page.evaluate(step)
        page.wait_for_timeout(50)
        pinned.append(str(given(visitor.pin("#b"), "url")).partition("?")[0])

    pins = site.wait_for("pin", 3)

    assert pinned == [f"{site.origin}/canonical{path}" for path in ("/a", "/b", "/")]
    assert [pin["page_location"] for pin in pins] == [
        f"{site.origin}{path}" for path in ("/a?x=1", "/b", "/")
    ]


def test_lists_count_once_a_page_shown(site, visitor):
    """A slot that the framework keeps is seen again on the next page; a filter is no page."""
    page = visitor.visit(site.show(ROUTER + LIST, path="/home"))
    site.wait_for("view_item_list")
    page.evaluate("go('/home?sort=price'); go('/home#reviews')")
    page.wait_for_timeout(1200)
    assert len(site.named("view_item_list")) == 1

    page.evaluate("go('/cup')")
    page.evaluate("document.querySelector('li').dataset.pinsphereItem = 'vase'")

    _, second = site.wait_for("view_item_list", 2)
    assert second["items"] == [{"item_id": "vase", "index": 0}]
    assert second["page_location"] == site.origin + "/cup"
    page.wait_for_timeout(1100)
    assert len(site.named("view_item_list")) == 2


def test_a_token_may_come_without_a_load(site, visitor):
    """A link inside of the app brings it: one visit, a clean address, the router's own state."""
    page = visitor.visit(site.show(ROUTER + PIN))
    page.evaluate("go('/cup?a=b&pinsphere=abc.root')")
    page.wait_for_url(site.origin + "/cup?a=b")
    assert page.evaluate("history.state") == {"router": 1}
    # A router that kept the address it read writes it again.
    page.evaluate("go('/cup?a=b&pinsphere=abc.root', 'replaceState')")
    page.wait_for_url(site.origin + "/cup?a=b")
    page.evaluate("go('/vase')")

    visitor.pin("#b")

    (pin,) = site.wait_for("pin")
    assert (pin["parent_pin_id"], pin["root_pin_id"]) == ("abc", "root")
    (visit,) = site.wait_for("pin_visit")
    assert (visit["pin_id"], visit["match_method"]) == ("abc", "token")


@pytest.mark.parametrize(
    "tagged",
    ["?a=b&pinsphere=no%20token", "?pinsphere=&a=b", "?a=b#pinsphere=a.b.c", "?pinsphere=%&a=b"],
)
def test_a_broken_token_leaves_the_address_bar_too(site, visitor, tagged):
    """What somebody mangled on its way is not passed on either."""
    page = visitor.visit(site.show("<p>cup</p>") + tagged)

    page.wait_for_url(site.origin + "/?a=b")

    assert site.named("pin_visit") == []


def test_a_widget_drawn_late_is_tagged(site, visitor):
    """Recommenders draw their buttons after the page and ask Pinterest to build them."""
    page = visitor.visit(site.show("<main></main>" + PINIT))
    button = f'<a data-pin-do="buttonPin" href="{CREATE}?url=https%3A%2F%2Fs.example&media=m">P</a>'
    card = f'<ul data-pinsphere-list="late"><li data-pinsphere-item="cup">{button}</li></ul>'
    page.evaluate(f"document.querySelector('main').innerHTML = `{card}`")
    page.evaluate("PinUtils.build(document.querySelector('main'))")

    opened = visitor.pin("li [data-pin-log]")

    (pin,) = site.wait_for("pin")
    assert given(opened, "url") == f"https://s.example?pinsphere={pin['pin_id']}"
    assert (pin["item_id"], pin["item_list_id"], pin["pin_mode"]) == ("cup", "late", "button")


@pytest.mark.parametrize("how", ["url", "repin"])
def test_a_floating_button_counts_for_the_card_below_it(site, visitor, how):
    """It stands at the end of the body; who recommended the image must not be lost."""
    attribute = 'data-pin-id="123"' if how == "repin" else 'data-pin-url="https://s.example/p/x"'
    image = '<img alt="{0}" width="200" height="200" src="{2}" {1}>'
    cards = "".join(
        f'<li data-pinsphere-item="{item}" data-pinsphere-index="{index}">'
        f"{image.format(item, attribute, PICTURE)}</li>"
        for index, item in enumerate(("cup", "vase"))
    )
    shown = f'<ul data-pinsphere-list="recs" data-pinsphere-recommender="cf">{cards}</ul>'
    page = visitor.visit(site.show(shown + PINIT))
    page.hover("li:nth-child(2) img")

    opened = visitor.pin("[data-pin-log]")

    (pin,) = site.wait_for("pin")
    assert (pin["item_id"], pin["item_list_id"], pin["index"]) == ("vase", "recs", 1)
    assert pin["recommender_id"] == "cf"
    assert pin["pin_mode"] == ("repin" if how == "repin" else "hover")
    if how == "repin":
        assert opened.startswith("https://www.pinterest.com/pin/123/repin/x/")
        assert pin["pin_url"] == opened
    else:
        assert given(opened, "url") == f"https://s.example/p/x?pinsphere={pin['pin_id']}"
