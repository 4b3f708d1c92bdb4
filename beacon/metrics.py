"""What the beacon counts, for Prometheus."""

import asyncio
import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
FOLD_SECONDS = 0.1
_GROUPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class Tally:
    """A counter with labels, in plain numbers until it is folded into Prometheus's own.

    One count there costs 1 to 2 us. What one worker shows of another's is `FOLD_SECONDS` late.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._counts: dict[tuple[object, ...], int] = {}

    def add(self, *labels: object, count: int = 1) -> None:
        """Counts in the event loop."""
        if not self._counts:
            asyncio.get_running_loop().call_later(FOLD_SECONDS, self.fold)
        self._counts[labels] = self._counts.get(labels, 0) + count

    def fold(self) -> None:
        """Hands over what was counted since the last time."""
        for labels, count in self._counts.items():
            self._counter.labels(*labels).inc(count)
        self._counts.clear()


class Metrics:
    """Counters of one worker; `render` adds all workers up when there are several."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        # Labels are our own words and the sites of the settings, so these stay few.
        self.requests = Tally(
            Counter(
                "pinsphere_beacon_requests",
                "Requests answered",
                ("call", "site", "status"),
                registry=self._registry,
            )
        )
        self.events = Tally(
            Counter(
                "pinsphere_beacon_events",
                "Events made durable, or withheld for want of consent",
                ("site", "source", "outcome"),
                registry=self._registry,
            )
        )
        self.quarantined = Tally(
            Counter(
                "pinsphere_beacon_quarantined",
                "Events in quarantine, by the kind of rule they broke",
                ("site", "reason"),
                registry=self._registry,
            )
        )
        self.group_requests = Histogram(
            "pinsphere_beacon_commit_group_requests",
            "Requests made durable by one flush",
            buckets=_GROUPS,
            registry=self._registry,
        )
        self.commit_seconds = Histogram(
            "pinsphere_beacon_commit_seconds",
            "Seconds of one commit, flush included",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.spool_bytes = Gauge(
            "pinsphere_beacon_spool_bytes",
            "Size of all spool files when last looked at",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )

    def observe_commit(self, requests: int, seconds: float) -> None:
        """Notes one group commit."""
        self.group_requests.observe(requests)
        self.commit_seconds.observe(seconds)

    def render(self) -> bytes:
        """The text format."""
        for tally in (self.requests, self.events, self.quarantined):
            tally.fold()
        if MULTIPROCESS_VARIABLE not in os.environ:
            return generate_latest(self._registry)
        everything = CollectorRegistry()
        MultiProcessCollector(everything)  # type: ignore[no-untyped-call]
        return generate_latest(everything)
