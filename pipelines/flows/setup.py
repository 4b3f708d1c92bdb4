"""Setting an installation up: a site in pinsphere.toml, its key, secret and snippet."""

import html
import json
import os
import re
import secrets
import tomllib
from collections.abc import Sequence
from typing import NamedTuple

from schemas.errors import SettingsError
from schemas.settings import Home, Site, check_site_id, parse_settings


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
      SettingsError: the site is there already, a value breaks its contract, or the file
        cannot be read.
    """
    # First of all: `a.b` would be read as a table in a table.
    check_site_id(site_id)
    path = home.settings_file
    there = home.settings().sites if path.exists() else {}
    if site_id in there:
        raise SettingsError(f"{path}: site {site_id!r} is there already")
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    secret_env = f"PINSPHERE_SECRET_{re.sub('[^A-Z0-9]', '_', site_id.upper())}"
    key = secrets.token_urlsafe(16)
    allowed = ", ".join(map(_quoted, origins))
    section = (
        f"[sites.{site_id}]\n"
        f'key = "{key}"\n'
        f"currency = {_quoted(currency)}\n"
        f"time_zone = {_quoted(time_zone)}\n"
        f"origins = [{allowed}]  # pages that may send events; empty: any\n"
        f'secret_env = "{secret_env}"  # variable with the secret that signs server orders\n'
        'orders_from = "server"\n'
    )
    text = f"{before.rstrip()}\n\n{section}" if before.strip() else section
    try:
        settings = parse_settings(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from None
    home.path.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
    tag = snippet_tag("https://pins.shop.example", settings.site(site_id))
    return AddedSite(tag, secret_env, secrets.token_hex(32))


def _quoted(text: str) -> str:
    """A TOML string; JSON's escapes are TOML's."""
    return json.dumps(text, ensure_ascii=False)


def snippet_tag(beacon_url: str, site: Site) -> str:
    """The script tag of a site; `beacon_url` is where its pages reach the beacon."""
    source = html.escape(f"{beacon_url.rstrip('/')}/pin.js")
    return f'<script async src="{source}" data-site-key="{html.escape(site.key)}"></script>'
