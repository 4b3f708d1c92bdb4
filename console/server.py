"""`pinsphere console`: the console as a process of its own."""

import errno
import ipaddress
import os
import re
import socket
import sys

import uvicorn

from console.app import build_app
from console.guard import Door
from schemas.errors import BusyError, SettingsError, UsageError
from schemas.home import Home

TOKEN_VARIABLE = "PINSPHERE_CONSOLE_TOKEN"
SHORTEST_TOKEN = 16
_TOKEN = re.compile(r"[!-~]*", re.ASCII)


def serve(
    home: Home, *, host: str, port: int, is_behind_proxy: bool, hosts: tuple[str, ...]
) -> None:
    """Serves the console until SIGTERM or SIGINT.

    Raises:
      UsageError: others could reach it, and nothing says who they are.
      SettingsError: the token is too short or cannot be sent, or the host is none.
      BusyError: another process listens at the address.
    """
    door = make_door(host, is_behind_proxy=is_behind_proxy, hosts=hosts)
    app = build_app(home, door)
    with _listen(host, port) as listener:
        address, bound = listener.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        print(f"pinsphere: console at http://{shown}:{bound}/, home {home.path}", file=sys.stderr)  # noqa: T201
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=10,
        )
        uvicorn.Server(config).run(sockets=[listener])


def make_door(host: str, *, is_behind_proxy: bool, hosts: tuple[str, ...]) -> Door:
    """Decides who may come in, before anything listens.

    Raises:
      UsageError: others could reach it, and nothing says who they are.
      SettingsError: the token is too short to keep anybody out, or no header could hold it.
    """
    token = os.environ.get(TOKEN_VARIABLE, "")
    if token and len(token) < SHORTEST_TOKEN:
        raise SettingsError(
            f"{TOKEN_VARIABLE} has less than {SHORTEST_TOKEN} characters: whoever guesses it reads"
            " everything; take a long random one"
        )
    if not _TOKEN.fullmatch(token):
        raise SettingsError(
            f"{TOKEN_VARIABLE} holds a blank or something beyond ASCII, which Authorization: Bearer"
            " cannot bring; take letters and digits"
        )
    if not (_is_loopback(host) or token or is_behind_proxy):
        raise UsageError(
            f"--host {host} lets others in, and nothing says who they are: set {TOKEN_VARIABLE} to"
            f" a long random text, or put a proxy that signs people in before it and say"
            " --auth proxy"
        )
    return Door(token, is_behind_proxy, frozenset(name.lower() for name in hosts))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (socket.gaierror, UnicodeError) as error:
        raise SettingsError(f"--host {host!r} is no address: {error}") from None
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise SettingsError(f"cannot listen at {host} port {port}: {error.strerror}") from None
        raise BusyError(
            f"another process listens at {host} port {port}; take another --port"
        ) from None
