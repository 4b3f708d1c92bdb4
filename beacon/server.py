"""The collector as processes: workers that share one listening socket."""

import asyncio
import contextlib
import functools
import gc
import os
import shutil
import signal
import socket
import sys
import tempfile

import uvloop

from beacon.notices import fault, tell
from beacon.preflight import BACKLOG, listen, make_spool
from beacon.workers import CrashError, supervise
from schemas.home import Home
from schemas.settings import Settings, secret_warnings

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
    with listen(host, port) as listener, contextlib.ExitStack() as stack:
        make_spool(home.spool)
        for line in secret_warnings(settings):
            # Not refused: `init` names a variable before anybody has set it.
            tell(f"warning: {line}")
        address = listener.getsockname()[0]
        shown = f"[{address}]" if ":" in address else address
        count = f"{workers} worker{'s' * (workers > 1)}"
        tell(f"listening at http://{shown}:{port}, home {home.path}, {count}")
        if workers > 1:
            # Read by prometheus-client when a worker imports it: workers share their counts.
            metrics = tempfile.TemporaryDirectory(prefix=METRICS_PREFIX)
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", stack.enter_context(metrics))
        whole = Home(str(home.path.absolute()))
        work = functools.partial(_work, whole, settings, listener, os.getpid())
        try:
            supervise(workers, work, listener.close)
        except CrashError:
            sys.exit("pinsphere: workers end as soon as they begin")


def _work(home: Home, settings: Settings, listener: socket.socket, parent: int) -> None:
    """Serves, in a process of its own, until SIGTERM or its parent's end."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(home, settings, listener, parent))


async def _serve(home: Home, settings: Settings, listener: socket.socket, parent: int) -> None:
    # Here, since what prometheus-client is to do is decided above.
    from beacon.app import Beacon
    from beacon.connection import Connection
    from beacon.crowd import Crowd
    from beacon.spool import SpoolError

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: tell(f"fault: {fault(context.get('exception'))}"))
    beacon = Beacon(home, settings)
    try:
        await beacon.start()
    except SpoolError as error:
        sys.exit(str(error))
    end = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)
    crowd = Crowd(beacon, loop)
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 50, 100)
    server = await loop.create_server(lambda: Connection(crowd), sock=listener, backlog=BACKLOG)
    follower = asyncio.create_task(_follow(parent, end))
    await end.wait()
    follower.cancel()
    server.close()
    crowd.close()
    await beacon.stop()
    await crowd.wait_until_gone()


async def _follow(parent: int, end: asyncio.Event) -> None:
    """Ends this worker as SIGTERM does when its parent is gone: nobody else would end it."""
    while os.getppid() == parent:  # noqa: ASYNC110
        await asyncio.sleep(ORPHAN_SECONDS)
    metrics = os.environ.get("PROMETHEUS_MULTIPROC_DIR", "")
    if METRICS_PREFIX in metrics:  # ours, which the parent would have removed
        shutil.rmtree(metrics, ignore_errors=True)
    end.set()
