"""Identifiers: event ids, pin tokens."""

import re
from typing import NamedTuple

from schemas.errors import EventError

MAX_HOP = 255
_SITE_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_URL_SAFE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class Token(NamedTuple):
    """What rides in a pinned URL: the pin and the root of its cascade."""

    pin_id: str
    root_pin_id: str


def is_site_id(text: str) -> bool:
    """Whether a text can name a site, and so a folder: 1-63 characters of a-z 0-9 - _."""
    return _SITE_ID.fullmatch(text) is not None


def check_pin_id(pin_id: str) -> str:
    """Gives back a pin id of 1-64 URL-safe characters, or raises an EventError."""
    if _URL_SAFE.fullmatch(pin_id) is None:
        raise EventError(f"pin id {pin_id[:70]!r} is not 1-64 characters of A-Z a-z 0-9 - _")
    return pin_id


def parse_token(value: str) -> Token:
    """Reads ``<pin_id>[.<root_pin_id>]``; without a root the pin is its own."""
    pin_id, dot, root = value.partition(".")
    return Token(check_pin_id(pin_id), check_pin_id(root) if dot else pin_id)


def format_token(token: Token) -> str:
    """The shortest text that `parse_token` reads back."""
    if token.root_pin_id == token.pin_id:
        return token.pin_id
    return f"{token.pin_id}.{token.root_pin_id}"


def new_event_id() -> str:
    """A fresh UUIDv7: unique, and sorted by the time it was minted."""
    from uuid_utils import uuid7

    return str(uuid7())
