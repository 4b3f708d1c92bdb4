"""What `pinsphere run` tells: a spinner and a table on a terminal, JSON lines elsewhere."""

import sys
import time
from typing import TYPE_CHECKING, Self

import msgspec
from rich.console import Console

from pipelines.flows.run import RunReport
from schemas.settings import Home

if TYPE_CHECKING:
    from rich.status import Status


class Reporter:
    """Tells each step of a run as it begins, and at the end what changed and where to look."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._begin = time.monotonic()
        self._status: Status | None = None

    def __enter__(self) -> Self:
        """The reporter itself."""
        if self._console.is_terminal:
            self._status = self._console.status("Starting")
            self._status.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Takes the spinner away, however the run ended."""
        if self._status is not None:
            self._status.stop()

    def step(self, name: str) -> None:
        """Tells the name of a step that begins."""
        if self._status is not None:
            self._status.update(f"{name} …")
        else:
            self._line(step=name, seconds=round(time.monotonic() - self._begin, 3))

    def finish(self, report: RunReport, home: Home) -> None:
        """Tells the outcome."""
        if self._status is None:
            self._line(
                step="Done",
                database=home.shown_database_url,
                **{**report._asdict(), "seconds": round(report.seconds, 3)},
            )
            return
        self._status.stop()
        if report.is_new:
            rows = ", ".join(f"{count} {table}" for table, count in sorted(report.rows.items()))
            self._console.print(f"Published run {report.run_id}: {rows or 'no rows yet'}")
        else:
            self._console.print(f"Nothing new: run {report.run_id} is published already")
        for site in report.unknown_sites:
            self._console.print(f"Left out: site {site}, which pinsphere.toml does not name")
        self._console.print(
            f"{report.events} events, {report.drained} of them new from the spool;"
            f" {report.seconds:.1f} s, {report.peak_memory_mb:.0f} MB at most"
        )
        self._console.print(f"Look: {home.shown_database_url} (views: docs/queries.md)")

    @staticmethod
    def _line(**fields: object) -> None:
        sys.stderr.write(f"{msgspec.json.encode(fields).decode()}\n")
