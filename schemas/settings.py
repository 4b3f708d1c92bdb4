"""Settings of an installation: `pinsphere.toml` in its home directory.

A flag wins over a `PINSPHERE_*` variable, which wins over the file.
"""

import ipaddress
import os
import re
import zoneinfo
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from schemas.alerts import AlertRules, check_alerts
from schemas.errors import MoneyError, SettingsError, UsageError
from schemas.events import EVENTS
from schemas.ids import is_site_id
from schemas.money import check_currency
from schemas.stages import Stages, check_stages

# A variable's name, or two of them while a secret is being changed: either one opens.
SecretEnv = str | Annotated[tuple[str, ...], Meta(min_length=1, max_length=2)] | None
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}", re.ASCII)
# To what msgspec says of a missing or short value.
_WAYS_OUT = {
    "field `project`": '; write into [pubsub]: project = "your-project"',
    "field `key`": "; a site's key is 8 to 64 characters; `pinsphere init` makes one",
    "`$.key`": "; a site's key is 8 to 64 characters; `pinsphere init` makes one",
    "field `currency`": '; write into the site\'s section: currency = "GBP", or which it is',
}
_SHORTEST_SECRET = 16
# A request to erase is gone once it is carried out, never before.
RETAINED = (frozenset(EVENTS) - {"erase"}) | {"quarantine"}
CREDITED = frozenset(("identify", "pin", "pin_visit", "purchase", "refund"))
Limit = Annotated[int, Meta(ge=0, description="Requests a minute; 0 for no limit")]


class Site(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """One shop (tenant)."""

    key: Annotated[str, Meta(min_length=8, max_length=64)]
    currency: str
    time_zone: str = "UTC"
    origins: tuple[str, ...] = ()
    secret_env: SecretEnv = None
    shopify_secret_env: SecretEnv = None
    woocommerce_secret_env: SecretEnv = None
    shopify_subscription: str | None = None
    item_id_from: Literal["product_id", "variant_id", "sku"] = "product_id"
    orders_from: Literal["server", "browser", "both"] = "server"
    window_days: Annotated[float, Meta(gt=0, le=3650)] = 30.0
    half_life_days: Annotated[float, Meta(gt=0, le=3650)] = 7.0
    necessity: Annotated[float, Meta(ge=0, le=1)] = 0.5
    sphere_decay: Annotated[float, Meta(ge=0, le=1)] = 0.5
    lapse_months: Annotated[int, Meta(ge=1, le=120)] = 6
    stages: Stages = Stages()
    away_after_days: Annotated[int, Meta(ge=1, le=3650)] = 30
    mature_days: Annotated[float, Meta(ge=0, le=3650)] = 30.0
    graph_engine: Literal["auto", "networkx", "scipy"] = "auto"
    graph_edges: Annotated[int, Meta(ge=1)] = 2_000_000
    graph_top_pinners: Annotated[int, Meta(ge=0)] = 1_000
    marginal_pinners: Annotated[int, Meta(ge=0)] = 100

    @property
    def window_ms(self) -> int:
        """The credit window in milliseconds."""
        return round(self.window_days * 86_400_000)

    @property
    def mature_ms(self) -> int:
        """The age in milliseconds from which a pin's re-pins are counted as all it gets."""
        return round(self.mature_days * 86_400_000)


class BeaconSettings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Limits of the collector."""

    spool_max_mb: Annotated[int, Meta(gt=0)] = 10_240
    min_free_percent: Annotated[float, Meta(ge=0, lt=100)] = 5.0
    visitor_cookie: bool = True
    trusted_proxies: tuple[str, ...] = ()
    site_requests_a_minute: Limit = 60_000
    network_requests_a_minute: Limit = 1_200
    max_event_age_days: Annotated[float, Meta(gt=0, le=36_500)] = 35.0


class PubSub(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Google Pub/Sub between the spool and the lake; without it the spool is read directly."""

    project: Annotated[str, Meta(min_length=6, max_length=63)]
    topic: str = "pinsphere-events"
    subscription: str = "pinsphere-archive"
    dead_letter_topic: str = "pinsphere-dead-letter"


class Settings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    sites: dict[str, Site] = {}
    beacon: BeaconSettings = BeaconSettings()
    pubsub: PubSub | None = None
    engine: Literal["vector", "networkx"] = "vector"
    shuffle: Literal["files", "runner"] = "files"
    keep_runs: Annotated[int, Meta(ge=1)] = 2
    ledger: Literal["auto", "sql", "lake"] = "auto"
    spool_keep_days: Annotated[float, Meta(ge=0, le=3650)] = 7.0
    metrics_file: str | None = None
    retention: dict[str, Annotated[float, Meta(gt=0, le=36_500)]] = {}
    alerts: AlertRules = AlertRules()

    def site(self, site_id: str) -> Site:
        """The settings of a site, or a UsageError that lists the known ones."""
        try:
            return self.sites[site_id]
        except KeyError:
            known = ", ".join(sorted(self.sites)) or "none yet"
            raise UsageError(
                f"unknown site {site_id!r}; known: {known}."
                f" Add it with: pinsphere init --site {site_id} --currency GBP"
            ) from None


def live_secrets(names: SecretEnv) -> tuple[str, ...]:
    """The secrets in the named environment variables; those that are not set are left out."""
    return tuple(filter(None, map(os.environ.get, _variables(names))))


def _variables(names: SecretEnv) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names or ()


def secret_warnings(settings: Settings) -> Iterator[str]:
    """What is wrong with the variables of secrets that the file names: a line for each setting."""
    for site_id, site in settings.sites.items():
        for name in ("secret_env", "shopify_secret_env", "woocommerce_secret_env"):
            named = _variables(getattr(site, name))
            if unset := [each for each in named if not os.environ.get(each)]:
                calls = "orders" if name == "secret_env" else f"{name.split('_')[0]} webhooks"
                consequence = (
                    f"{calls} of this site get 401"
                    if len(unset) == len(named)
                    else f"{calls} signed with it get 401; the other secret opens"
                )
                yield f"sites.{site_id}: {name}: {' and '.join(unset)} not set: {consequence}"
            for each in named:
                if 0 < len(os.environ.get(each, "")) < _SHORTEST_SECRET:
                    yield (
                        f"sites.{site_id}: {name}: {each} has less than {_SHORTEST_SECRET}"
                        " characters: whoever guesses it signs orders; take a long random one"
                    )


def check_site_id(site_id: str) -> None:
    """Raises a SettingsError when a site id could not name a folder."""
    if not is_site_id(site_id):
        raise SettingsError(f"site id {site_id!r} is not 1-63 characters of a-z 0-9 - _")


def parse_settings(values: dict[str, Any]) -> Settings:
    """Checks settings read from TOML; every number, name and code against its contract."""
    sites = values.get("sites")
    for site_id, site_values in sites.items() if isinstance(sites, dict) else ():
        _refuse_secrets(site_values, f"sites.{site_id}: ")
        _convert(site_values, Site, f"sites.{site_id}: ")
    settings: Settings = _convert(values, Settings, "")
    keys = [site.key for site in settings.sites.values()]
    if len(set(keys)) != len(keys):
        raise SettingsError("two sites share one key; a key names exactly one site")
    for site_id, site in settings.sites.items():
        _check_site(site_id, site)
    for proxy in settings.beacon.trusted_proxies:
        _check_proxy(proxy)
    _check_retention(settings)
    check_alerts(settings.alerts)
    return settings


def _check_retention(settings: Settings) -> None:
    """Raises when a kind is unknown, or would be gone while orders still need it for credit."""
    window_days = max((site.window_days for site in settings.sites.values()), default=0.0)
    for kind, days in settings.retention.items():
        if kind not in RETAINED:
            raise SettingsError(
                f"retention: {kind!r} is no event name; known: {', '.join(sorted(RETAINED))}"
            )
        if kind in CREDITED and days < window_days:
            raise SettingsError(
                f"retention: {kind} = {days:g} days is shorter than the longest credit window,"
                f" window_days = {window_days:g}: orders would lose credit that is due"
            )


def _refuse_secrets(values: Any, where: str) -> None:
    """Raises when a secret stands in the file. No error text may show it."""
    for name, value in values.items() if isinstance(values, dict) else ():
        if "secret" in name and not name.endswith("_env"):
            raise SettingsError(
                f"{where}`{name}` is not taken from this file: put the secret into an environment"
                f" variable and the variable's name here, as `{_secret_setting(name)}`"
            )
        if name.endswith("secret_env"):
            named = value if isinstance(value, list) else [value]
            if not all(isinstance(each, str) and _VARIABLE.fullmatch(each) for each in named):
                raise SettingsError(
                    f"{where}`{name}` is the name of an environment variable, A-Z 0-9 _, or two"
                    " of them; if what stands there is the secret itself, change it"
                )


def _secret_setting(name: str) -> str:
    """The setting that is meant by the name of one that there is not."""
    shop = next((shop for shop in ("shopify", "woocommerce") if shop in name), None)
    return f"{shop}_secret_env" if shop else "secret_env"


def _check_proxy(proxy: str) -> None:
    where = f"beacon: trusted_proxies {proxy!r}"
    try:
        network = ipaddress.ip_network(proxy)
    except ValueError as error:
        raise SettingsError(f"{where} is no address and no network in CIDR: {error}") from None
    if network.prefixlen == 0:
        raise SettingsError(f"{where} would believe everybody's X-Forwarded-For")


def _convert(values: Any, kind: type[Any], where: str) -> Any:
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        way_out = next((way for sign, way in _WAYS_OUT.items() if sign in str(error)), "")
        raise SettingsError(f"{where}{error}{way_out}") from None


def _check_site(site_id: str, site: Site) -> None:
    check_site_id(site_id)
    check_stages(f"sites.{site_id}: ", site.stages)
    try:
        check_currency(site.currency)
    except MoneyError as error:
        raise SettingsError(f"sites.{site_id}: {error}") from None
    try:
        zoneinfo.ZoneInfo(site.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # "Europe" is a folder
        raise SettingsError(
            f"sites.{site_id}: time zone {site.time_zone!r} is not in the IANA list"
            " (such as 'Europe/London')"
        ) from None
    for origin in site.origins:
        if not re.fullmatch(r"https?://[^/?#\s]+", origin):
            raise SettingsError(f"sites.{site_id}: origin {origin!r} is not scheme://host[:port]")
