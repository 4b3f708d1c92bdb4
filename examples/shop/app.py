"""The shop as a Starlette app: pages, a cart, orders that reach the beacon signed.

Carts and orders live in memory, and the orders page asks for no password: an example to run
on one's own machine.
"""

import asyncio
import hashlib
import secrets
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from examples.shop import pages
from examples.shop.catalogue import (
    CATALOGUE,
    Product,
    home_recommendations,
    product_recommendations,
)
from examples.shop.orders import OrderBook, Outbox, Post, post_over_http

CART_COOKIE = "cart"
VISITOR_COOKIE = "pinsphere_visitor"


def build_app(
    beacon_url: str, site_key: str, secret: str, post: Post = post_over_http
) -> Starlette:
    """Makes a shop that reports to this beacon; `post` sends its signed requests."""
    shop = _Shop(beacon_url.rstrip("/"), site_key, Outbox(beacon_url, site_key, secret, post))
    return Starlette(
        routes=[
            Route("/", shop.home),
            Route("/products/{item_id}", shop.product),
            Route("/images/{item_id}.svg", shop.image),
            Route("/cart", shop.cart),
            Route("/cart", shop.add_to_cart, methods=["POST"]),
            Route("/checkout", shop.checkout, methods=["POST"]),
            Route("/orders/{order_id}", shop.order),
            Route("/admin", shop.admin),
            Route("/admin/refunds", shop.refund, methods=["POST"]),
        ]
    )


class _Shop:
    def __init__(self, beacon_url: str, site_key: str, outbox: Outbox) -> None:
        self._beacon_url = beacon_url
        self._site_key = site_key
        self._outbox = outbox
        self._book = OrderBook()
        self._carts: dict[str, dict[str, int]] = {}

    async def home(self, request: Request) -> Response:
        return HTMLResponse(pages.home(self._shop(request), home_recommendations()))

    async def product(self, request: Request) -> Response:
        shown = _product(request.path_params["item_id"])
        recommendations = product_recommendations(shown.item_id)
        return HTMLResponse(pages.product(self._shop(request), shown, recommendations))

    async def image(self, request: Request) -> Response:
        shown = _product(request.path_params["item_id"])
        return Response(pages.image(shown), media_type="image/svg+xml")

    async def cart(self, request: Request) -> Response:
        return HTMLResponse(pages.cart(self._shop(request), self._cart(request)))

    async def add_to_cart(self, request: Request) -> Response:
        item_id = _product((await _form(request)).get("item_id", "")).item_id
        cart_id = request.cookies.get(CART_COOKIE) or secrets.token_urlsafe(16)
        quantities = self._carts.setdefault(cart_id, {})
        quantities[item_id] = quantities.get(item_id, 0) + 1
        response = RedirectResponse("/cart", status_code=303)
        response.set_cookie(CART_COOKIE, cart_id, httponly=True, samesite="lax")
        return response

    async def checkout(self, request: Request) -> Response:
        form = await _form(request)
        cart = self._cart(request)
        if not cart:
            return RedirectResponse("/cart", status_code=303)
        visitor_id = form.get("visitor_id") or request.cookies.get(VISITOR_COOKIE)
        email = form.get("email", "").strip().lower()
        customer_id = hashlib.sha256(email.encode()).hexdigest()[:16] if email else None
        placed = self._book.place(cart, visitor_id, customer_id)
        cart.clear()
        await asyncio.to_thread(self._outbox.send, placed.purchase())
        return RedirectResponse(f"/orders/{placed.order_id}", status_code=303)

    async def order(self, request: Request) -> Response:
        placed = self._book.orders.get(request.path_params["order_id"])
        if placed is None:
            raise HTTPException(404, "no such order")
        return HTMLResponse(pages.order(self._shop(request), placed))

    async def admin(self, request: Request) -> Response:
        orders, waiting = self._book.orders.values(), len(self._outbox.waiting)
        return HTMLResponse(pages.admin(self._shop(request), orders, waiting))

    async def refund(self, request: Request) -> Response:
        form = await _form(request)
        try:
            event = self._book.orders[form["order_id"]].refund(form["line_id"])
        except KeyError:
            raise HTTPException(404, "no such line, or it is refunded already") from None
        await asyncio.to_thread(self._outbox.send, event)
        return RedirectResponse("/admin", status_code=303)

    def _shop(self, request: Request) -> pages.Shop:
        origin = str(request.base_url).rstrip("/")
        return pages.Shop(origin, self._beacon_url, self._site_key)

    def _cart(self, request: Request) -> dict[str, int]:
        return self._carts.get(request.cookies.get(CART_COOKIE, ""), {})


def _product(item_id: str) -> Product:
    try:
        return CATALOGUE[item_id]
    except KeyError:
        raise HTTPException(404, "no such product") from None


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
