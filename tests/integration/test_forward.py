"""The forwarder: spool to Pub/Sub, every row at least once, and one at a time."""

import contextlib
import sqlite3
import threading
import time
import urllib.request

import msgspec
import pytest
from google.api_core import exceptions
from google.auth.exceptions import RefreshError

from beacon import forward as forward_module
from beacon import publisher as publisher_module
from beacon.forward import Forwarded
from beacon.lag import ForwardMetrics, backlogs_of
from beacon.publisher import Publisher
from beacon.quiet import QuietFiles
from beacon.spool_file import Entry
from schemas.errors import BusyError, LakeError, PubSubError, SettingsError
from schemas.lock import only_one
from schemas.pubsub import LONGEST_WAIT_SECONDS, explained
from schemas.spool import Reject
from tests.integration.forwarding import NOW_MS, event, now_ms
from tests.services import free_port

DAY_MS = 86_400_000
PAGE = 4096
REJECT = Reject(
    reject_id="r1",
    site_id="acme",
    received_time_ms=NOW_MS,
    origin="beacon",
    place="event 3",
    reason="why",
    record="{}",
)


@pytest.fixture
def line(fake_pubsub, make_line):
    """A line through the fake, with its topic."""
    line = make_line()
    line.create_bare()
    return line


def test_every_event_and_reject_arrives_once(emulator_address, monkeypatch, make_line):
    """Through the real emulator and a topic that checks the schema."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator_address)
    line = make_line()
    line.create()
    ids = line.fill(300, 3) | line.fill(5)
    line.open_file().commit([Entry(NOW_MS, b"", (msgspec.json.encode(REJECT),))])

    assert line.forward() == Forwarded(rows=306, events=905, rejects=1, messages=3)

    batches = line.pull()
    assert sorted(event.event_id for batch in batches for event in batch.events) == sorted(ids)
    assert [reject for batch in batches for reject in batch.rejects] == [REJECT]
    assert line.forward() == Forwarded()


def test_rows_that_came_since_are_sent_next(line):
    """The file of a living beacon grows; files of new beacons appear."""
    file = line.open_file()
    file.commit([Entry(NOW_MS, msgspec.json.encode([event("1")]))])
    line.forward()
    file.commit([Entry(NOW_MS, msgspec.json.encode([event("2")]))])
    line.open_file().commit([Entry(NOW_MS, msgspec.json.encode([event("3")]))])

    line.forward()

    assert sorted(line.received()) == ["1", "2", "3"]


def test_a_poison_event_spares_its_neighbours(line):
    """It travels as a reject with its reason, to be mended and replayed."""
    row = [event("1"), {"event_name": "nonsense"}, event("2")]
    file = line.open_file()
    file.commit([Entry(NOW_MS, msgspec.json.encode(row)), Entry(NOW_MS, b"\xff[{")])

    line.forward()

    (batch,) = line.pull()
    assert [each.event_id for each in batch.events] == ["1", "2"]
    assert [reject.place.partition(" ")[2] for reject in batch.rejects] == [
        "row 1 event 1",
        "row 2",
    ]


def test_a_message_is_many_whole_rows_of_bounded_size(line, fake_pubsub, monkeypatch):
    """Memory and duplicates are bounded by one message."""
    monkeypatch.setattr(forward_module, "MESSAGE_BYTES", 10_000)
    line.fill(400, 2)

    line.forward()

    messages = fake_pubsub.published[line.topic]
    assert len(messages) > 10
    assert max(len(message.data) for message in messages) < 10_000
    assert {len(batch.events) % 2 for batch in line.pull()} == {0}


def test_a_damaged_file_stops_no_other_and_gives_what_is_before_the_damage(line):
    """A bad sector must not keep a shop's other events away."""
    ids = line.fill(2000)
    line.close()
    (path,) = line.home.spool.glob("*.spool")
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // PAGE * PAGE)
        file.write(b"\xff" * PAGE)
    others = line.fill(10)

    with pytest.raises(LakeError, match=r"\.spool cannot be read"):
        line.forward()

    received = set(line.received())
    assert others <= received
    assert len(received & ids) > 100


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff", b'{"requests":{"seq":"x"}}'])
def test_without_its_checkpoint_a_file_is_sent_again(line, content):
    """A lost checkpoint costs duplicates, which the flow removes, and no event."""
    ids = line.fill(20)
    line.forward()
    (checkpoint,) = line.home.forwarded.iterdir()
    if content is None:
        checkpoint.unlink()
    else:
        checkpoint.write_bytes(content)

    line.forward()

    assert sorted(line.received()) == sorted([*ids, *ids])


def test_rows_go_only_when_acked_and_old(line, fake_pubsub, monkeypatch):
    """All but the last, which the checkpoint knows the file by."""
    monkeypatch.setattr(forward_module, "PATIENCE_SECONDS", 0)
    file = line.open_file()
    ages_ms = (8 * DAY_MS, 8 * DAY_MS, 0, 0)
    rows = [
        Entry(now_ms() - age, msgspec.json.encode([event(str(n))])) for n, age in enumerate(ages_ms)
    ]
    file.commit(rows)
    fake_pubsub.refuse("Publish", 100)
    with pytest.raises(PubSubError):
        line.forward()
    assert line.rows() == 4
    fake_pubsub._refusals.clear()

    line.forward()

    assert line.rows() == 2


def test_a_refused_message_is_tried_again_and_stored_once(line, fake_pubsub, monkeypatch):
    """UNAVAILABLE before the work: nothing happened yet."""
    monkeypatch.setattr(publisher_module, "LONGEST_WAIT_SECONDS", 0.01)
    ids = line.fill(20)
    fake_pubsub.refuse("Publish", 3)
    told: list[str] = []

    line.forward(tell=told.append)

    assert sorted(line.received()) == sorted(ids)
    assert told == [
        "Pub/Sub does not answer: 503 refused by the test; trying again",
        "Pub/Sub answers again, after 0 s",
    ]


def test_each_lost_answer_leaves_one_copy_more(line, fake_pubsub, monkeypatch):
    """UNAVAILABLE after the work: where duplicates come from; one message a fault, no more."""
    monkeypatch.setattr(publisher_module, "LONGEST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(forward_module, "MESSAGE_BYTES", 1)
    ids = line.fill(20)
    fake_pubsub.lose_answer("Publish", 3)

    line.forward()

    received = line.received()
    assert set(received) == ids
    assert len(received) == len(ids) + 3


def test_tries_are_never_more_than_two_seconds_apart(line, fake_pubsub, monkeypatch):
    """When Pub/Sub is back after an hour, so are the events. The waits are jittered."""
    waits: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout=None):
            waits.append(timeout)
            return False

    fake_pubsub.refuse("Publish", 12)
    publisher = Publisher(line.topic, stop=Stop(), tell=lambda _: None, count=lambda _: None)
    assert publisher.publish(b"rows")
    publisher.close()

    assert len(waits) == 12
    assert max(waits) <= LONGEST_WAIT_SECONDS == 2.0
    assert all(early < 0.4 for early in waits[:2])
    assert len(set(waits[6:])) > 1


def test_for_cron_an_outage_ends_in_an_error(line, fake_pubsub, monkeypatch):
    """A job that hangs for ever is worse than one that failed; nothing counts as sent."""
    monkeypatch.setattr(forward_module, "PATIENCE_SECONDS", 0.2)
    line.fill(20)
    fake_pubsub.refuse("Publish", 1000)

    with pytest.raises(PubSubError, match="Pub/Sub does not answer: 503 refused by the test"):
        line.forward()

    assert not line.home.forwarded.exists()


def test_a_missing_topic_ends_with_the_way_out(fake_pubsub, make_line):
    """Whoever forgot a step reads which."""
    line = make_line()
    line.fill(1)

    with pytest.raises(PubSubError) as caught:
        line.forward()

    assert str(caught.value) == (
        f"publishing to {line.topic}: 404 topic {line.topic};"
        f" check the name; what [pubsub] names, make it with: pinsphere pubsub create"
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            exceptions.PermissionDenied("no\n way"),
            "doing: 403 no way; grant this account the role",
        ),
        (exceptions.Unauthenticated("who"), "doing: 401 who; log in with: gcloud"),
        (exceptions.InvalidArgument("schema"), "doing: 400 schema; if this release is new"),
        (exceptions.MethodNotImplemented("x"), "doing: 501 x"),
        (RefreshError("token\n expired"), "doing: token expired"),
    ],
)
def test_what_no_repetition_mends_is_told_in_one_line(error, told):
    """And ends the process: its supervisor shows it, and starts it again."""
    with pytest.raises(PubSubError) as caught, explained("doing", "roles/any"):
        raise error

    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ServiceUnavailable("x"),
        exceptions.DeadlineExceeded("x"),
        exceptions.ResourceExhausted("x"),
        exceptions.InternalServerError("x"),
        exceptions.Aborted("x"),
    ],
)
def test_what_passes_is_tried_again(error):
    """These pass through to the publisher, which waits."""
    with pytest.raises(type(error)), explained("doing", "roles/any"):
        raise error


def test_a_second_forwarder_is_refused(line):
    """Two would send each row twice and overwrite each other's checkpoints."""
    with (
        only_one(line.home.path / forward_module.LOCK, "forwarder"),
        pytest.raises(BusyError, match="another forwarder is at work in"),
    ):
        line.forward()

    assert line.forward() == Forwarded()


def test_settings_without_pubsub_are_told(line):
    """Whoever starts the forwarder of a shop that has no Pub/Sub."""
    line.home.settings_file.write_text("")

    with pytest.raises(SettingsError, match=r"has no section \[pubsub\]"):
        line.forward()


def test_metrics_tell_what_went_and_what_waits(line, fake_pubsub):
    """An alarm on the lag must ring while Pub/Sub is down, not after."""
    line.fill(20, 2, received_ms=now_ms() - 60_000)
    metrics = ForwardMetrics(line.home)
    port = free_port()
    with metrics.serve("127.0.0.1", port):

        def read(name: str) -> float:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                lines = answer.read().decode().splitlines()
            return float(next(text for text in lines if text.startswith(f"{name} ")).split()[1])

        assert read("pinsphere_forward_lag_rows") == 20
        assert 60 <= read("pinsphere_forward_lag_seconds") < 180

        with line.running() as counted:
            while counted.registry.get_sample_value("pinsphere_forward_rows_total") != 20:
                time.sleep(0.01)

        assert read("pinsphere_forward_lag_rows") == 0
        assert read("pinsphere_forward_lag_seconds") == 0
    value = counted.registry.get_sample_value
    assert value("pinsphere_forward_events_total") == 40
    assert value("pinsphere_forward_requests_total", {"outcome": "ok"}) == 1
    (message,) = fake_pubsub.published[line.topic]
    assert value("pinsphere_forward_bytes_total") == len(message.data)


def test_a_port_in_use_is_told(line):
    """Two homes on one machine want two ports."""
    metrics, port = ForwardMetrics(line.home), free_port()
    with (
        metrics.serve("127.0.0.1", port),
        pytest.raises(BusyError, match=f"cannot listen at 127.0.0.1:{port}: Address already"),
    ):
        line.forward(metrics_port=port)


def test_the_backlog_is_counted_without_reading_it(line):
    """Deleted rows leave no hole behind the checkpoint; a damaged file is counted apart."""
    line.fill(7, received_ms=NOW_MS)
    file = line.open_file()
    file.commit([Entry(5, b"[]"), Entry(6, b"[]", (b"{}", b"{}"))])
    (line.home.spool / "damaged.spool").write_bytes(b"no database" * 1000)

    backlogs, unreadable = backlogs_of(line.home, QuietFiles())

    assert [tuple(each) for each in backlogs] == [(7, NOW_MS), (4, 5)]
    assert unreadable == 1


def test_sigterm_finishes_the_message_on_its_way(emulator, monkeypatch, make_line):
    """A deployment costs not even a duplicate."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", emulator.address)
    line = make_line()
    line.create()
    ids = line.fill(3000)
    process = line.start(message_bytes=3000)
    process.wait_for("sending", 20)

    code, said = process.terminate()

    assert code == 0
    sent = 20 + said.count("sending\n")
    assert f"messages={sent})" in said
    line.forward()
    received = line.received()
    assert sorted(received) == sorted(ids)


def test_a_spool_file_under_a_lock_waits_and_stops_no_other(line, monkeypatch):
    """Somebody's sqlite3 shell holds a file."""
    monkeypatch.setattr("schemas.spool_reader._BUSY_SECONDS", 0.05)
    line.fill(5)
    (held,) = line.home.spool.glob("*.spool")
    others = line.fill(6)
    line._files.pop(0).close()
    with contextlib.closing(sqlite3.connect(held, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        holder.execute("PRAGMA user_version=7")

        with pytest.raises(BusyError, match="is locked by another process"):
            line.forward()

    assert set(line.received()) == others
    assert line.forward().events == 5
