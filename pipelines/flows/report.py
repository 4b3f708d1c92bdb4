"""What `pinsphere run` tells: bars and a summary on a terminal, JSON lines elsewhere."""

import sys
from typing import TYPE_CHECKING, Self

import msgspec
from rich.console import Console

from pipelines import progress
from pipelines.flows.bars import live_bars
from pipelines.flows.run import RunReport
from schemas.home import Home

if TYPE_CHECKING:
    from rich.live import Live


class Reporter:
    """Tells the steps of a run and the stages of its flow, at the end what changed.

    A terminal shows how far each is; elsewhere a JSON line tells that one has begun, another that
    it is done, with its seconds and rows.

    Of a round of `--every` only news are told: a minute's "nothing new" is no news.
    """

    def __init__(self, *, is_round: bool = False) -> None:
        self._is_round = is_round
        self._console = Console(stderr=True)
        self._bars: Live | None = None
        if self._console.is_terminal:
            self._bars = live_bars(self._console, is_transient=is_round)
        self._has_failed = False

    def __enter__(self) -> Self:
        """The reporter itself."""
        if self._bars is None and not self._is_round:
            progress.restart(self._tell_task)
        else:
            progress.restart()
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        """Lets the bars stand as they are, however the run ended; tells the step that failed."""
        if self._bars is not None:
            self._bars.stop()
        self._has_failed = kind is not None
        progress.end()
        progress.restart()

    def step(self, name: str) -> None:
        """Tells the name of a step that begins."""
        progress.begin(name)

    def finish(self, report: RunReport, home: Home) -> None:
        """Tells the outcome."""
        progress.end()
        if self._bars is not None:
            self._bars.stop()
        if self._is_round and not report.is_new:
            return
        if self._bars is None:
            self._line(
                step="Done",
                database=home.shown_database_url,
                **{**report._asdict(), "seconds": round(report.seconds, 3)},
            )
            return
        if report.is_new:
            how = "in full" if report.is_full else f"from {report.events_read} new events"
            self._console.print(
                f"Published run {report.run_id} {how}: {_told(report.rows) or 'no rows'}"
            )
            if report.rows_taken_back:
                self._console.print(f"Taken back: {_told(report.rows_taken_back)}")
        else:
            self._console.print(f"Nothing new: run {report.run_id} is published already")
        for kind, days in sorted(report.expired.items()):
            self._console.print(f"Removed as [retention] says: {days} days of {kind}")
        if report.erasures_waiting:
            self._console.print(
                f"{report.erasures_waiting} erasures wait: pinsphere erase --requested"
            )
        for site in report.unknown_sites:
            self._console.print(f"Left out: site {site}, which pinsphere.toml does not name")
        self._console.print(
            f"{report.events} events, {report.drained} of them newly drained;"
            f" {report.seconds:.1f} s, {report.peak_memory_mb:.0f} MB at most"
        )
        self._console.print(f"Look: {home.shown_database_url} (views: docs/queries.md)")

    def _tell_task(self, task: progress.Task) -> None:
        kind = "step" if task.is_step else "stage"
        if task.seconds is None:
            self._line(**{kind: task.name, "state": "begun"})
            return
        state = "failed" if self._has_failed else "done"
        rows = {"rows": task.rows} if task.rows else {}
        self._line(**{kind: task.name, "state": state, "seconds": round(task.seconds, 3)}, **rows)

    @staticmethod
    def _line(**fields: object) -> None:
        sys.stderr.write(f"{msgspec.json.encode(fields).decode()}\n")


def _told(rows: dict[str, int]) -> str:
    return ", ".join(f"{count} {table}" for table, count in sorted(rows.items()))
