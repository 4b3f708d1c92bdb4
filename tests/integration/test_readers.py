"""Readers and publishers at once: nobody sees half a run, and only one publishes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from pipelines.io.audit import audit, told
from pipelines.io.database import (
    open_database,
)
from pipelines.io.runs import shown_run
from schemas.errors import BusyError
from schemas.lock import only_one
from schemas.settings import Home
from tests.integration.publishing import SETTINGS, attribute, fill, happened, shown


def test_readers_never_see_half_a_run_though_publishers_are_killed(home: Home) -> None:
    """A page that loads while a run is published, or dies, adds up all the same."""
    events = happened(7)
    fill(home, events[:200], "start")
    attribute(home)
    command = (
        "import sys; from pathlib import Path; from schemas.settings import Home;"
        "from pipelines.flows.run import run;"
        "run(Home(sys.argv[1]), code_version=sys.argv[2], shards=1)"
    )
    engine = open_database(home)
    reads = 0
    for attempt in range(4):
        fill(home, events[200 + attempt : 201 + attempt], f"more-{attempt}")
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", command, str(home.path), "test"],
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        begin = time.monotonic()
        while process.poll() is None:
            # One transaction: a reader's queries see one state.
            with engine.connect() as connection:
                now = shown_run(connection)
                assert now is not None
                assert told(audit(connection, now)) == []
                assert connection.scalar(text("SELECT COUNT(*) FROM current_orders"))
            reads += 1
            if attempt < 3 and time.monotonic() - begin > 1.2 + attempt * 0.4:
                process.send_signal(signal.SIGKILL)
        process.wait()
    last = shown(engine)
    assert not attribute(home).is_new  # the last publisher was left alive and finished
    assert shown(engine) == last
    assert reads > 20
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
