"""The collector as a process: granian around the app."""

import contextlib
import functools
import os
import socket
import sys
import tempfile
from typing import TYPE_CHECKING

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from schemas.errors import BusyError
from schemas.settings import Home

if TYPE_CHECKING:
    from beacon.app import Beacon

# Idle keep-alive connections count as open ones; beyond `BACKPRESSURE` granian refuses.
BACKLOG = 4096
BACKPRESSURE = 16_384
# Also how long a connection may idle between two requests.
HEADER_MILLISECONDS = 10_000
KILL_SECONDS = 40
# With Python's 5 ms default the committer thread and the event loop starve each other.
SWITCH_SECONDS = 200e-6


def serve(home: Home, *, host: str, port: int, workers: int = 1) -> None:
    """Runs the beacon until SIGTERM or SIGINT; open requests are answered before it ends.

    Raises:
      SettingsError: `pinsphere.toml` is missing or wrong.
      BusyError: another process listens at the address.
    """
    home.settings()
    _check_free(host, port)
    server = Granian(
        "beacon.app:Beacon",
        address=host,
        port=port,
        workers=workers,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=BACKPRESSURE,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_MILLISECONDS),
        respawn_failed_workers=True,
        workers_kill_timeout=KILL_SECONDS,
        log_level=LogLevels.warning,
        log_access=False,  # addresses of visitors do not belong in logs
    )
    load = functools.partial(_load, str(home.path.absolute()))
    with contextlib.ExitStack() as stack:
        if workers > 1:
            # Read by prometheus-client when a worker imports it: workers share their counts.
            metrics = tempfile.TemporaryDirectory(prefix="pinsphere-metrics-")
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", stack.enter_context(metrics))
        server.serve(target_loader=load, wrap_loader=False)


def _load(home: str) -> "Beacon":
    """Makes the app, in the worker process."""
    from beacon.app import Beacon

    sys.setswitchinterval(SWITCH_SECONDS)
    return Beacon(Home(home))


def _check_free(host: str, port: int) -> None:
    # Granian shares its port with whoever listens there already, so a second beacon would
    # take half of the first one's requests without a word.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BusyError(f"cannot listen at {host}:{port}: {error.strerror}") from None
