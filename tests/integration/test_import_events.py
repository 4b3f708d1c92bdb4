"""Importing event objects, one a line, with their own ids and times."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from pipelines.io import import_events as module
from pipelines.io.import_events import ImportedEvents, import_events
from pipelines.io.lake import lake_files
from pipelines.io.quarantine import read_rejects, write_rejects
from schemas.errors import SettingsError
from schemas.home import Home
from tests.lake_digests import lake_digest

NOW = 1_790_000_000_000


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.settings_file.write_text(
        '[sites.acme]\nkey = "acme-key"\ncurrency = "GBP"\n', encoding="utf-8"
    )
    return home


def touch(number: int, **fields) -> dict[str, Any]:
    return {
        "event_name": "touch",
        "event_id": f"e{number}",
        "event_time_ms": NOW - 1000 + number,
        "channel": "email",
    } | fields


def give(home: Home, *lines: object) -> ImportedEvents:
    path = home.path / "events.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts), encoding="utf-8")
    return import_events(home, [path], site="acme", now_ms=NOW)


def rows(home: Home) -> list[dict[str, Any]]:
    found = [
        row
        for file in lake_files(home)
        for row in pq.read_table(file.path, partitioning=None).to_pylist()
    ]
    return sorted(found, key=lambda row: row["event_id"])


def test_the_receivers_words_are_ours_and_the_rest_the_senders(home):
    imported = give(
        home,
        touch(1, site_id="other", source="server", is_signed=False, network_hash="theirs"),
        touch(2, sent_time_ms=NOW - 500),
        touch(3, sent_time_ms=NOW - 500, received_time_ms=NOW - 400, source="carrier pigeon"),
    )

    assert imported == ImportedEvents(read=3, events=3, quarantined=0)
    first, second, third = rows(home)
    assert {row["site_id"] for row in (first, second, third)} == {"acme"}
    assert all(row["is_signed"] for row in (first, second, third))
    assert first["network_hash"] is None
    assert [row["source"] for row in (first, second, third)] == ["server", "file", "file"]
    assert first["received_time_ms"] == NOW
    assert second["received_time_ms"] == second["sent_time_ms"] == NOW - 500
    assert third["received_time_ms"] == NOW - 400


BAD_LINES = [
    ("nonsense", "JSON is malformed"),
    ("[]", "Expected `object`"),
    ('{"event_name": "touch"}', "missing required field"),
    (json.dumps(touch(9, event_name="telepathy")), "Invalid value 'telepathy'"),
    (json.dumps(touch(9, schema_version=7)), "schema_version 7 is unknown"),
    (json.dumps(touch(9, channel="\0")), "U+0000"),
    (json.dumps(touch(9, event_time_ms=1)), "Expected `int` >= 946684800000"),
    (json.dumps(touch(9, event_time_ms=NOW + 86_400_001)), "more than a day ahead of now"),
    (json.dumps(touch(9, sent_time_ms=NOW - 2 * 86_400_000, received_time_ms=NOW)), "a day ahead"),
    (json.dumps(touch(9, customer_id="e:1")), "starts with 'v:' or 'e:'"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_LINES)
def test_a_bad_line_is_quarantined_and_spares_its_neighbours(home, bad, reason):
    assert give(home, touch(1), "", bad, touch(2)) == ImportedEvents(3, 2, 1)

    assert [row["event_id"] for row in rows(home)] == ["e1", "e2"]
    (reject,) = read_rejects(home)
    assert reason in reject.reason
    assert (reject.place, reject.origin) == ("events.jsonl line 3", "import-events")
    assert reject.record == bad


def test_importing_again_changes_nothing_however_it_is_cut(home, monkeypatch):
    lines = [touch(number) for number in range(50)] + ["bad", "worse"]
    give(home, *lines)
    whole = rows(home)
    before = lake_digest(lake_files(home))

    assert give(home, *lines) == ImportedEvents(52, 50, 2)
    assert lake_digest(lake_files(home)) == before
    assert len(list(read_rejects(home))) == 2

    monkeypatch.setattr(module, "CHUNK_LINES", 7)
    assert give(home, *lines) == ImportedEvents(52, 50, 2)
    assert rows(home) == whole
    monkeypatch.undo()
    give(home, *lines)
    assert lake_digest(lake_files(home)) == before


def test_other_kinds_of_file_are_refused(home):
    with pytest.raises(SettingsError, match=r"unknown kind of file; known: \.jsonl, \.ndjson"):
        import_events(home, [home.path / "events.csv"], site="acme")
    with pytest.raises(SettingsError, match="unknown site 'nobody'"):
        import_events(home, [], site="nobody")


WHO = {"visitor_id": "her-visitor", "session_id": "her-session", "customer_id": "her-number"}


def test_who_denied_consent_is_not_named_by_an_import_either(home):
    """The same events by another door; an erase must still say whom to forget."""
    pages = {"page_location": "https://shop.example/a?mail=her-mail#her", "page_referrer": 7}
    denied = {"consent": "denied", **WHO}
    imported = give(
        home,
        touch(1, **denied, page_location=pages["page_location"]),
        touch(2, **denied, event_name="pin_visit", match_method="epik", click_id="her-click"),
        touch(3, **denied, event_name="pin", pin_id="p", pinterest_guid="her-guid"),
        touch(4, **denied, event_name="identify"),
        touch(5, **denied, event_name="erase", request_id="q"),
        touch(6, **denied, **pages, event_name="dance", email="her-mail"),
        json.dumps(touch(7, **denied))[:-1],
        touch(8, **WHO, channel="access \\u denied"),
    )

    assert imported == ImportedEvents(read=8, events=5, quarantined=2, withheld=1)
    first, second, third, erase, consenting = rows(home)
    assert "her-" not in json.dumps([first, second, third])
    assert first["page_location"] == "https://shop.example/a"
    assert erase["customer_id"] == consenting["customer_id"] == "her-number"
    rejects = list(read_rejects(home))
    assert len(rejects) == 2
    assert "her-" not in "".join(reject.record + reject.reason for reject in rejects)


def test_a_file_name_that_is_no_text_is_told_in_escapes(home):
    """A file of an old Windows disk, named in Latin-1."""
    path = home.path / os.fsdecode(b"caf\xe9.jsonl")
    path.write_text("bad")

    import_events(home, [path], site="acme", now_ms=NOW)

    (reject,) = read_rejects(home)
    assert reject.place == "caf\\xe9.jsonl line 1"


def test_quarantine_mended_by_hand_is_read(home):
    """Blank lines are nothing, and no reason fills the database."""
    give(home, "bad")
    (path,) = home.quarantine.rglob("*.jsonl")
    reject = json.loads(path.read_text())
    path.write_text(f"\n  \n{json.dumps(reject | {'reason': 'r' * 9000})}\n\n")

    (read,) = read_rejects(home)
    assert read.reason == "r" * 500

    path.unlink()
    write_rejects(home, [msgspec.structs.replace(read, reason="w" * 9000)], "long")
    assert path.with_name("long.jsonl").stat().st_size < 1000
