"""One POST to an address of the user's own, signed, that is never shown."""

import time
import urllib.parse

import urllib3

from schemas.errors import AlertError
from schemas.signature import sign

_TIMEOUT = urllib3.Timeout(connect=5, read=10)
_BACKOFF = 1.0  # seconds, from the second time on twice as many
# Answers that ask to come again; a redirect is none, since nobody signed for another address.
_AGAIN = (429, 502, 503, 504)


def post_signed(url: str, body: bytes, secret: str | None) -> None:
    """Sends a JSON body, at most three times; an answer of 2xx is success.

    Args:
      url: where; its path may be a secret, so no error tells more than its host.
      body: JSON.
      secret: to sign with, as calls to the beacon are; None sends it unsigned.

    Raises:
      AlertError: it is no address, nobody answers in time, or the answer is another one.
    """
    place = _shown(url)
    headers = {"Content-Type": "application/json"}
    if secret is not None:
        headers["X-PinSphere-Signature"] = sign(secret, body, int(time.time()))
    retries = urllib3.Retry(
        total=2,
        read=0,  # it may have been taken: the receiver would have it twice
        redirect=0,
        status_forcelist=_AGAIN,
        allowed_methods=None,  # a POST too: an alert's id tells a second copy
        backoff_factor=_BACKOFF,
        respect_retry_after_header=False,
        raise_on_status=False,
        raise_on_redirect=False,
    )
    try:
        with urllib3.PoolManager() as pool:
            answer = pool.request(
                "POST",
                url,
                body=body,
                headers=headers,
                retries=retries,
                redirect=False,
                timeout=_TIMEOUT,
                preload_content=False,  # whatever it says, and however slowly
            )
            answer.close()
    except urllib3.exceptions.HTTPError as error:
        # Its text has the path; the reason's kind is enough.
        reason = getattr(error, "reason", None) or error
        raise AlertError(f"webhook at {place}: {type(reason).__name__}") from None
    if not 200 <= answer.status < 300:
        raise AlertError(f"webhook at {place}: it answered {answer.status}")


def _shown(url: str) -> str:
    """The host of an address.

    Raises:
      AlertError: it is none.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urllib.parse.SplitResult("", "", "", "", ""), None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise AlertError("the webhook's address is not http(s)://host/...")
    return f"{parts.hostname}:{port}" if port else parts.hostname
