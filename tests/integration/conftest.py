"""Real services for tests: PostgreSQL, and Pub/Sub as Google's emulator or our fake."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.home import Home
from tests import services
from tests.integration import archiving
from tests.integration.forwarding import Line
from tests.integration.publishing import SETTINGS
from tests.made_tables import drop_tables, make_database, make_tables
from tests.pubsub_fake import FakePubSub
from tests.services import PubSubServer


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """SQLAlchemy URL of an empty PostgreSQL, shared by the session: make a database of your own."""
    if services.find_postgres() is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    with services.run_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def emulator() -> Iterator[PubSubServer]:
    """Google's Pub/Sub emulator, shared by the session."""
    if services.find_emulator() is None:
        has_both = shutil.which("java") and shutil.which("gcloud")
        pytest.skip(
            "the Cloud SDK lacks its component pubsub-emulator"
            if has_both
            else services.OPTIONAL + "no Pub/Sub emulator (Java and the Cloud SDK)"
        )
    with services.run_emulator() as server:
        yield server


@pytest.fixture(scope="session")
def emulator_address(emulator: PubSubServer) -> str:
    """`host:port` of Google's Pub/Sub emulator."""
    return emulator.address


@pytest.fixture
def fake_pubsub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePubSub]:
    """Our Pub/Sub, which makes faults on demand; official clients find it by themselves."""
    with FakePubSub().serve() as fake:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", fake.address)
        yield fake


@pytest.fixture
def pubsub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """`host:port` of the best Pub/Sub here: the emulator, else the fake.

    Official clients find it by themselves. The emulator lives as long as the session: name
    topics and subscriptions after your test.
    """
    if services.find_emulator() is None:
        fake: FakePubSub = request.getfixturevalue("fake_pubsub")
        return fake.address
    address: str = request.getfixturevalue("emulator_address")
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
    return address


@pytest.fixture
def make_line(tmp_path: Path) -> Iterator[Callable[..., Line]]:
    """Makes a home with a spool and its place in Pub/Sub; ask for a Pub/Sub before it."""
    lines: list[Line] = []

    def make(**options: Any) -> Line:
        lines.append(Line(tmp_path / f"home-{len(lines)}", **options))
        return lines[-1]

    yield make
    for each in lines:
        each.close()


@pytest.fixture
def line(
    fake_pubsub: FakePubSub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[archiving.Line]:
    """A home whose news come by our Pub/Sub, for archives; forwarders have lines of their own."""
    monkeypatch.setattr("tests.pubsub_fake.PULL_SECONDS", 0.2)
    line = archiving.Line(tmp_path / "home")
    yield line
    line.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home directory whose database is SQLite or a real PostgreSQL server, without a row."""
    (tmp_path / "pinsphere.toml").write_text(SETTINGS)
    made = Home(tmp_path)
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_url")
        monkeypatch.setenv("DATABASE_URL", make_database(server, "shop"))
    else:
        make_tables(made)
    return made


@pytest.fixture
def empty_home(home: Home) -> Home:
    """The same before its first run: the database has no table at all."""
    drop_tables(home)
    return home
