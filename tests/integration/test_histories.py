"""Histories of whole runs: tables and ledger of any are those of one full run."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from schemas.events import AnyEvent
from tests.integration.test_incremental_runs import fill, go, make_home, tables
from tests.integration.test_ledger import rows
from tests.world import arrivals, simulate


def history(seed: int, parts: int) -> list[list[AnyEvent]]:
    """A shop of several months as it comes in: by time, or repeated and in disorder."""
    events = simulate(seed, visitors=3, days=70, sites=("acme",)).events
    if seed % 2:
        return arrivals(events, seed, copies=parts)
    events = sorted(events, key=lambda event: event.received_time_ms or event.event_time_ms)
    cuts = [len(events) - 25 * left for left in range(parts - 1, 0, -1)]  # quiet nights
    return [events[low:high] for low, high in zip([0, *cuts], [*cuts, len(events)], strict=True)]


def publish(folder: Path, parts: Sequence[Sequence[AnyEvent]], *, is_full: bool) -> list[object]:
    """The published tables and the ledger after these parts: a run after each, or one on all."""
    home = make_home(folder)
    for number, part in enumerate(parts):
        fill(home, part, f"part-{number}")
        if not is_full:
            go(home)
    go(home, is_full=is_full)
    return [tables(home), rows(home)]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_history_of_runs_ends_where_one_run_ends(tmp_path: Path, seed: int) -> None:
    """A shop that runs each night must not drift from one that begins anew."""
    parts = history(seed, 3)

    assert publish(tmp_path / "nightly", parts, is_full=False) == publish(
        tmp_path / "once", parts, is_full=True
    )
