"""Who may ask, how, and what browsers may do with the answer: a wall before the console.

Nothing behind it changes anything, so nothing but reading is let through.
"""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, parse_qsl, quote, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'"
)
STATIC = "/static/"
PROXY_HEADER = "x-forwarded-user"
_COOKIE = "pinsphere_console"
_LONGEST_FORM = 4096
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:]+)(?::[0-9]{1,5})?", re.ASCII)
_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True)
class Door:
    """Who may come in.

    Args:
      token: whoever knows it; empty: nobody is asked for one.
      is_behind_proxy: whom a proxy before us names in X-Forwarded-User, and nobody else.
      hosts: names the console is asked by, beside localhost and bare addresses.
    """

    token: str = field(default="", repr=False)
    is_behind_proxy: bool = False
    hosts: frozenset[str] = frozenset()

    def is_name_of_ours(self, host: str) -> bool:
        """Whether a Host header is meant for us: a page elsewhere may rebind its name to us."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found[1].strip("[]").lower()
        if name == "localhost" or name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True  # no name, nothing to rebind

    @property
    def cookie(self) -> str:
        """What a browser shows once the token was right; the token cannot be read from it."""
        return hmac.new(self.token.encode(), b"pinsphere console", hashlib.sha256).hexdigest()


class Guard:
    """ASGI: lets readers through to the app, and puts the same headers on every answer."""

    def __init__(self, app: ASGIApp, door: Door, sign_in: Callable[[str, str], str]) -> None:
        self._app = app
        self._door = door
        self._sign_in = sign_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        is_static = scope["path"].startswith(STATIC)
        refusal = await self._refusal(Request(scope, receive))
        await (refusal or self._app)(scope, receive, _with_headers(send, is_static=is_static))

    async def _refusal(self, request: Request) -> Response | None:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._door.is_name_of_ours(hosts[0]):
            return _text(
                421,
                "The console is not known by this name. Its address, localhost, and the names given"
                " by --allow-host are.",
            )
        is_static = request.scope["path"].startswith(STATIC)  # by which the app finds its way, too
        if request.method == "POST" and self._door.token and not is_static:
            return await self._signed_in(request)
        if request.method not in {"GET", "HEAD"}:
            answer = _text(405, "The console only reads: GET and HEAD.")
            answer.headers["allow"] = "GET, HEAD"
            return answer
        if is_static:
            return None
        if self._door.is_behind_proxy and not request.headers.get(PROXY_HEADER):
            return _text(401, "The proxy before the console names nobody in X-Forwarded-User.")
        return self._unknown(request) if self._door.token else None

    def _unknown(self, request: Request) -> Response | None:
        """The way in for a reader who has not shown the token yet; None for one who has."""
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if _is_same(request.cookies.get(_COOKIE, ""), self._door.cookie) or (
            scheme.lower() == "bearer" and _is_same(bearer, self._door.token)
        ):
            return None
        if _is_same(request.query_params.get("token", ""), self._door.token):
            # No redirect: after a click in a mail, it would come without the strict cookie.
            answer = HTMLResponse(self._sign_in("", _asked_for(request)))
            return self._with_cookie(request, answer)
        return HTMLResponse(self._sign_in("", ""), 401)

    async def _signed_in(self, request: Request) -> Response:
        """The answer to the form, which stands in the place of any page that was asked for."""
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > _LONGEST_FORM:
                return _text(413, "That is no token.")
        given = parse_qs(body.decode("latin-1")).get("token", [""])[0]
        if not _is_same(given, self._door.token):
            return HTMLResponse(self._sign_in("That is not the token.", ""), 401)
        return self._with_cookie(request, RedirectResponse(_asked_for(request), 303))

    def _with_cookie(self, request: Request, answer: Response) -> Response:
        is_secure = "https" in {request.url.scheme, request.headers.get("x-forwarded-proto")}
        answer.set_cookie(
            _COOKIE, self._door.cookie, httponly=True, samesite="strict", secure=is_secure
        )
        return answer


def _asked_for(request: Request) -> str:
    """What was asked for, without the token: on this host, whatever the path looks like."""
    path = quote("/" + request.scope["path"].lstrip("/\\"))
    rest = [pair for pair in parse_qsl(request.url.query) if pair[0] != "token"]
    return f"{path}?{urlencode(rest)}" if rest else path


def _is_same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _text(status: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status)


def _with_headers(send: Send, *, is_static: bool) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            # What is static bears its digest in its address, and may only be missing for now;
            # answers are the reader's alone.
            keeps = is_static and message["status"] < 400
            cache = "public, max-age=31536000, immutable" if keeps else "no-store"
            ours = {**_HEADERS, "cache-control": cache}
            message["headers"] = [
                *_others(message["headers"], ours),
                *((name.encode(), value.encode()) for name, value in ours.items()),
            ]
        await send(message)

    return send_with_headers


def _others(
    headers: Iterable[tuple[bytes, bytes]], ours: dict[str, str]
) -> Iterable[tuple[bytes, bytes]]:
    return (header for header in headers if header[0].decode("latin-1").lower() not in ours)
