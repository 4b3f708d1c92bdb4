"""`pinsphere run --metrics-file`: what Prometheus is told of the last run, good or bad."""

import os
import re
import sqlite3
import stat
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import pinsphere
from pipelines.flows.setup import add_site
from pipelines.io.backlog import spool_backlog
from pipelines.io.drain import checkpoint_file
from schemas.home import Home
from schemas.lock import only_one
from schemas.settings import PubSub, Settings
from schemas.spool import SPOOL_DDL
from schemas.spool_reader import Checkpoint, open_spool, write_checkpoint

ORDER = (
    '{"event_name":"purchase","event_id":"%s","event_time_ms":1788000000000,"order_id":"%s",'
    '"currency":"GBP","items":[{"item_id":"mug","quantity":1,"price":"1.00"}]}\n'
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A shop with two orders, and a record in quarantine."""
    home = Home(tmp_path / "home")
    add_site(home, "acme", currency="GBP", time_zone="UTC")
    more(home, "1", "2", "")
    return home


def more(home: Home, *orders: str) -> None:
    """Brings more orders in; one without a number is a bad event."""
    file = home.path / f"{orders[0]}.jsonl"
    file.write_text("".join(ORDER % (order, order) for order in orders))
    pinsphere.main(["import", "events", str(file), "--site", "acme", "--home", str(home.path)])


def run(home: Home, *more: str) -> int:
    """The exit code of a run."""
    try:
        pinsphere.main(["run", "--shards", "1", "--home", str(home.path), *more])
    except SystemExit as end:
        return int(str(end.code))
    return 0


def samples(file: Path) -> dict[str, float]:
    """What Prometheus reads, by name and label."""
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(file.read_text())
        for sample in family.samples
    }


def without_times(found: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in found.items() if "seconds" not in name}


def test_a_run_tells_what_it_read_wrote_and_took(home: Home) -> None:
    """Dashboards and alerts begin with this file."""
    file = home.path / "run.prom"
    began_at = time.time()
    assert run(home, "--metrics-file", str(file)) == 0

    found = {name.removeprefix("pinsphere_run_"): value for name, value in samples(file).items()}
    wanted = {"success": 1, "is_full": 1, "events": 2, "rows orders": 2, "quarantined_records": 1}
    assert {name: found[name] for name in wanted} == wanted
    assert found["drained_events"] == found["spool_lag_rows"] == found["spool_lag_seconds"] == 0
    assert began_at <= found["last_success_timestamp_seconds"] <= time.time()
    assert found["duration_seconds"] >= found["step_duration_seconds Attributing"] > 0
    assert found["stage_duration_seconds DropDuplicates"] >= 0
    assert 50e6 < found["peak_memory_bytes"] < 50e9


def test_metrics_are_named_as_prometheus_wants_them(home: Home) -> None:
    """Base units, one prefix, a help text each; `_total` is for what only grows."""
    file = home.path / "run.prom"
    run(home, "--metrics-file", str(file))

    for family in text_string_to_metric_families(file.read_text()):
        assert re.fullmatch(r"pinsphere_run_[a-z_]+", family.name)
        assert family.type == "gauge"
        assert family.documentation
        assert not re.search(r"_(total|count|sum|ms|mb|minutes)$", family.name)


def test_a_failed_run_says_so_and_keeps_what_the_last_good_one_said(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alert fires on the failure, and the graphs have no hole."""
    file = home.path / "run.prom"
    run(home, "--metrics-file", str(file))
    good = samples(file)

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    more(home, "3")
    monkeypatch.setattr("pipelines.flows.run.publish", fail)
    assert run(home, "--metrics-file", str(file)) == 1

    bad = samples(file)
    last = "pinsphere_run_last_success_timestamp_seconds"
    assert bad[last] == good[last] < bad["pinsphere_run_timestamp_seconds"]
    assert without_times(bad) == without_times(good) | {"pinsphere_run_success": 0}


def test_a_first_run_that_fails_tells_of_no_success(home: Home) -> None:
    """The control of the test above; and settings that cannot be read are a failure too."""
    file = home.path / "run.prom"
    home.settings_file.write_text("[sites.acme]\n")
    assert run(home, "--metrics-file", str(file)) == 1

    found = samples(file)
    assert found["pinsphere_run_success"] == 0
    assert "pinsphere_run_last_success_timestamp_seconds" not in found


def test_a_run_without_news_is_a_success_and_keeps_the_rows(home: Home) -> None:
    file = home.path / "run.prom"
    run(home, "--metrics-file", str(file))
    first = samples(file)
    run(home, "--metrics-file", str(file))

    second = samples(file)
    last = "pinsphere_run_last_success_timestamp_seconds"
    assert second[last] > first[last]
    assert second["pinsphere_run_rows orders"] == 2


def test_a_run_that_is_refused_leaves_the_file_to_the_one_at_work(home: Home) -> None:
    """Cron each minute and a run of three: no alert."""
    file = home.path / "run.prom"
    with only_one(home.path / "run.lock", "run"):
        assert run(home, "--metrics-file", str(file)) == 1

    assert not file.exists()


def test_node_exporter_may_read_it_and_nothing_lies_beside_it(home: Home) -> None:
    """It runs as another user; and a half-written file is never under the name."""
    folder = home.path / "textfile"
    folder.mkdir()
    (folder / "run.prom").write_text("half a li")
    run(home, "--metrics-file", str(folder / "run.prom"))

    assert [each.name for each in folder.iterdir()] == ["run.prom"]
    assert stat.S_IMODE((folder / "run.prom").stat().st_mode) == 0o644


def test_a_flag_wins_over_the_variable_and_that_over_the_file(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = home.settings_file.read_text()
    home.settings_file.write_text(f'metrics_file = "settings.prom"\n{text}')
    made = []
    for flag in (None, None, "flag.prom"):
        options = () if flag is None else ("--metrics-file", os.fspath(home.path / flag))
        assert run(home, *options) == 0
        (file,) = home.path.glob("*.prom")
        made.append(file.name)
        file.unlink()
        monkeypatch.setenv("PINSPHERE_METRICS_FILE", os.fspath(home.path / "variable.prom"))

    assert made == ["settings.prom", "variable.prom", "flag.prom"]


@pytest.mark.parametrize("pubsub", [None, PubSub(project="project")])
def test_the_lag_is_what_the_reader_of_the_spool_has_left(
    home: Home, pubsub: PubSub | None
) -> None:
    """With Pub/Sub the forwarder's checkpoint counts, without it the drain's."""
    home.spool.mkdir()
    spool = home.spool / "1-1-1.spool"
    with sqlite3.connect(spool) as file:
        file.executescript(SPOOL_DDL)
        file.execute("INSERT INTO requests VALUES (NULL, 1000, '[]'), (NULL, 3000, '[]')")
    file.close()
    (home.spool / "2-1-1.spool").write_bytes(b"no database" * 1000)
    settings = Settings(pubsub=pubsub)

    before = spool_backlog(home, settings)
    with open_spool(spool) as reader:
        first = reader.read("requests", Checkpoint(), 1)
    assert first is not None
    ours = home.forwarded / "1-1-1.json" if pubsub else checkpoint_file(home, "1-1-1")
    write_checkpoint(ours, first.done)
    after = spool_backlog(home, settings)

    assert (before.rows, before.lag_seconds(11.0)) == (2, 10.0)
    assert (after.rows, after.lag_seconds(11.0)) == (1, 8.0)
    assert len(after.unreadable) == 1
    assert "2-1-1.spool cannot be read" in after.unreadable[0]
