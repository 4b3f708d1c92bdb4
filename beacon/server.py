"""The collector as a process: granian around the app."""

import contextlib
import functools
import gc
import logging
import os
import shutil
import signal
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import MPServer

from beacon.notices import tell
from beacon.preflight import find_address, make_spool
from schemas.settings import Home, Settings, secret_warnings

if TYPE_CHECKING:
    from beacon.app import Beacon

# Idle keep-alive connections count as open ones; beyond `BACKPRESSURE` granian refuses.
BACKLOG = 4096
BACKPRESSURE = 16_384
# Also how long a connection may idle between two requests.
HEADER_MILLISECONDS = 10_000
# An address and its headers together; whoever sends more gets 431. Its reader rounds up to what
# one read brings, at most twice as much. 100 headers are the HTTP library's own limit.
HEADER_BYTES = 32 * 1024
KILL_SECONDS = 40
ORPHAN_SECONDS = 0.5
METRICS_PREFIX = "pinsphere-metrics-"
# Requests under way are a few hundred objects, and hardly one of them part of a cycle: looking
# for cycles every 700 new ones took a tenth of the CPU.
GARBAGE_OBJECTS = 10_000


def serve(home: Home, *, host: str, port: int, workers: int = 1) -> None:
    """Runs the beacon until SIGTERM or SIGINT; open requests are answered before it ends.

    Raises:
      SettingsError: `pinsphere.toml` is missing or wrong, the host is none, or the spool
        cannot be written.
      BusyError: another process listens at the address.
    """
    settings = home.settings()
    address = find_address(host, port)
    make_spool(home.spool)
    for line in secret_warnings(settings):
        # Not refused: `init` names a variable before anybody has set it.
        tell(f"warning: {line}")
    server = _Server(
        "beacon.app:Beacon",
        address=address,
        port=port,
        workers=workers,
        interface=Interfaces.RSGI,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        backlog=BACKLOG,
        backpressure=BACKPRESSURE,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_MILLISECONDS, max_buffer_size=HEADER_BYTES
        ),
        respawn_failed_workers=True,
        workers_kill_timeout=KILL_SECONDS,
        log_level=LogLevels.warning,
        log_access=False,  # addresses of visitors do not belong in logs
    )
    load = functools.partial(_load, str(home.path.absolute()), settings, os.getpid())

    def begin() -> None:
        # Granian would replace all workers, for nothing: settings are read once.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        shown = f"[{address}]" if ":" in address else address
        count = f"{workers} worker{'s' * (workers > 1)}"
        tell(f"listening at http://{shown}:{port}, home {home.path}, {count}")

    def end() -> None:
        # All is safe and the workers have ended; a second signal must not make it a failure.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    server.on_startup(begin)
    server.on_shutdown(end)
    with contextlib.ExitStack() as stack:
        if workers > 1:
            # Read by prometheus-client when a worker imports it: workers share their counts.
            metrics = tempfile.TemporaryDirectory(prefix=METRICS_PREFIX)
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", stack.enter_context(metrics))
        server.serve(target_loader=load, wrap_loader=False)


class _Server(MPServer):
    """Granian, without its report that it kills a worker which has just ended by itself."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._asked_at = float("-inf")
        logging.getLogger("_granian").addFilter(self._is_news)

    def signal_handler_interrupt(self, *arguments: Any, **options: Any) -> None:
        """Notes when the end was asked for."""
        self._asked_at = time.monotonic()
        super().signal_handler_interrupt(*arguments, **options)  # type: ignore[no-untyped-call]

    def _is_news(self, record: logging.LogRecord) -> bool:
        # Granian asks whether a worker lives while another thread of it is reaping that worker.
        is_early = time.monotonic() - self._asked_at < KILL_SECONDS
        return not (is_early and record.getMessage().startswith("Killing worker-"))


def _load(home: str, settings: Settings, parent: int) -> "Beacon":
    """Makes the app, in the worker process."""
    # Until granian listens to signals here, one would go unheard, and the stop wait for long.
    # Nothing is served yet: the worker may just end.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from beacon.app import Beacon

    threading.Thread(target=_follow, args=(parent,), name="follow-parent", daemon=True).start()
    beacon = Beacon(Home(home), settings)
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 50, 100)
    return beacon


def _follow(parent: int) -> None:
    """Ends this worker as SIGTERM does when its parent is gone: nobody else would end it."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_SECONDS)
    metrics = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if METRICS_PREFIX in metrics:  # ours, which the parent would have removed
        shutil.rmtree(metrics, ignore_errors=True)
    os.kill(os.getpid(), signal.SIGTERM)
