"""The archive: what Pub/Sub was told is done lies in lake or quarantine, whatever goes wrong."""

import json
import threading

import msgspec
import pytest
from google.pubsub_v1 import Schema, SchemaServiceClient
from google.pubsub_v1.services.schema_service.transports import SchemaServiceGrpcTransport

from pinsphere import main
from pipelines.io import archive as archiving
from pipelines.io.archive import archive
from pipelines.io.drain import Drained
from pipelines.io.lake import lake_files
from pipelines.io.quarantine import read_rejects
from schemas.avro import FINGERPRINT, encode_batch
from schemas.errors import PubSubError, SettingsError
from schemas.pubsub import connect
from schemas.settings import Settings
from tests.integration.archiving import EVENTS, IDS, REJECT, Line, batches, ids, touch
from tests.schemas.avro_revisions import older, written_in


def test_every_event_reaches_the_lake_and_comes_no_more(line):
    line.publish(*batches(EVENTS, 4))

    assert line.drain().events == 30

    assert ids(line.home) == IDS
    assert line.drain() == Drained()
    assert line.waiting() == 0


def test_one_empty_answer_is_not_the_end(line, fake_pubsub, monkeypatch):
    """Pub/Sub says "nothing" now and then with a backlog; cron would call it a day."""
    line.publish(*batches(EVENTS, 4))
    answers = iter([False, True, False])
    honest = fake_pubsub.Pull

    def moody(request):
        if next(answers, True):
            return honest(request)
        return type(honest(type(request)(subscription=request.subscription, max_messages=0)))()

    monkeypatch.setattr(fake_pubsub, "Pull", moody)
    with monkeypatch.context() as patch:
        patch.setattr(archiving, "IDLE_PULLS", 1)
        line.drain()
        assert ids(line.home) == []  # the control: it believed the first one

    answers = iter([False, True, False])
    line.drain()

    assert ids(line.home) == IDS


def test_news_that_never_cease_do_not_keep_cron_at_work(line):
    """A shop at Christmas is never idle; the tables still want their turn."""
    stop = threading.Event()

    def chatter() -> None:
        while not stop.wait(0.05):
            line.publish(encode_batch(EVENTS[:1], []))

    line.publish(*batches(EVENTS, 10))
    sender = threading.Thread(target=chatter)
    sender.start()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(archiving, "GATHER_SECONDS", 0.3)
            drained = line.drain()
    finally:
        stop.set()
        sender.join()

    assert drained.events >= 30


def test_what_the_beacon_refused_reaches_quarantine(line):
    line.publish(encode_batch(EVENTS, [REJECT]))

    assert line.drain().rejects == 1
    assert list(read_rejects(line.home)) == [REJECT]


def test_poison_is_kept_whole_and_comes_no_more(line):
    """A message nobody can read must stop nothing, and may still be somebody's orders."""
    poison = b"\xff\x00" * 40_000
    line.publish(poison, *batches(EVENTS, 10))

    assert line.drain().rejects == 1

    assert ids(line.home) == IDS
    (reject,) = read_rejects(line.home)
    assert "80000 bytes that are no batch of events" in reject.reason
    (body,) = (line.home.quarantine / "messages").iterdir()
    assert reject.place.endswith(f"whole in messages/{body.name}")
    assert body.read_bytes() == poison
    assert line.waiting() == 0


def test_a_batch_of_another_release_is_told_and_kept_whole(line):
    """Its events are there when the release that reads it is."""
    other = encode_batch(EVENTS, []).replace(FINGERPRINT.encode(), b"0123456789abcdef")
    line.publish(other)

    line.drain()

    (reject,) = read_rejects(line.home)
    assert "a batch in the schema 0123456789abcdef" in reject.reason
    (body,) = (line.home.quarantine / "messages").iterdir()
    assert body.read_bytes() == other


def test_a_batch_of_the_release_before_is_read_by_its_schema(pubsub, tmp_path):
    """An upgrade meets a backlog: Pub/Sub still knows the schema it was written in."""
    line = Line(tmp_path / "home")
    before = older("network_hash")
    service = connect(SchemaServiceClient, SchemaServiceGrpcTransport)
    project = f"projects/{line.project}"
    schema = Schema(type_=Schema.Type.AVRO, definition=json.dumps(before))
    service.create_schema(parent=project, schema=schema, schema_id="pinsphere-events")
    line.publish(written_in(before, *EVENTS))

    assert line.drain() == Drained(events=30, rejects=0, files=1)
    line.close()
    service.transport.close()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"site_id": "../../etc"}, "site_id '../../etc' is no site id"),
        ({"channel": "a\0b"}, "U+0000"),
    ],
)
def test_a_bad_event_in_a_batch_spares_its_neighbours(line, fields, reason):
    bad = touch("bad")
    for name, value in fields.items():
        setattr(bad, name, value)
    line.publish(encode_batch([*EVENTS, bad], []))

    assert line.drain() == Drained(events=30, rejects=1, files=1)

    assert ids(line.home) == IDS
    (reject,) = read_rejects(line.home)
    assert reason in reject.reason


def test_a_reject_of_no_sane_time_finds_its_folder(line):
    """Others may publish too; a year 300,000 must not stop the archive for ever."""
    insane = msgspec.structs.replace(REJECT, received_time_ms=10**17)
    line.publish(encode_batch([], [insane]))

    assert line.drain().rejects == 1


def test_a_poisoned_message_that_comes_again_is_counted_once(line, fake_pubsub):
    fake_pubsub.duplicates = 1
    line.publish(b"poison")

    line.drain()

    assert len({reject.reject_id for reject in read_rejects(line.home)}) == 1


def test_a_subscription_that_is_not_there_is_named_with_the_way_out(line):
    with pytest.raises(PubSubError, match=r"subscriptions/nowhere: .*pinsphere pubsub create"):
        line.drain(subscription="nowhere")


def test_settings_without_a_subscription_are_told():
    with pytest.raises(
        SettingsError, match=r"names no subscription: it needs a section \[pubsub\]"
    ):
        archive(None, Settings(), until_idle=True)  # type: ignore[arg-type]


def test_a_file_s_name_says_which_messages_it_holds(line, fake_pubsub):
    """A redelivery in other company must never overwrite other rows."""
    line.publish(*batches(EVENTS[:20], 10))
    line.drain()
    before = {file.path: file.path.read_bytes() for file in lake_files(line.home)}

    line.publish(*batches(EVENTS[10:], 10))
    line.drain()

    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(ids(line.home)) == 40


def test_dead_letters_are_drained_by_name(line):
    """What was never acked, for whatever reason, is archived once the reason is gone."""
    line.subscribe("pinsphere-dead-letter", "pinsphere-dead-letter")
    line.publish(*batches(EVENTS, 4), topic="pinsphere-dead-letter")

    assert line.drain().events == 0
    assert line.drain(subscription="pinsphere-dead-letter").events == 30


def test_the_command_says_what_it_did_and_what_is_missing(line, capsys):
    """In cron's mail, in one line."""
    line.publish(*batches(EVENTS, 30), b"poison")

    main(["archive", "--until-idle", "--home", str(line.home.path)])

    first, second = capsys.readouterr().out.splitlines()
    assert first == "30 events in 1 files, 1 quarantined"
    assert str(line.home.quarantine) in second
    with pytest.raises(SystemExit) as ended:
        main(["archive", "--until-idle", "--subscription=none", "--home", str(line.home.path)])
    assert ended.value.code == 1
    assert "make it with: pinsphere pubsub create" in capsys.readouterr().err
