"""`pinsphere alerts` from outside: exit codes, JSON, and the webhook on real HTTP."""

import contextlib
import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from sqlalchemy import insert

import pinsphere
from pipelines.flows.setup import add_site
from pipelines.io import webhook
from pipelines.io.database import open_database
from pipelines.io.webhook import post_signed
from schemas.errors import AlertError
from schemas.home import Home
from schemas.signature import signature_error
from schemas.tables import Attempt
from schemas.views import drop_views
from tests.made_tables import make_tables

SECRET = "a-secret-of-sixteen-characters"
Taken = list[tuple[str, dict[str, str], bytes]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A shop whose last run failed and whose one before ended well just now."""
    home = Home(tmp_path / "home")
    add_site(home, "acme", currency="GBP", time_zone="UTC")
    make_tables(home)
    engine = open_database(home)
    now = time.time_ns() // 1_000_000
    times = dict.fromkeys(("began_at", "ended_at", "good_began_at", "good_ended_at"), now)
    with engine.begin() as connection:
        connection.execute(insert(Attempt), {"pointer": 1, "failure": "AuditError", **times})
    engine.dispose()
    return home


def set_rules(home: Home, rules: str) -> None:
    """Adds `[alerts]` to the settings."""
    text = home.settings_file.read_text()
    home.settings_file.write_text(f"{text}\n[alerts]\n{rules}\n")


def call(home: Home, *arguments: str) -> int:
    """The exit code of the command."""
    try:
        pinsphere.main(["alerts", "--home", str(home.path), *arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@contextlib.contextmanager
def receiver(*answers: int) -> Iterator[tuple[str, Taken]]:
    """A server that takes calls, and gives these answers, the last one again and again."""
    taken: Taken = []
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append((self.path, dict(self.headers), body))
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hooks/a-secret-path", taken
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def without_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_TIMEOUT", urllib3.Timeout(connect=1, read=0.3))
    monkeypatch.setattr(webhook, "_BACKOFF", 0.01)


def test_alarms_are_an_exit_code_of_their_own(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script tells alarms from none, from a command that failed and from a wrong call."""
    assert call(home) == 3
    told = capsys.readouterr().out
    assert told.startswith("alert   run_failed: the last run, which ended ")
    assert "failed with AuditError: see its log\n    SELECT is_good" in told
    assert "ok      run_late: the last good run ended 0.0 hours ago" in told

    set_rules(home, "run_failed = false")
    assert call(home) == 0
    assert call(home, "--site", "nobody") == 2
    assert call(Home(tmp_path / "nowhere")) == 1


def test_views_of_another_release_are_not_asked(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """After an upgrade that forgot the database cron says what to do, instead of an SQL error."""
    engine = open_database(home)
    with engine.begin() as connection:
        drop_views(connection)
    engine.dispose()

    assert call(home) == 1
    assert "pinsphere db upgrade brings them to this one" in capsys.readouterr().err


def test_json_says_what_every_rule_says(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """A program reads figure, threshold and query, and keeps the id."""
    assert call(home, "--json") == call(home, "--json") == 3
    first, second = map(json.loads, capsys.readouterr().out.splitlines())

    assert [(each["rule"], each["state"]) for each in first] == [
        ("run_failed", "alert"),
        ("run_late", "ok"),
        ("no_events", "unknown"),
    ]
    assert first[1]["threshold"] == 26.0
    assert first[1]["query"].startswith("SELECT is_good")
    assert [each["alert_id"] for each in first] == [each["alert_id"] for each in second]


def test_a_webhook_is_told_of_alarms_alone_and_can_check_who_calls(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chat shows the text; a program checks the signature, and reads what alarms."""
    set_rules(home, 'webhook_env = "HOOK"\nwebhook_secret_env = "HOOK_SECRET"')
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with receiver(204) as (url, taken):
        monkeypatch.setenv("HOOK", url)
        assert call(home) == 3

    ((path, headers, body),) = taken
    assert path == "/hooks/a-secret-path"
    assert headers["Content-Type"] == "application/json"
    signature = headers["X-PinSphere-Signature"]
    assert signature_error(signature, [SECRET], body, time.time()) is None
    assert signature_error(signature, [SECRET], body + b" ", time.time()) is not None
    told = json.loads(body)
    assert [each["rule"] for each in told["alerts"]] == ["run_failed"]
    assert told["text"].startswith("alert   run_failed: ")


def test_nobody_is_called_without_an_alarm(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chat with a message each hour is one that nobody reads."""
    set_rules(home, 'run_failed = false\nwebhook_env = "HOOK"')
    with receiver(204) as (url, taken):
        monkeypatch.setenv("HOOK", url)
        assert call(home) == 0

    assert taken == []


def test_a_webhook_that_refuses_fails_the_command_after_the_alarms_are_shown(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cron mails what is printed: the alarm is told although the chat is down. No secret is."""
    set_rules(home, 'webhook_env = "HOOK"')
    with receiver(500) as (url, taken):
        monkeypatch.setenv("HOOK", url)
        assert call(home) == 1
    monkeypatch.delenv("HOOK")
    assert call(home) == 1

    told = capsys.readouterr()
    assert len(taken) == 1
    assert "alert   run_failed" in told.out
    assert "webhook at 127.0.0.1" in told.err
    assert "it answered 500" in told.err
    assert "webhook_env: HOOK is not set" in told.err
    assert "a-secret-path" not in told.out + told.err


def test_an_answer_that_asks_to_come_again_is_followed_twice() -> None:
    """A chat that is being restarted."""
    with receiver(503, 429, 200) as (url, taken):
        post_signed(url, b"{}", None)
    assert len(taken) == 3
    assert "X-PinSphere-Signature" not in taken[0][1]
    with receiver(503) as (url, taken), pytest.raises(AlertError, match="it answered 503"):
        post_signed(url, b"{}", None)
    assert len(taken) == 3


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    """Whoever takes over the address must not send the shop's figures elsewhere."""
    with (
        receiver(status) as (url, taken),
        pytest.raises(AlertError, match=f"it answered {status}"),
    ):
        post_signed(url, b"{}", SECRET)

    assert [path for path, _, _ in taken] == ["/hooks/a-secret-path"]


@pytest.mark.parametrize(
    ("is_there", "reason"), [(True, "ReadTimeoutError"), (False, "NewConnectionError")]
)
def test_a_server_that_hangs_or_is_not_there_is_left(is_there: bool, reason: str) -> None:
    """A cron job that never ends is started again and again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not is_there:
            server.close()
        with pytest.raises(AlertError) as told:
            post_signed(f"http://127.0.0.1:{port}/a-secret-path", b"{}", None)

    assert str(told.value) == f"webhook at 127.0.0.1:{port}: {reason}"


@pytest.mark.parametrize("url", ["chat.example/x", "ftp://chat.example", "http://", "http://a:b/"])
def test_what_is_no_address_is_refused_unseen(url: str) -> None:
    """A secret that was put into the wrong variable stays one."""
    with pytest.raises(AlertError) as told:
        post_signed(url, b"{}", None)

    assert str(told.value) == "the webhook's address is not http(s)://host/..."
