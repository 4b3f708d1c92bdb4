"""The pages and tags of docs/install/ in a real Chromium: what a shop pastes really sends."""

import json
from typing import Any
from urllib.parse import parse_qs

import liquid
from playwright.sync_api import Page, Route

from tests.browser.conftest import Visitor
from tests.browser.site import KEY, SCRIPT, Site
from tests.install_docs import TAG, blocks

# As a tag manager writes a tag of custom HTML into a page: it makes each script anew.
MANAGE = """(html) => {
  const holder = document.createElement("div")
  holder.innerHTML = html
  for (const old of holder.querySelectorAll("script")) {
    const script = document.createElement("script")
    script.text = old.text
    old.replaceWith(script)
  }
  document.body.append(holder)
}"""


SHOPIFY = liquid.Environment()
SHOPIFY.add_filter("json", lambda value: json.dumps(value, default=lambda _: None))


def filled(site: Site, block: str) -> str:
    """The block with what `pinsphere snippet` prints in the place of its placeholders."""
    block = TAG.sub(lambda _: SCRIPT.tag(site.beacon, KEY), block)
    for placeholder, value in {
        "https://shop.example/pin.js?v=VERSION": f"{site.beacon}/pin.js?v={SCRIPT.version}",
        "sha384-HASH": SCRIPT.integrity,
        "YOUR-KEY": KEY,
    }.items():
        block = block.replace(placeholder, value)
    assert "VERSION" not in block
    return block


def bought(page: Page) -> dict[str, list[str]]:
    """The fields that the shop's server gets with an order."""
    page.route("**/checkout", lambda route: route.fulfill(body="Thank you"))
    with page.expect_request("**/checkout") as sent:
        page.get_by_role("button", name="Buy").click()
    return parse_qs(sent.value.post_data or "")


def test_the_plain_page_sends_what_it_should(site: Site, visitor: Visitor) -> None:
    """The first thing a shop pastes: views, pins, and the visitor for its order."""
    site.pages["/"] = filled(site, blocks("plain-html", "html")[0])
    page = visitor.visit(f"{site.origin}/")

    assert "pinsphere%3D" in visitor.pin("a.pin")
    (pin,) = site.wait_for("pin")
    assert (pin["item_id"], pin["item_list_id"], pin["recommender_id"]) == (
        *("blue-mug", "home_recs", "cf-v2"),
    )
    assert site.wait_for("view_item")[0]["item_id"] == "blue-mug"
    assert site.wait_for("view_item_list")[0]["items"][0]["item_id"] == "blue-mug"
    assert bought(page)["pinsphere_visitor"] == [pin["visitor_id"]]


def test_without_consent_the_order_names_nobody(site: Site, visitor: Visitor) -> None:
    """The control of the hidden field: it says what the snippet may say."""
    page_html = filled(site, blocks("plain-html", "html")[0])
    site.pages["/"] = page_html.replace("data-site-key", 'data-consent="denied" data-site-key')
    page = visitor.visit(f"{site.origin}/")

    assert "pinsphere_visitor" not in bought(page)


def test_tag_manager_tags_work(site: Site, visitor: Visitor) -> None:
    """A managed tag comes late, is written by script, and may come before or after a purchase."""
    snippet, consent, purchase = (filled(site, each) for each in blocks("gtm", "html"))
    site.pages["/"] = "<!doctype html><title>Thank you</title><body>"
    page = visitor.page
    page.goto(f"{site.origin}/")

    for tag in (purchase, snippet):
        page.evaluate(MANAGE, tag)
    page.wait_for_function("window.pinsphere && !!window.pinsphere.visitor")

    (order,) = site.wait_for("purchase")
    assert (order["order_id"], order["currency"]) == ("1001", "GBP")
    assert order["items"][0]["item_id"] == "blue-mug"
    assert order.get("consent", "unknown") == "unknown"
    page.evaluate(MANAGE, consent)
    page.evaluate("pinsphere.push({event_name: 'view_item', item_id: 'blue-mug'})")
    assert site.wait_for("view_item")[0]["consent"] == "granted"


def test_the_shopify_theme_marks_products_and_keeps_the_visitor(
    site: Site, visitor: Visitor
) -> None:
    """No script runs at Shopify's checkout: the cart is the only way of her id to the order."""
    product = {"id": 7001, "url": "/products/mug", "title": "Mug & saucer"}
    shop = {
        "section": {"id": "related"},
        "recommendations": {"products": [product]},
        "product": product,
        "routes": {"root_url": "/"},
        "cart": {"attributes": {}},
    }
    theme = filled(site, "\n".join(blocks("shopify", "liquid")))
    theme = theme.replace("https://pins.shop.example/pin.js", f"{site.beacon}/pin.js")
    site.pages["/"] = f"<!doctype html><body>{SHOPIFY.render(theme, **shop)}"
    updates: list[Any] = []

    def take(route: Route) -> None:
        updates.append(route.request.post_data_json)
        route.fulfill(json={})

    visitor.page.route("**/cart/update.js", take)

    with visitor.page.expect_response("**/cart/update.js"):
        visitor.visit(f"{site.origin}/")

    (seen,) = site.wait_for("view_item")
    assert seen["item_id"] == "7001"
    (shown,) = site.wait_for("view_item_list")
    assert (shown["item_list_id"], shown["items"]) == ("related", [{"item_id": "7001", "index": 0}])
    assert updates == [{"attributes": {"pinsphere_visitor": seen["visitor_id"]}}]

    # The next page comes with the attribute in its cart: nothing to say any more.
    shop["cart"] = {"attributes": {"pinsphere_visitor": seen["visitor_id"]}}
    site.pages["/again"] = f"<!doctype html><body>{SHOPIFY.render(theme, **shop)}"
    visitor.visit(f"{site.origin}/again")
    site.wait_for("view_item", 2)
    assert len(updates) == 1

    # Shopify's banner has been answered.
    visitor.page.evaluate(
        """document.dispatchEvent(
          new CustomEvent("visitorConsentCollected", {detail: {analyticsAllowed: true}}))"""
    )
    visitor.page.evaluate("pinsphere.push({event_name: 'view_item', item_id: '7002'})")
    assert site.wait_for("view_item", 3)[-1]["consent"] == "granted"
