"""The shop's pages: functions from what is shown to HTML."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import NamedTuple
from urllib.parse import quote

from examples.shop.catalogue import CATALOGUE, CURRENCY, SHIPPING, Product, Recommendations
from examples.shop.orders import Order

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem }
.cards { display: flex; flex-wrap: wrap; gap: 1rem }
article { border: 1px solid #ddd; border-radius: 8px; padding: 1rem; width: 12rem }
article img { width: 100%; border-radius: 4px }
table { border-collapse: collapse } td, th { padding: .25rem .75rem; text-align: left }
td.money { text-align: right }
"""


class Shop(NamedTuple):
    """What every page needs to know."""

    origin: str
    beacon_url: str
    site_key: str

    def url(self, path: str) -> str:
        """The whole address of a path of the shop."""
        return self.origin + path


def home(shop: Shop, recommendations: Recommendations) -> str:
    """The home page with its recommendations."""
    return _page(shop, "Harbour Home", "/", _recommendations(shop, recommendations))


def product(shop: Shop, shown: Product, recommendations: Recommendations) -> str:
    """A product with its Pin It button, and what goes well with it."""
    item_id = escape(shown.item_id)
    content = f"""
<section data-pinsphere-item="{item_id}">
  <img src="/images/{item_id}.svg" alt="{escape(shown.name)}" width="240">
  <p>{shown.price} {CURRENCY} {_pin_button(shop, shown)}</p>
  <form method="post" action="/cart">
    <input type="hidden" name="item_id" value="{item_id}">
    <button>Add to cart</button>
  </form>
</section>
{_recommendations(shop, recommendations)}
<script>
  window.pinsphere = window.pinsphere || [];
  pinsphere.push({{ event_name: "view_item", item_id: "{item_id}" }});
  document.querySelector("form").addEventListener("submit", () =>
    pinsphere.push({{ event_name: "add_to_cart", item_id: "{item_id}", quantity: 1 }}));
</script>"""
    return _page(shop, shown.name, f"/products/{shown.item_id}", content)


def cart(shop: Shop, quantities: Mapping[str, int]) -> str:
    """The cart, with the form that orders it.

    The hidden field carries the visitor id where the beacon's cookie belongs to another host.
    """
    rows = "".join(
        f"<tr><td>{escape(CATALOGUE[item_id].name)}</td><td>{quantity}</td>"
        f'<td class="money">{CATALOGUE[item_id].price * quantity}</td></tr>'
        for item_id, quantity in quantities.items()
    )
    content = f"""
<table><tr><th>Product</th><th>Quantity</th><th>{CURRENCY}</th></tr>{rows}</table>
<form method="post" action="/checkout">
  <input type="hidden" name="visitor_id">
  <label>E-mail <input type="email" name="email"></label>
  <button>Order</button>
</form>
<script>
  document.querySelector("form").addEventListener("submit", (event) => {{
    const visitor = window.pinsphere && pinsphere.visitor && pinsphere.visitor();
    event.target.visitor_id.value = visitor || "";
  }});
</script>"""
    return _page(shop, "Your cart", "/cart", content)


def order(shop: Shop, placed: Order) -> str:
    """The confirmation of an order."""
    content = f"""
<p>Thank you. Your order <b id="order">{escape(placed.order_id)}</b> is on its way.</p>
<table>{_order_rows(placed)}
<tr><td>Shipping</td><td></td><td class="money">{SHIPPING}</td></tr>
<tr><th>Total</th><td></td><th id="total">{placed.total}</th></tr></table>"""
    return _page(shop, "Order confirmed", f"/orders/{placed.order_id}", content)


def admin(shop: Shop, orders: Iterable[Order], waiting: int) -> str:
    """All orders, with a button to refund each line."""
    sections = "".join(
        f"<h2>{escape(placed.order_id)}</h2><table>{_order_rows(placed, is_admin=True)}</table>"
        for placed in orders
    )
    content = f"<p>{waiting} events wait for the beacon.</p>{sections or '<p>No orders yet.</p>'}"
    return _page(shop, "Orders", "/admin", content)


def image(shown: Product) -> str:
    """A product's picture, drawn."""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="320">'
        f'<rect width="320" height="320" fill="{shown.colour}"/>'
        '<text x="160" y="172" fill="#fff" font-size="30" text-anchor="middle"'
        f' font-family="sans-serif">{escape(shown.name)}</text></svg>'
    )


def _page(shop: Shop, title: str, path: str, content: str) -> str:
    url = escape(shop.url(path))
    return f"""<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <title>{escape(title)}</title>
  <link rel="canonical" href="{url}">
  <meta property="og:url" content="{url}">
  <style>{_STYLE}</style>
  <script async src="{escape(shop.beacon_url)}/pin.js"
          data-site-key="{escape(shop.site_key)}"></script>
</head>
<body>
<p><a href="/">Harbour Home</a> · <a href="/cart">Cart</a></p>
<h1>{escape(title)}</h1>
{content}
</body>
</html>
"""


def _recommendations(shop: Shop, shown: Recommendations) -> str:
    cards = "".join(
        f"""
  <article data-pinsphere-item="{escape(card.item_id)}" data-pinsphere-index="{index}">
    <a href="/products/{escape(card.item_id)}"><img src="/images/{escape(card.item_id)}.svg"
       alt="">{escape(card.name)}</a>
    <p>{card.price} {CURRENCY} {_pin_button(shop, card)}</p>
  </article>"""
        for index, card in enumerate(shown.products)
    )
    return f"""
<h2>{escape(shown.title)}</h2>
<div class="cards" data-pinsphere-list="{escape(shown.slot)}"
     data-pinsphere-recommender="{escape(shown.recommender)}">{cards}
</div>"""


def _pin_button(shop: Shop, pinned: Product) -> str:
    """Pinterest's own markup for one image; it works with and without their script."""
    url = quote(shop.url(f"/products/{pinned.item_id}"), safe="")
    media = quote(shop.url(f"/images/{pinned.item_id}.svg"), safe="")
    href = (
        f"https://www.pinterest.com/pin/create/button/?url={url}&media={media}"
        f"&description={quote(pinned.name)}"
    )
    return f'<a data-pin-do="buttonPin" target="_blank" href="{escape(href)}">Pin it</a>'


def _order_rows(placed: Order, *, is_admin: bool = False) -> str:
    rows = []
    for line in placed.lines:
        action = ""
        if line.refunded:
            action = "refunded"
        elif is_admin:
            action = (
                '<form method="post" action="/admin/refunds">'
                f'<input type="hidden" name="order_id" value="{escape(placed.order_id)}">'
                f'<input type="hidden" name="line_id" value="{escape(line.line_id)}">'
                "<button>Refund</button></form>"
            )
        rows.append(
            f"<tr><td>{escape(line.product.name)}</td><td>{line.quantity}</td>"
            f'<td class="money">{line.value}</td><td>{action}</td></tr>'
        )
    return "".join(rows)
