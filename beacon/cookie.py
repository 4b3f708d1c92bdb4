"""The first-party visitor cookie.

It comes by HTTP with the snippet because browsers that cap cookies written by scripts
(24 hours on some landings) leave these alone. The snippet reads it, so it is not HttpOnly:
it names a visitor and opens nothing.
"""

import re
import secrets

COOKIE = "pinsphere_visitor"
MAX_AGE_SECONDS = 400 * 24 * 3600  # the longest that browsers keep a cookie
_FOUND = re.compile(rf"(?:^|;)\s*{COOKIE}=([A-Za-z0-9_-]{{1,64}})\s*(?=;|$)", re.ASCII)


def read_visitor(cookie_header: str) -> str | None:
    """The visitor id in a `Cookie` header, if there is a well-formed one."""
    found = _FOUND.search(cookie_header)
    return found[1] if found else None


def mint_visitor() -> str:
    """A fresh visitor id: 22 URL-safe characters, 128 random bits."""
    return secrets.token_urlsafe(16)


def format_cookie(visitor_id: str, *, is_secure: bool) -> str:
    """The `Set-Cookie` header that gives a visitor her id, or renews it."""
    secure = "; Secure" if is_secure else ""
    return f"{COOKIE}={visitor_id}; Path=/; Max-Age={MAX_AGE_SECONDS}; SameSite=Lax{secure}"
