"""Equal tables for equal raw events, whatever way they arrive: one test for each hazard."""

import hypothesis
import pytest
from hypothesis import Phase
from msgspec.structs import replace

from tests.deliveries import History, histories
from tests.flow.arriving import at_once, check_arrivals, without_repeats
from tests.flow.truth import run_beam
from tests.hazards import HAZARDS
from tests.oracle_orders import happened


@pytest.mark.parametrize("hazard", HAZARDS)
def test_the_rules_hold_when(hazard: str) -> None:
    """Each hazard alone: a failure names what a merchandiser's revenue would be wrong by."""
    check_arrivals(hazard)


def test_the_rules_hold_when_everything_happens_at_once() -> None:
    """Hazards meet: a cancelled order in another currency, told by file a year later."""
    check_arrivals(examples=25)


@hypothesis.given(histories(copies=1, runs=1))
@hypothesis.settings(max_examples=15)
def test_shuffled_events_give_equal_tables(history: History) -> None:
    """All tables to the last row, quality and quarantine as well."""
    world = history.world

    assert at_once(history.runs, world.sites) == at_once([world.events], world.sites)


@hypothesis.given(histories())
@hypothesis.settings(max_examples=15)
def test_events_told_three_times_give_equal_tables(history: History) -> None:
    """A sender that hears no answer sends again, and every service in between may do so too."""
    world = history.world

    thrice = without_repeats(at_once(history.runs, world.sites))

    assert thrice == without_repeats(at_once([world.events], world.sites))


# Without shrinking: a run on Beam takes a second, and the steps alone would fail as well.
@hypothesis.given(histories())
@hypothesis.settings(max_examples=3, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_events_split_over_runs_and_files_give_equal_tables(history: History) -> None:
    """The lake has a file for each run, day and kind: none of that may show."""
    world = history.world

    split = without_repeats(run_beam(history.runs, world.sites, shards=2))

    assert split == without_repeats(at_once([world.events], world.sites))


@hypothesis.given(histories("clocks are wrong"))
@hypothesis.settings(max_examples=15)
def test_right_clocks_would_have_given_the_same_tables(history: History) -> None:
    """A telephone that is nine days wrong loses its owner no credit."""
    world = history.world
    right = [
        replace(event, event_time_ms=happened(event), sent_time_ms=None) for event in world.events
    ]

    assert at_once([world.events], world.sites) == at_once([right], world.sites)
