"""A shop's figures are the same, whichever way its events took."""

import shutil

import msgspec
import pytest

from beacon import forward as forward_module
from beacon import publisher as publisher_module
from beacon.spool_file import Entry
from schemas.home import Home
from schemas.spool import Reject
from tests.integration.archiving import SITES, tables
from tests.integration.forwarding import NOW_MS, Line, event, now_ms
from tests.world import simulate

EVENTS = simulate(13, days=10).events
REJECTS = [
    Reject(
        reject_id=f"r{number}",
        site_id="acme",
        received_time_ms=NOW_MS,
        origin="beacon",
        place="event 3",
        reason="channel: wrong",
        record="{}",
    )
    for number in range(3)
]


@pytest.fixture
def line(fake_pubsub, make_line, monkeypatch) -> Line:
    monkeypatch.setattr("tests.pubsub_fake.PULL_SECONDS", 0.2)
    monkeypatch.setattr(publisher_module, "LONGEST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(forward_module, "MESSAGE_BYTES", 20_000)
    line: Line = make_line()
    line.create_bare()
    line.home.settings_file.write_text(f'[pubsub]\nproject = "{line.project}"\n{SITES}')
    return line


def fill(line: Line) -> None:
    """The story of a shop in two spool files, some of it poison."""
    rows = [msgspec.json.encode(EVENTS[start : start + 7]) for start in range(0, len(EVENTS), 7)]
    rows += [b"\xff", msgspec.json.encode([event("good"), {"event_name": "nonsense"}])]
    rejects = tuple(map(msgspec.json.encode, REJECTS))
    for part in (rows[::2], rows[1::2]):
        line.open_file().commit(
            [*(Entry(now_ms(), row) for row in part), Entry(now_ms(), b"", rejects)]
        )
    line.close()


def forward_with_faults(line: Line, fake_pubsub) -> None:
    """Answers are lost, every message comes twice, and the checkpoints are gone half-way."""
    fake_pubsub.lose_answer("Publish", 5)
    line.forward()
    for checkpoint in line.home.forwarded.iterdir():
        checkpoint.unlink()
    fake_pubsub.duplicates = 1
    line.forward()


def test_by_pubsub_with_faults_or_straight_from_the_spool(line, fake_pubsub, tmp_path):
    """Copies, other cuts and another order change no figure."""
    fill(line)
    straight = Home(tmp_path / "straight")
    shutil.copytree(line.home.spool, straight.spool)
    straight.settings_file.write_text(SITES)

    forward_with_faults(line, fake_pubsub)

    assert len(fake_pubsub.published[line.topic]) > 20
    by_pubsub, expected = tables(line.home), tables(straight)
    assert sum(map(len, expected.values())) > 1000
    for name, rows in expected.items():
        assert by_pubsub[name] == rows, name
