"""A run's tasks as bars on a terminal."""

from collections.abc import Iterable

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from pipelines import progress

_BAR_WIDTH = 24
_A_SECOND = 8


def live_bars(console: Console, *, is_transient: bool = False) -> Live:
    """Bars of all tasks, drawn anew some times a second until they are stopped.

    What they leave on the screen is the state at the end, or nothing if they are transient.
    """
    return Live(
        console=console,
        get_renderable=lambda: draw_bars(progress.tasks()),
        refresh_per_second=_A_SECOND,
        transient=is_transient,
    )


def draw_bars(tasks: Iterable[progress.Task]) -> Table:
    """A line for each step, and for each stage within it: bar, units, rows, seconds."""
    table = Table.grid(padding=(0, 2))
    table.add_column("task")
    table.add_column("bar")
    for number in ("units", "rows", "seconds"):
        table.add_column(number, justify="right", no_wrap=True)
    for task in tasks:
        has_ended = task.seconds is not None
        total = task.done if has_ended else task.total
        table.add_row(
            task.name if task.is_step else f"  {task.name}",
            # Not every shard has rows: what has ended is whole, whatever was expected.
            ProgressBar(
                total=(1 if has_ended else total) or None,
                completed=1 if has_ended else task.done,
                width=_BAR_WIDTH,
            ),
            f"{task.done}/{total}" if total else "",
            f"{task.rows:,} rows" if task.rows != task.done else "",
            "" if task.began_at is None else f"{task.elapsed_seconds:.1f} s",
        )
    return table
