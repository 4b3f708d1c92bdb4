"""Incremental runs: whatever comes or goes, and when, the tables are those of a full run."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pyarrow as pa
import pytest
from hypothesis import strategies as st

from pipelines.kernels import multisets
from pipelines.transforms import changes, stage
from schemas.events import AnyEvent, Identify, OrderItem, Pin, PinVisit, Purchase, SelectItem
from schemas.settings import Site
from tests.flow.histories import House, Lake, large_from
from tests.flow.test_truth import COLUMNS
from tests.flow.truth import as_truth, run_steps
from tests.oracle import truth
from tests.strategies import TinyWorld, tiny_worlds
from tests.world import simulate

SITES = {"acme": Site(key="key-of-acme", currency="GBP")}


def at(hours: int) -> dict[str, Any]:
    """An envelope of acme, sent and received at this hour of 2024."""
    when = 1_704_067_200_000 + hours * 3_600_000
    return {"site_id": "acme", "event_time_ms": when, "received_time_ms": when}


@st.composite
def histories(draw: st.DrawFn) -> tuple[TinyWorld, list[Lake]]:
    """Lakes that follow each other: files come, are joined, written anew, emptied, and vanish."""
    world = draw(tiny_worlds(max_events=30))
    runs = draw(st.integers(2, 4))
    parts: list[list[AnyEvent]] = [[] for _ in range(runs + 1)]
    for event in world.events:
        # Most once, in any order; some delivered again by a later run.
        for part in draw(st.lists(st.integers(0, runs), min_size=1, max_size=2)):
            parts[part].append(event)
    lake: dict[str, list[AnyEvent]] = {}
    lakes: list[Lake] = []
    for number in range(runs):
        lake = dict(lake)
        if parts[number]:
            lake[f"part-{number}"] = parts[number]
        names = sorted(lake)
        match draw(st.sampled_from(["add", "add", "join", "vanish", "erase", "again"])):
            case "join" if len(names) > 1:
                lake = {f"all-{number}": [event for name in names for event in lake[name]]}
            case "vanish" if names:
                del lake[draw(st.sampled_from(names))]
            case "erase" if names:
                name = draw(st.sampled_from(names))
                lake[name] = lake[name][1:]
            case "again" if names:
                lake[f"copy-{number}"] = lake[draw(st.sampled_from(names))]
        lakes.append(lake)
    everything = {"everything": [event for part in parts for event in part]}
    return world, [*lakes, everything]


@hypothesis.given(histories(), st.sampled_from([(0, 2), (3, 7), (1_000, 1)]))
@hypothesis.settings(max_examples=10)
def test_every_run_gives_the_tables_of_a_full_run(
    history: tuple[TinyWorld, list[Lake]], large: tuple[int, int]
) -> None:
    """A shop that runs each minute must read what it would read after one run of everything.

    Some cascades grow large on the way: what a run said of one in one piece, the next one takes
    back in parts.
    """
    world, lakes = history
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "parts_for", large_from(*large))
        house = House(Path(folder), world.sites, shards=(4, 1, 8, 2))
        for lake in lakes:
            found = house.run(lake)
            events = [event for part in lake.values() for event in part]
            assert found == run_steps(events, world.sites)
        assert not [*Path(folder).glob("*/tmp*")]
    # Repeats are counted as such, and nothing else: the rules know nothing of deliveries.
    assert as_truth(found, COLUMNS) == as_truth(truth(world.events, world.sites), COLUMNS)


# Ann pins, Bob lands and buys; only later it is told that Bob's device is Cleo's.
STORY: list[AnyEvent] = [
    Pin(event_id="e1", pin_id="p", visitor_id="ann", item_id="mug", **at(0)),
    PinVisit(event_id="e2", pin_id="p", visitor_id="bob", **at(1)),
    Purchase(
        event_id="e3", order_id="o", visitor_id="bob", currency="GBP", source="server",
        is_signed=True, items=[OrderItem(item_id="mug", price="10")], **at(2),
    ),
]  # fmt: skip
LOGIN = Identify(event_id="e4", visitor_id="bob", customer_id="cleo", **at(3))


def two_runs(folder: Path, change: Callable[[House], object]) -> bool:
    """Whether the tables are right after the story's login came in a second run."""
    house = House(folder, SITES)
    change(house)
    house.run({"story": STORY})
    try:
        found = house.run({"story": STORY, "login": [LOGIN]})
    except (AssertionError, ValueError):
        return False
    return found == run_steps([*STORY, LOGIN], SITES)


def test_a_login_that_comes_late_changes_what_came_before(tmp_path: Path) -> None:
    """The control of the controls below."""
    assert two_runs(tmp_path, lambda _: None)


def test_a_context_taken_for_row_wise_is_found_out(tmp_path: Path) -> None:
    """Rows of other datasets must be looked at again when what decides them changes."""

    def break_it(house: House) -> None:
        house.routes["logins"] = house.routes["logins"]._replace(is_row_wise=True)

    assert not two_runs(tmp_path, break_it)


def test_rows_that_nobody_takes_back_are_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Additions alone would give the order to Bob and to Cleo."""

    def keep_old(added: pa.Table, removed: pa.Table) -> tuple[pa.Table, pa.Table]:
        return multisets.cancel(added, removed)[0], removed.slice(0, 0)

    monkeypatch.setattr(changes, "cancel", keep_old)

    assert not two_runs(tmp_path, lambda _: None)


def test_sums_that_are_not_declared_are_found_out(tmp_path: Path) -> None:
    """One part counts many events of a day: when one of them goes, no whole part does."""
    clicks: list[AnyEvent] = [SelectItem(event_id=f"e{n}", item_id="mug", **at(0)) for n in (1, 2)]
    house, broken = (House(tmp_path / name, SITES, shards=(1,)) for name in ("house", "broken"))
    broken.routes["view_parts"] = broken.routes["view_parts"]._replace(sums=())
    for each in (house, broken):
        each.run({"clicks": clicks})

    assert house.run({"clicks": clicks[1:]}) == run_steps(clicks[1:], SITES)
    with pytest.raises(ValueError, match="not there"):
        broken.run({"clicks": clicks[1:]})


def test_a_run_touches_only_what_the_news_touches(tmp_path: Path) -> None:
    """Else one more event would cost as much as all of them."""
    world = simulate(1, visitors=30, sites=("acme",))
    house = House(tmp_path, world.sites)
    house.run({"all": world.events})
    all_rows = sum(house.touched.values())
    visit = PinVisit(event_id="new", visitor_id="stranger", pin_id=None, **at(0))

    house.run({"all": world.events, "new": [visit]})

    assert house.touched["DropDuplicates"] == house.touched["StitchVisitors"] == 1
    assert sum(house.touched.values()) < all_rows / 100


def test_a_file_written_anew_with_the_same_events_touches_nothing(tmp_path: Path) -> None:
    """Compaction joins files; what they say cancels in the first stage."""
    house = House(tmp_path, SITES)
    house.run({"one": STORY[:2], "other": STORY[2:]})

    house.run({"joined": STORY})

    assert house.touched["DropDuplicates"] == 2 * len(STORY)
    assert sum(house.touched.values()) == 2 * len(STORY)
