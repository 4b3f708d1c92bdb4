"""`pinsphere doctor` on beacon, database, runs and Pub/Sub, and the command itself."""

import contextlib
import http.server
import json
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from sqlalchemy import text

from pipelines.flows.check_services import (
    check_beacon,
    check_database,
    check_last_run,
    check_pubsub,
)
from pipelines.flows.doctor import examine
from pipelines.flows.findings import Finding
from pipelines.io.database import open_database, upgrade_database
from schemas.home import Home
from schemas.settings import PubSub, Settings
from tests import services
from tests.doctored import SECRET, call, make_home, states, the_one
from tests.pubsub_fake import FakePubSub
from tests.terminal import on_a_terminal

CHECKS = [
    *("packages", "home", "settings", "disk", "clock", "secrets", "spool", "lake", "state"),
    *("quarantine", "database", "readers", "run", "sums", "leftovers"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_home(tmp_path_factory.mktemp("model") / "home")


@pytest.fixture
def home(model: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A healthy home of its own; nobody else's leftovers are seen."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv(*SECRET)
    shutil.copytree(model.path, tmp_path / "home")
    return Home(tmp_path / "home")


def change(home: Home, *statements: str) -> None:
    """Changes the database by hand."""
    engine = open_database(home)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def database_finding(home: Home, check: str) -> Finding:
    return next(each for each in check_database(home, time.time()) if each.check == check)


def test_a_healthy_home_is_found_well(home: Home) -> None:
    """The control of all tests here: what nobody broke is not told as broken."""
    assert states(examine(home)) == [(check, "ok") for check in CHECKS]


def test_settings_that_cannot_be_read_do_not_end_the_visit(home: Home) -> None:
    """One mistake a visit would take as many visits as there are mistakes."""
    home.settings_file.write_text("[sites.acme]\n")
    found = list(examine(home))

    assert ("settings", "broken") in states(found)
    assert ("sums", "ok") in states(found)


def test_a_check_that_fails_itself_is_broken(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    assert ("disk", "broken") in states(examine(home))


def test_a_database_that_is_not_there_yet_is_no_failure(home: Home) -> None:
    """The first minute after `init`."""
    Path(home.path / "pinsphere.db").unlink()

    found = the_one(check_database(home, time.time()))
    assert (found.state, found.way_out) == ("warning", "pinsphere run")


def test_a_database_that_does_not_answer_is_broken(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = services.free_port()
    monkeypatch.setenv("DATABASE_URL", f"postgresql://reader:topsecret@127.0.0.1:{port}/x")

    found = the_one(check_database(home, time.time()))
    assert found.state == "broken"
    assert "topsecret" not in found.says


def test_a_database_of_a_newer_release_is_broken(home: Home) -> None:
    """An old beacon machine must not write into it."""
    change(home, "UPDATE alembic_version SET version_num = '9999'")

    assert database_finding(home, "database").state == "broken"


def test_a_database_of_an_older_release_is_to_be_upgraded(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "alembic.script.ScriptDirectory.get_current_head", lambda _: "a newer revision"
    )

    assert database_finding(home, "database").way_out == "pinsphere db upgrade"


def test_a_database_file_that_others_may_read_is_found(home: Home) -> None:
    (home.path / "pinsphere.db").chmod(0o644)

    assert database_finding(home, "readers").state == "warning"


@pytest.mark.integration
def test_a_server_that_shows_the_tables_to_every_role_is_found(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One GRANT TO PUBLIC, and each account of the server reads who bought what."""
    if services.find_postgres() is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with services.run_postgres() as url:
        monkeypatch.setenv("DATABASE_URL", url)
        engine = open_database(home)
        upgrade_database(engine)
        engine.dispose()
        change(home, "CREATE ROLE analyst LOGIN", "GRANT SELECT ON revenue_by_pinner TO analyst")
        before = database_finding(home, "readers")
        change(home, "GRANT SELECT ON runs TO PUBLIC")
        after = database_finding(home, "readers")

        assert (before.state, before.says) == ("ok", "besides superusers: analyst")
        assert after.state == "warning"
        assert database_finding(home, "run").says == "none is published yet"


@pytest.mark.parametrize(
    ("hours", "state"), [(1, "ok"), (30, "warning"), (-2, "broken")], ids=["new", "old", "future"]
)
def test_a_run_that_is_late_or_from_the_future_is_found(home: Home, hours: int, state: str) -> None:
    """Cron died a week ago, and every report since shows last week."""
    published_at = round((time.time() - hours * 3600) * 1000)
    change(home, f"UPDATE runs SET published_at = {published_at}")

    assert database_finding(home, "run").state == state


def test_sums_that_do_not_hold_are_broken(home: Home) -> None:
    """Somebody mended a number by hand."""
    change(home, "UPDATE orders SET net_micros = net_micros + 1")

    found = database_finding(home, "sums")
    assert found.state == "broken"
    assert "an order is the sum of its lines" in found.says


@pytest.mark.parametrize(
    ("content", "state"),
    [
        ("pinsphere_run_success 1\n", "ok"),
        ("pinsphere_run_success 0\n", "broken"),
        ("half a li\n", "warning"),
        (None, "warning"),
    ],
)
def test_a_last_run_that_failed_is_found(tmp_path: Path, content: str | None, state: str) -> None:
    """The tables are yesterday's, and look as good as today's."""
    file = tmp_path / "run.prom"
    if content is not None:
        file.write_text(content)

    assert the_one(check_last_run(file)).state == state


@contextlib.contextmanager
def web(answer: Callable[[str], int], clock_seconds: float = 0.0) -> Iterator[str]:
    """A server with these answers and this clock."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer(self.path))
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            del timestamp
            return formatdate(time.time() + clock_seconds, usegmt=True)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("answers", "clock_seconds", "state"),
    [
        ({"/readyz": 200}, 0.0, "ok"),
        ({"/readyz": 404, "/pin.js": 200}, 0.0, "ok"),
        ({"/readyz": 503}, 0.0, "broken"),
        ({"/readyz": 404, "/pin.js": 404}, 0.0, "broken"),
        ({"/readyz": 500}, 0.0, "broken"),
        ({"/readyz": 200}, 600.0, "broken"),
        ({"/readyz": 200}, -600.0, "broken"),
    ],
    ids=["ready", "behind a proxy", "cannot write", "hidden", "another", "fast", "slow"],
)
def test_a_beacon_that_is_not_ready_is_found(
    answers: dict[str, int], clock_seconds: float, state: str
) -> None:
    with web(answers.__getitem__, clock_seconds) as url:
        assert the_one(check_beacon(url)).state == state


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "nonsense", "ftp://127.0.0.1:{port}"])
def test_a_beacon_that_is_not_there_is_found(url: str) -> None:
    assert the_one(check_beacon(url.format(port=services.free_port()))).state == "broken"


@pytest.mark.integration
def test_a_subscription_that_cannot_be_drained_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The archive would say so in its log, where nobody looks."""
    settings = Settings(pubsub=PubSub(project="project"))
    with FakePubSub().serve() as fake:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", fake.address)
        found = the_one(check_pubsub(settings))
    monkeypatch.setattr("pipelines.io.subscription._CALL_SECONDS", 0.5)
    silent = the_one(check_pubsub(settings))

    assert found.state == silent.state == "broken"
    assert "pinsphere pubsub create" in found.says
    assert "no answer" in silent.says
    assert list(check_pubsub(Settings())) == []


def test_the_command_says_a_line_a_check_and_fails_on_broken_ones_only(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script reads the exit code, its author the line with the way out."""
    monkeypatch.delenv(SECRET[0])
    assert call("doctor", "--home", home.path) == 0
    well = capsys.readouterr().out.splitlines()
    assert call("doctor", "--home", home.path, "--beacon", "nonsense") == 1
    ill = capsys.readouterr().out.splitlines()

    assert [line.split()[1] for line in well] == [f"{check}:" for check in CHECKS]
    assert next(line for line in well if line.startswith("warning")).count(" -> ") == 1
    assert ill[-1].startswith("broken  beacon: nonsense/readyz: unknown url type")


def test_a_terminal_gets_a_table(home: Home) -> None:
    code, said = on_a_terminal("doctor", "--home", str(home.path))

    assert code == 0, said
    assert "what to do" in said
    assert all(re.search(rf"ok.* +{check} ", said) for check in CHECKS if check != "leftovers")


def test_the_command_answers_programs_in_json(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("doctor", "--json", "--home", home.path / "typo") == 1

    found = json.loads(capsys.readouterr().out)
    assert found[-1].keys() == {"check", "state", "says", "way_out"}
    assert (found[-1]["check"], found[-1]["state"]) == ("home", "broken")


def test_the_command_removes_leftovers_when_asked(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    (home.work / "run-1").mkdir(parents=True)
    assert call("doctor", "--clean", "--home", home.path) == 0

    said = capsys.readouterr()
    assert said.err == f"pinsphere: removed {home.work}\n"
    assert "leftovers: none" in said.out
    assert [path.name for path in home.path.parent.iterdir()] == ["home"]
