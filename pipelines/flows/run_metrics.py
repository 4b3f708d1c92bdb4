"""Metrics of the last run in a file, for the textfile collector of Prometheus's node_exporter."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_fd_to_metric_families
from prometheus_client.registry import Collector

from pipelines import progress
from pipelines.flows.run import RunReport
from pipelines.io.backlog import spool_backlog
from schemas.errors import BusyError, SettingsError
from schemas.home import Home


@contextlib.contextmanager
def run_metrics(home: Home, path: Path | None) -> Iterator[Callable[[RunReport], object]]:
    """Writes the metrics of the run in the block, whether it ends well or not.

    A metric that the run does not come to keeps the value that the file had, so the file of a
    failed run still tells of the last one that was published. A run that was refused because
    another is at work leaves the file to that one.

    Args:
      home: where the run takes place.
      path: the file; None writes nothing.

    Yields:
      What to call with the run's report.

    Raises:
      OSError: the run has ended well, and its metrics cannot be written.
    """
    reports: list[RunReport] = []
    began_at = time.monotonic()
    try:
        yield reports.append
    except Exception as error:
        is_refused = isinstance(error, BusyError) and not progress.tasks()
        if path is not None and not is_refused:
            with contextlib.suppress(OSError):  # the error that is under way says more
                _write(home, path, None, time.monotonic() - began_at)
        raise
    if path is not None:
        for report in reports:
            _write(home, path, report, report.seconds)


def _write(home: Home, path: Path, report: RunReport | None, seconds: float) -> None:
    registry = CollectorRegistry()
    registry.register(_Kept(path, list(_families(home, report, seconds))))
    before = os.umask(0o022)  # read by another user, and nothing in it is anybody's secret
    try:
        write_to_textfile(os.fspath(path), registry)
    finally:
        os.umask(before)


class _Kept(Collector):
    """New families, and those of the file that there is no new one of."""

    def __init__(self, path: Path, families: list[GaugeMetricFamily]) -> None:
        self._path = path
        self._families = families

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        known: dict[str, Metric] = {}
        # No file yet, or one that is not ours.
        with contextlib.suppress(OSError, ValueError), self._path.open(encoding="utf-8") as file:
            known = {each.name: each for each in text_fd_to_metric_families(file)}
        known |= {each.name: each for each in self._families}
        yield from (known[name] for name in sorted(known))


def _families(home: Home, report: RunReport | None, seconds: float) -> Iterator[GaugeMetricFamily]:
    now = time.time()
    yield _gauge("success", "1 if the last run ended well, else 0", int(report is not None))
    yield _gauge("timestamp_seconds", "When the last run ended", now)
    yield _gauge("duration_seconds", "How long the last run took", seconds)
    for kind in ("step", "stage"):
        yield _by(
            kind,
            f"{kind}_duration_seconds",
            f"How long each {kind} of the last run took",
            {
                task.name: task.elapsed_seconds
                for task in progress.tasks()
                if task.is_step == (kind == "step") and task.began_at is not None
            },
        )
    with contextlib.suppress(SettingsError):
        backlog = spool_backlog(home, home.settings())
        yield _gauge("spool_lag_rows", "Spool rows left when the run ended", backlog.rows)
        yield _gauge(
            "spool_lag_seconds",
            "Age of the oldest spool row left when the run ended; 0 without any",
            backlog.lag_seconds(now),
        )
        yield _gauge(
            "spool_unreadable_files",
            "Spool files that are damaged or locked",
            len(backlog.unreadable),
        )
    if report is None:
        return
    yield _gauge("last_success_timestamp_seconds", "When a run last ended well", now)
    yield _gauge("events", "Events in the lake", report.events)
    yield _gauge("drained_events", "Events that the last good run drained", report.drained)
    yield _gauge(
        "peak_memory_bytes",
        "Peak resident memory of the last good run",
        report.peak_memory_mb * 1024 * 1024,
    )
    if not report.is_new:
        return
    yield _gauge(
        "is_full", "1 if the published run was a full one, 0 if incremental", int(report.is_full)
    )
    yield _by("table", "rows", "Rows that the published run wrote", report.rows)
    yield _gauge(
        "quarantined_records",
        "Records in quarantine that the published run wrote",
        report.rows.get("quarantine", 0),
    )


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"pinsphere_run_{name}", help_text, value)


def _by(label: str, name: str, help_text: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"pinsphere_run_{name}", help_text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family
