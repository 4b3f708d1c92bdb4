"""Importing event objects, one a line, with their own ids and times."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.io import import_events as module
from pipelines.io.import_events import ImportedEvents, import_events
from pipelines.io.lake import lake_digest, lake_files
from pipelines.io.quarantine import read_rejects
from schemas.errors import SettingsError
from schemas.settings import Home

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
        touch(1, site_id="other", source="server", is_signed=False),
        touch(2, sent_time_ms=NOW - 500),
        touch(3, sent_time_ms=NOW - 500, received_time_ms=NOW - 400, source="carrier pigeon"),
    )

    assert imported == ImportedEvents(read=3, events=3, quarantined=0)
    first, second, third = rows(home)
    assert {row["site_id"] for row in (first, second, third)} == {"acme"}
    assert all(row["is_signed"] for row in (first, second, third))
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
