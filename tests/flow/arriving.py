"""What must hold for a flow however events arrive, as a property that can be seen to fail."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import hypothesis

from schemas.events import AnyEvent
from schemas.settings import Site
from tests.deliveries import History, histories
from tests.flow.truth import ORACLE_TABLES, Rows, as_truth, run_steps
from tests.oracle import truth

Runs = Sequence[Sequence[AnyEvent]]
Flow = Callable[[Runs, Mapping[str, Site]], Rows]


def at_once(runs: Runs, sites: Mapping[str, Site]) -> Rows:
    """The steps over everything that arrived."""
    return run_steps([event for run in runs for event in run], sites)


def check_arrivals(*hazards: str, flow: Flow = at_once, examples: int = 12, **more: Any) -> None:
    """Tries careless deliveries of worlds with these hazards, or with a mix of all without any.

    Args:
      hazards: names out of `HAZARDS`.
      flow: what is tried.
      examples: how many worlds, each of some sites.
      more: further settings of hypothesis.

    Raises:
      AssertionError: the flow breaks a rule of docs/attribution.md.
    """

    @hypothesis.given(histories(*hazards))
    @hypothesis.settings(max_examples=examples, **more)
    def check(history: History) -> None:
        wanted = truth(history.world.events, history.world.sites)
        columns = {name: list(rows[0]) if rows else [] for name, rows in wanted.items()}
        found = as_truth(flow(history.runs, history.world.sites), columns)
        rules = as_truth(wanted, columns)
        for table in ORACLE_TABLES:
            assert found[table] == rules[table], table

    check()


def without_repeats(rows: Rows) -> Rows:
    """The tables without the counts of repeats, which alone may tell two deliveries apart."""
    counts = ("received", "duplicates", "bots", "late", "matched_by_token", "quarantined")
    quality = [
        {**row, "received": row["received"] - row["duplicates"], "duplicates": 0}
        for row in rows["data_quality_daily"]
    ]
    # A repeat that lost its time may stand under a day of its own.
    return rows | {
        "data_quality_daily": [row for row in quality if any(row[name] for name in counts)]
    }
