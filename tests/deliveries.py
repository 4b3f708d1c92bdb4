"""The ways in which one raw set of events may arrive: repeated, shuffled, run by run."""

from collections.abc import Sequence
from typing import NamedTuple

import hypothesis
import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from schemas.events import AnyEvent
from tests.hazards import troubled_worlds
from tests.strategies import DAY_MS, TinyWorld


class History(NamedTuple):
    """A raw set of events with its sites, and what of it arrived run by run."""

    world: TinyWorld
    runs: list[list[AnyEvent]]

    def __repr__(self) -> str:
        """Short: a failing test prints what `histories` notes."""
        return f"<{len(self.world.events)} events in {len(self.runs)} runs>"


@st.composite
def deliveries(
    draw: DrawFn, events: Sequence[AnyEvent], *, copies: int = 3, runs: int = 4
) -> list[list[AnyEvent]]:
    """One careless delivery of all these events: shuffled, up to so many times, in some runs.

    Repeats are received later than the original, so that they count for nothing.
    """
    random = draw(st.randoms(use_true_random=False, note_method_calls=False))
    arrived: list[list[AnyEvent]] = [[] for _ in range(draw(st.integers(1, runs)))]
    for event in events:
        for copy in range(draw(st.integers(1, copies))):
            arrived[random.randrange(len(arrived))].append(_again(event, copy, random.random()))
    for run in arrived:
        random.shuffle(run)
    return [run for run in arrived if run]


def _again(event: AnyEvent, copy: int, chance: float) -> AnyEvent:
    """What a sender repeats who heard no answer; she may have lost the time when she sent it."""
    if copy == 0:
        return event
    late_ms = copy * (1 if chance < 0.25 else 2 * DAY_MS)
    received = (event.received_time_ms or event.event_time_ms) + late_ms
    sent = event.sent_time_ms
    if sent is not None:
        sent = None if chance < 0.5 else sent + late_ms
    return msgspec.structs.replace(event, received_time_ms=received, sent_time_ms=sent)


@st.composite
def histories(draw: DrawFn, *hazards: str, copies: int = 3, runs: int = 4) -> History:
    """A troubled world as it arrives: what an incremental flow gets to see, run by run."""
    world = draw(troubled_worlds(*hazards))
    arrived = draw(deliveries(world.events, copies=copies, runs=runs))
    for number, events in enumerate(arrived):
        for event in events:
            hypothesis.note(f"run {number}: {msgspec.json.encode(event).decode()}")
    return History(world, arrived)
