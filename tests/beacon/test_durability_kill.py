"""kill -9, twenty times under load: what was acknowledged is in the lake, and counts once."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipelines.io.drain import drain_spool
from pipelines.io.lake import lake_files
from pipelines.transforms.deduplicate import drop_duplicates, with_derived
from pipelines.transforms.routes import routes
from schemas.errors import BusyError
from schemas.events import EVENTS
from schemas.home import Home
from schemas.lake import lake_schema
from schemas.results import result_schema
from schemas.settings import Settings, Site
from tests.beacon.kept import in_lake, in_quarantine, lost
from tests.beacon.load import Load, single

# Minutes are for machines that do other things as well.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ROUNDS = 10
PROMISES_A_ROUND = 100
SITES = {
    "open": Site(key="open-public-key", currency="EUR"),
    "acme": Site(key="acme-public-key", currency="GBP"),
}


@contextmanager
def drained_meanwhile(home: Home) -> Iterator[None]:
    """Drains again and again until the block ends, and forgets nothing it drained."""
    is_over = threading.Event()
    failures: list[BaseException] = []

    def drain_all() -> None:
        while not is_over.is_set():
            try:
                drain_spool(home, Settings(spool_keep_days=0))
            except BusyError:
                continue  # the drain says so and comes again
            except BaseException as error:
                failures.append(error)
                raise
            time.sleep(0.05)

    thread = threading.Thread(target=drain_all)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    assert failures == []


def counted(home: Home) -> int:
    """How many events remain after the flow's own removal of duplicates."""
    tables = {name: [lake_schema(name).empty_table()] for name in EVENTS}
    for file in lake_files(home):
        tables[file.event_name].append(pq.read_table(file.path, partitioning=None))
    events = {name: with_derived(name, pa.concat_tables(parts)) for name, parts in tables.items()}
    nothing = {"quarantined": result_schema("quarantine").empty_table()}
    roads = routes()
    given = {name: roads[name].conform(table) for name, table in (events | nothing).items()}
    kept = drop_duplicates(given, SITES)
    quality = kept["quality_parts"]
    return pc.sum(quality["received"]).as_py() - pc.sum(quality["duplicates"]).as_py()


def test_twenty_kills_lose_nothing_that_was_acknowledged(start):
    """A shop's pin that got its 204 counts, once, whatever happens to the process."""
    first = start(workers=2)
    home = Home(first.spool.parent)
    load = Load(first)
    for number in range(2 * ROUNDS):
        server = first if number == 0 else start(workers=1 + number % 2)
        load.target = server
        if number % 4 < 2:
            load.wait_for(PROMISES_A_ROUND)
            server.kill()
        else:
            with drained_meanwhile(home):
                load.wait_for(PROMISES_A_ROUND)
                server.kill()
    load.stop()
    acked, bad = load.acked(), load.quarantined()
    assert lost(load, home) == set()

    drain_spool(home, Settings())

    found = in_lake(home)
    assert len(acked) > 2 * ROUNDS * PROMISES_A_ROUND
    assert acked <= set(found)
    assert counted(home) == len(found)
    assert len(bad) > ROUNDS * PROMISES_A_ROUND
    assert bad <= in_quarantine(home)


def test_kill_loses_nothing_even_when_the_disk_is_slow(start):
    """The partner of the control below: it differs from it in the order of ack and commit."""
    assert lost_by_a_kill(start(variant="slow_commit")) == set()


def test_control_an_early_ack_does_lose_events(start):
    """Shows that the tests above can fail: the same load, acknowledged before the commit."""
    assert lost_by_a_kill(start(variant="ack_before_commit"))


def lost_by_a_kill(server) -> set[str]:
    load = Load(server, senders=20, kinds=(single,))
    load.wait_for(100)
    server.kill()
    load.stop()
    return lost(load, Home(server.spool.parent))
