"""What the views say of relationships is what counting pinners month by month gives."""

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Connection, insert, text

from pipelines.io.database import open_database
from schemas.home import Home
from schemas.quality_tables import DataQualityDaily
from schemas.settings import Site
from schemas.stages import STAGES
from schemas.tables import OPEN_RUN, CurrentRun, StageTransition
from tests.integration.publishing import SETTINGS, attribute, fill
from tests.made_tables import make_tables
from tests.oracle import truth
from tests.oracle_stages import STRANGER, Act, Month, last_day, revenue_after, tell
from tests.world import simulate

RULES = """
[sites.acme.stages]
look_back_months = 3
burst_days = 3

[sites.acme.stages.casual_acquaintance]
active_months = 2

[sites.acme.stages.teammate]
active_months = 3
reciprocity = 0
"""
Row = dict[str, Any]
Groups = dict[Any, list["Standing"]]


class Standing(NamedTuple):
    """One pinner in one month."""

    month: str
    before: str
    stage: str
    last_day: str
    credited: int
    own: int

    @property
    def revenue(self) -> int:
        """Both kinds."""
        return self.credited + self.own


def stand(events: Sequence[Any], site: Site, newest_month: str) -> list[list[Standing]]:
    """Every pinner's months up to the newest, one by one."""
    histories: dict[str, list[Act]] = defaultdict(list)
    for row in truth(events, {"acme": site})["acts"]:
        histories[row["person_id"]].append(Act.of(row))
    pinners = []
    for acts in histories.values():
        stages = {month: stage for month, stage, _ in tell(acts, site)} if _pins(acts) else {}
        before, month, standings = "new", min(stages, default=Month(9999, 1)), []
        while str(month) <= newest_month:
            stage = stages.get(month, STRANGER)
            revenue = revenue_after(month, acts, site)
            standings.append(Standing(str(month), before, stage, last_day(month, site), *revenue))
            before, month = stage, month.plus(1)
        pinners.append(standings)
    return pinners


def _pins(acts: Sequence[Act]) -> bool:
    return any(act.act == "pin" for act in acts)


def grouped(standings: Sequence[Standing], *names: str) -> Groups:
    """Standings by some of their fields."""
    groups: Groups = defaultdict(list)
    for each in standings:
        groups[tuple(getattr(each, name) for name in names)].append(each)
    return groups


def asked(connection: Connection, view: str, *names: str) -> list[tuple[Any, ...]]:
    """Columns of a view, in one order."""
    answer = connection.execute(text(f"SELECT {', '.join(names)} FROM {view}"))
    return sorted((tuple(map(_plain, row)) for row in answer), key=str)


def _plain(value: Any) -> Any:
    """PostgreSQL's sums are decimals, SQLite's truths are numbers."""
    return value if isinstance(value, str) or value is None else float(value)


def plain(rows: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Rows as `asked` gives them, but for the last digits of floats."""
    ordered = sorted((tuple(map(_plain, row)) for row in rows), key=str)
    return [
        tuple(value if isinstance(value, str) else pytest.approx(value) for value in row)
        for row in ordered
    ]


def error_of(group: Sequence[Standing]) -> float:
    """The standard error of a group's revenue, in micros."""
    return 10_000 * math.sqrt(sum((abs(each.revenue) // 10_000) ** 2 for each in group))


def test_views_tell_what_counting_pinners_tells(home: Home) -> None:
    """Strangers of long ago are in no row of their own, and must be counted all the same."""
    home.settings_file.write_text(SETTINGS + RULES)
    events = simulate(9, visitors=20, days=240, sites=("acme",)).events
    fill(home, events)
    attribute(home)
    engine = open_database(home)
    with engine.connect() as connection:
        ((newest_day, newest_month),) = asked(connection, "as_of", "newest_day", "newest_month")
        pinners = stand(events, home.settings().sites["acme"], newest_month)
        every = [each for standings in pinners for each in standings]
        newest = grouped([standings[-1] for standings in pinners if standings], "stage")
        stages = asked(connection, "pinner_stage", "stage", "1")
        assert stages == plain([(stage, 1) for (stage,), group in newest.items() for _ in group])
        assert asked(
            connection, "stage_moves", "month", "from_stage", "to_stage", "people", "probability",
            "people_with_revenue", "credited_next_90_micros", "own_next_90_micros",
            "standard_error_micros", "is_over", "is_final",
        ) == plain(moves(every, newest_month, newest_day))  # fmt: skip
        assert asked(
            connection, "stage_values", "month", "stage", "people", "value_per_pinner"
        ) == plain(
            [
                (month, stage, len(group), sum(each.revenue for each in group) / 1e6 / len(group))
                for (month, stage), group in grouped(every, "month", "stage").items()
            ]
        )
        final = [each for each in every if each.last_day < newest_day]
        assert asked(
            connection, "move_values", "from_stage", "to_stage", "is_up", "months", "movers",
            "difference",
        ) == plain(differences(final))  # fmt: skip
    assert {each.stage for each in every} == set(STAGES)
    assert any(each.before == each.stage == STRANGER for each in every)
    engine.dispose()


def moves(every: Sequence[Standing], newest_month: str, newest_day: str) -> list[tuple[Any, ...]]:
    """Rows of `stage_moves`."""
    before = grouped(every, "month", "before")
    return [
        (
            month, was, became, len(group), len(group) / len(before[month, was]),
            sum(bool(each.credited or each.own) for each in group),
            sum(each.credited for each in group), sum(each.own for each in group),
            error_of(group), month < newest_month, group[0].last_day < newest_day,
        )
        for (month, was, became), group in grouped(every, "month", "before", "stage").items()
    ]  # fmt: skip


def differences(final: Sequence[Standing]) -> list[tuple[Any, ...]]:
    """Rows of `move_values`: who moved against who stayed, the months weighted by movers."""
    groups = grouped(final, "month", "before", "stage")
    found: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for (month, was, became), movers in groups.items():
        stayers = groups.get((month, was, was))
        if was != became and stayers:
            means = [sum(each.revenue for each in some) / len(some) for some in (movers, stayers)]
            found[was, became].append((len(movers), (means[0] - means[1]) / 1e6))
    return [
        (
            was, became, STAGES.index(became) > STAGES.index(was), len(months),
            sum(weight for weight, _ in months),
            sum(weight * each for weight, each in months) / sum(weight for weight, _ in months),
        )
        for (was, became), months in found.items()
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("payers", "low", "high"), [(100, 2.347, 7.653), (31, 0.787, 9.213), (29, None, None)]
)
def test_a_move_has_its_interval_by_hand(
    tmp_path: Path, payers: int, low: float | None, high: float | None
) -> None:
    """100 moved up, 400 stayed and brought 5 each; the movers' 1,000 come from a few, or from all.

    With 100 of them the errors are 10 x 10 of 1,000 and 10 x sqrt(200) of 2,000 units: 1 and 0.354
    of a mover's and a stayer's mean.
    """
    (tmp_path / "pinsphere.toml").write_text(SETTINGS)
    make_tables(Home(tmp_path))
    engine = open_database(Home(tmp_path))
    shown: Row = {"base_run": 1, "site_id": "acme", "since_run": 1, "until_run": OPEN_RUN}
    nothing = dict.fromkeys(
        ("received", "duplicates", "bots", "late", "matched_by_token", "quarantined"), 0
    )
    units = 1_000 / payers
    rows = [
        ("fleeting acquaintance", 100, payers, 1_000, units * math.sqrt(payers)),
        ("fling", 400, 200, 2_000, 10 * math.sqrt(200)),
    ]
    with engine.begin() as connection:
        connection.execute(
            insert(CurrentRun),
            {"pointer": 1, "run_id": "run", "run_number": 1, "base_run": 1},
        )
        day = {"day": "2025-07-01", "event_name": "pin", **nothing, "received": 1}
        connection.execute(insert(DataQualityDaily), shown | day)
        for stage, people, paying, revenue, error in rows:
            connection.execute(
                insert(StageTransition),
                shown
                | {
                    "month": "2025-01", "from_stage": "fling", "to_stage": stage,
                    "last_day": "2025-05-01", "people": people, "settled": 0,
                    "people_with_revenue": paying, "credited_next_90_micros": revenue * 10**6,
                    "own_next_90_micros": 0, "standard_error_micros": error * 1e6,
                },
            )  # fmt: skip
        found = asked(
            connection, "move_values", "value_moved", "value_stayed", "difference_low",
            "difference_high",
        )  # fmt: skip
    engine.dispose()

    assert found == [(10, 5, pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))]
