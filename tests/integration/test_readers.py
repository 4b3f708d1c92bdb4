"""Readers and publishers at once: nobody sees half a run, and only one publishes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from pipelines.io.audit import audit, told
from pipelines.io.database import (
    open_database,
)
from pipelines.io.runs import only_publisher, shown_run
from schemas.errors import BusyError
from schemas.home import Home
from schemas.lock import only_one
from tests.integration.publishing import SETTINGS, attribute, fill, happened, shown

# A publisher that dawdles at a point, in the middle of its transaction or just after, and dies.
PUBLISHER = """
import os, signal, sys, time
from pipelines.flows.run import run
from pipelines.io import publish
from schemas.home import Home
_, home, point, fate = sys.argv
honest = getattr(publish, point)
def dawdle(*args, **kwargs):
    done = honest(*args, **kwargs)
    print("there", flush=True)
    time.sleep(0.4)
    if fate == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return done
setattr(publish, point, dawdle)
run(Home(home), code_version="test", shards=2)
"""


def test_readers_never_see_half_a_run_though_publishers_are_killed(home: Home) -> None:
    """A page that loads while an incremental run is published, or dies, adds up all the same."""
    events = happened(7)
    fill(home, events[:-60], "start")
    attribute(home)
    fill(home, events[-60:], "more")
    engine = open_database(home)
    first, seen = shown(engine), set()
    for point, fate in (("audit", "dies"), ("show_run", "dies"), ("show_run", "lives")):
        command = [sys.executable, "-W", "ignore", "-c", PUBLISHER, str(home.path), point, fate]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        assert process.stdout.readline() == "there\n"
        reads = 0
        while process.poll() is None:
            # One transaction: a reader's queries see one state.
            with engine.connect() as connection:
                now = shown_run(connection)
                assert now is not None
                assert told(audit(connection, now)) == []
                assert connection.scalar(text("SELECT COUNT(*) FROM current_orders"))
            seen.add(now.run_number)
            reads += 1
        process.stdout.close()
        assert reads > 3
        if fate == "dies":
            assert process.returncode == -signal.SIGKILL
            assert shown(engine) == first
    last = shown(engine)
    assert not attribute(home).is_new  # the last publisher was left alive and finished
    assert shown(engine) == last
    assert last.base_run == first.run_number  # it continued the first one
    assert seen <= {first.run_number, last.run_number}
    engine.dispose()


def test_the_reader_would_notice_a_publisher_that_works_in_place(home: Home) -> None:
    """The control of the test above: delete, commit, insert, commit is seen half done."""
    fill(home, happened(8))
    attribute(home)
    engine = open_database(home)
    with engine.begin() as publisher:
        publisher.execute(text("DELETE FROM order_credits"))

    with engine.connect() as connection:
        broken = told(audit(connection, shown(engine)))

    engine.dispose()
    assert any("credits + unattributed = net" in promise for promise in broken)


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    """Two cron jobs that overlap must not mix their rows."""
    (tmp_path / "pinsphere.toml").write_text(SETTINGS)
    with (
        only_one(tmp_path / "run.lock", "run"),
        pytest.raises(BusyError, match="another run is at work"),
    ):
        attribute(Home(tmp_path))


def test_two_homes_on_one_database_are_kept_apart(
    empty_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second machine with the same cron job is told who is at work, and changes nothing."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pinsphere.toml").write_text(SETTINGS)
    engine = open_database(empty_home)
    is_postgres = engine.dialect.name == "postgresql"
    monkeypatch.setenv("DATABASE_URL", empty_home.database_url)
    holder = (
        r"user pinsphere from this machine since [-0-9]+ [:0-9]+ \w+, server process [0-9]+$"
        if is_postgres
        else f"another run is at work in {empty_home.path}"
    )
    with only_publisher(engine), pytest.raises(BusyError, match=holder):
        attribute(Home(tmp_path / "other"))
    assert inspect(engine).has_table("runs")
    with engine.connect() as connection:
        assert shown_run(connection) is None

    assert attribute(Home(tmp_path / "other")).is_new  # the control: nobody is at work now
    engine.dispose()
