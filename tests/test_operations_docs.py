"""`docs/operations.md`: every command in it runs, or is read as the program it is for would."""

import ast
import configparser
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest
from sqlalchemy import text

from beacon.lag import ForwardMetrics
from beacon.metrics import Metrics
from pinsphere import app
from pipelines.flows.run_metrics import run_metrics
from pipelines.io.database import open_database
from schemas.home import Home
from schemas.results import result_schema
from schemas.spool import SPOOL_DDL
from schemas.tables import RESULTS
from tests import services
from tests.doctored import ORDER, SECRET, call, make_home
from tests.operations_page import PAGE, ROOT, UNITS, Block, blocks, of_kind, our_commands, run_block

RUN_ELSEWHERE = {"crontab", "logrotate", "sh as root", "yaml"}
AS_ROOT = {"bash", "cp", "install", "journalctl", "python3", "sudo", "systemctl", "useradd"}
OLD_ORDERS = "order_id,ordered_at,item_id,quantity,price\n7,2025-03-01 10:00:00,mug,1,2.00\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return make_home(tmp_path_factory.mktemp("model") / "home")


@pytest.fixture
def home(model: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A shop at work: a published run, a beacon that holds its spool open, files to import."""
    shutil.copytree(model.path, tmp_path / "home")
    home = Home(tmp_path / "home")
    monkeypatch.setenv(*SECRET)
    monkeypatch.setenv("PINSPHERE_HOME", str(home.path))
    monkeypatch.setenv("BACKUP", str(tmp_path / "backup"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for year in ("2024", "2025"):
        (tmp_path / f"orders-{year}.csv").write_text(OLD_ORDERS.replace("2025", year))
    (tmp_path / "events-2025.jsonl").write_text(ORDER.replace('"1"', '"8"'))
    home.spool.mkdir()
    with sqlite3.connect(home.spool / "1-1-1.spool", isolation_level=None) as beacon:
        beacon.execute("PRAGMA journal_mode = WAL")
        beacon.executescript(SPOOL_DDL)
        event = ORDER.strip().replace('"1"', '"9"')[:-1] + (
            ',"site_id":"acme","received_time_ms":1788000000000,"source":"server","is_signed":true}'
        )
        beacon.execute("INSERT INTO requests VALUES (NULL, 1788000000000, ?)", (f"[{event}]",))
        yield home
    beacon.close()


def tables(home: Home) -> dict[str, list[tuple[object, ...]]]:
    """All that readers see, without which run wrote it."""
    engine = open_database(home)
    with engine.connect() as connection:
        found = {
            name: sorted(
                map(
                    tuple,
                    connection.execute(
                        text(f"SELECT {', '.join(result_schema(name).names)} FROM current_{name}")
                    ),
                ),
                key=repr,
            )
            for name in RESULTS
        }
    engine.dispose()
    return found


def of_section(heading: str) -> list[Block]:
    """The blocks that a shell runs there."""
    found = [block for block in of_kind("sh") if block.heading == heading]
    assert found, heading
    return found


RUN_HERE = ("Is all well?", "Monitoring", "Backup and restore", "Backfill")


def test_every_block_of_the_page_is_tried() -> None:
    """A kind of block that no test knows would be an untried promise."""
    kinds = {block.kind for block in blocks()}

    assert kinds == {"sh", "sh postgresql", *RUN_ELSEWHERE}
    assert {block.heading for block in of_kind("sh")} == set(RUN_HERE)
    assert PAGE.count("```") == 2 * len(list(blocks()))


@pytest.mark.flow
def test_a_block_that_fails_is_told(tmp_path: Path) -> None:
    """The control of all that run blocks: ours and the shell's."""
    for command in ("pinsphere doctor --home typo", "cp no-such-file here", "false; true"):
        with pytest.raises(AssertionError):
            run_block(Block("", "sh", f"{command}\n"), tmp_path)


@pytest.mark.flow
def test_the_visit_and_the_metrics_are_as_shown(home: Home, tmp_path: Path) -> None:
    """The first commands of a new operator."""
    for heading in RUN_HERE[:2]:
        for block in of_section(heading):
            run_block(block, tmp_path)

    assert '"check":"sums","state":"ok"' in (tmp_path / "doctor.json").read_text()
    told = (tmp_path / "pinsphere.prom").read_text()
    named = set(re.findall(r"^# TYPE (\w+)", told, re.MULTILINE))
    assert named == set(re.findall(r"pinsphere_run_\w+", PAGE))


@pytest.mark.flow
@pytest.mark.integration
def test_a_copy_restored_into_a_fresh_home_gives_equal_tables(home: Home, tmp_path: Path) -> None:
    """The day the disk dies; with rows that were in the spool only, under a beacon at work."""
    if shutil.which("sqlite3") is None:
        pytest.skip("sqlite3 is not installed (Debian: sqlite3)")
    (home.path / "network.key").write_text("secret of the day")
    printed = "".join(run_block(block, tmp_path) for block in of_section("Backup and restore"))
    restored = Home(tmp_path / "restored")
    before = tables(home)
    assert call("run", "--home", home.path) == 0

    assert "holds: " in printed
    assert tables(restored) == tables(home) != before
    assert len(tables(restored)["orders"]) == 2
    assert not (restored.path / "network.key").exists()
    assert tables(Home(tmp_path / "backup")) == before  # the database's own copy


@pytest.mark.flow
def test_a_copy_without_the_spool_has_lost_what_was_only_there(home: Home, tmp_path: Path) -> None:
    """The control of the test above: it would notice."""
    shutil.copytree(home.path, tmp_path / "part", ignore=shutil.ignore_patterns("spool", "*.db*"))
    for path in (home.path, tmp_path / "part"):
        assert call("run", "--home", path) == 0

    assert tables(Home(tmp_path / "part")) != tables(home)


@pytest.mark.flow
def test_a_backfill_brings_old_orders(home: Home, tmp_path: Path) -> None:
    for block in of_section("Backfill"):
        run_block(block, tmp_path)

    # Both files tell of order 7.
    assert [row[1] for row in tables(home)["orders"]] == ["1", "7", "8", "9"]


@pytest.mark.integration
def test_a_postgresql_database_is_dumped_and_restored(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binaries = services.find_postgres()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    monkeypatch.setenv("PATH", f"{binaries}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "backup").mkdir()
    with services.run_postgres() as url:
        monkeypatch.setenv("DATABASE_URL", url.replace("+psycopg", ""))
        assert call("run", "--home", home.path) == 0
        before = tables(home)
        (block,) = of_kind("sh postgresql")
        run_block(block, tmp_path)

        assert tables(home) == before
        assert before["orders"]


def test_what_root_types_is_right_as_far_as_can_be_seen() -> None:
    """Nobody runs these in a test: the shell reads them, commands and files must exist."""
    for block in of_kind("sh as root"):
        assert subprocess.run(["bash", "-n", "-c", block.text], check=False).returncode == 0
        programs = {line.split()[0].rpartition("/")[2] for line in block.text.splitlines()}
        assert programs <= AS_ROOT | {"pip"}, programs
        for path in re.findall(r"\bexamples/\S+", block.text):
            assert list(ROOT.glob(path)), path
        for unit in re.findall(r"(?<=[ ])pinsphere-[a-z-]+(?:\.service|\.timer)\b", block.text):
            assert (UNITS / unit).exists(), unit
        for words in our_commands(block.text):
            app.parse_args(words, exit_on_error=False, print_error=False)


def test_cron_reads_its_lines() -> None:
    """Five times, a user, a command that there is."""
    (block,) = of_kind("crontab")
    for line in block.text.splitlines():
        *times, user, command = line.split(maxsplit=6)
        assert all(re.fullmatch(r"\*(/\d+)?|\d+", each) for each in times), line
        assert user == "pinsphere"
        (words,) = our_commands(command)
        app.parse_args(words, exit_on_error=False, print_error=False)


def test_logrotate_reads_its_file(tmp_path: Path) -> None:
    (block,) = of_kind("logrotate")
    found = re.fullmatch(r"(/\S+) \{\n((?:    [a-z0-9 ]+\n)+)\}\n", block.text)
    assert found
    assert {line.split()[0] for line in found[2].splitlines()} <= {
        *("weekly", "rotate", "compress", "missingok", "notifempty", "create"),
    }
    if shutil.which("logrotate"):
        (tmp_path / "pinsphere").write_text(block.text.replace("pinsphere pinsphere", "root root"))
        done = subprocess.run(["logrotate", "-d", tmp_path / "pinsphere"], check=False)
        assert done.returncode == 0


def test_every_unit_starts_a_command_there_is_and_never_as_root() -> None:
    """A unit with a typing error is found on the day of the move, else."""
    for file in UNITS.glob("*.service"):
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read(file)
        (words,) = our_commands(unit["Service"]["ExecStart"])
        app.parse_args(words, exit_on_error=False, print_error=False)
        assert unit["Service"]["User"] == "pinsphere"
        assert f"`{file.name}`" in PAGE
        assert f"`pinsphere {' '.join(words)}`" in PAGE, f"{file.name} is told otherwise"


def verify_units(folder: Path) -> str:
    """What systemd finds wrong with the units, their program taken to be there."""
    shutil.copytree(UNITS, folder)
    for file in folder.glob("*.service"):
        file.write_text(re.sub("(?m)^ExecStart=.*", "ExecStart=/bin/true", file.read_text()))
    units = [*folder.glob("*.service"), *folder.glob("*.timer")]
    command: list[str | Path] = ["systemd-analyze", "verify", "--man=no", *units]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stderr if done.returncode == 0 else f"{done.returncode} {done.stderr}"


def test_systemd_reads_the_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox with a word that systemd does not know is none: it ignores the line."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    well = verify_units(tmp_path / "units")
    broken = tmp_path / "broken"
    shutil.copytree(UNITS, broken)
    sandbox = broken / "pinsphere-.service.d" / "sandbox.conf"
    sandbox.write_text(sandbox.read_text().replace("PrivateTmp", "PrivateTemp"))
    monkeypatch.setattr("tests.test_operations_docs.UNITS", broken)

    assert well == ""
    assert "Unknown key 'PrivateTemp'" in verify_units(tmp_path / "control")


def test_alerts_are_on_metrics_that_there_are(tmp_path: Path) -> None:
    """An alert on a name nobody exports never fires, and nobody misses it."""
    (block,) = of_kind("yaml")
    (group,) = yaml.safe_load(block.text)["groups"]
    path = tmp_path / "run.prom"
    told = Metrics().render() + generate_latest(ForwardMetrics(Home(tmp_path)).registry)
    with pytest.raises(ZeroDivisionError), run_metrics(Home(tmp_path), path):
        raise ZeroDivisionError
    known = set(re.findall(r"# TYPE (\w+)", told.decode() + path.read_text()))
    known.add("pinsphere_run_last_success_timestamp_seconds")  # the run above had none

    for rule in group["rules"]:
        assert rule.keys() >= {"alert", "expr", "annotations"}
    named = set(re.findall(r"pinsphere_(?:beacon|forward|run)_\w+", PAGE))
    in_alerts = set(re.findall(r"pinsphere_\w+", block.text))
    assert in_alerts <= known | {name for name in named if name.startswith("pinsphere_run_")}
    assert {name for name in named if not name.startswith("pinsphere_run_")} <= known


def messages() -> str:
    """All texts of the code, one a line, with `...` for what is filled in."""
    found = []
    for folder in ("beacon", "pipelines", "schemas"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = [
                        str(part.value) if isinstance(part, ast.Constant) else "..."
                        for part in node.values
                    ]
                    found.append("".join(parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join([*found, os.strerror(28)])


def test_every_message_in_the_troubleshooting_is_one_of_ours() -> None:
    """Who looks a message up finds it by its words."""
    table = PAGE.partition("## Troubleshooting")[2]
    shown = [line.split("|")[1].strip().strip("`") for line in table.splitlines() if "|" in line]
    told = messages()

    assert len(shown) > 12
    for message in shown[2:]:
        assert message in told, message
    assert "a message that nobody tells" not in told
