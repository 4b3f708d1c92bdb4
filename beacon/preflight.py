"""What must be right before the beacon's workers start; else one line says what is wrong."""

import errno
import os
import socket
from pathlib import Path

from schemas.errors import BusyError, SettingsError, UsageError

BACKLOG = 4096


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at a host's address, for all workers.

    Raises:
      UsageError: the name is empty, or not one.
      SettingsError: nobody knows the name.
      BusyError: another process listens there, or we may not.
    """
    if not host:
        raise UsageError("--host is empty; 0.0.0.0 listens on all of IPv4, :: on IPv6 too")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError:
        raise UsageError(f"--host {host!r} is no name of a host") from None
    except OSError as error:
        raise SettingsError(f"--host {host!r}: {error.strerror}") from None
    # What says `localhost` means 127.0.0.1 nearly everywhere.
    family, _, _, _, place = min(found, key=lambda each: each[0] != socket.AF_INET)
    is_six = family == socket.AF_INET6
    try:
        return socket.create_server(
            (str(place[0]), port), family=family, backlog=BACKLOG, dualstack_ipv6=is_six
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise BusyError(f"cannot listen at {host}:{port}: {reason}") from None


def make_spool(folder: Path) -> None:
    """Makes the spool's folder if need be. A full disk is no error: the beacon waits for room.

    Raises:
      SettingsError: it cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = None if os.access(folder, os.W_OK | os.X_OK) else "no permission to write"
    except OSError as error:
        reason = None if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
    if reason is not None:
        raise SettingsError(f"spool {folder} cannot be written: {reason}")
