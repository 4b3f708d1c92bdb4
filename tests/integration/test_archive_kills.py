"""The archive under kill -9 and careless delivery: 20,000 events, none lost, the same tables."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.io.archive import archive
from tests.integration.archiving import (
    Line,
    batches,
    environment,
    ids,
    tables,
    tables_of,
    touch,
)
from tests.world import simulate

pytestmark = pytest.mark.timeout(600)  # leases take their time to run out
VARIANTS = Path(__file__).with_name("archive_variants.py")
KILLS = 5
EVENTS = [
    *simulate(11, days=10).events,  # each day has files of its own, in every chunk that is written
    *(touch(f"campaign-{number}", visitor_id=f"v{number % 500}") for number in range(18_100)),
]
random.Random(0).shuffle(EVENTS)
IDS = {event.event_id for event in EVENTS}


@pytest.fixture
def line(pubsub, tmp_path):
    line = Line(tmp_path / "home")
    yield line
    line.close()


def start(line: Line, variant: str, pause_seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, VARIANTS, line.home.path, variant, str(pause_seconds)],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )


def kill_between(line: Line, variant: str) -> None:
    """Kills an archive between its two steps, five times."""
    for _ in range(KILLS):
        with start(line, variant, pause_seconds=60) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "between\n"
            process.kill()


def finish(line: Line, variant: str) -> None:
    """Drains the rest, once the leases of killed ones have run out, until there is none."""
    time.sleep(line.ack_deadline_seconds + 2)
    last = ""
    while last != "done 0":
        with start(line, variant, pause_seconds=0) as process:
            assert process.stdout is not None
            last = process.stdout.read().splitlines()[-1]
            assert last.startswith("done ")


def test_five_kills_lose_nothing_and_leave_no_trace_in_the_tables(line, tmp_path):
    """Power fails between the write and the ack; the shop's figures are the same."""
    assert len(EVENTS) >= 20_000
    line.publish(*batches(EVENTS, 100))

    kill_between(line, "shipped")
    finish(line, "shipped")

    stored = ids(line.home)
    assert set(stored) == IDS
    assert len(stored) > len(IDS)  # what was written and not acked came again
    assert tables(line.home) == tables_of(tmp_path / "undisturbed", EVENTS)


def test_the_control_that_acks_before_it_writes_loses_events(line):
    """Shows that the test above can fail."""
    line.publish(*batches(EVENTS, 100))

    kill_between(line, "acks_first")
    finish(line, "acks_first")

    assert len(IDS - set(ids(line.home))) > 0


def test_repeats_in_random_order_leave_no_trace_in_the_tables(line, tmp_path):
    """Pub/Sub promises neither order nor "once"."""
    events = simulate(12, days=10).events
    messages = batches(events, 7)
    again = random.Random(1).choices(messages, k=len(messages))
    everything = messages + again
    random.Random(2).shuffle(everything)
    line.publish(*everything)
    for received in line.pull(limit=5):  # to somebody who does nothing with them
        line.give_back(received)

    archive(line.home, line.settings, until_idle=True)

    assert len(ids(line.home)) > len(events)
    assert tables(line.home) == tables_of(tmp_path / "undisturbed", events)
