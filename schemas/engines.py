"""SQLAlchemy engines on the databases we know, and errors that hold no password."""

from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import ArgumentError

from schemas.errors import SettingsError

_DIALECTS = ("postgresql", "sqlite")


def make_engine(url: str, shown: str, **options: Any) -> Engine:
    """An engine that has not connected yet.

    Args:
      url: SQLAlchemy URL.
      shown: the same without its password, for errors.
      options: what `create_engine` takes.

    Raises:
      SettingsError: the URL is none, or of a kind we do not know.
    """
    known = f"; known: {', '.join(_DIALECTS)}"
    try:
        engine = create_engine(url, **options)
    except (ArgumentError, ValueError):
        # Their texts may hold parts of the password.
        raise SettingsError(f"DATABASE_URL {shown!r} is not a database URL{known}") from None
    except ImportError as error:
        raise SettingsError(f"DATABASE_URL {shown!r} needs what is not here: {error}") from None
    if engine.dialect.name not in _DIALECTS:
        raise SettingsError(f"DATABASE_URL {shown!r} is of an unknown kind{known}")
    if "@" in (engine.url.host or ""):
        # The driver would show it as part of the host.
        raise SettingsError(f"DATABASE_URL {shown!r}: write @ in a password as %40")
    return engine
