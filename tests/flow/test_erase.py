"""Erasure as a whole: afterwards no byte of the home holds her ids, and the sums stand."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pinsphere import main
from pipelines.flows import erase as flow
from pipelines.flows.erase import erase
from pipelines.flows.run import run
from pipelines.io import database, erasures, forget
from pipelines.io.erasures import Subject
from pipelines.io.import_events import import_events
from schemas.errors import BusyError
from schemas.home import Home
from schemas.lock import only_one
from tests import erasing
from tests.erasing import CLEO, SHARED, Shop, places, rows, story

VERSION = "test"
CLEO_GOES = Subject("acme", "customer", CLEO, "request-1", erasing.MONDAY_MS)
SALES = """
    SELECT site_id, order_id, net_micros, refunded_micros, ordered_at FROM current_orders
    ORDER BY 1, 2"""
SUMS = """
    SELECT site_id, model, SUM(credit_micros) FROM current_order_credits GROUP BY 1, 2 ORDER BY 1, 2
"""
OTHERS = f"""
    SELECT order_id, person_id FROM current_orders WHERE order_id <> 'o-cleo'
    UNION ALL SELECT pin_id, person_id FROM current_pins WHERE pin_id <> 'pin-c'
    UNION ALL SELECT event_id, person_id FROM current_visits WHERE person_id <> '{CLEO}'
    ORDER BY 1"""
SHAPES = "SELECT root_pin_id, size, depth, breadth FROM current_cascades ORDER BY 1"
PINS = "SELECT pin_id, parent_pin_id, visits, is_confirmed FROM current_pins ORDER BY 1"
QUERIES = (SALES, SUMS, OTHERS, SHAPES, PINS)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with two runs in its tables, and something of Cleo's in every place."""
    shop = Shop(tmp_path_factory.mktemp("original") / "home")
    first, *rest = story()
    shop.send(*rest)
    shop.refuse(msgspec.json.encode({"customer_id": CLEO}).decode(), "refused")
    run(shop.home, shards=1, code_version=VERSION)
    shop.send(first)
    run(shop.home, shards=1, code_version=VERSION)
    shop.send({**story()[-1], "event_id": "last"})
    (shop.home.quarantine / "messages").mkdir()
    (shop.home.quarantine / "messages" / "batch").write_bytes(f"\2{CLEO}\2rest".encode())
    unfinished = shop.home.lake / "pin" / "site=acme" / ".torn.parquet.1"
    unfinished.write_bytes(CLEO.encode())
    for place in (shop.home.state, shop.home.ledger):
        place.mkdir(exist_ok=True)
        (place / "piece").write_bytes(CLEO.encode())
    yield shop.home.path
    shop.close()


@pytest.fixture
def home(original: Path, tmp_path: Path) -> Home:
    shutil.copytree(original, tmp_path / "home")
    return Home(tmp_path / "home")


def test_the_names_stood_everywhere(home: Home) -> None:
    """Else not finding them would prove nothing."""
    assert places(home) == ["lake", "ledger", "pinsphere.db", "quarantine", "spool", "state"]


@pytest.fixture(scope="module")
def erased(original: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, list[Any]]:
    """A home after Cleo was erased, and what its tables said before."""
    path = tmp_path_factory.mktemp("erased") / "home"
    shutil.copytree(original, path)
    before = [rows(Home(path), query) for query in QUERIES]
    erase(Home(path), [CLEO_GOES], code_version=VERSION)
    return Home(path), before


def test_afterwards_no_byte_holds_her_ids(erased: tuple[Home, list[Any]]) -> None:
    """The promise: customer, devices, e-mail, session, click, guid and network."""
    assert places(erased[0]) == []
    assert not erased[0].erasing.exists()


def test_afterwards_all_else_stands(erased: tuple[Home, list[Any]]) -> None:
    """Sums of orders and credit, other people's rows, the shape of cascades, landings of pins."""
    home, before = erased

    assert [rows(home, query) for query in QUERIES] == before


def test_her_order_has_nobody_as_buyer(erased: tuple[Home, list[Any]]) -> None:
    """Its revenue is unattributed; what her pins brought stays with the pins."""
    home, _ = erased

    assert rows(home, "SELECT person_id FROM current_orders WHERE order_id = 'o-cleo'") == [(None,)]
    credit = "SELECT order_id, pin_id, pinner_id FROM current_order_credits WHERE model = 'first'"
    assert sorted(rows(home, credit), key=str) == [
        ("o-ben", "pin-a", "v:visitor-anna"),
        ("o-ben", "pin-c", None),
        ("o-cleo", None, None),
        ("o-dora", "pin-a", "v:visitor-anna"),
    ]


def test_a_slot_named_after_her_keeps_its_counts(erased: tuple[Home, list[Any]]) -> None:
    """A shop may name a list for each of its customers."""
    assert rows(erased[0], "SELECT item_list_id FROM current_pins WHERE pin_id = 'pin-c'") == [
        ("for-erased",)
    ]


def test_on_a_shared_device_only_her_own_visit_lost_its_name(
    erased: tuple[Home, list[Any]],
) -> None:
    """The family goes on using it."""
    landings = (
        "SELECT event_id, person_id FROM current_visits WHERE event_id > 'event-1' ORDER BY 1"
    )

    assert rows(erased[0], landings) == [
        ("event-10", "customer-dora"), ("event-13", None), ("event-15", "customer-dora"),
    ]  # fmt: skip
    assert "lake" in places(erased[0], [SHARED])


def test_the_proof_says_what_was_done_and_not_to_whom(erased: tuple[Home, list[Any]]) -> None:
    """The shop can show that it answered."""
    ((site, request, kind, requested_at, _, counts),) = rows(erased[0], "SELECT * FROM erasures")

    assert (site, request, kind) == ("acme", "request-1", "customer")
    assert requested_at == erasing.MONDAY_MS
    said = msgspec.json.decode(counts)
    assert said["events_dropped"] == 3
    assert said["requests"] == said["messages"] == said["quarantined"] == 1


def test_earlier_runs_are_forgotten(erased: tuple[Home, list[Any]]) -> None:
    """They would bring her back."""
    assert rows(erased[0], "SELECT COUNT(*) FROM runs") == [(1,)]


def test_a_second_erasure_changes_nothing(erased: tuple[Home, list[Any]]) -> None:
    """A request is often sent twice."""
    home, before = erased
    files = sorted(path.stat().st_ino for path in home.lake.rglob("*.parquet"))

    done = erase(home, [CLEO_GOES], code_version=VERSION)

    assert done.counts == {}
    assert sorted(path.stat().st_ino for path in home.lake.rglob("*.parquet")) == files
    assert [rows(home, query) for query in QUERIES] == before


def nothing(*_: Any, **__: Any) -> Any:
    return forget.Counts()


def only_vacuum(database: sqlite3.Connection, _: str) -> None:
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


configure_sqlite = database._configure_sqlite


def forgetful(connection: sqlite3.Connection, record: Any) -> None:
    """As SQLite is by default; some systems build it so that it overwrites what is deleted."""
    configure_sqlite(connection, record)
    connection.execute("PRAGMA secure_delete = OFF")


LEFT_OUT: dict[str, tuple[Any, str, Callable[..., Any], str]] = {
    "the lake": (flow, "rewrite_lake", nothing, "lake"),
    "unfinished files": (flow, "sweep", nothing, "lake"),
    "quarantine": (flow, "rewrite_quarantine", nothing, "quarantine"),
    "the spool": (flow, "rewrite_spool", nothing, "spool"),
    "earlier runs": (erasures, "forget_runs", nothing, "pinsphere.db"),
    "the room of the database": (erasures, "give_back", only_vacuum, "pinsphere.db"),
}


@pytest.mark.parametrize(("module", "step", "instead", "place"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_the_control_that_leaves_a_step_out_is_found_out(
    home: Home, monkeypatch: pytest.MonkeyPatch, module: Any, step: str, instead: Any, place: str
) -> None:
    """Each place matters, and the search finds what is left there."""
    monkeypatch.setattr(module, step, instead)
    monkeypatch.setattr(database, "_configure_sqlite", forgetful)
    if place not in {"pinsphere.db", "lake"}:
        monkeypatch.setattr(flow, "run", nothing)

    erase(home, [CLEO_GOES], code_version=VERSION)

    assert place in places(home)


KILLED = """
import os, signal, sys
from pathlib import Path
from pinsphere import main
from pipelines.flows import erase as flow
from pipelines.io import forget
from pipelines.io.erasures import Subject
from pipelines.io.import_events import import_events
from schemas.home import Home

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

rewrite = forget._rewrite_file
def at_a_pin(folder, file, *rest):
    kill() if file.event_name == "pin" else rewrite(folder, file, *rest)

home, where = sys.argv[1:]
if where == "lake":
    forget._rewrite_file = at_a_pin
else:
    setattr(flow, where, kill)
flow.erase(Home(home), [Subject("acme", "customer", "customer-cleo", "request-1", 1)],
           code_version="test")
"""


def kill_at(home: Home, where: str) -> None:
    arguments = [sys.executable, "-c", KILLED, str(home.path), where]
    assert subprocess.run(arguments, check=False, capture_output=True).returncode == -9


@pytest.mark.parametrize("where", ["lake", "rewrite_spool", "forget_earlier"])
def test_killed_and_called_again_it_completes(home: Home, where: str) -> None:
    """Her tablet is known by an identify event that is gone by then: it was written down."""
    kill_at(home, where)
    assert places(home) != []

    erase(home, code_version=VERSION)

    assert places(home) == []
    assert rows(home, "SELECT request_id FROM erasures") == [("request-1",)]


def test_the_control_that_writes_nothing_down_misses_her_tablet(home: Home) -> None:
    """The same request, asked for again after the kill, finds less than the first time."""
    kill_at(home, "lake")
    home.erasing.unlink()

    erase(home, [CLEO_GOES], code_version=VERSION)

    assert "lake" in places(home)


def test_a_run_and_an_erasure_exclude_each_other(home: Home) -> None:
    """A run would write what the erasure is taking out."""
    with only_one(home.path / "run.lock", "run"), pytest.raises(BusyError, match="another run"):
        erase(home, [CLEO_GOES], code_version=VERSION)


def test_a_signed_request_waits_until_it_is_carried_out(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run says how many wait; a request that is delivered again asks for nothing."""
    asked = {
        "event_name": "erase", "event_id": "asked", "request_id": "ticket-1", "customer_id": CLEO,
        "event_time_ms": erasing.MONDAY_MS,
    }  # fmt: skip
    file = home.path.parent / "asked.jsonl"
    file.write_bytes(msgspec.json.encode(asked))
    import_events(home, [file], site="acme")
    assert run(home, shards=1, code_version=VERSION).erasures_waiting == 1

    main(["erase", "--requested", "--home", str(home.path)])

    assert "erased: customer of site acme, request ticket-1" in capsys.readouterr().out
    assert places(home) == []
    import_events(home, [file], site="acme")
    assert run(home, shards=1, code_version=VERSION).erasures_waiting == 0


def test_a_call_without_anybody_says_what_to_name(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """And does nothing: no run is made."""
    main(["erase", "--home", str(home.path)])

    assert capsys.readouterr().out.startswith("nothing to erase: name --site")
    assert rows(home, "SELECT COUNT(*) FROM runs") == [(2,)]
