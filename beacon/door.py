"""Who may send: sites by their key, origins, signatures, and what is known of a sender."""

import time

from beacon.agents import user_agent_class
from beacon.cookie import read_visitor
from beacon.intake import Sender
from beacon.signature import signature_error
from beacon.wire import Headers, Refusal, Request
from schemas.events import Source
from schemas.settings import Settings, live_secrets


class Door:
    """Lets requests in, or refuses them with the reason."""

    def __init__(self, settings: Settings) -> None:
        self._site_of_key = {site.key: site_id for site_id, site in settings.sites.items()}
        self._origins = {
            site_id: frozenset(origin.lower() for origin in site.origins)
            for site_id, site in settings.sites.items()
        }
        self._secrets = {
            site_id: live_secrets(site.secret_env) for site_id, site in settings.sites.items()
        }

    def identify_site(self, request: Request, key: str) -> str:
        """The site of a key; from here on the request is that site's.

        Raises:
          Refusal: 401.
        """
        site_id = self._site_of_key.get(key)
        if site_id is None:
            raise Refusal(401, f"unknown site key {key[:64]!r}")
        request.site_id = site_id
        return site_id

    def check_origin(self, request: Request) -> None:
        """Refuses (403) a page that is not on the site's list."""
        origin = request.header(b"origin")
        if origin and not self._is_allowed(request, origin):
            raise Refusal(403, f"origin {origin[:200]!r} is not on the list of this site")

    def check_signature(self, request: Request, site_id: str, body: bytes) -> None:
        """Refuses (401) a call that the site's server did not sign."""
        secrets = self._secrets[site_id]
        if not secrets:
            raise Refusal(401, "signed calls are not set up for this site: it has no secret")
        header = request.header(b"x-pinsphere-signature")
        if error := signature_error(header, secrets, body, time.time()):
            raise Refusal(401, error)

    def sender(self, request: Request, site_id: str, source: Source) -> Sender:
        """What is known of a sender who was let in."""
        is_signed = source in ("server", "webhook")
        return Sender(
            site_id=site_id,
            source=source,
            call=request.path,
            received_time_ms=now_ms(),
            # A shop's server speaks for a shopper; its own user agent says nothing of her.
            user_agent_class=(
                "human" if is_signed else user_agent_class(request.header(b"user-agent"))
            ),
            is_signed=is_signed,
            is_gpc=request.is_gpc,
            cookie_visitor_id=None if is_signed else read_visitor(request.header(b"cookie")),
        )

    def cross_origin_headers(self, request: Request) -> Headers:
        """What lets a page of an allowed origin read the answer."""
        if request.path != "/v1/events":
            return ()
        origin = request.header(b"origin")
        vary = (b"vary", b"Origin")
        if not origin or not self._is_allowed(request, origin):
            return (vary,)
        return (
            vary,
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", b"Retry-After"),
        )

    def _is_allowed(self, request: Request, origin: str) -> bool:
        """By the list of the caller's site; by any list while the site is not known."""
        lists = (
            self._origins.values() if request.site_id is None else [self._origins[request.site_id]]
        )
        return any(not allowed or origin.lower() in allowed for allowed in lists)


def now_ms() -> int:
    """UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000
