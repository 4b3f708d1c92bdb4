"""Files without news are not opened again, and news are never overlooked."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from beacon import forward, lag, quiet
from beacon.forward import Forwarder
from beacon.lag import ForwardMetrics
from beacon.publisher import Publisher
from beacon.quiet import QuietFiles
from beacon.spool_file import Entry, SpoolFile
from schemas.home import Home
from schemas.settings import Settings
from schemas.spool_reader import open_spool

LONG_AGO_NS = 10**18


class Acks(Publisher):
    """A publisher that is always acked."""

    def __init__(self) -> None:
        self.sent = 0

    def publish(self, data: bytes, **attributes: str) -> bool:
        self.sent += 1
        return True


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.spool.mkdir()
    return home


@pytest.fixture
def file(home: Home) -> Iterator[SpoolFile]:
    file = SpoolFile.create(home.spool)
    file.commit([Entry(1, b"[]")])
    yield file
    file.close()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that is opened, as often as it is."""
    paths: list[Path] = []

    def open_one(path: Path) -> object:
        paths.append(path)
        return open_spool(path)

    for module in (forward, lag):
        monkeypatch.setattr(module, "open_spool", open_one)
    return paths


def rest(home: Home) -> None:
    """As if nobody had written for long."""
    for path in home.spool.iterdir():
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))


def forwarder(home: Home, publisher: Publisher) -> Forwarder:
    return Forwarder(
        home,
        publisher,
        metrics=ForwardMetrics(home),
        stop=threading.Event(),
        tell=lambda _: None,
        settings=Settings(),
    )


def test_the_forwarder_opens_a_quiet_file_once(home: Home, file: SpoolFile, opened: list[Path]):
    """Hundreds of old files took a tenth of a CPU, each second, for nothing."""
    going = forwarder(home, Acks())
    rest(home)

    for _ in range(5):
        going._go_round()

    assert opened == [file.path]


def test_news_in_a_quiet_file_are_sent(home: Home, file: SpoolFile):
    publisher = Acks()
    going = forwarder(home, publisher)
    rest(home)
    going._go_round()
    going._go_round()

    file.commit([Entry(2, b"[]")])
    going._go_round()

    assert publisher.sent == 2


def test_the_lag_opens_a_quiet_file_once_and_counts_its_news(
    home: Home, file: SpoolFile, opened: list[Path]
):
    """A scrape must cost what has changed, and an alarm must come."""
    forwarder(home, Acks())._go_round()
    opened.clear()
    known = QuietFiles()
    rest(home)

    assert [lag.backlogs_of(home, known) for _ in range(2)] == [([(0, None)], 0), ([], 0)]
    assert opened == [file.path]
    file.commit([Entry(2, b"[]")])

    assert lag.backlogs_of(home, known) == ([(1, 2)], 0)


def test_a_file_that_was_just_written_is_never_quiet(file: SpoolFile):
    """Two writes within one tick of the clock leave the same time."""
    assert QuietFiles().stamp(file.path) is None


@pytest.mark.parametrize("is_settled", [True, False])
def test_a_write_within_the_same_tick_is_overlooked_without_that_rule(
    home: Home,
    file: SpoolFile,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_settled: bool,
):
    """The control: shows that the rule above is needed."""
    if not is_settled:
        monkeypatch.setattr(quiet, "_SETTLED_NS", 0)
    publisher = Acks()
    going = forwarder(home, publisher)
    moment = time.time_ns()
    log = Path(f"{file.path}-wal")
    for _ in range(2):  # the log is used again from its beginning: its size stays
        with open_spool(file.path) as spool:
            spool._spool.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        file.commit([Entry(2, b"[]")])
        for path in (file.path, log):
            os.utime(path, ns=(moment, moment))
        going._go_round()

    assert publisher.sent == (2 if is_settled else 1)
