"""Setting an installation up: a site in pinsphere.toml, its key and its secret."""

import json
import os
import re
import secrets
import tomllib
from collections.abc import Sequence
from typing import NamedTuple

from schemas.errors import SettingsError, UsageError
from schemas.home import Home
from schemas.settings import check_site_id, parse_settings


class AddedSite(NamedTuple):
    """What the owner of a new site must know."""

    key: str
    secret_env: str
    secret: str


def add_site(
    home: Home, site_id: str, *, currency: str, time_zone: str, origins: Sequence[str] = ()
) -> AddedSite:
    """Appends a site to `pinsphere.toml`, which is made when it is not there.

    Raises:
      UsageError: a value breaks its contract.
      SettingsError: the site is there already, or the file cannot be read.
    """
    # First of all: `a.b` would be read as a table in a table.
    try:
        check_site_id(site_id)
    except SettingsError as error:
        raise UsageError(str(error)) from None
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
        parse_settings(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from None
    except SettingsError as error:  # the file was right before this site
        raise UsageError(str(error)) from None
    home.path.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
    return AddedSite(key, secret_env, secrets.token_hex(32))


def _quoted(text: str) -> str:
    """A TOML string; JSON's escapes are TOML's."""
    return json.dumps(text, ensure_ascii=False)
