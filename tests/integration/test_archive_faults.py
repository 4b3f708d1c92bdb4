"""The archive under faults: full disks, outages, lost answers, slow writes, long backlogs."""

import errno
import resource
import threading
import time

import pytest

from pipelines.io import archive as archiving
from pipelines.io import drain as drains
from pipelines.io import subscription as pulling
from pipelines.io.archive import archive
from pipelines.io.lake import lake_files
from pipelines.io.quarantine import read_rejects
from schemas.avro import encode_batch
from schemas.errors import PubSubError
from tests.integration.archiving import EVENTS, IDS, REJECT, Line, batches, ids, touch
from tests.waiting import wait_until

FULL = OSError(errno.ENOSPC, "No space left on device")


class Broken:
    """Stands in for a function: fails so many times, and works from then on."""

    def __init__(self, function, times: int, error: BaseException = FULL) -> None:
        self._function = function
        self._error = error
        self.left = times

    def __call__(self, *arguments):
        if self.left:
            self.left -= 1
            raise self._error
        return self._function(*arguments)


@pytest.mark.parametrize("step", ["write_events", "write_rejects"])
def test_on_a_full_disk_nothing_is_acked_and_all_comes_again(line, monkeypatch, step):
    """Cron's mail tells what is wrong; the next turn takes up where this one failed."""
    line.publish(encode_batch(EVENTS, [REJECT]))
    monkeypatch.setattr(archiving, step, Broken(getattr(archiving, step), 1))
    monkeypatch.setattr(pulling, "LONGEST_LEASE_SECONDS", 1)

    with pytest.raises(OSError, match="No space left on device"):
        line.drain()

    time.sleep(1.1)  # until the lease has run out
    assert line.drain().events == 30
    assert set(ids(line.home)) == set(IDS)
    assert len(list(read_rejects(line.home))) == 1


def test_a_write_that_the_system_refuses_is_an_error_too(line):
    """The real thing: files beyond a size limit fail in the middle of Parquet's bytes."""
    line.publish(*batches(EVENTS, 4))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            line.drain()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert lake_files(line.home) == []
    assert line.drain().events == 30


def test_a_disk_without_room_is_found_before_anything_is_pulled(line, monkeypatch):
    """Each pull without an ack is a delivery: after a hundred rounds all would be dead letters."""
    line.publish(*batches(EVENTS, 4))
    monkeypatch.setattr(archiving, "_reserve", Broken(archiving._reserve, 5))
    pull, pulled = pulling.Subscription.pull, []

    def counted(self, limit):
        pulled.append(limit)
        return pull(self, limit)

    monkeypatch.setattr(pulling.Subscription, "pull", counted)
    for _ in range(5):
        with pytest.raises(OSError, match="No space left on device"):
            line.drain()

    assert pulled == []
    assert line.drain().events == 30
    assert list(line.home.lake.glob(".probe*")) == []


def test_the_probe_is_as_large_as_a_chunk(line, monkeypatch):
    """A small one fits where the lake's files do not."""
    line.publish(*batches(EVENTS, 4))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (archiving.CHUNK_BYTES - 1, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            line.drain()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert len(line.pull()) == 8


def test_a_failure_of_ours_gives_no_message_back(line, monkeypatch):
    """Given back it would come, and fail, with the next round of each minute."""
    line.publish(*batches(EVENTS, 4))
    monkeypatch.setattr(archiving, "write_events", Broken(drains.write_events, 1))

    with pytest.raises(OSError, match="No space left on device"):
        line.drain()

    assert line.pull() == []


def test_a_service_waits_for_room_on_the_disk_and_goes_on(line, monkeypatch):
    """Space is made while it waits: no restart, no message delivered a second time."""
    line.publish(*batches(EVENTS, 4))
    monkeypatch.setattr(archiving, "write_events", Broken(drains.write_events, 2))
    monkeypatch.setattr(archiving, "_FIRST_PAUSE_SECONDS", 0.05)
    stop = threading.Event()
    told: list[str] = []
    service = threading.Thread(
        target=archive, args=(line.home, line.settings), kwargs={"stop": stop, "tell": told.append}
    )
    service.start()
    wait_until(lambda: lake_files(line.home), "nothing was written")
    stop.set()
    service.join(20)

    assert ids(line.home) == IDS
    assert "nothing is acked: [Errno 28] No space left on device; trying again" in told[0]
    assert told[1].startswith("going on")
    assert line.waiting() == 0


def test_a_service_that_is_told_to_stop_writes_and_acks_what_it_holds(line, monkeypatch):
    """Each deployment would else leave repeats behind."""
    line.publish(*batches(EVENTS, 4))
    stop, pull = threading.Event(), pulling.Subscription.pull

    def last_pull(self, limit):
        stop.set()
        time.sleep(0.5)  # longer than it takes the archive to see it
        return pull(self, limit)

    monkeypatch.setattr(pulling.Subscription, "pull", last_pull)
    archive(line.home, line.settings, stop=stop)

    assert ids(line.home) == IDS
    assert line.waiting() == 0


@pytest.mark.parametrize("method", ["Pull", "Acknowledge", "ModifyAckDeadline"])
def test_calls_that_fail_for_a_moment_cost_nothing(line, fake_pubsub, method):
    line.publish(*batches(EVENTS, 4))
    fake_pubsub.refuse(method, 2)

    line.drain()

    assert ids(line.home) == IDS


def test_answers_that_get_lost_cost_no_event(line, fake_pubsub, monkeypatch):
    """What a lost answer brought is leased to nobody, and comes when the lease has run out."""
    line.ack_deadline_seconds = 1
    line.subscribe("other", "other")
    line.publish(*batches(EVENTS, 4), topic="other")
    fake_pubsub.lose_answer("Pull", 2)
    fake_pubsub.lose_answer("Acknowledge", 1)
    monkeypatch.setattr("tests.pubsub_fake.PULL_SECONDS", 2.0)

    line.drain(subscription="other")

    assert set(ids(line.home)) == set(IDS)


def test_an_outage_is_told_and_ends_cron_s_patience(line, fake_pubsub, monkeypatch):
    monkeypatch.setattr(archiving, "PATIENCE_SECONDS", 1.0)
    fake_pubsub.refuse("Pull", 1000)
    told: list[str] = []

    with pytest.raises(PubSubError, match=r"Pub/Sub does not answer: .*refused by the test"):
        line.drain(tell=told.append)

    assert len(told) == 1


def test_messages_held_for_long_stay_ours(line, monkeypatch):
    """A slow disk must not make Pub/Sub deliver the chunk to the next consumer meanwhile."""
    line.ack_deadline_seconds = 1
    line.subscribe("other", "other")
    line.publish(*batches(EVENTS, 4), topic="other")
    monkeypatch.setattr(pulling, "RENEW_SECONDS", 0.2)
    write, seen = drains.write_events, []

    def slow(*arguments):
        time.sleep(2)
        seen.append(line.pull(name="other"))
        return write(*arguments)

    monkeypatch.setattr(archiving, "write_events", slow)
    line.drain(subscription="other")

    assert seen == [[]]
    assert ids(line.home) == IDS


def test_the_control_without_renewal_would_be_noticed(line, monkeypatch):
    """Shows that the test above can fail."""
    monkeypatch.setattr(pulling.Subscription, "_renew", lambda self, done: done.wait())
    with pytest.raises(AssertionError):
        test_messages_held_for_long_stay_ours(line, monkeypatch)


def test_memory_is_bounded_by_a_chunk_and_one_pull(line, monkeypatch):
    """A backlog of a week must not need a week's memory."""
    many = [touch(f"e{number}") for number in range(1000)]
    messages = batches(many, 10)
    line.publish(*messages)
    monkeypatch.setattr(archiving, "CHUNK_EVENTS", 100)
    monkeypatch.setattr(archiving, "PULL_MESSAGES", 7)
    held, write = [], archiving.write_chunk

    def watched(home, chunk):
        held.append(len(chunk.events))
        return write(home, chunk)

    monkeypatch.setattr(archiving, "write_chunk", watched)
    line.drain()

    assert sum(held) == 1000
    assert max(held) < 100 + 7 * 10


def test_big_messages_end_a_chunk_as_well(line, monkeypatch):
    messages = batches([touch(f"e{number}") for number in range(400)], 10)
    line.publish(*messages)
    monkeypatch.setattr(archiving, "CHUNK_BYTES", 2 * len(messages[0]))
    monkeypatch.setattr(archiving, "PULL_MESSAGES", 1)

    assert line.drain().files >= 20


def test_a_pubsub_that_hangs_is_not_an_empty_one(emulator, tmp_path, monkeypatch):
    """Behind a firewall that drops packets the shop would look quiet for ever."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
    monkeypatch.setattr(archiving, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(pulling, "PULL_SECONDS", 0.5)
    monkeypatch.setattr(pulling, "_CALL_SECONDS", 0.5)
    line = Line(tmp_path / "home")
    line.publish(*batches(EVENTS, 4))

    with (
        emulator.frozen(),
        pytest.raises(PubSubError, match=r"does not answer: .*pinsphere-archive"),
    ):
        line.drain()

    monkeypatch.undo()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
    line.drain()
    assert ids(line.home) == IDS
    line.close()
