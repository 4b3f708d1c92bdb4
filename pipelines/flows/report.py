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
    """Tells the steps of a run, and at the end what changed and where to look.

    A terminal shows the step at work; a JSON line tells a step that has ended, and its seconds.

    Of a round of `--every` only news are told: a minute's "nothing new" is no news.
    """

    def __init__(self, *, is_round: bool = False) -> None:
        self._is_round = is_round
        self._console = Console(stderr=True)
        self._step = ""
        self._began_at = time.monotonic()
        self._status: Status | None = None

    def __enter__(self) -> Self:
        """The reporter itself."""
        if self._console.is_terminal:
            self._status = self._console.status("Starting")
            self._status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        """Takes the spinner away, however the run ended; tells the step that failed."""
        if self._status is not None:
            self._status.stop()
        elif kind is not None:
            self._end_step(has_failed=True)

    def step(self, name: str) -> None:
        """Tells the name of a step that begins."""
        if self._status is not None:
            self._status.update(f"{name} …")
        else:
            self._end_step()
            self._step, self._began_at = name, time.monotonic()

    def finish(self, report: RunReport, home: Home) -> None:
        """Tells the outcome."""
        if self._status is None:
            self._end_step()
        if self._is_round and not report.is_new:
            return
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
            f"{report.events} events, {report.drained} of them newly drained;"
            f" {report.seconds:.1f} s, {report.peak_memory_mb:.0f} MB at most"
        )
        self._console.print(f"Look: {home.shown_database_url} (views: docs/queries.md)")

    def _end_step(self, **more: bool) -> None:
        if self._step and not self._is_round:
            seconds = round(time.monotonic() - self._began_at, 3)
            self._line(step=self._step, seconds=seconds, **more)
        self._step = ""

    @staticmethod
    def _line(**fields: object) -> None:
        sys.stderr.write(f"{msgspec.json.encode(fields).decode()}\n")
