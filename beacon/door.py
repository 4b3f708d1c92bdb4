"""Who may send: sites by their key, origins, signatures, and what is known of a sender."""

import time
from pathlib import Path
from urllib.parse import urlsplit

from beacon.agents import user_agent_class
from beacon.cookie import read_visitor
from beacon.intake import Sender
from beacon.limits import Limits
from beacon.message import Headers
from beacon.network import DAY_MS, DailyNames, Proxies
from beacon.wire import Refusal, Request
from schemas.events import Source
from schemas.settings import Settings, live_secrets
from schemas.signature import signature_error

_VARY = ("vary", "Origin")
_EXPOSE = ("access-control-expose-headers", "Retry-After")


class Door:
    """Lets requests in, or refuses them with the reason."""

    def __init__(self, settings: Settings, network_key: Path) -> None:
        self._site_of_key = {site.key: site_id for site_id, site in settings.sites.items()}
        self._origins = {
            site_id: frozenset(origin.lower() for origin in site.origins)
            for site_id, site in settings.sites.items()
        }
        self._readers = {
            (site_id, origin): _readable_by(origin)
            for site_id, origins in self._origins.items()
            for origin in origins
        }
        self._secrets = {
            site_id: live_secrets(site.secret_env) for site_id, site in settings.sites.items()
        }
        self._proxies = Proxies(settings.beacon.trusted_proxies)
        self._limits = Limits(settings.beacon)
        self._max_age_ms = round(settings.beacon.max_event_age_days * DAY_MS)
        self._networks = DailyNames(network_key)

    def identify_site(self, request: Request, key: str) -> str:
        """The site of a key; from here on the request is that site's.

        Raises:
          Refusal: 401.
        """
        site_id = self._site_of_key.get(key)
        if site_id is None:
            self._count_stranger(request)
            raise Refusal(401, f"unknown site key {key[:64]!r}")
        request.site_id = site_id
        return site_id

    def check_origin(self, request: Request) -> None:
        """Refuses (403) a page that is not on the site's list."""
        origin = request.origin
        if origin and not self._is_allowed(request, origin):
            raise Refusal(403, f"origin {origin[:200]!r} is not on the list of this site")

    def check_page(self, request: Request) -> None:
        """Refuses (403) a picture on a page that is not on the site's list.

        Browsers send no `Origin` for pictures; what `Referer` they send is true.
        """
        self.check_origin(request)
        page = request.header("referer")
        if page and not self._is_allowed(request, _origin_of(page)):
            raise Refusal(403, f"page {page[:200]!r} is not on the list of this site")

    def check_stranger(self, request: Request) -> None:
        """Refuses (429) a network that sent too much nobody could use, whatever comes now."""
        self._limits.check_stranger(self._network(request))

    def check_careful(self, request: Request) -> None:
        """Refuses (429) a network too many bodies that are dear to read."""
        self._limits.check_careful(self._network(request))

    def check_rate(self, request: Request, site_id: str) -> None:
        """Refuses (429) an unsigned request too many, of the site or of its network."""
        self._limits.check(site_id, self._network(request))

    def check_signature(self, request: Request, site_id: str, body: bytes) -> None:
        """Refuses (401) a call that the site's server did not sign."""
        secrets = self._secrets[site_id]
        if not secrets:
            self._count_stranger(request)
            raise Refusal(401, "signed calls are not set up for this site: it has no secret")
        header = request.header("x-pinsphere-signature")
        if error := signature_error(header, secrets, body, time.time()):
            self._count_stranger(request)
            raise Refusal(401, error)

    def sender(self, request: Request, site_id: str, source: Source) -> Sender:
        """What is known of a sender who was let in."""
        now = now_ms()
        if source in ("server", "webhook"):
            # A shop's server speaks for a shopper; what it sends of itself says nothing of her.
            return Sender(site_id, source, request.path, now, is_signed=True, is_gpc=request.is_gpc)
        return Sender(
            site_id,
            source,
            request.path,
            now,
            user_agent_class(request.header("user-agent")),
            is_gpc=request.is_gpc,
            cookie_visitor_id=read_visitor(request.header("cookie")),
            network_hash=self._networks.name(site_id, self._network(request), now),
            max_age_ms=self._max_age_ms,
        )

    def cross_origin_headers(self, request: Request) -> Headers:
        """What lets a page of an allowed origin read the answer."""
        if request.path != "/v1/events":
            return ()
        origin = request.origin
        # Listed, in lower case as browsers send it: nearly every request.
        readable = self._readers.get((request.site_id or "", origin))
        if readable is None:
            is_readable = bool(origin) and self._is_allowed(request, origin)
            readable = _readable_by(origin) if is_readable else (_VARY,)
        return readable

    def _network(self, request: Request) -> str | None:
        """The sender's network, looked up once a request."""
        if not request.is_placed:
            request.network, request.is_placed = self._proxies.network(request), True
        return request.network

    def _count_stranger(self, request: Request) -> None:
        self._limits.count_stranger(self._network(request))

    def _is_allowed(self, request: Request, origin: str) -> bool:
        """By the list of the caller's site; by any list while the site is not known."""
        origin = origin.lower()
        if request.site_id is None:
            return any(not allowed or origin in allowed for allowed in self._origins.values())
        allowed = self._origins[request.site_id]
        return not allowed or origin in allowed


def _origin_of(url: str) -> str:
    """Scheme, host and port of a URL; a text that is none has none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"


def _readable_by(origin: str) -> Headers:
    return (_VARY, ("access-control-allow-origin", origin), _EXPOSE)


def now_ms() -> int:
    """UTC epoch milliseconds."""
    return time.time_ns() // 1_000_000
