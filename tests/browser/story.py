"""Ann pins a mug, Bob pins it on, Cy buys: the steps of the story, each by its own person.

Functions over pages of the example shop. A step gives what it saw in the browser; what
arrived is read from the beacon's spool by `processes.Installation`.
"""

import re
from decimal import Decimal
from typing import NamedTuple

import httpx
from playwright.sync_api import Page

from schemas.ids import Token, parse_token

_TOKEN = re.compile(r"[?&#]pinsphere=([^&#]*)")


class Pinned(NamedTuple):
    """A saved pin: the link out of Pinterest, its token, and who saved it."""

    url: str
    token: Token
    visitor_id: str


class Ordered(NamedTuple):
    """A placed order, as its confirmation shows it."""

    order_id: str
    visitor_id: str
    total: Decimal
    item_ids: tuple[str, ...]


def ann_pins(page: Page, shop_url: str, item_id: str = "mug") -> Pinned:
    """Ann sees the recommendations on the home page and pins one of them."""
    _visit(page, shop_url + "/")
    card = f"[data-pinsphere-list=home_recs] [data-pinsphere-item={item_id}]"
    return _save(page, f"{card} [data-pin-do]")


def bob_pins_on(page: Page, pinned_url: str) -> Pinned:
    """Bob follows a pin to the product's page and pins it in his turn."""
    _visit(page, pinned_url)
    assert "pinsphere=" not in page.url
    return _save(page, "section [data-pin-do]")


def cy_buys(page: Page, pinned_url: str, also: str = "vase") -> Ordered:
    """Cy follows a pin, puts its product and another one into the cart, and orders."""
    _visit(page, pinned_url)
    visitor_id = str(page.evaluate("pinsphere.visitor()"))
    item_id = str(page.get_attribute("section", "data-pinsphere-item"))
    _add_to_cart(page)
    _visit(page, re.sub(r"/cart.*", f"/products/{also}", page.url))
    _add_to_cart(page)
    page.wait_for_function("window.pinsphere && !!window.pinsphere.visitor")
    page.fill("[name=email]", "cy@example.org")
    page.click("text=Order")
    order_id = page.inner_text("#order")
    total = Decimal(page.inner_text("#total"))
    return Ordered(order_id, visitor_id, total, (item_id, also))


def refund_line(shop_url: str, order_id: str, line_id: str = "1") -> str:
    """The shop's server gives a line's money back; gives the refund's id."""
    form = {"order_id": order_id, "line_id": line_id}
    answer = httpx.post(f"{shop_url}/admin/refunds", data=form)
    assert answer.status_code == httpx.codes.SEE_OTHER, answer
    return f"{order_id}-{line_id}"


def _visit(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_function("window.pinsphere && !!window.pinsphere.visitor")


def _save(page: Page, button: str) -> Pinned:
    """Clicks Pin It, saves at the stand-in of Pinterest, and reads the link of the new pin."""
    visitor_id = str(page.evaluate("pinsphere.visitor()"))
    with page.expect_popup() as opened:
        page.click(button)
    create = opened.value
    create.click("#save")
    url = str(create.get_attribute("#pin", "href"))
    create.close()
    token = _TOKEN.search(url)
    assert token is not None, f"the pinned URL has no token: {url}"
    return Pinned(url, parse_token(token[1]), visitor_id)


def _add_to_cart(page: Page) -> None:
    """A click does not wait: on a busy machine the page would still be the old one."""
    page.click("text=Add to cart")
    page.wait_for_url(re.compile(r"/cart"))
