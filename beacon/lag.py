"""What the forwarder counts, for Prometheus, and how far it is behind the beacons."""

import contextlib
import time
from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from beacon.quiet import QuietFiles
from schemas.errors import BusyError, LakeError
from schemas.home import Home
from schemas.spool_reader import Backlog, open_spool, read_checkpoint, spool_files


class ForwardMetrics:
    """Counters of one forwarder, and its lag."""

    def __init__(self, home: Home) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # births nobody asks for
        self.registry = CollectorRegistry()
        self.registry.register(_Lag(home))
        self.rows = Counter(
            "pinsphere_forward_rows", "Spool rows acked by Pub/Sub", registry=self.registry
        )
        self.events = Counter(
            "pinsphere_forward_events", "Events acked by Pub/Sub", registry=self.registry
        )
        self.bytes = Counter(
            "pinsphere_forward_bytes", "Bytes of messages acked by Pub/Sub", registry=self.registry
        )
        self.requests = Counter(
            "pinsphere_forward_requests",
            "Tries to publish a message: ok, or why not",
            ("outcome",),
            registry=self.registry,
        )

    def count(self, outcome: str) -> None:
        """Notes how one try ended."""
        self.requests.labels(outcome).inc()

    @contextlib.contextmanager
    def serve(self, host: str, port: int) -> Iterator[None]:
        """Answers `GET /metrics` until the block ends.

        Raises:
          BusyError: another process listens at the address.
        """
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as error:
            raise BusyError(f"cannot listen at {host}:{port}: {error.strerror}") from None
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Lag(Collector):
    """Looked up when asked for: true also while a message waits for its answer."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._quiet = QuietFiles()

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        backlogs, unreadable = backlogs_of(self._home, self._quiet)
        times = [each.oldest_time_ms for each in backlogs if each.oldest_time_ms is not None]
        age_seconds = max(0.0, time.time() - min(times) / 1000) if times else 0.0
        yield GaugeMetricFamily(
            "pinsphere_forward_lag_rows",
            "Spool rows not acked yet",
            sum(each.rows for each in backlogs),
        )
        yield GaugeMetricFamily(
            "pinsphere_forward_lag_seconds",
            "Age of the oldest spool row not acked yet; 0 without any",
            age_seconds,
        )
        yield GaugeMetricFamily(
            "pinsphere_forward_unreadable_files",
            "Spool files that are damaged or locked",
            unreadable,
        )


def backlogs_of(home: Home, quiet: QuietFiles) -> tuple[list[Backlog], int]:
    """What of each spool file is not forwarded yet, and how many files cannot be read.

    Files known to be quiet are passed over.
    """
    backlogs: list[Backlog] = []
    unreadable = 0
    paths = spool_files(home.spool)
    quiet.keep(paths)
    for path in paths:
        stamp = quiet.stamp(path)
        if quiet.is_quiet(path, stamp):
            continue
        try:
            with open_spool(path) as spool:
                done = read_checkpoint(home.forwarded / f"{path.stem}.json")
                backlogs.append(spool.backlog(done))
        except (LakeError, BusyError):
            unreadable += path.exists()  # the forwarder may have removed it just now
        else:
            if not backlogs[-1].rows:
                quiet.note(path, stamp)
    return backlogs, unreadable
