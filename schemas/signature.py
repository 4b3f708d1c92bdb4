"""Signed calls: `X-PinSphere-Signature: t=<unix>,v1=<hex HMAC-SHA256 of "t.body">`.

Shop systems sign with the base64 HMAC-SHA256 of the body alone.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable

TOLERANCE_SECONDS = 300
_HEADER = re.compile(r"t=([0-9]{1,12}),\s*v1=([0-9a-fA-F]{64})", re.ASCII)


def sign(secret: str, body: bytes, now: int) -> str:
    """The header's text for a body sent at `now` (unix seconds)."""
    return f"t={now},v1={_digest(secret, str(now), body)}"


def signature_error(header: str, secrets: Iterable[str], body: bytes, now: float) -> str | None:
    """What is wrong with a signature; None when it holds under one of the live secrets.

    A body is bound to its time, so a copied call is worth nothing after five minutes; a
    second copy within them is removed by its event ids.
    """
    match = _HEADER.fullmatch(header.strip())
    if match is None:
        return "X-PinSphere-Signature is missing or not t=<unix seconds>,v1=<64 hex digits>"
    signed_at, digest = match.groups()
    given = digest.lower()
    # Each secret is tried: how long it takes tells nothing about which one holds.
    holds = [hmac.compare_digest(_digest(secret, signed_at, body), given) for secret in secrets]
    if not any(holds):
        return "X-PinSphere-Signature does not match the body and this site's secret"
    if abs(now - int(signed_at)) > TOLERANCE_SECONDS:
        return f"X-PinSphere-Signature is more than {TOLERANCE_SECONDS} seconds off"
    return None


def is_body_signed(given: str, secrets: Iterable[str], body: bytes) -> bool:
    """Whether a text is the base64 HMAC-SHA256 of a body under one of the live secrets."""
    # As above: each secret is tried, and the text is compared whole.
    claimed = given.strip().encode()
    holds = [hmac.compare_digest(sign_body(secret, body).encode(), claimed) for secret in secrets]
    return any(holds)


def sign_body(secret: str, body: bytes) -> str:
    """The base64 HMAC-SHA256 of a body, as Shopify and WooCommerce send it."""
    return base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()


def _digest(secret: str, signed_at: str, body: bytes) -> str:
    message = signed_at.encode() + b"." + body
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
