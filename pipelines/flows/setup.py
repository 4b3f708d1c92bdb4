"""Setting an installation up: a site in pinsphere.toml, its key, secret and snippet."""

import html
import os
import re
import secrets
import tomllib
from collections.abc import Sequence
from typing import NamedTuple

from schemas.errors import SettingsError
from schemas.settings import Home, Site, parse_settings


class AddedSite(NamedTuple):
    """What the owner of a new site must know."""

    snippet: str
    secret_env: str
    secret: str


def add_site(
    home: Home, site_id: str, *, currency: str, time_zone: str, origins: Sequence[str] = ()
) -> AddedSite:
    """Appends a site to `pinsphere.toml`, which is made when it is not there.

    Raises:
      SettingsError: the site is there already, or a value breaks its contract.
    """
    path = home.settings_file
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    secret_env = f"PINSPHERE_SECRET_{re.sub('[^A-Z0-9]', '_', site_id.upper())}"
    key = secrets.token_urlsafe(16)
    allowed = ", ".join(f'"{origin}"' for origin in origins)
    section = (
        f"[sites.{site_id}]\n"
        f'key = "{key}"\n'
        f'currency = "{currency}"\n'
        f'time_zone = "{time_zone}"\n'
        f"origins = [{allowed}]  # pages that may send events; empty: any\n"
        f'secret_env = "{secret_env}"  # variable with the secret that signs server orders\n'
        'orders_from = "server"\n'
    )
    try:
        there = tomllib.loads(before)
        if site_id in there.get("sites", {}):
            raise SettingsError(f"{path}: site {site_id!r} is there already")
        text = f"{before.rstrip()}\n\n{section}" if before.strip() else section
        settings = parse_settings(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from None
    home.path.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
    tag = snippet_tag("https://pins.shop.example", settings.site(site_id))
    return AddedSite(tag, secret_env, secrets.token_hex(32))


def snippet_tag(beacon_url: str, site: Site) -> str:
    """The script tag of a site; `beacon_url` is where its pages reach the beacon."""
    source = html.escape(f"{beacon_url.rstrip('/')}/pin.js")
    return f'<script async src="{source}" data-site-key="{html.escape(site.key)}"></script>'
